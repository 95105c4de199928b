//! Comparisons and arithmetic: which types go together, and what comes out.

use anabranch_model::decimal::result_scale;
use anabranch_model::{Comparison, Expr, ExprKind, Operator, Type};

use crate::ast;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::conversions::{same_kind, union};
use super::literal;
use super::rule::RuleChecker;
use super::shapes::with_article;
use super::wanted::{flexible, natural};

impl RuleChecker<'_, '_> {
    /// Two operands of one operator; a literal takes the type of the other.
    fn pair(&mut self, left: &ast::Expr, right: &ast::Expr, want: Option<&Type>) -> Option<(Expr, Expr)> {
        let (left, right) = match (flexible(left), flexible(right)) {
            (true, false) => {
                let right = self.expr(right, want);
                let left = match &right {
                    Some(right) => self.expr(left, Some(&right.ty.clone())),
                    None => None,
                };
                (left, right)
            }
            (false, true) => {
                let left = self.expr(left, want);
                let right = match &left {
                    Some(left) => self.expr(right, Some(&left.ty.clone())),
                    None => None,
                };
                (left, right)
            }
            (true, true) => {
                let want = want.cloned().or_else(|| natural([left, right]));
                (self.expr(left, want.as_ref()), self.expr(right, want.as_ref()))
            }
            (false, false) => (self.expr(left, want), self.expr(right, want)),
        };
        Some((left?, right?))
    }

    pub(super) fn compare(
        &mut self,
        span: Span,
        comparison: Comparison,
        left: &ast::Expr,
        right: &ast::Expr,
    ) -> Option<Expr> {
        let (a, b) = self.pair(left, right, None)?;
        self.comparable(&a, left, &b, right)?;
        let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if a.ty == Type::Json && !equality {
            self.no_order(span, &a.ty);
            return None;
        }
        let nullable = a.nullable || b.nullable;
        let kind = ExprKind::Compare(comparison, Box::new(a), Box::new(b));
        Some(self.make(span, kind, Type::Bool, nullable))
    }

    pub(super) fn no_order(&mut self, span: Span, ty: &Type) {
        self.report(
            Diagnostic::error("F048", span, format!("{ty} has no order"))
                .here("only `=` and `<>` work on it")
                .help("compare a member: `json_get(j, 'name')`"),
        );
    }

    /// Reports two types that do not compare.
    fn comparable(&mut self, a: &Expr, left: &ast::Expr, b: &Expr, right: &ast::Expr) -> Option<()> {
        if same_kind(&a.ty, &b.ty) {
            return Some(());
        }
        let diagnostic = self.mixed(right.span, &b.ty, left.span, &a.ty, right);
        let diagnostic = match self.literal_help(left, &b.ty).or_else(|| self.literal_help(right, &a.ty)) {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        };
        self.report(diagnostic);
        None
    }

    /// What to write when a literal stands where `ty` is needed.
    fn literal_help(&self, expr: &ast::Expr, ty: &Type) -> Option<String> {
        let problem = literal::constant(expr)?.value_of(ty).err()?;
        match ty {
            Type::Time | Type::Bytes | Type::Json => {
                Some(format!("write `cast({} as {ty})`", self.checker.source(expr.span)))
            }
            _ => Some(problem.help()),
        }
    }

    /// Two types where one is needed: `expr` at `span` has type `ty`, what stands at `other` has `needed`.
    pub(super) fn mixed(
        &self,
        span: Span,
        ty: &Type,
        other: Span,
        needed: &Type,
        expr: &ast::Expr,
    ) -> Diagnostic {
        let source = self.checker.source(expr.span);
        let (whole, fraction) = (matches!(ty, Type::Int), matches!(ty, Type::Float | Type::Decimal { .. }));
        let into = matches!(needed, Type::Float | Type::Decimal { .. });
        let help = if fraction && *needed == Type::Int {
            let other = self.checker.source(other);
            format!("write `cast({other} as {})`, or `cast({source} as int)` to round", any_scale(ty))
        } else if whole && into || super::conversions::castable(ty, needed) {
            format!("write `cast({source} as {})`", any_scale(needed))
        } else {
            "compare and combine values of one type".to_owned()
        };
        let message = format!("{} and {} do not mix", with_article(needed), with_article(ty));
        Diagnostic::error("F048", span, message)
            .here(format!("this is `{ty}`"))
            .and(other, format!("this is `{needed}`"))
            .help(help)
    }

