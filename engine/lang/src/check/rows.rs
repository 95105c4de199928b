//! Written rows: which column gets what, whether every column that needs a value has one, and whether the values fit.

use std::collections::HashMap;

use anabranch_model::plan::{Action, Source, TableId, WriteKind};
use anabranch_model::{Column, ColumnId, Expr, ExprKind, Shape, Type, Value};

use crate::ast::{self, PartKind};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::conversions::storable;
use super::declarations::TableContent;
use super::literal::{self, Problem};
use super::quoted;
use super::rule::RuleChecker;
use super::scope::Blocker;
use super::shapes::with_article;
use super::step::{PartitionValue, TableUse};

/// What a column gets.
pub(super) struct Cell {
    pub(super) source: Source,
    pub(super) span: Span,
    /// The value as a function of the input row.
    pub(super) entry: Option<Result<Expr, Blocker>>,
}

/// Where a row goes.
#[derive(Clone, Copy)]
pub(super) struct Target<'t> {
    pub(super) name: &'t str,
    pub(super) shape: &'t Shape,
    /// For a table: what kind of write, and its table.
    write: Option<(WriteKind, &'t TableContent)>,
}

impl Target<'_> {
    fn word(&self) -> &'static str {
        match self.write.map(|(kind, _)| kind) {
            Some(WriteKind::Upsert) => "upsert",
            Some(WriteKind::Insert) => "insert",
            Some(WriteKind::InsertOrIgnore) => "insert or ignore",
            Some(WriteKind::Update) => "update",
            None => "reply",
        }
    }

    fn is_key(&self, id: ColumnId) -> bool {
        self.write.is_some_and(|(_, content)| content.key.contains(&id))
    }

    pub(super) fn is_partition(&self, id: ColumnId) -> bool {
        self.write.is_some_and(|(_, content)| content.partition_by.contains(&id))
    }
}

impl RuleChecker<'_, '_> {
    pub(super) fn write(
        &mut self,
        span: Span,
        kind: WriteKind,
        name: &ast::Name,
        row: &ast::RowExpr,
    ) -> Option<Action> {
        let Some((table, content)) = self.table(name) else {
            self.broken_row(row);
            return None;
        };
        let target = Target { name: &name.text, shape: &content.shape, write: Some((kind, &content)) };
        let mut cells = self.cells(row, target)?;
        self.complete(name.span, row, target, &cells)?;
        let mut values = Vec::new();
        for id in &content.partition_by {
            let cell = cells.get_mut(id)?;
            let blocked = || Err(Blocker { span: cell.span, text: "it is not known".to_owned() });
            let entry = cell.entry.take().unwrap_or_else(blocked);
            values.push(PartitionValue { span: cell.span, entry });
        }
        self.note_use(table, name.span, true, values);
        let all = (0..content.shape.columns().len()).map(|at| ColumnId(at as u16));
        let columns = all.map(|id| cells.remove(&id).map_or(Source::Keep, |cell| cell.source)).collect();
        Some(Action::Write { kind, table, columns, place: self.checker.place(span) })
    }

    pub(super) fn note_use(&mut self, table: TableId, span: Span, writes: bool, values: Vec<PartitionValue>) {
        self.uses.push(TableUse { table: usize::from(table.0), span, writes, values });
    }

    /// The columns of a row for `reply` and `emit`.
    pub(super) fn sent_row(
        &mut self,
        name: &ast::Name,
        row: &ast::RowExpr,
        shape: &Shape,
    ) -> Option<Vec<Expr>> {
        let target = Target { name: &name.text, shape, write: None };
        let mut cells = self.cells(row, target)?;
        self.complete(name.span, row, target, &cells)?;
        let mut columns = Vec::new();
        for (at, column) in shape.columns().iter().enumerate() {
            columns.push(match cells.remove(&ColumnId(at as u16)).map(|cell| cell.source) {
                Some(Source::Value(value)) => value,
                _ => {
                    let value = column.default.clone().unwrap_or(Value::Null);
                    let nullable = value.is_null();
                    self.make(row.span, ExprKind::Literal(value), column.ty.clone(), nullable)
                }
            });
        }
        Some(columns)
    }

