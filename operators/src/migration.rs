//! The stored rows of a flow on the way to a newer revision, a bounded number at a time: the worker's other flows go on
//! in between.
//!
//! A partition is written anew beside the old one and then takes its place, so that a row is never converted twice.
//! Tables whose rows stay as they are cost nothing.

use std::sync::Arc;

use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{Plan, TableId};
use anabranch_model::row::MAX_ROW_BYTES;
use anabranch_table::{Chunk, ChunkCursor, Table};

use crate::convert::{Conversion, Rows};
use crate::tables::Tables;

/// Rows that a worker converts in one turn: about a millisecond.
pub(crate) const MIGRATED_ROWS: usize = 4096;

/// The stored rows of a flow on the way to a newer revision.
#[derive(Debug)]
pub(crate) struct Migration {
    pub(crate) plan: Arc<Plan>,
    /// The tables whose rows have other bytes there.
    rest: Vec<(TableId, Conversion)>,
    /// The partition of the last of them that is next.
    partition: PartitionId,
    /// What is converted of it, and where the rest begins.
    part: Option<(Box<Table>, ChunkCursor)>,
    row: Vec<u8>,
}

impl Migration {
    /// The rows of tables of `old` on the way to `plan`, which may follow it.
    pub(crate) fn new(old: &Plan, plan: Arc<Plan>) -> Self {
        let rest = conversions(old, &plan).collect();
        Migration { plan, rest, partition: PartitionId(0), part: None, row: Vec::new() }
    }

    /// Converts so many rows. Whether all are.
    pub(crate) fn advance(&mut self, tables: &mut Tables, mut rows: usize) -> bool {
        while let Some((table, conversion)) = self.rest.last() {
            if self.partition.0 == tables.partitions(*table) {
                self.rest.pop();
                self.partition = PartitionId(0);
                continue;
            }
            if rows == 0 {
                return false;
            }
            let Some(old) = tables.get(*table, self.partition) else {
                self.partition.0 += 1;
                continue;
            };
            let (mut part, from) =
                self.part.take().unwrap_or_else(|| (Box::new(old.empty()), ChunkCursor::default()));
            let chunk = old.chunk(from, rows, |key, row| {
                conversion
                    .stored(row, &mut self.row)
                    .expect("`too_long` has found no row that grows too long");
                part.put(key, &self.row);
                rows -= 1;
            });
            match chunk {
                Chunk::More(from) => {
                    self.part = Some((part, from));
                    return false;
                }
                Chunk::End => {
                    tables.set(*table, self.partition, part);
                    self.partition.0 += 1;
                }
            }
        }
        true
    }
}

/// The tables whose rows may become longer than a row may be, with the bytes that the longest may come to.
pub(crate) fn too_long(old: &Plan, new: &Plan, tables: &Tables) -> Vec<(String, usize)> {
    let longest = |table: TableId| tables.all(table).map(Table::row_bytes_at_most).max().unwrap_or_default();
    conversions(old, new)
        .map(|(table, conversion)| (table, longest(table) + conversion.growth_bytes()))
        .filter(|(_, bytes)| *bytes > MAX_ROW_BYTES)
        .map(|(table, bytes)| (old.tables[table.0 as usize].name.clone(), bytes))
        .collect()
}

fn conversions(old: &Plan, new: &Plan) -> impl Iterator<Item = (TableId, Conversion)> {
    (0..).map(TableId).zip(&old.tables).filter_map(|(id, table)| {
        let to = &new.tables[new.table(&table.name)?.0 as usize];
        match Rows::between(&table.shape, &to.shape) {
            Rows::Other(conversion) => Some((id, conversion)),
            Rows::Same => None,
            Rows::Unlike => unreachable!("the rows of `{}` may not become those of {to:?}", table.name),
        }
    })
}
