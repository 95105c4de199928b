//! The journal of a node, driven: what workers did and how flows changed is written in the order in which it comes, all
//! that came while the last sync ran together (group commit); then it is safe, and may be seen.

mod measures;

use std::collections::VecDeque;

use anabranch_log::{
    BODY_BYTES_MAX, Disk, Error as LogError, Kind, Position, Record, Spare, SpareOrder, Writer, record_bytes,
};
use anabranch_model::message::{FlowId, Recorded, WorkerId};
use anabranch_model::record::RECORD_BYTES_MAX;
use anabranch_operators::{Records, What};
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::flow::Flow;
use crate::log;
use crate::safe::{Safe, Trouble};
use crate::snapshot::{Asked, Handover};
use crate::storage_error::StorageError;
use crate::tally::{Tallies, Tally};

/// A segment is made aside when so great a part of the one before is used: there is time enough to fill it with zeros, and
/// a node that keeps little makes none.
const SPARE_AT_PART: u64 = 8;

// What workers record is never too long for the journal.
const _: () = assert!(RECORD_BYTES_MAX <= BODY_BYTES_MAX);

pub(crate) use self::measures::{JournalMeasures, JournalWindow, Kept};

/// The term of records that are of no partition.
const FIRST_TERM: u64 = 1;

/// What the journal is to keep.
pub(crate) enum Entry {
    /// Records of a worker, up to a count.
    Steps(Vec<(FlowId, Records)>, Recorded),
    /// A change of a flow, with who waits until it is safe.
    Flow(FlowId, FlowChange, Sender<Result<(), StorageError>>),
    /// What is asked on behalf of a snapshot.
    Snapshot(Asked),
    /// What a worker has counted since the node was started.
    Counted(WorkerId, Tally),
    /// The node is about to stop: nobody waits for a disk any more.
    Closing,
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
    /// When it came, in microseconds since 1970 UTC.
    #[serde(default)]
    pub(crate) at: i64,
}

impl FlowFile {
    pub(crate) fn of(flow: &Flow, at: i64) -> Self {
        FlowFile { file: flow.plan().file.clone(), text: flow.text().to_owned(), at }
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

    /// The queue.
    pub(crate) fn entries(&self) -> Option<Sender<Entry>> {
        self.0.clone()
    }

    /// Hands records over.
    pub(crate) fn steps(&self, records: Vec<(FlowId, Records)>, recorded: Recorded) {
        if let Some(entries) = &self.0 {
            // The journal ends after all workers.
            let _ = entries.send(Entry::Steps(records, recorded));
        }
    }

    /// Hands a change of a flow over; it is safe when [`Promise::wait`] returns.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub(crate) fn flow(&self, id: FlowId, change: FlowChange) -> Result<Promise, Error> {
        let Some(entries) = &self.0 else { return Ok(Promise(None)) };
        let (done, kept) = bounded(1);
        entries.send(Entry::Flow(id, change, done)).map_err(|_| Error::Stopped)?;
        Ok(Promise(Some(kept)))
    }

    /// Hands over what a worker has counted.
    pub(crate) fn counted(&self, worker: WorkerId, tally: Tally) {
        if let Some(entries) = &self.0 {
            // The journal ends after all workers.
            let _ = entries.send(Entry::Counted(worker, tally));
        }
    }

    /// Asks something on behalf of a snapshot, behind all that was sent before.
    pub(crate) fn snapshot(&self, asked: Asked) {
        if let Some(entries) = &self.0 {
            // The journal ends after all workers; a snapshot that it does not answer is given up.
            let _ = entries.send(Entry::Snapshot(asked));
        }
    }

    /// Nobody waits any more for a disk that is full.
    pub(crate) fn closing(&self) {
        if let Some(entries) = &self.0 {
            let _ = entries.send(Entry::Closing);
        }
    }

    /// Ends the journal when it has kept what was sent before.
    pub(crate) fn stop(&self) {
        if let Some(entries) = &self.0 {
            let _ = entries.send(Entry::Stop);
        }
    }
}

/// That a change of a flow will be kept.
#[derive(Debug)]
#[must_use]
pub(crate) struct Promise(Option<Receiver<Result<(), StorageError>>>);

impl Promise {
    /// Waits until it is safe.
    ///
    /// # Errors
    /// [`Error::Storage`], which says whether it may be kept. [`Error::Stopped`].
    pub(crate) fn wait(self) -> Result<(), Error> {
        let Some(kept) = self.0 else { return Ok(()) };
        kept.recv().map_err(|_| Error::Stopped)?.map_err(Error::Storage)
    }
}