    /// A row for something broken: its parts are checked for mistakes of their own.
    pub(super) fn broken_row(&mut self, row: &ast::RowExpr) {
        for part in &row.parts {
            match &part.kind {
                PartKind::Spread(name) => {
                    if let Some(variable) = self.scope.variable(&name.text) {
                        variable.used = true;
                    }
                }
                PartKind::Set(_, value) | PartKind::Add(_, value) | PartKind::Subtract(_, value) => {
                    // Without the column's type a literal means anything.
                    if !super::wanted::flexible(value) {
                        self.expr(value, None);
                    }
                }
            }
        }
    }

    fn cells(&mut self, row: &ast::RowExpr, target: Target<'_>) -> Option<HashMap<ColumnId, Cell>> {
        let mut cells: HashMap<ColumnId, Cell> = HashMap::new();
        let mut named: HashMap<ColumnId, Span> = HashMap::new();
        let mut good = true;
        for part in &row.parts {
            let (name, value) = match &part.kind {
                PartKind::Spread(_) => continue,
                PartKind::Set(name, value) | PartKind::Add(name, value) | PartKind::Subtract(name, value) => {
                    (name, value)
                }
            };
            let Some(id) = self.checker.column(name, target.shape, &format!("`{}`", target.name)) else {
                self.broken_row(&ast::RowExpr { parts: vec![part.clone()], bare: false, span: part.span });
                good = false;
                continue;
            };
            if let Some(first) = named.insert(id, name.span) {
                self.named_twice(name, first);
                good = false;
                continue;
            }
            let column = target.shape.column(id).clone();
            let cell = match &part.kind {
                PartKind::Set(..) => self.set(&column, id, value, target),
                _ => self.change(&column, id, part, name, value, target),
            };
            match cell {
                Some(cell) => {
                    cells.insert(id, cell);
                }
                None => good = false,
            }
        }
        good &= self.spreads(row, target, &named, &mut cells);
        good.then_some(cells)
    }

    fn named_twice(&mut self, name: &ast::Name, first: Span) {
        self.report(
            Diagnostic::error("F062", name.span, format!("the column `{}` is named twice", name.text))
                .here("the second")
                .and(first, "the first")
                .help("keep one"),
        );
    }

    /// `column: value`.
    fn set(&mut self, column: &Column, id: ColumnId, value: &ast::Expr, target: Target<'_>) -> Option<Cell> {
        let typed = self.stored(value, column, target.name)?;
        let entry = target.is_partition(id).then(|| self.partition_entry(value, &column.ty));
        Some(Cell { source: Source::Value(typed), span: value.span, entry })
    }

    /// A value that goes into a column of `owner`.
    fn stored(&mut self, value: &ast::Expr, column: &Column, owner: &str) -> Option<Expr> {
        let typed = self.expr(value, Some(&column.ty))?;
        self.fits(value, &typed, column, owner)?;
        if typed.nullable && !column.nullable {
            let source = self.checker.source(value.span);
            let null = matches!(typed.kind, ExprKind::Literal(Value::Null));
            let missing = self.only_the_row_is_missing(&typed);
            let help = match (null, &value.kind) {
                (_, ast::ExprKind::Name(Some(row), _)) if missing => {
                    format!("write `require {} is not null else not_found '...'` before", row.text)
                }
                (true, _) => format!("write a value, or declare the column `{}?`", column.ty),
                (false, ast::ExprKind::Name(..)) => {
                    format!(
                        "write `require {source} is not null else invalid '...'` before, or `coalesce({source}, ...)`"
                    )
                }
                (false, _) => format!("write `coalesce({source}, ...)`"),
            };
            self.report(
                Diagnostic::error(
                    "F050",
                    value.span,
                    format!("`{}` of `{owner}` cannot be null", column.name),
                )
                .here("this may be null")
                .help(help),
            );
            return None;
        }
        Some(typed)
    }

    /// Whether `expr` is a column that is null only where its row is.
    fn only_the_row_is_missing(&self, expr: &Expr) -> bool {
        let ExprKind::Column(slot, id) = expr.kind else { return false };
        let shape = self.step.rows.get(usize::from(slot.0));
        shape.is_some_and(|shape| {
            shape.columns().get(usize::from(id.0)).is_some_and(|column| !column.nullable)
        })
    }

