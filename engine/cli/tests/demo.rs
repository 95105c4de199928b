//! The demonstration, which is the README's first command, runs to its end, and says what the README shows.

mod support;

use support::Directory;

/// Lines without their numbers, which differ from run to run, and the spaces that these move.
fn without_numbers(text: &str) -> Vec<String> {
    let number = |word: &&str| !word.starts_with(|first: char| first.is_ascii_digit());
    text.lines().map(|line| line.split_whitespace().filter(number).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads the README")]
fn the_demonstration_loses_nothing_and_leaves_nothing_behind() {
    let directory = Directory::empty();
    let mut command = directory.command("demo --pace 200");
    let files = directory.path("");
    let came = command.env("TMPDIR", &files).output().expect("it runs");
    let (printed, told) = (String::from_utf8_lossy(&came.stdout), String::from_utf8_lossy(&came.stderr));
    assert!(came.status.success(), "{printed}\n{told}");
    for said in ["A is KILLED", "B is KILLED", "nothing lost, nothing doubled"] {
        assert!(printed.contains(said), "it does not say {said:?}: {printed}");
    }
    assert!(told.is_empty(), "{told}");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).expect("there is a README");
    assert!(readme.contains("\ncargo run --release -- demo\n"));
    let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(without_numbers(&printed), without_numbers(shown.expect("it is shown")));
    let left = files.read_dir().expect("it is there").count();
    assert_eq!(left, 0, "files are left in its temporary directory");
}
