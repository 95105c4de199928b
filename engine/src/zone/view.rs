//! What a worker is told of its zone.

use std::collections::{BTreeMap, BTreeSet};

use anabranch_model::message::FlowId;
use anabranch_model::zone::{Group, MemberId, Owners};

/// A zone as a worker of one of its nodes sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerView {
    /// Grows with every change.
    pub(crate) version: u64,
    pub(crate) owners: Owners,
    /// Workers of this node.
    pub(crate) workers: u32,
    /// The other nodes.
    pub(crate) others: BTreeMap<MemberId, Other>,
    /// Flows that the zone had and has no more.
    pub(crate) dropped: BTreeSet<FlowId>,
    /// The groups that this node owns and is to hand over.
    pub(crate) moving: BTreeSet<Group>,
    /// The groups that this node owns, each with the others that must have what is acknowledged.
    pub(crate) copies: BTreeMap<Group, Vec<MemberId>>,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) name: String,
    pub(crate) workers: u32,
    pub(crate) life: Life,
}

/// What is known of the life of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It was let in and not heard of since.
    New,
    /// It is there.
    Here,
    /// It was lost, or has left.
    Gone,
}

impl WorkerView {
    /// Whether another node may still be there.
    pub(crate) fn lives(&self, member: MemberId) -> bool {
        self.others.get(&member).is_some_and(|other| other.life != Life::Gone)
    }
}
