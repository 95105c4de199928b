//! No text makes the front end panic, hang or point outside the text: random bytes, random tokens, good flows with
//! pieces changed. The fuzz target in `fuzz/` runs the same check for longer.

mod support;

use anabranch_lang::ast::File;
use anabranch_lang::{Diagnostic, compile, format, parse, render, to_json};
use proptest::prelude::*;
use support::{flows, shape};

/// Everything the front end does with a text, and what must hold of it.
fn check(text: &str) {
    let (file, diagnostics) = parse(text);
    for diagnostic in &diagnostics {
        labels_are_good(text, diagnostic);
    }
    let compiled = compile("f", text);
    for diagnostic in &compiled.diagnostics {
        labels_are_good(text, diagnostic);
        to_json("f", text, diagnostic);
    }
    let shown = render("f", text, &compiled.diagnostics, true);
    assert_eq!(shown.is_empty(), compiled.diagnostics.is_empty());
    match format(text) {
        Ok(formatted) => formats_well(text, &file, &formatted),
        Err(said) => assert_eq!(said, diagnostics),
    }
}

fn labels_are_good(text: &str, diagnostic: &Diagnostic) {
    assert!(!diagnostic.labels.is_empty(), "{diagnostic:?}");
    for label in &diagnostic.labels {
        assert!(text.get(label.span.range()).is_some(), "not in the text: {diagnostic:?}\n{text:?}");
    }
}

fn comments(text: &str) -> Vec<&str> {
    anabranch_lang::lexer::lex(text).comments.into_iter().map(|span| &text[span.range()]).collect()
}

fn formats_well(text: &str, file: &File, formatted: &str) {
    let (again, diagnostics) = parse(formatted);
    assert!(diagnostics.is_empty(), "{text}\n---\n{formatted}\n{diagnostics:?}");
    assert_eq!(shape(file), shape(&again), "{text}\n---\n{formatted}");
    assert_eq!(format(formatted).as_deref(), Ok(formatted), "not stable:\n{text}");
}

