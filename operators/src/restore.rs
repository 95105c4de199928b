//! Doing again what records say was done: how a worker comes back to the state that its journal has.

use std::fmt;

use anabranch_model::key::{KeyReader, MAX_KEY_BYTES};
use anabranch_model::message::{FlowId, RowsAnswer};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{OutputId, Plan, TableId};
use anabranch_model::record::{Change, Record, RecordError};
use anabranch_model::row::{ROW_STAMP_BYTES, Row, RowError};
use anabranch_model::snapshot::SnapshotError;
use anabranch_model::stamp::{HybridClock, Stamp};

use crate::recorder::FlowPartition;
use crate::tables::Tables;

/// Why a record could not be done again.
#[derive(Clone, Debug, PartialEq)]
pub enum RestoreError {
    /// The flow is not there.
    NoFlow(FlowId),
    /// It is not the next of its partition: what is missing or doubled lies before it.
    Order {
        /// The partition.
        part: FlowPartition,
        /// The record's number in it.
        seq: u64,
    },
    /// Its request was done before, or came too late: it is no new one in its partition.
    Twice {
        /// The partition.
        part: FlowPartition,
        /// The record's number in it.
        seq: u64,
    },
    /// The flow has no such table with so many partitions.
    NoTable {
        /// The table.
        table: TableId,
        /// The record's partition.
        part: FlowPartition,
    },
    /// There can be no such partition, or it is none of those that are meant.
    Partition(FlowPartition),
    /// It is for a copy of a partition that this node serves itself.
    Served(FlowPartition),
    /// It is of another revision of the flow than runs here.
    Revision {
        /// Its revision.
        of: i64,
        /// The flow's.
        here: i64,
    },
    /// The rows of the flow are on the way to a newer revision.
    Changing(FlowId),
    /// The flow has no such table with such a partition.
    NoPartition {
        /// The table.
        table: TableId,
        /// The partition.
        partition: PartitionId,
    },
    /// Its bytes are no record.
    Record(RecordError),
    /// A row in it does not fit its table.
    Row(RowError),
    /// A row has a key that is too long.
    Key {
        /// The row's table.
        table: TableId,
        /// Bytes of the key.
        bytes: usize,
    },
    /// The flow has no such output, and a reply of it is remembered.
    NoOutput(OutputId),
    /// A reply that is remembered does not fit its output.
    Reply(RowError),
    /// Bytes of a snapshot are no piece of one.
    Snapshot(SnapshotError),
}

impl From<SnapshotError> for RestoreError {
    fn from(error: SnapshotError) -> Self {
        RestoreError::Snapshot(error)
    }
}

impl From<RecordError> for RestoreError {
    fn from(error: RecordError) -> Self {
        RestoreError::Record(error)
    }
}

impl From<RowError> for RestoreError {
    fn from(error: RowError) -> Self {
        RestoreError::Row(error)
    }
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::NoFlow(flow) => write!(f, "a record of flow number {}, which is not there", flow.0),
            RestoreError::Order { part: FlowPartition { of, number }, seq } => {
                write!(f, "record {seq} of partition {number} of {of} does not follow the one before it")
            }
            RestoreError::Partition(FlowPartition { of, number }) => {
                write!(f, "something of partition {number} of {of}, which cannot be")
            }
            RestoreError::Served(FlowPartition { of, number }) => {
                write!(f, "something for a copy of partition {number} of {of}, which is served here")
            }
            RestoreError::Revision { of, here } => {
                write!(f, "something of revision {of} of a flow that has revision {here} here")
            }
            RestoreError::Changing(flow) => {
                write!(f, "something of flow number {}, which is changing to a newer revision", flow.0)
            }
            RestoreError::Twice { part: FlowPartition { of, number }, seq } => {
                write!(f, "record {seq} of partition {number} of {of} does a request that was done before it")
            }
            RestoreError::NoPartition { table, partition } => write!(
                f,
                "rows of partition {} of table number {}, which the flow does not have",
                partition.0, table.0
            ),
            RestoreError::NoTable { table, part } => write!(
                f,
                "a record of table number {} with {} partitions, which the flow does not have",
                table.0, part.of
            ),
            RestoreError::Key { table, bytes } => {
                write!(f, "a row of table number {} has a key of {bytes} bytes", table.0)
            }
            RestoreError::NoOutput(output) => {
                write!(f, "a reply of output number {}, which the flow does not have", output.0)
            }
            RestoreError::Reply(error) => write!(f, "a reply does not fit its output: {error}"),
            RestoreError::Snapshot(error) => error.fmt(f),
            RestoreError::Record(error) => error.fmt(f),
            RestoreError::Row(error) => write!(f, "a row of a record does not fit its table: {error}"),
        }
    }
}

impl std::error::Error for RestoreError {}

/// Whether an answer that is remembered can be told.
///
/// # Errors
/// A reply in it is of no output of the flow, or does not fit it.
pub(crate) fn check_answer(answer: &RowsAnswer, plan: &Plan) -> Result<(), RestoreError> {
    for (_, output, row) in answer.replies.iter() {
        let of = plan.outputs.get(usize::from(output.0)).ok_or(RestoreError::NoOutput(output))?;
        Row::check(row, &of.shape).map_err(RestoreError::Reply)?;
    }
    Ok(())
}

/// Makes the changes of a record again.
#[derive(Debug)]
pub(crate) struct Restorer {
    /// How the key of a row of each table reads.
    keys: Vec<KeyReader>,
    key: Vec<u8>,
}

impl Restorer {
    /// How the key of a table's rows reads, and where to.
    pub(crate) fn key_of(&mut self, table: TableId) -> (&KeyReader, &mut Vec<u8>) {
        (&self.keys[usize::from(table.0)], &mut self.key)
    }

    pub(crate) fn new(plan: &Plan) -> Self {
        let reader = |table: &anabranch_model::plan::Table| KeyReader::new(&table.shape, &table.key);
        Restorer { keys: plan.tables.iter().map(reader).collect(), key: Vec::new() }
    }

    /// Makes the changes of a record in its partition; later stamps of the clock are larger than its rows'.
    ///
    /// # Errors
    /// What is wrong with the record; some of it may have been done.
    pub(crate) fn restore(
        &mut self,
        part: FlowPartition,
        record: &Record<'_>,
        plan: &Plan,
        tables: &mut Tables,
        clock: &mut HybridClock,
    ) -> Result<(), RestoreError> {
        let partition = PartitionId(part.number);
        for change in record.changes() {
            let change = change?;
            let (Change::Put(table, _) | Change::Delete(table, _)) = change;
            let fits =
                |of: &&anabranch_model::plan::Table| of.policy.partitions == part.of && part.number < part.of;
            let of = plan.tables.get(usize::from(table.0)).filter(fits);
            let of = of.ok_or(RestoreError::NoTable { table, part })?;
            let rows = tables.get_mut(table, partition);
            match change {
                Change::Put(_, row) => {
                    Row::check(row, &of.shape)?;
                    let stamp = row[ROW_STAMP_BYTES].try_into().expect("a stamp has eight bytes");
                    clock.observe(Stamp(u64::from_le_bytes(stamp)));
                    let key = self.keys[usize::from(table.0)].read(row, &mut self.key);
                    if key.len() > MAX_KEY_BYTES {
                        return Err(RestoreError::Key { table, bytes: key.len() });
                    }
                    rows.put(key, row);
                }
                Change::Delete(_, key) => drop(rows.remove(key)),
            }
        }
        Ok(())
    }
}