/// Whether the journal goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It waits for more.
    On,
    /// It waits for a segment that is made aside.
    Lacking,
    /// It waits for the disk, most likely for space on it.
    Halted,
    /// It was stopped.
    Ended,
}

/// Keeps entries.
pub(crate) struct Keeper<D: Disk> {
    writer: Writer<D>,
    safe: Safe,
    snapshots: Handover,
    tallies: Tallies,
    /// Whether a snapshot was asked for that has not begun.
    snapshot_begins: bool,
    /// The time, in microseconds since 1970 UTC.
    now: i64,
    /// What came and is not appended; of the first so many records are.
    waiting: VecDeque<Entry>,
    begun: usize,
    /// Records and their bytes so far.
    records: u64,
    bytes: u64,
    /// What is appended and not written, and what is written and not synced.
    appended: Vec<Begun>,
    written: Vec<Begun>,
    spares: Spares,
    progress: Progress,
    /// The node is about to stop.
    closing: bool,
    stopped: bool,
}

/// An entry on its way to the disk.
#[derive(Debug)]
enum Begun {
    /// Records, up to this count.
    Steps(Recorded),
    /// A change of a flow, with who waits for it.
    Flow(Sender<Result<(), StorageError>>),
}

/// Who makes the segments to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spares {
    /// The keeper, when one is needed.
    AtOnce,
    /// Somebody beside it, who is asked with [`Keeper::order_spare`].
    Aside,
    /// They are at it.
    Ordered,
    /// Likewise; the last one could not be made, and the next is ordered when it is needed.
    Later,
}

/// How far the keeper came with what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It is appended.
    Done,
    /// The rest needs a segment that is being made.
    Lacking,
    /// The disk refuses what the rest needs.
    Halted,
    /// A write or sync has failed.
    Broken,
}

impl<D: Disk> Keeper<D> {
    pub(crate) fn new(writer: Writer<D>, safe: Safe, snapshots: Handover) -> Self {
        Keeper {
            writer,
            safe,
            snapshots,
            tallies: Tallies::default(),
            snapshot_begins: false,
            now: 0,
            waiting: VecDeque::new(),
            begun: 0,
            records: 0,
            bytes: 0,
            appended: Vec::new(),
            written: Vec::new(),
            spares: Spares::AtOnce,
            progress: Progress::Done,
            closing: false,
            stopped: false,
        }
    }

    /// The node had counted so much before it was started.
    pub(crate) fn counts_on(self, before: &Tally) -> Self {
        Keeper { tallies: Tallies::after(before.clone()), ..self }
    }

    /// Segments are made by whoever drives it, beside it: see [`Keeper::order_spare`].
    pub(crate) fn spares_aside(self) -> Self {
        Keeper { spares: Spares::Aside, ..self }
    }

    /// It is this time now, in microseconds since 1970 UTC.
    pub(crate) fn set_now(&mut self, now: i64) {
        self.now = now;
    }

    /// The segment to make now, if one is to be; it goes to [`Keeper::put_spare`].
    pub(crate) fn order_spare(&mut self) -> Option<SpareOrder> {
        let (bytes, used) = self.writer.segment_bytes();
        let wanted = match self.spares {
            Spares::AtOnce | Spares::Ordered => false,
            Spares::Aside => used >= bytes / SPARE_AT_PART || self.lacks_spare(),
            // To try it again and again would take the last space of a disk each time.
            Spares::Later => self.lacks_spare(),
        };
        if !wanted {
            return None;
        }
        let order = self.writer.spare_order()?;
        self.spares = Spares::Ordered;
        Some(order)
    }

    /// Takes a segment that was ordered, or why there is none.
    pub(crate) fn put_spare(&mut self, made: Result<Spare<D::File>, LogError>) {
        self.spares = Spares::Aside;
        match made {
            Ok(spare) => self.writer.put_spare(spare),
            Err(error) if self.lacks_spare() => self.refused(&error),
            // Until it is needed this harms nobody.
            Err(error) => {
                log::no_spare(&error);
                self.spares = Spares::Later;
            }
        }
    }