/// Pieces of flow files, right and wrong.
fn word() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "flow",
        "revision",
        "schema",
        "enum",
        "policy",
        "input",
        "output",
        "table",
        "on",
        "as",
        "route by",
        "route to",
        "where",
        "{",
        "}",
        "(",
        ")",
        ",",
        ":",
        "::",
        ".",
        "..",
        "?",
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "||",
        "+=",
        "-=",
        "!=",
        "&&",
        "!",
        ";",
        "'text'",
        "'it''s'",
        "'open",
        "\"name\"",
        "\"open",
        "1",
        "9223372036854775808",
        "1.5",
        "1.5e0",
        "5m",
        "5min",
        "1.",
        "--comment\n",
        "-- c\n\n",
        "//c\n",
        "/*",
        "*/",
        "#",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "\u{feff}",
        "key",
        "partition by",
        "replicate",
        "index",
        "keep",
        "none",
        "ordered",
        "partitions",
        "copies",
        "ack",
        "all",
        "sync",
        "disk",
        "split",
        "sites",
        "upsert",
        "insert",
        "insert or ignore",
        "update",
        "delete",
        "read",
        "or null",
        "let",
        "if",
        "else",
        "else if",
        "require",
        "invalid",
        "emit",
        "reply",
        "call",
        "set",
        "values",
        "and",
        "or",
        "not",
        "null",
        "is",
        "is not null",
        "in",
        "between",
        "like",
        "case",
        "when",
        "then",
        "end",
        "cast",
        "true",
        "false",
        "count(*)",
        "sum",
        "from",
        "select",
        "abs",
        "coalesce",
        "a",
        "b",
        "t",
        "x",
        "T",
        "ñ",
        "日本",
        "_a",
        "@",
        "$",
        "`",
        "‘",
        "’",
        "int",
        "text",
        "bool",
        "decimal(10, 2)",
        "varchar(20)",
        "default",
        "queue",
        "view",
        "stream",
        "every",
        "change",
        "interval",
        "elif",
        "primary key",
        "not null",
    ];
    prop_oneof![
        20 => proptest::sample::select(WORDS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

/// A good flow with pieces taken out, doubled, swapped or put in.
fn mutated() -> impl Strategy<Value = String> {
    let good: Vec<String> = ["good", "format", "wrong"]
        .iter()
        .flat_map(|directory| flows(directory))
        .map(|(_, text)| text)
        .collect();
    let change = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5, word());
    (proptest::sample::select(good), proptest::collection::vec(change, 1..6)).prop_map(|(text, changes)| {
        changes.into_iter().fold(text, |text, (from, length, kind, word)| {
            let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let start = from.index(boundaries.len());
            let end = (start + 1 + length.index(12)).min(boundaries.len() - 1);
            let (before, piece, after) = (
                &text[..boundaries[start]],
                &text[boundaries[start]..boundaries[end.max(start)]],
                &text[boundaries[end.max(start)]..],
            );
            match kind {
                0 => format!("{before}{after}"),
                1 => format!("{before}{piece}{piece}{after}"),
                2 => format!("{before} {word} {after}"),
                3 => format!("{before} {word} {piece}{after}"),
                _ => before.to_owned(),
            }
        })
    })
}

/// An expression that can be read, with comments and line ends anywhere.
fn expression() -> impl Strategy<Value = String> {
    const LEAVES: &[&str] = &[
        "a",
        "x.b",
        "\"odd name\".c",
        "1",
        "-1",
        "- 2",
        "1_000",
        "1.5",
        "2e9",
        "5m",
        "'text'",
        "'it''s'",
        "true",
        "NULL",
        "now()",
        "a.key",
    ];
    const GAPS: &[&str] =
        &[" ", " ", " ", "\n", "\n\n\n", " -- said\n", "\n  -- alone\n", "\n\n-- apart\n\n", "\t"];
    let leaf = proptest::sample::select(LEAVES).prop_map(str::to_owned);
    leaf.prop_recursive(6, 60, 4, |inner| {
        let gap = || proptest::sample::select(GAPS);
        let sign = proptest::sample::select(vec!["+", "-", "*", "/", "%", "||", "and", "OR"]);
        let test = proptest::sample::select(vec!["=", "<>", "<", ">=", "like", "not like"]);
        let (a, b) = (inner.clone(), inner.clone());
        prop_oneof![
            (a, gap(), sign, gap(), b).prop_map(|(a, g, sign, h, b)| format!("({a}){g}{sign}{h}({b})")),
            (inner.clone(), gap(), test, gap(), inner.clone())
                .prop_map(|(a, g, test, h, b)| format!("({a}){g}{test}{h}({b})")),
            (inner.clone(), gap()).prop_map(|(a, g)| format!("(not{g}({a}))")),
            (inner.clone(), gap()).prop_map(|(a, g)| format!("-{g}({a})")),
            (inner.clone(), gap()).prop_map(|(a, g)| format!("({a}{g}){g}is{g}not null")),
            (inner.clone(), gap(), inner.clone())
                .prop_map(|(a, g, b)| format!("({a}) not{g}in ({b}{g},{a})")),
            (inner.clone(), gap(), inner.clone())
                .prop_map(|(a, g, b)| format!("({a}) between{g}({b}) and{g}({a})")),
            (inner.clone(), gap(), inner.clone()).prop_map(|(a, g, b)| format!("coalesce({g}{a},{g}{b})")),
            (inner.clone(), gap()).prop_map(|(a, g)| format!("cast({a}{g}as decimal(10,{g}2))")),
            (inner.clone(), gap(), inner)
                .prop_map(|(a, g, b)| format!("case{g}when {a}{g}then {b}{g}else {a} end")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_tokens(words in proptest::collection::vec(word(), 0..80)) {
        check(&words.join(" "));
        check(&format!("flow f revision 1\non A as a {{ {} }}", words.join(" ")));
        check(&format!("flow f revision 1\non A as a {{ let x = {} }}", words.join(" ")));
    }

    #[test]
    fn good_expressions(a in expression(), b in expression()) {
        let text = format!("flow f revision 1\non A as a where {a} {{ let x = {b} reply B {{ c: {a}, d += {b}, }} }}");
        prop_assert_eq!(parse(&text).1, vec![]);
        check(&text);
        let formatted = format(&text).expect("it can be read");
        prop_assert_eq!(comments(&text), comments(&formatted));
    }

    #[test]
    fn changed_flows(text in mutated()) {
        check(&text);
    }
}

/// Anything that takes quadratic time on one of these hangs the suite.
#[test]
fn long_files_take_as_long_as_they_are() {
    let head = "flow f revision 1\n";
    for (piece, count) in [
        ("let x=f(\n", 60_000),
        ("table T {\n", 60_000),
        ("on A as a {\n", 60_000),
        ("{", 500_000),
        ("}", 500_000),
        ("(", 500_000),
        ("'a' ", 120_000),
        ("'a'b", 120_000),
        (";", 500_000),
        ("-- c\n", 100_000),
        ("/* ", 150_000),
        ("schema S { a: varchar, b: strng }\n", 15_000),
        ("\"", 500_000),
        ("1 + ", 120_000),
        ("case when ", 50_000),
        ("if a { ", 60_000),
        ("a.", 250_000),
        ("日本", 80_000),
        ("!", 400_000),
    ] {
        let body = piece.repeat(count);
        parse(&format!("{head}{body}"));
        let inside = format!("{head}on A as a {{ let x = {body} }}");
        let (_, diagnostics) = parse(&inside);
        render("f", &inside, &diagnostics, false);
        assert!(diagnostics.len() < 300, "{} diagnostics for {piece:?}", diagnostics.len());
    }
}

#[test]
fn a_list_may_be_long() {
    let values = vec!["1"; 50_000].join(", ");
    let text = format!("flow f revision 1\non A as a {{ let x = a.b in ({values}) }}");
    assert_eq!(parse(&text).1, []);
    formats_well(&text, &parse(&text).0, &format(&text).expect("it can be read"));
}

#[test]
fn a_file_has_a_largest_size() {
    let text = " ".repeat(anabranch_lang::parser::MAX_FILE_BYTES + 1);
    let (_, diagnostics) = parse(&text);
    assert_eq!(diagnostics.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>(), ["F024"]);
}

#[test]
fn nesting_up_to_the_limit_is_read_by_all() {
    let deep = 60;
    let parentheses = format!("{}1{}", "(".repeat(deep), ")".repeat(deep));
    let negations = format!("{}1.0", "- ".repeat(deep));
    let blocks = format!("{}{}", "if true { ".repeat(deep), "}".repeat(deep));
    let chain = vec!["1"; 120].join(" + ");
    for body in
        [format!("let x = {parentheses}"), format!("let x = {negations}"), blocks, format!("let x = {chain}")]
    {
        let text = format!("flow f revision 1 input A: {{ b: int }} on A as a {{ {body} }}");
        assert_eq!(parse(&text).1, []);
        check(&text);
    }
}
