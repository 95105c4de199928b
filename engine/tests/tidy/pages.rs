//! Pages that name what is there: the code map, the table of limits, and what `.ci/run` runs.

use crate::code::{code_of, without_tests};
use crate::{is_test, report, tree};

const ARCHITECTURE: &str = "engine/ARCHITECTURE.md";

const MISSION: &str = "engine/tests/mission/README.md";

/// The part of the page below the heading that names a crate.
fn section<'p>(page: &'p str, place: &str) -> Option<&'p str> {
    let heading = format!("\n### `{place}`");
    let (_, below) = page.split_once(&heading)?;
    Some(below.split("\n## ").next().and_then(|part| part.split("\n### ").next()).unwrap_or(below))
}

/// The crate and the module that a source file is, when it stands directly below `src`.
fn module(path: &str) -> Option<(&str, &str)> {
    let (place, file) = path.split_once("/src/")?;
    let name = file.strip_suffix(".rs")?;
    (!name.contains('/') && name != "lib" && name != "main").then_some((place, name))
}

fn check_map(path: &str, page: &str) -> Option<String> {
    let (place, name) = module(path)?;
    let named = section(page, place).is_some_and(|section| section.contains(&format!("`{name}`")));
    (!named).then(|| {
        format!("{path}:1: {ARCHITECTURE} does not say what `{name}` of `{place}` is: add it to the code map")
    })
}

/// The constants whose names say that they bound something.
fn check_limits(path: &str, text: &str, page: &str) -> Vec<String> {
    let code = without_tests(&code_of(text));
    let name = |line: &str| {
        let (_, behind) = line.split_once("const ")?;
        let (name, _) = behind.split_once(':')?;
        let bounds = name.split('_').any(|word| ["MAX", "WINDOW", "MOST"].contains(&word));
        bounds.then(|| name.to_owned())
    };
    let missing = |(number, line): (usize, &str)| {
        let name = name(line)?;
        (!page.contains(&format!("`{name}`"))).then(|| {
            format!("{path}:{number}: `{name}` is not in the limits of {ARCHITECTURE}: say its value, and what happens beyond it")
        })
    };
    (1..).zip(code.lines()).filter_map(missing).collect()
}

/// What the page of the mission names in backquotes that is not there: files, and tests in them as `file.rs::test`.
fn check_mission(page: &str, text_of: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let words = page.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains(' '));
    let missing = |word: &str| {
        let (path, test) = word.split_once("::").map_or((word, None), |(path, test)| (path, Some(test)));
        match (text_of(path), test) {
            (None, _) => Some(format!("{MISSION}:1: there is no `{path}`")),
            (Some(text), Some(test)) if !text.contains(&format!("fn {test}(")) => {
                Some(format!("{MISSION}:1: `{path}` has no test `{test}`"))
            }
            _ => None,
        }
    };
    words.filter_map(missing).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(tree::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_code_map_has_every_module() {
    let files = tree::files();
    let page = read(ARCHITECTURE);
    report(files.iter().filter_map(|file| check_map(&file.path, &page)).collect());
}

#[test]
fn the_limits_are_all_told() {
    let files = tree::files();
    let page = read(ARCHITECTURE);
    let shipped = files.iter().filter(|file| file.path.ends_with(".rs") && !is_test(&file.path));
    report(shipped.flat_map(|file| check_limits(&file.path, &file.text, &page)).collect());
}

#[test]
fn the_tests_that_the_mission_names_are_there() {
    let text_of = |path: &str| std::fs::read_to_string(tree::root().join(path)).ok();
    report(check_mission(&read(MISSION), text_of));
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let (readme, run) = (read("README.md"), read(".ci/run"));
    assert!(
        readme.contains("\ncargo test --workspace\n"),
        "README.md: the command that runs the tests has changed"
    );
    for step in ["cargo fmt --all --check", "cargo clippy", "cargo test --workspace", "cargo doc"] {
        assert!(run.contains(step), ".ci/run: `{step}` is missing");
    }
}

#[test]
fn modules_that_the_map_lacks_are_found() {
    let page = "\n### `engine/a`\n\n| `b` | it |\n\n### `engine`\n\n| `c` | it |\n\n## Other\n`d`\n";
    assert_eq!(check_map("engine/a/src/b.rs", page), None);
    assert_eq!(check_map("engine/src/c.rs", page), None);
    assert_eq!(check_map("engine/a/src/b/inner.rs", page), None);
    assert!(
        check_map("engine/a/src/c.rs", page).is_some_and(|line| line.starts_with("engine/a/src/c.rs:1: "))
    );
    assert!(check_map("engine/src/d.rs", page).is_some());
    assert!(check_map("engine/new/src/b.rs", page).is_some());
}

#[test]
fn limits_that_are_not_told_are_found() {
    let text = "\npub const MAX_ROWS: usize = 1;\nconst ROWS_MAX: u32 = 1;\n// const OLD_MAX: u8 = 1;\nconst BYTES: u8 = 1;";
    assert_eq!(check_limits("a.rs", text, "`MAX_ROWS` `ROWS_MAX`"), Vec::<String>::new());
    let wrong = check_limits("a.rs", text, "`MAX_ROWS_OF`");
    assert_eq!(wrong.len(), 2);
    assert!(wrong[0].starts_with("a.rs:2: `MAX_ROWS`") && wrong[1].starts_with("a.rs:3: `ROWS_MAX`"));
}

#[test]
fn tests_that_the_mission_makes_up_are_found() {
    let text_of = |path: &str| (path == "a/b.rs").then(|| "fn is() {}".to_owned());
    let page = "| `zone` | `a/b.rs::is`, `a/b.rs::is_not`, `a/c.rs` |";
    let wrong = check_mission(page, text_of);
    assert!(wrong.len() == 2 && wrong[0].contains("`is_not`") && wrong[1].contains("`a/c.rs`"), "{wrong:?}");
}
