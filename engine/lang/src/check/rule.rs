//! Rules: their actions in order, with what each one makes known to those after it.

use std::sync::Arc;

use anabranch_model::plan::{Action, Find, OutputId, RefusalCode, Rule, TableId, WriteKind};
use anabranch_model::{Expr, ExprKind, LetSlot, RowSlot, Shape, Type};

use crate::ast::{self, ActionKind};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::suggest;

use super::Checker;
use super::conversions;
use super::declarations::{Kind, TableContent};
use super::question::Asked;
use super::scope::{Blocker, LetVariable, RowVariable, Scope, VariableKind, facts};
use super::step::{RuleRoute, StepDraft, TableUse, Written};
use super::walk;

/// Values of a step that have a name, and rows: their numbers have 16 bits.
const MAX_SLOTS: usize = 65_535;
/// Parts of an expression that names a partition, once its `let`s are put in.
const MAX_ENTRY_PARTS: usize = 500;

/// Checks one rule.
pub(super) struct RuleChecker<'c, 'a> {
    pub(super) checker: &'c mut Checker<'a>,
    pub(super) step: &'c mut StepDraft,
    pub(super) scope: Scope,
    pub(super) uses: Vec<TableUse>,
    /// The alias, while a route is checked.
    pub(super) routing: Option<String>,
    /// What a question has gathered, while one is checked.
    pub(super) asked: Option<Asked>,
}

impl<'c, 'a> RuleChecker<'c, 'a> {
    pub(super) fn new(checker: &'c mut Checker<'a>, step: &'c mut StepDraft) -> Self {
        RuleChecker { checker, step, scope: Scope::default(), uses: Vec::new(), routing: None, asked: None }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.checker.report(diagnostic);
    }

    /// Checks `rule`, whose input has `shape` (none: it is broken), and adds it to the step.
    pub(super) fn rule(mut self, rule: &ast::Rule, shape: Option<Arc<Shape>>) {
        let kind = match shape {
            Some(shape) => {
                VariableKind::Row(RowVariable { slot: RowSlot(0), shape, nullable: false, key: Vec::new() })
            }
            None => VariableKind::Broken,
        };
        self.declare(&rule.alias, kind);
        self.routing = Some(rule.alias.text.clone());
        let written = rule.route.as_ref().map(|route| self.written_route(route, &rule.block));
        self.routing = None;
        let filter = rule.filter.as_ref().map(|filter| self.condition(filter));
        if let Some(Some(filter)) = &filter {
            let facts = facts(filter, true);
            self.scope.learn(&facts);
        }
        let actions = self.block(&rule.block);
        self.unused_names();
        let place = self.checker.place(rule.span);
        self.step.rules.push(Rule { place, filter: filter.flatten(), actions });
        let alias = rule.alias.text.clone();
        self.step.routed.push(RuleRoute { alias, written, uses: self.uses });
    }

    fn unused_names(&mut self) {
        let unused = self.scope.variables.iter().skip(1).filter(|variable| !variable.used);
        let unused: Vec<_> = unused
            .map(|variable| {
                let what = match variable.kind {
                    VariableKind::Let(_) => "this value",
                    _ => "the row that is read",
                };
                Diagnostic::warning("F092", variable.span, format!("`{}` is never used", variable.name))
                    .here(format!("{what} goes nowhere"))
                    .help("use it or remove it")
            })
            .collect();
        for one in unused {
            self.report(one);
        }
    }

    /// Takes a name of the rule.
    fn declare(&mut self, name: &ast::Name, kind: VariableKind) {
        if let Err(first) = self.scope.declare(&name.text, name.span, kind) {
            self.report(
                Diagnostic::error(
                    "F045",
                    name.span,
                    format!("the name `{}` is taken twice in one rule", name.text),
                )
                .here("the second")
                .and(first, "the first")
                .help("take another name"),
            );
            // What it means from here on is anybody's guess.
            if let Some(variable) = self.scope.variable(&name.text) {
                variable.kind = VariableKind::Broken;
                variable.alive = true;
            }
        }
    }

    fn block(&mut self, block: &ast::Block) -> Vec<Action> {
        let mark = self.scope.mark();
        let actions = block.actions.iter().filter_map(|action| self.action(action)).collect();
        self.scope.end(&mark);
        actions
    }