    /// Takes entries; they are kept by the next [`Keeper::commit`].
    pub(crate) fn take(&mut self, entries: impl Iterator<Item = Entry>) {
        for entry in entries {
            let entry = self.safe.planted().taken(entry);
            self.closing |= matches!(entry, Entry::Closing | Entry::Stop);
            self.waiting.push_back(entry);
        }
    }

    /// Writes what was taken, makes it safe and says so. Call it again after a while where it is halted.
    pub(crate) fn commit(&mut self) -> Keeping {
        self.write();
        self.sync()
    }

    /// Writes what was taken, as far as the disk takes it.
    pub(crate) fn write(&mut self) {
        if self.progress == Progress::Broken {
            self.drop_waiting();
            return;
        }
        let appended = self.append();
        // What is appended goes on, whatever the rest meets.
        if let Err(error) = self.writer.write() {
            self.refused(&error);
            return;
        }
        for begun in self.appended.drain(..) {
            if let Begun::Steps(recorded) = begun {
                self.safe.written(recorded);
            }
            self.written.push(begun);
        }
        match appended {
            Ok(progress) => self.came_to(progress),
            Err(error) => self.refused(&error),
        }
    }

    /// Whether something is written and not safe.
    pub(crate) fn has_unsynced(&self) -> bool {
        !self.written.is_empty()
    }

    /// What it has appended so far, and what waits.
    pub(crate) fn kept(&self) -> Kept {
        let waiting = (self.waiting.len() + self.appended.len() + self.written.len()) as u64;
        Kept { records: self.records, bytes: self.bytes, waiting }
    }

    /// Whether counts wait to be kept: it is to be called again after a while, though nothing comes.
    pub(crate) fn has_counts(&self) -> bool {
        self.progress == Progress::Done && self.tallies.due()
    }

    /// Makes safe what was written.
    pub(crate) fn sync(&mut self) -> Keeping {
        match self.writer.sync() {
            Ok(safe) => {
                self.written.drain(..).for_each(|begun| match begun {
                    Begun::Steps(recorded) => self.safe.synced(recorded),
                    // Who waited may be gone.
                    Begun::Flow(told) => drop(told.send(Ok(()))),
                });
                if safe.next() == self.writer.next() {
                    self.snapshots.kept(self.writer.snapshot_start());
                    // The records before its begin will be dropped, the last one of counts among them.
                    if std::mem::take(&mut self.snapshot_begins) {
                        self.tallies.keep_again();
                    }
                }
            }
            Err(error) => self.refused(&error),
        }
        if self.closing && self.progress == Progress::Halted {
            // What waits was not acknowledged.
            self.broken("the node was stopped while it waited for the disk".to_owned());
        }
        match self.progress {
            _ if self.stopped => Keeping::Ended,
            Progress::Done | Progress::Broken => Keeping::On,
            Progress::Lacking => Keeping::Lacking,
            Progress::Halted => Keeping::Halted,
        }
    }

    /// Whether what waits may need a segment that is not there, and that is made beside the keeper.
    fn lacks_spare(&self) -> bool {
        matches!(self.progress, Progress::Lacking | Progress::Halted)
    }

    fn came_to(&mut self, progress: Progress) {
        // What the disk has refused is there only when it has been made.
        if self.progress == Progress::Halted && progress == Progress::Lacking {
            return;
        }
        if std::mem::replace(&mut self.progress, progress) == Progress::Halted {
            log::disk_goes_on();
            self.safe.goes_on();
        }
    }

    /// The disk has refused something.
    fn refused(&mut self, error: &LogError) {
        let again = matches!(error, LogError::Full { .. } | LogError::Disk { .. });
        if !again || self.writer.poison().is_some() {
            self.broken(error.to_string());
            return;
        }
        let why = error.to_string();
        if std::mem::replace(&mut self.progress, Progress::Halted) != Progress::Halted {
            log::journal_halted(&why);
        }
        self.safe.halted(Trouble { since: self.now, why: why.clone() });
        // Nobody waits for space with a flow that others wait for.
        for entry in std::mem::take(&mut self.waiting) {
            match entry {
                Entry::Flow(_, _, told) => drop(told.send(Err(StorageError::Halted(why.clone())))),
                entry => self.waiting.push_back(entry),
            }
        }
    }

    /// Nothing is kept any more, for this reason.
    pub(crate) fn broken(&mut self, why: String) {
        if std::mem::replace(&mut self.progress, Progress::Broken) != Progress::Broken {
            log::journal_failed(&why);
        }
        self.safe.broken(Trouble { since: self.now, why });
        self.drop_waiting();
    }

