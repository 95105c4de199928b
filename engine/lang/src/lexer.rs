//! Text to tokens.
//!
//! Nothing is lost and nothing fails: white space is skipped, comments are kept apart for the formatter, and whatever
//! is not of the language becomes a diagnostic and, where the meaning is plain (`!=`), the token that was meant, so
//! that one slip of the pen gives one message.
//!
//! INVARIANT: tokens and comments are in order, do not overlap, and lie on character boundaries; the last token is
//! [`Kind::End`], empty, at the end of the text.

use crate::diagnostic::Diagnostic;
use crate::sink::Sink;
use crate::span::Span;

mod number;

pub(crate) use number::UNITS;

/// A token: what it is and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token {
    /// Which kind.
    pub kind: Kind,
    /// Where.
    pub span: Span,
}

/// The kinds of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name or a keyword: which, the parser knows from the place.
    Word,
    /// `"name"`, with its quotes.
    Quoted,
    /// `'text'`, with its quotes.
    Text,
    /// Digits.
    Int,
    /// `1.5`
    Decimal,
    /// `1.5e0`
    Float,
    /// `5m`
    Duration,
    /// A number that is none; a diagnostic was given.
    BadNumber,
    /// `{`
    OpenBrace,
    /// `}`
    CloseBrace,
    /// `(`
    OpenParen,
    /// `)`
    CloseParen,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// `.`
    Dot,
    /// `..`
    Spread,
    /// `?`
    Question,
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Star,
    /// `/`
    Slash,
    /// `%`
    Percent,
    /// `||`
    Concat,
    /// `+=`
    AddTo,
    /// `-=`
    SubtractFrom,
    /// `&&`, read as `and`; a diagnostic was given.
    AndSign,
    /// `!`, read as `not`; a diagnostic was given.
    NotSign,
    /// The end of the text.
    End,
}

/// A text in tokens.
pub struct Lexed {
    /// The tokens, [`Kind::End`] last.
    pub tokens: Vec<Token>,
    /// The comments, from `--` to the last character of the line that is not white space.
    pub comments: Vec<Span>,
    /// What was wrong.
    pub(crate) diagnostics: Sink,
}

/// Cuts a text into tokens.
pub fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer {
        text,
        at: 0,
        lexed: Lexed { tokens: Vec::new(), comments: Vec::new(), diagnostics: Sink::new() },
    };
    while let Some(next) = lexer.peek()
        && !lexer.lexed.diagnostics.is_full()
    {
        lexer.token(next);
    }
    // The end token is empty and stands at the end of the text, read or not.
    lexer.at = text.len();
    lexer.push(Kind::End, text.len());
    lexer.lexed
}

struct Lexer<'a> {
    text: &'a str,
    /// Bytes consumed; a character boundary.
    at: usize,
    lexed: Lexed,
}

/// Operators of other languages: as written, the token that was meant, the words to use.
const FOREIGN: [(&str, Kind, &str); 8] = [
    ("!=", Kind::NotEqual, "write `<>`"),
    ("==", Kind::Equal, "write `=`"),
    ("=>", Kind::GreaterOrEqual, "write `>=`"),
    ("=<", Kind::LessOrEqual, "write `<=`"),
    (":=", Kind::Equal, "write `=`"),
    ("&&", Kind::AndSign, "write `and`"),
    ("!", Kind::NotSign, "write `not`"),
    ("&", Kind::AndSign, "write `and`"),
];

