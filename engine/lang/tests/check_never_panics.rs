//! Whatever the text, compiling it ends with a plan or with an error, and twice with the same.

mod support;

use anabranch_lang::{Severity, compile, describe, evolution};
use proptest::prelude::*;

/// The good and the wrong flows: what mutations start from.
fn seeds() -> Vec<String> {
    ["good", "wrong"].into_iter().flat_map(support::flows).map(|(_, text)| text).collect()
}

/// Words, numbers and signs of the language, to put anywhere.
const PIECES: [&str; 60] = [
    "flow",
    "schema",
    "enum",
    "policy",
    "input",
    "output",
    "table",
    "key",
    "partition by",
    "replicate",
    "on",
    "as",
    "route by",
    "route to",
    "where",
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
    "require",
    "reply",
    "emit",
    "and",
    "or",
    "not",
    "null",
    "true",
    "case when",
    "then",
    "end",
    "is null",
    "in (",
    "between",
    "like",
    "cast(",
    "decimal(38, 9)",
    "text?",
    "int",
    "float",
    "json",
    "{",
    "}",
    "(",
    ")",
    ",",
    ":",
    "..",
    "+=",
    "0",
    "-9223372036854775808",
    "1.5",
    "1e308",
    "''",
    "uuid()",
];

/// One change of a text.
#[derive(Clone, Debug)]
enum Mutation {
    /// Removes the words from here on, so many.
    Remove(usize, usize),
    /// Puts a piece here.
    Insert(usize, usize),
    /// Puts a word of the text somewhere else.
    Copy(usize, usize),
    /// Exchanges two words.
    Swap(usize, usize),
    /// Removes a character.
    Cut(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = 0..100_000usize;
    prop_oneof![
        (at.clone(), 1..4usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (at.clone(), 0..PIECES.len()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (at.clone(), at.clone()).prop_map(|(from, to)| Mutation::Copy(from, to)),
        (at.clone(), at.clone()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        at.prop_map(Mutation::Cut),
    ]
}

/// The text in words: runs of letters, single other characters.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in text.chars() {
        let joins = |word: &String| letter.is_alphanumeric() && word.chars().all(char::is_alphanumeric);
        match words.last_mut() {
            Some(word) if joins(word) => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    words
}

fn mutate(text: &str, mutations: &[Mutation]) -> String {
    let mut words = words(text);
    for mutation in mutations {
        let count = words.len().max(1);
        match *mutation {
            Mutation::Remove(at, many) => {
                let from = (at % count).min(words.len());
                words.drain(from..(from + many).min(words.len()));
            }
            Mutation::Insert(at, piece) => {
                words.insert((at % count).min(words.len()), format!(" {} ", PIECES[piece]))
            }
            Mutation::Copy(from, to) => {
                let word = words.get(from % count).cloned().unwrap_or_default();
                words.insert((to % count).min(words.len()), word);
            }
            Mutation::Swap(a, b) if !words.is_empty() => words.swap(a % count, b % count),
            Mutation::Swap(..) => {}
            Mutation::Cut(at) => {
                if let Some(word) = words.get_mut(at % count) {
                    word.pop();
                }
            }
        }
    }
    words.concat()
}

fn compiles_or_says_why(text: &str) {
    let compiled = compile("flow", text);
    let errors = compiled.diagnostics.iter().any(|one| one.severity == Severity::Error);
    assert_eq!(compiled.plan.is_none(), errors, "{text}");
    for label in compiled.diagnostics.iter().flat_map(|one| &one.labels) {
        assert!(text.get(label.span.range()).is_some(), "{label:?} in {text}");
    }
    if let Some(plan) = &compiled.plan {
        assert!(!describe(plan).is_empty());
        assert!(evolution(plan, plan).changes.is_empty());
    }
    assert_eq!(compiled, compile("flow", text), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_flows_compile_or_say_why(
        seed in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        // Read once: proptest runs thousands of cases.
        static SEEDS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
        let seeds = SEEDS.get_or_init(seeds);
        compiles_or_says_why(&mutate(&seeds[seed.index(seeds.len())], &mutations));
    }

    #[test]
    fn pieces_of_the_language_in_any_order_compile_or_say_why(
        pieces in prop::collection::vec(0..PIECES.len(), 0..80),
    ) {
        let text: Vec<_> = pieces.iter().map(|at| PIECES[*at]).collect();
        compiles_or_says_why(&format!("flow f revision 1 {}", text.join(" ")));
    }
}

#[test]
fn wide_and_long_files_compile_in_time() {
    let columns: Vec<_> = (0..1024).map(|at| format!("c{at}: int")).collect();
    let wide = format!(
        "flow f revision 1 input I: {{ {0} }} table T: {{ {0} }} {{ key c0 }} on I as i {{ upsert T i }}",
        columns.join(", ")
    );
    assert!(compile("flow", &wide).plan.is_some());
    let lets: String = (0..20_000)
        .map(|at| format!("let v{at} = i.a + {at}\n require i.b is not null else invalid ''\n"))
        .collect();
    let long = format!(
        "flow f revision 1 input I: {{ a: int, b: int? }} table T: {{ a: int }} {{ key a }} on I as i {{ {lets} upsert T {{ a: i.a }} }}"
    );
    assert!(compile("flow", &long).plan.is_some());
}

#[test]
fn doubling_lets_do_not_explode() {
    let mut text =
        "flow f revision 1 input I: { a: text } table T: { a: text } { key a } on I as i { let v0 = i.a "
            .to_owned();
    for at in 1..200 {
        text.push_str(&format!("let v{at} = v{0} || v{0} ", at - 1));
    }
    text.push_str("upsert T { a: v199 } }");
    let codes: Vec<_> = compile("flow", &text).diagnostics.iter().map(|one| one.code).collect();
    assert_eq!(codes, ["F074"], "a route of 2^199 parts is refused");
}
