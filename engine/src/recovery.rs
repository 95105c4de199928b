//! What a node does when it starts on a journal: it takes the newest snapshot, then does every change of its flows and
//! every record of their partitions again, in the order of the journal.
//!
//! One thread reads and checks, the workers put rows and do records again meanwhile. What goes to a worker goes in
//! batches that come back to be filled anew: so many there are, and no more memory is taken.

mod batch;
mod place;

pub(crate) use batch::Restore;
pub(crate) use place::Unrestored;

use std::fmt;
use std::sync::Arc;

use anabranch_log::{
    Config, Damage, Disk, DiskFile, Entry, Error as LogError, Kind, Reader, SnapshotReader, Writer,
    record_bytes, recover_telling, retain, set_aside,
};
use anabranch_model::message::FlowId;
use anabranch_model::snapshot::{Item, Piece, State};
use anabranch_model::zone::Term;
use anabranch_operators::FlowPartition;
use serde::de::DeserializeOwned;

use crate::deploy::{Flows, Workers};
use crate::driver::Command;
use crate::error::Error;
use crate::journal::{FlowChange, FlowFile};
use crate::log;
use crate::planted::Planted;
use crate::tally::Tally;
use batch::Batches;
use place::Place;

/// Bytes of snapshot and journal after which it is told how far the recovery is.
const TOLD_BYTES: u64 = 4 << 20;

/// How far a node is that starts from its data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryProgress {
    /// Whether the snapshot is looked at before anything of it is taken; then `bytes` are those of the snapshot.
    pub checking: bool,
    /// Rows of the snapshot that were read.
    pub rows: u64,
    /// Records of the journal that were read.
    pub records: u64,
    /// Bytes that were read of snapshot and journal.
    pub bytes: u64,
    /// Bytes of both; the last segment counts with its free space.
    pub bytes_in_all: u64,
}

/// Who is told how far a node is that starts.
#[derive(Clone, Default)]
pub(crate) struct TellProgress(Option<Arc<dyn Fn(RecoveryProgress) + Send + Sync>>);

impl TellProgress {
    pub(crate) fn to(tell: impl Fn(RecoveryProgress) + Send + Sync + 'static) -> Self {
        TellProgress(Some(Arc::new(tell)))
    }
}

impl TellProgress {
    fn tell(&self, progress: RecoveryProgress) {
        log::recovering(&progress);
        if let TellProgress(Some(tell)) = self {
            tell(progress);
        }
    }

    /// What is called with bytes of a snapshot that were looked at, and bytes that it has.
    fn checking(&self) -> impl FnMut(u64, u64) + use<> {
        let (tell, mut told) = (self.clone(), 0);
        move |bytes, bytes_in_all| {
            // Behind a damaged one comes another from its begin.
            if bytes < told || bytes >= told + TOLD_BYTES {
                told = bytes;
                tell.tell(RecoveryProgress {
                    checking: true,
                    bytes,
                    bytes_in_all,
                    ..RecoveryProgress::default()
                });
            }
        }
    }
}

impl fmt::Debug for TellProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TellProgress").field(&self.0.is_some()).finish()
    }
}

/// Brings workers to the state that a snapshot and a journal have.
pub(crate) struct Recovery<'r, W> {
    flows: &'r Flows,
    workers: &'r W,
    tell: TellProgress,
    batches: Batches,
    progress: RecoveryProgress,
    /// Bytes of the snapshot.
    snapshot_bytes: u64,
    /// Bytes of the records behind its begin.
    record_bytes: u64,
    told: u64,
    /// Revisions of the snapshot.
    revisions: Revisions,
    /// What flows had counted.
    tally: Tally,
    planted: Planted,
}

/// The revisions of flows that a snapshot has, oldest first.
#[derive(Default)]
struct Revisions {
    /// The flow that was installed last.
    installed: Option<FlowId>,
    /// The last revision, where it does not compile.
    failed: Option<(FlowId, Error)>,
}

/// What a node has started from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovered {
    pub(crate) rows: u64,
    pub(crate) records: u64,
    /// Bytes of the snapshot, and of the records behind its begin.
    pub(crate) snapshot_bytes: u64,
    pub(crate) record_bytes: u64,
}