/// The signs of the language, longest first.
const SIGNS: [(&str, Kind); 23] = [
    ("<>", Kind::NotEqual),
    ("<=", Kind::LessOrEqual),
    (">=", Kind::GreaterOrEqual),
    ("||", Kind::Concat),
    ("+=", Kind::AddTo),
    ("-=", Kind::SubtractFrom),
    ("..", Kind::Spread),
    ("{", Kind::OpenBrace),
    ("}", Kind::CloseBrace),
    ("(", Kind::OpenParen),
    (")", Kind::CloseParen),
    (",", Kind::Comma),
    (":", Kind::Colon),
    (".", Kind::Dot),
    ("?", Kind::Question),
    ("=", Kind::Equal),
    ("<", Kind::Less),
    (">", Kind::Greater),
    ("+", Kind::Plus),
    ("-", Kind::Minus),
    ("*", Kind::Star),
    ("/", Kind::Slash),
    ("%", Kind::Percent),
];

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// A token from here up to `end`.
    fn push(&mut self, kind: Kind, end: usize) {
        self.lexed.tokens.push(Token { kind, span: Span::new(self.at, end) });
        self.at = end;
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.lexed.diagnostics.push(diagnostic);
    }

    /// Where the run of characters from here that satisfy `test` ends.
    fn run(&self, test: impl Fn(char) -> bool) -> usize {
        self.at + self.rest().find(|c| !test(c)).unwrap_or(self.rest().len())
    }

    fn line_end(&self) -> usize {
        self.run(|c| c != '\n')
    }

    fn token(&mut self, next: char) {
        match next {
            ' ' | '\t' | '\n' | '\r' | '\u{feff}' => self.at += next.len_utf8(),
            _ if self.rest().starts_with("--") => self.comment(),
            '0'..='9' => number::number(self),
            '.' if number::begins_with_point(self) => number::without_leading_digit(self),
            '\'' => self.text_literal(),
            '"' => self.quoted_name(),
            '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' | '`' => self.foreign_quote(next),
            c if c.is_alphabetic() => {
                let end = self.run(|c| c.is_alphanumeric() || c == '_');
                self.push(Kind::Word, end);
            }
            '_' => self.underscore(),
            _ => self.sign(next),
        }
    }

    fn comment(&mut self) {
        let end = self.at + self.text[self.at..self.line_end()].trim_end().len();
        self.lexed.comments.push(Span::new(self.at, end));
        self.at = end;
    }

    fn text_literal(&mut self) {
        if let Some(length) = closing(self.rest(), '\'') {
            return self.push(Kind::Text, self.at + length);
        }
        if let Some(start) = self.ended_too_early() {
            return self.apostrophe(start);
        }
        let end = self.at + self.text[self.at..self.line_end()].trim_end().len();
        let said = Diagnostic::error("F004", Span::new(self.at, end), "this text has no end");
        let help = "close it with `'`; a text ends on its line, and a `'` inside it is written twice";
        self.report(said.here("begins here").help(help));
        self.push(Kind::Text, end);
    }

    /// Of `'it's'`, at its last quote: the token `'it'`, which a letter follows.
    fn ended_too_early(&self) -> Option<usize> {
        let tokens = &self.lexed.tokens;
        let line = self.text[..self.at].rfind('\n').map_or(0, |at| at + 1);
        let on_line =
            tokens.len() - tokens.iter().rev().take_while(|token| token.span.range().start >= line).count();
        let glued = |pair: &[Token]| {
            pair[0].kind == Kind::Text && pair[1].kind == Kind::Word && pair[0].span.end == pair[1].span.start
        };
        tokens[on_line..].windows(2).position(glued).map(|at| on_line + at)
    }

    /// Takes everything from the token at `start` to the quote here for one text.
    fn apostrophe(&mut self, start: usize) {
        let early = self.lexed.tokens[start].span;
        let help = if self.text[early.range()].ends_with("\\'") {
            "there are no `\\` escapes: a `'` inside a text is written twice, `'it''s'`"
        } else {
            "a `'` inside a text is written twice: `'it''s'`"
        };
        let last = early.range().end - 1;
        let said = Diagnostic::error("F004", Span::new(last, last + 1), "this `'` ends the text");
        self.report(said.here("and letters follow").help(help));
        self.lexed.tokens.truncate(start);
        let end = self.at + 1;
        self.at = early.range().start;
        self.push(Kind::Text, end);
    }

    fn quoted_name(&mut self) {
        if let Some(length) = closing(self.rest(), '"') {
            if length == 2 {
                let span = Span::new(self.at, self.at + 2);
                let said = Diagnostic::error("F005", span, "a name cannot be empty");
                self.report(said.help("an empty text is written `''`"));
            }
            return self.push(Kind::Quoted, self.at + length);
        }
        let end = self.at + self.text[self.at..self.line_end()].trim_end().len();
        let said = Diagnostic::error("F005", Span::new(self.at, end), "this quoted name has no end");
        self.report(
            said.here("begins here")
                .help("close it with `\"`; a name ends on its line. A text stands in `'` quotes"),
        );
        self.push(Kind::Quoted, end);
    }

    /// `‘text’`, `“text”` and `` `name` ``: said, and taken for what stands between.
    fn foreign_quote(&mut self, first: char) {
        let (kind, close): (_, &[char]) = match first {
            '`' => (Kind::Quoted, &['`']),
            _ => (Kind::Text, &['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}']),
        };
        let inside = self.at + first.len_utf8();
        let rest = &self.text[inside..];
        let last = rest.find(|c| c == '\n' || close.contains(&c)).map(|at| (at, rest[at..].chars().next()));
        let end = match last {
            Some((at, Some(c))) if c != '\n' => Some(inside + at + c.len_utf8()),
            _ => None,
        };
        let span = Span::new(self.at, end.unwrap_or(inside));
        let message = format!("`{first}` is not a quote of the flow language");
        let said = Diagnostic::error("F003", span, message);
        self.report(said.help("a text stands in straight `'` quotes, a name with other characters in `\"`"));
        match end {
            Some(end) => self.push(kind, end),
            None => self.at = inside,
        }
    }

    fn underscore(&mut self) {
        let end = self.run(|c| c.is_alphanumeric() || c == '_');
        let name = &self.text[self.at..end];
        let said = Diagnostic::error(
            "F003",
            Span::new(self.at, end),
            format!("`{name}` begins with `_`, a name begins with a letter"),
        )
        .help(format!("drop the `_`, or write the name in quotes: `\"{name}\"`"));
        self.report(said);
        self.push(Kind::Word, end);
    }

    fn sign(&mut self, next: char) {
        if self.foreign_comment() {
            return;
        }
        if let Some(&(sign, kind, help)) = FOREIGN.iter().find(|(sign, ..)| self.rest().starts_with(sign)) {
            let end = self.at + sign.len();
            let message = format!("`{sign}` is not an operator of the flow language");
            self.report(Diagnostic::error("F010", Span::new(self.at, end), message).help(help));
            return self.push(kind, end);
        }
        match SIGNS.iter().find(|(sign, _)| self.rest().starts_with(sign)) {
            Some(&(sign, kind)) => self.push(kind, self.at + sign.len()),
            None => self.stranger(next),
        }
    }

    /// `//`, `/* */` and `#`: said, and skipped.
    fn foreign_comment(&mut self) -> bool {
        let rest = self.rest();
        let end = if rest.starts_with("//") || rest.starts_with('#') {
            self.at + self.text[self.at..self.line_end()].trim_end().len()
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(self.text.len(), |length| self.at + length + 2)
        } else {
            return false;
        };
        let mark = if rest.starts_with('#') { "#" } else { &rest[..2] };
        let span = Span::new(self.at, self.at + mark.len());
        let said = Diagnostic::error("F008", span, format!("`{mark}` does not begin a comment"))
            .help("a comment begins with `--` and ends with the line");
        self.report(said);
        self.at = end;
        true
    }

    /// A run of characters that mean nothing here: one diagnostic, no token.
    fn stranger(&mut self, first: char) {
        let end = match first {
            c if c.is_whitespace() || c.is_control() => self.run(|c| c == first),
            ';' => self.at + 1,
            _ => self.run(|c| c == first),
        };
        let span = Span::new(self.at, end);
        let said = match first {
            ';' => Diagnostic::error("F009", span, "`;` does not separate anything here")
                .help("leave it out, or write `,` between fields and columns; an action ends where the next one begins"),
            '[' | ']' => {
                Diagnostic::error("F003", span, format!("`{first}` has no meaning: there are no lists"))
                    .help("a list of values is written `in (1, 2)`, a row in `{ }`")
            }
            '^' => Diagnostic::error("F003", span, "`^` is not an operator").help("write `power(a, b)`"),
            '|' => Diagnostic::error("F003", span, "`|` is not an operator")
                .help("write `or` between conditions, `||` to join texts"),
            c if c.is_whitespace() => {
                let message = format!("white space of the kind U+{:04X} is not allowed", c as u32);
                Diagnostic::error("F003", span, message).help("put a plain space")
            }
            c if c.is_control() => {
                Diagnostic::error("F003", span, format!("a control character, U+{:04X}", c as u32))
                    .help("take it out")
            }
            c => Diagnostic::error("F003", span, format!("`{c}` has no meaning in the flow language"))
                .help("take it out; inside a text it stands in `'` quotes, inside a name in `\"` quotes"),
        };
        self.report(said);
        self.at = end;
    }
}

/// The length of the quoted piece that `text` begins with, both quotes included, when it ends on its line; a doubled
/// quote is part of it.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut from = 1;
    loop {
        let at = from + text[from..].find([quote, '\n'])?;
        if text[at..].starts_with('\n') {
            return None;
        }
        if !text[at + 1..].starts_with(quote) {
            return Some(at + 1);
        }
        from = at + 2;
    }
}