    pub(super) fn in_list(
        &mut self,
        span: Span,
        inner: &ast::Expr,
        list: &[ast::Expr],
        not: bool,
    ) -> Option<Expr> {
        let items: Vec<_> = std::iter::once(inner).chain(list).map(|expr| (expr, Vec::new())).collect();
        let (mut typed, _) = self.unified(&items, None, "the values of `in`")?;
        let list = typed.split_off(1);
        let value = typed.pop()?;
        let nullable = value.nullable || list.iter().any(|one| one.nullable);
        let found = self.make(span, ExprKind::In(Box::new(value), list), Type::Bool, nullable);
        Some(if not { self.not(span, found) } else { found })
    }

    pub(super) fn between(
        &mut self,
        span: Span,
        inner: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        not: bool,
    ) -> Option<Expr> {
        let items = [(inner, Vec::new()), (low, Vec::new()), (high, Vec::new())];
        let (typed, ty) = self.unified(&items, None, "the values of `between`")?;
        if ty == Type::Json {
            self.no_order(span, &ty);
            return None;
        }
        let nullable = typed.iter().any(|one| one.nullable);
        let [value, low, high] = <[Expr; 3]>::try_from(typed).ok()?.map(Box::new);
        let found = self.make(span, ExprKind::Between(value, low, high), Type::Bool, nullable);
        Some(if not { self.not(span, found) } else { found })
    }

    pub(super) fn like(
        &mut self,
        span: Span,
        inner: &ast::Expr,
        pattern: &ast::Expr,
        not: bool,
    ) -> Option<Expr> {
        let value = self.text(inner, "`like`");
        let pattern = self.text(pattern, "`like`");
        let (value, pattern) = (value?, pattern?);
        let nullable = value.nullable || pattern.nullable;
        let found = self.make(span, ExprKind::Like(Box::new(value), Box::new(pattern)), Type::Bool, nullable);
        Some(if not { self.not(span, found) } else { found })
    }

    /// An expression that must be text, for `user`.
    pub(super) fn text(&mut self, expr: &ast::Expr, user: &str) -> Option<Expr> {
        let typed = self.expr(expr, Some(&Type::Text))?;
        if typed.ty == Type::Text {
            return Some(typed);
        }
        let source = self.checker.source(expr.span);
        self.report(
            Diagnostic::error(
                "F048",
                expr.span,
                format!("{user} takes text, not {}", with_article(&typed.ty)),
            )
            .here(format!("this is `{}`", typed.ty))
            .help(format!("write `cast({source} as text)`")),
        );
        None
    }

    pub(super) fn binary(
        &mut self,
        span: Span,
        operator: Operator,
        left: &ast::Expr,
        right: &ast::Expr,
        want: Option<&Type>,
    ) -> Option<Expr> {
        if operator == Operator::Concat {
            let a = self.text(left, "`||`");
            let b = self.text(right, "`||`");
            return Some(self.combined(span, operator, a?, b?, Type::Text));
        }
        // What is wanted of a duration or a time says nothing about the operands.
        let number = |ty: &&Type| matches!(ty, Type::Int | Type::Float | Type::Decimal { .. });
        let (a, b) = self.pair(left, right, want.filter(number))?;
        let Some(ty) = result(operator, &a.ty, &b.ty) else {
            self.no_operator(span, operator, (left, &a.ty), (right, &b.ty));
            return None;
        };
        Some(self.combined(span, operator, a, b, ty))
    }

    fn combined(&self, span: Span, operator: Operator, a: Expr, b: Expr, ty: Type) -> Expr {
        let nullable = a.nullable || b.nullable;
        self.make(span, ExprKind::Binary(operator, Box::new(a), Box::new(b)), ty, nullable)
    }

