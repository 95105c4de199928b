//! What the zone decides: the commands in its replicated log, as bytes with a format number.

use anabranch_model::zone::{Group, MemberId, Term};
use serde::{Deserialize, Serialize};

use crate::member::Me;

/// The format of commands.
const FORMAT: u8 = 1;

/// Why a member counts as dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// It was not heard for longer than its lease and the margin.
    Silent,
    /// Its kernel closed its connections and refuses new ones: its process is gone.
    Refused,
}

/// One decision. Each is checked where it is applied and does nothing where it does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// A node becomes a member; a dead one of its name has left with that.
    Join { node: Me },
    /// A member that kept its identity on disk is back in another process.
    Return { member: MemberId, node: Me },
    /// A member was heard.
    Up { member: MemberId, incarnation: u64 },
    /// A member is gone.
    Dead { member: MemberId, incarnation: u64, cause: Cause },
    /// A member is to hand over what it has.
    Leave { member: MemberId },
    /// A leaving member has nothing left.
    Left { member: MemberId },
    /// There are tables with so many copies.
    Classes { copies: Vec<u16> },
    /// Who is to hold what, the preferred owner first.
    Replicas { wanted: Vec<(Group, Vec<MemberId>)> },
    /// A group is to go to another member.
    Move { group: Group, term: Term, to: MemberId },
    /// A member has all that the owner has.
    CaughtUp { group: Group, term: Term, member: MemberId },
    /// The owner waits for a member no longer.
    Drop { group: Group, term: Term, member: MemberId },
    /// The owner has handed a group over.
    HandOver { group: Group, term: Term, to: MemberId },
    /// An operator wants what nobody serves served from what there is.
    ForceServe { by: MemberId, number: u64, alone: bool },
    /// An operator wants ownership evened out.
    Rebalance { by: MemberId, number: u64 },
    /// A flow is to run.
    Deploy { flow: String, text: String, by: MemberId, number: u64 },
    /// What a member's compiler says of a revision.
    Compiled { flow: String, revision: u64, member: MemberId, refused: Option<String> },
    /// A flow is to go.
    Withdraw { flow: String, by: MemberId, number: u64 },
    /// Several at once, in order; none of them is such a one again.
    All { of: Vec<Command> },
}

/// A command with the time at which it was proposed, in Unix microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) command: Command,
}

impl Entry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        serde_json::to_writer(&mut bytes, self).expect("commands have no maps and no failing parts");
        bytes
    }

    /// `None` where it is no command of this format.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Entry> {
        let (format, rest) = bytes.split_first()?;
        (*format == FORMAT).then(|| serde_json::from_slice(rest).ok()).flatten()
    }
}
