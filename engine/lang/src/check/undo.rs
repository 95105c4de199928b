//! Whether a step can be refused after its first write, so that what it wrote must be undone.
//!
//! The walk is conservative: it follows both ways of an `if`, and takes everything for fallible that it does not know.

use anabranch_model::plan::{Action, Find, Rule, Source, WriteKind};
use anabranch_model::{Expr, ExprKind, Function, Operator, Shape, Type};

use super::conversions::store_can_fail;
use super::declarations::{Stream, Table};
use super::walk;

/// Whether the writes of these rules may have to be undone.
pub(super) fn needed(rules: &[Rule], tables: &[Table], outputs: &[Stream]) -> bool {
    let mut walk = Walk { tables, outputs, needed: false };
    let mut written = false;
    for rule in rules {
        walk.fallible(written, rule.filter.as_ref().is_some_and(can_fail));
        written = walk.actions(&rule.actions, written);
    }
    walk.needed
}

struct Walk<'t> {
    tables: &'t [Table],
    outputs: &'t [Stream],
    needed: bool,
}

impl Walk<'_> {
    fn fallible(&mut self, written: bool, can_fail: bool) {
        self.needed |= written && can_fail;
    }

    /// Walks `actions`; whether something may be written after them.
    fn actions(&mut self, actions: &[Action], mut written: bool) -> bool {
        for action in actions {
            written = self.action(action, written);
        }
        written
    }

    fn action(&mut self, action: &Action, written: bool) -> bool {
        match action {
            Action::Write { kind, table, columns, .. } => {
                let shape = self.shape(usize::from(table.0));
                // A row that is made may find its partition full or have too long a key; an update makes none.
                let fails =
                    *kind != WriteKind::Update || shape.is_none_or(|shape| row_can_fail(shape, columns));
                self.fallible(written, fails);
                true
            }
            Action::Delete { find, .. } => {
                let fails = find_can_fail(find);
                // Without a key several rows go, and the test of a later one can fail.
                self.fallible(written || find.key.is_none(), fails);
                true
            }
            Action::Read { find, .. } => {
                self.fallible(written, find_can_fail(find));
                written
            }
            Action::Let { value, .. } => {
                self.fallible(written, can_fail(value));
                written
            }
            Action::Require { .. } => {
                self.fallible(written, true);
                written
            }
            Action::Reply { output, columns, .. } | Action::Emit { output, columns, .. } => {
                let stream = self.outputs.get(usize::from(output.0));
                let shape = stream.and_then(|stream| stream.shape.as_deref());
                let fails = shape.is_none_or(|shape| sent_can_fail(shape, columns));
                self.fallible(written, fails);
                written
            }
            Action::If { arms, otherwise } => {
                let mut after = self.actions(otherwise, written);
                for (condition, actions) in arms {
                    self.fallible(written, can_fail(condition));
                    after |= self.actions(actions, written);
                }
                after
            }
        }
    }

    fn shape(&self, table: usize) -> Option<&Shape> {
        self.tables.get(table)?.content.as_ref().map(|content| &*content.shape)
    }
}

fn find_can_fail(find: &Find) -> bool {
    find.key.iter().flatten().chain(&find.partition).chain(&find.filter).any(can_fail)
}

/// A row can be too large when it has columns without a fixed size.
fn can_be_too_large(shape: &Shape) -> bool {
    shape.columns().iter().any(|column| matches!(column.ty, Type::Text | Type::Bytes | Type::Json))
}

fn row_can_fail(shape: &Shape, columns: &[Source]) -> bool {
    can_be_too_large(shape)
        || columns.iter().zip(shape.columns()).any(|(source, column)| match source {
            Source::Keep => false,
            Source::Value(value) => can_fail(value) || store_can_fail(value, &column.ty),
            // The sum can overflow.
            Source::Add(_) | Source::Subtract(_) => true,
        })
}

fn sent_can_fail(shape: &Shape, columns: &[Expr]) -> bool {
    can_be_too_large(shape)
        || columns
            .iter()
            .zip(shape.columns())
            .any(|(value, column)| can_fail(value) || store_can_fail(value, &column.ty))
}

/// Whether evaluating `expr` can give a fault.
fn can_fail(expr: &Expr) -> bool {
    walk::all(expr).any(|one| match &one.kind {
        ExprKind::Literal(_)
        | ExprKind::Column(..)
        | ExprKind::Let(_)
        | ExprKind::RowIsNull(_)
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Not(_)
        | ExprKind::Compare(..)
        | ExprKind::IsNull(_)
        | ExprKind::In(..)
        | ExprKind::Between(..)
        | ExprKind::Case { .. }
        | ExprKind::Node
        | ExprKind::Source
        | ExprKind::Now
        | ExprKind::Revision
        | ExprKind::Uuid => false,
        ExprKind::Call(function, _) => !never_fails(*function),
        ExprKind::Binary(Operator::Concat, ..)
        | ExprKind::Binary(..)
        | ExprKind::Like(..)
        | ExprKind::Negate(_)
        | ExprKind::Cast(_) => true,
    })
}

fn never_fails(function: Function) -> bool {
    matches!(
        function,
        Function::Coalesce
            | Function::Nullif
            | Function::Least
            | Function::Greatest
            | Function::Length
            | Function::StartsWith
            | Function::Position
            | Function::Hash
    )
}
