//! Who owns a step. All rules on one input share a route, and all tables of a step share policy, partition count and
//! partition values, so that one node can do the step as a whole.

use anabranch_model::Expr;
use anabranch_model::plan::{Policy, Route};

use crate::diagnostic::Diagnostic;
use crate::span::Span;

use super::Checker;
use super::declarations::TableContent;
use super::print::{Names, print_expr};
use super::step::{RuleRoute, StepDraft, TableUse, Written};
use super::walk;

/// The route of a rule, with where it comes from.
struct Found<'d> {
    values: Vec<Expr>,
    span: Span,
    alias: &'d str,
}

impl Checker<'_> {
    /// The route of a step; mistakes are reported.
    pub(super) fn route(&mut self, draft: &StepDraft) -> Route {
        self.one_policy(draft);
        let to = draft.routed.iter().find_map(|rule| match &rule.written {
            Some(Written::To { node, span }) => Some((node.clone(), *span)),
            _ => None,
        });
        if let Some((node, span)) = to {
            self.all_to(draft, &node, span);
            return Route::Node(node);
        }
        let mut first: Option<Found<'_>> = None;
        for rule in &draft.routed {
            let Some(found) = self.rule_route(rule, draft) else { continue };
            match &first {
                None => first = Some(found),
                Some(first) => self.agree(first, &found, draft),
            }
        }
        match first {
            None => Route::Entry,
            Some(found) => {
                let tables = draft.routed.iter().flat_map(|rule| &rule.uses);
                let mut policies = tables.filter_map(|of| self.content(of)).map(|content| &content.policy);
                let partitions =
                    policies.next().map_or(Policy::default().partitions, |policy| policy.partitions);
                Route::Hash { by: found.values, partitions }
            }
        }
    }

    fn content(&self, of: &TableUse) -> Option<&TableContent> {
        self.declared.tables.get(of.table)?.content.as_ref()
    }

    fn table_name(&self, of: &TableUse) -> &str {
        self.declared.tables.get(of.table).map_or("", |table| table.name.as_str())
    }

    /// What is wrong with an expression that may be null in a route.
    pub(super) fn nullable_route(&mut self, span: Span) {
        let source = self.source(span);
        self.report(
            Diagnostic::error("F077", span, format!("`{source}` may be null, and then the row has no owner"))
                .here("the row is routed before `require` and `where` are asked")
                .help("declare the column of the input without `?`, or write `coalesce(...)`"),
        );
    }

    /// The route of one rule, once its tables agree with it and with each other.
    fn rule_route<'d>(&mut self, rule: &'d RuleRoute, draft: &StepDraft) -> Option<Found<'d>> {
        let mut route = match &rule.written {
            Some(Written::By { values, span }) => {
                Some(Found { values: values.clone(), span: *span, alias: &rule.alias })
            }
            _ => None,
        };
        let written = rule.written.is_some();
        let mut reported = false;
        for of in &rule.uses {
            let Some(values) = self.entry_values(rule, of) else { continue };
            match &route {
                None if written => {}
                None => route = Some(Found { values, span: of.span, alias: &rule.alias }),
                Some(first) if same_values(&first.values, &values) => {}
                Some(_) if reported => {}
                Some(first) => {
                    reported = true;
                    match written {
                        true => self.route_disagrees(rule, first, of, &values, draft),
                        false => self.tables_disagree(rule, first, of, &values, draft),
                    }
                }
            }
        }
        route
    }

    /// The partition values of a table in a rule, as functions of the input row.
    fn entry_values(&mut self, rule: &RuleRoute, of: &TableUse) -> Option<Vec<Expr>> {
        let mut values = Vec::new();
        let mut good = true;
        for value in &of.values {
            match &value.entry {
                Ok(entry) if entry.nullable && rule.written.is_none() => {
                    self.nullable_route(value.span);
                    good = false;
                }
                Ok(entry) => values.push(entry.clone()),
                Err(blocker) => {
                    let name = self.table_name(of).to_owned();
                    let (alias, text) = (&rule.alias, &blocker.text);
                    let message = format!("the partition of `{name}` is not known from `{alias}` alone");
                    let partition = self.content(of).map(|content| content.partition_span);
                    let mut diagnostic = Diagnostic::error("F074", blocker.span, message).here(text.clone());
                    if let Some(partition) = partition {
                        diagnostic = diagnostic.and(partition, "rows live on the node that this names");
                    }
                    self.report(diagnostic.help(format!(
                        "a step runs on one node, found from the input row: let the request carry the value, \
                         or partition `{name}` by a column that it carries"
                    )));
                    good = false;
                }
            }
        }
        good.then_some(values)
    }

    fn route_disagrees(
        &mut self,
        rule: &RuleRoute,
        route: &Found<'_>,
        of: &TableUse,
        values: &[Expr],
        draft: &StepDraft,
    ) {
        let Some(content) = self.content(of) else { return };
        let (partition, columns) = (content.partition_span, content.names(&content.partition_by));
        let wanted = printed(values, &rule.alias, draft);
        let message = format!(
            "this rule is routed by `{}`, but `{}` is partitioned by {columns}",
            self.source(route.span),
            self.table_name(of)
        );
        let here = match of.writes {
            true => "the row would be written where nobody looks for it",
            false => "the row would be looked for where it does not lie",
        };
        let mut diagnostic = Diagnostic::error("F031", route.span, message)
            .here(here)
            .and(partition, "rows live on the node that this names");
        let other = rule.uses.first().is_some_and(|first| first.span != of.span);
        if other {
            diagnostic = diagnostic.and(of.span, "used here");
        }
        self.report(diagnostic.help(format!("write `route by {wanted}`, or leave `route` out")));
    }

    fn tables_disagree(
        &mut self,
        rule: &RuleRoute,
        first: &Found<'_>,
        of: &TableUse,
        values: &[Expr],
        draft: &StepDraft,
    ) {
        let (here, there) = (printed(values, &rule.alias, draft), printed(&first.values, &rule.alias, draft));
        let name = self.table_name(of).to_owned();
        let types =
            |values: &[Expr]| values.iter().map(|value| value.ty.to_string()).collect::<Vec<_>>().join(", ");
        let (here, there) = match here == there {
            true => (format!("{here} as {}", types(values)), format!("{there} as {}", types(&first.values))),
            false => (here, there),
        };
        self.report(
            Diagnostic::error("F072", of.span, "the tables of this step can lie on different nodes")
                .here(format!("`{name}` lies where `{here}` is"))
                .and(first.span, format!("this one lies where `{there}` is"))
                .help("a step is done by one node: find the rows of both tables by the same values, or divide the work over two inputs"),
        );
    }

    /// Two rules on one input.
    fn agree(&mut self, first: &Found<'_>, second: &Found<'_>, draft: &StepDraft) {
        if same_values(&first.values, &second.values) {
            return;
        }
        let here = printed(&second.values, second.alias, draft);
        let there = printed(&first.values, first.alias, draft);
        self.report(
            Diagnostic::error("F071", second.span, "the rules on this input go to different nodes")
                .here(format!("here to the owner of `{here}`"))
                .and(first.span, format!("there to the owner of `{there}`"))
                .help("all rules on one input are one step: find their rows by the same values, or take a second input"),
        );
    }

    /// A step that is sent to a node by name.
    fn all_to(&mut self, draft: &StepDraft, node: &Expr, span: Span) {
        for rule in &draft.routed {
            if let Some(of) = rule.uses.first() {
                let name = self.table_name(of).to_owned();
                self.report(
                    Diagnostic::error("F078", span, format!("`route to` and the table `{name}` in one step"))
                        .here("goes to a node by name")
                        .and(of.span, "its rows live on the node that owns their partition")
                        .help("leave `route` out, or take the table to a rule on another input"),
                );
            }
            let other = match &rule.written {
                Some(Written::By { span, .. }) => Some(*span),
                Some(Written::To { node: other, span }) if !walk::same(node, other) => Some(*span),
                _ => None,
            };
            if let Some(other) = other {
                self.report(
                    Diagnostic::error("F071", other, "the rules on this input go to different nodes")
                        .here("here")
                        .and(span, "there")
                        .help("all rules on one input are one step: write the same route, or take a second input"),
                );
            }
        }
    }

    /// All tables of a step have one policy.
    fn one_policy(&mut self, draft: &StepDraft) {
        let uses: Vec<_> = draft.routed.iter().flat_map(|rule| &rule.uses).collect();
        let Some((first, first_content)) =
            uses.iter().find_map(|of| self.content(of).map(|content| (*of, content.clone())))
        else {
            return;
        };
        let mut seen = vec![first.table];
        for of in uses {
            if seen.contains(&of.table) {
                continue;
            }
            seen.push(of.table);
            let Some(content) = self.content(of) else { continue };
            if content.policy == first_content.policy {
                continue;
            }
            let difference = difference(&content.policy, &first_content.policy);
            let (here, there) = (content.policy_span, first_content.policy_span);
            let message = format!(
                "`{}` and `{}` are in one step, but their policies differ in {difference}",
                self.table_name(first),
                self.table_name(of)
            );
            self.report(
                Diagnostic::error("F073", of.span, message)
                    .here("one record holds all writes of a step")
                    .and(here, "its policy")
                    .and(there, "the other policy")
                    .help("write `replicate` with the same policy in both tables"),
            );
        }
    }
}

fn difference(a: &Policy, b: &Policy) -> &'static str {
    if a.partitions != b.partitions {
        "`partitions`"
    } else if a.copies != b.copies {
        "`copies`"
    } else if a.ack != b.ack {
        "`ack`"
    } else if a.sync != b.sync {
        "`sync`"
    } else {
        "their settings"
    }
}

fn same_values(a: &[Expr], b: &[Expr]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| walk::same(a, b))
}

fn printed(values: &[Expr], alias: &str, draft: &StepDraft) -> String {
    let names = Names { rows: &[alias.to_owned()], lets: &[], shapes: &draft.rows, candidate: None };
    let all: Vec<_> = values.iter().map(|value| print_expr(plain(value), &names)).collect();
    all.join(", ")
}

/// Without the cast to the column's scale, which nobody wrote.
fn plain(value: &Expr) -> &Expr {
    match &value.kind {
        anabranch_model::ExprKind::Cast(inner) if super::conversions::same_kind(&inner.ty, &value.ty) => {
            inner
        }
        _ => value,
    }
}
