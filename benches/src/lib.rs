//! What the benchmarks share: the reference workload (12-byte names, 24-byte values, uniformly chosen) and its floors.

use std::sync::Arc;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::message::{Body, Delivery, FlowId, Origin, Request, WorkerId};
use anabranch_model::plan::{InputId, Plan};
use anabranch_model::row::RowWriter;
use anabranch_model::types::Shape;
use anabranch_model::value::Value;
use anabranch_operators::Worker;
use hashbrown::HashMap;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The flow that all of them run.
pub const REFERENCE_FLOW: &str = include_str!("../../flows/names.flow");

/// Bytes of a name: `key` and nine digits.
pub const NAME_BYTES: usize = 12;

/// Bytes of a value.
pub const VALUE_BYTES: usize = 24;

/// The plan of the reference flow.
pub fn reference_plan() -> Arc<Plan> {
    let compiled = anabranch_lang::compile("flows/names.flow", REFERENCE_FLOW);
    Arc::new(compiled.plan.expect("the reference flow compiles"))
}

/// The rows of the workload, one after the other: uniformly chosen names, values that differ.
#[derive(Clone, Debug)]
pub struct Workload {
    state: u64,
    keys: u64,
}

impl Workload {
    /// The workload over so many keys, from a seed.
    pub fn new(keys: u64, seed: u64) -> Self {
        Workload { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, keys }
    }

    /// The next name and value.
    #[inline]
    pub fn row(&mut self) -> ([u8; NAME_BYTES], [u8; VALUE_BYTES]) {
        // xorshift64* (Vigna 2016): cheap beside what is measured.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let chosen = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let number = ((u128::from(chosen) * u128::from(self.keys)) >> 64) as u64;
        (name(number), value(chosen))
    }

    /// A packed batch of so many rows of `shape` (name, value).
    pub fn batch(&mut self, shape: &Shape, rows: usize) -> Batch {
        let mut batch = Batch::with_capacity(SchemaId(0), rows * 72);
        for _ in 0..rows {
            let (name, value) = self.row();
            push(&mut batch, shape, &name, &value);
        }
        batch
    }
}

/// The name of a key.
#[inline]
pub fn name(mut number: u64) -> [u8; NAME_BYTES] {
    let mut name = *b"key000000000";
    for digit in name[3..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    name
}

#[inline]
fn value(chosen: u64) -> [u8; VALUE_BYTES] {
    let mut value = *b"value-xxxxxxxxxxxxxxxxxx";
    for (at, byte) in value[6..].iter_mut().enumerate() {
        *byte = b'a' + ((chosen >> (3 * at)) & 15) as u8;
    }
    value
}

fn push(batch: &mut Batch, shape: &Shape, name: &[u8], value: &[u8]) {
    let text = |bytes| Value::from(std::str::from_utf8(bytes).expect("ASCII"));
    let write = |writer: &mut RowWriter<'_, '_>| {
        writer.value(&text(name))?;
        writer.value(&text(value))
    };
    batch.push_with::<anabranch_model::row::RowError>(shape, write).expect("the row fits its shape");
}

/// The floor: the same upserts, in place, in a hash map of fixed-size rows in one thread.
#[derive(Debug, Default)]
pub struct Floor {
    rows: HashMap<[u8; NAME_BYTES], ([u8; VALUE_BYTES], u8)>,
}

impl Floor {
    /// One upsert.
    #[inline]
    pub fn upsert(&mut self, name: [u8; NAME_BYTES], value: [u8; VALUE_BYTES]) {
        match self.rows.get_mut(&name) {
            Some(row) => *row = (value, b'A'),
            None => drop(self.rows.insert(name, (value, b'A'))),
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The number of the only flow.
pub const FLOW: FlowId = FlowId(0);

/// Hands a batch of updates to a worker.
pub fn submit(worker: &mut Worker, request: u64, batch: Batch) {
    let origin = Origin { worker: worker.id(), client: 1, request };
    worker.submit(FLOW, Request { origin, body: Body::Rows { input: InputId(0), batch } });
}

/// Counts the rows that are accepted in what a worker delivers, and the parts of answers.
pub fn accepted(worker: &mut Worker) -> u64 {
    let mut rows = 0;
    for delivery in worker.deliveries() {
        if let Delivery::Part(_, part) = delivery
            && let anabranch_model::message::Answer::Rows(answer) = part.answer
        {
            assert!(answer.refusals.is_empty(), "the workload is never refused");
            rows += u64::from(answer.accepted);
        }
    }
    rows
}

/// Which worker this is.
pub fn is_first(worker: &Worker) -> bool {
    worker.id() == WorkerId(0)
}
