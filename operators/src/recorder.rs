//! Records of what the requests of a turn did, for whoever keeps them (a journal, other nodes).
//!
//! A record is what one request did in one partition: a request of many partitions has a record for each, because each
//! partition goes its own way when it moves to another node.

use std::collections::HashMap;

use anabranch_model::message::{Origin, Refusal};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::OutputId;
use anabranch_model::record::{Identity, RecordWriter};

/// A partition of a flow: partition `number` of those tables that have `of` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowPartition {
    /// How many partitions there are.
    pub of: u32,
    /// Which of them.
    pub number: u32,
}

/// A record that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Where.
    pub part: FlowPartition,
    /// Its number in the partition; grows by one, from 1.
    pub seq: u64,
    /// Where its body ends in [`Records::bytes`]; it begins where the one before ends.
    pub end: usize,
}

/// Records in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Each with its place.
    pub made: Vec<Made>,
    /// Their bodies (`anabranch_model::record`).
    pub bytes: Vec<u8>,
}

impl Records {
    /// Each record with its body.
    pub fn iter(&self) -> impl Iterator<Item = (&Made, &[u8])> {
        let mut begin = 0;
        self.made.iter().map(move |made| {
            let body = &self.bytes[begin..made.end];
            begin = made.end;
            (made, body)
        })
    }
}

/// What was recorded of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Records that it made.
    pub(crate) made: u64,
    /// The last of the worker's records that its answer rests on.
    pub(crate) rests_on: u64,
}

/// The last record of a partition.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// Its number in the partition.
    seq: u64,
    /// Its number among the worker's records since the node started; 0 where it was made before.
    count: u64,
}

/// Records what the steps of a flow do on one worker.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// By partition number.
    writers: Vec<RecordWriter>,
    /// The partitions that the present request has reached.
    touched: Vec<PartitionId>,
    /// The partition of the present step, and where its changes began.
    step: Option<(PartitionId, usize)>,
    /// The last record of each partition.
    last: HashMap<FlowPartition, Last>,
    records: Records,
}

impl Recorder {
    /// The step of a row begins in a partition.
    #[inline]
    pub(crate) fn begin(&mut self, partition: PartitionId) {
        let at = partition.0 as usize;
        if self.writers.len() <= at {
            self.writers.resize_with(at + 1, RecordWriter::default);
        }
        if self.writers[at].is_empty() {
            self.touched.push(partition);
        }
        self.step = Some((partition, self.writers[at].mark()));
    }

    /// What the present step writes to.
    #[inline]
    pub(crate) fn writer(&mut self) -> Option<&mut RecordWriter> {
        let (partition, _) = self.step?;
        self.writers.get_mut(partition.0 as usize)
    }

    /// The present step has ended: with these replies to its row, or refused.
    #[inline]
    pub(crate) fn end<'r>(
        &mut self,
        refusal: Option<&Refusal>,
        replies: impl Iterator<Item = (u32, OutputId, &'r [u8])>,
    ) {
        let Some((partition, mark)) = self.step.take() else { return };
        let writer = &mut self.writers[partition.0 as usize];
        match refusal {
            None => {
                writer.accept();
                replies.for_each(|(row, output, bytes)| writer.reply(row, output, bytes));
            }
            Some(refusal) => {
                writer.truncate(mark);
                writer.refuse(refusal);
            }
        }
    }

    /// The request has ended, in a flow of this revision whose step has `of` partitions; the worker had made `count`
    /// records before it.
    pub(crate) fn finish(&mut self, origin: &Origin, revision: i64, of: u32, count: u64) -> Kept {
        let identity = Identity { client: origin.client, request: origin.request, revision };
        let mut kept = Kept::default();
        for partition in self.touched.drain(..) {
            let part = FlowPartition { of, number: partition.0 };
            let last = self.last.entry(part).or_default();
            let writer = &mut self.writers[partition.0 as usize];
            if writer.is_idle() {
                writer.clear();
            } else {
                kept.made += 1;
                *last = Last { seq: last.seq + 1, count: count + kept.made };
                writer.finish(identity, &mut self.records.bytes);
                self.records.made.push(Made { part, seq: last.seq, end: self.records.bytes.len() });
            }
            kept.rests_on = kept.rests_on.max(last.count);
        }
        kept
    }

    /// What a reader of a partition rests on.
    pub(crate) fn read(&self, part: FlowPartition) -> Kept {
        Kept { made: 0, rests_on: self.last.get(&part).map_or(0, |last| last.count) }
    }

    /// What was recorded since the last time.
    pub(crate) fn take(&mut self) -> Records {
        std::mem::take(&mut self.records)
    }

    /// The number of the last record of a partition, as it was read from a journal. False where that is not the next.
    pub(crate) fn restore(&mut self, part: FlowPartition, seq: u64) -> bool {
        let last = self.last.entry(part).or_default();
        let follows = seq == last.seq + 1;
        if follows {
            last.seq = seq;
        }
        follows
    }
}
