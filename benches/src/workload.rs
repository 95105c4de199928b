//! The rows of the reference workload.

use std::sync::Arc;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::plan::Plan;
use anabranch_model::row::{RowError, RowWriter};
use anabranch_model::types::Shape;

/// Names that rows choose from.
pub const KEYS: u64 = 1_000_000;

/// Rows of a batch.
pub const BATCH_ROWS: usize = 256;

/// Bytes of a packed row, with some to spare.
const ROW_BYTES: usize = 64;

/// A name and a value.
pub type Pair = ([u8; 12], [u8; 24]);

/// The plan of the reference flow.
pub fn plan() -> Arc<Plan> {
    let compiled = anabranch_lang::compile("flows/names.flow", include_str!("../../flows/names.flow"));
    Arc::new(compiled.plan.expect("the reference flow compiles"))
}

/// Every name once, in order, with a first value.
pub fn all_keys() -> impl Iterator<Item = Pair> {
    (0..KEYS).map(|key| pair(key, 0))
}

/// So many rows with names chosen uniformly.
pub fn random(rows: usize, seed: u64) -> impl Iterator<Item = Pair> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..rows).map(move |_| {
        // xorshift64* (Vigna 2016).
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let chosen = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        pair(((u128::from(chosen) * u128::from(KEYS)) >> 64) as u64, chosen)
    })
}

/// Whether rows are made before the clock starts or while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Before: the figure is that of the upserts alone.
    Before,
    /// In the measured loop, in the thread that applies them.
    Inside,
}

/// The rows as packed batches of `shape` (name, value), made as they are taken.
pub fn batches(mut pairs: impl Iterator<Item = Pair>, shape: &Shape) -> impl Iterator<Item = Batch> {
    std::iter::from_fn(move || {
        let mut batch = Batch::with_capacity(SchemaId(0), BATCH_ROWS * ROW_BYTES);
        for (name, value) in pairs.by_ref().take(BATCH_ROWS) {
            push(&mut batch, shape, &name, &value);
        }
        (!batch.is_empty()).then_some(batch)
    })
}

fn push(batch: &mut Batch, shape: &Shape, name: &[u8], value: &[u8]) {
    let write = |writer: &mut RowWriter<'_, '_>| {
        writer.packed(name);
        writer.packed(value);
        Ok(())
    };
    batch.push_with::<RowError>(shape, write).expect("the row fits its shape");
}

/// The name of a key, and a value that chance makes.
pub fn pair(mut key: u64, chosen: u64) -> Pair {
    let (mut name, mut value) = (*b"key000000000", *b"value-xxxxxxxxxxxxxxxxxx");
    for digit in name[3..].iter_mut().rev() {
        *digit = b'0' + (key % 10) as u8;
        key /= 10;
    }
    for (at, letter) in value[6..].iter_mut().enumerate() {
        *letter = b'a' + ((chosen >> (3 * at)) & 15) as u8;
    }
    (name, value)
}
