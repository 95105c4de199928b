//! What a node knows of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::message::{Asked, FlowId, WorkerId};
use anabranch_model::plan::{Plan, Policy, RefusalCode, Rule, Stream, Sync, Table, TableId};
use anabranch_operators::{
    BATCH_SIZES, FlowProfile, FlowStatus as OfWorker, InputCounts, RuleCounts, TableSize,
};
use serde::{Deserialize, Serialize};

use crate::deploy::Flows;
use crate::measures::Times;
use crate::tally::FlowTally;

/// What one worker knows of a flow.
#[derive(Debug)]
pub struct Part {
    pub(crate) worker: WorkerId,
    pub(crate) of: OfWorker,
    /// How long requests took.
    pub(crate) took: Vec<(Asked, Times)>,
    /// Rows that subscribers missed here, by stream.
    pub(crate) missed: Vec<(String, u64)>,
    /// The streams of subscriptions, with the rows that wait: all workers know all of them.
    pub(crate) subscriptions: Vec<(String, usize)>,
}

/// A node and its flows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct NodeStatus {
    /// The node's name.
    pub node: String,
    /// Its workers.
    pub workers: u32,
    /// Its journal; none where it is in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalStatus>,
    /// Its flows.
    pub flows: Vec<FlowStatus>,
}

/// The journal of a node: all numbers since the node started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct JournalStatus {
    /// Where it lies.
    pub directory: String,
    /// Whether it keeps what the node does.
    pub state: JournalState,
    /// Since when it does not, in microseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_us: Option<i64>,
    /// Why: what was tried, what is wrong, what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Records that were appended.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries, each with the records of a turn of a worker, that wait for the journal.
    pub waiting: u64,
    /// Syncs of the disk.
    pub syncs: u64,
    /// All of their times together, in microseconds.
    pub sync_sum_us: u64,
    /// What half of them did not exceed, in microseconds.
    pub sync_p50_us: u64,
    /// What 99 % of them did not exceed.
    pub sync_p99_us: u64,
    /// The longest.
    pub sync_max_us: u64,
    /// How many were at most as long as each of [`TIMES_US`].
    #[serde(skip)]
    pub(crate) sync_at_most: Vec<u64>,
    /// Segments on the disk; none where the directory cannot be read now.
    pub segments: Option<u64>,
    /// Snapshots on the disk.
    pub snapshots: Option<u64>,
}

/// Whether a journal keeps what the node does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalState {
    /// It does.
    #[default]
    Ok,
    /// The disk refuses what it needs, most likely because it is full; it goes on by itself when there is space.
    Halted,
    /// It has failed; nothing is kept until the node is started again.
    Broken,
}

impl JournalState {
    /// All states.
    pub const ALL: [JournalState; 3] = [JournalState::Ok, JournalState::Halted, JournalState::Broken];

    /// The word for it in JSON, tables and metrics.
    pub fn name(self) -> &'static str {
        match self {
            JournalState::Ok => "ok",
            JournalState::Halted => "halted",
            JournalState::Broken => "broken",
        }
    }
}

/// A running flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
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
    /// How long requests took, by what they asked.
    pub requests: Vec<RequestStatus>,
    /// Streams that have, or had, subscribers.
    pub subscriptions: Vec<SubscriptionStatus>,
    /// The operators of its dataflow, where the node counts them ([`crate::NodeBuilder::profile`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<OperatorStatus>,
    /// The channels between them, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelStatus>,
}

/// An input stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct InputStatus {
    /// Its name.
    pub stream: String,
    /// Rows taken since the flow started, refused ones included.
    pub rows_in: u64,
    /// Rows refused.
    pub rows_refused: u64,
    /// Rows refused, by code.
    pub refused_by_code: BTreeMap<String, u64>,
    /// Batches by their rows on a worker: number `n` counts those of at most 2^n rows, and more than the number before;
    /// number 17 all that are larger than 65,536. Zeros at the end are left out.
    pub batches: Vec<u64>,
    /// Microseconds that its rules ran, on all workers together.
    pub step_micros: u64,
    /// Its rules, in the order of the file.
    pub rules: Vec<RuleStatus>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct RuleStatus {
    /// Its line in the flow file.
    pub line: u32,
    /// Rows for which its actions ran, since this revision of the flow runs.
    pub rows: u64,
    /// Microseconds that its filter and its actions ran, on all workers together; where the node keeps a profile
    /// ([`crate::NodeBuilder::profile`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
}

/// How long requests of one kind took, from where they entered a worker to where their answers left it; since this
/// revision of the flow runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct RequestStatus {
    /// `rows` for an input, `get` for a key of a table, `page` for rows of a table in order.
    pub kind: String,
    /// The input or the table.
    pub of: String,
    /// How many there were.
    pub count: u64,
    /// All of their times together, in microseconds.
    pub sum_us: u64,
    /// What half of them did not exceed, in microseconds.
    pub p50_us: u64,
    /// What 99 % of them did not exceed.
    pub p99_us: u64,
    /// What 99.9 % of them did not exceed.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
    /// How many were at most as long as each of [`TIMES_US`].
    #[serde(skip)]
    pub(crate) at_most: Vec<u64>,
}

