//! Names in expressions: columns, `let`s and rows, and what to say of a name that is none of them.

use anabranch_model::{Expr, ExprKind, RowSlot};

use crate::ast::{self, ExprKind as Ast};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::suggest;

use super::quoted;
use super::rule::RuleChecker;
use super::scope::{Blocker, Fact, VariableKind};

impl RuleChecker<'_, '_> {
    pub(super) fn name(&mut self, name: &ast::Name) -> Option<Expr> {
        if let Some(candidate) = &self.scope.candidate
            && let Some(id) = candidate.shape.position(&name.text)
        {
            let slot = candidate.slot;
            let column = candidate.shape.column(id);
            let (ty, nullable) = (column.ty.clone(), column.nullable);
            let nullable = nullable && !self.scope.known(Fact::Column(slot, id));
            return Some(self.make(name.span, ExprKind::Column(slot, id), ty, nullable));
        }
        let entry = self.scope.entry.is_some();
        let Some(variable) = self.scope.variable(&name.text).filter(|variable| variable.alive) else {
            self.unknown_name(name);
            return None;
        };
        variable.used = true;
        match variable.kind.clone() {
            VariableKind::Broken => None,
            VariableKind::Let(of) if entry => match of.entry {
                Ok(expr) => Some(expr),
                Err(blocker) => {
                    self.blocked(Blocker { span: name.span, text: blocker.text });
                    Some(self.make(name.span, ExprKind::Let(of.slot), of.ty, of.nullable))
                }
            },
            VariableKind::Let(of) => {
                let nullable = of.nullable && !self.scope.known(Fact::Let(of.slot));
                Some(self.make(name.span, ExprKind::Let(of.slot), of.ty, nullable))
            }
            VariableKind::Row(of) => {
                let first = of.shape.columns().first().map_or("name", |column| column.name.as_str());
                self.report(
                    Diagnostic::error("F047", name.span, format!("`{}` is a row, not a value", name.text))
                        .here("a value is needed here")
                        .help(format!("name a column of it, as `{}.{first}`", name.text)),
                );
                None
            }
        }
    }

    pub(super) fn row_column(&mut self, row: &ast::Name, name: &ast::Name) -> Option<Expr> {
        let Some(variable) = self.scope.variable(&row.text).filter(|variable| variable.alive) else {
            self.unknown_row(row, name);
            return None;
        };
        variable.used = true;
        let of = match variable.kind.clone() {
            VariableKind::Broken => return None,
            VariableKind::Let(_) => {
                self.report(
                    Diagnostic::error("F047", row.span, format!("`{}` is a value, not a row", row.text))
                        .here("a `let` has no columns")
                        .help(format!("write `{}` alone", row.text)),
                );
                return None;
            }
            VariableKind::Row(of) => of,
        };
        let id = self.checker.column(name, &of.shape, &format!("`{}`", row.text))?;
        let column = of.shape.column(id);
        let known = self.scope.known(Fact::Column(of.slot, id));
        let missing = of.nullable && !self.scope.known(Fact::Row(of.slot));
        let nullable = !known && (missing || column.nullable);
        let span = row.span.to(name.span);
        if of.slot.0 > 0 && self.scope.entry.is_some() {
            match of.entry(id, &row.text, span) {
                Ok(entry) => return Some(entry),
                Err(blocker) => self.blocked(blocker),
            }
        }
        Some(self.make(span, ExprKind::Column(of.slot, id), column.ty.clone(), nullable))
    }

    /// Notes why the value being checked is no function of the input row; the first reason stays.
    pub(super) fn blocked(&mut self, blocker: Blocker) {
        if let Some(entry @ None) = &mut self.scope.entry {
            *entry = Some(blocker);
        }
    }

    /// The row variable that `expr` names alone, with whether it may be null; the inner none is a broken one.
    #[expect(clippy::option_option, reason = "not a row, a broken row, a row")]
    pub(super) fn whole_row(&mut self, expr: &ast::Expr) -> Option<Option<(RowSlot, bool)>> {
        let Ast::Name(None, name) = &expr.kind else { return None };
        if self.scope.candidate.as_ref().is_some_and(|of| of.shape.position(&name.text).is_some()) {
            return None;
        }
        let variable = self.scope.variable(&name.text).filter(|variable| variable.alive)?;
        let row = match &variable.kind {
            VariableKind::Let(_) => return None,
            VariableKind::Broken => None,
            VariableKind::Row(of) => Some((of.slot, of.nullable)),
        };
        variable.used = true;
        Some(row.map(|(slot, nullable)| (slot, nullable && !self.scope.known(Fact::Row(slot)))))
    }

