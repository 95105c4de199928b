//! Aggregates: where they may stand, what they take, what they give.

use anabranch_model::decimal::result_scale;
use anabranch_model::question::{AGGREGATES_MAX, Aggregate, AggregateKind};
use anabranch_model::{Expr, ExprKind, LetSlot, Operator, Place, Type};

use crate::ast;
use crate::check::rule::RuleChecker;
use crate::check::scope::Fact;
use crate::check::shapes::with_article;
use crate::check::walk;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::Clause;

impl RuleChecker<'_, '_> {
    /// The value of an aggregate of a group.
    pub(in crate::check) fn aggregate(
        &mut self,
        span: Span,
        kind: AggregateKind,
        distinct: bool,
        argument: Option<&ast::Expr>,
    ) -> Option<Expr> {
        let here = self.asked.as_ref()?.here;
        let typed = argument.map(|argument| {
            let before = self.enter(Clause::Aggregate);
            let typed = self.expr(argument, None);
            before.map(|before| self.enter(before));
            typed.filter(|typed| self.takes(kind, argument, &typed.ty))
        });
        let typed = match typed {
            Some(None) => None,
            Some(Some(typed)) => Some(Some(typed)),
            None => Some(None),
        };
        if here != Clause::Results {
            self.misplaced(span, kind, here);
            return None;
        }
        let argument = typed?;
        let ty = result_type(kind, argument.as_ref().map(|typed| &typed.ty));
        let place = self.checker.place(span);
        let slot = self.gathered(span, Aggregate { kind, distinct, argument, ty: ty.clone(), place })?;
        let nullable = kind != AggregateKind::Count && !self.scope.known(Fact::Let(slot));
        Some(self.make(span, ExprKind::Let(slot), ty, nullable))
    }

    /// The number of an aggregate: that of an equal one, or the next.
    fn gathered(&mut self, span: Span, aggregate: Aggregate) -> Option<LetSlot> {
        let asked = self.asked.as_mut()?;
        let plain = Aggregate {
            argument: aggregate.argument.clone().map(walk::without_places),
            place: Place::default(),
            ..aggregate.clone()
        };
        let at = asked.plain.iter().position(|other| *other == plain).unwrap_or(asked.aggregates.len());
        let slot = LetSlot(asked.first.saturating_add(at as u16));
        if at == AGGREGATES_MAX {
            let message = format!("the question has more than {AGGREGATES_MAX} aggregates");
            self.report(Diagnostic::error("F024", span, message).help("ask in several questions"));
            return None;
        }
        if at == asked.aggregates.len() {
            asked.aggregates.push(aggregate);
            asked.plain.push(plain);
        }
        Some(slot)
    }

    /// Whether an aggregate takes values of a type.
    fn takes(&mut self, kind: AggregateKind, argument: &ast::Expr, ty: &Type) -> bool {
        let number = matches!(ty, Type::Int | Type::Float | Type::Decimal { .. } | Type::Duration);
        let (fits, needed) = match kind {
            AggregateKind::Count => (true, ""),
            AggregateKind::Sum | AggregateKind::Avg => (number, "a number or a duration"),
            AggregateKind::Min | AggregateKind::Max => (*ty != Type::Json, "a type that has an order"),
        };
        if !fits {
            let name = kind.name();
            let message = format!("`{name}` takes {needed}, not {}", with_article(ty));
            let source = self.checker.source(argument.span);
            let help = match ty {
                Type::Text => format!("write `{name}(cast({source} as decimal))`"),
                Type::Bool => format!("write `{name}(case when {source} then 1 else 0 end)`"),
                Type::Json => format!("name a member: `json_get({source}, 'name')`, with a cast around it"),
                _ => "take a column of another type".to_owned(),
            };
            let diagnostic = Diagnostic::error("F086", argument.span, message);
            self.report(diagnostic.here(format!("this is `{ty}`")).help(help));
        }
        fits
    }

    fn misplaced(&mut self, span: Span, kind: AggregateKind, here: Clause) {
        let name = kind.name();
        let (message, help) = match here {
            Clause::Where => (
                format!("`{name}` cannot stand in `where`, which looks at one row"),
                "conditions on groups stand in `having`",
            ),
            Clause::GroupBy => (
                format!("`{name}` cannot stand in `group by`, which makes the groups"),
                "group by columns of the table",
            ),
            Clause::Aggregate | Clause::Results => (
                format!("`{name}` cannot stand inside another aggregate"),
                "ask for the inner one and compute the outer from the results",
            ),
        };
        self.report(Diagnostic::error("F084", span, message).here("an aggregate").help(help));
    }

    /// `node()` and its like in a question.
    pub(in crate::check) fn only_in_a_step(&mut self, span: Span, word: &str) {
        let message = format!("`{word}()` has no meaning in a question");
        let help = match word {
            "uuid" => "leave it out: a question makes nothing new",
            _ => "write the name in quotes: `'A'`",
        };
        let diagnostic = Diagnostic::error("F089", span, message).here("known in the steps of a flow only");
        self.report(diagnostic.help(help));
    }
}

/// What an aggregate over values of type `of` gives.
fn result_type(kind: AggregateKind, of: Option<&Type>) -> Type {
    match (kind, of) {
        (AggregateKind::Count, _) | (_, None) => Type::Int,
        (AggregateKind::Sum, Some(Type::Decimal { scale, .. })) => {
            Type::Decimal { precision: 38, scale: *scale }
        }
        (AggregateKind::Avg, Some(Type::Int)) => mean(0),
        (AggregateKind::Avg, Some(Type::Decimal { scale, .. })) => mean(*scale),
        (_, Some(of)) => of.clone(),
    }
}

/// The type of a mean: what `/` gives.
fn mean(scale: u8) -> Type {
    Type::Decimal { precision: 38, scale: result_scale(Operator::Divide, scale, 0).min(38) }
}
