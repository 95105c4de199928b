//! `where` over a table: which row, which partition, and what is left to test.
//!
//! A column is fixed by a top-level `and` part `column = expr` or `expr = column` whose expr uses no column of that
//! table. The first such part counts; everything else is tested on the row.

use std::collections::HashMap;

use anabranch_model::plan::{Find, TableId};
use anabranch_model::{ColumnId, Comparison, Expr, ExprKind, RowSlot, Type};

use crate::ast;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::declarations::TableContent;
use super::expr::connected_parts;
use super::rule::RuleChecker;
use super::scope::{Blocker, Candidate, VariableKind, facts};
use super::step::PartitionValue;
use super::walk;

/// A column that `where` fixes.
pub(super) struct Fixed<'t> {
    /// Which part of the `where`.
    part: usize,
    pub(super) value: Expr,
    source: &'t ast::Expr,
}

/// The key columns that a `where` fixes, as functions of the input row.
type KeyEntries = Vec<(ColumnId, Result<Expr, Blocker>)>;

impl RuleChecker<'_, '_> {
    /// Which rows of `table` the `where` finds, and the key columns that it fixes; `whole_key` when it must name one
    /// row.
    pub(super) fn find(
        &mut self,
        name: &ast::Name,
        table: TableId,
        content: &TableContent,
        filter: &ast::Expr,
        whole_key: bool,
    ) -> Option<(Find, KeyEntries)> {
        let row = self.row_slot(content.shape.clone(), filter.span)?;
        let good = self.no_let_like_a_column(name, content);
        let sources = connected_parts(filter, true);
        let parts = self.where_parts(name, content, row, &sources);
        let parts = parts.filter(|_| good)?;
        let fixed = fixed(&content.key, row, &parts, &sources);
        let whole = self.fixes_enough(name, content, filter.span, &fixed, whole_key)?;
        let mut entries = KeyEntries::new();
        for id in &content.key {
            let Some(of) = fixed.get(id) else { continue };
            entries.push((*id, self.partition_entry(of.source, &content.shape.column(*id).ty)));
        }
        let partition_value = |id: &ColumnId| {
            let (_, entry) = entries.iter().find(|(column, _)| column == id)?;
            Some(PartitionValue { span: fixed.get(id)?.source.span, entry: entry.clone() })
        };
        let values = content.partition_by.iter().filter_map(partition_value).collect();
        self.note_use(table, name.span, false, values);
        let given = if whole { &content.key } else { &content.partition_by };
        let used: Vec<_> = given.iter().filter_map(|id| fixed.get(id)).map(|of| of.part).collect();
        let value = |id: &ColumnId| fixed.get(id).map(|of| of.value.clone());
        let key = if whole { Some(content.key.iter().filter_map(value).collect()) } else { None };
        let partition = content.partition_by.iter().filter_map(value).collect();
        let rest: Vec<_> = parts.into_iter().enumerate().filter(|(at, _)| !used.contains(at)).collect();
        let rest = rest.into_iter().map(|(_, part)| part).collect();
        Some((Find { key, partition, filter: self.joined(filter.span, rest), row }, entries))
    }

    /// Whether the whole key is fixed; none (and reported) when less is fixed than is needed.
    fn fixes_enough(
        &mut self,
        name: &ast::Name,
        content: &TableContent,
        span: Span,
        fixed: &HashMap<ColumnId, Fixed<'_>>,
        whole_key: bool,
    ) -> Option<bool> {
        let missing = |columns: &[ColumnId]| -> Vec<ColumnId> {
            columns.iter().copied().filter(|id| !fixed.contains_key(id)).collect()
        };
        let open = missing(&content.key);
        let open_partition = missing(&content.partition_by);
        if open.is_empty() || !whole_key && open_partition.is_empty() {
            return Some(open.is_empty());
        }
        if !self.checker.misread(span) {
            match whole_key {
                true => self.open_key(name, content, span, &open),
                false => self.open_partition(name, content, span, &open_partition),
            }
        }
        None
    }

