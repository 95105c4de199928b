//! What a node wants decided. A wish is sent to the leader until the state shows that it was decided, or has become void.

use anabranch_model::zone::{Group, MemberId, Term};

use crate::command::Command;
use crate::member::Standing;
use crate::state::State;

/// What a node wants decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// There are tables with so many copies (0 and what is known already change nothing).
    Classes(Vec<u16>),
    /// A member has all that this owner has, and is waited for from now on.
    CaughtUp {
        /// Of which group.
        group: Group,
        /// The term in which that is so.
        term: Term,
        /// Who.
        member: MemberId,
    },
    /// This owner waits for a member no longer: its copy is too slow.
    Drop {
        /// Of which group.
        group: Group,
        /// The term in which that is so.
        term: Term,
        /// Who.
        member: MemberId,
    },
    /// This owner takes no more rows of a group, and the other one has everything.
    HandOver {
        /// Of which group.
        group: Group,
        /// The term in which that is so.
        term: Term,
        /// To whom.
        to: MemberId,
    },
    /// A member is to hand over what it has, and to go.
    Leave(MemberId),
    /// What nobody may serve is to be served from what there is; loses what only the others have. Without a leader for
    /// [`FORCE_AFTER`](crate::FORCE_AFTER) this node goes on alone: the others' votes are taken away.
    ForceServe,
    /// Ownership is to be evened out. That happens by itself; this is for the record.
    Rebalance,
    /// A flow is to run, from its text.
    Deploy {
        /// Its name.
        flow: String,
        /// Its text.
        text: String,
    },
    /// What this node's compiler says of a revision that is pending.
    Compiled {
        /// Its flow.
        flow: String,
        /// Its number.
        revision: u64,
        /// Why it does not compile, where it does not.
        refused: Option<String>,
    },
    /// A flow is to go.
    Withdraw {
        /// Its name.
        flow: String,
    },
}

impl Wish {
    pub(crate) fn command(self, by: MemberId, number: u64) -> Command {
        match self {
            Wish::Classes(copies) => Command::Classes { copies },
            Wish::CaughtUp { group, term, member } => Command::CaughtUp { group, term, member },
            Wish::Drop { group, term, member } => Command::Drop { group, term, member },
            Wish::HandOver { group, term, to } => Command::HandOver { group, term, to },
            Wish::Leave(member) => Command::Leave { member },
            Wish::ForceServe => Command::ForceServe { by, number, alone: false },
            Wish::Rebalance => Command::Rebalance { by, number },
            Wish::Deploy { flow, text } => Command::Deploy { flow, text, by, number },
            Wish::Compiled { flow, revision, refused } => {
                Command::Compiled { flow, revision, member: by, refused }
            }
            Wish::Withdraw { flow } => Command::Withdraw { flow, by, number },
        }
    }
}

impl Command {
    /// The number of a wish that must not be done twice, and is done in the order of the numbers.
    pub(crate) fn number(&self) -> Option<(MemberId, u64)> {
        match self {
            Command::ForceServe { by, number, .. }
            | Command::Rebalance { by, number }
            | Command::Deploy { by, number, .. }
            | Command::Withdraw { by, number, .. } => Some((*by, *number)),
            _ => None,
        }
    }

    /// Whether it was decided, or can have no effect any more.
    pub(crate) fn is_settled(&self, state: &State) -> bool {
        if let Some((by, number)) = self.number() {
            return state.wishes.get(&by).is_some_and(|last| *last >= number);
        }
        match self {
            Command::CaughtUp { group, term, .. }
            | Command::Drop { group, term, .. }
            | Command::HandOver { group, term, .. } => {
                state.groups.get(group).is_none_or(|of| of.term > *term)
            }
            Command::Leave { member } => {
                state.members.get(member).is_none_or(|member| member.standing != Standing::Up)
            }
            Command::Classes { copies } => {
                copies.iter().all(|copies| *copies == 0 || state.has_class(*copies))
            }
            Command::Compiled { flow, revision, member, .. } => {
                let pending = state
                    .flows
                    .get(flow)
                    .filter(|flow| flow.pending.as_ref().is_some_and(|pending| pending.number == *revision));
                // This member may not have heard of the revision yet.
                *revision < state.next_revision && pending.is_none_or(|flow| flow.compiled.contains(member))
            }
            _ => true,
        }
    }

    /// Whether a member may wish this, as the leader sees it.
    pub(crate) fn may_wish(&self, from: MemberId, state: &State) -> bool {
        let owns = |group: &Group| state.groups.get(group).is_some_and(|of| of.owner == Some(from));
        match self {
            Command::CaughtUp { group, .. }
            | Command::Drop { group, .. }
            | Command::HandOver { group, .. } => owns(group),
            Command::Compiled { member, .. } => *member == from,
            Command::Classes { .. } | Command::Leave { .. } => true,
            command => command.number().is_some_and(|(by, _)| by == from),
        }
    }
}