    fn no_operator(
        &mut self,
        span: Span,
        operator: Operator,
        (left, a): (&ast::Expr, &Type),
        (right, b): (&ast::Expr, &Type),
    ) {
        let sign = sign(operator);
        let number = |ty: &Type| matches!(ty, Type::Int | Type::Float | Type::Decimal { .. });
        let diagnostic = if number(a) && number(b) {
            self.mixed(right.span, b, left.span, a, right)
        } else {
            let help = match (a, b) {
                (Type::Text, _) | (_, Type::Text) if operator == Operator::Add => {
                    "texts are put together with `||`".to_owned()
                }
                (Type::Duration, Type::Time) if operator == Operator::Add => {
                    "write the time first: `time + duration`".to_owned()
                }
                (Type::Time | Type::Duration, Type::Int) | (Type::Int, Type::Time | Type::Duration) => {
                    "write the unit: `5s`, `250ms`, or `1s * number`".to_owned()
                }
                _ => format!("`{sign}` takes two numbers of one type, or times and durations"),
            };
            let message = format!("there is no {} {sign} {}", a, b);
            Diagnostic::error("F048", span, message)
                .here("these do not go together")
                .and(left.span, format!("this is `{a}`"))
                .and(right.span, format!("this is `{b}`"))
                .help(help)
        };
        self.report(diagnostic);
    }

    pub(super) fn negate(&mut self, span: Span, inner: &ast::Expr, want: Option<&Type>) -> Option<Expr> {
        let inner_span = inner.span;
        let inner = self.expr(inner, want)?;
        match inner.ty {
            Type::Int | Type::Float | Type::Decimal { .. } | Type::Duration => {
                let (ty, nullable) = (inner.ty.clone(), inner.nullable);
                Some(self.make(span, ExprKind::Negate(Box::new(inner)), ty, nullable))
            }
            _ => {
                let message = format!("there is no -{}", inner.ty);
                self.report(
                    Diagnostic::error("F048", inner_span, message)
                        .here(format!("this is `{}`", inner.ty))
                        .help("`-` takes a number or a duration"),
                );
                None
            }
        }
    }
}

/// The type to cast to for an operator: the scale of a decimal does not matter to it.
pub(super) fn any_scale(ty: &Type) -> String {
    if matches!(ty, Type::Decimal { .. }) { "decimal".to_owned() } else { super::print::type_name(ty) }
}

/// The type of `a operator b`, if there is one.
fn result(operator: Operator, a: &Type, b: &Type) -> Option<Type> {
    use Operator::{Add, Divide, Multiply, Remainder, Subtract};
    Some(match (a, operator, b) {
        (Type::Int, _, Type::Int) => Type::Int,
        (Type::Float, _, Type::Float) => Type::Float,
        (Type::Decimal { .. }, Add | Subtract | Remainder, Type::Decimal { .. }) => sum(a, b),
        (Type::Decimal { .. }, Multiply | Divide, Type::Decimal { .. }) => product(a, b, operator),
        (Type::Time, Subtract, Type::Time) => Type::Duration,
        (Type::Time, Add | Subtract, Type::Duration) => Type::Time,
        (Type::Duration, Add | Subtract, Type::Duration) => Type::Duration,
        (Type::Duration, Multiply, Type::Int) | (Type::Int, Multiply, Type::Duration) => Type::Duration,
        _ => return None,
    })
}

/// The larger scale, and one digit more before the point.
fn sum(a: &Type, b: &Type) -> Type {
    match union(a, b) {
        Type::Decimal { precision, scale } => {
            Type::Decimal { precision: precision.saturating_add(1).min(38), scale }
        }
        other => other,
    }
}

/// Up to 38 digits, with as many decimals as the operator gives when there is room for them.
fn product(a: &Type, b: &Type, operator: Operator) -> Type {
    let (Type::Decimal { scale: s, .. }, Type::Decimal { scale: t, .. }) = (a, b) else { return a.clone() };
    Type::Decimal { precision: 38, scale: result_scale(operator, *s, *t).min(38) }
}

/// The operator as it is written.
pub(super) fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::Remainder => "%",
        Operator::Concat => "||",
    }
}
