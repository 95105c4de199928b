//! Expressions over groups: parts that are equal to a key become that key's value, aggregates have theirs already, and
//! what is left of the table's columns has no single value in a group.

use std::collections::HashSet;

use anabranch_model::question::GROUP_KEYS_MAX;
use anabranch_model::{Expr, ExprKind, LetSlot, Place, Shape, Type, Value};

use crate::ast::question::Question as Tree;
use crate::ast::{self, Literal};
use crate::check::rule::RuleChecker;
use crate::check::walk;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::lists::position;
use super::{Clause, Output, ROW};

/// What the rows of a group have in common.
pub(super) struct Groups {
    pub(super) keys: Vec<Expr>,
    /// The keys as they are compared.
    plain: Vec<Expr>,
    /// Whether they come from `select distinct`.
    distinct: bool,
}

impl Groups {
    pub(super) fn new(keys: Vec<Expr>, distinct: bool) -> Self {
        let plain = keys.iter().map(plain).collect();
        Groups { keys, plain, distinct }
    }

    /// Puts the values of a group into `expr`, which is `seen` when it is compared.
    fn put(&self, expr: &mut Expr, seen: &Expr) {
        if let Some(at) = self.plain.iter().position(|key| key == seen) {
            expr.kind = ExprKind::Let(LetSlot(at as u16));
            return;
        }
        for (child, seen) in walk::children_mut(expr).into_iter().zip(walk::children(seen)) {
            self.put(child, seen);
        }
    }
}

/// An expression as it is compared: wherever it stands, and whatever is known about nulls there.
fn plain(expr: &Expr) -> Expr {
    let mut plain = walk::without_places(expr.clone());
    let mut stack = vec![&mut plain];
    while let Some(one) = stack.pop() {
        one.nullable = false;
        stack.extend(walk::children_mut(one));
    }
    plain
}

impl RuleChecker<'_, '_> {
    /// The values of `group by`.
    pub(super) fn group_keys(
        &mut self,
        group_by: &[ast::Expr],
        outputs: &[Output],
        shape: &Shape,
    ) -> Option<Vec<Expr>> {
        if let Some(beyond) = group_by.get(GROUP_KEYS_MAX) {
            let message = format!("the question groups by more than {GROUP_KEYS_MAX} values");
            self.report(Diagnostic::error("F024", beyond.span, message).help("group by fewer"));
            return None;
        }
        let mut selected = HashSet::new();
        let mut key = |key| self.group_key(key, outputs, shape, &mut selected);
        let keys: Vec<_> = group_by.iter().map(&mut key).collect();
        keys.into_iter().collect()
    }

    /// One value of `group by`; `selected` are the numbers of the outputs that are keys already.
    fn group_key(
        &mut self,
        key: &ast::Expr,
        outputs: &[Output],
        shape: &Shape,
        selected: &mut HashSet<usize>,
    ) -> Option<Expr> {
        let named = match &key.kind {
            ast::ExprKind::Name(None, name) if shape.position(&name.text).is_none() => {
                outputs.iter().position(|output| output.name == name.text)
            }
            ast::ExprKind::Literal(Literal::Int(number)) => Some(self.numbered(key.span, *number, outputs)?),
            _ => None,
        };
        let Some((at, output)) = named.and_then(|at| Some((at, outputs.get(at)?))) else {
            let before = self.enter(Clause::GroupBy);
            let typed = self.expr(key, None);
            before.map(|before| self.enter(before));
            return typed;
        };
        if !selected.insert(at) {
            // A key again divides nothing further: a constant keeps its place, and copies of a large value cannot fill
            // the memory.
            return Some(self.make(key.span, ExprKind::Literal(Value::Int(0)), Type::Int, false));
        }
        let value = output.value.clone()?;
        if walk::all(&value).any(|one| matches!(one.kind, ExprKind::Let(_))) {
            let message = format!("`{}` holds an aggregate, which needs the groups first", output.name);
            let diagnostic = Diagnostic::error("F084", key.span, message).and(output.span, "computed here");
            self.report(diagnostic.help("group by columns of the table"));
            return None;
        }
        Some(value)
    }

    /// Which element of the list behind `select` has this number, from 1.
    pub(super) fn numbered(&mut self, span: Span, number: i64, outputs: &[Output]) -> Option<usize> {
        let found = position(number).filter(|at| *at < outputs.len());
        if found.is_none() {
            let message = format!("there is no column {number} behind `select`");
            let diagnostic = Diagnostic::error("F088", span, message);
            self.report(diagnostic.help(match outputs.len() {
                0 => "name a column".to_owned(),
                most => format!("write a number from 1 to {most}, or a name"),
            }));
        }
        found
    }

    /// `select distinct` is a grouping by all that is selected.
    pub(super) fn distinct_keys(&mut self, span: Span, tree: &Tree, outputs: &[Output]) -> Option<Vec<Expr>> {
        let aggregates = self.asked.as_ref().is_some_and(|asked| !asked.aggregates.is_empty());
        if aggregates || !tree.group_by.is_empty() || tree.having.is_some() {
            let message = "`distinct` and groups do not go together";
            let help = "leave `distinct` out: every group comes once";
            self.report(Diagnostic::error("F085", span, message).help(help));
            return None;
        }
        if outputs.len() > GROUP_KEYS_MAX {
            let message = format!("`distinct` compares at most {GROUP_KEYS_MAX} columns");
            self.report(Diagnostic::error("F024", span, message).help("select fewer"));
            return None;
        }
        outputs.iter().map(|output| output.value.clone()).collect()
    }

    /// Writes an expression over groups; false, and reported, when it needs a row.
    pub(super) fn over_groups(&mut self, expr: &mut Expr, span: Span, groups: &Groups) -> bool {
        let seen = plain(expr);
        groups.put(expr, &seen);
        let left = walk::all(expr).find_map(|one| match one.kind {
            ExprKind::Column(slot, id) if slot == ROW => Some((Some(id), one.place)),
            ExprKind::RowIsNull(slot) if slot == ROW => Some((None, one.place)),
            _ => None,
        });
        let Some((column, place)) = left else { return true };
        let name = column.and_then(|id| self.step.rows.first().map(|shape| shape.column(id).name.clone()));
        let name = name.unwrap_or_else(|| self.checker.source(span));
        let span = if column.is_some() { self.name_at(place, span) } else { span };
        let diagnostic = match groups.distinct {
            true => Diagnostic::error("F085", span, format!("`{name}` is not selected"))
                .here("rows that are put together may differ in it")
                .help("with `distinct`, order by what is selected"),
            false => Diagnostic::error("F085", span, format!("`{name}` has no single value in a group"))
                .here("rows of one group may differ in it")
                .help(format!("write it behind `group by`, or take `min({name})`, `max({name})`")),
        };
        self.report(diagnostic);
        false
    }

    /// The name that stands at a place of an expression.
    fn name_at(&self, place: Place, expr: Span) -> Span {
        let start = self.checker.lines.offset(place);
        let rest = self.checker.text.get(start..expr.end as usize).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.' | '"'));
        match end.unwrap_or(rest.len()) {
            0 => expr,
            length => Span::new(start, start + length),
        }
    }
}
