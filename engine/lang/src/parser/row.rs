//! Rows to write or send.

use super::recover::List;
use super::{Parsed, Parser};
use crate::ast::{Part, PartKind, RowExpr};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;

const PARTS: List = List { close: Kind::CloseBrace, element: "column", next: "`,` or `}`", whole: true };

impl Parser<'_> {
    /// `NAME` or `{ parts }`
    pub(super) fn row(&mut self) -> Parsed<RowExpr> {
        match self.kind() {
            Kind::OpenBrace => {
                let open = self.bump();
                let parts = self.list(open, &PARTS, Self::part)?;
                Ok(RowExpr { parts, bare: false, span: self.since(open.span) })
            }
            Kind::Word | Kind::Quoted => {
                let name = self.name("a row")?;
                let span = name.span;
                Ok(RowExpr { parts: vec![Part { kind: PartKind::Spread(name), span }], bare: true, span })
            }
            Kind::OpenParen => {
                let diagnostic = Diagnostic::error(
                    "F020",
                    self.token().span,
                    "a row stands in braces, not in parentheses",
                );
                Err(self.report(diagnostic.help("write `{ column: value, ... }`")))
            }
            _ => Err(self.expected("a row, `{ ... }` or its name", &[])),
        }
    }

    fn part(&mut self) -> Parsed<Part> {
        let start = self.token().span;
        if self.eat(Kind::Spread).is_some() {
            if let Some(dot) = self.eat(Kind::Dot) {
                let message = "expected `..`, found `...`";
                self.report(
                    Diagnostic::error("F001", start.to(dot.span), message)
                        .help("two points spread a row: `..x`"),
                );
            }
            let name = self.name("a row's name")?;
            return Ok(Part { kind: PartKind::Spread(name), span: self.since(start) });
        }
        if self.is(Kind::Star) {
            let diagnostic = Diagnostic::error("F020", start, "`*` does not stand for all columns");
            return Err(self.report(diagnostic.help("write `..x` for all columns of the row `x`")));
        }
        let name = self.name("a column's name")?;
        match self.kind() {
            Kind::Colon => {
                self.bump();
                Ok(PartKind::Set(name, self.expr()?))
            }
            Kind::AddTo => {
                self.bump();
                Ok(PartKind::Add(name, self.expr()?))
            }
            Kind::SubtractFrom => {
                self.bump();
                Ok(PartKind::Subtract(name, self.expr()?))
            }
            Kind::Equal => {
                let sign = self.bump();
                if self.text_of(sign) == "=" {
                    let message = "a column is given its value with `:`";
                    let help = format!("write `{}: ...`", name.text);
                    self.report(
                        Diagnostic::error("F026", sign.span, message).here("expected `:`").help(help),
                    );
                }
                Ok(PartKind::Set(name, self.expr()?))
            }
            Kind::Dot if self.ahead(1).kind == Kind::Star => {
                let span = start.to(self.ahead(1).span);
                let diagnostic = Diagnostic::error("F020", span, "`*` does not stand for all columns");
                Err(self.report(diagnostic.help(format!("write `..{}`", name.text))))
            }
            Kind::Dot => {
                let message = format!("`{}.` stands before a value's name, not before a column's", name.text);
                let help = format!(
                    "a part is `column: value`; write `column: {}.column`, or `..{}` for all columns",
                    name.text, name.text
                );
                Err(self.report(Diagnostic::error("F026", self.since(start), message).help(help)))
            }
            Kind::Comma | Kind::CloseBrace => {
                let message = format!("`{}` has no value", name.text);
                let help = format!("write `{0}: value`, or `..{0}` for all columns of a row", name.text);
                Err(self.report(Diagnostic::error("F026", name.span, message).help(help)))
            }
            _ => Err(self.expected("`:` and a value", &[])),
        }
        .map(|kind| Part { kind, span: self.since(start) })
    }
}
