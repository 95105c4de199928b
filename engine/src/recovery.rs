//! What a node does when it starts on a journal: every change of its flows and every record of their partitions again, in
//! the order of the journal.

use anabranch_log::{Disk, Entry, Kind, Reader};
use anabranch_model::message::FlowId;
use anabranch_operators::{FlowPartition, RestoreError, Worker};

use crate::deploy::{Flows, Workers};
use crate::driver::Command;
use crate::error::Error;
use crate::journal::FlowChange;
use crate::log;

/// Bytes of records that are given to a worker together.
const BATCH_BYTES: usize = 1 << 20;

/// Bytes of the journal after which it is told how far the recovery is.
const TOLD_BYTES: u64 = 256 << 20;

/// Records on their way to the worker that owns their partitions.
#[derive(Debug, Default)]
pub struct Restore {
    records: Vec<(FlowId, FlowPartition, u64, usize)>,
    bytes: Vec<u8>,
}

impl Restore {
    fn push(&mut self, entry: &Entry<'_>) {
        let of = entry.record.position;
        self.bytes.extend_from_slice(entry.record.body);
        let part = FlowPartition { of: of.of, number: of.number };
        self.records.push((FlowId(of.flow), part, of.seq, self.bytes.len()));
    }

    /// Does the records again.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be done.
    pub(crate) fn run(&self, worker: &mut Worker) -> Result<(), RestoreError> {
        let mut begin = 0;
        for &(flow, part, seq, end) in &self.records {
            worker.restore(flow, part, seq, &self.bytes[begin..end])?;
            begin = end;
        }
        Ok(())
    }
}

/// Brings workers to the state that a journal has.
pub(crate) struct Recovery<'r, W> {
    flows: &'r Flows,
    workers: &'r W,
    /// By worker.
    batches: Vec<Restore>,
    records: u64,
}

impl<'r, W: Workers> Recovery<'r, W> {
    pub(crate) fn new(flows: &'r Flows, workers: &'r W) -> Self {
        let batches = (0..workers.count()).map(|_| Restore::default()).collect();
        Recovery { flows, workers, batches, records: 0 }
    }

    /// Reads the journal to its end. How many records it has.
    ///
    /// # Errors
    /// [`Error::Start`]: what is damaged, where, and that nothing was changed.
    pub(crate) fn run<D: Disk>(mut self, journal: &mut Reader<D>) -> Result<u64, Error> {
        let mut told = 0;
        loop {
            let (done, all) = journal.progress();
            if done >= told + TOLD_BYTES {
                told = done;
                log::recovering(self.records, done * 100 / all.max(1));
            }
            let damaged = |error: anabranch_log::Error| Error::Start(error.to_string());
            let Some(entry) = journal.next().map_err(damaged)? else { break };
            self.records += 1;
            match entry.record.kind {
                Kind::Step => self.step(&entry),
                Kind::Flow => self.flow(&entry)?,
                Kind::Term => {}
            }
        }
        self.settle()?;
        if let Some(torn) = journal.torn() {
            log::journal_torn(&torn.file, torn.offset, torn.bytes);
        }
        Ok(self.records)
    }

    fn step(&mut self, entry: &Entry<'_>) {
        let owner = entry.record.position.number as usize % self.batches.len();
        self.batches[owner].push(entry);
        if self.batches[owner].bytes.len() >= BATCH_BYTES {
            self.send(owner);
        }
    }

    fn flow(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let change: FlowChange = serde_json::from_slice(entry.record.body).map_err(|error| {
            Error::Start(format!(
                "record {} of the journal tells of a flow in an unknown way: {error}",
                entry.number
            ))
        })?;
        // What is before it belongs to the flow as it was.
        self.settle()?;
        self.flows.restore(FlowId(entry.record.position.flow), change, self.workers)
    }

    fn send(&mut self, worker: usize) {
        let batch = std::mem::take(&mut self.batches[worker]);
        self.workers.tell_one(worker, Command::Restore(batch));
    }

    /// Waits until all that was read is done.
    fn settle(&mut self) -> Result<(), Error> {
        for worker in 0..self.batches.len() {
            self.send(worker);
        }
        let results = self.workers.ask(Command::Restored)?;
        match results.into_iter().find_map(Result::err) {
            None => Ok(()),
            Some(error) => Err(Error::Start(format!("the journal cannot be done again: {error}"))),
        }
    }
}
