//! The pages about the language say what is true: every flow in them compiles or is refused as they say, every
//! expression has the value that they show, every list is the list in the sources.
//!
//! A block that begins with a `flow` header (comments may stand above it) is a whole file. One that does not is read
//! under the first whole file of its page, so that a page can show a rule alone. What a block promises stands after its
//! three backticks:
//!
//! | word | promise |
//! |---|---|
//! | `flow` | it compiles; warnings are allowed; it has the layout of the formatter |
//! | `flow-wrong F031` | the numbers of its errors, in the order of the text |
//! | `text` that begins with `error[` | what is said to the `flow-wrong` above it |
//! | `question` | it compiles over the tables of the first whole file; results stand below it (`engine/tests/questions.rs`) |
//! | `question-wrong F085` | the numbers of its errors |
//! | `flow-expr` | `expression  ->  value` or `expression  ->  R001` on every line |
//!
//! `UPDATE=1 cargo test -p anabranch-lang --test language` rewrites `FUNCTIONS.md` and the numbers in
//! `LANGUAGE.md`.

#![allow(clippy::panic, clippy::disallowed_methods, reason = "tests fail by panicking and read the pages")]

mod support;

use std::path::{Path, PathBuf};

use anabranch_lang::{Severity, codes, compile, compile_question, explain, format, render};
use anabranch_model::frame::Chance;
use anabranch_model::plan::Action;
use anabranch_model::{Expr, Fault, Frame, StepContext, Value, eval, function};

/// The pages whose blocks are held to their words, from the root of the repository.
const PAGES: [&str; 2] = ["README.md", "engine/lang/LANGUAGE.md"];

/// A fenced block of a page.
struct Block {
    /// The line of its fence, for messages.
    line: usize,
    /// What stands after the backticks.
    info: String,
    text: String,
}

fn page_path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page)
}

