//! The commands about files: new, check, fmt, plan, explain, test, completions.

mod support;

use support::{Directory, NAMES};

const WRONG: &str = "flow f revision 1\ninput A: { x: txt }\n";

#[test]
fn what_new_makes_passes_everything_it_tells_to_do_next() {
    let directory = Directory::empty();
    let made = directory.run("new first").exits(0);
    let next: Vec<&str> = made.stdout.lines().filter_map(|line| line.strip_prefix("  anabranch ")).collect();
    assert_eq!(next.len(), 3, "{made:?}");
    for command in next {
        let came = directory.run(command).exits(0);
        assert!(!came.stderr.contains("warning["), "{came:?}");
    }
    directory.run("fmt --check first/names.flow").exits(0);
}

#[test]
fn new_refuses_a_directory_that_is_not_empty_and_a_file() {
    let directory = Directory::empty().file("mine.txt", "mine");
    directory.run("new .").exits(2).says("the directory `.` is not empty; nothing was written");
    directory.run("new mine.txt").exits(3).says("cannot make the directory `mine.txt`");
    assert_eq!(directory.read("mine.txt"), "mine");
    assert!(!directory.path("names.flow").exists());
}

#[test]
fn new_fills_the_empty_directory_it_is_in() {
    let directory = Directory::empty();
    directory.run("new .").exits(0);
    directory.run("test names.script").exits(0).prints("passed   names.script");
}

#[test]
fn check_tells_all_files_and_counts() {
    let directory = Directory::with_flow().file("wrong.flow", WRONG);
    directory.run("check names.flow").exits(0).says("1 file checked: 0 errors, 0 warnings");
    let came = directory
        .run("check wrong.flow names.flow")
        .exits(1)
        .says("wrong.flow:2:15")
        .says("2 files checked: 1 ");
    assert_eq!(came.stdout, "");
}

#[test]
fn check_prints_diagnostics_as_json_lines() {
    let directory = Directory::with_flow().file("wrong.flow", WRONG);
    let came = directory.run("check --json wrong.flow").exits(1);
    let first = &came.json()[0];
    assert_eq!(first["severity"], "error");
    assert_eq!(first["labels"][0]["line"], 2);
    assert_eq!(first["labels"][0]["file"], "wrong.flow");
    assert_eq!(came.stderr, "");
    assert_eq!(directory.run("check --json names.flow").exits(0).stdout, "");
}

#[test]
fn check_names_files_that_cannot_be_read_and_goes_on() {
    let directory = Directory::with_flow().file("latin1.flow", b"flow n\xe9 revision 1");
    directory.run("check none.flow").exits(3).says("error: cannot read `none.flow`: there is no such file");
    directory.run("check .").exits(3).says("cannot read `.`: it is a directory");
    directory.run("check latin1.flow").exits(1).says("error[F029]");
    directory.run("check none.flow latin1.flow").exits(3).says("there is no such file").says("error[F029]");
    directory.run("check").exits(2).says("<FILE>...");
}

#[test]
fn an_empty_flow_file_is_told_what_it_needs() {
    Directory::empty().file("empty.flow", "").run("check empty.flow").exits(1).says("error[F002]");
}

#[test]
fn check_reads_standard_input() {
    let directory = Directory::empty();
    directory.run_with("check -", NAMES).exits(0);
    directory.run_with("check -", WRONG).exits(1).says("<stdin>:2:15");
}

#[test]
fn fmt_rewrites_what_differs_and_leaves_the_rest() {
    let directory = Directory::with_flow().file("messy.flow", "FLOW f REVISION 1 schema S{a:text}");
    let came = directory.run("fmt --check messy.flow").exits(1);
    assert_eq!(came.stdout, "messy.flow\n");
    assert_eq!(directory.read("messy.flow"), "FLOW f REVISION 1 schema S{a:text}");

    let shown = directory.run("fmt --stdout messy.flow").exits(0).stdout;
    directory.run("fmt messy.flow").exits(0).says("formatted messy.flow");
    assert_eq!(directory.read("messy.flow"), shown);
    assert_eq!(shown, "flow f revision 1\n\nschema S { a: text }\n");

    let again = directory.run("fmt messy.flow").exits(0);
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));
    directory.run("fmt --check messy.flow").exits(0);
}

#[test]
fn fmt_leaves_a_file_that_it_cannot_read() {
    let broken = "flow f revision 1\ntable {";
    let directory = Directory::empty().file("broken.flow", broken).file("latin1.flow", b"flow \xe9");
    directory.run("fmt broken.flow latin1.flow none.flow").exits(3).says("broken.flow:2").says("error[F029]");
    assert_eq!(directory.read("broken.flow"), broken);
}

#[test]
fn fmt_reads_standard_input_and_prints() {
    let came = Directory::empty().run_with("fmt -", "FLOW f REVISION 1").exits(0);
    assert_eq!(came.stdout, "flow f revision 1\n");
}

#[cfg(unix)]
#[test]
fn fmt_keeps_links_and_permissions() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let directory = Directory::empty().file("real.flow", "FLOW f REVISION 1");
    let real = directory.path("real.flow");
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).unwrap();
    symlink("real.flow", directory.path("link.flow")).unwrap();
    directory.run("fmt link.flow").exits(0);
    assert_eq!(directory.read("real.flow"), "flow f revision 1\n");
    assert!(directory.path("link.flow").is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn plan_shows_what_a_flow_compiles_to() {
    let directory = Directory::with_flow().file("wrong.flow", WRONG);
    directory.run("plan names.flow").exits(0).prints("flow names revision 1");
    let json = directory.run("plan --json names.flow").exits(0).stdout;
    let plan: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["tables"][0]["name"], "QueryTable");
    directory.run("plan wrong.flow").exits(1).says("wrong.flow:2:15");
    directory.run("plan none.flow").exits(3);
}

