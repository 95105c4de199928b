//! The flows that come with Anabranch: each does what its script says and is laid out as the formatter does it.
//!
//! `UPDATE=1 cargo test -p anabranch --test flows` rewrites the layout of the flows and the output in the scripts.

#![expect(clippy::disallowed_methods, reason = "a test reads and rewrites files of the repository")]

use std::path::{Path, PathBuf};

use anabranch::{Flow, script};

/// The files of `flows/` and `examples/data/` with this ending, in the order of their names.
fn files(ending: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root of the repository");
    let mut files = Vec::new();
    for directory in ["flows", "examples/data"] {
        let entries = std::fs::read_dir(root.join(directory)).expect("the directory is there");
        files.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    files.sort();
    files
}

/// Whether files are to be rewritten.
fn update() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

#[test]
fn every_flow_does_what_its_script_says() {
    let mut failures = Vec::new();
    for path in files("script") {
        match script::run(&path) {
            Err(error) => failures.push(error.to_string()),
            Ok(outcome) if outcome.passed() => {}
            Ok(outcome) if update() => {
                std::fs::write(&path, outcome.actual).expect("the script is rewritten")
            }
            Ok(outcome) => failures.push(outcome.diff()),
        }
    }
    assert!(failures.is_empty(), "{}\n(UPDATE=1 takes over what the flows did)", failures.join("\n"));
}

#[test]
fn every_flow_has_a_script_and_the_one_layout() {
    let flows = files("flow");
    assert!(flows.len() >= 3, "{flows:?}");
    for path in flows {
        assert!(path.with_extension("script").exists(), "{} has no script", path.display());
        let text = std::fs::read_to_string(&path).expect("a flow file");
        assert!(text.starts_with("-- "), "{} does not say what it is for", path.display());
        let laid_out = anabranch_lang::format(&text).expect("a flow file that can be read");
        if laid_out != text && update() {
            std::fs::write(&path, &laid_out).expect("the flow is rewritten");
            continue;
        }
        assert_eq!(laid_out, text, "{}", path.display());
    }
}

#[test]
fn no_flow_has_a_warning() {
    for path in files("flow") {
        let flow = Flow::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(flow.warnings(), [], "{}", path.display());
    }
}