    pub(super) fn joined(&self, span: Span, mut parts: Vec<Expr>) -> Option<Expr> {
        if parts.len() < 2 {
            return parts.pop();
        }
        let nullable = parts.iter().any(|part| part.nullable);
        Some(self.make(span, ExprKind::And(parts), Type::Bool, nullable))
    }

    /// The parts of a `where`, each a condition.
    fn where_parts(
        &mut self,
        name: &ast::Name,
        content: &TableContent,
        row: RowSlot,
        sources: &[&ast::Expr],
    ) -> Option<Vec<Expr>> {
        let shape = content.shape.clone();
        self.scope.candidate = Some(Candidate { table: name.text.clone(), slot: row, shape });
        let mark = self.scope.facts_mark();
        let mut parts = Vec::new();
        let mut good = true;
        for source in sources {
            match self.condition(source) {
                Some(part) => {
                    let facts = facts(&part, true);
                    self.scope.learn(&facts);
                    parts.push(part);
                }
                None => good = false,
            }
        }
        self.scope.forget(mark);
        self.scope.candidate = None;
        good.then_some(parts)
    }

    /// A `let` that is named like a column would change its meaning in the `where`.
    fn no_let_like_a_column(&mut self, name: &ast::Name, content: &TableContent) -> bool {
        let hidden = content.shape.columns().iter().find_map(|column| {
            let variable = self.scope.variable(&column.name)?;
            let hides = variable.alive && matches!(variable.kind, VariableKind::Let(_));
            hides.then(|| (variable.name.clone(), variable.span))
        });
        let Some((hidden, span)) = hidden else { return true };
        let message = format!("`{hidden}` is a column of `{}` and a `let`", name.text);
        self.report(
            Diagnostic::error("F046", name.span, message)
                .here(format!("here `{hidden}` would be the column"))
                .and(span, "the `let`")
                .help("give the `let` another name"),
        );
        false
    }

    fn open_key(&mut self, name: &ast::Name, content: &TableContent, span: Span, open: &[ColumnId]) {
        let columns = content.names(open);
        let are = if open.len() == 1 { "is" } else { "are" };
        let first = open.first().map(|&id| content.shape.column(id).name.as_str()).unwrap_or_default();
        self.report(
            Diagnostic::error(
                "F069",
                span,
                format!("`or null` needs the whole key of `{}`, and {columns} {are} open", name.text),
            )
            .here("more than one row may be found")
            .and(content.key_span, "the key")
            .help(format!("fix it with a part `{first} = ...`, joined by `and`")),
        );
    }

    fn open_partition(&mut self, name: &ast::Name, content: &TableContent, span: Span, open: &[ColumnId]) {
        let columns = content.names(open);
        let are = if open.len() == 1 { "is" } else { "are" };
        let first = open.first().map(|&id| content.shape.column(id).name.as_str()).unwrap_or_default();
        self.report(
            Diagnostic::error(
                "F070",
                span,
                format!("which partition of `{}`? {columns} {are} not fixed", name.text),
            )
            .here("a rule works in one partition")
            .and(content.partition_span, "rows live on the node that this names")
            .help(format!("write `{first} = ...` as a part of its own, joined by `and`")),
        );
    }
}

/// The columns of a key that the parts of a `where` fix.
pub(super) fn fixed<'t>(
    key: &[ColumnId],
    row: RowSlot,
    parts: &[Expr],
    sources: &[&'t ast::Expr],
) -> HashMap<ColumnId, Fixed<'t>> {
    let mut fixed = HashMap::new();
    for (at, (part, source)) in parts.iter().zip(sources).enumerate() {
        let ExprKind::Compare(Comparison::Equal, a, b) = &part.kind else { continue };
        let ast::ExprKind::Compare(_, left, right) = &source.kind else { continue };
        let column = |expr: &Expr| match expr.kind {
            ExprKind::Column(slot, id) if slot == row && key.contains(&id) => Some(id),
            _ => None,
        };
        let sides = [(column(a), b, &**right), (column(b), a, &**left)];
        for (id, value, source) in sides {
            let Some(id) = id else { continue };
            if !walk::mentions(value, row) && !fixed.contains_key(&id) {
                fixed.insert(id, Fixed { part: at, value: (**value).clone(), source });
                break;
            }
        }
    }
    fixed
}
