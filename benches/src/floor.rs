//! The floors: plain loops in one thread that do the same upserts in place in a hash map.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anabranch_model::batch::Batch;
use anabranch_model::row::Row;
use anabranch_model::types::{ColumnId, Shape};

use crate::workload::Pair;

/// Rows of fixed size, stored in the map itself: the least that an upsert can cost.
#[derive(Debug, Default)]
pub struct FixedRows {
    rows: HashMap<[u8; 12], ([u8; 24], u8), foldhash::fast::RandomState>,
}

impl FixedRows {
    /// Applies rows and says how long it took.
    pub fn apply(&mut self, pairs: impl Iterator<Item = Pair>) -> Duration {
        let start = Instant::now();
        for (name, value) in pairs {
            match self.rows.get_mut(&name) {
                Some(row) => *row = (value, b'A'),
                None => drop(self.rows.insert(name, (value, b'A'))),
            }
        }
        start.elapsed()
    }

    /// Rows in the map.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The same packed rows as the engine gets, each with memory of its own, updated in place where the length allows.
#[derive(Debug, Default)]
pub struct PackedRows {
    rows: HashMap<Box<[u8]>, Box<[u8]>, foldhash::fast::RandomState>,
}

impl PackedRows {
    /// Applies packed rows and says how long it took.
    pub fn apply(&mut self, batches: impl Iterator<Item = Batch>, shape: &Shape) -> Duration {
        let start = Instant::now();
        for batch in batches {
            for row in batch.rows() {
                let name = Row::new(row, shape).slot_bytes(ColumnId(0));
                match self.rows.get_mut(name) {
                    Some(stored) if stored.len() == row.len() => stored.copy_from_slice(row),
                    Some(stored) => *stored = row.into(),
                    None => drop(self.rows.insert(name.into(), row.into())),
                }
            }
        }
        start.elapsed()
    }
}
