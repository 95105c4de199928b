//! A group on its way to another owner: nothing of it is done here any more, and the other one gets everything.

use anabranch_model::zone::Term;

/// A group that is about to be handed over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draining {
    pub(crate) term: Term,
    /// The version of the owners by which nothing of it is done; then the records that all copies must have.
    pub(crate) stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Tasks may be under way that were divided by owners before this version.
    Dividing(u64),
    /// Copies must have so many records.
    Copying(u64),
    /// It was said.
    Said,
}