/// Brings a node to the state that a disk has, by a recovery; what its journal goes on with.
///
/// # Errors
/// [`Error::Start`]: what is damaged, where; or the world's.
pub(crate) fn recover<D: Disk + Clone>(
    disk: &D,
    config: Config,
    recovery: Recovery<'_, impl Workers>,
) -> Result<(Writer<D>, Recovered), Error> {
    let checking = recovery.tell.checking();
    let mut found = recover_telling(disk.clone(), config, checking).map_err(damaged)?;
    for Damage { file, offset, what } in &found.damaged {
        log::snapshot_damaged(file, *offset, what);
    }
    let recovered = recovery.run(found.snapshot, &mut found.journal)?;
    let writer = found.journal.into_writer().map_err(damaged)?;
    if let Err(error) = set_aside(disk, &found.damaged).and_then(|()| retain(disk)) {
        log::not_removed(&error.to_string());
    }
    Ok((writer, recovered))
}

impl<'r, W: Workers> Recovery<'r, W> {
    pub(crate) fn new(flows: &'r Flows, workers: &'r W, tell: TellProgress) -> Self {
        let (batches, progress) = (Batches::new(workers.count()), RecoveryProgress::default());
        Recovery {
            flows,
            workers,
            tell,
            batches,
            progress,
            snapshot_bytes: 0,
            record_bytes: 0,
            told: 0,
            revisions: Revisions::default(),
            tally: Tally::default(),
            planted: Planted::None,
        }
    }

    /// A recovery with a bug.
    pub(crate) fn planted(self, planted: Planted) -> Self {
        Recovery { planted, ..self }
    }

    /// Reads a snapshot and the journal behind its begin to their ends. What there was.
    ///
    /// # Errors
    /// [`Error::Start`]: what is damaged, where, and that nothing was changed.
    fn run<D: Disk>(
        mut self,
        snapshot: Option<SnapshotReader<D::File>>,
        journal: &mut Reader<D>,
    ) -> Result<Recovered, Error> {
        let (_, journal_bytes) = journal.progress();
        self.snapshot_bytes = snapshot.as_ref().map_or(0, |snapshot| snapshot.summary().bytes);
        self.progress.bytes_in_all = self.snapshot_bytes + journal_bytes;
        if let Some(snapshot) = snapshot {
            self.snapshot(snapshot)?;
        }
        loop {
            self.read(self.snapshot_bytes + journal.progress().0);
            let Some(entry) = journal.next().map_err(damaged)? else { break };
            self.progress.records += 1;
            self.record_bytes += record_bytes(entry.record.body.len()) as u64;
            match entry.record.kind {
                Kind::Step => self.step(&entry)?,
                Kind::State => self.copied(&entry)?,
                Kind::Flow => self.flow(&entry)?,
                Kind::Counts => self.tally = told(&entry, "counts")?,
                Kind::Term => {}
            }
        }
        self.settle()?;
        if let Some(torn) = journal.torn() {
            log::journal_torn(&torn.file, torn.offset, torn.bytes);
        }
        self.flows.counted_before(std::mem::take(&mut self.tally));
        let Recovery {
            snapshot_bytes, record_bytes, progress: RecoveryProgress { rows, records, .. }, ..
        } = self;
        Ok(Recovered { rows, records, snapshot_bytes, record_bytes })
    }

    fn snapshot<F: DiskFile>(&mut self, mut snapshot: SnapshotReader<F>) -> Result<(), Error> {
        let begin = snapshot.summary().begin;
        loop {
            let at = snapshot.position();
            self.read(at);
            let Some(chunk) = snapshot.next().map_err(damaged)? else { break };
            let place = Place::Chunk(begin.0, at);
            let unknown = |error| place.unusable(format_args!("cannot be read: {error}"));
            match Piece::parse(chunk.body).map_err(unknown)? {
                Piece::Node { next_flow } => self.flows.reserve(next_flow),
                Piece::Revision { flow, file, text } => {
                    let file = FlowFile { file: file.to_owned(), text: text.to_owned(), at: 0 };
                    self.revision(flow, file, place)?;
                }
                Piece::State(state) => {
                    self.revisions.check()?;
                    self.state(&state, place)?;
                }
            }
        }
        self.revisions.check()?;
        self.settle()
    }