/// The bounds by which times are told apart where they are told as counts, in microseconds.
pub(crate) const TIMES_US: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// The subscriptions to a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct SubscriptionStatus {
    /// The output, or `errors`.
    pub stream: String,
    /// How many there are.
    pub subscribers: u64,
    /// Rows that wait for them.
    pub rows_waiting: u64,
    /// Rows that they, and those before them, missed.
    pub rows_missed: u64,
}

/// An operator of a flow's dataflow, on all workers together, since this revision runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct OperatorStatus {
    /// Its name.
    pub operator: String,
    /// How often it was run.
    pub activations: u64,
    /// Microseconds that it ran.
    pub micros: u64,
}

/// A channel between two operators, on all workers together, since this revision runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ChannelStatus {
    /// The operator that sends.
    pub from: String,
    /// The operator that receives.
    pub to: String,
    /// Messages.
    pub messages: u64,
    /// Requests, tasks or answers in them.
    pub records: u64,
}

/// An output stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct OutputStatus {
    /// Its name.
    pub stream: String,
    /// Rows replied and emitted since the flow started.
    pub rows_out: u64,
}

/// A query table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
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
        journal: Option<JournalStatus>,
        flows: &Flows,
        ask: impl Fn(FlowId) -> Vec<Part>,
    ) -> Self {
        let collect = |(id, plan): (FlowId, &Arc<Plan>)| {
            let mut status = FlowStatus::collect(plan, &ask(id), flows.keeps());
            if let Some(before) = flows.before().of(id) {
                status.count_on(before);
            }
            status
        };
        let flows = flows.catalog().load().plans().map(collect).collect();
        NodeStatus { node: node.to_owned(), workers, journal, flows }
    }
}

impl FlowStatus {
    fn collect(plan: &Plan, parts: &[Part], keeps: bool) -> Self {
        let profiles = || parts.iter().filter_map(|part| part.of.profile.as_ref());
        FlowStatus {
            flow: plan.name.clone(),
            revision: plan.revision,
            inputs: (0..).zip(&plan.inputs).map(|(at, stream)| input(plan, at, stream, parts)).collect(),
            outputs: plan.outputs.iter().map(|stream| output(stream, parts)).collect(),
            tables: plan.tables.iter().map(|of| table(of, parts, keeps)).collect(),
            requests: requests(plan, parts),
            subscriptions: subscriptions(parts),
            operators: operators(profiles()),
            channels: channels(profiles()),
        }
    }
}

impl FlowStatus {
    /// Adds what was counted before the node was started.
    fn count_on(&mut self, before: &FlowTally) {
        for input in &mut self.inputs {
            let Some(before) = before.inputs.get(&input.stream) else { continue };
            input.rows_in += before.rows;
            input.rows_refused += before.refused.values().sum::<u64>();
            for (code, rows) in &before.refused {
                *input.refused_by_code.entry(code.clone()).or_default() += rows;
            }
            if input.batches.len() < before.batches.len() {
                input.batches.resize(before.batches.len(), 0);
            }
            input.batches.iter_mut().zip(&before.batches).for_each(|(now, before)| *now += before);
            input.step_micros += before.step_nanos / 1000;
        }
        for output in &mut self.outputs {
            output.rows_out += before.outputs.get(&output.stream).copied().unwrap_or_default();
        }
    }
}

// A worker may be at another revision for a moment: streams and tables are known by their names.
fn input(plan: &Plan, at: usize, stream: &Stream, parts: &[Part]) -> InputStatus {
    let counts = |part: &Part| -> Option<InputCounts> {
        let id = part.of.plan.input(&stream.name)?;
        Some(part.of.counts.inputs[id.0 as usize].clone())
    };
    let counts: Vec<InputCounts> = parts.iter().filter_map(counts).collect();
    let sum = |count: &dyn Fn(&InputCounts) -> u64| -> u64 { counts.iter().map(count).sum() };
    let refused = |at: usize| sum(&|counts| counts.rows_refused[at]);
    let mut batches: Vec<u64> = (0..BATCH_SIZES).map(|at| sum(&|counts| counts.batches[at])).collect();
    batches.truncate(batches.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1));
    let profiled = parts.iter().any(|part| part.of.profile.is_some());
    let rule = |(number, rule): (usize, &Rule)| {
        let of = |count: fn(&RuleCounts) -> u64| sum(&|counts| counts.rules.get(number).map_or(0, count));
        RuleStatus {
            line: rule.place.line,
            rows: of(|rule| rule.rows),
            micros: profiled.then(|| of(|rule| rule.nanos) / 1000),
        }
    };
    InputStatus {
        stream: stream.name.clone(),
        rows_in: sum(&|counts| counts.rows_in),
        rows_refused: (0..RefusalCode::ALL.len()).map(refused).sum(),
        refused_by_code: RefusalCode::ALL
            .iter()
            .enumerate()
            .map(|(at, code)| (code.name().to_owned(), refused(at)))
            .collect(),
        batches,
        step_micros: sum(&|counts| counts.step_nanos) / 1000,
        rules: plan.steps[at].rules.iter().enumerate().map(rule).collect(),
    }
}

