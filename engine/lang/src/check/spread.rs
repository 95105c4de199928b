//! `..row`: every column of a row that the other parts do not name.

use std::collections::HashMap;

use anabranch_model::plan::Source;
use anabranch_model::{Column, ColumnId, Expr, ExprKind, RowSlot};

use crate::ast::{self, PartKind};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::conversions::storable;
use super::quoted;
use super::rows::{Cell, Target};
use super::rule::RuleChecker;
use super::scope::{Fact, RowVariable, VariableKind};
use super::shapes::with_article;

impl RuleChecker<'_, '_> {
    pub(super) fn spreads(
        &mut self,
        row: &ast::RowExpr,
        target: Target<'_>,
        named: &HashMap<ColumnId, Span>,
        cells: &mut HashMap<ColumnId, Cell>,
    ) -> bool {
        let mut given: HashMap<ColumnId, Span> = HashMap::new();
        let mut good = true;
        for part in &row.parts {
            let PartKind::Spread(name) = &part.kind else { continue };
            let Some(variable) = self.spread_row(name) else {
                good = false;
                continue;
            };
            good &= self.spread(part.span, name, &variable, target, named, &mut given, cells);
        }
        good
    }

    /// Fills `cells` with the columns of one row that are not `named` and not `given` yet.
    #[expect(clippy::too_many_arguments, reason = "the loop's body: what the loop knows")]
    fn spread(
        &mut self,
        span: Span,
        name: &ast::Name,
        variable: &RowVariable,
        target: Target<'_>,
        named: &HashMap<ColumnId, Span>,
        given: &mut HashMap<ColumnId, Span>,
        cells: &mut HashMap<ColumnId, Cell>,
    ) -> bool {
        let (mut lacking, mut twice, mut good) = (Vec::new(), None, true);
        for (at, column) in variable.shape.clone().columns().iter().enumerate() {
            let Some(id) = target.shape.position(&column.name) else {
                lacking.push(column.name.clone());
                continue;
            };
            if named.contains_key(&id) {
                continue;
            }
            if let Some(&first) = given.get(&id) {
                twice = twice.or(Some((first, column.name.clone())));
                continue;
            }
            given.insert(id, span);
            match self.spread_cell(span, name, variable, (ColumnId(at as u16), column), (id, target)) {
                Some(cell) => {
                    cells.insert(id, cell);
                }
                None => good = false,
            }
        }
        good &= lacking.is_empty() && twice.is_none();
        if !lacking.is_empty() {
            self.lacking(span, &name.text, &lacking, target);
        }
        if let Some((first, column)) = twice {
            self.given_twice(span, first, &column);
        }
        good
    }

    /// The row that `..name` spreads.
    fn spread_row(&mut self, name: &ast::Name) -> Option<RowVariable> {
        let alive = self.scope.variable(&name.text).filter(|variable| variable.alive);
        let kind = alive.map(|variable| {
            variable.used = true;
            variable.kind.clone()
        });
        let row = match kind {
            Some(VariableKind::Row(row)) => row,
            Some(VariableKind::Broken) => return None,
            Some(VariableKind::Let(_)) => {
                self.report(
                    Diagnostic::error("F047", name.span, format!("`{}` is a value, not a row", name.text))
                        .here("only a row can be spread")
                        .help(format!("write `column: {}`", name.text)),
                );
                return None;
            }
            None if self.checker.may_be_unread(&name.text) => return None,
            None => {
                let rows: Vec<_> = self
                    .scope
                    .alive()
                    .filter(|variable| !matches!(variable.kind, VariableKind::Let(_)))
                    .map(|variable| variable.name.clone())
                    .collect();
                let help = match crate::suggest::closest(&name.text, rows.iter().map(String::as_str)) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("the rows here: {}", quoted(&rows)),
                };
                self.report(
                    Diagnostic::error("F044", name.span, format!("there is no row `{}` here", name.text))
                        .here("not a row in this rule")
                        .help(help),
                );
                return None;
            }
        };
        if row.nullable && !self.scope.known(Fact::Row(row.slot)) {
            self.report(
                Diagnostic::error("F065", name.span, format!("`{}` may be null here", name.text))
                    .here("no row, no columns")
                    .help(format!("write `require {} is not null else not_found '...'` before", name.text)),
            );
            return None;
        }
        Some(row)
    }

    fn spread_cell(
        &mut self,
        span: Span,
        name: &ast::Name,
        row: &RowVariable,
        (from, column): (ColumnId, &Column),
        (id, target): (ColumnId, Target<'_>),
    ) -> Option<Cell> {
        let into = target.shape.column(id);
        let nullable = column.nullable && !self.scope.known(Fact::Column(row.slot, from));
        let trouble = if !storable(&column.ty, &into.ty) {
            Some(("F049", format!("is {}, not {}", with_article(&into.ty), with_article(&column.ty))))
        } else if nullable && !into.nullable {
            Some(("F050", "cannot be null".to_owned()))
        } else {
            None
        };
        if let Some((code, what)) = trouble {
            let source = format!("{}.{}", name.text, column.name);
            let (here, help) = match code {
                "F050" => (
                    format!("`{source}` may be null"),
                    format!("write `{}: coalesce({source}, ...)` beside it", into.name),
                ),
                _ => (
                    format!("`{source}` is `{}`", column.ty),
                    format!("write `{}: cast({source} as {})` beside it", into.name, into.ty),
                ),
            };
            let message = format!("`{}` of `{}` {what}", into.name, target.name);
            self.report(Diagnostic::error(code, span, message).here(here).help(help));
            return None;
        }
        let value = self.make(span, ExprKind::Column(row.slot, from), column.ty.clone(), nullable);
        let entry = target.is_partition(id).then(|| {
            let entry = match row.slot {
                RowSlot(0) => Ok(Expr { nullable: column.nullable, ..value.clone() }),
                _ => row.entry(from, &name.text, span),
            };
            entry.map(|entry| super::rule::converted(entry, &into.ty))
        });
        Some(Cell { source: Source::Value(value), span, entry })
    }

    fn lacking(&mut self, span: Span, row: &str, lacking: &[String], target: Target<'_>) {
        let message = format!("`..{row}` gives {}, which `{}` lacks", quoted(lacking), target.name);
        let names: Vec<_> = target.shape.columns().iter().map(|column| &column.name).collect();
        self.report(
            Diagnostic::error("F063", span, message)
                .here(format!("`{row}.{}` has no place to go", lacking[0]))
                .help(format!("name the columns one by one: {}", quoted(&names))),
        );
    }

    fn given_twice(&mut self, span: Span, first: Span, name: &str) {
        self.report(
            Diagnostic::error("F064", span, format!("two rows give the column `{name}`"))
                .here("the second")
                .and(first, "the first")
                .help(format!("say which is meant: `{name}: ...`")),
        );
    }
}
