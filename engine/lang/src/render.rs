//! Diagnostics as people and programs read them.
//!
//! ```text
//! error[F031]: this rule is routed by `u.value`, but `QueryTable` is partitioned by `name`
//!   --> flows/names.flow:21:36
//!    |
//! 17 |   key       name
//!    |             ---- rows live on the node that this names
//! 21 | on UpdateStream as u route by u.value {
//!    |                               ^^^^^^^ the row would be written where nobody looks for it
//! help: write `route by u.name`, or leave `route` out
//! more: anabranch explain F031
//! ```
//!
//! The file's own characters are shown so that nothing in them can move the cursor: a tab as four spaces, other
//! control characters as `�`. Of a long line only the part around the label is shown.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthChar;

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::lines::Lines;

/// Terminal columns of a source line that are shown; more is cut.
const WIDEST: usize = 160;

/// Characters shown before the first label of a line that is cut.
const LEAD: usize = 40;

/// All diagnostics, a blank line between them; empty when there are none.
pub fn render(file: &str, text: &str, diagnostics: &[Diagnostic], colour: bool) -> String {
    let lines = Lines::new(text);
    let paint = Paint { colour };
    let all: Vec<String> =
        diagnostics.iter().map(|diagnostic| one(file, &lines, diagnostic, &paint)).collect();
    all.join("\n")
}

/// One diagnostic for programs: `code`, `severity`, `message`, `help` (or null), `labels`.
pub fn to_json(file: &str, text: &str, diagnostic: &Diagnostic) -> Value {
    let lines = Lines::new(text);
    let label = |label: &Label| {
        let (start, end) = (lines.place(label.span.start as usize), lines.place(label.span.end as usize));
        json!({
            "file": file,
            "line": start.line,
            "column": start.column,
            "end_line": end.line,
            "end_column": end.column,
            "text": label.text,
        })
    };
    json!({
        "code": diagnostic.code,
        "severity": severity(diagnostic),
        "message": diagnostic.message,
        "help": diagnostic.help,
        "labels": diagnostic.labels.iter().map(label).collect::<Vec<_>>(),
    })
}

fn severity(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn one(file: &str, lines: &Lines<'_>, diagnostic: &Diagnostic, paint: &Paint) -> String {
    let strong = match diagnostic.severity {
        Severity::Error => Paint::RED,
        Severity::Warning => Paint::YELLOW,
    };
    let title = format!("{}[{}]", severity(diagnostic), diagnostic.code);
    let message = paint.paint(Paint::BOLD, &format!(": {}", visible(&diagnostic.message)));
    let mut out = format!("{}{message}\n", paint.paint(strong, &title));
    let marks = marks(lines, diagnostic, strong);
    if let Some(place) = diagnostic.labels.first().map(|label| lines.place(label.span.start as usize)) {
        let gutter = marks.last().map_or(1, |mark| mark.line.to_string().len());
        let arrow = paint.paint(Paint::BLUE, "-->");
        out += &format!("{:gutter$}{arrow} {file}:{}:{}\n", "", place.line, place.column);
        out += &format!("{:gutter$} {}\n", "", paint.paint(Paint::BLUE, "|"));
        out += &source(lines, &marks, gutter, paint);
    }
    if let Some(help) = &diagnostic.help {
        out += &format!("{}: {}\n", paint.paint(Paint::CYAN, "help"), visible(help));
    }
    out + &format!("{}: anabranch explain {}\n", paint.paint(Paint::CYAN, "more"), diagnostic.code)
}

/// A label on its line.
struct Mark<'a> {
    line: u32,
    /// Bytes of the line before it.
    at: usize,
    /// Characters before it.
    from: usize,
    /// Characters under it.
    length: usize,
    sign: &'static str,
    style: &'static str,
    text: &'a str,
}