#[test]
fn plan_tells_what_a_revision_changes_and_what_it_may_not() {
    let more = NAMES
        .replace("revision 1", "revision 2")
        .replace("table QueryTable: {", "table QueryTable: { note: text?,");
    let other = NAMES.replace("revision 1", "revision 2").replace("value: text", "value: int");
    let directory = Directory::with_flow().file("more.flow", more).file("other.flow", other);
    let came = directory.run("plan more.flow --against names.flow").exits(0);
    assert!(came.stdout.contains("note"), "{came:?}");
    directory
        .run("plan other.flow --against names.flow")
        .exits(1)
        .says("`other.flow` cannot follow `names.flow`");
    let json = directory.run("plan other.flow --against names.flow --json").exits(1).stdout;
    let evolution: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(evolution["changes"].as_array().unwrap().iter().any(|change| change["verdict"] == "refused"));
    directory.run("plan names.flow --against names.flow").exits(0);
}

#[test]
fn explain_knows_every_number_and_lists_them() {
    let directory = Directory::empty();
    let list = directory.run("explain").exits(0).stdout;
    assert!(list.lines().count() > 50);
    assert!(list.lines().all(|line| line[4..].starts_with("  ") && line.len() > 8), "{list}");
    let page = directory.run("explain f031").exits(0).stdout;
    assert!(page.starts_with("# F031: "), "{page}");
    let json = directory.run("explain F031 --json").exits(0).json();
    assert_eq!(json[0]["code"], "F031");
    directory.run("explain F31").exits(2).says("there is no diagnostic `F31`").says("did you mean F031?");
    directory.run("explain hello").exits(2).says("`anabranch explain` lists all");
}

const SCRIPT: &str = "\
flow names.flow

> send UpdateStream name=a value=1
accepted

> ask ReadStream name=a
OutputStream node=A name=a value=1 found=true
";

#[test]
fn test_passes_and_shows_what_differs() {
    let failing = SCRIPT.replace("value=1 found", "value=2 found");
    let directory = Directory::with_flow().file("good.script", SCRIPT).file("bad.script", &failing);
    directory
        .run("test good.script")
        .exits(0)
        .prints("passed   good.script")
        .says("1 script: 1 passed, 0 failed");
    directory
        .run("test bad.script good.script")
        .exits(1)
        .prints("failed   bad.script")
        .prints("-OutputStream node=A name=a value=2 found=true")
        .prints("+OutputStream node=A name=a value=1 found=true")
        .prints("passed   good.script")
        .says("2 scripts: 1 passed, 1 failed");
    assert_eq!(directory.read("bad.script"), failing);
    let json = directory.run("test --json bad.script good.script").exits(1).json();
    assert_eq!((&json[0]["result"], &json[1]["result"]), (&"failed".into(), &"passed".into()));
}

#[test]
fn test_updates_a_script_to_what_the_flow_does() {
    let failing = SCRIPT.replace("value=1 found", "value=2 found");
    let directory = Directory::with_flow().file("bad.script", failing);
    directory.run("test --update bad.script").exits(0).prints("updated  bad.script");
    assert_eq!(directory.read("bad.script"), SCRIPT);
}

#[test]
fn test_tells_a_script_that_is_wrong_from_one_that_fails() {
    let directory = Directory::with_flow()
        .file("wrong.script", "flow names.flow\n\n> sendd UpdateStream\n")
        .file("lost.script", "flow none.flow\n")
        .file("latin1.script", b"flow n\xe9.flow\n");
    directory.run("test wrong.script").exits(1).prints("wrong    wrong.script");
    directory.run("test lost.script").exits(1).prints("wrong    lost.script");
    directory
        .run("test lost.script")
        .prints("lost.script:1:6: cannot read `none.flow`: there is no such file");
    directory.run("test none.script").exits(3).says("cannot read `none.script`: there is no such file");
    directory.run("test latin1.script").exits(3).says("it is not UTF-8; save the file as UTF-8");
    directory.run("test --update wrong.script").exits(1);
    assert_eq!(directory.read("wrong.script"), "flow names.flow\n\n> sendd UpdateStream\n");
}

#[test]
fn completions_know_the_commands() {
    let directory = Directory::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let came = directory.run(&format!("completions {shell}")).exits(0);
        for word in [
            "on-bad-line",
            "send",
            "json-rows",
            "ask",
            "table",
            "repeat",
            "query",
            "status",
            "deploy",
            "deploy",
            "flows",
            "drop",
        ] {
            assert!(came.stdout.contains(word), "{shell}: {word}");
        }
    }
    directory.run("completions tcsh").exits(2);
}

#[test]
fn every_command_has_help_with_examples() {
    let directory = Directory::empty();
    let help = directory.run("--help").exits(0).stdout;
    assert!(help.contains("Exit codes:"), "{help}");
    let commands = [
        "new",
        "check",
        "fmt",
        "plan",
        "explain",
        "run",
        "test",
        "completions",
        "send",
        "ask",
        "play",
        "table",
        "query",
        "status",
    ];
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let page = directory.run(&format!("{command} --help")).exits(0);
        assert!(page.stdout.contains("Examples:\n  anabranch "), "{page:?}");
        let wide: Vec<&str> = page.stdout.lines().filter(|line| line.chars().count() > 120).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }
    let version = directory.run("--version").exits(0).stdout;
    assert_eq!(version, format!("anabranch {}\n", env!("CARGO_PKG_VERSION")));
    directory.run("").exits(2);
    directory.run("chek names.flow").exits(2).says("check");
}
