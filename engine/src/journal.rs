//! The journal of a node, driven: what workers did and how flows changed is written in the order in which it comes, all
//! that came while the last sync ran together (group commit); then it is safe, and may be seen.

use std::collections::VecDeque;

use anabranch_log::{Disk, Error as LogError, Kind, Position, Record, Writer};
use anabranch_model::message::{FlowId, Recorded};
use anabranch_operators::Records;
use crossbeam_channel::{Sender, bounded};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::flow::Flow;
use crate::log;
use crate::safe::Safe;
use crate::snapshot::{Asked, Handover};

/// The term of records of a node that has no others beside it.
const FIRST_TERM: u64 = 1;

/// What the journal is to keep.
pub(crate) enum Entry {
    /// Records of a worker, up to a count.
    Steps(Vec<(FlowId, Records)>, Recorded),
    /// A change of a flow, with who waits until it is safe.
    Flow(FlowId, FlowChange, Sender<Result<(), String>>),
    /// What is asked on behalf of a snapshot.
    Snapshot(Asked),
    /// Nothing more.
    Stop,
}

/// A change of the flows of a node, as it stands in the journal: JSON, so that a new field harms no older file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FlowChange {
    /// A flow that was not there.
    Installed(FlowFile),
    /// A newer revision.
    Replaced(FlowFile),
    /// It is gone, with its rows.
    Dropped,
}

/// A flow as it was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FlowFile {
    /// The name of its file, for messages.
    pub(crate) file: String,
    /// Its text.
    pub(crate) text: String,
}

impl FlowFile {
    pub(crate) fn of(flow: &Flow) -> Self {
        FlowFile { file: flow.plan().file.clone(), text: flow.text().to_owned() }
    }
}

/// The way to the journal; leads nowhere on a node that keeps nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct JournalDoor(Option<Sender<Entry>>);

impl JournalDoor {
    pub(crate) fn to(entries: Sender<Entry>) -> Self {
        JournalDoor(Some(entries))
    }

    /// Whether somebody keeps what is sent.
    pub(crate) fn keeps(&self) -> bool {
        self.0.is_some()
    }

    /// Hands records over; waits while the journal has more than it can take.
    pub(crate) fn steps(&self, records: Vec<(FlowId, Records)>, recorded: Recorded) {
        if let Some(entries) = &self.0 {
            // The journal ends after all workers.
            let _ = entries.send(Entry::Steps(records, recorded));
        }
    }

    /// Keeps a change of a flow; returns when it is safe.
    ///
    /// # Errors
    /// [`Error::Storage`]: it is not known whether it is kept. [`Error::Stopped`].
    pub(crate) fn flow(&self, id: FlowId, change: FlowChange) -> Result<(), Error> {
        let Some(entries) = &self.0 else { return Ok(()) };
        let (done, kept) = bounded(1);
        entries.send(Entry::Flow(id, change, done)).map_err(|_| Error::Stopped)?;
        kept.recv().map_err(|_| Error::Stopped)?.map_err(Error::Storage)
    }

    /// Asks something on behalf of a snapshot, behind all that was sent before.
    pub(crate) fn snapshot(&self, asked: Asked) {
        if let Some(entries) = &self.0 {
            // The journal ends after all workers; a snapshot that it does not answer is given up.
            let _ = entries.send(Entry::Snapshot(asked));
        }
    }

    /// Ends the journal when it has kept what was sent before.
    pub(crate) fn stop(&self) {
        if let Some(entries) = &self.0 {
            let _ = entries.send(Entry::Stop);
        }
    }
}

/// Whether the journal goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It waits for more.
    On,
    /// It waits for space on the disk.
    Full,
    /// It was stopped.
    Ended,
}

/// Keeps entries.
pub(crate) struct Keeper<D: Disk> {
    writer: Writer<D>,
    safe: Safe,
    snapshots: Handover,
    /// What came and is not appended; of the first so many records are.
    waiting: VecDeque<Entry>,
    begun: usize,
    /// What becomes safe with the next sync.
    recorded: Vec<Recorded>,
    told: Vec<Sender<Result<(), String>>>,
    full: bool,
    stopped: bool,
}

