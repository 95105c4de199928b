//! Questions: which table, what its columns are called, what is grouped and ordered how.
//!
//! Clause by clause as SQL means them: `where` sees the table's columns; `group by` sees them, too, and the names and
//! places of the list behind `select`; `having` sees groups; `order by` sees the names and places of the list, then
//! the table's columns. With a grouping (`group by`, an aggregate, `having` or `distinct`) the list, `having` and
//! `order by` are written over groups: [`grouping`].

mod aggregates;
mod grouping;
mod lists;
mod target;

use std::sync::Arc;

use anabranch_model::plan::{Plan, Table};
use anabranch_model::question::{Aggregate, Grouping, Question, Sort};
use anabranch_model::{ColumnId, Expr, RowSlot, Shape};

use crate::ast;
use crate::ast::question::Question as Tree;
use crate::diagnostic::{Diagnostic, Severity};
use crate::sink::Sink;
use crate::span::Span;

use super::declarations::{Declared, Enum, Kind};
use super::expr::connected_parts;
use super::rule::RuleChecker;
use super::scope::{Candidate, RowVariable, VariableKind, facts};
use super::step::StepDraft;
use super::{Checker, find, words};

/// The row under test.
const ROW: RowSlot = RowSlot(0);

/// What a question has gathered while it is checked.
pub(super) struct Asked {
    /// The aggregates so far, each once.
    aggregates: Vec<Aggregate>,
    /// As they are compared: without their places.
    plain: Vec<Aggregate>,
    /// The number of the first aggregate among the values of a group.
    first: u16,
    /// What is being checked.
    here: Clause,
}

/// Where an expression of a question stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    /// Where aggregates may stand.
    Results,
    Where,
    GroupBy,
    /// Inside an aggregate.
    Aggregate,
}

/// An element of the list behind `select`.
struct Output {
    name: String,
    /// Where it is written.
    span: Span,
    /// None when it is broken.
    value: Option<Expr>,
}

/// What is computed from groups, where there are any.
struct Parts {
    outputs: Vec<Output>,
    having: Option<Expr>,
    order: Option<Vec<(Sort, Span)>>,
}

/// Checks and lowers a question over one of `flows`; `parsed` are the parser's diagnostics.
pub(crate) fn check_question(
    text: &str,
    tree: &Tree,
    parsed: Vec<Diagnostic>,
    flows: &[&Plan],
) -> (Option<(usize, Question)>, Vec<Diagnostic>) {
    let file = ast::File { flow: None, revision: None, items: Vec::new() };
    let mut checker = Checker::new(text, &file, parsed);
    // What could not be read may be what seems missing elsewhere.
    let unread = tree.broken.iter().filter_map(|span| text.get(span.range()));
    checker.unread = unread.flat_map(words).collect();
    let target = tree.table.as_ref().and_then(|name| checker.target(name, flows));
    let question = target.and_then(|(flow, table)| {
        let plan = flows.get(flow)?;
        checker.enums_of(plan);
        let mut draft = StepDraft { rows: vec![table.1.shape.clone()], ..StepDraft::default() };
        let mut rule = RuleChecker::new(&mut checker, &mut draft);
        let question = rule.question(tree, table)?;
        Some((flow, question))
    });
    let question = question.filter(|_| !checker.broken());
    if checker.broken() {
        checker.diagnostics.retain(|one| one.severity == Severity::Error);
    }
    let mut all = Sink::new();
    for diagnostic in checker.diagnostics {
        all.push(diagnostic);
    }
    (question, all.into_sorted())
}

impl Checker<'_> {
    /// Makes the enums of a flow known to casts.
    fn enums_of(&mut self, plan: &Plan) {
        for (at, of) in plan.enums.iter().enumerate() {
            let span = Span::new(0, 0);
            let declared = Declared { kind: Kind::Enum(at), span, twice: false };
            self.declared.names.insert(of.name.clone(), declared);
            self.declared.enums.push(Enum { name: of.name.clone(), span, ty: Some(of.clone()), used: true });
        }
    }
}

impl RuleChecker<'_, '_> {
    fn question(&mut self, tree: &Tree, (id, table): (u16, &Table)) -> Option<Question> {
        self.begin(tree, table);
        let (filter, key) = self.filter(tree.filter.as_ref(), table).unzip();
        let outputs = self.outputs(&tree.items, &table.shape);
        let keys = match tree.distinct {
            Some(span) => self.distinct_keys(span, tree, &outputs),
            None => self.group_keys(&tree.group_by, &outputs, &table.shape),
        };
        let having = tree.having.as_ref().map(|having| self.having(having));
        let order = self.sorts(&tree.order_by, &outputs, &table.shape);
        let grouped = !tree.group_by.is_empty()
            || tree.having.is_some()
            || tree.distinct.is_some()
            || self.asked.as_ref().is_some_and(|asked| !asked.aggregates.is_empty());
        if !grouped {
            let mut order = order?;
            if lists::in_key_order(&order, &table.key) {
                order.clear();
            }
            return self.finish(tree, id, outputs, (filter?, key?), None, (None, order));
        }
        let mut parts = Parts { outputs, having: having.flatten(), order };
        let groups = grouping::Groups::new(keys?, tree.distinct.is_some());
        let good = self.parts_over_groups(tree, &mut parts, &groups);
        let aggregates = self.asked.take().map(|asked| asked.aggregates).unwrap_or_default();
        let grouping = Some(Grouping { keys: groups.keys, aggregates });
        let Parts { outputs, having, order } = parts;
        if !good {
            return None;
        }
        self.finish(tree, id, outputs, (filter?, key?), grouping, (having, order?))
    }