    /// What waits is never kept.
    fn drop_waiting(&mut self) {
        let condition = self.safe.condition();
        let why = condition.trouble().map_or("", |trouble| &trouble.why);
        self.snapshots.failed(why);
        for begun in self.appended.drain(..).chain(self.written.drain(..)) {
            if let Begun::Flow(told) = begun {
                drop(told.send(Err(StorageError::Lost(why.to_owned()))));
            }
        }
        for entry in self.waiting.drain(..) {
            match entry {
                Entry::Flow(_, _, told) => drop(told.send(Err(StorageError::Broken(why.to_owned())))),
                Entry::Stop => self.stopped = true,
                Entry::Steps(..) | Entry::Snapshot(_) | Entry::Counted(..) | Entry::Closing => {}
            }
        }
    }

    /// Gives what was taken to the writer, as far as it takes it.
    fn append(&mut self) -> Result<Progress, LogError> {
        let aside = self.spares != Spares::AtOnce;
        while let Some(entry) = self.waiting.front() {
            match entry {
                Entry::Steps(records, _) => {
                    let all = records.iter().flat_map(|(flow, records)| {
                        records.iter().map(move |(made, body)| (*flow, made, body))
                    });
                    let most = self.safe.planted().records_kept();
                    for (flow, made, body) in all.take(most).skip(self.begun) {
                        if aside && self.writer.lacks_spare(body.len()) {
                            return Ok(Progress::Lacking);
                        }
                        let (of, number) = (made.part.of, made.part.number);
                        let (term, seq) = (made.term.0, made.seq);
                        let position = Position { flow: flow.0, of, number, term, seq };
                        self.writer.append(&Record { kind: kind(made.what), position, body })?;
                        self.snapshots.appended(body.len());
                        self.records += 1;
                        self.bytes += record_bytes(body.len()) as u64;
                        self.begun += 1;
                    }
                }
                Entry::Flow(id, change, _) => {
                    let position = Position { flow: id.0, term: FIRST_TERM, ..Position::default() };
                    let body = serde_json::to_vec(change).unwrap_or_default();
                    if aside && self.writer.lacks_spare(body.len()) {
                        return Ok(Progress::Lacking);
                    }
                    self.writer.append(&Record { kind: Kind::Flow, position, body: &body })?;
                    self.snapshots.appended(body.len());
                    self.records += 1;
                    self.bytes += record_bytes(body.len()) as u64;
                }
                Entry::Snapshot(_) | Entry::Counted(..) | Entry::Closing => {}
                Entry::Stop => self.stopped = true,
            }
            self.begun = 0;
            match self.waiting.pop_front() {
                Some(Entry::Steps(_, recorded)) => self.appended.push(Begun::Steps(recorded)),
                Some(Entry::Flow(id, change, told)) => {
                    if change == FlowChange::Dropped {
                        self.tallies.drop_flow(id);
                    }
                    self.appended.push(Begun::Flow(told));
                }
                Some(Entry::Snapshot(asked)) => {
                    self.snapshot_begins |= matches!(asked, Asked::Begin(_));
                    self.snapshots.ask(asked, self.writer.next().before());
                }
                Some(Entry::Counted(worker, tally)) => self.tallies.counted(worker, tally),
                Some(Entry::Closing | Entry::Stop) | None => {}
            }
        }
        self.append_tally(aside)
    }

    /// Gives the counts to the writer, where there are newer ones.
    fn append_tally(&mut self, aside: bool) -> Result<Progress, LogError> {
        if !self.tallies.due_at(self.now, self.stopped) {
            return Ok(Progress::Done);
        }
        let body = serde_json::to_vec(&self.tallies.sum()).unwrap_or_default();
        if aside && self.writer.lacks_spare(body.len()) {
            return Ok(Progress::Lacking);
        }
        let position = Position { term: FIRST_TERM, ..Position::default() };
        self.writer.append(&Record { kind: Kind::Counts, position, body: &body })?;
        self.snapshots.appended(body.len());
        self.records += 1;
        self.bytes += record_bytes(body.len()) as u64;
        self.tallies.kept(self.now);
        Ok(Progress::Done)
    }
}

fn kind(what: What) -> Kind {
    match what {
        What::Step => Kind::Step,
        What::State => Kind::State,
    }
}

#[cfg(test)]
mod tests;
