//! The tokens and comments of a file, taken one after the other.

use std::borrow::Cow;

use super::doc::Doc;
use crate::lexer::{Kind, Token};
use crate::span::Span;

/// Takes tokens in order and gives the pieces to print.
pub(super) struct Tokens<'a> {
    text: &'a str,
    tokens: &'a [Token],
    comments: &'a [Span],
    /// Where the last token or comment taken ends.
    end: usize,
}

pub(super) type Docs<'a> = Vec<Doc<'a>>;

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str, tokens: &'a [Token], comments: &'a [Span]) -> Self {
        Tokens { text, tokens, comments, end: 0 }
    }

    /// The kind of the token `ahead` places from here.
    pub(super) fn kind(&self, ahead: usize) -> Kind {
        self.tokens.get(ahead).map_or(Kind::End, |token| token.kind)
    }

    /// Where the next token begins.
    fn next_start(&self) -> usize {
        self.tokens.first().map_or(self.text.len(), |token| token.span.range().start)
    }

    /// The length of the next token.
    pub(super) fn next_width(&self) -> usize {
        self.tokens.first().map_or(0, |token| self.text[token.span.range()].chars().count())
    }

    /// Whether a blank line stands before `start`, after what was taken last.
    fn blank_before(&self, start: usize) -> bool {
        start > self.end && self.text[self.end..start].matches('\n').count() > 1
    }

    /// Whether a blank line stands before the next token or the first comment before it.
    pub(super) fn blank_ahead(&self) -> bool {
        let comment = self.comments.first().map_or(usize::MAX, |comment| comment.range().start);
        self.blank_before(comment.min(self.next_start()))
    }

    /// Whether comments stand before the next token.
    pub(super) fn comment_ahead(&self) -> bool {
        self.comments.first().is_some_and(|comment| comment.range().start < self.next_start())
    }

    /// The comments before the next token.
    pub(super) fn comments(&mut self, out: &mut Docs<'a>) {
        while self.comment_ahead() {
            let [comment, rest @ ..] = self.comments else { return };
            let range = comment.range();
            let line = self.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
            let alone =
                self.text[line..range.start].trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            let trailing = !alone.is_empty();
            if !trailing && self.blank_before(range.start) {
                out.push(Doc::Blank);
            }
            out.push(Doc::Comment { text: &self.text[range.clone()], trailing });
            self.end = range.end;
            self.comments = rest;
        }
    }

    /// The comments before an element of a block, and the blank line before it.
    pub(super) fn start(&mut self, out: &mut Docs<'a>) {
        self.comments(out);
        if self.blank_before(self.next_start()) {
            out.push(Doc::Blank);
        }
    }

    /// The next token as written, after its comments.
    pub(super) fn take(&mut self, out: &mut Docs<'a>) {
        self.comments(out);
        let written = self.advance();
        out.push(Doc::Text(Cow::Borrowed(written)));
    }

    /// The next token, a keyword, after its comments.
    pub(super) fn keyword(&mut self, out: &mut Docs<'a>) {
        self.comments(out);
        let written = self.advance();
        let upper = written.chars().any(char::is_uppercase);
        out.push(Doc::Text(if upper { Cow::Owned(written.to_lowercase()) } else { Cow::Borrowed(written) }));
    }

    /// `count` keywords and a space after each.
    pub(super) fn keywords(&mut self, count: usize, out: &mut Docs<'a>) {
        for _ in 0..count {
            self.keyword(out);
            out.push(Doc::Spaces(1));
        }
    }

    /// Drops a comma, when there is one: the layout says where they stand.
    pub(super) fn drop_comma(&mut self) {
        if self.kind(0) == Kind::Comma {
            self.advance();
        }
    }

    /// Names with commas between them.
    pub(super) fn names(&mut self, count: usize, out: &mut Docs<'a>) {
        for at in 0..count {
            if at > 0 {
                self.drop_comma();
                out.extend([Doc::Text(",".into()), Doc::Spaces(1)]);
            }
            self.take(out);
        }
    }

    /// A list in braces or parentheses, on one line with `space` inside its signs, or an element a line.
    pub(super) fn list<T>(
        &mut self,
        elements: &[T],
        space: usize,
        out: &mut Docs<'a>,
        each: impl Fn(&mut Self, &T, &mut Docs<'a>),
    ) {
        let trailing_comma = space > 0;
        let mut group = Vec::new();
        self.take(&mut group);
        let mut inside = Vec::new();
        for (at, element) in elements.iter().enumerate() {
            inside.push(Doc::Line(if at == 0 { space } else { 1 }));
            each(self, element, &mut inside);
            self.drop_comma();
            if at + 1 < elements.len() {
                inside.push(Doc::Text(",".into()));
            } else if trailing_comma {
                inside.push(Doc::BrokenText(","));
            }
        }
        self.comments(&mut inside);
        group.push(Doc::Indent(inside));
        if !elements.is_empty() {
            group.push(Doc::Line(space));
        }
        self.take(&mut group);
        out.push(Doc::Group(group));
    }

    fn advance(&mut self) -> &'a str {
        let [token, rest @ ..] = self.tokens else { return "" };
        self.tokens = rest;
        self.end = token.span.range().end;
        &self.text[token.span.range()]
    }
}

/// Spaces that bring a word of `width` up to a column `widest` wide, and one more.
pub(super) fn pad(width: usize, widest: usize) -> usize {
    widest.saturating_sub(width) + 1
}
