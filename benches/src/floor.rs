//! The floors: plain loops in one thread that do the same upserts in place in a hash map.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// Hand-overs that are timed.
const HANDOVERS: u64 = 200_000;

/// How long a cache line takes from one thread to another: what two workers pay at least for everything that they
/// exchange. On a shared machine it changes from minute to minute, with the cores that the host gives.
pub fn handover() -> Duration {
    let ball = AtomicU64::new(0);
    let play = |first: u64| {
        for turn in (first..2 * HANDOVERS).step_by(2) {
            while ball.load(Ordering::Acquire) != turn {
                std::hint::spin_loop();
            }
            ball.store(turn + 1, Ordering::Release);
        }
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| play(1));
        play(0);
    });
    start.elapsed() / (2 * HANDOVERS) as u32
}
