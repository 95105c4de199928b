//! What a node knows of itself as aligned tables: its inputs, outputs and tables, with their flow where there are several.

use anabranch::{FlowStatus, NodeStatus};

use crate::text_table::{Align, TextTable, grouped};

/// The inputs, outputs and tables of a node; some may be empty.
pub(crate) fn of(status: &NodeStatus) -> [TextTable; 3] {
    [inputs(status), outputs(status), tables(status)]
}

fn inputs(status: &NodeStatus) -> TextTable {
    let heads = ["rows in", "refused"].map(|title| (title, Align::Right));
    let mut table = TextTable::new([("input", Align::Left)].into_iter().chain(heads));
    for flow in &status.flows {
        for input in &flow.inputs {
            let numbers = [input.rows_in, input.rows_refused].map(grouped);
            table.row([name(status, flow, &input.stream)].into_iter().chain(numbers));
        }
    }
    table
}

fn outputs(status: &NodeStatus) -> TextTable {
    let mut table = TextTable::new([("output", Align::Left), ("rows out", Align::Right)]);
    for flow in &status.flows {
        for output in &flow.outputs {
            table.row([name(status, flow, &output.stream), grouped(output.rows_out)]);
        }
    }
    table
}

fn tables(status: &NodeStatus) -> TextTable {
    let heads = ["rows", "bytes of rows", "bytes of memory"].map(|title| (title, Align::Right));
    let mut table = TextTable::new([("table", Align::Left)].into_iter().chain(heads));
    for flow in &status.flows {
        for held in &flow.tables {
            let numbers = [held.rows, held.row_bytes, held.memory_bytes].map(grouped);
            table.row([name(status, flow, &held.table)].into_iter().chain(numbers));
        }
    }
    table
}

/// With its flow where there are several.
fn name(status: &NodeStatus, flow: &FlowStatus, name: &str) -> String {
    match status.flows.len() {
        1 => name.to_owned(),
        _ => format!("{}.{name}", flow.flow),
    }
}
