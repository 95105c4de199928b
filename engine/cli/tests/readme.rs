//! The README's commands print what the README shows.

use std::path::Path;
use std::process::Command;

/// Where the README shows one node and a file.
const ONE_NODE: &str = "## One node and a file";

/// The first block of a kind, without its fences.
fn block<'t>(text: &'t str, kind: &str) -> &'t str {
    let begin = format!("```{kind}\n");
    let (_, rest) = text.split_once(&begin).expect("the README has such a block");
    rest.split_once("```").expect("it ends").0
}

/// Lines that are the same on every machine: not the rate, nor the memory that a table holds.
fn stable(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.contains(" rows/s") && !line.starts_with("Products    12")).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads the README")]
fn a_node_and_a_file_print_what_the_readme_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("there is a README");
    let (_, readme) = readme.split_once(ONE_NODE).expect("it shows one node");
    let command = block(readme, "sh").lines().next().expect("the first command");
    let words = command.strip_prefix("cargo run --release -- ").expect("it runs the program").split(' ');
    let mut program = Command::new(env!("CARGO_BIN_EXE_anabranch"));
    let came = program.current_dir(&root).args(words).output().expect("it runs");
    let (printed, told) = (String::from_utf8_lossy(&came.stdout), String::from_utf8_lossy(&came.stderr));
    assert!(came.status.success(), "{told}");
    let shown = stable(block(readme, "text"));
    // Two streams meet on a terminal: in the README, what is told stands where it came.
    let (said, printed) = (stable(&told), stable(&printed));
    let of_shown =
        |lines: &[&str]| shown.iter().copied().filter(|line| lines.contains(line)).collect::<Vec<_>>();
    assert_eq!(of_shown(&said), said, "what is told");
    assert_eq!(of_shown(&printed), printed, "what is printed");
    let missing: Vec<_> =
        shown.iter().filter(|line| !said.contains(line) && !printed.contains(line)).collect();
    assert!(missing.is_empty(), "the README shows more: {missing:#?}");
}
