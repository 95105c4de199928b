//! Tokens to syntax tree: recursive descent with recovery, one token of look-ahead (two where a soft keyword asks).
//!
//! The parser never gives up: a broken field, action or item is reported once, skipped up to the next one, and left
//! out of the tree, so that all mistakes of a file come at once. A function that fails returns `Reported`, the
//! proof that a diagnostic was given; nobody reports the same mistake again on the way up.
//!
//! INVARIANT: recursion is bounded by [`MAX_NESTING`], the height of an expression by [`MAX_HEIGHT`], the text by
//! [`MAX_FILE_BYTES`]: no text can exhaust the stack or the memory of the parser or of whoever walks its tree.

use std::collections::BTreeSet;

use crate::ast;
use crate::diagnostic::Diagnostic;
use crate::lexer::{self, Kind, Token};
use crate::sink::Sink;
use crate::span::Span;
use crate::suggest::closest;

mod action;
mod call;
mod expr;
mod field;
mod habits;
mod item;
mod literal;
mod policy;
mod question;
mod recover;
mod row;
mod rule;
mod table;
mod types;

/// Blocks, parentheses, calls and cases inside each other. People stay below ten.
pub const MAX_NESTING: usize = 64;

/// Operators on the longest way down an expression, `a || b || ...` included: whoever walks the tree may recurse.
pub const MAX_HEIGHT: usize = 128;

pub use question::{QUESTION_BYTES_MAX, question};

/// Bytes of a flow file: a hundred times the largest that anybody would read.
pub const MAX_FILE_BYTES: usize = 4 << 20;

/// A flow file as read: the tree, and what the formatter needs beside it.
pub(crate) struct Source {
    pub(crate) file: ast::File,
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Span>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads a flow file. The tree holds everything that could be read; what could not is in the diagnostics, which come
/// in the order of the text. The file is well formed when there are none.
pub fn parse(text: &str) -> (ast::File, Vec<Diagnostic>) {
    let source = read(text);
    (source.file, source.diagnostics)
}

/// Like [`parse`], with tokens and comments.
pub(crate) fn read(text: &str) -> Source {
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, more than {MAX_FILE_BYTES}", text.len());
        let too_large =
            Diagnostic::error("F024", Span::new(0, 0), message).help("split it into several flows");
        let file = ast::File { flow: None, revision: None, items: Vec::new() };
        return Source { file, tokens: Vec::new(), comments: Vec::new(), diagnostics: vec![too_large] };
    }
    let lexer::Lexed { tokens, comments, diagnostics } = lexer::lex(text);
    let enums = declared_enums(text, &tokens);
    let mut parser = Parser::new(text, tokens, diagnostics, enums);
    let file = parser.file();
    Source { file, tokens: parser.tokens, comments, diagnostics: parser.diagnostics.into_sorted() }
}

fn declared_enums<'a>(text: &'a str, tokens: &[Token]) -> BTreeSet<&'a str> {
    let written = |token: &Token| &text[token.span.range()];
    let after_enum = tokens.windows(2).filter(|pair| written(&pair[0]).eq_ignore_ascii_case("enum"));
    after_enum.map(|pair| written(&pair[1])).collect()
}

/// The proof that a diagnostic was given.
#[derive(Debug)]
struct Reported;

type Parsed<T> = Result<T, Reported>;

