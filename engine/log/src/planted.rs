//! Bugs to plant, so that the crash suites can show that they would find them. Nothing but tests asks for one.

/// A bug in the journal, or none.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    None,
    /// Says that records are safe without a sync.
    AcknowledgeBeforeSync,
    /// Does not make the names of segments and snapshots durable.
    SkipDirectorySync,
    /// Checksums do not cover the number of a record and the identity of its journal, and nobody compares numbers.
    NumberUnchecked,
    /// Takes whatever is not a record for the end of the journal.
    HoleIsTail,
    /// Drops segments for a snapshot that is not durable yet.
    RemoveBeforeDurable,
    /// Takes a segment that was used before and leaves its bytes in it.
    ReuseUncleared,
    /// Leaves behind the end of the journal what a crash has left there.
    TailLeft,
    /// Takes what can be read after a failed sync for what the disk has.
    NotRewritten,
}
