//! A step that does no more than put its row into a table.
//!
//! `on Update as u { upsert T { ..u, node: node() } }` is what most rows go through. It reads nothing, decides nothing
//! and builds its row from runs of bytes, so it needs none of what [`crate::run`] keeps for a step; leaving that out
//! saves a third of its instructions (`benches/README.md`). What it does is the same; the tests against an oracle run both.

use anabranch_model::expr::{Expr, Place};
use anabranch_model::key::{KeyReader, MAX_KEY_BYTES};
use anabranch_model::partition::{PartitionId, partition_hash, partition_of};
use anabranch_model::plan::{Plan, Step, TableId, WriteKind};
use anabranch_model::record::{PUT_BYTES, RecordWriter};
use anabranch_model::row::{ROW_STAMP_BYTES, Template};
use anabranch_model::stamp::Stamp;
use anabranch_table::{KeyHash, MAX_ROWS};

use crate::refusal::Reason;
use crate::route::Router;
use crate::step::Op;
use crate::tables::Tables;

/// How a row that comes without its partition finds it.
#[derive(Debug)]
enum Way {
    /// By the table's key, which is read anyway.
    Key { partitions: u32 },
    /// By some columns of it.
    Columns { key: KeyReader, partitions: u32 },
}

/// An upsert of the input row's columns and constants, as all that a step does.
#[derive(Debug)]
pub(crate) struct Direct {
    table: TableId,
    template: Template,
    /// Over the input row.
    key: KeyReader,
    route: Way,
    /// The table's.
    name: String,
    place: Place,
}

impl Direct {
    /// The only upsert of a step with one rule and one action, when its key stands in the input row.
    pub(crate) fn of(
        rules: &[(Option<Expr>, Vec<Op>)],
        foreseen: &[(TableId, KeyReader)],
        step: &Step,
        plan: &Plan,
    ) -> Option<Self> {
        let [(None, ops)] = rules else { return None };
        let ([Op::Write(write)], [(table, key)]) = (ops.as_slice(), foreseen) else { return None };
        if write.kind != WriteKind::Upsert || write.table != *table {
            return None;
        }
        let template = write.cells.template()?.clone();
        let of = &plan.tables[table.0 as usize];
        let route = match Router::of(step, plan) {
            Router::Columns { partitions, .. } if of.partition_by == of.key => Way::Key { partitions },
            Router::Columns { key, partitions } => Way::Columns { key, partitions },
            Router::Entry | Router::Values { .. } => return None,
        };
        let name = of.name.clone();
        Some(Direct { table: *table, template, key: key.clone(), route, name, place: write.place })
    }

    /// Hashes the key of a row and asks for the memory of the index that [`Direct::put`] will read; finds the partition
    /// where it is not known.
    #[inline]
    pub(crate) fn prefetch_index(
        &self,
        input: &[u8],
        partition: Option<PartitionId>,
        tables: &Tables,
        buffer: &mut Vec<u8>,
    ) -> (PartitionId, KeyHash) {
        let key = self.key.read(input, buffer);
        let partition = match (partition, &self.route) {
            (Some(partition), _) => partition,
            (None, Way::Key { partitions }) => partition_of(partition_hash(key), *partitions),
            (None, Way::Columns { key, partitions }) => {
                partition_of(partition_hash(key.read(input, &mut Vec::new())), *partitions)
            }
        };
        (partition, tables.prefetch_index(self.table, partition, key))
    }

    /// Asks for the memory of the row that [`Direct::put`] will most likely replace.
    #[inline]
    pub(crate) fn prefetch_row(&self, partition: PartitionId, hash: KeyHash, tables: &Tables) {
        tables.prefetch_row(self.table, partition, hash);
    }

    /// Puts a row whose key has this hash.
    ///
    /// # Errors
    /// The row is refused, and nothing was written.
    #[inline]
    pub(crate) fn put(
        &self,
        input: &[u8],
        (partition, hash): (PartitionId, KeyHash),
        stamp: Stamp,
        tables: &mut Tables,
        record: Option<&mut RecordWriter>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let bytes = self.template.row_bytes(input).map_err(|error| Reason::row(&error, self.place))?;
        let key = self.key.read(input, buffer);
        if key.len() > MAX_KEY_BYTES {
            return Err(Reason::key_too_long(&self.name, key.len(), self.place));
        }
        let table = tables.get_mut(self.table, partition);
        if table.len() >= MAX_ROWS && table.get(key).is_none() {
            return Err(Reason::partition_full(&self.name, self.place));
        }
        if record.as_ref().is_some_and(|record| !record.takes(PUT_BYTES + bytes)) {
            return Err(Reason::too_much_changed());
        }
        table.put_with(hash, key, bytes, |row| {
            self.template.fill(input, row);
            row[ROW_STAMP_BYTES].copy_from_slice(&stamp.0.to_le_bytes());
            if let Some(record) = record {
                record.put(self.table, row);
            }
        });
        Ok(())
    }
}
