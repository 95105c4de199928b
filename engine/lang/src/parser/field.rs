//! Schemas, shapes and their fields.

use super::recover::List;
use super::{Parsed, Parser, habits};
use crate::ast::{Expr, ExprKind, Field, Fields, Literal, Name, Schema, Shape, TypeName};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;
use crate::span::Span;

const FIELDS: List = List { close: Kind::CloseBrace, element: "field", next: "`,` or `}`", whole: false };

impl Parser<'_> {
    pub(super) fn schema(&mut self, start: Span) -> Parsed<Schema> {
        let name = self.name("a name for the schema")?;
        if let Some(colon) = self.eat(Kind::Colon).or_else(|| self.eat(Kind::Equal)) {
            let diagnostic = Diagnostic::error(
                "F001",
                colon.span,
                format!("expected `{{`, found `{}`", self.text_of(colon)),
            );
            self.report(diagnostic.help(format!("leave it out: `schema {} {{ ... }}`", name.text)));
        }
        let fields = self.fields()?;
        Ok(Schema { name, fields, span: self.since(start) })
    }

    pub(super) fn fields(&mut self) -> Parsed<Fields> {
        if self.is(Kind::OpenParen) {
            let diagnostic = Diagnostic::error("F001", self.token().span, "expected `{`, found `(`");
            return Err(self.report(diagnostic.help("fields stand in braces: `{ name: text, value: int? }`")));
        }
        let open = self.expect(Kind::OpenBrace, "`{`")?;
        let fields = self.list(open, &FIELDS, Self::field)?;
        Ok(Fields { fields, span: self.since(open.span) })
    }

    /// `name: type default literal`
    fn field(&mut self) -> Parsed<Field> {
        let start = self.token().span;
        let name = self.name("a field's name")?;
        if self.eat(Kind::Colon).is_none() {
            let sql = matches!(self.kind(), Kind::Word) && !self.first_on_line();
            if !sql {
                return Err(self.expected("`:` and the field's type", &[]));
            }
            self.missing_colon(&name);
        }
        let mut ty = self.type_name()?;
        self.column_constraints(&name, &mut ty);
        let default = if self.is(Kind::Equal) {
            let help = format!(
                "a column's default is written `{}: {} default ...`",
                name.text,
                self.written(ty.span)
            );
            self.report(
                Diagnostic::error("F001", self.token().span, "expected `default`, found `=`").help(help),
            );
            self.bump();
            Some(self.default_value()?)
        } else if self.eat_word("default").is_some() {
            Some(self.default_value()?)
        } else {
            None
        };
        self.column_constraints(&name, &mut ty);
        Ok(Field { name, ty, default, span: self.since(start) })
    }

    /// `name type`, as in SQL; that the type may be SQL's too is said by the same help.
    fn missing_colon(&mut self, name: &Name) {
        let word = self.here();
        let ours = habits::foreign_type(word).map_or(word, |(ours, _)| ours);
        let message = format!("expected `:`, found {}", self.found());
        let help = format!("a field is `name: type`: `{}: {ours}`", name.text);
        self.report(Diagnostic::error("F001", self.token().span, message).here("expected `:`").help(help));
    }

    /// What SQL writes after a type: said, taken, and where it changes the type understood.
    fn column_constraints(&mut self, name: &Name, ty: &mut TypeName) {
        loop {
            let start = self.token().span;
            let (words, help) = if self.is_word("not") && self.ahead_is_word(1, "null") {
                (2, "leave it out: a column is not null unless its type ends in `?`".to_owned())
            } else if self.is_word("null") {
                ty.nullable = true;
                (1, "a column that may be null has a `?` after its type: `text?`".to_owned())
            } else if self.is_word("primary") && self.ahead_is_word(1, "key") {
                (2, format!("the key stands in the table: `table T: SHAPE {{ key {} }}`", name.text))
            } else if self.is_word("unique") {
                (1, "only the key of a table is unique".to_owned())
            } else {
                return;
            };
            self.skip(words);
            let span = self.since(start);
            let written = self.text[span.range()].to_lowercase();
            let message = format!("`{written}` is SQL, not of the flow language");
            self.report(Diagnostic::error("F020", span, message).help(help));
        }
    }

    fn default_value(&mut self) -> Parsed<Expr> {
        if let Some(sign) = self.eat(Kind::Equal).or_else(|| self.eat(Kind::Colon)) {
            let message = format!("expected a literal, found `{}`", self.text_of(sign));
            self.report(Diagnostic::error("F001", sign.span, message).help("leave it out: `default 0`"));
        }
        let start = self.token().span;
        if self.is(Kind::Quoted) {
            return Ok(self.text_in_double_quotes());
        }
        if let Some(literal) = self.literal() {
            return Ok(literal);
        }
        if self.eat(Kind::Minus).is_some()
            && let Some(literal) = self.literal()
        {
            return Ok(Expr { kind: ExprKind::Negate(Box::new(literal)), span: self.since(start) });
        }
        Err(self.expected("a literal", &[]))
    }

    /// F010: `"text"` where only a text can stand; taken for the text.
    pub(super) fn text_in_double_quotes(&mut self) -> Expr {
        let token = self.bump();
        let text = self.name_of(token);
        let help = format!("write `'{}'`", text.replace('\'', "''"));
        let message = "double quotes make a name, here belongs a text";
        self.report(Diagnostic::error("F005", token.span, message).help(help));
        Expr { kind: ExprKind::Literal(Literal::Text(text)), span: token.span }
    }

    /// `: NAME` or `: { fields }`
    pub(super) fn shape(&mut self) -> Parsed<Shape> {
        if self.is(Kind::OpenBrace) {
            let diagnostic =
                Diagnostic::error("F001", self.gap(), "expected `:`, found `{`").here("expected `:`");
            self.report(
                diagnostic.help("a shape stands after `:`, a schema's name or fields: `NAME: { id: int }`"),
            );
            return self.fields().map(Shape::Fields);
        }
        self.expect(Kind::Colon, "`:` and a shape")?;
        match self.kind() {
            Kind::OpenBrace => self.fields().map(Shape::Fields),
            Kind::Word | Kind::Quoted => self.name("a schema's name").map(Shape::Named),
            _ => Err(self.expected("a schema's name or `{`", &[])),
        }
    }
}