struct Parser<'a> {
    text: &'a str,
    /// [`Kind::End`] last; never consumed.
    tokens: Vec<Token>,
    /// The current token.
    at: usize,
    /// How many constructs are open.
    nesting: usize,
    /// The height of the expression that was read last.
    height: usize,
    /// Whether F023 was given already.
    too_deep: bool,
    /// Where the lexer complained, in order: a parser error right after it says nothing new.
    junk: Vec<u32>,
    /// The names after `enum`, wherever.
    enums: BTreeSet<&'a str>,
    /// Whether the text is a question and no flow file.
    question: bool,
    diagnostics: Sink,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, tokens: Vec<Token>, diagnostics: Sink, enums: BTreeSet<&'a str>) -> Self {
        let junk = diagnostics.starts();
        let (nesting, height, too_deep, question) = (0, 0, false, false);
        Parser { text, tokens, at: 0, nesting, height, too_deep, junk, enums, question, diagnostics }
    }

    fn token(&self) -> Token {
        self.tokens[self.at]
    }

    fn kind(&self) -> Kind {
        self.token().kind
    }

    /// The token `ahead` places from here; the last one when there are fewer.
    fn ahead(&self, ahead: usize) -> Token {
        self.tokens[(self.at + ahead).min(self.tokens.len() - 1)]
    }

    fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.span.range()]
    }

    fn written(&self, span: Span) -> &'a str {
        &self.text[span.range()]
    }

    /// The current token as written.
    fn here(&self) -> &'a str {
        self.text_of(self.token())
    }

    /// Takes the current token.
    fn bump(&mut self) -> Token {
        let token = self.token();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    /// Takes `count` tokens.
    fn skip(&mut self, count: usize) {
        self.at = (self.at + count).min(self.tokens.len() - 1);
    }

    /// Where the token before this one ends.
    fn before(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |at| self.tokens[at].span.end as usize)
    }

    /// From `start` to the end of the token before this one.
    fn since(&self, start: Span) -> Span {
        Span::new(start.start as usize, self.before().max(start.end as usize))
    }

    fn is(&self, kind: Kind) -> bool {
        self.kind() == kind
    }

    fn is_word(&self, word: &str) -> bool {
        self.ahead_is_word(0, word)
    }

    fn ahead_is_word(&self, ahead: usize, word: &str) -> bool {
        let token = self.ahead(ahead);
        token.kind == Kind::Word && self.text_of(token).eq_ignore_ascii_case(word)
    }

    /// Takes the token when it is of this kind.
    fn eat(&mut self, kind: Kind) -> Option<Token> {
        self.is(kind).then(|| self.bump())
    }

    /// Takes the token when it is this keyword.
    fn eat_word(&mut self, word: &str) -> Option<Token> {
        self.is_word(word).then(|| self.bump())
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        self.diagnostics.push(diagnostic);
        Reported
    }

    /// Whether the lexer complained about something between the token before and the end of this one.
    fn after_junk(&self) -> bool {
        let from = self.before() as u32;
        let next = self.junk.partition_point(|start| *start < from);
        self.junk.get(next).is_some_and(|start| *start < self.token().span.end.max(from + 1))
    }

    /// The place for "something is missing here": this token, or the end of the line before when it is on another.
    fn gap(&self) -> Span {
        let (before, token) = (self.before(), self.token());
        let apart = &self.text[before..token.span.start as usize];
        if self.at > 0 && (token.kind == Kind::End || apart.contains('\n')) {
            Span::new(before, before)
        } else {
            token.span
        }
    }

    /// What stands here, for a message.
    fn found(&self) -> String {
        match self.kind() {
            Kind::End if self.question => "the end of the question".into(),
            Kind::End => "the end of the file".into(),
            _ => format!("`{}`", shortened(self.here())),
        }
    }

    /// F001: something else belongs here. A word near one of `candidates` is asked back.
    fn expected(&mut self, what: &str, candidates: &[&'static str]) -> Reported {
        if self.after_junk() {
            return Reported;
        }
        let message = format!("expected {what}, found {}", self.found());
        let mut diagnostic = Diagnostic::error("F001", self.gap(), message).here(format!("expected {what}"));
        let near = self.is(Kind::Word).then(|| closest(self.here(), candidates.iter().copied())).flatten();
        if let Some(near) = near {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.report(diagnostic)
    }

    /// Takes a sign, or reports that `what` is missing.
    fn expect(&mut self, kind: Kind, what: &str) -> Parsed<Token> {
        match self.eat(kind) {
            Some(token) => Ok(token),
            None => Err(self.expected(what, &[])),
        }
    }

    /// Takes a keyword; a mistyped one is reported and taken all the same.
    fn expect_word(&mut self, word: &'static str) -> Parsed<Token> {
        if let Some(token) = self.eat_word(word) {
            return Ok(token);
        }
        let mistyped = self.is(Kind::Word) && closest(self.here(), [word]).is_some();
        let reported = self.expected(&format!("`{word}`"), &[word]);
        if mistyped { Ok(self.bump()) } else { Err(reported) }
    }

    /// Which of `words` stands here; a mistyped one is reported and taken for what it was meant to be.
    fn one_of(&mut self, words: &[&'static str], what: &str) -> Parsed<&'static str> {
        if !self.is(Kind::Word) {
            return Err(self.expected(what, words));
        }
        let exact = words.iter().find(|word| self.is_word(word)).copied();
        if exact.is_none() {
            let meant = closest(self.here(), words.iter().copied());
            let reported = self.expected(what, words);
            let Some(meant) = meant else { return Err(reported) };
            self.bump();
            return Ok(meant);
        }
        self.bump();
        exact.ok_or(Reported)
    }

    /// A name. A reserved word is reported and taken for one.
    fn name(&mut self, what: &str) -> Parsed<ast::Name> {
        match self.kind() {
            Kind::Quoted => {}
            Kind::Word if !habits::is_reserved(self.here()) => {}
            Kind::Word => {
                let word = self.here();
                let message = format!("`{word}` is a word of the language and cannot be {what}");
                let help = format!("take another name, or write it in quotes: `\"{word}\"`");
                self.report(Diagnostic::error("F013", self.token().span, message).help(help));
            }
            _ => return Err(self.expected(what, &[])),
        }
        let token = self.bump();
        Ok(ast::Name { text: self.name_of(token), span: token.span })
    }

    /// After a dot every word is free.
    fn name_after_dot(&mut self) -> Parsed<ast::Name> {
        if !matches!(self.kind(), Kind::Word | Kind::Quoted) {
            return Err(self.expected("a column's name after the `.`", &[]));
        }
        let token = self.bump();
        Ok(ast::Name { text: self.name_of(token), span: token.span })
    }

    fn names(&mut self, what: &str) -> Parsed<Vec<ast::Name>> {
        let mut names = vec![self.name(what)?];
        while self.eat(Kind::Comma).is_some() {
            names.push(self.name(what)?);
        }
        Ok(names)
    }

    fn name_of(&self, token: Token) -> String {
        match token.kind {
            Kind::Quoted => literal::unquote(self.text_of(token), '"'),
            _ => self.text_of(token).to_owned(),
        }
    }

    /// Runs `inside` one level deeper, or reports that it is too deep.
    fn nested<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == MAX_NESTING {
            return Err(self.too_deep(format!("more than {MAX_NESTING} levels inside each other")));
        }
        self.nesting += 1;
        let result = inside(self);
        self.nesting -= 1;
        result
    }

    /// F023, once per file.
    fn too_deep(&mut self, message: String) -> Reported {
        if !std::mem::replace(&mut self.too_deep, true) {
            let help = match self.question {
                true => "ask in several questions, or write less at once",
                false => "take a part out with `let`, or write it as several rules",
            };
            self.report(Diagnostic::error("F023", self.token().span, message).help(help));
        }
        Reported
    }
}

/// At most forty characters of a token, for a message.
fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
