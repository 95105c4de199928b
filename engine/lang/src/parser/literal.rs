//! Literals: from the text of a token to a constant.

use super::{Parsed, Parser};
use crate::ast::{Expr, ExprKind, Literal};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Kind, Token, UNITS};
use crate::span::Span;

/// The digits of the largest decimal.
const MAX_DECIMAL_DIGITS: usize = 38;

/// A quoted piece without its quotes, doubled ones made single. Foreign quotes, which the lexer reports, count too.
pub(super) fn unquote(quoted: &str, quote: char) -> String {
    let quotes = [quote, '`', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'];
    let inside = quoted.strip_prefix(quotes).unwrap_or(quoted);
    let inside = inside.strip_suffix(quotes).unwrap_or(inside);
    let doubled = [quote, quote].iter().collect::<String>();
    inside.replace(&doubled, quote.encode_utf8(&mut [0; 4]))
}

impl Parser<'_> {
    /// A literal that begins here, with the `-` before it that belongs to it; nothing when there is none.
    pub(super) fn literal(&mut self) -> Option<Expr> {
        let token = self.token();
        let start = token.span;
        if token.kind == Kind::Minus && self.ahead(1).kind == Kind::Int {
            self.bump();
            let digits = self.bump();
            let span = start.to(digits.span);
            let value = self.integer(digits, true, span);
            return Some(Expr { kind: ExprKind::Literal(Literal::Int(value)), span });
        }
        let literal = match token.kind {
            Kind::Int => Literal::Int(self.integer(token, false, start)),
            Kind::Decimal => Literal::Decimal(self.decimal(token)),
            Kind::Float => Literal::Float(self.float(token)),
            Kind::Duration => self.duration(token),
            Kind::BadNumber => Literal::Int(0),
            Kind::Text => Literal::Text(unquote(self.text_of(token), '\'')),
            Kind::Word => match self.here().to_ascii_lowercase().as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                "null" => Literal::Null,
                _ => return None,
            },
            _ => return None,
        };
        self.bump();
        Some(Expr { kind: ExprKind::Literal(literal), span: start })
    }

    /// A whole number where the grammar says INT.
    pub(super) fn int(&mut self, what: &str) -> Parsed<(i64, Span)> {
        if self.eat(Kind::BadNumber).is_some() {
            return Err(super::Reported);
        }
        let token = self.expect(Kind::Int, what)?;
        Ok((self.integer(token, false, token.span), token.span))
    }

    fn integer(&mut self, token: Token, negative: bool, span: Span) -> i64 {
        let digits = without_underscores(self.text_of(token));
        let signed = if negative { format!("-{digits}") } else { digits };
        signed.parse().unwrap_or_else(|_| {
            let help = format!("an int has 64 bits: {} to {}", i64::MIN, i64::MAX);
            self.out_of_range(span, "an int", help);
            0
        })
    }

    fn decimal(&mut self, token: Token) -> String {
        let digits = without_underscores(self.text_of(token));
        if digits.len() > MAX_DECIMAL_DIGITS + 1 {
            self.out_of_range(
                token.span,
                "a decimal",
                format!("a decimal has at most {MAX_DECIMAL_DIGITS} digits"),
            );
            return "0.0".into();
        }
        digits
    }

    fn float(&mut self, token: Token) -> String {
        let digits = without_underscores(self.text_of(token));
        if !digits.parse::<f64>().is_ok_and(f64::is_finite) {
            self.out_of_range(token.span, "a float", "a float goes up to about 1.8e308".into());
            return "0e0".into();
        }
        digits
    }

    fn duration(&mut self, token: Token) -> Literal {
        let written = without_underscores(self.text_of(token));
        let unit = written.trim_start_matches(|c: char| c.is_ascii_digit());
        let count = written[..written.len() - unit.len()].parse::<i64>().ok();
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let microseconds = count.zip(factor).and_then(|(count, factor)| count.checked_mul(factor));
        if microseconds.is_none() {
            self.out_of_range(token.span, "a duration", "a duration goes up to about 292,000 years".into());
        }
        Literal::Duration(microseconds.unwrap_or(0), written)
    }

    fn out_of_range(&mut self, span: Span, what: &str, help: String) {
        let written = super::shortened(&self.text[span.range()]);
        self.report(Diagnostic::error("F007", span, format!("`{written}` does not fit {what}")).help(help));
    }
}

fn without_underscores(number: &str) -> String {
    number.replace('_', "")
}
