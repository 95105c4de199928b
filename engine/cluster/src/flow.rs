//! The catalogue of flows: what runs, and what is to run once everybody has compiled it.

use std::collections::BTreeSet;

use anabranch_model::zone::MemberId;
use serde::{Deserialize, Serialize};

/// A text of a flow with its number in the zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Grows with each deploy of any flow.
    pub number: u64,
    /// The flow's text.
    pub text: String,
    /// Who asked for it.
    pub by: MemberId,
    /// The number that it gave to its wish.
    pub wish: u64,
}

/// A revision that one member's compiler turned down, which turns it down everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its number.
    pub number: u64,
    /// Who asked for it.
    pub by: MemberId,
    /// The number that it gave to its wish.
    pub wish: u64,
    /// Who turned it down.
    pub member: MemberId,
    /// Why.
    pub reason: String,
}

/// A flow of the zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Its number, which stays over its revisions; from 1.
    pub id: u32,
    /// What runs.
    pub active: Option<Revision>,
    /// What is to run when all data members that are here have compiled it.
    pub pending: Option<Revision>,
    /// Who has compiled the pending one.
    pub compiled: BTreeSet<MemberId>,
    /// The last one that was turned down.
    pub refused: Option<Refusal>,
}

impl Flow {
    /// Takes a new revision in place of one that is pending.
    pub(crate) fn deploy(&mut self, revision: Revision) {
        self.compiled.clear();
        self.pending = Some(revision);
    }

    /// What a member's compiler says; gives whether it was asked.
    pub(crate) fn compiled(&mut self, number: u64, member: MemberId, refused: Option<String>) -> bool {
        let Some(pending) = self.pending.take_if(|pending| pending.number == number) else { return false };
        match refused {
            Some(reason) => {
                let Revision { number, by, wish, .. } = pending;
                self.compiled.clear();
                self.refused = Some(Refusal { number, by, wish, member, reason });
                true
            }
            None => {
                self.pending = Some(pending);
                self.compiled.insert(member)
            }
        }
    }

    /// Activates what all of these have compiled; gives whether there was such a thing.
    pub(crate) fn activate(&mut self, here: &BTreeSet<MemberId>) -> bool {
        if here.is_empty() || !here.is_subset(&self.compiled) {
            return false;
        }
        let Some(pending) = self.pending.take() else { return false };
        self.compiled.clear();
        self.active = Some(pending);
        true
    }
}