    /// Writes what is computed from groups over them; false when something needs a row.
    fn parts_over_groups(&mut self, tree: &Tree, parts: &mut Parts, groups: &grouping::Groups) -> bool {
        let mut good = true;
        let mut span = None;
        for output in &mut parts.outputs {
            // `*` stands for many columns: one message is enough.
            let again = span.replace(output.span) == Some(output.span) && !good;
            let Some(value) = output.value.as_mut().filter(|_| !again) else { continue };
            good &= self.over_groups(value, output.span, groups);
        }
        if let (Some(source), Some(having)) = (&tree.having, &mut parts.having) {
            good &= self.over_groups(having, source.span, groups);
        }
        for (sort, span) in parts.order.iter_mut().flatten() {
            good &= self.over_groups(&mut sort.value, *span, groups);
        }
        good
    }

    fn finish(
        &mut self,
        tree: &Tree,
        id: u16,
        outputs: Vec<Output>,
        (filter, key): (Option<Expr>, Option<Vec<Expr>>),
        grouping: Option<Grouping>,
        (having, order): (Option<Expr>, Vec<(Sort, Span)>),
    ) -> Option<Question> {
        let shape = self.result_shape(&outputs)?;
        Some(Question {
            table: anabranch_model::plan::TableId(id),
            shape: Arc::new(shape),
            columns: outputs.into_iter().map(|output| output.value).collect::<Option<_>>()?,
            filter,
            key,
            grouping,
            having,
            order: order.into_iter().map(|(sort, _)| sort).collect(),
            limit: tree.limit,
            offset: tree.offset.unwrap_or(0),
        })
    }

    /// The names in scope: the table's columns alone and behind its name.
    fn begin(&mut self, tree: &Tree, table: &Table) {
        let first = tree.group_by.len() as u16;
        self.asked = Some(Asked { aggregates: Vec::new(), plain: Vec::new(), first, here: Clause::Results });
        self.step.lets = u16::MAX;
        let shape = table.shape.clone();
        self.scope.candidate = Some(Candidate { table: table.name.clone(), slot: ROW, shape: shape.clone() });
        let Some(written) = &tree.table else { return };
        let name = written.alias.as_ref().unwrap_or(&written.table);
        let row = RowVariable { slot: ROW, shape, nullable: false, key: Vec::new() };
        let _ = self.scope.declare(&name.text, name.span, VariableKind::Row(row));
    }

    /// What is checked from here on, and what was before.
    pub(super) fn enter(&mut self, clause: Clause) -> Option<Clause> {
        let asked = self.asked.as_mut()?;
        Some(std::mem::replace(&mut asked.here, clause))
    }

    /// Checks `inside` as a part of `clause`.
    fn within<T>(&mut self, clause: Clause, inside: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.enter(clause);
        let result = inside(self);
        if let Some(before) = before {
            self.enter(before);
        }
        result
    }

    /// The `where`, and the whole key where it fixes it. What it says about nulls is known from here on.
    fn filter(
        &mut self,
        filter: Option<&ast::Expr>,
        table: &Table,
    ) -> Option<(Option<Expr>, Option<Vec<Expr>>)> {
        let Some(filter) = filter else { return Some((None, None)) };
        let sources = connected_parts(filter, true);
        let mut parts = Vec::new();
        self.within(Clause::Where, |rule| {
            for source in &sources {
                let Some(part) = rule.condition(source) else { continue };
                let facts = facts(&part, true);
                rule.scope.learn(&facts);
                parts.push(part);
            }
        });
        if parts.len() < sources.len() {
            return None;
        }
        let fixed = find::fixed(&table.key, ROW, &parts, &sources);
        let value = |id: &ColumnId| fixed.get(id).map(|of| of.value.clone());
        let key = table.key.iter().map(value).collect();
        Some((self.joined(filter.span, parts), key))
    }

    fn having(&mut self, having: &ast::Expr) -> Option<Expr> {
        self.condition(having)
    }

    /// The columns of the results.
    fn result_shape(&mut self, outputs: &[Output]) -> Option<Shape> {
        let columns = outputs.iter().map(|output| {
            let value = output.value.as_ref()?;
            let (name, ty) = (output.name.clone(), value.ty.clone());
            Some(anabranch_model::Column { name, ty, nullable: value.nullable, default: None })
        });
        Some(Shape::new(columns.collect::<Option<_>>()?))
    }
}
