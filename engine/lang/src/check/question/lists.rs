//! The lists of a question: what is selected, and what is ordered by.

use std::collections::HashSet;

use anabranch_model::question::{SORTS_MAX, Sort};
use anabranch_model::types::MAX_COLUMNS;
use anabranch_model::{ColumnId, Expr, ExprKind, Shape, Type};

use crate::ast;
use crate::ast::Literal;
use crate::ast::question::{Item, Sort as Written};
use crate::check::rule::RuleChecker;
use crate::check::scope::Fact;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::{Output, ROW};

/// The place in a list of a number from 1.
pub(super) fn position(number: i64) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}

/// Whether results come in this order anyway, when they come in the order of the key.
pub(super) fn in_key_order(order: &[(Sort, Span)], key: &[ColumnId]) -> bool {
    let column = |sort: &Sort| match sort.value.kind {
        ExprKind::Column(slot, id) if slot == ROW && !sort.descending => Some(id),
        _ => None,
    };
    // Behind the whole key nothing is left to order.
    order.iter().zip(key).all(|((sort, _), id)| column(sort) == Some(*id))
}

impl RuleChecker<'_, '_> {
    /// The list behind `select`, `*` written out; what is broken keeps its place.
    pub(super) fn outputs(&mut self, items: &[Item], shape: &Shape) -> Vec<Output> {
        let mut outputs = Vec::new();
        for item in items {
            match item {
                Item::All(span) => outputs.extend(self.all_columns(*span, shape)),
                Item::Value(value, name) => {
                    let typed = self.expr(value, None);
                    let (name, span) = match name {
                        Some(name) => (name.text.clone(), name.span),
                        None => (self.name_of(value), value.span),
                    };
                    outputs.push(Output { name, span, value: typed });
                }
            }
            if outputs.len() > MAX_COLUMNS {
                let span = outputs.last().map_or(Span::new(0, 0), |output| output.span);
                let message = format!("the question has more than {MAX_COLUMNS} columns");
                self.report(Diagnostic::error("F024", span, message).help("select fewer"));
                outputs.truncate(MAX_COLUMNS);
                break;
            }
        }
        self.distinct_outputs(&outputs);
        outputs
    }

    fn all_columns(&self, span: Span, shape: &Shape) -> Vec<Output> {
        let column = |(at, column): (usize, &anabranch_model::Column)| {
            let id = ColumnId(at as u16);
            let nullable = column.nullable && !self.scope.known(Fact::Column(ROW, id));
            let value = self.make(span, ExprKind::Column(ROW, id), column.ty.clone(), nullable);
            Output { name: column.name.clone(), span, value: Some(value) }
        };
        shape.columns().iter().enumerate().map(column).collect()
    }

    /// What a column is called that has no name: a column's own, or the expression as it is written.
    fn name_of(&self, value: &ast::Expr) -> String {
        match &value.kind {
            ast::ExprKind::Name(_, name) => name.text.clone(),
            _ => self.checker.source(value.span),
        }
    }

    /// Two columns of one name could not be told apart.
    fn distinct_outputs(&mut self, outputs: &[Output]) {
        let mut first = std::collections::HashMap::new();
        for output in outputs {
            let Some(other) = first.insert(output.name.as_str(), output.span) else { continue };
            let message = format!("two columns are called `{}`", output.name);
            let diagnostic = Diagnostic::error("F088", output.span, message).here("the second");
            self.report(diagnostic.and(other, "the first").help("give one another name: `... as NAME`"));
        }
    }

    /// `order by`, with where each element is written; none when one is broken.
    pub(super) fn sorts(
        &mut self,
        order: &[Written],
        outputs: &[Output],
        shape: &Shape,
    ) -> Option<Vec<(Sort, Span)>> {
        if let Some(beyond) = order.get(SORTS_MAX) {
            let message = format!("the question orders by more than {SORTS_MAX} values");
            self.report(Diagnostic::error("F024", beyond.value.span, message).help("order by fewer"));
            return None;
        }
        let mut selected = HashSet::new();
        let mut sorts = Vec::new();
        let mut good = true;
        for sort in order {
            let output = self.selected(&sort.value, outputs);
            // What results are ordered by already orders them no further.
            if output.is_some_and(|at| !selected.insert(at)) {
                continue;
            }
            let checked = self.sort(sort, output, outputs, shape);
            good &= checked.is_some();
            sorts.extend(checked.map(|checked| (checked, sort.value.span)));
        }
        good.then_some(sorts)
    }

    fn sort(
        &mut self,
        sort: &Written,
        output: Option<usize>,
        outputs: &[Output],
        shape: &Shape,
    ) -> Option<Sort> {
        let value = match (output.and_then(|at| outputs.get(at)), &sort.value.kind) {
            (Some(output), _) => output.value.clone()?,
            (None, ast::ExprKind::Literal(Literal::Int(number))) => {
                self.numbered(sort.value.span, *number, outputs);
                return None;
            }
            (None, ast::ExprKind::Name(None, name)) => {
                self.table_column(&sort.value, name, outputs, shape)?
            }
            (None, _) => self.expr(&sort.value, None)?,
        };
        if value.ty == Type::Json {
            self.no_order(sort.value.span, &value.ty);
            return None;
        }
        // Null counts as the smallest.
        let nulls_first = sort.nulls_first.unwrap_or(!sort.descending);
        Some(Sort { value, descending: sort.descending, nulls_first })
    }

    /// Which element of the list behind `select` a number or a name means.
    fn selected(&self, value: &ast::Expr, outputs: &[Output]) -> Option<usize> {
        match &value.kind {
            ast::ExprKind::Literal(Literal::Int(number)) => {
                position(*number).filter(|at| *at < outputs.len())
            }
            ast::ExprKind::Name(None, name) => outputs.iter().position(|output| output.name == name.text),
            _ => None,
        }
    }

    /// A name that is not selected: a column of the table.
    fn table_column(
        &mut self,
        value: &ast::Expr,
        name: &ast::Name,
        outputs: &[Output],
        shape: &Shape,
    ) -> Option<Expr> {
        let names = outputs.iter().map(|output| output.name.as_str());
        let close = crate::suggest::closest(&name.text, names);
        match close.filter(|_| shape.position(&name.text).is_none()) {
            Some(close) if !self.checker.may_be_unread(&name.text) => {
                let message = format!("there is no `{}` here", name.text);
                let diagnostic = Diagnostic::error("F044", name.span, message).here("not a column");
                self.report(diagnostic.help(format!("did you mean `{close}`?")));
                None
            }
            _ => self.expr(value, None),
        }
    }
}
