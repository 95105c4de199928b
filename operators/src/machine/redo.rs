//! What was done once, by this worker or by another, done again in its tables.

use anabranch_model::message::RowsAnswer;
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::TableId;
use anabranch_model::record::Record;
use anabranch_model::snapshot::Item;

use super::Machine;
use crate::recorder::{FlowPartition, Follows, Position};
use crate::restore::{RestoreError, Restorer, check_answer};

impl Machine {
    /// Does again what a record says was done.
    ///
    /// # Errors
    /// It is no record of this flow, or not the next of its partition; some of it may have been done.
    pub(crate) fn restore(
        &mut self,
        part: FlowPartition,
        at: Position,
        body: &[u8],
    ) -> Result<(), RestoreError> {
        let part = part.checked().ok_or(RestoreError::Partition(part))?;
        match self.recorder.restore(part, at) {
            Follows::Next => self.redo(part, at, body),
            Follows::Had => Ok(()),
            Follows::Not => Err(RestoreError::Order { part, seq: at.seq }),
        }
    }

    /// Does what the next record of a partition says.
    pub(crate) fn redo(
        &mut self,
        part: FlowPartition,
        at: Position,
        body: &[u8],
    ) -> Result<(), RestoreError> {
        let record = Record::parse(body)?;
        if let Some(once) = &record.of.once {
            check_answer(&record.answer()?, &self.plan)?;
            if !self.recorder.remember(part, once, record.answer_bytes()) {
                return Err(RestoreError::Twice { part, seq: at.seq });
            }
        }
        let Machine { plan, tables, clock, restorer, .. } = self;
        let restorer = restorer.get_or_insert_with(|| Restorer::new(plan));
        restorer.restore(part, &record, plan, tables, clock)
    }

    /// Takes an item of a snapshot; how many rows. Where a partition stands is said before its rows, and it begins anew
    /// with it.
    ///
    /// # Errors
    /// What is wrong with it; some of it may have been taken.
    pub(crate) fn load(&mut self, item: Item<'_>) -> Result<u64, RestoreError> {
        match item {
            Item::Partition(standing) => {
                let part = FlowPartition { of: standing.of, number: standing.number };
                let part = part.checked().ok_or(RestoreError::Partition(part))?;
                let check = |answer: &RowsAnswer| check_answer(answer, &self.plan);
                let at = Position { term: standing.term, seq: standing.seq };
                self.recorder.restore_head(part, at, standing.remembered, check)?;
                for (table, of) in (0..).map(TableId).zip(&self.plan.tables) {
                    if of.policy.partitions == part.of {
                        self.tables.clear(table, PartitionId(part.number));
                    }
                }
                Ok(0)
            }
            Item::Rows(table, partition, rows) => {
                let Machine { plan, tables, restorer, .. } = self;
                let restorer = restorer.get_or_insert_with(|| Restorer::new(plan));
                restorer.load(table, partition, rows, plan, tables)
            }
        }
    }
}
