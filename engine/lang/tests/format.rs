//! The formatter changes nothing but white space, keeps every comment, and has nothing to do the second time.

mod support;

use anabranch_lang::{format, lexer, parse};
use support::{flows, golden, shape};

/// Formats `text`, and checks what must hold for every text that can be read.
fn checked(text: &str) -> String {
    let (before, diagnostics) = parse(text);
    assert!(diagnostics.is_empty(), "{}", anabranch_lang::render("before", text, &diagnostics, false));
    let formatted = format(text).expect("it can be read");
    let (after, diagnostics) = parse(&formatted);
    assert!(diagnostics.is_empty(), "{}", anabranch_lang::render("after", &formatted, &diagnostics, false));
    assert_eq!(shape(&before), shape(&after), "the tree changed:\n{text}\n---\n{formatted}");
    assert_eq!(comments(text), comments(&formatted), "comments changed:\n{text}\n---\n{formatted}");
    let again = format(&formatted).expect("it can be read");
    assert_eq!(formatted, again, "not stable:\n{text}\n--- once\n{formatted}\n--- twice\n{again}");
    assert!(
        formatted.lines().all(|line| line.trim_end() == line),
        "white space at a line's end:\n{formatted}"
    );
    formatted
}

/// Every flow that can be read: the good ones, and those whose layout is kept.
fn readable() -> impl Iterator<Item = (std::path::PathBuf, String)> {
    flows("good").into_iter().chain(flows("format"))
}

fn comments(text: &str) -> Vec<&str> {
    lexer::lex(text).comments.into_iter().map(|span| &text[span.range()]).collect()
}

#[test]
fn the_reference_flow_is_written_as_it_is_formatted() {
    let text = include_str!("good/names.flow");
    assert_eq!(checked(text), text);
}

#[test]
fn good_flows_keep_their_meaning() {
    for (path, text) in readable() {
        println!("{}", path.display());
        checked(&text);
    }
}

#[test]
fn layouts_are_as_agreed() {
    golden("format", "formatted", checked);
}

#[test]
fn a_comment_in_any_gap_is_kept() {
    for (_, text) in flows("format") {
        for at in gaps(&text) {
            checked(&format!("{} -- here\n{}", &text[..at], &text[at..]));
            checked(&format!("{}\n\n-- alone\n{}", &text[..at], &text[at..]));
        }
    }
}

#[test]
fn comments_in_all_gaps_are_kept() {
    for (_, text) in readable() {
        let mut commented = String::new();
        let mut from = 0;
        for (n, at) in gaps(&text).into_iter().enumerate() {
            commented += &format!("{} -- {n}\n", &text[from..at]);
            from = at;
        }
        checked(&(commented + &text[from..]));
    }
}

#[test]
fn one_line_and_one_token_a_line_come_out_the_same() {
    for (path, text) in readable() {
        let lexed = lexer::lex(&text);
        let written: Vec<&str> = lexed.tokens.iter().map(|token| &text[token.span.range()]).collect();
        let (line, column) = (checked(&written.join(" ")), checked(&written.join("\n")));
        assert_eq!(line, column, "{}", path.display());
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_go() {
    let text = include_str!("good/names.flow");
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(checked(&windows), text);
}

#[test]
fn a_file_with_errors_is_left_alone() {
    let diagnostics = format("flow f revision 1 schema {").expect_err("no name");
    assert_eq!(diagnostics[0].code, "F001");
}

/// The ends of all tokens.
fn gaps(text: &str) -> Vec<usize> {
    lexer::lex(text).tokens.iter().map(|token| token.span.range().end).collect()
}
