//! Expressions: names, conditions and `case`. What comes out is typed and lowered; `None` is something broken that has
//! been reported.
//!
//! A *wanted* type only says what a literal stands for; whether the result has it is for the caller to see.

use anabranch_model::{Expr, ExprKind, Type, Value};

use crate::ast::{self, ExprKind as Ast};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::suggest;

use super::literal::{self, Problem};
use super::rule::RuleChecker;
use super::scope::{Blocker, Fact, VariableKind};
use super::shapes::with_article;
use super::{conversions, quoted};

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
        }
    }

    /// An expression with its place.
    pub(super) fn make(&self, span: Span, kind: ExprKind, ty: Type, nullable: bool) -> Expr {
        Expr { kind, ty, nullable, place: self.checker.place(span) }
    }

    fn literal(&mut self, span: Span, constant: &literal::Constant<'_>, want: Option<&Type>) -> Option<Expr> {
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

    fn name(&mut self, name: &ast::Name) -> Option<Expr> {
        if let Some(candidate) = &self.scope.candidate
            && let Some(id) = candidate.shape.position(&name.text)
        {
            let slot = candidate.slot;
            let column = candidate.shape.column(id);
            let (ty, nullable) = (column.ty.clone(), column.nullable);
            let nullable = nullable && !self.scope.known(Fact::Column(slot, id));
            return Some(self.make(name.span, ExprKind::Column(slot, id), ty, nullable));
        }
        let entry = self.scope.entry.is_some();
        let Some(variable) = self.scope.variable(&name.text).filter(|variable| variable.alive) else {
            self.unknown_name(name);
            return None;
        };
        variable.used = true;
        match variable.kind.clone() {
            VariableKind::Broken => None,
            VariableKind::Let(of) if entry => match of.entry {
                Ok(expr) => Some(expr),
                Err(blocker) => {
                    self.blocked(Blocker { span: name.span, text: blocker.text });
                    Some(self.make(name.span, ExprKind::Let(of.slot), of.ty, of.nullable))
                }
            },
            VariableKind::Let(of) => {
                let nullable = of.nullable && !self.scope.known(Fact::Let(of.slot));
                Some(self.make(name.span, ExprKind::Let(of.slot), of.ty, nullable))
            }
            VariableKind::Row(of) => {
                let first = of.shape.columns().first().map_or("name", |column| column.name.as_str());
                self.report(
                    Diagnostic::error("F047", name.span, format!("`{}` is a row, not a value", name.text))
                        .here("a value is needed here")
                        .help(format!("name a column of it, as `{}.{first}`", name.text)),
                );
                None
            }
        }
    }

    fn row_column(&mut self, row: &ast::Name, name: &ast::Name) -> Option<Expr> {
        let Some(variable) = self.scope.variable(&row.text).filter(|variable| variable.alive) else {
            self.unknown_row(row, name);
            return None;
        };
        variable.used = true;
        let of = match variable.kind.clone() {
            VariableKind::Broken => return None,
            VariableKind::Let(_) => {
                self.report(
                    Diagnostic::error("F047", row.span, format!("`{}` is a value, not a row", row.text))
                        .here("a `let` has no columns")
                        .help(format!("write `{}` alone", row.text)),
                );
                return None;
            }
            VariableKind::Row(of) => of,
        };
        let id = self.checker.column(name, &of.shape, &format!("`{}`", row.text))?;
        let column = of.shape.column(id);
        let known = self.scope.known(Fact::Column(of.slot, id));
        let missing = of.nullable && !self.scope.known(Fact::Row(of.slot));
        let nullable = !known && (missing || column.nullable);
        let span = row.span.to(name.span);
        if of.slot.0 > 0 && self.scope.entry.is_some() {
            match of.entry(id, &row.text, span) {
                Ok(entry) => return Some(entry),
                Err(blocker) => self.blocked(blocker),
            }
        }
        Some(self.make(span, ExprKind::Column(of.slot, id), column.ty.clone(), nullable))
    }

    /// Notes why the value being checked is no function of the input row; the first reason stays.
    pub(super) fn blocked(&mut self, blocker: Blocker) {
        if let Some(entry @ None) = &mut self.scope.entry {
            *entry = Some(blocker);
        }
    }

    fn unknown_name(&mut self, name: &ast::Name) {
        if self.checker.full() || self.checker.may_be_unread(&name.text) {
            return;
        }
        let ended = self.scope.variable(&name.text).map(|variable| variable.span);
        if let Some(ended) = ended {
            self.ended(name, ended);
            return;
        }
        let owner = self.scope.alive().find_map(|variable| match &variable.kind {
            VariableKind::Row(of) => of.shape.position(&name.text).map(|_| variable.name.clone()),
            _ => None,
        });
        let mut names: Vec<_> = self.scope.alive().map(|variable| variable.name.as_str()).collect();
        if let Some(candidate) = &self.scope.candidate {
            names.extend(candidate.shape.columns().iter().map(|column| column.name.as_str()));
        }
        let quotes = self.checker.source(name.span).starts_with('"');
        let help = match (owner, suggest::closest(&name.text, names.iter().copied())) {
            (Some(owner), _) => format!("write `{owner}.{}`", name.text),
            (None, Some(close)) => format!("did you mean `{close}`?"),
            (None, None) if quotes => format!("a text stands in single quotes: `'{}'`", name.text),
            (None, None) => match &self.scope.candidate {
                Some(of) => {
                    let columns: Vec<_> = of.shape.columns().iter().map(|column| &column.name).collect();
                    format!("columns of `{}`: {}", of.table, quoted(&columns))
                }
                None => format!("columns stand behind the row's name, as `row.{}`", name.text),
            },
        };
        self.report(
            Diagnostic::error("F044", name.span, format!("there is no `{}` here", name.text))
                .here("not a name in this rule")
                .help(help),
        );
    }

    fn ended(&mut self, name: &ast::Name, first: Span) {
        self.report(
            Diagnostic::error("F044", name.span, format!("`{}` ended with its block", name.text))
                .here("not there any more")
                .and(first, "it lives to the end of the block around this")
                .help("use it inside that block, or write the `let` or `read` before it"),
        );
    }

    fn unknown_row(&mut self, row: &ast::Name, name: &ast::Name) {
        if self.checker.full() || self.checker.may_be_unread(&row.text) {
            return;
        }
        let ended = self.scope.variable(&row.text).map(|variable| variable.span);
        if let Some(ended) = ended {
            self.ended(row, ended);
            return;
        }
        let rows = self.scope.alive().filter(|variable| !matches!(variable.kind, VariableKind::Let(_)));
        let rows: Vec<_> = rows.map(|variable| variable.name.as_str()).collect();
        let of_candidate = self.scope.candidate.as_ref().is_some_and(|of| of.table == row.text);
        let declared = self.checker.declared.names.get(&row.text).map(|found| found.kind.noun());
        let help = match (of_candidate, declared, suggest::closest(&row.text, rows.iter().copied())) {
            (true, ..) => format!("columns of the table stand alone here: write `{}`", name.text),
            (false, Some("a table"), _) => {
                format!(
                    "read it first: `read {} where ... as row or null`, then `row.{}`",
                    row.text, name.text
                )
            }
            (false, Some(noun), _) if rows.len() == 1 => {
                format!("`{}` is {noun}; the row is called `{}`", row.text, rows[0])
            }
            (false, _, Some(close)) => format!("did you mean `{close}`?"),
            (false, _, None) => format!("the rows here: {}", quoted(&rows)),
        };
        self.report(
            Diagnostic::error("F044", row.span, format!("there is no row `{}` here", row.text))
                .here("not a row in this rule")
                .help(help),
        );
    }

    /// An expression that must be a truth value.
    pub(super) fn condition(&mut self, expr: &ast::Expr) -> Option<Expr> {
        let typed = self.expr(expr, Some(&Type::Bool))?;
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

    /// The row variable that `expr` names alone, with whether it may be null; the inner none is a broken one.
    #[expect(clippy::option_option, reason = "not a row, a broken row, a row")]
    fn whole_row(&mut self, expr: &ast::Expr) -> Option<Option<(anabranch_model::RowSlot, bool)>> {
        let Ast::Name(None, name) = &expr.kind else { return None };
        if self.scope.candidate.as_ref().is_some_and(|of| of.shape.position(&name.text).is_some()) {
            return None;
        }
        let variable = self.scope.variable(&name.text).filter(|variable| variable.alive)?;
        let row = match &variable.kind {
            VariableKind::Let(_) => return None,
            VariableKind::Broken => None,
            VariableKind::Row(of) => Some((of.slot, of.nullable)),
        };
        variable.used = true;
        Some(row.map(|(slot, nullable)| (slot, nullable && !self.scope.known(Fact::Row(slot)))))
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

/// Whether `expr` is made of literals alone, so that its type follows what is wanted.
pub(super) fn flexible(expr: &ast::Expr) -> bool {
    match &expr.kind {
        Ast::Literal(_) => true,
        Ast::Paren(inner) | Ast::Negate(inner) => flexible(inner),
        Ast::Binary(operator, left, right) => {
            *operator != anabranch_model::Operator::Concat && flexible(left) && flexible(right)
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
