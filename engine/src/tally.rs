//! Counts of flows as they stand in the journal, so that they go on where a node starts again.
//!
//! Workers say every second what they have counted, where that has changed, and once more when they stop; the journal
//! keeps the sums once a second, and the last record of them counts. So what was counted in the two seconds before a crash
//! is forgotten: counts tell how much was done, and nothing rests on them.

use std::collections::BTreeMap;

use anabranch_model::message::{FlowId, WorkerId};
use anabranch_model::plan::RefusalCode;
use anabranch_operators::FlowStatus;
use serde::{Deserialize, Serialize};

/// How often a worker says what it has counted, and how often it is kept, in microseconds of the node's clock.
pub(crate) const COUNTED_EVERY: i64 = 1_000_000;

/// Counts of flows, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally(BTreeMap<u32, FlowTally>);

/// Counts of a flow, by the names of its streams: they go on in newer revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FlowTally {
    #[serde(default)]
    pub(crate) inputs: BTreeMap<String, InputTally>,
    /// Rows replied or emitted.
    #[serde(default)]
    pub(crate) outputs: BTreeMap<String, u64>,
}

/// Counts of an input stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputTally {
    /// Rows taken.
    #[serde(default)]
    pub(crate) rows: u64,
    /// Rows refused, by code.
    #[serde(default)]
    pub(crate) refused: BTreeMap<String, u64>,
    /// Batches by their rows, as `InputCounts::batches` has them.
    #[serde(default)]
    pub(crate) batches: Vec<u64>,
    /// Nanoseconds that its step ran.
    #[serde(default)]
    pub(crate) step_nanos: u64,
}

impl Tally {
    /// Adds what a worker has counted of a flow.
    pub(crate) fn count(&mut self, flow: FlowId, status: &FlowStatus) {
        let of = self.0.entry(flow.0).or_default();
        for (stream, counts) in status.plan.inputs.iter().zip(&status.counts.inputs) {
            let refused = RefusalCode::ALL.iter().zip(counts.rows_refused).filter(|(_, rows)| *rows > 0);
            let counted = InputTally {
                rows: counts.rows_in,
                refused: refused.map(|(code, rows)| (code.name().to_owned(), rows)).collect(),
                batches: counts.batches.to_vec(),
                step_nanos: counts.step_nanos,
            };
            of.inputs.entry(stream.name.clone()).or_default().add(&counted);
        }
        for (stream, rows) in status.plan.outputs.iter().zip(&status.counts.rows_out) {
            *of.outputs.entry(stream.name.clone()).or_default() += rows;
        }
    }

    /// Adds all of another.
    pub(crate) fn add(&mut self, other: &Tally) {
        for (flow, counted) in &other.0 {
            let of = self.0.entry(*flow).or_default();
            for (stream, counted) in &counted.inputs {
                of.inputs.entry(stream.clone()).or_default().add(counted);
            }
            for (stream, rows) in &counted.outputs {
                *of.outputs.entry(stream.clone()).or_default() += rows;
            }
        }
    }

    /// The counts of a flow, if there are any.
    pub(crate) fn of(&self, flow: FlowId) -> Option<&FlowTally> {
        self.0.get(&flow.0)
    }

    /// The flow is gone.
    pub(crate) fn drop_flow(&mut self, flow: FlowId) {
        self.0.remove(&flow.0);
    }
}

impl InputTally {
    fn add(&mut self, other: &InputTally) {
        self.rows += other.rows;
        self.step_nanos += other.step_nanos;
        for (code, rows) in &other.refused {
            *self.refused.entry(code.clone()).or_default() += rows;
        }
        if self.batches.len() < other.batches.len() {
            self.batches.resize(other.batches.len(), 0);
        }
        self.batches.iter_mut().zip(&other.batches).for_each(|(all, more)| *all += more);
    }
}

/// The counts of all workers, and those of the node before it was started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies {
    before: Tally,
    workers: BTreeMap<u32, Tally>,
    /// Whether they are to be kept: a worker has said more, or their record is about to be dropped.
    due: bool,
    /// The time at which they may be kept again.
    again_at: i64,
}

impl Tallies {
    /// The counts of a node that had these when it was started.
    pub(crate) fn after(before: Tally) -> Self {
        Tallies { before, ..Tallies::default() }
    }

    /// A worker has counted so much since the node was started.
    pub(crate) fn counted(&mut self, worker: WorkerId, tally: Tally) {
        self.workers.insert(worker.0, tally);
        self.due = true;
    }

    /// Whether they are to be kept, some time.
    pub(crate) fn due(&self) -> bool {
        self.due
    }

    /// Whether they are to be kept at this time; `last` when nothing comes after it.
    pub(crate) fn due_at(&self, now: i64, last: bool) -> bool {
        self.due && (last || now >= self.again_at)
    }

    /// They were kept at this time.
    pub(crate) fn kept(&mut self, now: i64) {
        (self.due, self.again_at) = (false, now.saturating_add(COUNTED_EVERY));
    }

    /// Their record is about to be dropped: they are to be kept at once.
    pub(crate) fn keep_again(&mut self) {
        (self.due, self.again_at) = (true, i64::MIN);
    }

    /// The flow is gone.
    pub(crate) fn drop_flow(&mut self, flow: FlowId) {
        self.before.drop_flow(flow);
        self.workers.values_mut().for_each(|tally| tally.drop_flow(flow));
    }

    /// All of it.
    pub(crate) fn sum(&self) -> Tally {
        let mut sum = self.before.clone();
        self.workers.values().for_each(|tally| sum.add(tally));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(flow: u32, rows: u64) -> Tally {
        let input = InputTally {
            rows,
            refused: BTreeMap::from([("invalid".to_owned(), 1)]),
            batches: vec![0, rows],
            step_nanos: 7,
        };
        let inputs = BTreeMap::from([("Hit".to_owned(), input)]);
        let outputs = BTreeMap::from([("Told".to_owned(), rows)]);
        Tally(BTreeMap::from([(flow, FlowTally { inputs, outputs })]))
    }

    #[test]
    fn what_workers_say_replaces_what_they_said_and_adds_up_with_what_was() {
        let mut tallies = Tallies::after(tally(1, 100));
        tallies.counted(WorkerId(0), tally(1, 5));
        tallies.counted(WorkerId(0), tally(1, 10));
        tallies.counted(WorkerId(1), tally(1, 1));
        tallies.counted(WorkerId(1), tally(2, 1));
        let sum = tallies.sum();
        let of = |flow| sum.of(FlowId(flow)).expect("it has counts");
        let hit = &of(1).inputs["Hit"];
        assert_eq!(
            (hit.rows, hit.refused["invalid"], &hit.batches[..], hit.step_nanos),
            (110, 2, &[0, 110][..], 14)
        );
        assert_eq!((of(1).outputs["Told"], of(2).outputs["Told"]), (110, 1));
        tallies.drop_flow(FlowId(1));
        assert!(tallies.sum().of(FlowId(1)).is_none());
    }
}