    /// Installs a revision of a flow, or puts it in the place of the one before. One that does not compile, and is not the
    /// last, is passed over: its tables are empty, and only late requests would know it.
    fn revision(&mut self, flow: FlowId, file: FlowFile, place: Place) -> Result<(), Error> {
        match self.revisions.failed.take() {
            Some((of, error)) if of == flow => log::revision_passed_over(&error),
            Some((_, error)) => return Err(error),
            None => {}
        }
        let change = match self.revisions.installed == Some(flow) {
            true => FlowChange::Replaced(file),
            false => FlowChange::Installed(file),
        };
        match self.flows.restore(flow, change, self.workers) {
            Err(error @ Error::Flow(_)) => self.revisions.failed = Some((flow, place.outdated(&error))),
            other => {
                other?;
                self.revisions.installed = Some(flow);
            }
        }
        Ok(())
    }

    fn state(&mut self, state: &State<'_>, place: Place) -> Result<(), Error> {
        self.batches.at(place);
        for worker in 0..self.workers.count() {
            self.batches.stamp(worker, state.flow, state.stamp, state.rerouted, self.workers)?;
        }
        for item in state.items() {
            let item = item.map_err(|error| place.unusable(format_args!("cannot be read: {error}")))?;
            let Some(item) = self.planted.loaded(item) else { continue };
            let number = match item {
                Item::Partition(standing) => standing.number,
                Item::Rows(_, partition, _) => partition.0,
            };
            let owner = number as usize % self.workers.count();
            self.progress.rows += self.batches.item(owner, state.flow, item, self.workers)?;
        }
        Ok(())
    }

    fn step(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let of = entry.record.position;
        let part = FlowPartition { of: of.of, number: of.number };
        let owner = of.number as usize % self.workers.count();
        let to = (FlowId(of.flow), part, Term(of.term), of.seq);
        self.batches.at(Place::Record(entry.number.0));
        match self.planted {
            Planted::None => self.batches.record(owner, to, entry.record.body, self.workers),
            bug => {
                let bodies = bug.replayed(entry.record.body);
                bodies.iter().try_for_each(|body| self.batches.record(owner, to, body, self.workers))
            }
        }
    }

    /// A piece of the state of a partition, of which this node had a copy: from its begin on the copy was made anew.
    fn copied(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let place = Place::Record(entry.number.0);
        match Piece::parse(entry.record.body) {
            Ok(Piece::State(state)) => self.state(&state, place),
            Ok(_) => Err(place.unusable("is no state of a partition")),
            Err(error) => Err(place.unusable(format_args!("cannot be read: {error}"))),
        }
    }

    fn flow(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let change: FlowChange = told(entry, "a flow")?;
        // What is before it belongs to the flow as it was.
        self.settle()?;
        if change == FlowChange::Dropped {
            self.tally.drop_flow(FlowId(entry.record.position.flow));
        }
        if !self.planted.restores(&change) {
            return Ok(());
        }
        let restored = self.flows.restore(FlowId(entry.record.position.flow), change, self.workers);
        restored.map_err(|error| match error {
            Error::Flow(_) => Place::Record(entry.number.0).outdated(&error),
            error => error,
        })
    }

    /// Waits until all that was read is done.
    fn settle(&mut self) -> Result<(), Error> {
        self.batches.send_all(self.workers)?;
        let results = self.workers.ask(Command::Restored)?;
        results.into_iter().find_map(Result::err).map_or(Ok(()), |unrestored| Err(unrestored.unusable()))
    }

    /// So many bytes were read.
    fn read(&mut self, bytes: u64) {
        if bytes < self.told + TOLD_BYTES {
            return;
        }
        (self.told, self.progress.bytes) = (bytes, bytes);
        self.tell.tell(self.progress);
    }
}

/// What a record tells as JSON.
fn told<T: DeserializeOwned>(entry: &Entry<'_>, of: &str) -> Result<T, Error> {
    let unknown = |error| {
        let place = Place::Record(entry.number.0);
        place.unusable(format_args!("tells of {of} in an unknown way: {error}"))
    };
    serde_json::from_slice(entry.record.body).map_err(unknown)
}

impl Revisions {
    /// The last revision of each flow compiles.
    fn check(&mut self) -> Result<(), Error> {
        self.failed.take().map_or(Ok(()), |(_, error)| Err(error))
    }
}

fn damaged(error: LogError) -> Error {
    Error::Start(error.to_string())
}
