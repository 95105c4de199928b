//! Types as they are written.

use super::{Parsed, Parser, habits};
use crate::ast::{TypeKind, TypeName};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;
use crate::span::Span;

/// The types with their words.
const TYPES: [(&str, TypeKind); 9] = [
    ("bool", TypeKind::Bool),
    ("int", TypeKind::Int),
    ("float", TypeKind::Float),
    ("decimal", TypeKind::Decimal(None)),
    ("text", TypeKind::Text),
    ("bytes", TypeKind::Bytes),
    ("time", TypeKind::Time),
    ("duration", TypeKind::Duration),
    ("json", TypeKind::Json),
];

impl Parser<'_> {
    pub(super) fn type_name(&mut self) -> Parsed<TypeName> {
        let start = self.token().span;
        if self.is(Kind::Quoted) {
            let name = self.name("a type")?;
            return Ok(self.type_end(TypeKind::Named(name.text), start));
        }
        if !self.is(Kind::Word) || habits::is_reserved(self.here()) {
            return Err(self.expected("a type", &[]));
        }
        let word = self.here();
        let known = TYPES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        let kind = match known {
            Some((_, TypeKind::Decimal(_))) => {
                self.bump();
                TypeKind::Decimal(self.decimal_digits()?)
            }
            Some((_, kind)) => {
                self.bump();
                self.no_length(word)?;
                kind.clone()
            }
            None => self.named_type()?,
        };
        Ok(self.type_end(kind, start))
    }

    fn type_end(&mut self, kind: TypeKind, start: Span) -> TypeName {
        let nullable = self.eat(Kind::Question).is_some();
        TypeName { kind, nullable, span: self.since(start) }
    }

    /// A type of another language is reported and taken for ours, unless the file declares an enum of that name.
    fn named_type(&mut self) -> Parsed<TypeKind> {
        let token = self.bump();
        let word = self.text_of(token);
        let declared = self.enums.contains(word);
        let Some((meant, kind)) = habits::foreign_type(word).filter(|_| !declared) else {
            return Ok(TypeKind::Named(word.to_owned()));
        };
        let kind = match kind {
            TypeKind::Decimal(_) => TypeKind::Decimal(self.decimal_digits()?),
            kind => {
                if let Some(open) = self.eat(Kind::OpenParen) {
                    self.skip_until(|parser, _| matches!(parser.kind(), Kind::CloseParen | Kind::CloseBrace));
                    if self.eat(Kind::CloseParen).is_none() {
                        return Err(self.unclosed(open));
                    }
                }
                kind
            }
        };
        if !self.diagnostics.said_at(token.span.start) {
            let message = format!("`{word}` is not a type of the flow language");
            self.report(Diagnostic::error("F017", token.span, message).help(format!("write `{meant}`")));
        }
        Ok(kind)
    }

    /// `text(20)`: said, and taken as `text`.
    fn no_length(&mut self, word: &str) -> Parsed<()> {
        let Some(open) = self.eat(Kind::OpenParen) else { return Ok(()) };
        self.skip_until(|parser, _| matches!(parser.kind(), Kind::CloseParen | Kind::CloseBrace));
        if self.eat(Kind::CloseParen).is_none() {
            return Err(self.unclosed(open));
        }
        let message = format!("`{}` has no length", word.to_lowercase());
        let help = format!(
            "write `{}`; a limit is a rule's: `require length(x) <= 20 else invalid 'too long'`",
            word.to_lowercase()
        );
        self.report(Diagnostic::error("F017", self.since(open.span), message).help(help));
        Ok(())
    }

    fn decimal_digits(&mut self) -> Parsed<Option<(i64, i64)>> {
        let Some(open) = self.eat(Kind::OpenParen) else { return Ok(None) };
        let (precision, _) = self.int("the number of digits")?;
        if self.is(Kind::CloseParen) {
            self.bump();
            let message = "a decimal has digits and digits after the point";
            let help = format!("write `decimal({precision}, 0)`");
            self.report(Diagnostic::error("F017", self.since(open.span), message).help(help));
            return Ok(Some((precision, 0)));
        }
        self.expect(Kind::Comma, "`,`")?;
        let (scale, _) = self.int("the number of digits after the point")?;
        self.expect(Kind::CloseParen, "`)`")?;
        Ok(Some((precision, scale)))
    }
}
