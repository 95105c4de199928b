//! What a node knows of itself as aligned tables: its inputs, outputs and tables, with their flow where there are several.

use std::time::Duration;

use anabranch::{FlowStatus, NodeStatus};

use crate::text_table::{Align, TextTable, grouped};

/// An earlier look at the same node, for rates.
#[derive(Clone, Copy)]
pub(crate) struct Before<'s> {
    /// What it said then.
    pub(crate) status: &'s NodeStatus,
    /// How long ago.
    pub(crate) since: Duration,
}

/// The inputs, outputs, tables and the journal of a node; some may be empty. With an earlier look, also the rows a second.
pub(crate) fn of(status: &NodeStatus, before: Option<Before<'_>>) -> [TextTable; 4] {
    [inputs(status, before), outputs(status, before), tables(status), journal(status)]
}

fn journal(status: &NodeStatus) -> TextTable {
    let numbers = ["records", "bytes", "waiting", "syncs", "p50 us", "p99 us", "segments", "snapshots"];
    let state = [("journal", Align::Left), ("state", Align::Left)].into_iter();
    let mut table = TextTable::new(state.chain(numbers.map(|title| (title, Align::Right))));
    if let Some(of) = &status.journal {
        let counts =
            [of.records, of.bytes, of.waiting, of.syncs, of.sync_p50_us, of.sync_p99_us].map(grouped);
        let files = [of.segments, of.snapshots].map(|count| count.map_or("?".to_owned(), grouped));
        let state = [of.directory.clone(), of.state.name().to_owned()];
        table.row(state.into_iter().chain(counts).chain(files));
    }
    table
}

fn inputs(status: &NodeStatus, before: Option<Before<'_>>) -> TextTable {
    let mut table = table("input", &["rows in", "refused"], before);
    for flow in &status.flows {
        for input in &flow.inputs {
            let numbers = [input.rows_in, input.rows_refused].map(grouped);
            let earlier = before.and_then(|before| Some((before.flow(flow)?, before.since)));
            let rate = earlier.map(|(earlier, since)| {
                let then = earlier.inputs.iter().find(|then| then.stream == input.stream);
                rate(then.map_or(0, |then| then.rows_in), input.rows_in, since)
            });
            table.row([name(status, flow, &input.stream)].into_iter().chain(numbers).chain(rate));
        }
    }
    table
}

fn outputs(status: &NodeStatus, before: Option<Before<'_>>) -> TextTable {
    let mut table = table("output", &["rows out"], before);
    for flow in &status.flows {
        for output in &flow.outputs {
            let earlier = before.and_then(|before| Some((before.flow(flow)?, before.since)));
            let rate = earlier.map(|(earlier, since)| {
                let then = earlier.outputs.iter().find(|then| then.stream == output.stream);
                rate(then.map_or(0, |then| then.rows_out), output.rows_out, since)
            });
            table.row([name(status, flow, &output.stream), grouped(output.rows_out)].into_iter().chain(rate));
        }
    }
    table
}

fn tables(status: &NodeStatus) -> TextTable {
    let mut table = table("table", &["rows", "bytes of rows", "bytes of memory"], None);
    for flow in &status.flows {
        for held in &flow.tables {
            let numbers = [held.rows, held.row_bytes, held.memory_bytes].map(grouped);
            table.row([name(status, flow, &held.table)].into_iter().chain(numbers));
        }
    }
    table
}

fn table(what: &str, numbers: &[&str], before: Option<Before<'_>>) -> TextTable {
    let rate = before.map(|_| "rows/s");
    let numbers = numbers.iter().copied().chain(rate).map(|title| (title, Align::Right));
    TextTable::new([(what, Align::Left)].into_iter().chain(numbers))
}

/// With its flow where there are several.
fn name(status: &NodeStatus, flow: &FlowStatus, name: &str) -> String {
    match status.flows.len() {
        1 => name.to_owned(),
        _ => format!("{}.{name}", flow.flow),
    }
}

impl<'s> Before<'s> {
    /// What the flow said then; nothing where it has come since.
    fn flow(self, flow: &FlowStatus) -> Option<&'s FlowStatus> {
        self.status.flows.iter().find(|then| then.flow == flow.flow)
    }
}

/// Rows a second. A count that went back is of a flow that was dropped and came again.
fn rate(then: u64, now: u64, since: Duration) -> String {
    let rows = now.checked_sub(then).unwrap_or(now) as f64;
    grouped((rows / since.as_secs_f64().max(1e-6)).round() as u64)
}

#[cfg(test)]
mod tests {
    use anabranch::{InputStatus, OutputStatus};

    use super::*;

    fn status(rows_in: u64) -> NodeStatus {
        let inputs =
            vec![InputStatus { stream: "In".into(), rows_in, rows_refused: 1, ..InputStatus::default() }];
        let outputs = vec![OutputStatus { stream: "Out".into(), rows_out: rows_in / 2 }];
        let flow = FlowStatus { flow: "names".into(), revision: 1, inputs, outputs, ..FlowStatus::default() };
        NodeStatus { node: "A".into(), workers: 1, journal: None, flows: vec![flow] }
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let (then, now) = (status(1_000), status(5_000));
        let before = Before { status: &then, since: Duration::from_secs(2) };
        let [inputs, outputs, tables, _] = of(&now, Some(before));
        assert_eq!(inputs.render(), "input  rows in  refused  rows/s\nIn       5,000        1   2,000\n");
        assert_eq!(outputs.render(), "output  rows out  rows/s\nOut        2,500   1,000\n");
        assert!(tables.is_empty());
        let again = status(300);
        let before = Before { status: &now, since: Duration::from_secs(1) };
        assert!(of(&again, Some(before))[0].render().ends_with("  300\n"), "it began anew");
    }

    #[test]
    fn names_have_their_flow_where_there_are_several() {
        let mut two = status(1);
        two.flows.push(FlowStatus { flow: "more".into(), ..two.flows[0].clone() });
        let [inputs, ..] = of(&two, None);
        assert_eq!(
            inputs.render(),
            "input     rows in  refused\nnames.In        1        1\nmore.In         1        1\n"
        );
    }
}
