//! The operands of an expression: literals, names, calls, `case`, `cast`.

use super::{Parsed, Parser, Reported, habits};
use crate::ast::{Expr, ExprKind, Name};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Kind, Token};
use crate::span::Span;

/// Functions over the rows of a table, planned.
const AGGREGATES: [&str; 8] = ["count", "sum", "min", "max", "avg", "exists", "json_list", "array_agg"];

/// Functions that SQL writes with words between the arguments: the words, and how they are written here.
const SQL_FORMS: [(&str, &[&str], &str); 5] = [
    ("extract", &["from"], "write `extract('year', t)`"),
    ("substring", &["from", "for"], "write `substring(text, start, length)`"),
    ("trim", &["from", "both", "leading", "trailing"], "write `trim(text)`"),
    ("position", &["in"], "write `position(part, text)`"),
    ("overlay", &["placing"], "join the parts with `||` and `substring`"),
];

/// Tokens of a call that are searched for SQL's words: any call that people write, and no work that grows with the file.
const MAX_CALL_TOKENS: usize = 500;

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Parsed<Expr> {
        self.height = 0;
        let start = self.token().span;
        if let Some(literal) = self.literal() {
            return Ok(literal);
        }
        match self.kind() {
            Kind::OpenParen => self.parenthesis(start),
            Kind::Quoted => self.column(start),
            Kind::Word if self.is_word("case") => self.case(start),
            Kind::Word if self.ahead(1).kind == Kind::OpenParen && !habits::is_reserved(self.here()) => {
                self.call(start)
            }
            Kind::Word if self.ahead(1).kind == Kind::Text => Err(self.typed_literal(start)),
            Kind::Word if !habits::is_reserved(self.here()) => self.column(start),
            Kind::OpenBrace => {
                let diagnostic = Diagnostic::error("F001", start, "expected a value, found `{`");
                Err(self.report(
                    diagnostic.help("a row cannot stand in an expression; json is made with `json_object`"),
                ))
            }
            _ => Err(self.expected("a value", &[])),
        }
    }

    fn parenthesis(&mut self, start: Span) -> Parsed<Expr> {
        let open = self.bump();
        if self.is_word("select") && matches!(self.ahead(1).kind, Kind::Word | Kind::Star | Kind::Quoted) {
            return Err(self.select_inside());
        }
        let inside = self.expr()?;
        self.close(open)?;
        self.grow_by_one()?;
        Ok(Expr { kind: ExprKind::Paren(Box::new(inside)), span: self.since(start) })
    }

    /// A `select` behind a `(`.
    pub(super) fn select_inside(&mut self) -> Reported {
        let span = self.token().span;
        if self.question {
            let message = "a question inside a question is not there yet";
            let help = "ask twice, or keep the result in a table; subqueries come with views";
            let reported = self.report(Diagnostic::error("F082", span, message).help(help));
            self.skip_call();
            return reported;
        }
        let message = "there is no `select` inside an expression";
        let help = "`read` the row first: `read T where key = ... as row or null`";
        self.report(Diagnostic::error("F020", span, message).help(help))
    }

    /// `name` or `alias.name`
    fn column(&mut self, start: Span) -> Parsed<Expr> {
        let name = self.name("a name")?;
        if self.eat(Kind::Dot).is_none() {
            return Ok(Expr { kind: ExprKind::Name(None, name), span: self.since(start) });
        }
        if self.is(Kind::Star) {
            let span = self.since(start).to(self.token().span);
            let message = "`*` does not stand for all columns";
            let help = match self.question {
                true => "write `*` alone: a question is over one table".to_owned(),
                false => format!("write `..{}` in a row", name.text),
            };
            return Err(self.report(Diagnostic::error("F020", span, message).help(help)));
        }
        let column = self.name_after_dot()?;
        let method =
            self.is(Kind::Dot) && self.ahead(1).kind == Kind::Word && self.ahead(2).kind == Kind::OpenParen;
        if method {
            let function = self.text_of(self.ahead(1)).to_lowercase();
            let span = self.since(start).to(self.ahead(1).span);
            let message = format!("`{function}` is called like a method");
            let help = format!("write `{function}({}.{})`", name.text, column.text);
            return Err(self.report(Diagnostic::error("F019", span, message).help(help)));
        }
        if self.is(Kind::OpenParen) {
            let message = format!("`{}` is called like a method", column.text);
            let help = format!(
                "a function takes all it needs in parentheses: `{}({}, ...)`",
                column.text, name.text
            );
            return Err(self.report(Diagnostic::error("F019", self.since(start), message).help(help)));
        }
        if self.is(Kind::Dot) {
            let help = format!(
                "a name has one `.`; a member of json is read with `json_get({}.{}, 'member')`",
                name.text, column.text
            );
            let diagnostic = Diagnostic::error("F001", self.token().span, "expected an operator, found `.`");
            return Err(self.report(diagnostic.help(help)));
        }
        Ok(Expr { kind: ExprKind::Name(Some(name), column), span: self.since(start) })
    }

    /// `case when a then b else c end`
    fn case(&mut self, start: Span) -> Parsed<Expr> {
        self.bump();
        if !self.is_word("when") {
            let simple = !self.is_word("end") && !self.is_word("else");
            let help = if simple {
                "every condition is written out: `case when x = 1 then ... end`"
            } else {
                "write at least one `when ... then ...`"
            };
            let message = format!("expected `when`, found {}", self.found());
            return Err(self
                .report(Diagnostic::error("F021", self.gap(), message).here("expected `when`").help(help)));
        }
        let mut arms = Vec::new();
        let mut height = 0;
        while self.eat_word("when").is_some() {
            let condition = self.expr()?;
            height = self.height.max(height);
            self.expect_word("then")?;
            arms.push((condition, self.expr()?));
            height = self.height.max(height);
        }
        let otherwise = match self.eat_word("else") {
            Some(_) => Some(Box::new(self.expr()?)),
            None => None,
        };
        self.height = self.height.max(height);
        if self.eat_word("end").is_none() {
            if self.after_junk() {
                return Err(Reported);
            }
            let message = format!("expected `end`, found {}", self.found());
            let diagnostic = Diagnostic::error("F011", self.gap(), message).here("expected `end`");
            return Err(
                self.report(diagnostic.and(start, "this `case` is not closed").help("close it with `end`"))
            );
        }
        self.grow_by_one()?;
        Ok(Expr { kind: ExprKind::Case { arms, otherwise }, span: self.since(start) })
    }

    fn call(&mut self, start: Span) -> Parsed<Expr> {
        let word = self.bump();
        let name = Name { text: self.text_of(word).to_lowercase(), span: word.span };
        let open = self.bump();
        if name.text == "cast" {
            return self.cast(start, open);
        }
        if self.question
            && let Some(kind) = super::question::aggregate_kind(&name.text)
        {
            return self.aggregate(start, kind, open);
        }
        if let Some(reported) = self.foreign_call(&name) {
            return Err(reported);
        }
        let arguments = if self.eat(Kind::CloseParen).is_some() { Vec::new() } else { self.arguments(open)? };
        self.grow_by_one()?;
        Ok(Expr { kind: ExprKind::Call(name, arguments), span: self.since(start) })
    }

    /// `cast(expr as type)`
    fn cast(&mut self, start: Span, open: Token) -> Parsed<Expr> {
        let value = self.expr()?;
        if self.is(Kind::Comma) {
            let diagnostic = Diagnostic::error("F001", self.token().span, "expected `as`, found `,`");
            return Err(self.report(diagnostic.help("write `cast(value as type)`")));
        }
        self.expect_word("as")?;
        let ty = self.type_name()?;
        self.close(open)?;
        self.grow_by_one()?;
        Ok(Expr { kind: ExprKind::Cast(Box::new(value), ty), span: self.since(start) })
    }

    /// A call that is planned, or written as in SQL; its arguments are skipped.
    fn foreign_call(&mut self, name: &Name) -> Option<Reported> {
        let aggregate = AGGREGATES.contains(&name.text.as_str());
        let star = self.is(Kind::Star);
        let distinct = self.is_word("distinct") && self.ahead(1).kind != Kind::CloseParen;
        let form = SQL_FORMS.iter().find(|(function, ..)| *function == name.text);
        let words = form.map_or(&["from"][..], |(_, words, _)| words);
        let word = self.word_in_call(words);
        let what = match (form, word) {
            (Some((_, _, help)), Some(word)) => {
                let message = format!("the arguments of `{}` are separated by `,`", name.text);
                let diagnostic = Diagnostic::error("F019", word.span, message).help(*help);
                let reported = self.report(diagnostic);
                self.skip_call();
                return Some(reported);
            }
            (None, Some(word)) => format!("{}(... {} ...)", name.text, self.text_of(word).to_lowercase()),
            (None, None) if star => format!("{}(*)", name.text),
            (None, None) if distinct => format!("{}(distinct ...)", name.text),
            (None, None) if aggregate => format!("{}(...)", name.text),
            _ => return None,
        };
        let help = match name.text.as_str() {
            _ if self.question => "until then, ask for the rows and put them together",
            "min" => "of several values the smallest is `least(a, b)`; over a table, keep it in a column",
            "max" => "of several values the greatest is `greatest(a, b)`; over a table, keep it in a column",
            _ => "until then, keep the number in a table: `upsert T { key: ..., n += 1 }`",
        };
        let reported = self.planned(name.span, &what, help);
        self.skip_call();
        Some(reported)
    }

    /// The first of `words` between here and the `)` of this call, not inside other parentheses.
    fn word_in_call(&self, words: &[&str]) -> Option<Token> {
        let mut depth = 0usize;
        for &token in self.tokens[self.at..].iter().take(MAX_CALL_TOKENS) {
            match token.kind {
                Kind::OpenParen => depth += 1,
                Kind::CloseParen if depth == 0 => return None,
                Kind::CloseParen => depth -= 1,
                Kind::OpenBrace | Kind::CloseBrace | Kind::End => return None,
                Kind::Word
                    if depth == 0
                        && words.iter().any(|word| self.text_of(token).eq_ignore_ascii_case(word)) =>
                {
                    return Some(token);
                }
                _ => {}
            }
        }
        None
    }

    /// Skips past the `)` of a call whose `(` was taken.
    pub(super) fn skip_call(&mut self) {
        self.skip_until(|parser, depth| {
            (depth == 0 && parser.is(Kind::CloseParen))
                || matches!(parser.kind(), Kind::OpenBrace | Kind::CloseBrace)
        });
        self.eat(Kind::CloseParen);
    }

    /// `interval '5 minutes'`, `date '2024-01-01'`: a word before a text.
    fn typed_literal(&mut self, start: Span) -> Reported {
        let word = self.here().to_ascii_lowercase();
        let text = self.text_of(self.ahead(1)).to_owned();
        let (message, help) = match habits::foreign_type(&word) {
            _ if word == "interval" => ("a duration is a number with its unit", "write `5m`".to_owned()),
            _ if word == "time" => {
                ("a time is a text made into one", format!("write `cast({text} as time)`"))
            }
            Some((meant, _)) => {
                ("a word does not change a text's type", format!("write `cast({text} as {meant})`"))
            }
            None if habits::is_reserved(&word) => return self.expected("a value", &[]),
            None => ("a text cannot follow a name", "an operator or a `,` is missing".to_owned()),
        };
        let span = start.to(self.ahead(1).span);
        self.report(Diagnostic::error("F019", span, message).help(help))
    }

    pub(super) fn grow_by_one(&mut self) -> Parsed<()> {
        self.height += 1;
        if self.height > super::MAX_HEIGHT {
            return Err(self
                .too_deep(format!("an expression with more than {} operators in a row", super::MAX_HEIGHT)));
        }
        Ok(())
    }
}
