//! Every syntax code has a page, and the examples of each page do what the page says.

use anabranch_lang::{codes, explain, parse};

/// Pages whose mistake has no example that could be printed.
const WITHOUT_EXAMPLE: [&str; 2] = ["F024", "F029"];

/// The flow examples of a page.
fn examples(page: &str) -> Vec<&str> {
    page.split("```flow\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn is_syntax(code: &str) -> bool {
    code.starts_with('F') && code < "F030"
}

#[test]
fn pages_begin_with_their_code() {
    for code in codes() {
        let page = explain(code).expect("listed");
        assert!(page.starts_with(&format!("# {code}: ")), "{code}: {page}");
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "tests may read files")]
fn every_page_is_listed() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/explain");
    let files = std::fs::read_dir(directory).expect("the directory is there");
    let mut pages: Vec<String> =
        files.map(|file| file.expect("readable").path().display().to_string()).collect();
    pages.sort();
    let named =
        |page: &String| page.rsplit('/').next().and_then(|name| name.strip_suffix(".md")).map(str::to_owned);
    assert_eq!(pages.iter().filter_map(named).collect::<Vec<_>>(), codes().collect::<Vec<_>>());
}

#[test]
fn codes_are_in_order_and_unique() {
    let listed: Vec<&str> = codes().collect();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(listed, sorted);
}

#[test]
fn wrong_example_gives_the_code_and_nothing_else() {
    for code in codes().filter(|code| is_syntax(code) && !WITHOUT_EXAMPLE.contains(code)) {
        let page = explain(code).expect("listed");
        let [wrong, _] = examples(page)[..] else { panic!("{code} needs a wrong example and a right one") };
        let (_, diagnostics) = parse(wrong);
        assert!(!diagnostics.is_empty(), "{code}: the wrong example is fine:\n{wrong}");
        for diagnostic in &diagnostics {
            assert_eq!(diagnostic.code, code, "{}", anabranch_lang::render(code, wrong, &diagnostics, false));
        }
    }
}

#[test]
fn right_example_is_fine() {
    for code in codes().filter(|code| is_syntax(code) && !WITHOUT_EXAMPLE.contains(code)) {
        let page = explain(code).expect("listed");
        let right = examples(page)[1];
        let (_, diagnostics) = parse(right);
        assert!(diagnostics.is_empty(), "{}", anabranch_lang::render(code, right, &diagnostics, false));
    }
}

/// The sources of the syntax half say no code that has no page.
#[test]
fn every_code_in_the_sources_has_a_page() {
    let sources = [
        include_str!("../src/lexer.rs"),
        include_str!("../src/lexer/number.rs"),
        include_str!("../src/sink.rs"),
        include_str!("../src/source.rs"),
        include_str!("../src/parser.rs"),
        include_str!("../src/parser/action.rs"),
        include_str!("../src/parser/call.rs"),
        include_str!("../src/parser/expr.rs"),
        include_str!("../src/parser/field.rs"),
        include_str!("../src/parser/item.rs"),
        include_str!("../src/parser/literal.rs"),
        include_str!("../src/parser/policy.rs"),
        include_str!("../src/parser/recover.rs"),
        include_str!("../src/parser/row.rs"),
        include_str!("../src/parser/rule.rs"),
        include_str!("../src/parser/table.rs"),
        include_str!("../src/parser/types.rs"),
    ];
    let mut used = std::collections::BTreeSet::new();
    for source in sources {
        for at in source.match_indices("\"F0").map(|(at, _)| at) {
            used.insert(&source[at + 1..at + 5]);
        }
    }
    assert!(used.len() > 20, "the search finds nothing: {used:?}");
    for code in &used {
        assert!(explain(code).is_some(), "{code} is given but has no page");
    }
    for code in codes().filter(|code| is_syntax(code)) {
        assert!(used.contains(code), "{code} has a page but is never given");
    }
}
