//! A worker's part of a snapshot: which piece is next, and when the worker may make it.

use anabranch_operators::{SnapshotPlace, Worker};

use super::{Asked, Made, Run};
use crate::journal::JournalDoor;

/// Bytes of a piece: a worker copies so many in some 30 us, and so its stops are short.
pub(crate) const PIECE_BYTES: usize = 128 << 10;

/// How many times as long as a piece took a worker that has other work does that before it makes the next one: the
/// snapshot takes a fiftieth of its time, and writes some 90 MB/s: the disk is the journal's first.
const REST: u64 = 49;

/// A worker's part of a snapshot.
#[derive(Debug)]
pub(crate) struct Part {
    run: Run,
    place: SnapshotPlace,
    /// Whether the next piece is wanted.
    wanted: bool,
    /// When a worker that has other work may make it, in microseconds of its clock.
    not_before: u64,
}

impl Part {
    /// The next piece of a run is wanted; `part` is what the worker has of an earlier one.
    pub(crate) fn asked(part: &mut Option<Part>, run: Run, worker: &Worker) {
        match part {
            Some(part) if part.run.number == run.number => part.wanted = true,
            _ => *part = Some(Part { run, place: worker.snapshot(), wanted: true, not_before: 0 }),
        }
    }

    /// Makes the piece that is wanted, unless the worker is busy and has made one just before. All records of the worker
    /// are with the journal. Whether it has made one.
    pub(crate) fn go_on(
        &mut self,
        busy: bool,
        worker: &Worker,
        journal: &JournalDoor,
        piece_bytes: usize,
    ) -> bool {
        let began = worker.micros();
        if !self.wanted || busy && began < self.not_before {
            return false;
        }
        let piece = match self.run.is_given_up() {
            true => None,
            false => worker.snapshot_piece(&mut self.place, piece_bytes),
        };
        let ended = worker.micros();
        let micros = ended.saturating_sub(began);
        self.wanted = false;
        self.not_before = ended + REST * micros;
        journal.snapshot(Asked::Piece(Made { run: self.run.number, worker: worker.id(), piece, micros }));
        true
    }
}