    fn action(&mut self, action: &ast::Action) -> Option<Action> {
        let span = action.span;
        match &action.kind {
            ActionKind::Upsert(table, row) => self.write(span, WriteKind::Upsert, table, row),
            ActionKind::Insert(table, row) => self.write(span, WriteKind::Insert, table, row),
            ActionKind::InsertOrIgnore(table, row) => self.write(span, WriteKind::InsertOrIgnore, table, row),
            ActionKind::Update(table, row) => self.write(span, WriteKind::Update, table, row),
            ActionKind::Delete(table, filter) => self.delete(span, table, filter),
            ActionKind::Read { table, filter, alias } => self.read(span, table, filter, alias),
            ActionKind::Let(name, value) => self.let_value(name, value),
            ActionKind::If { arms, otherwise } => self.choice(arms, otherwise.as_ref()),
            ActionKind::Require { condition, code, text } => self.require(span, condition, code, text),
            ActionKind::Reply(output, row) => {
                let (output, columns) = self.send(output, row)?;
                Some(Action::Reply { output, columns, place: self.checker.place(span) })
            }
            ActionKind::Emit(output, row) => {
                let (output, columns) = self.send(output, row)?;
                Some(Action::Emit { output, columns, place: self.checker.place(span) })
            }
        }
    }

    /// The table called `name`.
    pub(super) fn table(&mut self, name: &ast::Name) -> Option<(TableId, TableContent)> {
        let found = self.checker.declared(name, "a table", |kind| matches!(kind, Kind::Table(_)))?;
        let Kind::Table(at) = found.kind else { return None };
        let table = self.checker.declared.tables.get_mut(at)?;
        table.used = true;
        Some((TableId(at as u16), table.content.clone()?))
    }

    fn delete(&mut self, span: Span, table: &ast::Name, filter: &ast::Expr) -> Option<Action> {
        let found = self.table(table);
        let Some((id, content)) = found else {
            self.broken_where(filter);
            return None;
        };
        let (find, _) = self.find(table, id, &content, filter, false)?;
        Some(Action::Delete { table: id, find, place: self.checker.place(span) })
    }

    fn read(
        &mut self,
        span: Span,
        table: &ast::Name,
        filter: &ast::Expr,
        alias: &ast::Name,
    ) -> Option<Action> {
        let Some((id, content)) = self.table(table) else {
            self.broken_where(filter);
            self.declare(alias, VariableKind::Broken);
            return None;
        };
        let shape = content.shape.clone();
        let (find, key) = self.find(table, id, &content, filter, true).unzip();
        // When the `where` is broken the row has its columns all the same: mistakes in their use are told too.
        let slot = find.as_ref().map_or(RowSlot(1), |find: &Find| find.row);
        let key = key.unwrap_or_default();
        self.declare(alias, VariableKind::Row(RowVariable { slot, shape, nullable: true, key }));
        Some(Action::Read { table: id, find: find?, place: self.checker.place(span) })
    }

    /// A `where` over a table that is broken: the rows that it names count as used.
    fn broken_where(&mut self, filter: &ast::Expr) {
        let mark = self.checker.diagnostics.len();
        self.expr(filter, None);
        self.checker.diagnostics.truncate(mark);
    }

    fn let_value(&mut self, name: &ast::Name, value: &ast::Expr) -> Option<Action> {
        let Some(typed) = self.expr(value, None) else {
            self.declare(name, VariableKind::Broken);
            return None;
        };
        let entry = self.entry(value, &typed.ty);
        let slot = LetSlot(self.step.lets);
        if usize::from(self.step.lets) >= MAX_SLOTS {
            self.too_many_slots(name.span);
            return None;
        }
        self.step.lets += 1;
        let variable = LetVariable { slot, ty: typed.ty.clone(), nullable: typed.nullable, entry };
        self.declare(name, VariableKind::Let(variable));
        Some(Action::Let { slot, value: typed })
    }

    fn too_many_slots(&mut self, span: Span) {
        self.report(
            Diagnostic::error("F037", span, format!("the rules of one input have over {MAX_SLOTS} names"))
                .help("divide the work over several inputs"),
        );
    }

