//! The node file: what `run` makes of it, what `config check` says of it, and the page about it.

mod support;

use std::path::Path;
use std::process::Stdio;

use support::{Came, Directory};

const FILE: &str = "\
[node]
name = \"${NODE:-N}\"
flows = [\"names.flow\"]
workers = \"${WORKERS}\"

[files]
play = [\"UpdateStream=rows.csv\"]
table = [\"QueryTable\"]
exit = true
";

fn directory(file: &str) -> Directory {
    Directory::with_flow().file("node.toml", file).file("rows.csv", "name,value\na,1\n")
}

fn run(directory: &Directory, arguments: &str, environment: &[(&str, &str)]) -> Came {
    let mut command = directory.command(arguments);
    command.envs(environment.iter().copied()).env_remove("ANABRANCH_LOG").stdin(Stdio::null());
    for (name, value) in environment {
        command.env(name, value);
    }
    Came::of(command.output().expect("it runs"))
}

#[test]
fn a_node_runs_as_its_file_says() {
    let directory = directory(FILE);
    let came = run(&directory, "run --config node.toml", &[("WORKERS", "2")]);
    assert_eq!(came.code, 0, "{came:?}");
    assert!(came.stdout.starts_with("ready node=N workers=2 flows=names\n"), "{came:?}");
    assert!(came.stdout.contains("a     1"), "{came:?}");
}

#[test]
fn the_command_line_goes_before_the_file() {
    let directory = directory(FILE).file("other.flow", support::NAMES.replace("flow names", "flow other"));
    let environment = [("WORKERS", "2"), ("NODE", "M")];
    let came =
        run(&directory, "run --config=node.toml --workers 1 other.flow --table=QueryTable=3", &environment);
    assert_eq!(came.code, 0, "{came:?}");
    assert!(came.stdout.starts_with("ready node=M workers=1 flows=other\n"), "{came:?}");
    assert_eq!(came.stdout.matches("name  value").count(), 1, "the list of the file gives way: {came:?}");
}

#[test]
fn what_is_wrong_with_a_file_is_told_at_once() {
    let directory = directory("[node]\nnmae = \"A\"\nworkers = 0\n[zone]\nname = \"${NOBODY_SET_THIS}\"\n");
    for command in ["run --config node.toml", "config check node.toml"] {
        let came = run(&directory, command, &[]);
        assert_eq!(came.code, 1, "{came:?}");
        for words in [
            "node.toml:2: ",
            "did you mean `node.name`?",
            "node.toml:3: ",
            "node.toml:5: ",
            "NOBODY_SET_THIS",
        ] {
            assert!(came.stderr.contains(words), "{words}: {came:?}");
        }
        assert_eq!(came.stdout, "");
    }
    let missing = run(&directory, "run --config nowhere.toml", &[]);
    assert!(missing.code == 3 && missing.stderr.contains("there is no such file"), "{missing:?}");
}

#[test]
fn the_check_says_what_would_be_used_and_where_it_is_from() {
    let directory = directory(FILE);
    let environment = [("WORKERS", "2"), ("ANABRANCH_LOG", "debug")];
    let came = run(&directory, "config check node.toml", &environment);
    assert_eq!(came.code, 0, "{came:?}");
    let lines: Vec<String> =
        came.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "node.name N line 2, ${NODE}",
        "node.flows [names.flow] line 3",
        "node.workers 2 line 4, ${WORKERS}",
        "node.snapshot_after 256MiB default",
        "files.exit true line 9",
        "log.level debug environment, ANABRANCH_LOG",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
    }
}

#[test]
fn what_does_not_go_together_is_told_by_the_check() {
    for (file, words) in [
        ("[node]\nflows = [\"names.flow\"]\n[listen]\ntls_cert = \"x\"\n", "--tls-key"),
        ("[node]\nflows = [\"names.flow\"]\n[zone]\nname = \"demo\"\n", "--listen"),
        ("[node]\nname = \"A\"\n", "<FILE>"),
    ] {
        let came = run(&directory(file), "config check node.toml", &[]);
        assert!(came.code == 1 && came.stderr.contains(words), "{came:?}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads the page")]
fn the_page_is_what_the_program_knows() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../CONFIG.md");
    let page = std::fs::read_to_string(page).expect("there is a page");
    let came = run(&Directory::empty(), "config fields", &[]);
    assert_eq!(page, came.stdout, "run `anabranch config fields > engine/CONFIG.md`");
    // The example of the page is right.
    let (_, behind) = page.split_once("```toml\n").expect("it has an example");
    let example = behind.split_once("```").expect("it ends").0;
    let came = run(&directory(example), "config check node.toml", &[]);
    assert_eq!(came.code, 0, "{came:?}");
}