fn read(page: &str) -> String {
    std::fs::read_to_string(page_path(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The fenced blocks of a page.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in read(page).lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                open = Some(Block { line: at + 1, info: info.trim().to_owned(), text: String::new() });
            }
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: the last block is not closed");
    blocks
}

/// Whether a text is a whole file: its first line that is not blank and no comment begins with `flow`.
fn is_whole(text: &str) -> bool {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("--");
    text.lines().find(code).is_some_and(|line| line.starts_with("flow "))
}

/// The flow blocks of a page as files: where each stands, what it promises, its text.
fn flows(page: &str) -> Vec<(String, String, String)> {
    let mut first_whole = String::new();
    let mut files = Vec::new();
    for block in blocks(page).into_iter().filter(|block| ["flow", "flow-wrong"].contains(&word(block))) {
        let place = format!("{page}:{}", block.line);
        let whole = is_whole(&block.text);
        assert!(whole || !first_whole.is_empty(), "{place}: no whole file stands above this part of one");
        let text = if whole { block.text } else { format!("{first_whole}\n{}", block.text) };
        if whole && first_whole.is_empty() {
            first_whole.clone_from(&text);
        }
        files.push((place, block.info, text));
    }
    files
}

/// The first word after the backticks.
fn word(block: &Block) -> &str {
    block.info.split(' ').next().unwrap_or_default()
}

#[test]
fn flows_in_the_pages_do_what_the_pages_say() {
    let mut failures = Vec::new();
    for (place, info, text) in PAGES.iter().flat_map(|page| flows(page)) {
        let compiled = compile(&place, &text);
        let errors = compiled.diagnostics.iter().filter(|one| one.severity == Severity::Error);
        let found: Vec<&str> = errors.map(|one| one.code).collect();
        let wanted: Vec<&str> = info.split(' ').skip(1).collect();
        if info.starts_with("flow-wrong") && wanted.is_empty() {
            failures
                .push(format!("{place}: say which numbers are expected: ```flow-wrong {}", found.join(" ")));
        } else if found != wanted {
            let said = render(&place, &text, &compiled.diagnostics, false);
            failures.push(format!("{place}: expected {wanted:?}, found {found:?}\n{said}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn questions_in_the_pages_do_what_the_pages_say() {
    let mut seen = 0;
    for page in PAGES {
        let plan = flows(page).into_iter().find_map(|(place, _, text)| compile(&place, &text).plan);
        let plan = plan.expect("the first whole file compiles");
        for block in blocks(page).iter().filter(|block| word(block).starts_with("question")) {
            let question: Vec<&str> = block.text.lines().filter(|line| !line.starts_with('{')).collect();
            let question = question.join("\n");
            let compiled = compile_question(&question, &[&plan]);
            let found: Vec<&str> = compiled.diagnostics.iter().map(|one| one.code).collect();
            let wanted: Vec<&str> = block.info.split(' ').skip(1).collect();
            let place = format!("{page}:{}", block.line);
            assert_eq!(found, wanted, "{}", render(&place, &question, &compiled.diagnostics, false));
            seen += 1;
        }
    }
    assert!(seen > 4, "only {seen} questions");
}

#[test]
fn flows_in_the_pages_have_the_layout() {
    let mut failures = Vec::new();
    for (place, _, text) in PAGES.iter().flat_map(|page| flows(page)).filter(|(_, info, _)| info == "flow") {
        match format(&text) {
            Ok(formatted) => {
                let changed = formatted.lines().zip(text.lines()).find(|(new, old)| new != old);
                if formatted != text {
                    failures.push(format!("{place}: {changed:?}"));
                }
            }
            Err(said) => failures.push(format!("{place}: {said:?}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn diagnostics_in_the_pages_are_what_is_said() {
    let mut seen = 0;
    for page in PAGES {
        let blocks = blocks(page);
        for pair in blocks.windows(2).filter(|pair| pair[1].text.starts_with("error[")) {
            let [flow, shown] = pair else { unreachable!("windows of two") };
            assert!(is_whole(&flow.text), "{page}:{}: shows what is said to no whole file", shown.line);
            let said = render("shop.flow", &flow.text, &compile("shop.flow", &flow.text).diagnostics, false);
            assert_eq!(shown.text.trim_end(), said.trim_end(), "{page}:{}", shown.line);
            seen += 1;
        }
    }
    assert_eq!(seen, 2, "the pages show other diagnostics than they did");
}

#[test]
fn every_page_has_flows_and_no_block_of_an_unknown_kind() {
    const KINDS: [&str; 14] = [
        "flow",
        "flow-wrong",
        "flow-expr",
        "question",
        "question-wrong",
        "ebnf",
        "rust",
        "sh",
        "shell",
        "console",
        "python",
        "toml",
        "json",
        "text",
    ];
    for page in PAGES {
        assert!(!flows(page).is_empty(), "{page} shows no flow");
        for block in blocks(page) {
            assert!(KINDS.contains(&word(&block)), "{page}:{}: what is a `{}`?", block.line, block.info);
        }
    }
}

/// What stands in the parentheses of `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// The name that a heading has in links: `## Rows in braces` is `#rows-in-braces`.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn links_in_the_pages_lead_somewhere() {
    for page in PAGES {
        let text = read(page);
        let anchors: Vec<String> = text.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
        for link in links(&text) {
            match link.strip_prefix('#') {
                Some(wanted) => {
                    assert!(anchors.iter().any(|one| one == wanted), "{page}: no heading `{link}`")
                }
                None => {
                    let target = page_path(page).with_file_name("").join(link);
                    assert!(target.exists(), "{page}: there is no `{link}`");
                }
            }
        }
    }
}

/// A flow that computes a constant expression; `E` is there for casts.
fn flow_of(text: &str) -> String {
    format!(
        "flow f revision 1 enum E ('low', 'high') input I: {{ a: int }} output O: {{ t: text? }}
         on I as i {{ let x = {text}  reply O {{ t: to_text(x) }} }}"
    )
}

fn typed(place: &str, text: &str) -> Expr {
    let text = flow_of(text);
    let compiled = compile(place, &text);
    let said = render(place, &text, &compiled.diagnostics, false);
    let mut plan = compiled.plan.expect(&said);
    match plan.steps[0].rules[0].actions.remove(0) {
        Action::Let { value, .. } => value,
        other => unreachable!("{other:?}"),
    }
}

fn value_of(place: &str, text: &str) -> Result<Value<'static>, Fault> {
    let context =
        StepContext { node: "A".into(), source: "A".into(), now: 0, revision: 1, chance: Chance::new(1) };
    let frame = Frame { input: &[], rows: &[], candidate: None, shapes: &[], lets: &[], context: &context };
    eval::evaluate(&typed(place, text), &frame).map(Value::into_owned)
}

/// How a value is told apart from others: decimals by their digits, with the zeros at the end.
fn plain(value: &Result<Value<'static>, Fault>) -> String {
    match value {
        Ok(Value::Decimal(number)) => number.to_string(),
        Ok(value) => format!("{value:?}"),
        Err(fault) => fault.code.number().to_owned(),
    }
}

#[test]
fn expressions_in_the_pages_have_the_values_shown() {
    let (mut seen, mut failures) = (0, Vec::new());
    for page in PAGES {
        for block in blocks(page).iter().filter(|block| word(block) == "flow-expr") {
            for (at, line) in block.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let place = format!("{page}:{}", block.line + 1 + at);
                let Some((text, shown)) = line.split_once(" -> ") else { panic!("{place}: no ` -> `") };
                let (found, shown) = (value_of(&place, text.trim()), shown.trim());
                let wanted = match shown.starts_with('R') && shown.len() == 4 {
                    true => shown.to_owned(),
                    false if shown == "null" => plain(&Ok(Value::Null)),
                    false => plain(&value_of(&place, shown)),
                };
                if plain(&found) != wanted {
                    failures.push(format!("{place}: {} is {}, not {wanted}", text.trim(), plain(&found)));
                }
                seen += 1;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(seen > 40, "only {seen} expressions");
}

/// What stands above the table of functions.
const HEAD: &str = "\
# The built-in functions

This page is made from the table that the compiler uses, and a test evaluates every example in it. (To make it again:
`UPDATE=1 cargo test -p anabranch-lang --test language`.) `R001` to `R006` are the faults that refuse a row; `anabranch
explain R001` has a page for each.

Names are keywords and may be written in any case; arguments are separated by commas. Text is counted in Unicode
characters, from 1. Where nothing else is said, null in gives null out.

Beside them there are five that take no argument: `now()` (the time of the step), `node()` (the node that runs it),
`source()` (the node where the request entered), `revision()` (the flow's) and `uuid()` (a new id, a text, at every
call).

";

#[test]
fn page_of_functions_is_up_to_date() {
    let page = format!("{HEAD}{}", function::reference());
    let mut failures = Vec::new();
    support::compare(&page_path("engine/lang/FUNCTIONS.md"), &page, &mut failures);
    assert!(failures.is_empty(), "{}\nUPDATE=1 rewrites it", failures.join("\n"));
}

#[test]
fn language_page_lists_every_number() {
    const BEGIN: &str = "<!-- numbers -->\n";
    let text = read("engine/lang/LANGUAGE.md");
    let (above, rest) = text.split_once(BEGIN).expect("the list begins");
    let (_, below) = rest.split_once("<!-- /numbers -->\n").expect("the list ends");
    let mut list = String::from("| number | about |\n|---|---|\n");
    for code in codes() {
        let first = explain(code).expect("listed").lines().next().expect("a title");
        let (_, title) = first.split_once(": ").expect("number and title");
        list += &format!("| {code} | {title} |\n");
    }
    let page = format!("{above}{BEGIN}{list}<!-- /numbers -->\n{below}");
    let mut failures = Vec::new();
    support::compare(&page_path("engine/lang/LANGUAGE.md"), &page, &mut failures);
    assert!(failures.is_empty(), "{}\nUPDATE=1 rewrites it", failures.join("\n"));
}

/// The number that the page names must be the number in the sources.
#[test]
fn limits_in_the_language_page_are_those_of_the_sources() {
    let text = read("engine/lang/LANGUAGE.md");
    let limits = [
        ("partitions of a table", anabranch_model::partition::MAX_PARTITIONS as usize),
        ("columns of a schema", anabranch_model::types::MAX_COLUMNS),
        ("bytes of a key", anabranch_model::key::MAX_KEY_BYTES),
        ("bytes of a text or json that an expression makes", eval::MAX_RESULT_BYTES),
        ("levels of nesting", anabranch_lang::parser::MAX_NESTING),
        ("operators in a row", anabranch_lang::parser::MAX_HEIGHT),
        ("bytes of a question", anabranch_lang::parser::QUESTION_BYTES_MAX),
        ("bytes of a flow file", anabranch_lang::parser::MAX_FILE_BYTES),
        ("bytes of a row", anabranch_model::row::MAX_ROW_BYTES),
        ("bytes of a batch", anabranch_model::batch::MAX_BATCH_BYTES),
    ];
    for (name, limit) in limits {
        let line = format!("| {name} | {} |", grouped(limit));
        assert!(text.contains(&line), "`{line}` is missing");
    }
}

/// 4096 as 4,096.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut parts: Vec<&str> = Vec::new();
    if first > 0 {
        parts.push(&digits[..first]);
    }
    parts.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    parts.join(",")
}
