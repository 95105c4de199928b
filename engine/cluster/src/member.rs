//! A member of a zone: a node in one of its lives, as the zone knows it.

use anabranch_model::zone::MemberId;
use serde::{Deserialize, Serialize};

/// What a node is in its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It holds rows, and may have a vote.
    Data,
    /// It may have a vote and holds no rows.
    Witness,
}

/// How the zone sees a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Taken in and not heard yet.
    Joining,
    /// It is there.
    Up,
    /// It is there and hands over what it has, as it was asked to leave.
    Leaving,
    /// It was silent for too long, or its process is gone; it may return.
    Dead,
    /// It left, or a later life of the node took its name. It never returns under this number.
    Left,
}

impl Standing {
    /// Whether it takes part.
    pub fn is_here(self) -> bool {
        matches!(self, Standing::Up | Standing::Leaving)
    }
}

/// A member of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub id: MemberId,
    /// The name of its node.
    pub name: String,
    /// Which process it is: another number each time that the node starts.
    pub incarnation: u64,
    /// Where its peers reach it.
    pub address: String,
    /// What it is.
    pub role: Role,
    /// Its worker threads.
    pub workers: u32,
    /// Whether it keeps on its disk what it acknowledges.
    pub durable: bool,
    /// How the zone sees it.
    pub standing: Standing,
    /// Unix microseconds at which that last changed, by the clock of whoever decided it.
    pub changed_at: u64,
}

/// A node, as it presents itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// The name of its zone.
    pub zone: String,
    /// Its own name: one node of a zone has it.
    pub name: String,
    /// Which process it is: random, another one each time that it starts.
    pub incarnation: u64,
    /// Where its peers reach it.
    pub address: String,
    /// What it is.
    pub role: Role,
    /// Its worker threads.
    pub workers: u32,
    /// Whether it keeps on its disk what it acknowledges, and what [`Output::Keep`](crate::Output::Keep) says.
    pub durable: bool,
    /// Unix microseconds at the zero of the clock whose times it gives, for showing when something changed.
    pub epoch_at: u64,
}
