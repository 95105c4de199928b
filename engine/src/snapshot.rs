//! Snapshots of a running node: its state in pieces that its workers make between turns, kept beside the journal, so that
//! the journal's begin may go and the node starts in a bounded time.
//!
//! ```text
//!   snapshots --ask where it begins--> journal            begin: the last record that is safe
//!   snapshots --"a piece"--> worker --piece, behind its records--> journal --when safe--> snapshots: written
//!             <------------------- and so on, a piece of each worker at a time -------------------
//! ```
//!
//! A piece goes through the journal's queue behind the records of its worker: when the journal comes to it, the last
//! record that it has appended is one whose effects, and those of all before it, the piece has wherever they concern it.
//! The journal hands pieces on when that record is safe, so that what is in a snapshot is never lost by the journal. A
//! worker makes the next piece when the one before is written: nothing piles up, and nobody waits for the snapshot's file.
//!
//! A change of flows gives up the snapshot under way, which begins again after it: INVARIANT: no flow changes between
//! begin and end of a snapshot.

mod door;
mod part;

pub(crate) use door::{Due, Handover, SnapshotDoor};
pub(crate) use part::{PIECE_BYTES, Part};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anabranch_log::{Disk, Error as LogError, LogNumber, SnapshotStart, SnapshotWriter, Summary};
use anabranch_model::message::WorkerId;
use anabranch_model::snapshot;
use anabranch_operators::StatePiece;
use crossbeam_channel::Sender;

use crate::deploy::{Flows, Workers};
use crate::driver::Command;
use crate::journal::JournalDoor;
use crate::log;

/// Bytes of journal behind the begin of the newest snapshot after which the next one begins, where nothing is said: a
/// node reads them in a second or two when it starts.
pub(crate) const SNAPSHOT_AFTER_BYTES: u64 = 256 << 20;

/// How often a snapshot that failed is tried again while the journal grows by as much as it may between two.
const RETRIES: u64 = 4;

/// A snapshot that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// The record of the journal behind which a node that starts from it begins to read.
    pub begin: u64,
    /// The record up to which it must come.
    pub end: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// Rows in it; one that changed meanwhile may be there twice.
    pub rows: u64,
    /// For how long at most a worker did nothing else than make a piece of it.
    pub longest_stop: Duration,
}

/// One attempt at a snapshot.
#[derive(Clone, Debug)]
pub struct Run {
    number: u64,
    given_up: Arc<AtomicBool>,
}

impl Run {
    pub(crate) fn new(number: u64) -> Self {
        Run { number, given_up: Arc::default() }
    }

    /// What was made of it is of no use.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }
}

/// What the journal is asked on behalf of a snapshot; answered when all that came before is safe.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Where the run of this number begins.
    Begin(u64),
    /// To hand a piece on.
    Piece(Made),
}

/// What a worker has made for a run.
#[derive(Debug)]
pub(crate) struct Made {
    run: u64,
    worker: WorkerId,
    /// `None` behind its last piece.
    piece: Option<StatePiece>,
    /// How long that took, in microseconds of the worker's clock.
    micros: u64,
}

/// What [`Snapshots`] are told.
#[derive(Debug)]
pub(crate) enum Told {
    /// A snapshot is wanted, by somebody or because the journal has grown.
    Wanted(Option<Sender<Result<SnapshotTaken, String>>>),
    /// Where a run begins.
    Begin(u64, SnapshotStart),
    /// A piece that has the effects of the records up to `at`; those up to `safe` are safe.
    Piece { made: Made, at: LogNumber, safe: LogNumber },
    /// The journal has failed.
    Failed(String),
    /// The node stops.
    Stop,
}

/// Whoever waits for a snapshot.
type Waiting = Vec<Sender<Result<SnapshotTaken, String>>>;

/// Takes the snapshots of a node, one at a time.
pub(crate) struct Snapshots<D: Disk> {
    disk: D,
    journal: JournalDoor,
    due: Due,
    /// See [`SNAPSHOT_AFTER_BYTES`].
    after: u64,
    /// The number of the last run.
    runs: u64,
    /// Whether one is wanted that begins from now on, and who waits for it.
    wanted: bool,
    waiting: Waiting,
    under_way: Option<UnderWay<D>>,
}

/// A snapshot that is being taken.
struct UnderWay<D: Disk> {
    run: Run,
    waiting: Waiting,
    /// Bytes of the journal when it began.
    journal_bytes: u64,
    /// Once it is known where it begins.
    writer: Option<SnapshotWriter<D>>,
    rows: u64,
    longest_stop: Duration,
    /// Workers that have not made their last piece.
    missing: usize,
}

impl<D: Disk + Clone> Snapshots<D> {
    /// Takes them when they are `due`, in bytes of the journal, and the next after so many.
    pub(crate) fn new(disk: D, journal: JournalDoor, due: Due, after: u64) -> Self {
        let (waiting, under_way) = (Vec::new(), None);
        Snapshots { disk, journal, due, after, runs: 0, wanted: false, waiting, under_way }
    }

