//! Names of a rule, and what is known not to be null.
//!
//! A name lives to the end of its block and is taken once in a rule. A *fact* says that a column, a `let` or a row is
//! not null from here to the end of the block, because a `require` or an `if` said so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anabranch_model::{ColumnId, Expr, ExprKind, LetSlot, RowSlot, Shape, Type};

use crate::span::Span;

/// Something that is not null here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fact {
    Column(RowSlot, ColumnId),
    Let(LetSlot),
    Row(RowSlot),
}

/// A name of a rule.
#[derive(Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) kind: VariableKind,
    pub(super) used: bool,
    /// Whether its block has not ended.
    pub(super) alive: bool,
}

/// What a name of a rule stands for.
#[derive(Clone)]
pub(super) enum VariableKind {
    /// The input row, or a row that was read.
    Row(RowVariable),
    /// A `let`.
    Let(LetVariable),
    /// Something broken: its uses are not reported.
    Broken,
}

/// A row variable.
#[derive(Clone)]
pub(super) struct RowVariable {
    pub(super) slot: RowSlot,
    pub(super) shape: Arc<Shape>,
    /// Whether the row may be missing.
    pub(super) nullable: bool,
    /// What the columns of its key are as functions of the input row: a row that was read by its key has the values
    /// that found it.
    pub(super) key: Vec<(ColumnId, Result<Expr, Blocker>)>,
}

impl RowVariable {
    /// Column `id` as a function of the input row, or why it is none; `name` is the row's, `span` where it is used.
    pub(super) fn entry(&self, id: ColumnId, name: &str, span: Span) -> Result<Expr, Blocker> {
        let known = self.key.iter().find(|(column, _)| *column == id).map(|(_, entry)| entry.clone());
        known
            .unwrap_or_else(|| Err(Blocker { span, text: format!("`{name}` is read from a table") }))
            .map_err(|blocker| Blocker { span, ..blocker })
    }
}

/// A `let`.
#[derive(Clone)]
pub(super) struct LetVariable {
    pub(super) slot: LetSlot,
    pub(super) ty: Type,
    pub(super) nullable: bool,
    /// What it is when only the input row is known, or why that does not do.
    pub(super) entry: Result<Expr, Blocker>,
}

/// Why an expression is not a function of the input row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Blocker {
    pub(super) span: Span,
    pub(super) text: String,
}

/// A table whose rows a `where` looks at.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) table: String,
    pub(super) slot: RowSlot,
    pub(super) shape: Arc<Shape>,
}

/// The names in scope.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) variables: Vec<Variable>,
    names: HashMap<String, usize>,
    facts: Facts,
    /// The table of the `where` that is being checked.
    pub(super) candidate: Option<Candidate>,
    /// Whether only the input row is known: set while an expression is checked as a value that names a partition.
    pub(super) entry: Option<Option<Blocker>>,
}

/// Where a block begins, to go back to.
pub(super) struct Mark {
    variables: usize,
    facts: usize,
}

impl Scope {
    /// Takes a name; the span of the first when it is taken.
    pub(super) fn declare(&mut self, name: &str, span: Span, kind: VariableKind) -> Result<(), Span> {
        if let Some(&first) = self.names.get(name) {
            return Err(self.variables[first].span);
        }
        self.names.insert(name.to_owned(), self.variables.len());
        self.variables.push(Variable { name: name.to_owned(), span, kind, used: false, alive: true });
        Ok(())
    }

    /// The variable called `name`, whether its block has ended or not.
    pub(super) fn variable(&mut self, name: &str) -> Option<&mut Variable> {
        let at = *self.names.get(name)?;
        self.variables.get_mut(at)
    }

    /// The names whose block has not ended.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Variable> {
        self.variables.iter().filter(|variable| variable.alive)
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { variables: self.variables.len(), facts: self.facts_mark() }
    }

    /// Ends the block that began at `mark`.
    pub(super) fn end(&mut self, mark: &Mark) {
        self.forget(mark.facts);
        for variable in &mut self.variables[mark.variables..] {
            variable.alive = false;
        }
    }

    pub(super) fn known(&self, fact: Fact) -> bool {
        self.facts.set.contains(&fact)
    }

    pub(super) fn learn(&mut self, facts: &[Fact]) {
        for fact in facts {
            if self.facts.set.insert(*fact) {
                self.facts.order.push(*fact);
            }
        }
    }

    /// How many facts are known, to go back to with [`Scope::forget`].
    pub(super) fn facts_mark(&self) -> usize {
        self.facts.order.len()
    }

    /// The facts learnt since `mark`.
    pub(super) fn facts_since(&self, mark: usize) -> &[Fact] {
        &self.facts.order[mark..]
    }

    /// Forgets the facts learnt since `mark`.
    pub(super) fn forget(&mut self, mark: usize) {
        for fact in self.facts.order.drain(mark..) {
            self.facts.set.remove(&fact);
        }
    }

    /// Puts all facts aside; [`Scope::set_facts`] puts them back.
    pub(super) fn take_facts(&mut self) -> Facts {
        std::mem::take(&mut self.facts)
    }

    pub(super) fn set_facts(&mut self, facts: Facts) {
        self.facts = facts;
    }
}

/// Facts in the order they were learnt, each once.
#[derive(Default)]
pub(super) struct Facts {
    order: Vec<Fact>,
    set: HashSet<Fact>,
}

/// What is not null when `condition` is true (`truth`), or when it is not true.
pub(super) fn facts(condition: &Expr, truth: bool) -> Vec<Fact> {
    let mut found = Vec::new();
    let mut stack = vec![(condition, truth)];
    while let Some((condition, truth)) = stack.pop() {
        match (&condition.kind, truth) {
            (ExprKind::And(parts), true) | (ExprKind::Or(parts), false) => {
                stack.extend(parts.iter().map(|part| (part, truth)));
            }
            (ExprKind::Not(inner), _) => stack.push((inner, !truth)),
            (ExprKind::RowIsNull(slot), false) => found.push(Fact::Row(*slot)),
            (ExprKind::IsNull(inner), false) => match inner.kind {
                // A column that is not null is the column of a row that is there.
                ExprKind::Column(slot, id) => found.extend([Fact::Column(slot, id), Fact::Row(slot)]),
                ExprKind::Let(slot) => found.push(Fact::Let(slot)),
                _ => {}
            },
            _ => {}
        }
    }
    found
}
