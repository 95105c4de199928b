//! What a flow counts on one worker.

use anabranch_model::plan::{Plan, RefusalCode};

/// Sizes of batches that are counted apart: at most 1 row, 2, 4, and so on up to 65,536, and beyond.
pub const BATCH_SIZES: usize = 18;

/// Counts of one worker since the flow was installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// By input.
    pub inputs: Vec<InputCounts>,
    /// Rows replied or emitted, per output.
    pub rows_out: Vec<u64>,
}

/// What came in on an input, and what its step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputCounts {
    /// Rows taken.
    pub rows_in: u64,
    /// Rows refused, by code, in the order of [`RefusalCode::ALL`].
    pub rows_refused: [u64; RefusalCode::ALL.len()],
    /// Batches by their rows on this worker: number `n` counts those of at most 2^n rows, and more than the number
    /// before; the last one all that are larger.
    pub batches: [u64; BATCH_SIZES],
    /// Nanoseconds that its step ran.
    pub step_nanos: u64,
    /// For each rule what it did since this revision runs.
    pub rules: Vec<RuleCounts>,
}

/// What a rule did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Rows for which its actions ran.
    pub rows: u64,
    /// Nanoseconds that its filter and its actions ran, where the worker keeps a profile.
    pub nanos: u64,
}

impl InputCounts {
    /// A batch was taken.
    pub(crate) fn batch(&mut self, rows: usize) {
        self.rows_in += rows as u64;
        let size = rows.max(1).next_power_of_two().trailing_zeros() as usize;
        self.batches[size.min(BATCH_SIZES - 1)] += 1;
    }

    /// A row was refused.
    pub(crate) fn refused(&mut self, code: RefusalCode) {
        self.rows_refused[code as usize] += 1;
    }
}

impl FlowCounts {
    pub(crate) fn of(plan: &Plan) -> Self {
        let input = |_| InputCounts::default();
        FlowCounts { inputs: plan.inputs.iter().map(input).collect(), rows_out: vec![0; plan.outputs.len()] }
    }

    /// The counts of streams that a newer revision still has go on.
    pub(crate) fn revised(&self, old: &Plan, new: &Plan) -> Self {
        let mut revised = FlowCounts::of(new);
        for (stream, counts) in old.inputs.iter().zip(&self.inputs) {
            if let Some(input) = new.input(&stream.name) {
                revised.inputs[input.0 as usize] = counts.clone();
            }
        }
        for (stream, rows) in old.outputs.iter().zip(&self.rows_out) {
            if let Some(output) = new.output(&stream.name) {
                revised.rows_out[output.0 as usize] = *rows;
            }
        }
        revised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_by_powers_of_two() {
        let mut counts = InputCounts::default();
        [0, 1, 2, 3, 4, 5, 65_536, 65_537, 10_000_000].into_iter().for_each(|rows| counts.batch(rows));
        let counted: Vec<_> = counts.batches.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(counted, [(0, &2), (1, &1), (2, &2), (3, &1), (16, &1), (17, &2)]);
        assert_eq!(counts.rows_in, 10_131_088);
    }

    #[test]
    fn every_code_has_a_place_of_its_own() {
        let mut counts = InputCounts::default();
        RefusalCode::ALL.into_iter().for_each(|code| counts.refused(code));
        assert!(RefusalCode::ALL.iter().enumerate().all(|(at, code)| *code as usize == at));
        assert_eq!(counts.rows_refused, [1; 6]);
    }
}
