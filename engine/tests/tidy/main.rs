//! The rules of the house that a test can check: layers, absences, and pages that are kept up.
//!
//! Every check gives all offenders, each with its place and what to do. The rules and their reasons are in
//! `engine/ARCHITECTURE.md`. Formatting and lints are checked by `.ci/run`.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]
#![allow(clippy::disallowed_methods, reason = "a test reads the files of the repository")]

mod code;
mod layers;
mod manifest;
mod pages;
mod tree;
mod words;

/// Fails with everything that is wrong.
fn report(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Whether this is code of tests, benchmarks, examples or fuzzing.
fn is_test(path: &str) -> bool {
    ["benches/", "examples/"].iter().any(|top| path.starts_with(top))
        || ["/tests/", "/tests.rs", "/fuzz/"].iter().any(|part| path.contains(part))
}

#[test]
fn tests_are_told_from_what_is_shipped() {
    assert!(
        ["benches/src/lib.rs", "engine/tests/a.rs", "engine/src/script/tests.rs"].into_iter().all(is_test)
    );
    assert!(!is_test("engine/src/testing.rs"));
}
