//! What a node knows of itself.

use anabranch_model::message::FlowId;
use anabranch_model::plan::{Plan, Policy, Stream, Sync, Table};
use anabranch_operators::FlowStatus as Part;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;

/// A node and its flows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct NodeStatus {
    /// The node's name.
    pub node: String,
    /// Its workers.
    pub workers: u32,
    /// Its flows.
    pub flows: Vec<FlowStatus>,
}

/// A running flow.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FlowStatus {
    /// Its name.
    pub flow: String,
    /// Its revision.
    pub revision: i64,
    /// Its inputs, in the order of the file.
    pub inputs: Vec<InputStatus>,
    /// Its outputs, in the order of the file.
    pub outputs: Vec<OutputStatus>,
    /// Its tables, in the order of the file.
    pub tables: Vec<TableStatus>,
}

/// An input stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct InputStatus {
    /// Its name.
    pub stream: String,
    /// Rows taken since the flow started, refused ones included.
    pub rows_in: u64,
    /// Rows refused.
    pub rows_refused: u64,
}

/// An output stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct OutputStatus {
    /// Its name.
    pub stream: String,
    /// Rows replied and emitted since the flow started.
    pub rows_out: u64,
}

/// A query table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct TableStatus {
    /// Its name.
    pub table: String,
    /// Its partitions.
    pub partitions: u32,
    /// Its rows.
    pub rows: u64,
    /// Bytes of keys and packed rows.
    pub row_bytes: u64,
    /// Bytes of memory held for them.
    pub memory_bytes: u64,
    /// What its policy owes its rows and the node cannot give: `1 of 2 copies, in memory and not on disk`. None when
    /// they have all.
    pub degraded: Option<String>,
}

impl NodeStatus {
    /// Puts together what the workers say; `ask` gives the parts of a flow, one a worker.
    pub(crate) fn collect(
        node: &str,
        workers: u32,
        catalog: &Catalog,
        ask: impl Fn(FlowId) -> Vec<Part>,
    ) -> Self {
        let flows = catalog.plans().map(|(id, plan)| FlowStatus::collect(plan, &ask(id))).collect();
        NodeStatus { node: node.to_owned(), workers, flows }
    }
}

impl FlowStatus {
    fn collect(plan: &Plan, parts: &[Part]) -> Self {
        // A worker may be at another revision for a moment: streams and tables are known by their names.
        let input = |stream: &Stream| {
            let of = |part: &Part| part.plan.input(&stream.name).map(|id| id.0 as usize);
            InputStatus {
                stream: stream.name.clone(),
                rows_in: sum(parts, |part| of(part).map(|at| part.counts.rows_in[at])),
                rows_refused: sum(parts, |part| of(part).map(|at| part.counts.rows_refused[at])),
            }
        };
        let output = |stream: &Stream| {
            let of = |part: &Part| part.plan.output(&stream.name).map(|id| id.0 as usize);
            let rows_out = sum(parts, |part| of(part).map(|at| part.counts.rows_out[at]));
            OutputStatus { stream: stream.name.clone(), rows_out }
        };
        let table = |table: &Table| {
            let size = |part: &Part| part.plan.table(&table.name).map(|id| part.tables[id.0 as usize]);
            TableStatus {
                table: table.name.clone(),
                partitions: table.policy.partitions,
                rows: sum(parts, |part| size(part).map(|size| size.rows)),
                row_bytes: sum(parts, |part| size(part).map(|size| size.row_bytes)),
                memory_bytes: sum(parts, |part| size(part).map(|size| size.memory_bytes)),
                degraded: degraded(&table.policy),
            }
        };
        FlowStatus {
            flow: plan.name.clone(),
            revision: plan.revision,
            inputs: plan.inputs.iter().map(input).collect(),
            outputs: plan.outputs.iter().map(output).collect(),
            tables: plan.tables.iter().map(table).collect(),
        }
    }
}

fn sum(parts: &[Part], count: impl Fn(&Part) -> Option<u64>) -> u64 {
    parts.iter().filter_map(count).sum()
}

/// What one node in memory does not give of a policy.
fn degraded(policy: &Policy) -> Option<String> {
    let copies = (policy.copies > 1).then(|| format!("1 of {} copies", policy.copies));
    let disk = (policy.sync == Sync::Disk).then(|| "in memory and not on disk".to_owned());
    let missing: Vec<String> = [copies, disk].into_iter().flatten().collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}