    fn unknown_name(&mut self, name: &ast::Name) {
        if self.checker.full() || self.checker.may_be_unread(&name.text) {
            return;
        }
        let ended = self.scope.variable(&name.text).map(|variable| variable.span);
        if let Some(ended) = ended {
            self.ended(name, ended);
            return;
        }
        let owner = self.scope.alive().find_map(|variable| match &variable.kind {
            VariableKind::Row(of) => of.shape.position(&name.text).map(|_| variable.name.clone()),
            _ => None,
        });
        let mut names: Vec<_> = self.scope.alive().map(|variable| variable.name.as_str()).collect();
        if let Some(candidate) = &self.scope.candidate {
            names.extend(candidate.shape.columns().iter().map(|column| column.name.as_str()));
        }
        let quotes = self.checker.source(name.span).starts_with('"');
        let help = match (owner, suggest::closest(&name.text, names.iter().copied())) {
            (Some(owner), _) => format!("write `{owner}.{}`", name.text),
            (None, Some(close)) => format!("did you mean `{close}`?"),
            (None, None) if quotes => format!("a text stands in single quotes: `'{}'`", name.text),
            (None, None) if self.routing.is_some() => {
                let alias = self.routing.as_deref().unwrap_or_default();
                format!("a route sees the input row `{alias}` only: write what `{}` stands for", name.text)
            }
            (None, None) => match &self.scope.candidate {
                Some(of) => {
                    let columns: Vec<_> = of.shape.columns().iter().map(|column| &column.name).collect();
                    format!("columns of `{}`: {}", of.table, quoted(&columns))
                }
                None => format!("columns stand behind the row's name, as `row.{}`", name.text),
            },
        };
        self.report(
            Diagnostic::error("F044", name.span, format!("there is no `{}` here", name.text))
                .here(if self.asked.is_some() { "no column of the table" } else { "not a name in this rule" })
                .help(help),
        );
    }

    fn unknown_row(&mut self, row: &ast::Name, name: &ast::Name) {
        if self.checker.full() || self.checker.may_be_unread(&row.text) {
            return;
        }
        let ended = self.scope.variable(&row.text).map(|variable| variable.span);
        if let Some(ended) = ended {
            self.ended(row, ended);
            return;
        }
        let rows = self.scope.alive().filter(|variable| !matches!(variable.kind, VariableKind::Let(_)));
        let rows: Vec<_> = rows.map(|variable| variable.name.as_str()).collect();
        let of_candidate = self.scope.candidate.as_ref().is_some_and(|of| of.table == row.text);
        let declared = self.checker.declared.names.get(&row.text).map(|found| found.kind.noun());
        let help = match (of_candidate, declared, suggest::closest(&row.text, rows.iter().copied())) {
            (true, ..) => format!("columns of the table stand alone here: write `{}`", name.text),
            (false, Some("a table"), _) => {
                format!(
                    "read it first: `read {} where ... as row or null`, then `row.{}`",
                    row.text, name.text
                )
            }
            (false, Some(noun), _) if rows.len() == 1 => {
                format!("`{}` is {noun}; the row is called `{}`", row.text, rows[0])
            }
            (false, _, Some(close)) => format!("did you mean `{close}`?"),
            (false, _, None) if self.asked.is_some() => {
                format!("a question is over one table; its row is called {}", quoted(&rows))
            }
            (false, _, None) => format!("the rows here: {}", quoted(&rows)),
        };
        self.report(
            Diagnostic::error("F044", row.span, format!("there is no row `{}` here", row.text))
                .here(if self.asked.is_some() { "not the table" } else { "not a row in this rule" })
                .help(help),
        );
    }

    fn ended(&mut self, name: &ast::Name, first: Span) {
        self.report(
            Diagnostic::error("F044", name.span, format!("`{}` ended with its block", name.text))
                .here("not there any more")
                .and(first, "it lives to the end of the block around this")
                .help("use it inside that block, or write the `let` or `read` before it"),
        );
    }
}
