//! A step that does no more than put its row into a table.
//!
//! `on Update as u { upsert T { ..u, node: node() } }` is what most rows go through. It reads nothing, decides nothing
//! and builds its row from runs of bytes, so it needs none of what [`crate::run`] keeps for a step; leaving that out
//! halves its cost (`benches/README.md`). What it does is the same; the tests against an oracle run both.

use anabranch_model::expr::{Expr, Place};
use anabranch_model::key::{KeyReader, MAX_KEY_BYTES};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{TableId, WriteKind};
use anabranch_model::row::{ROW_STAMP_BYTES, Template};
use anabranch_model::stamp::Stamp;
use anabranch_table::{KeyHash, MAX_ROWS};

use crate::refusal::Reason;
use crate::step::Op;
use crate::tables::Tables;

/// An upsert of the input row's columns and constants, as all that a step does.
#[derive(Debug)]
pub(crate) struct Direct {
    table: TableId,
    template: Template,
    /// Over the input row.
    key: KeyReader,
    place: Place,
}

impl Direct {
    /// The only upsert of a step with one rule and one action, when its key stands in the input row.
    pub(crate) fn of(rules: &[(Option<Expr>, Vec<Op>)], foreseen: &[(TableId, KeyReader)]) -> Option<Self> {
        let [(None, ops)] = rules else { return None };
        let ([Op::Write(write)], [(table, key)]) = (ops.as_slice(), foreseen) else { return None };
        if write.kind != WriteKind::Upsert || write.table != *table {
            return None;
        }
        let template = write.cells.template()?.clone();
        Some(Direct { table: *table, template, key: key.clone(), place: write.place })
    }

    /// Puts a row; `hash` is its key's. The buffers are the worker's.
    ///
    /// # Errors
    /// The row is refused, and nothing was written.
    #[inline]
    pub(crate) fn put<'n>(
        &self,
        input: &[u8],
        (partition, hash): (PartitionId, KeyHash),
        stamp: Stamp,
        tables: &mut Tables,
        buffers: (&mut Vec<u8>, &mut Vec<u8>),
        name: impl Fn(TableId) -> &'n str,
    ) -> Result<(), Reason> {
        let (row, key) = buffers;
        row.clear();
        self.template.write(input, row).map_err(|error| Reason::row(&error, self.place))?;
        row[ROW_STAMP_BYTES].copy_from_slice(&stamp.0.to_le_bytes());
        let key = self.key.read(input, key);
        if key.len() > MAX_KEY_BYTES {
            return Err(Reason::key_too_long(name(self.table), key.len(), self.place));
        }
        let table = tables.get_mut(self.table, partition);
        if table.len() >= MAX_ROWS && table.get(key).is_none() {
            return Err(Reason::partition_full(name(self.table), self.place));
        }
        table.put_hashed(hash, key, row);
        Ok(())
    }
}
