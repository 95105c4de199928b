//! Every code of the checker has a page, and the examples of each page do what the page says.

use std::collections::BTreeSet;

use anabranch_lang::{Severity, codes, compile, explain, render};

fn meaning_codes() -> impl Iterator<Item = &'static str> {
    codes().filter(|code| code.starts_with('F') && *code >= "F030" && !is_question(code))
}

/// Whether a code is given to questions only: `tests/questions.rs` holds its page to its words.
fn is_question(code: &str) -> bool {
    ("F081"..="F089").contains(&code)
}

/// The flow examples of a page: the wrong one and the right one.
fn examples(code: &str) -> [&'static str; 2] {
    let page = explain(code).expect("listed");
    let found: Vec<_> = page.split("```flow\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(found.len(), 2, "{code} needs a wrong example and a right one");
    [found[0], found[1]]
}

#[test]
fn wrong_example_gives_the_code_and_nothing_else() {
    let mut failed = String::new();
    for code in meaning_codes() {
        let [wrong, _] = examples(code);
        let compiled = compile(code, wrong);
        let text = render(code, wrong, &compiled.diagnostics, false);
        let given: Vec<_> = compiled.diagnostics.iter().map(|one| (one.code, one.severity)).collect();
        let severity = if code >= "F090" { Severity::Warning } else { Severity::Error };
        if given != [(code, severity)] || compiled.plan.is_some() != (severity == Severity::Warning) {
            failed.push_str(&format!("--- {code}\n{text}"));
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

#[test]
fn right_example_is_fine() {
    let mut failed = String::new();
    for code in meaning_codes() {
        let [_, right] = examples(code);
        let compiled = compile(code, right);
        let text = render(code, right, &compiled.diagnostics, false);
        if !compiled.diagnostics.is_empty() || compiled.plan.is_none() {
            failed.push_str(&format!("--- {code}\n{text}"));
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

/// The sources of the checker say no code that has no page, and every page has a code that is said.
#[test]
fn codes_in_the_sources_are_the_codes_with_pages() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut said = BTreeSet::new();
    let folder = std::fs::read_dir(format!("{sources}/check")).expect("the checker's sources");
    let files = folder.map(|entry| entry.expect("a file").path());
    let files = files.filter(|path| path.is_file());
    for path in files.chain([format!("{sources}/check.rs").into()]) {
        #[expect(clippy::disallowed_methods, reason = "a test reads the sources")]
        let text = std::fs::read_to_string(path).expect("text");
        for (at, _) in text.match_indices("\"F") {
            let code = text.get(at + 1..at + 5).unwrap_or_default();
            if code.bytes().skip(1).all(|byte| byte.is_ascii_digit()) && text[at + 5..].starts_with('"') {
                said.insert(code.to_owned());
            }
        }
    }
    said.retain(|code| !is_question(code));
    let pages: BTreeSet<_> = meaning_codes().map(str::to_owned).collect();
    assert_eq!(said, pages);
}