    /// Does what it is told. False when it has ended.
    pub(crate) fn handle(&mut self, told: Told, flows: &Flows, workers: &impl Workers) -> bool {
        match told {
            Told::Wanted(who) => {
                self.wanted = true;
                self.waiting.extend(who);
            }
            Told::Begin(run, start) => self.begin(run, start, flows, workers),
            Told::Piece { made, at, safe } => self.piece(made, at, safe, workers),
            Told::Failed(why) => {
                self.under_way.take().into_iter().for_each(|under_way| under_way.lost(&why));
            }
            Told::Stop => {
                self.under_way.take().into_iter().for_each(|under_way| under_way.lost("the node stops"));
                return false;
            }
        }
        if self.wanted && self.under_way.is_none() {
            self.ask(flows);
        }
        true
    }

    /// Asks the journal where a snapshot begins.
    fn ask(&mut self, flows: &Flows) {
        self.runs += 1;
        self.wanted = false;
        self.under_way = Some(UnderWay {
            // From here on a change of flows gives it up; none is under way.
            run: flows.snapshot(self.runs),
            waiting: std::mem::take(&mut self.waiting),
            journal_bytes: self.due.bytes(),
            writer: None,
            rows: 0,
            longest_stop: Duration::ZERO,
            missing: 0,
        });
        self.journal.snapshot(Asked::Begin(self.runs));
    }

    /// The run of this number, taken out, if it is under way and of use; else it begins again.
    fn present(&mut self, run: u64) -> Option<UnderWay<D>> {
        let under_way = self.under_way.take_if(|under_way| under_way.run.number == run)?;
        if !under_way.run.is_given_up() {
            return Some(under_way);
        }
        log::snapshot_again();
        self.wanted = true;
        self.waiting.extend(under_way.abandon());
        None
    }

    /// Writes what the node is, and asks the workers for their first pieces.
    fn begin(&mut self, run: u64, start: SnapshotStart, flows: &Flows, workers: &impl Workers) {
        // Held until the workers have heard of it, so that no change comes between.
        let (_changing, catalog) = flows.hold();
        let Some(mut under_way) = self.present(run) else { return };
        let written = SnapshotWriter::begin(self.disk.clone(), start).and_then(|mut writer| {
            writer.chunk(start.begin, &snapshot::node(catalog.next_flow()))?;
            for (id, flow) in catalog.revisions() {
                writer.chunk(start.begin, &snapshot::revision(id, &flow.plan().file, flow.text()))?;
            }
            Ok(writer)
        });
        match written {
            Ok(writer) => {
                let run = under_way.run.clone();
                under_way.writer = Some(writer);
                under_way.missing = workers.count();
                self.under_way = Some(under_way);
                let ask = |worker| workers.tell_one(worker, Command::Snapshot(run.clone()));
                (0..workers.count()).for_each(ask);
            }
            Err(error) => self.failed(under_way, &error),
        }
    }

    /// Writes a piece, and asks its worker for the next.
    fn piece(&mut self, made: Made, at: LogNumber, safe: LogNumber, workers: &impl Workers) {
        let Some(mut under_way) = self.present(made.run) else { return };
        let Some(piece) = made.piece else {
            under_way.missing -= 1;
            match under_way.missing {
                0 => self.finish(under_way, safe),
                _ => self.under_way = Some(under_way),
            }
            return;
        };
        under_way.rows += piece.rows;
        under_way.longest_stop = under_way.longest_stop.max(Duration::from_micros(made.micros));
        let written = under_way.writer.as_mut().map_or(Ok(()), |writer| writer.chunk(at, &piece.body));
        match written {
            Ok(()) => {
                let run = under_way.run.clone();
                self.under_way = Some(under_way);
                workers.tell_one(made.worker.0 as usize, Command::Snapshot(run));
            }
            Err(error) => self.failed(under_way, &error),
        }
    }

    fn finish(&mut self, mut under_way: UnderWay<D>, safe: LogNumber) {
        let Some(writer) = under_way.writer.take() else { return };
        match writer.finish(safe) {
            Ok(Summary { begin, end, bytes, .. }) => {
                self.due.next(under_way.journal_bytes + self.after.max(bytes));
                let (rows, longest_stop) = (under_way.rows, under_way.longest_stop);
                let taken = SnapshotTaken { begin: begin.0, end: end.0, bytes, rows, longest_stop };
                log::snapshot_taken(&taken);
                under_way.answer(&Ok(taken));
            }
            Err(error) => self.failed(under_way, &error),
        }
    }

    /// It is tried again when the journal has grown by a part of what it may.
    fn failed(&mut self, under_way: UnderWay<D>, error: &LogError) {
        let why = error.to_string();
        log::snapshot_failed(&why);
        self.due.next(self.due.bytes() + self.after / RETRIES);
        under_way.lost(&why);
    }
}

impl<D: Disk> UnderWay<D> {
    /// Leaves it; who waits for it.
    fn abandon(self) -> Waiting {
        self.run.give_up();
        if let Some(writer) = self.writer {
            writer.abandon();
        }
        self.waiting
    }

    /// Leaves it for good.
    fn lost(mut self, why: &str) {
        self.answer(&Err(why.to_owned()));
        self.abandon();
    }

    fn answer(&mut self, answer: &Result<SnapshotTaken, String>) {
        // Who waited may be gone.
        self.waiting.drain(..).for_each(|who| drop(who.send(answer.clone())));
    }
}
