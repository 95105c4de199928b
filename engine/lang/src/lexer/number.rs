//! Numbers: a number runs to the end of its letters and digits, and is then a literal or an error.

use super::{Kind, Lexer};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// Units of a DURATION with their microseconds.
pub(crate) const UNITS: [(&str, i64); 5] =
    [("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000)];

/// A number from here.
pub(super) fn number(lexer: &mut Lexer<'_>) {
    let start = lexer.at;
    let bytes = lexer.text.as_bytes();
    let mut end = digits(bytes, start);
    let mut kind = Kind::Int;
    let pointed = bytes.get(end) == Some(&b'.') && bytes.get(end + 1) != Some(&b'.');
    if pointed && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(bytes, end + 1);
        kind = Kind::Decimal;
    } else if pointed {
        return bad(lexer, tail(lexer.text, end + 1), "a number does not end in a point".into());
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            let plus = bytes[end + 1] == b'+';
            end = digits(bytes, end + 1 + sign);
            kind = Kind::Float;
            if plus {
                return bad(lexer, tail(lexer.text, end), "leave out the `+` of the exponent: `1e5`".into());
            }
        }
    }
    let last = tail(lexer.text, end);
    let letters = &lexer.text[end..last];
    if letters.is_empty() {
        return lexer.push(kind, end);
    }
    if kind == Kind::Int && UNITS.iter().any(|(unit, _)| *unit == letters) {
        return lexer.push(Kind::Duration, last);
    }
    let help = explain(kind, &lexer.text[start..end], letters);
    bad(lexer, last, help);
}

/// Whether the `.` here begins a number that lacks its first digit: `.5`, but not the `.` of `a.5`.
pub(super) fn begins_with_point(lexer: &Lexer<'_>) -> bool {
    let before = lexer.text[..lexer.at].chars().next_back();
    let after_name = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '"' | '.' | ')'));
    !after_name && lexer.text.as_bytes().get(lexer.at + 1).is_some_and(u8::is_ascii_digit)
}

/// `.5`: said, and passed on as a bad number.
pub(super) fn without_leading_digit(lexer: &mut Lexer<'_>) {
    let end = tail(lexer.text, digits(lexer.text.as_bytes(), lexer.at + 1));
    let help = format!("write `0{}`", &lexer.text[lexer.at..end]);
    bad(lexer, end, help);
}

fn bad(lexer: &mut Lexer<'_>, end: usize, help: String) {
    let written = &lexer.text[lexer.at..end];
    let said = Diagnostic::error("F006", Span::new(lexer.at, end), format!("`{written}` is not a number"))
        .help(help);
    lexer.report(said);
    lexer.push(Kind::BadNumber, end);
}

fn explain(kind: Kind, number: &str, letters: &str) -> String {
    let lower = letters.to_lowercase();
    let unit = match lower.as_str() {
        "us" => return "the shortest unit of a duration is the millisecond: `1ms`".into(),
        "w" | "week" | "weeks" => return "count in days: `7d`".into(),
        "ms" | "msec" | "millis" => Some("ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some("h"),
        "d" | "day" | "days" => Some("d"),
        _ => None,
    };
    match (kind, unit) {
        (Kind::Int, Some(unit)) => format!("write `{number}{unit}`"),
        (_, Some(_)) => {
            "a duration is a whole number of `ms`, `s`, `m`, `h` or `d`: `90m`, not `1.5h`".into()
        }
        (Kind::Int, None) if letters.starts_with('_') => "`_` stands between digits: `1_000`".into(),
        _ => "a number is `1`, `1.5` or `1.5e0`; a duration is `250ms`, `5s`, `5m`, `3h` or `7d`".into(),
    }
}

/// Where the digits from `at` end; `_` counts when a digit follows it.
fn digits(bytes: &[u8], mut at: usize) -> usize {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    while digit(at) || (bytes.get(at) == Some(&b'_') && digit(at + 1)) {
        at += 1;
    }
    at
}

/// Where the letters and digits from `at` end.
fn tail(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    at + rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
}