    /// Reports a value that does not fit the type of a column.
    fn fits(&mut self, value: &ast::Expr, typed: &Expr, column: &Column, owner: &str) -> Option<()> {
        let ty = &column.ty;
        let problem = literal::constant(value).and_then(|constant| constant.value_of(ty).err());
        if !storable(&typed.ty, ty) {
            let source = self.checker.source(value.span);
            let help = match problem {
                Some(_) if matches!(ty, Type::Time | Type::Bytes | Type::Json) => {
                    format!("write `cast({source} as {ty})`")
                }
                Some(problem) => problem.help(),
                None if super::conversions::castable(&typed.ty, ty) => {
                    format!("write `cast({source} as {ty})`")
                }
                None => format!("write {}", with_article(ty)),
            };
            let message = format!(
                "`{}` of `{owner}` is {}, not {}",
                column.name,
                with_article(ty),
                with_article(&typed.ty)
            );
            self.report(
                Diagnostic::error("F049", value.span, message)
                    .here(format!("this is `{}`", typed.ty))
                    .help(help),
            );
            return None;
        }
        if let Some(Problem::Value { label, help }) = problem {
            let source = self.checker.source(value.span);
            let help = help.replace("cast(...", &format!("cast({source}"));
            let message = format!("`{source}` does not fit `{}`", column.name);
            self.report(Diagnostic::error("F051", value.span, message).here(label).help(help));
            return None;
        }
        Some(())
    }

    /// `column += value` and `column -= value`.
    fn change(
        &mut self,
        column: &Column,
        id: ColumnId,
        part: &ast::Part,
        name: &ast::Name,
        value: &ast::Expr,
        target: Target<'_>,
    ) -> Option<Cell> {
        let subtract = matches!(part.kind, PartKind::Subtract(..));
        let sign = if subtract { "-=" } else { "+=" };
        let trouble = match target.write.map(|(kind, _)| kind) {
            Some(WriteKind::Upsert | WriteKind::Update) if target.is_key(id) => Some((
                "F066",
                format!("`{sign}` on the key column `{}`", name.text),
                "a key names a row and does not change",
                format!("write `{}: ...`", name.text),
            )),
            Some(WriteKind::Upsert | WriteKind::Update) => None,
            _ => Some((
                "F067",
                format!("`{sign}` has no row to change in `{}`", target.word()),
                "only in `upsert` and `update`",
                format!("write `{}: ...`, or use `upsert`", name.text),
            )),
        };
        if let Some((code, message, here, help)) = trouble {
            self.report(Diagnostic::error(code, part.span, message).here(here).help(help));
            return None;
        }
        if !matches!(column.ty, Type::Int | Type::Float | Type::Decimal { .. }) {
            let message = format!("`{sign}` on `{}`, which is {}", name.text, with_article(&column.ty));
            self.report(
                Diagnostic::error("F068", part.span, message)
                    .here("a change is a change to a number")
                    .help(format!("write `{}: ...`", name.text)),
            );
            return None;
        }
        let not_null = Column { nullable: false, ..column.clone() };
        let typed = self.stored(value, &not_null, target.name)?;
        let source = if subtract { Source::Subtract(typed) } else { Source::Add(typed) };
        Some(Cell { source, span: value.span, entry: None })
    }

    /// Whether every column that needs a value has one.
    fn complete(
        &mut self,
        name: Span,
        row: &ast::RowExpr,
        target: Target<'_>,
        cells: &HashMap<ColumnId, Cell>,
    ) -> Option<()> {
        if self.checker.misread(row.span) {
            return None;
        }
        let (mut keys, mut others) = (Vec::new(), Vec::new());
        for (at, column) in target.shape.columns().iter().enumerate() {
            let id = ColumnId(at as u16);
            if cells.contains_key(&id) {
                continue;
            }
            if target.is_key(id) {
                keys.push(column.name.clone());
            } else if !column.nullable && column.default.is_none() {
                others.push(column.name.clone());
            }
        }
        if let (Some((_, content)), false) = (target.write, keys.is_empty()) {
            let message = format!("the row for `{}` lacks {} of its key", target.name, quoted(&keys));
            self.report(
                Diagnostic::error("F060", name, message)
                    .here("which row?")
                    .and(content.key_span, "the key")
                    .help(format!("write `{}: ...` in the row", keys[0])),
            );
        }
        let optional = matches!(target.write, Some((WriteKind::Update, _)));
        if !others.is_empty() && !optional {
            let message = format!("the row for `{}` lacks {}", target.name, quoted(&others));
            self.report(
                Diagnostic::error("F061", row.span, message)
                    .here("neither nullable nor with a default")
                    .help(format!("write `{}: ...` in the row, or give the column a default", others[0])),
            );
        }
        (keys.is_empty() && (optional || others.is_empty())).then_some(())
    }
}
