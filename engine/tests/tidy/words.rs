//! Words that stand in one place only, or nowhere; and how every source begins and ends.

use crate::code::{code_of, lines_with, without_tests};
use crate::{is_test, report, tree};

/// Lines of a source file, at most; past 500 a second noun is looked for.
const LINES_MAX: usize = 600;

/// Words, the paths that begin with where they may stand, whether tests may have them, and what to do instead.
struct Rule {
    words: &'static [&'static str],
    homes: &'static [&'static str],
    in_tests: bool,
    instead: &'static str,
}

const RULES: [Rule; 6] = [
    Rule {
        words: &["timely::", "differential_dataflow::"],
        homes: &["operators/src/"],
        in_tests: false,
        instead: "only `operators` knows the dataflow library: give its face what is missing",
    },
    Rule {
        words: &["println!", "eprintln!", "print!", "eprint!", "io::stdout", "io::stderr"],
        homes: &["engine/cli/src/"],
        in_tests: true,
        instead: "only the program prints: return a value",
    },
    Rule {
        words: &[
            "std::fs",
            "fs::",
            "std::thread",
            "thread::",
            "std::net",
            "tokio::",
            "Instant::now",
            "SystemTime::now",
            "RandomState::new",
            "process::exit",
        ],
        homes: &["engine/src/os", "engine/src/net", "engine/cli/src/os"],
        in_tests: true,
        instead: "clock, chance, files, sockets and threads are touched in `os` and `net` only: take what you need from there",
    },
    Rule {
        words: &["unsafe"],
        // The second is an allocator that counts, for a test.
        homes: &["engine/table/src/prefetch.rs", "engine/model/tests/eval_allocations.rs"],
        in_tests: false,
        instead: "nothing else is worth a proof by hand: find the safe way",
    },
    Rule {
        words: &["todo!", "unimplemented!", "dbg!", "#[ignore"],
        homes: &[],
        in_tests: false,
        instead: "finish it or leave it out: nothing half done is kept",
    },
    Rule {
        words: &["sleep("],
        homes: &[],
        in_tests: false,
        instead: "nothing waits by sleeping: wait for what is to happen",
    },
];

fn check_words(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let shipped = without_tests(&code);
    let mut wrong = Vec::new();
    for rule in &RULES {
        let at_home = rule.homes.iter().any(|home| path.starts_with(home));
        if at_home || rule.in_tests && is_test(path) {
            continue;
        }
        let code = if rule.in_tests { &shipped } else { &code };
        for word in rule.words {
            let place = |line| format!("{path}:{line}: `{word}`: {}", rule.instead);
            wrong.extend(lines_with(code, word).into_iter().map(place));
        }
    }
    wrong
}

fn check_shape(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !text.starts_with("//!") {
        wrong.push(format!("{path}:1: it opens without `//!`: say what it is and why it exists"));
    }
    let lines = text.lines().count();
    if path.contains("/src/") && lines > LINES_MAX {
        wrong.push(format!(
            "{path}:{lines}: it has {lines} lines, {LINES_MAX} at most: find the second noun in it"
        ));
    }
    wrong
}

/// Whose names say that crates come from somewhere else than the public index.
const PRIVATE: [&str; 6] = ["registry", "mirror", "artifact", "nexus", "proxy", "internal"];

fn check_origins(path: &str, text: &str) -> Vec<String> {
    // In two pieces, so that this file is not found.
    let settings = [
        concat!("replace", "-with"),
        concat!("[sour", "ce."),
        concat!("[regis", "tries"),
        concat!("sparse", "+http"),
    ];
    let public = concat!("registry", "+https://github.com/rust-lang/crates.io-index");
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.replace(public, "");
        let from = |found: &str| {
            format!(
                "{path}:{number}: `{found}`: where crates come from is a matter of each machine, take it out"
            )
        };
        wrong.extend(settings.iter().filter(|setting| line.contains(**setting)).map(|setting| from(setting)));
        let hosts = line.split("://").skip(1).map(|behind| {
            behind
                .split(|c: char| !c.is_ascii_alphanumeric() && !".-_".contains(c))
                .next()
                .unwrap_or_default()
        });
        wrong.extend(hosts.filter(|host| PRIVATE.iter().any(|word| host.contains(word))).map(from));
    }
    if path.starts_with(".cargo/") || path.starts_with("rust-toolchain") {
        wrong.push(format!(
            "{path}:1: settings of a machine do not belong to the repository: take the file out"
        ));
    }
    wrong
}

