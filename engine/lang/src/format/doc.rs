//! Pieces of text with the places where a line may break, and the printer that decides where it does.
//!
//! A group is printed on one line when it fits, else all its own breaks are taken (Wadler's and Oppen's way). A comment
//! always ends its line, so the groups around it break. White space is owed until the next text comes, and the larger
//! of two owed pieces wins: a comment can be put anywhere without doubled or missing line ends.

use std::borrow::Cow;

/// Columns of a line, where it can be broken: the width of this project's own sources.
pub(super) const WIDTH: usize = 110;

/// Columns of one step to the right.
const STEP: usize = 2;

#[derive(Clone, Debug)]
pub(super) enum Doc<'a> {
    Text(Cow<'a, str>),
    /// So many spaces.
    Spaces(usize),
    /// So many spaces in a broken group, none in a flat one.
    BrokenSpaces(usize),
    /// A text that stands only in a broken group.
    BrokenText(&'static str),
    /// A line end in a broken group, so many spaces in a flat one.
    Line(usize),
    /// A line end.
    Hard,
    /// A blank line, but not right after an opening sign.
    Blank,
    /// A comment: after the text before it, or on a line of its own.
    Comment {
        text: &'a str,
        trailing: bool,
    },
    Indent(Vec<Doc<'a>>),
    Group(Vec<Doc<'a>>),
}

/// White space that is owed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owed {
    Spaces(usize),
    Line,
    Blank,
}

#[derive(Clone, Copy)]
struct Frame<'d, 'a> {
    indent: usize,
    flat: bool,
    doc: &'d Doc<'a>,
}

/// The text of `docs`, ending in a line end unless empty.
pub(super) fn print(docs: &[Doc<'_>]) -> String {
    let mut printer = Printer { out: String::new(), column: 0, owed: Owed::Spaces(0), commented: false };
    let mut stack: Vec<Frame<'_, '_>> = frames(docs, 0, false).collect();
    while let Some(frame) = stack.pop() {
        printer.step(frame, &mut stack);
    }
    if !printer.out.is_empty() {
        printer.out.push('\n');
    }
    printer.out
}

/// The columns that `docs` take on one line; nothing when they cannot stand on one.
pub(super) fn flat_width(docs: &[Doc<'_>]) -> Option<usize> {
    docs.iter().try_fold(0, |sum, doc| {
        let width = match doc {
            Doc::Text(text) => text.chars().count(),
            Doc::Spaces(count) | Doc::Line(count) => *count,
            Doc::BrokenSpaces(_) | Doc::BrokenText(_) => 0,
            Doc::Indent(docs) | Doc::Group(docs) => flat_width(docs)?,
            Doc::Hard | Doc::Blank | Doc::Comment { .. } => return None,
        };
        Some(sum + width)
    })
}

/// The frames of `docs`, last first, as a stack takes them.
fn frames<'d, 'a>(
    docs: &'d [Doc<'a>],
    indent: usize,
    flat: bool,
) -> impl Iterator<Item = Frame<'d, 'a>> + use<'d, 'a> {
    docs.iter().rev().map(move |doc| Frame { indent, flat, doc })
}

struct Printer {
    out: String,
    /// Columns of the line so far.
    column: usize,
    owed: Owed,
    /// Whether the text so far ends in a comment.
    commented: bool,
}

impl Printer {
    fn step<'d, 'a>(&mut self, frame: Frame<'d, 'a>, stack: &mut Vec<Frame<'d, 'a>>) {
        let Frame { indent, flat, doc } = frame;
        match doc {
            Doc::Text(text) => self.text(text, indent),
            Doc::Spaces(count) => self.owe(Owed::Spaces(*count)),
            Doc::BrokenSpaces(count) if !flat => self.owe(Owed::Spaces(*count)),
            Doc::BrokenText(text) if !flat => self.text(text, indent),
            Doc::BrokenSpaces(_) | Doc::BrokenText(_) => {}
            Doc::Line(count) if flat => self.owe(Owed::Spaces(*count)),
            Doc::Line(_) | Doc::Hard => self.owe(Owed::Line),
            Doc::Blank => self.owe(if self.out.ends_with(['{', '(']) { Owed::Line } else { Owed::Blank }),
            Doc::Comment { text, trailing } => self.comment(text, *trailing, indent),
            Doc::Indent(docs) => stack.extend(frames(docs, indent + STEP, flat)),
            Doc::Group(docs) => {
                let flat = flat || self.fits(docs, indent, stack);
                stack.extend(frames(docs, indent, flat));
            }
        }
    }

    fn owe(&mut self, owed: Owed) {
        self.owed = self.owed.max(owed);
    }

    fn text(&mut self, text: &str, indent: usize) {
        if self.out.is_empty() {
            self.column = 0;
        } else {
            self.pay(indent);
        }
        self.owed = Owed::Spaces(0);
        self.commented = false;
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn pay(&mut self, indent: usize) {
        let (ends, spaces) = match self.owed {
            Owed::Spaces(count) => (0, count),
            Owed::Line => (1, indent),
            Owed::Blank => (2, indent),
        };
        if ends > 0 {
            self.column = 0;
        }
        self.out.extend(std::iter::repeat_n('\n', ends));
        self.out.extend(std::iter::repeat_n(' ', spaces));
        self.column += spaces;
    }

    /// A trailing comment goes before the line end that is owed, any other after it.
    fn comment(&mut self, text: &str, trailing: bool, indent: usize) {
        if trailing && !self.commented && !self.out.is_empty() {
            let owed = self.owed.max(Owed::Line);
            self.owed = Owed::Spaces(STEP);
            self.text(text, indent);
            self.owed = owed;
        } else {
            self.owe(Owed::Line);
            self.text(text, indent);
            self.owed = Owed::Line;
        }
        self.commented = true;
    }

    /// Whether `docs` on one line, with what follows up to the next break, stay within [`WIDTH`].
    fn fits(&self, docs: &[Doc<'_>], indent: usize, rest: &[Frame<'_, '_>]) -> bool {
        let column = match self.owed {
            Owed::Spaces(count) => self.column + count,
            Owed::Line | Owed::Blank => indent,
        };
        let mut left = WIDTH.saturating_sub(column);
        let mut todo: Vec<Frame<'_, '_>> = frames(docs, 0, true).collect();
        let mut rest = rest.iter().rev();
        let mut beyond = false;
        loop {
            let Some(frame) = todo.pop().or_else(|| {
                beyond = true;
                rest.next().copied()
            }) else {
                return true;
            };
            let width = match frame.doc {
                Doc::Text(text) => text.chars().count(),
                Doc::Spaces(count) => *count,
                Doc::BrokenSpaces(count) if !frame.flat => *count,
                Doc::BrokenText(text) if !frame.flat => text.len(),
                Doc::BrokenSpaces(_) | Doc::BrokenText(_) => 0,
                Doc::Line(count) if frame.flat => *count,
                Doc::Line(_) | Doc::Hard | Doc::Blank | Doc::Comment { .. } => return beyond,
                Doc::Indent(docs) | Doc::Group(docs) => {
                    todo.extend(frames(docs, 0, frame.flat));
                    0
                }
            };
            if width > left {
                return false;
            }
            left -= width;
        }
    }
}
