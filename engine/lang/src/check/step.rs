//! Steps: the rules of an input, gathered, routed and put together.

use std::sync::Arc;

use anabranch_model::plan::{Rule, Step};
use anabranch_model::{Expr, Shape};

use crate::ast::{self, Item};
use crate::span::Span;

use super::declarations::Kind;
use super::rule::RuleChecker;
use super::scope::Blocker;
use super::{Checker, undo};

/// A step while its rules are checked.
#[derive(Default)]
pub(super) struct StepDraft {
    pub(super) rows: Vec<Arc<Shape>>,
    pub(super) lets: u16,
    pub(super) rules: Vec<Rule>,
    /// Every rule's part in the route, in file order.
    pub(super) routed: Vec<RuleRoute>,
}

/// What a rule says about where its row goes.
pub(super) struct RuleRoute {
    /// The row's name.
    pub(super) alias: String,
    pub(super) written: Option<Written>,
    pub(super) uses: Vec<TableUse>,
}

/// A written route; broken ones are left out.
pub(super) enum Written {
    By {
        values: Vec<Expr>,
        span: Span,
    },
    To {
        node: Expr,
        span: Span,
    },
    /// A route that is broken: nothing is compared with it.
    Broken,
}

/// A table that a rule touches.
pub(super) struct TableUse {
    /// Its number among the tables.
    pub(super) table: usize,
    /// Where the rule names it.
    pub(super) span: Span,
    /// Whether rows are written (and not looked for).
    pub(super) writes: bool,
    /// The partition values, in the order of `partition by`.
    pub(super) values: Vec<PartitionValue>,
}

/// One value that names the partition.
pub(super) struct PartitionValue {
    pub(super) span: Span,
    /// The value as a function of the input row, of the type of the column, or why it is none.
    pub(super) entry: Result<Expr, Blocker>,
}

impl Checker<'_> {
    /// Checks all rules; a step for each input.
    pub(super) fn steps(&mut self) -> Vec<Step> {
        let mut drafts: Vec<_> = self.declared.inputs.iter().map(|_| StepDraft::default()).collect();
        for (draft, input) in drafts.iter_mut().zip(&self.declared.inputs) {
            draft.rows.extend(input.shape.clone());
        }
        let tree = self.tree;
        for item in &tree.items {
            if let Item::Rule(rule) = item {
                self.rule(rule, &mut drafts);
            }
        }
        drafts.into_iter().map(|draft| self.finish(draft)).collect()
    }

    fn rule(&mut self, rule: &ast::Rule, drafts: &mut [StepDraft]) {
        let found = self.declared(&rule.event, "an input", |kind| matches!(kind, Kind::Input(_)));
        let at = match found.map(|found| found.kind) {
            Some(Kind::Input(at)) => Some(at),
            _ => None,
        };
        let input = at.and_then(|at| self.declared.inputs.get_mut(at));
        let shape = input.and_then(|input| {
            input.used = true;
            input.shape.clone()
        });
        let mut nowhere = StepDraft::default();
        let draft = at.and_then(|at| drafts.get_mut(at)).unwrap_or(&mut nowhere);
        RuleChecker::new(self, draft).rule(rule, shape);
    }

    fn finish(&mut self, draft: StepDraft) -> Step {
        let route = self.route(&draft);
        let undo = undo::needed(&draft.rules, &self.declared.tables, &self.declared.outputs);
        Step { route, rules: draft.rules, rows: draft.rows, lets: draft.lets, undo }
    }
}
