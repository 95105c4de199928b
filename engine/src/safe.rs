//! Which records are safe, so that what rests on them may be seen, and whether more become so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anabranch_model::message::{Recorded, WorkerId};
use anabranch_model::plan::Sync;
use arc_swap::ArcSwap;

use crate::planted::Planted;

/// Up to which of its records each worker may let out what rests on them; one for all workers of a node.
#[derive(Clone, Debug)]
pub(crate) struct Safe(Arc<Reached>, Planted);

#[derive(Debug)]
struct Reached {
    workers: Box<[Counts]>,
    condition: ArcSwap<Condition>,
    /// Whether something waits for records to be written and need not wait for the sync.
    wants_written: AtomicBool,
}

/// The records of a worker, by count. INVARIANT: `synced <= written`, `copies_synced <= copied`.
#[derive(Debug)]
struct Counts {
    written: AtomicU64,
    synced: AtomicU64,
    /// What all copies that are waited for have, in memory.
    copied: AtomicU64,
    /// What they have as safe as the node itself would keep it.
    copies_synced: AtomicU64,
}

/// Whether records become safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// They do.
    Sound,
    /// They wait for the disk, and go on by themselves.
    Halted(Trouble),
    /// They never will, until the node is started again.
    Broken(Trouble),
}

/// What keeps records from becoming safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Since when, in microseconds since 1970 UTC.
    pub(crate) since: i64,
    /// What was tried, what is wrong, what to do.
    pub(crate) why: String,
}

impl Condition {
    /// What is wrong, if something is.
    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        match self {
            Condition::Sound => None,
            Condition::Halted(trouble) | Condition::Broken(trouble) => Some(trouble),
        }
    }
}

impl Safe {
    /// Of a node that keeps nothing: everything may be seen at once.
    pub(crate) fn always(workers: u32) -> Self {
        Safe::at(workers, u64::MAX)
    }

    /// Of a node that keeps records: none is safe yet.
    pub(crate) fn none(workers: u32) -> Self {
        Safe::at(workers, 0)
    }

    fn at(workers: u32, count: u64) -> Self {
        let counts = |_| Counts {
            written: AtomicU64::new(count),
            synced: AtomicU64::new(count),
            copied: AtomicU64::new(u64::MAX),
            copies_synced: AtomicU64::new(u64::MAX),
        };
        let reached = Reached {
            workers: (0..workers).map(counts).collect(),
            condition: ArcSwap::from_pointee(Condition::Sound),
            wants_written: AtomicBool::new(false),
        };
        Safe(Arc::new(reached), Planted::None)
    }

    /// The same in a node with a bug.
    pub(crate) fn with(self, planted: Planted) -> Self {
        Safe(self.0, planted)
    }

    /// The bug of the node.
    pub(crate) fn planted(&self) -> Planted {
        self.1
    }

    /// Workers of the node.
    pub(crate) fn workers(&self) -> usize {
        self.0.workers.len()
    }

    /// Whether what rests on these records may be seen, where they have to be as safe as `sync` says.
    #[inline]
    pub(crate) fn covers(&self, recorded: Recorded, sync: Sync) -> bool {
        let counts = &self.0.workers[recorded.by.0 as usize];
        let (here, copies) = match sync {
            Sync::Disk => (&counts.synced, &counts.copies_synced),
            Sync::Memory => (&counts.written, &counts.copied),
        };
        // What became safe before is seen with it: an answer that was let out is on disk. With `wants_written` one order
        // of all: either who waits sees the count, or who counts sees that somebody waits.
        here.load(Ordering::SeqCst) >= recorded.count && copies.load(Ordering::SeqCst) >= recorded.count
    }

    /// All copies that are waited for have the records of a worker up to these: in memory, and as safe as they are kept.
    pub(crate) fn copied(&self, by: WorkerId, memory: u64, synced: u64) {
        let counts = &self.0.workers[by.0 as usize];
        counts.copies_synced.store(synced, Ordering::SeqCst);
        counts.copied.store(memory, Ordering::SeqCst);
    }

    /// The records of a worker up to which all are synced here.
    pub(crate) fn synced_count(&self, by: WorkerId) -> u64 {
        self.0.workers[by.0 as usize].synced.load(Ordering::SeqCst)
    }

    /// Something waits for records to be written; whoever writes them wakes the workers then.
    pub(crate) fn want_written(&self) {
        self.0.wants_written.store(true, Ordering::SeqCst);
    }

    /// Whether something has waited for records to be written since the last time.
    pub(crate) fn take_wants_written(&self) -> bool {
        self.0.wants_written.swap(false, Ordering::SeqCst)
    }

    /// The records of a worker are written up to here.
    pub(crate) fn written(&self, recorded: Recorded) {
        self.0.workers[recorded.by.0 as usize].written.store(recorded.count, Ordering::SeqCst);
    }

    /// The records of a worker are synced up to here; they were written before.
    pub(crate) fn synced(&self, recorded: Recorded) {
        self.0.workers[recorded.by.0 as usize].synced.store(recorded.count, Ordering::SeqCst);
    }

    /// Whether records become safe.
    pub(crate) fn condition(&self) -> arc_swap::Guard<Arc<Condition>> {
        self.0.condition.load()
    }

    /// Records wait for the disk. The first reason stays until they go on.
    pub(crate) fn halted(&self, trouble: Trouble) {
        if **self.condition() == Condition::Sound {
            self.0.condition.store(Arc::new(Condition::Halted(trouble)));
        }
    }

    /// Records go on becoming safe.
    pub(crate) fn goes_on(&self) {
        if matches!(**self.condition(), Condition::Halted(_)) {
            self.0.condition.store(Arc::new(Condition::Sound));
        }
    }

    /// Nothing more becomes safe, for this reason; the first one stays.
    pub(crate) fn broken(&self, trouble: Trouble) {
        if !matches!(**self.condition(), Condition::Broken(_)) {
            self.0.condition.store(Arc::new(Condition::Broken(trouble)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(why: &str) -> Trouble {
        Trouble { since: 7, why: why.to_owned() }
    }

    #[test]
    fn what_rests_on_records_waits_for_those_of_their_worker() {
        let of = |by: u32, count| Recorded { by: WorkerId(by), count };
        let safe = Safe::none(2);
        assert!(safe.covers(of(1, 0), Sync::Disk) && !safe.covers(of(1, 1), Sync::Memory));
        safe.clone().written(of(1, 6));
        safe.clone().synced(of(1, 5));
        let covered = |sync| [of(1, 5), of(1, 6), of(1, 7), of(0, 1)].map(|of| safe.covers(of, sync));
        assert_eq!(covered(Sync::Disk), [true, false, false, false]);
        assert_eq!(covered(Sync::Memory), [true, true, false, false]);
        assert!(Safe::always(1).covers(of(0, u64::MAX), Sync::Disk));
    }

    #[test]
    fn a_full_disk_may_get_space_again_and_a_broken_one_stays_broken() {
        let safe = Safe::none(1);
        safe.halted(trouble("full"));
        safe.halted(trouble("fuller"));
        assert_eq!(safe.condition().trouble(), Some(&trouble("full")));
        safe.goes_on();
        assert_eq!(**safe.condition(), Condition::Sound);
        safe.broken(trouble("it broke"));
        safe.broken(trouble("again"));
        safe.halted(trouble("full"));
        safe.goes_on();
        assert_eq!(**safe.condition(), Condition::Broken(trouble("it broke")));
    }
}