fn output(stream: &Stream, parts: &[Part]) -> OutputStatus {
    let rows = |part: &Part| Some(part.of.counts.rows_out[part.of.plan.output(&stream.name)?.0 as usize]);
    OutputStatus { stream: stream.name.clone(), rows_out: parts.iter().filter_map(rows).sum() }
}

fn table(table: &Table, parts: &[Part], keeps: bool) -> TableStatus {
    let size = |part: &Part| Some(part.of.tables[part.of.plan.table(&table.name)?.0 as usize]);
    let sizes: Vec<TableSize> = parts.iter().filter_map(size).collect();
    TableStatus {
        table: table.name.clone(),
        partitions: table.policy.partitions,
        rows: sizes.iter().map(|size| size.rows).sum(),
        row_bytes: sizes.iter().map(|size| size.row_bytes).sum(),
        memory_bytes: sizes.iter().map(|size| size.memory_bytes).sum(),
        degraded: degraded(&table.policy, keeps),
    }
}

/// The workers' times together. A worker at another revision would mean others by its numbers: its times are missing
/// for the moment.
fn requests(plan: &Plan, parts: &[Part]) -> Vec<RequestStatus> {
    let mut all: BTreeMap<Asked, Times> = BTreeMap::new();
    for part in parts.iter().filter(|part| part.of.plan.revision == plan.revision) {
        part.took.iter().for_each(|(asked, times)| all.entry(*asked).or_default().add(times));
    }
    all.iter().map(|(asked, times)| request(plan, *asked, times)).collect()
}

fn request(plan: &Plan, asked: Asked, times: &Times) -> RequestStatus {
    let (kind, of) = named(plan, asked);
    RequestStatus {
        kind: kind.to_owned(),
        of: of.to_owned(),
        count: times.count(),
        sum_us: times.sum(),
        p50_us: times.quantile(0.5),
        p99_us: times.quantile(0.99),
        p999_us: times.quantile(0.999),
        max_us: times.most(),
        at_most: times.at_most(&TIMES_US),
    }
}

/// The kind of a request, and the stream or table that it is to.
pub(crate) fn named(plan: &Plan, asked: Asked) -> (&'static str, &str) {
    let table = |id: TableId| plan.tables.get(id.0 as usize).map_or("", |table| table.name.as_str());
    match asked {
        Asked::Rows(id) => ("rows", plan.inputs.get(id.0 as usize).map_or("", |stream| stream.name.as_str())),
        Asked::Get(id) => ("get", table(id)),
        Asked::Page(id) => ("page", table(id)),
    }
}

fn subscriptions(parts: &[Part]) -> Vec<SubscriptionStatus> {
    let mut all: BTreeMap<&str, SubscriptionStatus> = BTreeMap::new();
    for (stream, waiting) in
        parts.iter().filter(|part| part.worker.0 == 0).flat_map(|part| &part.subscriptions)
    {
        let of = all.entry(stream).or_default();
        of.subscribers += 1;
        of.rows_waiting += *waiting as u64;
    }
    for (stream, missed) in parts.iter().flat_map(|part| &part.missed) {
        all.entry(stream).or_default().rows_missed += missed;
    }
    let named =
        |(stream, of): (&str, SubscriptionStatus)| SubscriptionStatus { stream: stream.to_owned(), ..of };
    all.into_iter().map(named).collect()
}

fn operators<'a>(profiles: impl Iterator<Item = &'a FlowProfile>) -> Vec<OperatorStatus> {
    let mut all: Vec<OperatorStatus> = Vec::new();
    for of in profiles.flat_map(|profile| &profile.operators) {
        match all.iter_mut().find(|known| known.operator == of.operator) {
            Some(known) => {
                known.activations += of.activations;
                known.micros += of.nanos / 1000;
            }
            None => all.push(OperatorStatus {
                operator: of.operator.clone(),
                activations: of.activations,
                micros: of.nanos / 1000,
            }),
        }
    }
    all
}

fn channels<'a>(profiles: impl Iterator<Item = &'a FlowProfile>) -> Vec<ChannelStatus> {
    let mut all: Vec<ChannelStatus> = Vec::new();
    for of in profiles.flat_map(|profile| &profile.channels) {
        match all.iter_mut().find(|known| known.from == of.from && known.to == of.to) {
            Some(known) => {
                known.messages += of.messages;
                known.records += of.records;
            }
            None => all.push(ChannelStatus {
                from: of.from.clone(),
                to: of.to.clone(),
                messages: of.messages,
                records: of.records,
            }),
        }
    }
    all
}

/// What one node in memory does not give of a policy.
fn degraded(policy: &Policy, keeps: bool) -> Option<String> {
    let copies = (policy.copies > 1).then(|| format!("1 of {} copies", policy.copies));
    let disk = (policy.sync == Sync::Disk && !keeps).then(|| "in memory and not on disk".to_owned());
    let missing: Vec<String> = [copies, disk].into_iter().flatten().collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}
