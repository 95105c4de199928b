//! Columns: their types and defaults.

use anabranch_model::types::MAX_COLUMNS;
use anabranch_model::{Column, Shape, Type, Value};

use crate::ast::{self, TypeKind};
use crate::diagnostic::Diagnostic;
use crate::suggest;

use super::Checker;
use super::declarations::Kind;
use super::literal::{self, Problem};

/// The words of the built-in types.
const TYPE_WORDS: [&str; 9] =
    ["bool", "int", "float", "decimal", "text", "bytes", "time", "duration", "json"];

/// Digits of a decimal.
const MAX_PRECISION: i64 = 38;

impl Checker<'_> {
    /// The shape that `fields` declare; none when a part of it is broken.
    pub(super) fn fields(&mut self, fields: &ast::Fields) -> Option<Shape> {
        let names: Vec<_> = fields.fields.iter().map(|field| field.name.clone()).collect();
        let mut good = self.distinct(&names, |name| format!("the column `{name}` is declared twice"));
        if fields.fields.is_empty() || fields.fields.len() > MAX_COLUMNS {
            let message = match fields.fields.len() {
                0 => "a row without columns".to_owned(),
                count => format!("{count} columns; a row has at most {MAX_COLUMNS}"),
            };
            self.report(
                Diagnostic::error("F037", fields.span, message)
                    .help(format!("name from 1 to {MAX_COLUMNS} columns, as `{{ name: text }}`")),
            );
            good = false;
        }
        let mut columns = Vec::new();
        for field in &fields.fields {
            match self.field(field) {
                Some(column) => columns.push(column),
                None => good = false,
            }
        }
        good.then(|| Shape::new(columns))
    }

    fn field(&mut self, field: &ast::Field) -> Option<Column> {
        let ty = self.type_of(&field.ty)?;
        let default = match &field.default {
            None => None,
            Some(default) => self.default(field, default, &ty)?,
        };
        Some(Column { name: field.name.text.clone(), ty, nullable: field.ty.nullable, default })
    }

    /// The default of a column; the inner none is `default null`, which says nothing.
    fn default(
        &mut self,
        field: &ast::Field,
        default: &ast::Expr,
        ty: &Type,
    ) -> Option<Option<Value<'static>>> {
        let Some(constant) = literal::constant(default) else {
            self.report(
                Diagnostic::error("F038", default.span, "a default is a literal")
                    .here("not a literal")
                    .help("name the column where the row is written, as `at: now()`"),
            );
            return None;
        };
        if constant.is_null() {
            if field.ty.nullable {
                return Some(None);
            }
            self.report(
                Diagnostic::error("F038", default.span, format!("`{}` cannot be null", field.name.text))
                    .here("null")
                    .and(field.ty.span, "not nullable")
                    .help(format!("write `{ty}?`, or leave the default out")),
            );
            return None;
        }
        match constant.value_of(ty) {
            Ok(value) => Some(Some(value)),
            Err(problem) => {
                let label = problem.label();
                let help = match ty {
                    Type::Time | Type::Bytes | Type::Json => {
                        format!("a {ty} has no literal: make the column `{ty}?`, or name it in every row")
                    }
                    Type::Decimal { scale, .. } if matches!(problem, Problem::Value { .. }) => {
                        format!("write at most {scale} digits after the point, or declare more")
                    }
                    _ => problem.help(),
                };
                let message = format!("the default of `{}` is not {}", field.name.text, with_article(ty));
                self.report(
                    Diagnostic::error("F038", default.span, message)
                        .here(label)
                        .and(field.ty.span, format!("declared `{ty}`"))
                        .help(help),
                );
                None
            }
        }
    }

    /// The type that a file writes.
    pub(super) fn type_of(&mut self, of: &ast::TypeName) -> Option<Type> {
        Some(match &of.kind {
            TypeKind::Bool => Type::Bool,
            TypeKind::Int => Type::Int,
            TypeKind::Float => Type::Float,
            TypeKind::Decimal(None) => Type::Decimal { precision: 38, scale: 9 },
            TypeKind::Decimal(Some((precision, scale))) => return self.decimal(of, *precision, *scale),
            TypeKind::Text => Type::Text,
            TypeKind::Bytes => Type::Bytes,
            TypeKind::Time => Type::Time,
            TypeKind::Duration => Type::Duration,
            TypeKind::Json => Type::Json,
            TypeKind::Named(name) => return self.named_type(of, name),
        })
    }

    fn decimal(&mut self, of: &ast::TypeName, precision: i64, scale: i64) -> Option<Type> {
        if (1..=MAX_PRECISION).contains(&precision) && (0..=precision).contains(&scale) {
            return Some(Type::Decimal { precision: precision as u8, scale: scale as u8 });
        }
        self.report(
            Diagnostic::error("F036", of.span, format!("there is no decimal({precision}, {scale})"))
                .here("digits in all, digits after the point")
                .help(format!(
                    "write from 1 to {MAX_PRECISION} digits in all, and from 0 to that many after the point"
                )),
        );
        None
    }

    fn named_type(&mut self, of: &ast::TypeName, name: &str) -> Option<Type> {
        match self.declared.names.get(name).map(|found| (found.kind, found.span)) {
            Some((Kind::Enum(at), _)) => {
                let found = self.declared.enums.get_mut(at)?;
                found.used = true;
                return found.ty.clone().map(Type::Enum);
            }
            Some((kind, span)) => {
                self.report(
                    Diagnostic::error("F035", of.span, format!("`{name}` is {}, not a type", kind.noun()))
                        .here("the type of a column is a built-in type or an enum")
                        .and(span, "declared here")
                        .help("write its columns out"),
                );
                return None;
            }
            None => {}
        }
        if self.full() || self.may_be_unread(name) {
            return None;
        }
        let schemas = self.tree.items.iter().filter_map(|item| match item {
            ast::Item::Schema(schema) => Some(schema.name.text.as_str()),
            _ => None,
        });
        let is_schema = schemas.into_iter().any(|schema| schema == name);
        let mut candidates: Vec<_> = self.declared.enums.iter().map(|of| of.name.as_str()).collect();
        candidates.extend(TYPE_WORDS);
        let help = match suggest::closest(name, candidates.iter().copied()) {
            _ if is_schema => "a schema is no column type: write its columns out".to_owned(),
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("the types: {}, and the flow's enums", super::quoted(&TYPE_WORDS)),
        };
        self.report(
            Diagnostic::error("F035", of.span, format!("there is no type `{name}`"))
                .here("not a type")
                .help(help),
        );
        None
    }
}

/// The type with "a" or "an".
pub(super) fn with_article(ty: &Type) -> String {
    match ty {
        Type::Text | Type::Json | Type::Bytes => ty.to_string(),
        Type::Int => "an int".to_owned(),
        Type::Enum(of) => format!("a value of `{}`", of.name),
        _ => format!("a {ty}"),
    }
}