/// The labels by line and column; of one that spans lines, its part on the first.
fn marks<'a>(lines: &Lines<'_>, diagnostic: &'a Diagnostic, strong: &'static str) -> Vec<Mark<'a>> {
    let mark = |(at, label): (usize, &'a Label)| {
        let (start, end) = (lines.place(label.span.start as usize), lines.place(label.span.end as usize));
        let from = start.column as usize - 1;
        let to = if end.line == start.line {
            end.column as usize - 1
        } else {
            lines.line(start.line).trim_end().chars().count()
        };
        let begins = lines.start(start.line);
        let (sign, style) = if at == 0 { ("^", strong) } else { ("-", Paint::BLUE) };
        let length = to.saturating_sub(from).max(1);
        Mark {
            line: start.line,
            at: label.span.range().start - begins,
            from,
            length,
            sign,
            style,
            text: &label.text,
        }
    };
    let mut marks: Vec<Mark<'a>> = diagnostic.labels.iter().enumerate().map(mark).collect();
    marks.sort_by_key(|mark| (mark.line, mark.from));
    marks
}

/// The lines with labels, each followed by its labels.
fn source(lines: &Lines<'_>, marks: &[Mark<'_>], gutter: usize, paint: &Paint) -> String {
    let mut out = String::new();
    for on_line in marks.chunk_by(|a, b| a.line == b.line) {
        let line = on_line[0].line;
        let window = Window::around(lines.line(line), &on_line[0]);
        let number = paint.paint(Paint::BLUE, &format!("{line:>gutter$} |"));
        out += &trimmed(format!("{number} {}", window.shown));
        for mark in on_line {
            let bar = paint.paint(Paint::BLUE, "|");
            let (left, width) = window.columns(mark.from, mark.length);
            let under = format!("{} {}", mark.sign.repeat(width), visible(mark.text));
            let under = paint.paint(mark.style, under.trim_end());
            out += &trimmed(format!("{:gutter$} {bar} {:left$}{under}", "", ""));
        }
    }
    out
}

fn trimmed(line: String) -> String {
    format!("{}\n", line.trim_end())
}

/// The part of a line that is shown.
struct Window {
    shown: String,
    /// Terminal columns before each character that is shown, and one for the end.
    columns: Vec<usize>,
    /// Characters of the line before the first one shown.
    skipped: usize,
}

impl Window {
    /// The whole line when it is narrow, else its part around `label`. The work does not grow with the line.
    fn around(line: &str, label: &Mark<'_>) -> Window {
        let narrow = line.chars().take(WIDEST + 1).map(|c| shown(c).1.max(1)).sum::<usize>() <= WIDEST;
        let before = &line[..line.floor_char_boundary(label.at)];
        let lead = before.char_indices().rev().nth(LEAD - 1).map_or(0, |(at, _)| at);
        let (skipped, line) =
            if narrow { (0, line) } else { (label.from.saturating_sub(LEAD), &line[lead..]) };
        let mut out = if skipped > 0 { "...".to_owned() } else { String::new() };
        let mut columns = vec![out.len()];
        let mut at = out.len();
        for c in line.chars() {
            let (text, width) = shown(c);
            if at + width > WIDEST {
                out += "...";
                break;
            }
            out.push_str(&text);
            at += width;
            columns.push(at);
        }
        Window { shown: out, columns, skipped }
    }

    /// The terminal column and width of `length` characters from character `from` of the line.
    fn columns(&self, from: usize, length: usize) -> (usize, usize) {
        let column = |character: usize| {
            let at = character.saturating_sub(self.skipped);
            self.columns.get(at).or(self.columns.last()).copied().unwrap_or(0)
        };
        let (left, right) = (column(from), column(from + length));
        (left, right.saturating_sub(left).max(1))
    }
}

/// How a character of the file is shown, and how many terminal columns that takes.
fn shown(c: char) -> (String, usize) {
    match c {
        '\t' => ("    ".to_owned(), 4),
        c if c.is_control() || is_invisible(c) => ("\u{fffd}".to_owned(), 1),
        c => (c.to_string(), c.width().unwrap_or(0)),
    }
}

/// Marks that turn the direction of text around, with which a line can be made to look like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A message with what it quotes from the file made harmless.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// Colours, or none.
struct Paint {
    colour: bool,
}

