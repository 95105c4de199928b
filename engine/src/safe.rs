//! Which records are safe, so that what rests on them may be seen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use anabranch_model::message::Recorded;

/// Up to which of its records each worker may let out what rests on them; one for all workers of a node.
#[derive(Clone, Debug)]
pub(crate) struct Safe(Arc<Reached>);

#[derive(Debug)]
struct Reached {
    counts: Box<[AtomicU64]>,
    /// Why nothing more becomes safe.
    failed: OnceLock<String>,
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
        let counts = (0..workers).map(|_| AtomicU64::new(count)).collect();
        Safe(Arc::new(Reached { counts, failed: OnceLock::new() }))
    }

    /// Workers of the node.
    pub(crate) fn workers(&self) -> usize {
        self.0.counts.len()
    }

    /// Whether what rests on these records may be seen.
    #[inline]
    pub(crate) fn covers(&self, recorded: Recorded) -> bool {
        // What became safe before is seen with it: an answer that was let out is on disk.
        self.0.counts[recorded.by.0 as usize].load(Ordering::Acquire) >= recorded.count
    }

    /// The records of a worker are safe up to here.
    pub(crate) fn reached(&self, recorded: Recorded) {
        self.0.counts[recorded.by.0 as usize].store(recorded.count, Ordering::Release);
    }

    /// Nothing more becomes safe, for this reason; the first one stays.
    pub(crate) fn failed(&self, why: String) {
        let _ = self.0.failed.set(why);
    }

    /// Why nothing more becomes safe, if that is so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.0.failed.get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use anabranch_model::message::WorkerId;

    use super::*;

    #[test]
    fn what_rests_on_records_waits_for_those_of_their_worker() {
        let of = |by: u32, count| Recorded { by: WorkerId(by), count };
        let safe = Safe::none(2);
        assert!(safe.covers(of(1, 0)) && !safe.covers(of(1, 1)));
        safe.clone().reached(of(1, 5));
        assert_eq!(
            [of(1, 5), of(1, 6), of(0, 1)].map(|recorded| safe.covers(recorded)),
            [true, false, false]
        );
        assert!(Safe::always(1).covers(of(0, u64::MAX)));
    }
}
