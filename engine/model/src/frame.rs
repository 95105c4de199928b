//! What an expression sees while it is evaluated: the rows and `let` values of its step, and the step's context.

use std::cell::Cell;
use std::sync::Arc;

use crate::expr::{LetSlot, RowSlot};
use crate::row::Row;
use crate::types::Shape;
use crate::value::Value;

/// The facts of a step that do not come from rows. They are fixed before the step runs.
#[derive(Debug)]
pub struct StepContext {
    /// `node()`: the owner of the partition.
    pub node: Arc<str>,
    /// `source()`: where the request entered.
    pub source: Arc<str>,
    /// `now()`: the step's stamp, in microseconds since 1970 UTC.
    pub now: i64,
    /// `revision()`: the flow's.
    pub revision: i64,
    /// Where `uuid()` takes its chance from; the seed comes from above, so a run can be repeated.
    pub chance: Chance,
}

impl StepContext {
    /// The facts of steps of rows that entered at `source`; the time is set per step.
    pub fn new(node: Arc<str>, source: Arc<str>, revision: i64, chance: Chance) -> Self {
        StepContext { node, source, now: 0, revision, chance }
    }
}

/// A small deterministic source of chance (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Chance(Cell<u64>);

impl Chance {
    /// A source that always gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Chance(Cell::new(seed))
    }

    /// The next 64 bits.
    pub fn draw(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The rows and values that are in scope.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The input row, row variable 0.
    pub input: &'a [u8],
    /// The other row variables, from number 1 on; an empty buffer is a null row.
    pub rows: &'a [Vec<u8>],
    /// A row variable that is read where it lies: the row under test of a `where`.
    pub candidate: Option<(RowSlot, &'a [u8])>,
    /// The shape of each row variable, from number 0 on.
    pub shapes: &'a [Arc<Shape>],
    /// The `let` values that are set so far.
    pub lets: &'a [Value<'static>],
    /// The step's facts.
    pub context: &'a StepContext,
}

impl<'a> Frame<'a> {
    /// The row in a variable, or `None` when it is null.
    pub fn row(&self, slot: RowSlot) -> Option<Row<'a>> {
        let at = slot.0 as usize;
        let bytes = match self.candidate {
            Some((candidate, bytes)) if candidate == slot => bytes,
            _ if at == 0 => self.input,
            _ => self.rows[at - 1].as_slice(),
        };
        (!bytes.is_empty()).then(|| Row::new(bytes, &self.shapes[at]))
    }

    /// The value of a `let`.
    pub fn value(&self, slot: LetSlot) -> &'a Value<'static> {
        &self.lets[slot.0 as usize]
    }
}