impl<D: Disk> Keeper<D> {
    pub(crate) fn new(writer: Writer<D>, safe: Safe, snapshots: Handover) -> Self {
        Keeper {
            writer,
            safe,
            snapshots,
            waiting: VecDeque::new(),
            begun: 0,
            recorded: Vec::new(),
            told: Vec::new(),
            full: false,
            stopped: false,
        }
    }

    /// Takes entries; they are kept by the next [`Keeper::commit`].
    pub(crate) fn take(&mut self, entries: impl Iterator<Item = Entry>) {
        self.waiting.extend(entries);
    }

    /// Writes what was taken, makes it safe and says so. Call it again after a while where the disk is full.
    pub(crate) fn commit(&mut self) -> Keeping {
        let kept = self.append().and_then(|()| {
            self.writer.write()?;
            self.writer.sync()
        });
        match kept {
            Ok(_) => self.kept(),
            Err(LogError::Full { .. }) => {
                if !std::mem::replace(&mut self.full, true) {
                    log::disk_full();
                }
                if !self.waiting.iter().any(|entry| matches!(entry, Entry::Stop)) {
                    return Keeping::Full;
                }
                // The node ends; what waits was not acknowledged.
                self.broken(&LogError::Full { tried: "write", file: "the journal".to_owned() });
            }
            Err(error) => self.broken(&error),
        }
        if self.stopped { Keeping::Ended } else { Keeping::On }
    }

    fn kept(&mut self) {
        if std::mem::take(&mut self.full) {
            log::disk_has_space();
        }
        self.recorded.drain(..).for_each(|recorded| self.safe.reached(recorded));
        // Who waited may be gone.
        self.told.drain(..).for_each(|told| drop(told.send(Ok(()))));
        self.snapshots.kept(self.writer.snapshot_start());
    }

    /// Nothing is kept any more.
    fn broken(&mut self, error: &LogError) {
        let why = error.to_string();
        if self.safe.failure().is_none() {
            log::journal_failed(&why);
        }
        self.safe.failed(why.clone());
        self.recorded.clear();
        self.snapshots.failed(&why);
        for entry in self.waiting.drain(..) {
            match entry {
                Entry::Flow(_, _, told) => self.told.push(told),
                Entry::Stop => self.stopped = true,
                Entry::Steps(..) | Entry::Snapshot(_) => {}
            }
        }
        self.told.drain(..).for_each(|told| drop(told.send(Err(why.clone()))));
    }

    /// Gives what was taken to the writer, as far as it takes it.
    fn append(&mut self) -> Result<(), LogError> {
        while let Some(entry) = self.waiting.front() {
            match entry {
                Entry::Steps(records, _) => {
                    let all = records.iter().flat_map(|(flow, records)| {
                        records.iter().map(move |(made, body)| (*flow, made, body))
                    });
                    for (flow, made, body) in all.skip(self.begun) {
                        let (of, number) = (made.part.of, made.part.number);
                        let position = Position { flow: flow.0, of, number, term: FIRST_TERM, seq: made.seq };
                        self.writer.append(&Record { kind: Kind::Step, position, body })?;
                        self.snapshots.appended(body.len());
                        self.begun += 1;
                    }
                }
                Entry::Flow(id, change, _) => {
                    let position = Position { flow: id.0, term: FIRST_TERM, ..Position::default() };
                    let body = serde_json::to_vec(change).unwrap_or_default();
                    self.writer.append(&Record { kind: Kind::Flow, position, body: &body })?;
                    self.snapshots.appended(body.len());
                }
                Entry::Snapshot(_) => {}
                Entry::Stop => self.stopped = true,
            }
            self.begun = 0;
            match self.waiting.pop_front() {
                Some(Entry::Steps(_, recorded)) => self.recorded.push(recorded),
                Some(Entry::Flow(_, _, told)) => self.told.push(told),
                Some(Entry::Snapshot(asked)) => self.snapshots.ask(asked, self.writer.next().before()),
                Some(Entry::Stop) | None => {}
            }
        }
        Ok(())
    }
}
