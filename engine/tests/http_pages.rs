//! The pages tell the truth: every `curl` of HTTP.md and README.md, run as written, gives what stands below it.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it skips"
)]

mod http_support;

use std::process::Command;

use http_support::names;

/// The commands of `console` blocks, each with what stands below it.
fn examples(page: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let blocks = page.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => output.push_str(&format!("{line}\n")),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    found
}

fn run(page: &str) {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: there is no curl here");
        return;
    }
    let served = names();
    let address = served.server.http().expect("it speaks HTTP").to_string();
    let examples = examples(page);
    assert!(!examples.is_empty(), "no examples");
    for (command, wanted) in examples {
        assert!(command.contains("127.0.0.1:7172"), "{command}");
        let here = command.replace("127.0.0.1:7172", &address);
        let ran = Command::new("sh").arg("-c").arg(&here).output().expect("a shell");
        let output = String::from_utf8(ran.stdout).expect("text");
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(output, wanted, "{command}");
    }
}

#[test]
fn the_examples_of_the_page_give_what_it_says() {
    run(include_str!("../HTTP.md"));
}

#[test]
fn the_examples_of_the_readme_give_what_it_says() {
    run(include_str!("../../README.md"));
}
