//! Where the journal and the snapshots of a node meet: what one asks the other, and when the next snapshot is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anabranch_log::{LogNumber, SnapshotStart, record_bytes};
use crossbeam_channel::{Sender, bounded};

use super::{Asked, SnapshotTaken, Told};
use crate::error::Error;

/// The way to the snapshots of a node; leads nowhere on a node that keeps nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct SnapshotDoor(Option<Sender<Told>>);

impl SnapshotDoor {
    pub(crate) fn to(snapshots: Sender<Told>) -> Self {
        SnapshotDoor(Some(snapshots))
    }

    /// Takes a snapshot that begins from now on; waits until it is durable.
    pub(crate) fn take(&self) -> Result<SnapshotTaken, Error> {
        let Some(snapshots) = &self.0 else {
            let why = "the node keeps nothing; start it with a data directory";
            return Err(Error::Snapshot(why.to_owned()));
        };
        let (answer, taken) = bounded(1);
        snapshots.send(Told::Wanted(Some(answer))).map_err(|_| Error::Stopped)?;
        taken.recv().map_err(|_| Error::Stopped)?.map_err(Error::Snapshot)
    }

    pub(crate) fn stop(&self) {
        self.tell(Told::Stop);
    }

    fn tell(&self, told: Told) {
        if let Some(snapshots) = &self.0 {
            // They end before the journal does.
            let _ = snapshots.send(told);
        }
    }
}

/// When the next snapshot is due, in bytes of the journal; shared by who counts them and who takes it.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    bytes: Arc<AtomicU64>,
    at: Arc<AtomicU64>,
}

impl Due {
    /// So many bytes of the journal lie behind the newest snapshot; the next is due when there are so many.
    pub(crate) fn new(bytes: u64, at: u64) -> Self {
        Due { bytes: Arc::new(AtomicU64::new(bytes)), at: Arc::new(AtomicU64::new(at)) }
    }

    /// The journal has grown; whether a snapshot is due and nobody was told.
    fn grow(&self, bytes: u64) -> bool {
        let all = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let due = all >= self.at.load(Ordering::Relaxed);
        if due {
            self.at.store(u64::MAX, Ordering::Relaxed);
        }
        due
    }

    /// Bytes of the journal so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The next snapshot is due when there are so many bytes.
    pub(super) fn next(&self, at: u64) {
        self.at.store(at, Ordering::Relaxed);
    }
}

/// What the journal does for snapshots.
#[derive(Debug)]
pub(crate) struct Handover {
    door: SnapshotDoor,
    due: Due,
    /// Bytes that were appended since they were counted.
    appended: u64,
    /// What was asked, with the last record before it.
    asked: Vec<(Asked, LogNumber)>,
}

impl Handover {
    pub(crate) fn new(door: SnapshotDoor, due: Due) -> Self {
        Handover { door, due, appended: 0, asked: Vec::new() }
    }

    /// A record with a body of so many bytes was appended.
    pub(crate) fn appended(&mut self, body: usize) {
        self.appended += record_bytes(body) as u64;
    }

    /// Something was asked behind this record.
    pub(crate) fn ask(&mut self, asked: Asked, at: LogNumber) {
        self.asked.push((asked, at));
    }

    /// All that was appended is safe.
    pub(crate) fn kept(&mut self, start: SnapshotStart) {
        for (asked, at) in self.asked.drain(..) {
            self.door.tell(match asked {
                Asked::Begin(run) => Told::Begin(run, start),
                Asked::Piece(made) => Told::Piece { made, at, safe: start.begin },
            });
        }
        if self.due.grow(std::mem::take(&mut self.appended)) {
            self.door.tell(Told::Wanted(None));
        }
    }

    /// Nothing becomes safe any more.
    pub(crate) fn failed(&mut self, why: &str) {
        self.asked.clear();
        self.door.tell(Told::Failed(why.to_owned()));
    }
}
