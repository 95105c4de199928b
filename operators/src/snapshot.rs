//! A worker's part of a snapshot, in pieces that it makes between turns; and the way back.
//!
//! INVARIANT: what is said of where a partition stands is taken before its first row. A row that changes while the
//! worker goes from piece to piece may be missing or double, but then the record that changed it lies behind what was
//! said, and doing the records behind it again, in order, gives the rows as they are. A step that is refused makes no
//! record; it leaves every row at its place, so that the next pieces meet it (`anabranch_table`).

use anabranch_model::key::MAX_KEY_BYTES;
use anabranch_model::message::FlowId;
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{Plan, TableId};
use anabranch_model::row::Row;
use anabranch_model::snapshot::{Standing, StateWriter, rows};
use anabranch_table::{Chunk, ChunkCursor, KeyHash};

use crate::recorder::{FlowPartition, Position, Recorder};
use crate::restore::{RestoreError, Restorer};
use crate::tables::Tables;

/// Rows whose memory is asked for together, as for the rows of a request.
const FORESEEN_ROWS: usize = 16;

/// How far a worker is with its part of a snapshot. Flows neither come, change nor go while it is made.
#[derive(Debug)]
pub struct SnapshotPlace {
    /// The flows that are not begun, the next one last.
    pub(crate) flows: Vec<FlowId>,
    /// The one that is.
    pub(crate) flow: Option<(FlowId, FlowPlace)>,
}

/// A piece of a worker's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePiece {
    /// Its bytes ([`anabranch_model::snapshot`]).
    pub body: Vec<u8>,
    /// Rows in it.
    pub rows: u64,
}

/// How far a worker is with one flow.
#[derive(Debug)]
pub(crate) struct FlowPlace {
    /// The partitions that are not done, the present or next one last.
    parts: Vec<FlowPartition>,
    /// Whether it was said where the present one stands, and the table and the rows that are next.
    present: Option<(TableId, ChunkCursor)>,
}

impl FlowPlace {
    pub(crate) fn new(recorder: &Recorder) -> Self {
        let mut parts: Vec<FlowPartition> = recorder.parts().collect();
        parts.sort_unstable_by(|a, b| b.cmp(a));
        FlowPlace::of(parts)
    }

    /// Where these partitions begin, the first one last.
    pub(crate) fn of(parts: Vec<FlowPartition>) -> Self {
        FlowPlace { parts, present: None }
    }

    /// The partition that is next, or that is not done.
    pub(crate) fn part(&self) -> Option<FlowPartition> {
        self.parts.last().copied()
    }

    /// Writes on until there are `most` bytes more, and what goes beyond them with one item. Rows that were written, and
    /// whether these were the last.
    pub(crate) fn write(
        &mut self,
        plan: &Plan,
        tables: &Tables,
        recorder: &Recorder,
        most: usize,
        out: &mut StateWriter,
    ) -> (u64, bool) {
        let (mut count, end) = (0, out.len() + most.max(1));
        while !self.parts.is_empty() {
            if out.len() >= end {
                return (count, false);
            }
            count += self.write_part(plan, tables, recorder, end, out);
        }
        (count, true)
    }

    /// Writes on in one partition until the piece has `end` bytes, and what goes beyond them with one item. Rows that were
    /// written.
    pub(crate) fn write_part(
        &mut self,
        plan: &Plan,
        tables: &Tables,
        recorder: &Recorder,
        end: usize,
        out: &mut StateWriter,
    ) -> u64 {
        let Some(part) = self.part() else { return 0 };
        let mut count = 0;
        while out.len() < end {
            let (table, from) = self.present.unwrap_or_else(|| {
                let (Position { term, seq }, remembered) = recorder.head(part);
                let FlowPartition { of, number } = part;
                out.partition(Standing { of, number, term, seq, remembered: &remembered });
                (TableId(0), ChunkCursor::default())
            });
            let of = plan.tables.get(usize::from(table.0));
            self.present = match of {
                Some(of) if of.policy.partitions == part.of => {
                    let (written, rest) = write_rows(tables, table, PartitionId(part.number), from, end, out);
                    count += written;
                    Some(rest.map_or((TableId(table.0 + 1), ChunkCursor::default()), |rest| (table, rest)))
                }
                Some(_) => Some((TableId(table.0 + 1), ChunkCursor::default())),
                None => {
                    self.parts.pop();
                    None
                }
            };
            if self.present.is_none() {
                break;
            }
        }
        count
    }
}

/// Writes rows of a partition until the piece has `end` bytes. How many, and where the rest begins.
fn write_rows(
    tables: &Tables,
    table: TableId,
    partition: PartitionId,
    mut from: ChunkCursor,
    end: usize,
    out: &mut StateWriter,
) -> (u64, Option<ChunkCursor>) {
    let Some(rows) = tables.get(table, partition) else { return (0, None) };
    let mut count = 0;
    while out.len() < end {
        match rows.chunk(from, 1, |_, row| out.row(table, partition, row)) {
            Chunk::More(behind) => from = behind,
            Chunk::End => return (count, None),
        }
        count += 1;
    }
    (count, Some(from))
}

impl Restorer {
    /// Puts rows of a piece into their partition. How many.
    ///
    /// # Errors
    /// What is wrong with one of them; those before it are there.
    pub(crate) fn load(
        &mut self,
        table: TableId,
        partition: PartitionId,
        bytes: &[u8],
        plan: &Plan,
        tables: &mut Tables,
    ) -> Result<u64, RestoreError> {
        let of = plan.tables.get(usize::from(table.0));
        let of = of.filter(|of| partition.0 < of.policy.partitions);
        let of = of.ok_or(RestoreError::NoPartition { table, partition })?;
        let (reader, buffer) = self.key_of(table);
        let mut rest = rows(bytes);
        let mut count = 0;
        loop {
            let (mut group, mut taken) = ([(KeyHash::default(), &[][..]); FORESEEN_ROWS], 0);
            for row in rest.by_ref().take(FORESEEN_ROWS) {
                let row = row?;
                Row::check(row, &of.shape)?;
                let key = reader.read(row, buffer);
                if key.len() > MAX_KEY_BYTES {
                    return Err(RestoreError::Key { table, bytes: key.len() });
                }
                group[taken] = (tables.prefetch_index(table, partition, key), row);
                taken += 1;
            }
            if taken == 0 {
                return Ok(count);
            }
            let stored = tables.get_mut(table, partition);
            for (hash, row) in &group[..taken] {
                stored.put_with(*hash, reader.read(row, buffer), row.len(), |slot| slot.copy_from_slice(row));
            }
            count += taken as u64;
        }
    }
}
