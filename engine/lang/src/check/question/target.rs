//! The table that a question is asked of: `T` where only one flow has it, or `flow.T`.

use anabranch_model::plan::{Plan, Table};

use crate::ast::question::TableName;
use crate::check::{Checker, quoted};
use crate::diagnostic::Diagnostic;
use crate::suggest::closest;

/// A table of a flow with its number.
type Target<'p> = (usize, (u16, &'p Table));

impl Checker<'_> {
    /// The number of the flow, and the table.
    pub(super) fn target<'p>(&mut self, name: &TableName, flows: &[&'p Plan]) -> Option<Target<'p>> {
        let of = |flow: usize, plan: &'p Plan| {
            let id = plan.table(&name.table.text)?;
            Some((flow, (id.0, plan.tables.get(usize::from(id.0))?)))
        };
        let found = flows.iter().enumerate().filter(|(_, plan)| in_flow(name, plan));
        let found: Vec<Target<'p>> = found.filter_map(|(flow, plan)| of(flow, plan)).collect();
        match found[..] {
            [] => self.unknown_table(name, flows),
            [only] => return Some(only),
            [..] => {
                let names = found.iter().filter_map(|(flow, _)| flows.get(*flow));
                let names: Vec<_> = names.map(|plan| format!("{}.{}", plan.name, name.table.text)).collect();
                let message = format!("`{}` is a table of several flows", name.table.text);
                let diagnostic = Diagnostic::error("F083", name.table.span, message);
                self.report(diagnostic.help(format!("write one of {}", quoted(&names))));
            }
        }
        None
    }

    fn unknown_table(&mut self, name: &TableName, flows: &[&Plan]) {
        if let Some(flow) = &name.flow
            && !flows.iter().any(|plan| plan.name == flow.text)
        {
            let mut known: Vec<_> = flows.iter().map(|plan| plan.name.as_str()).collect();
            known.sort_unstable();
            let message = format!("there is no flow `{}`", flow.text);
            let diagnostic = Diagnostic::error("F083", flow.span, message).here("not installed");
            return self.report(diagnostic.help(one_of(&flow.text, &known, "flow")));
        }
        let (wanted, span) = (&name.table.text, name.table.span);
        let searched = || flows.iter().filter(|plan| in_flow(name, plan));
        let stream = searched().find_map(|plan| match (plan.input(wanted), plan.output(wanted)) {
            (Some(_), _) => Some("an input"),
            (_, Some(_)) => Some("an output"),
            _ => None,
        });
        if let Some(stream) = stream {
            let diagnostic = Diagnostic::error("F083", span, format!("`{wanted}` is {stream}, not a table"));
            let help = "a question is asked of a table: a stream holds no rows";
            return self.report(diagnostic.here("a stream").help(help));
        }
        let tables = searched().flat_map(|plan| &plan.tables).map(|table| table.name.as_str());
        let mut known: Vec<_> = tables.collect();
        known.sort_unstable();
        known.dedup();
        let diagnostic = Diagnostic::error("F083", span, format!("there is no table `{wanted}`"));
        self.report(diagnostic.here("no table of the installed flows").help(one_of(wanted, &known, "table")));
    }
}

fn in_flow(name: &TableName, plan: &Plan) -> bool {
    name.flow.as_ref().is_none_or(|flow| flow.text == plan.name)
}

/// What to write for a name that is none of these.
fn one_of(wanted: &str, known: &[&str], noun: &str) -> String {
    match closest(wanted, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None if known.is_empty() => format!("there is no {noun} at all"),
        None => format!("there is {}", quoted(known)),
    }
}
