//! What the tests over directories of flows share.
#![allow(dead_code, clippy::disallowed_methods, reason = "each test uses its part; tests may read files")]

use std::path::{Path, PathBuf};

/// The flow files of `tests/DIRECTORY` with their texts, by name.
pub(crate) fn flows(directory: &str) -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let entries = std::fs::read_dir(&directory).expect("the directory is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "flow"));
    paths.sort();
    assert!(!paths.is_empty(), "no flows in {}", directory.display());
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("readable");
            (path, text)
        })
        .collect()
}

/// Compares what `make` makes of every flow of `tests/DIRECTORY` with the file beside it that ends in `extension`.
/// With `UPDATE=1` in the environment the files are written instead.
pub(crate) fn golden(directory: &str, extension: &str, make: impl Fn(&str) -> String) {
    let mut failures = Vec::new();
    for (path, text) in flows(directory) {
        compare(&path.with_extension(extension), &make(&text), &mut failures);
    }
    assert!(failures.is_empty(), "{}\nUPDATE=1 rewrites them", failures.join("\n"));
}

/// Compares `actual` with the file at `path`, or writes it there.
pub(crate) fn compare(path: &Path, actual: &str, failures: &mut Vec<String>) {
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(path, actual).expect("writable");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected != actual {
        failures.push(format!("{}:\n{}", path.display(), difference(&expected, actual)));
    }
}

/// The lines from the first to the last that differ, `-` expected and `+` actual.
fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let same = expected.iter().zip(&actual).take_while(|(a, b)| a == b).count();
    let rest = expected.len().min(actual.len()) - same;
    let end = expected.iter().rev().zip(actual.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let lines = |sign: &str, lines: &[&str]| -> String {
        lines.iter().map(|line| format!("{sign} {line}\n")).collect()
    };
    let before = lines(" ", &expected[same.saturating_sub(2)..same]);
    let removed = lines("-", &expected[same..expected.len() - end]);
    let added = lines("+", &actual[same..actual.len() - end]);
    format!("{before}{removed}{added}")
}

/// A tree without its spans.
pub(crate) fn shape(file: &anabranch_lang::ast::File) -> String {
    let printed = format!("{file:?}");
    let mut parts = printed.split("Span { start: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once(" }").map_or("", |(_, rest)| rest))
}
