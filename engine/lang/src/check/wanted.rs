//! What is wanted of a literal: the type of the column, operand or branch that it stands beside.
//!
//! An expression made of literals alone is *flexible*: it takes the type of the first that is not. Where all are
//! flexible, the widest kind of number among them counts.

use anabranch_model::{Expr, ExprKind, Operator, Type, Value};

use crate::ast::{self, ExprKind as Ast};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::conversions;
use super::literal::{self, Problem};
use super::rule::RuleChecker;
use super::scope::Fact;

impl RuleChecker<'_, '_> {
    pub(super) fn literal(
        &mut self,
        span: Span,
        constant: &literal::Constant<'_>,
        want: Option<&Type>,
    ) -> Option<Expr> {
        if constant.is_null() {
            let Some(ty) = want else {
                self.report(
                    Diagnostic::error("F054", span, "this null has no type")
                        .here("null of what?")
                        .help("say of which type it is: `cast(null as text)`"),
                );
                return None;
            };
            return Some(self.make(span, ExprKind::Literal(Value::Null), ty.clone(), true));
        }
        let natural = constant.natural()?;
        let wanted = want.map(|ty| (ty, constant.value_of(ty)));
        match wanted {
            Some((ty, Ok(value))) => Some(self.make(span, ExprKind::Literal(value), ty.clone(), false)),
            Some((Type::Enum(_), Err(problem @ Problem::Value { .. }))) => {
                self.bad_literal("F052", span, problem);
                None
            }
            // An INT where a decimal is wanted that cannot hold it is a decimal all the same.
            Some((Type::Decimal { .. }, Err(Problem::Value { .. }))) if natural == Type::Int => {
                let ty = Type::Decimal { precision: 19, scale: 0 };
                let value = constant.value_of(&ty).ok()?;
                Some(self.make(span, ExprKind::Literal(value), ty, false))
            }
            _ => match constant.value_of(&natural) {
                Ok(value) => Some(self.make(span, ExprKind::Literal(value), natural, false)),
                Err(problem) => {
                    self.bad_literal("F051", span, problem);
                    None
                }
            },
        }
    }

    fn bad_literal(&mut self, code: &'static str, span: Span, problem: Problem) {
        let label = problem.label();
        let message = match code {
            "F052" => label.clone(),
            _ => format!("`{}` is {label}", self.checker.source(span)),
        };
        let here = if code == "F052" { "not a value of the enum".to_owned() } else { label };
        self.report(Diagnostic::error(code, span, message).here(here).help(problem.help()));
    }

    /// Expressions that must have one type, each with what is known where it is evaluated. `what` names them in
    /// messages.
    pub(super) fn unified(
        &mut self,
        exprs: &[(&ast::Expr, Vec<Fact>)],
        want: Option<&Type>,
        what: &str,
    ) -> Option<(Vec<Expr>, Type)> {
        let anchor = exprs.iter().position(|(expr, _)| !flexible(expr));
        let first = anchor.map(|at| self.expr_knowing(exprs[at].0, &exprs[at].1, want));
        let wanted = match &first {
            Some(Some(first)) => Some(first.ty.clone()),
            Some(None) => None,
            None => want.cloned().or_else(|| natural(exprs.iter().map(|(expr, _)| *expr))),
        };
        let mut first = first;
        let mut typed = Vec::new();
        let mut good = true;
        for (at, (expr, facts)) in exprs.iter().enumerate() {
            let one = if Some(at) == anchor {
                first.take().flatten()
            } else if wanted.is_none() && anchor.is_some() && flexible(expr) {
                // The type is unknown because the anchor is broken: a literal says nothing new.
                None
            } else {
                self.expr_knowing(expr, facts, wanted.as_ref())
            };
            good &= one.is_some();
            typed.extend(one.map(|one| (one, expr.span)));
        }
        if !good {
            return None;
        }
        let at = anchor.unwrap_or(0);
        let (anchor_type, anchor_span) = typed.get(at).map(|(one, span)| (one.ty.clone(), *span))?;
        let mut ty = anchor_type.clone();
        for ((one, span), (expr, _)) in typed.iter().zip(exprs) {
            if !conversions::same_kind(&one.ty, &anchor_type) {
                let mut diagnostic = self.mixed(*span, &one.ty, anchor_span, &anchor_type, expr);
                if flexible(expr) && conversions::castable(&anchor_type, &one.ty) {
                    // The literal says what is meant: the other one is to become like it.
                    let source = self.checker.source(anchor_span);
                    let target = super::operators::any_scale(&one.ty);
                    diagnostic = diagnostic.help(format!("write `cast({source} as {target})`"));
                }
                self.report(Diagnostic { message: format!("{what} have one type"), ..diagnostic });
                return None;
            }
            ty = conversions::union(&ty, &one.ty);
        }
        Some((typed.into_iter().map(|(one, _)| one).collect(), ty))
    }

    fn expr_knowing(&mut self, expr: &ast::Expr, facts: &[Fact], want: Option<&Type>) -> Option<Expr> {
        let mark = self.scope.facts_mark();
        self.scope.learn(facts);
        let typed = self.expr(expr, want);
        self.scope.forget(mark);
        typed
    }
}

/// Whether `expr` is made of literals alone, so that its type follows what is wanted.
pub(super) fn flexible(expr: &ast::Expr) -> bool {
    match &expr.kind {
        Ast::Literal(_) => true,
        Ast::Paren(inner) | Ast::Negate(inner) => flexible(inner),
        Ast::Binary(operator, left, right) => {
            *operator != Operator::Concat && flexible(left) && flexible(right)
        }
        Ast::Case { arms, otherwise } => {
            arms.iter().all(|(_, result)| flexible(result)) && otherwise.as_deref().is_none_or(flexible)
        }
        Ast::Call(name, arguments) => {
            super::calls::follows_arguments(&name.text) && arguments.iter().all(flexible)
        }
        _ => false,
    }
}

/// The type that literals have together where nothing is wanted: the widest kind of number among them.
pub(super) fn natural<'e>(exprs: impl IntoIterator<Item = &'e ast::Expr>) -> Option<Type> {
    let rank = |ty: &Type| match ty {
        Type::Int => 1,
        Type::Decimal { .. } => 2,
        Type::Float => 3,
        _ => 0,
    };
    let mut widest: Option<Type> = None;
    let mut stack: Vec<_> = exprs.into_iter().collect();
    stack.reverse();
    while let Some(expr) = stack.pop() {
        let ty = match &expr.kind {
            Ast::Paren(inner) | Ast::Negate(inner) => {
                stack.push(inner);
                continue;
            }
            Ast::Binary(_, left, right) => {
                stack.extend([&**right, &**left]);
                continue;
            }
            Ast::Case { arms, otherwise } => {
                stack.extend(otherwise.as_deref());
                stack.extend(arms.iter().rev().map(|(_, result)| result));
                continue;
            }
            Ast::Call(_, arguments) => {
                stack.extend(arguments.iter().rev());
                continue;
            }
            _ => literal::constant(expr).and_then(|constant| constant.natural()),
        };
        widest = match (widest, ty) {
            (Some(a), Some(b)) if conversions::same_kind(&a, &b) => Some(conversions::union(&a, &b)),
            (Some(a), Some(b)) => Some(if rank(&b) > rank(&a) { b } else { a }),
            (a, b) => a.or(b),
        };
    }
    widest
}