#[test]
fn words_stand_where_they_may() {
    let files = tree::files();
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    report(sources.flat_map(|file| check_words(&file.path, &file.text)).collect());
}

#[test]
fn sources_say_what_they_are_and_stay_short() {
    let files = tree::files();
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    report(sources.flat_map(|file| check_shape(&file.path, &file.text)).collect());
}

#[test]
fn nothing_says_where_crates_come_from() {
    report(tree::files().iter().flat_map(|file| check_origins(&file.path, &file.text)).collect());
}

#[test]
fn words_out_of_place_are_found() {
    for (path, text, found) in [
        ("engine/src/a.rs", "use std::fs;\n", "engine/src/a.rs:1: `std::fs`"),
        ("engine/model/src/a.rs", "\nlet a = Instant::now();\n", "engine/model/src/a.rs:2: `Instant::now`"),
        ("engine/src/a.rs", "use std::{net, thread};\nthread::spawn(f);", "engine/src/a.rs:2: `thread::`"),
        ("engine/src/a.rs", "use timely::dataflow;", "engine/src/a.rs:1: `timely::`"),
        ("engine/lang/src/a.rs", "println!();", "engine/lang/src/a.rs:1: `println!`"),
        ("engine/table/src/heap.rs", "unsafe { a }", "engine/table/src/heap.rs:1: `unsafe`"),
        ("engine/tests/a.rs", "#[test]\n#[ignore = \"slow\"]", "engine/tests/a.rs:2: `#[ignore`"),
        ("engine/tests/a.rs", "std::thread::sleep(a);", "engine/tests/a.rs:1: `sleep(`"),
        (
            "operators/src/a.rs",
            "#[cfg(test)]\nmod tests { fn a() { todo!() } }",
            "operators/src/a.rs:2: `todo!`",
        ),
    ] {
        let wrong = check_words(path, text);
        assert!(wrong.iter().any(|line| line.starts_with(found)), "{text}: {wrong:?}");
    }
}

#[test]
fn words_in_their_place_are_not_found() {
    for (path, text) in [
        ("engine/src/os.rs", "std::thread::spawn(f); SystemTime::now();"),
        ("engine/cli/src/output.rs", "writeln!(io::stderr())"),
        ("engine/table/src/prefetch.rs", "unsafe { a }"),
        ("engine/src/a.rs", "// std::fs\nlet a = \"println!\";"),
        ("engine/src/a.rs", "#[cfg(test)]\nmod tests { fn a() { println!() } }"),
        ("engine/tests/a.rs", "std::fs::read(a); println!();"),
    ] {
        assert_eq!(check_words(path, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn sources_without_header_and_long_ones_are_found() {
    assert!(check_shape("engine/src/a.rs", "use a;\n")[0].starts_with("engine/src/a.rs:1: it opens without"));
    let long = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
    assert!(check_shape("engine/src/a.rs", &long)[0].contains("find the second noun"));
    assert!(check_shape("engine/tests/a.rs", &long).is_empty());
}

#[test]
fn origins_of_crates_are_found() {
    let line = |text: &str| check_origins("Cargo.lock", text);
    assert!(
        line(concat!("source = \"registry", "+https://github.com/rust-lang/crates.io-index\"")).is_empty()
    );
    assert!(line("see https://doc.rust-lang.org/cargo").is_empty());
    assert_eq!(
        line(concat!("a\nsource = \"registry", "+https:", "//crates.mirror.example/index\"")).len(),
        1
    );
    assert_eq!(line(concat!("[sour", "ce.crates-io]\nreplace", "-with = \"x\"")).len(), 2);
    assert_eq!(check_origins(".cargo/config.toml", "").len(), 1);
}