    /// A new row variable of the step.
    pub(super) fn row_slot(&mut self, shape: Arc<Shape>, span: Span) -> Option<RowSlot> {
        let at = self.step.rows.len();
        if at >= MAX_SLOTS {
            self.too_many_slots(span);
            return None;
        }
        self.step.rows.push(shape);
        Some(RowSlot(at as u16))
    }

    fn choice(&mut self, arms: &[(ast::Expr, ast::Block)], otherwise: Option<&ast::Block>) -> Option<Action> {
        let before = self.scope.mark();
        let mut checked = Vec::new();
        let mut good = true;
        for (condition, block) in arms {
            let condition = self.condition(condition);
            let mark = self.scope.mark();
            if let Some(condition) = &condition {
                let facts = facts(condition, true);
                self.scope.learn(&facts);
            }
            let actions = self.block(block);
            self.scope.end(&mark);
            match condition {
                Some(condition) => {
                    let facts = facts(&condition, false);
                    self.scope.learn(&facts);
                    checked.push((condition, actions));
                }
                None => good = false,
            }
        }
        let otherwise = otherwise.map(|block| self.block(block)).unwrap_or_default();
        self.scope.end(&before);
        good.then_some(Action::If { arms: checked, otherwise })
    }

    fn require(
        &mut self,
        span: Span,
        condition: &ast::Expr,
        code: &ast::Name,
        text: &ast::Expr,
    ) -> Option<Action> {
        let condition = self.condition(condition);
        let known = RefusalCode::OF_RULES.into_iter().find(|of| of.name().eq_ignore_ascii_case(&code.text));
        if known.is_none() {
            let names = RefusalCode::OF_RULES.map(RefusalCode::name);
            let help = match suggest::closest(&code.text, names) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("write one of {}", super::quoted(&names)),
            };
            self.report(
                Diagnostic::error("F080", code.span, format!("there is no refusal code `{}`", code.text))
                    .here("not a code")
                    .help(help),
            );
        }
        let text = self.text(text, "the text of a refusal");
        if let Some(condition) = &condition {
            let facts = facts(condition, true);
            self.scope.learn(&facts);
        }
        let place = self.checker.place(span);
        Some(Action::Require { condition: condition?, code: known?, text: text?, place })
    }

    fn send(&mut self, name: &ast::Name, row: &ast::RowExpr) -> Option<(OutputId, Vec<Expr>)> {
        let found = self.checker.declared(name, "an output", |kind| matches!(kind, Kind::Output(_)));
        let at = match found.map(|found| found.kind) {
            Some(Kind::Output(at)) => Some(at),
            _ => None,
        };
        let output = at.and_then(|at| self.checker.declared.outputs.get_mut(at));
        let shape = output.and_then(|output| {
            output.used = true;
            output.shape.clone()
        });
        let Some(shape) = shape else {
            self.broken_row(row);
            return None;
        };
        let columns = self.sent_row(name, row, &shape)?;
        Some((OutputId(at? as u16), columns))
    }

    /// What `value` is when only the input row is known, exactly as a column of type `ty` holds it.
    pub(super) fn partition_entry(&mut self, value: &ast::Expr, ty: &Type) -> Result<Expr, Blocker> {
        self.entry(value, ty).map(|entry| converted(entry, ty))
    }

    /// What `value` is when only the input row is known; `ty` is wanted of its literals. The value has been checked:
    /// nothing is reported.
    fn entry(&mut self, value: &ast::Expr, ty: &Type) -> Result<Expr, Blocker> {
        let mark = self.checker.diagnostics.len();
        let candidate = self.scope.candidate.take();
        let facts = self.scope.take_facts();
        self.scope.entry = Some(None);
        let typed = self.expr(value, Some(ty));
        let blocker = self.scope.entry.take().flatten();
        self.scope.candidate = candidate;
        self.scope.set_facts(facts);
        self.checker.diagnostics.truncate(mark);
        let too_large = |span| Blocker { span, text: "it is too large".to_owned() };
        match (typed, blocker) {
            (_, Some(blocker)) => Err(blocker),
            (None, None) => Err(too_large(value.span)),
            (Some(typed), None) if walk::all(&typed).nth(MAX_ENTRY_PARTS).is_some() => {
                Err(too_large(value.span))
            }
            (Some(typed), None) => Ok(typed),
        }
    }

    /// `route by` and `route to`: they see the input row only, as they stand before everything else.
    fn written_route(&mut self, route: &ast::Route, block: &ast::Block) -> Written {
        match &route.kind {
            ast::RouteKind::To(node) => self.route_to(node),
            ast::RouteKind::By(values) => {
                let types = self.partition_types(block);
                let mut typed = Vec::new();
                for (at, value) in values.iter().enumerate() {
                    let want = types.get(at);
                    let Some(checked) = self.expr(value, want) else { continue };
                    let ty = match want {
                        Some(want) if conversions::same_kind(want, &checked.ty) => want.clone(),
                        _ => checked.ty.clone(),
                    };
                    match self.partition_entry(value, &ty) {
                        Ok(entry) => typed.push(entry),
                        Err(blocker) => self.not_the_row(&blocker),
                    }
                }
                let span = values.iter().map(|value| value.span).reduce(Span::to).unwrap_or(route.span);
                match typed.len() == values.len() && self.not_null(&typed, values) {
                    true => Written::By { values: typed, span },
                    false => Written::Broken,
                }
            }
        }
    }

    fn not_null(&mut self, typed: &[Expr], values: &[ast::Expr]) -> bool {
        let nullable: Vec<_> = typed.iter().zip(values).filter(|(typed, _)| typed.nullable).collect();
        for (_, value) in &nullable {
            self.checker.nullable_route(value.span);
        }
        nullable.is_empty()
    }

    fn route_to(&mut self, node: &ast::Expr) -> Written {
        let span = node.span;
        if self.text(node, "`route to`").is_none() {
            return Written::Broken;
        }
        match self.entry(node, &Type::Text) {
            Ok(node) if node.nullable => {
                self.checker.nullable_route(span);
                Written::Broken
            }
            Ok(node) => Written::To { node, span },
            Err(blocker) => {
                self.not_the_row(&blocker);
                Written::Broken
            }
        }
    }

    fn not_the_row(&mut self, blocker: &Blocker) {
        self.report(
            Diagnostic::error("F076", blocker.span, "a route depends on the input row alone")
                .here(blocker.text.clone())
                .help("route by columns of the row: a request that is repeated must go the same way"),
        );
    }

    /// The types of the partition columns of the first table that `block` names.
    fn partition_types(&self, block: &ast::Block) -> Vec<Type> {
        let mut stack: Vec<&ast::Action> = block.actions.iter().rev().collect();
        while let Some(action) = stack.pop() {
            let table = match &action.kind {
                ActionKind::Upsert(table, _)
                | ActionKind::Insert(table, _)
                | ActionKind::InsertOrIgnore(table, _)
                | ActionKind::Update(table, _)
                | ActionKind::Delete(table, _)
                | ActionKind::Read { table, .. } => table,
                ActionKind::If { arms, otherwise } => {
                    let blocks = arms.iter().map(|(_, block)| block).chain(otherwise);
                    let inner: Vec<_> = blocks.flat_map(|block| &block.actions).collect();
                    stack.extend(inner.into_iter().rev());
                    continue;
                }
                _ => continue,
            };
            let declared = self.checker.declared.names.get(&table.text);
            let Some(Kind::Table(at)) = declared.map(|found| found.kind) else { continue };
            let Some(content) = &self.checker.declared.tables[at].content else { continue };
            return content.partition_by.iter().map(|&id| content.shape.column(id).ty.clone()).collect();
        }
        Vec::new()
    }
}

/// `expr` at the scale of `ty`, which it has but for that.
pub(super) fn converted(expr: Expr, ty: &Type) -> Expr {
    // A column and a literal are at their scale; anything else may have another one than its type says.
    let exact = matches!(expr.kind, ExprKind::Column(..) | ExprKind::Literal(_) | ExprKind::Cast(_));
    let decimal = matches!((&expr.ty, ty), (Type::Decimal { .. }, Type::Decimal { .. }));
    if !decimal || (exact && expr.ty == *ty) {
        return expr;
    }
    let (nullable, place) = (expr.nullable, expr.place);
    let kind = ExprKind::Cast(Box::new(expr));
    Expr { kind, ty: ty.clone(), nullable, place }
}