impl Paint {
    const BOLD: &'static str = "1";
    const RED: &'static str = "1;31";
    const YELLOW: &'static str = "1;33";
    const BLUE: &'static str = "1;34";
    const CYAN: &'static str = "1;36";

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    fn at(text: &str, needle: &str) -> Span {
        let start = text.find(needle).expect("in the text");
        Span::new(start, start + needle.len())
    }

    #[test]
    fn two_labels_come_in_the_order_of_the_file() {
        let text = "\n\n\n\n\n\n\n\n  key       name\n\non U as u route by u.value {\n";
        let diagnostic = Diagnostic::error("F031", at(text, "u.value"), "this rule is routed by `u.value`")
            .here("written where nobody looks")
            .and(at(text, "name"), "rows live here")
            .help("write `route by u.name`");
        let expected = "\
error[F031]: this rule is routed by `u.value`
  --> flows/names.flow:11:20
   |
 9 |   key       name
   |             ---- rows live here
11 | on U as u route by u.value {
   |                    ^^^^^^^ written where nobody looks
help: write `route by u.name`
more: anabranch explain F031
";
        assert_eq!(render("flows/names.flow", text, &[diagnostic], false), expected);
    }

    #[test]
    fn tabs_and_wide_characters_keep_the_label_in_its_column() {
        let text = "\t日本 x";
        let diagnostic = Diagnostic::error("F001", at(text, "x"), "m");
        let out = render("f", text, &[diagnostic], false);
        assert_eq!(
            out,
            "error[F001]: m\n --> f:1:5\n  |\n1 |     日本 x\n  |          ^\nmore: anabranch explain F001\n"
        );
    }

    #[test]
    fn an_empty_file_has_a_first_column() {
        let out = render("f", "", &[Diagnostic::error("F002", Span::new(0, 0), "m").here("here")], false);
        assert_eq!(out, "error[F002]: m\n --> f:1:1\n  |\n1 |\n  | ^ here\nmore: anabranch explain F002\n");
    }

    #[test]
    fn a_long_line_is_cut_around_the_label() {
        let text = format!("{}needle{}", "a".repeat(5_000), "b".repeat(5_000));
        let out = render("f", &text, &[Diagnostic::error("F001", at(&text, "needle"), "m")], false);
        assert!(out.contains("aneedleb"), "{out}");
        assert!(out.lines().all(|line| line.len() < 200), "{out}");
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[3].find("needle"), lines[4].find("^^^^^^"), "{out}");
    }

    #[test]
    fn a_label_over_lines_ends_with_its_first() {
        let text = "ab {\n  c\n}";
        let out = render("f", text, &[Diagnostic::error("F001", Span::new(3, text.len()), "m")], false);
        assert!(out.contains("1 | ab {\n  |    ^\n"), "{out}");
    }

    #[test]
    fn control_characters_of_the_file_do_not_reach_the_terminal() {
        let text = "a \u{1b}[31m b \u{202e}";
        let diagnostic = Diagnostic::error("F003", at(text, "\u{1b}"), "found `\u{1b}`");
        assert!(!render("f", text, &[diagnostic], false).contains(['\u{1b}', '\u{202e}']));
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let diagnostic = || Diagnostic::warning("F001", Span::new(0, 1), "m").here("l").help("h");
        let plain = render("f", "a", &[diagnostic()], false);
        let mut coloured = render("f", "a", &[diagnostic()], true);
        assert_ne!(plain, coloured);
        for style in [Paint::BOLD, Paint::RED, Paint::YELLOW, Paint::BLUE, Paint::CYAN, "0"] {
            coloured = coloured.replace(&format!("\u{1b}[{style}m"), "");
        }
        assert_eq!(plain, coloured);
    }

    #[test]
    fn json_names_every_place() {
        let text = "a\nbc";
        let diagnostic = Diagnostic::error("F001", at(text, "c"), "m").here("l").help("h");
        let expected = json!({
            "code": "F001", "severity": "error", "message": "m", "help": "h",
            "labels": [{"file": "f", "line": 2, "column": 2, "end_line": 2, "end_column": 3, "text": "l"}],
        });
        assert_eq!(to_json("f", text, &diagnostic), expected);
    }
}
