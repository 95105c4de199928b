//! What a copy says of a lane.

/// Where a copy stands in a lane; all numbers count from the lane's beginning, so a later one says all that an earlier one
/// has said, but for what was fenced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// The lane that it speaks of; 0 where it knows none.
    pub epoch: u64,
    /// All items up to this one were applied or fenced.
    pub applied: u64,
    /// All items up to this one are on the copy's disk (or applied, where it keeps nothing on a disk) or were fenced.
    pub durable: u64,
    /// Items that were fenced, each with all of its group before it: those since the last word on this link, and with the
    /// first word on a link all there were, the last of each group.
    pub fenced: Vec<u64>,
    /// An item could not be applied: the lane is of no use any more.
    pub broken: bool,
}
