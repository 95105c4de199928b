//! Expressions: names, conditions and `case`. What comes out is typed and lowered; `None` is something broken that has
//! been reported.
//!
//! A *wanted* type only says what a literal stands for; whether the result has it is for the caller to see.

use anabranch_model::{Expr, ExprKind, Type, Value};

use crate::ast::{self, ExprKind as Ast};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::conversions;
use super::literal;
use super::rule::RuleChecker;
use super::scope::{Blocker, facts};
use super::shapes::with_article;

impl<'a> RuleChecker<'_, 'a> {
    /// The typed form of `expr`.
    pub(super) fn expr(&mut self, expr: &ast::Expr, want: Option<&Type>) -> Option<Expr> {
        if let Some(constant) = literal::constant(expr) {
            return self.literal(expr.span, &constant, want);
        }
        self.nested(expr, want)
    }

    fn nested(&mut self, expr: &ast::Expr, want: Option<&Type>) -> Option<Expr> {
        let span = expr.span;
        match &expr.kind {
            Ast::Literal(_) => None,
            Ast::Paren(inner) => self.expr(inner, want),
            Ast::Name(None, name) => self.name(name),
            Ast::Name(Some(row), name) => self.row_column(row, name),
            Ast::And(..) => self.connected(span, expr, true),
            Ast::Or(..) => self.connected(span, expr, false),
            Ast::Not(inner) => {
                let inner = self.condition(inner)?;
                Some(self.not(span, inner))
            }
            Ast::Compare(comparison, left, right) => self.compare(span, *comparison, left, right),
            Ast::IsNull(inner, not) => self.is_null(span, inner, *not),
            Ast::In(inner, list, not) => self.in_list(span, inner, list, *not),
            Ast::Between(inner, low, high, not) => self.between(span, inner, low, high, *not),
            Ast::Like(inner, pattern, not) => self.like(span, inner, pattern, *not),
            Ast::Binary(operator, left, right) => self.binary(span, *operator, left, right, want),
            Ast::Negate(inner) => self.negate(span, inner, want),
            Ast::Case { arms, otherwise } => self.case(span, arms, otherwise.as_deref(), want),
            Ast::Cast(inner, ty) => self.cast(span, inner, ty),
            Ast::Call(name, arguments) => self.call(span, name, arguments, want),
            Ast::Aggregate { kind, distinct, argument } => {
                self.aggregate(span, *kind, *distinct, argument.as_deref())
            }
        }
    }

    /// An expression with its place.
    pub(super) fn make(&self, span: Span, kind: ExprKind, ty: Type, nullable: bool) -> Expr {
        Expr { kind, ty, nullable, place: self.checker.place(span) }
    }

    /// An expression that must be a truth value.
    pub(super) fn condition(&mut self, expr: &ast::Expr) -> Option<Expr> {
        let typed = self.expr(expr, Some(&Type::Bool))?;
        if let ExprKind::Literal(Value::Bool(truth)) = typed.kind {
            self.report(
                Diagnostic::warning("F096", expr.span, format!("this condition is always {truth}"))
                    .here("a constant")
                    .help("leave the condition out, or say what it depends on"),
            );
        }
        if typed.ty == Type::Bool {
            return Some(typed);
        }
        let ty = with_article(&typed.ty);
        self.report(
            Diagnostic::error("F059", expr.span, format!("a condition is needed here, this is {ty}"))
                .here(format!("`{}`, not `bool`", typed.ty))
                .help("compare it with something: `= ...`, `> ...` or `is not null`"),
        );
        None
    }

    /// `a and b and ...` or `a or b or ...`: each part knows what the ones before it have settled.
    fn connected(&mut self, span: Span, expr: &ast::Expr, all: bool) -> Option<Expr> {
        let mark = self.scope.facts_mark();
        let mut parts = Vec::new();
        let mut good = true;
        for part in connected_parts(expr, all) {
            match self.condition(part) {
                Some(part) => {
                    let facts = facts(&part, all);
                    self.scope.learn(&facts);
                    parts.push(part);
                }
                None => good = false,
            }
        }
        self.scope.forget(mark);
        let nullable = parts.iter().any(|part| part.nullable);
        let kind = if all { ExprKind::And(parts) } else { ExprKind::Or(parts) };
        good.then(|| self.make(span, kind, Type::Bool, nullable))
    }

    pub(super) fn not(&self, span: Span, inner: Expr) -> Expr {
        let nullable = inner.nullable;
        self.make(span, ExprKind::Not(Box::new(inner)), Type::Bool, nullable)
    }

    fn is_null(&mut self, span: Span, inner: &ast::Expr, not: bool) -> Option<Expr> {
        let kind = match self.whole_row(inner) {
            Some(row) => {
                let (slot, nullable) = row?;
                if slot.0 > 0 {
                    let text = "it asks whether a row was found".to_owned();
                    self.blocked(Blocker { span, text });
                }
                if !nullable {
                    self.never_null(span, inner.span, not);
                }
                ExprKind::RowIsNull(slot)
            }
            None => {
                let inner_span = inner.span;
                let inner = self.expr(inner, None)?;
                if !inner.nullable {
                    self.never_null(span, inner_span, not);
                }
                ExprKind::IsNull(Box::new(inner))
            }
        };
        let is_null = self.make(span, kind, Type::Bool, false);
        Some(if not { self.not(span, is_null) } else { is_null })
    }

    fn never_null(&mut self, span: Span, inner: Span, not: bool) {
        let message = format!("`{}` is never null here", self.checker.source(inner));
        self.report(
            Diagnostic::warning("F096", span, message)
                .here(format!("always {not}"))
                .help("leave the condition out"),
        );
    }

    fn case(
        &mut self,
        span: Span,
        arms: &[(ast::Expr, ast::Expr)],
        otherwise: Option<&ast::Expr>,
        want: Option<&Type>,
    ) -> Option<Expr> {
        let mark = self.scope.facts_mark();
        let mut conditions = Vec::new();
        let mut branches = Vec::new();
        let mut good = true;
        for (condition, result) in arms {
            match self.condition(condition) {
                Some(condition) => {
                    let mut then: Vec<_> = self.scope.facts_since(mark).to_vec();
                    then.extend(facts(&condition, true));
                    branches.push((result, then));
                    let facts = facts(&condition, false);
                    self.scope.learn(&facts);
                    conditions.push(condition);
                }
                None => {
                    branches.push((result, Vec::new()));
                    good = false;
                }
            }
        }
        let rest = self.scope.facts_since(mark).to_vec();
        self.scope.forget(mark);
        branches.extend(otherwise.map(|otherwise| (otherwise, rest)));
        let (mut results, ty) = self.unified(&branches, want, "the branches of a `case`")?;
        let otherwise = match otherwise {
            Some(_) => results.pop().map(Box::new),
            None => None,
        };
        let nullable =
            results.iter().chain(otherwise.as_deref()).any(|result| result.nullable) || otherwise.is_none();
        let arms = conditions.into_iter().zip(results).collect();
        good.then(|| self.make(span, ExprKind::Case { arms, otherwise }, ty, nullable))
    }

    fn cast(&mut self, span: Span, inner: &ast::Expr, to: &ast::TypeName) -> Option<Expr> {
        let ty = self.checker.type_of(to);
        if to.nullable {
            self.report(
                Diagnostic::error("F058", to.span, "a cast names a type without `?`")
                    .here("null stays null anyway")
                    .help("leave the `?` out"),
            );
            return None;
        }
        if literal::constant(inner).is_some_and(|constant| constant.is_null()) {
            return Some(self.make(span, ExprKind::Literal(Value::Null), ty?, true));
        }
        let inner_span = inner.span;
        let (inner, ty) = (self.expr(inner, None), ty?);
        let inner = inner?;
        if !conversions::castable(&inner.ty, &ty) {
            let message = format!("{} cannot be cast to {}", with_article(&inner.ty), with_article(&ty));
            let source = self.checker.source(inner_span);
            let help = match (&inner.ty, &ty) {
                (Type::Bool, Type::Int) => format!("write `case when {source} then 1 else 0 end`"),
                (_, Type::Bool) => format!("write what makes it true: `{source} = ...`"),
                (Type::Bytes | Type::Enum(_), _) => {
                    format!("go by text: `cast(cast({source} as text) as {ty})`")
                }
                _ => "no cast leads from the one to the other".to_owned(),
            };
            self.report(
                Diagnostic::error("F058", span, message)
                    .and(inner_span, format!("this is `{}`", inner.ty))
                    .help(help),
            );
            return None;
        }
        let nullable = inner.nullable;
        Some(self.make(span, ExprKind::Cast(Box::new(inner)), ty, nullable))
    }
}

/// The parts of a chain of `and` (`all`) or `or`, through parentheses, in order.
pub(super) fn connected_parts(expr: &ast::Expr, all: bool) -> Vec<&ast::Expr> {
    let mut parts = Vec::new();
    let mut stack = vec![expr];
    while let Some(expr) = stack.pop() {
        match &expr.kind {
            Ast::And(left, right) if all => stack.extend([&**right, &**left]),
            Ast::Or(left, right) if !all => stack.extend([&**right, &**left]),
            Ast::Paren(inner) => stack.push(inner),
            _ => parts.push(expr),
        }
    }
    parts
}
