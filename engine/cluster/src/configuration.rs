//! The configuration of a group: who owns it, who has all of it, and which changes of that there are.
//!
//! INVARIANTS: the owner is in `in_sync`; an owner that is not the one before comes out of the `in_sync` before, but for a
//! recorded force-serve; each change of owner or `in_sync` makes the term grow by one, and so
//! does an owner that goes on in another process.

use std::collections::BTreeMap;

use anabranch_model::zone::{MemberId, Term};
use serde::{Deserialize, Serialize};

use crate::member::{Member, Role, Standing};

/// Who owns a group, who has all of it, who is to have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Grows with each change of `owner` and `in_sync`.
    pub term: Term,
    /// Who serves it; `None` while nobody that may serve it is here.
    pub owner: Option<MemberId>,
    /// The term in which that became so: there are terms that keep the owner.
    pub tenure: Term,
    /// Who served it last.
    pub last_owner: MemberId,
    /// Who has everything that was acknowledged, in order of their numbers.
    pub in_sync: Vec<MemberId>,
    /// Those of `in_sync` that came back in another process while nobody else had everything: they serve when all of
    /// `in_sync` are back.
    pub returned: Vec<MemberId>,
    /// Who is to hold it; the preferred owner first.
    pub replicas: Vec<MemberId>,
    /// To whom the owner is to hand it over now.
    pub moving: Option<MemberId>,
    /// Unix microseconds of the last change of the term.
    pub changed_at: u64,
    /// How often it got another owner because the one before was lost.
    pub takeovers: u64,
    /// How often it was handed over.
    pub moves: u64,
}

type Members = BTreeMap<MemberId, Member>;

fn is_here(members: &Members, id: MemberId) -> bool {
    members.get(&id).is_some_and(|member| member.standing.is_here())
}

fn is_data_here(members: &Members, id: MemberId) -> bool {
    members.get(&id).is_some_and(|member| member.standing.is_here() && member.role == Role::Data)
}

impl Configuration {
    /// Of a group without rows: whoever is to hold it has all of it.
    pub(crate) fn first(replicas: Vec<MemberId>, members: &Members, at: u64) -> Option<Configuration> {
        let mut in_sync: Vec<MemberId> =
            replicas.iter().copied().filter(|id| is_data_here(members, *id)).collect();
        let owner = *in_sync.first()?;
        in_sync.sort();
        Some(Configuration {
            term: Term::FIRST,
            owner: Some(owner),
            tenure: Term::FIRST,
            last_owner: owner,
            in_sync,
            returned: Vec::new(),
            replicas,
            moving: None,
            changed_at: at,
            takeovers: 0,
            moves: 0,
        })
    }

    fn change(&mut self, owner: Option<MemberId>, mut in_sync: Vec<MemberId>, at: u64) {
        in_sync.sort();
        in_sync.dedup();
        // An owner in another process is another one, whatever it kept.
        let another = owner != self.owner || owner.is_some_and(|owner| self.returned.contains(&owner));
        if !another && in_sync == self.in_sync {
            return;
        }
        assert!(owner.is_none_or(|owner| in_sync.contains(&owner)), "owner {owner:?} in {in_sync:?}");
        self.term = self.term.next();
        self.takeovers += u64::from(owner.is_some_and(|owner| owner != self.last_owner));
        self.last_owner = owner.unwrap_or(self.last_owner);
        self.returned.retain(|id| in_sync.contains(id) && owner.is_none());
        if another {
            self.tenure = self.term;
        }
        self.owner = owner;
        self.in_sync = in_sync;
        self.changed_at = at;
        self.moving =
            self.moving.filter(|to| owner.is_some() && self.in_sync.contains(to) && owner != Some(*to));
    }

    /// A member of the in-sync set is back in another process.
    pub(crate) fn came_back(&mut self, id: MemberId) {
        if self.in_sync.contains(&id) && !self.returned.contains(&id) {
            self.returned.push(id);
            self.returned.sort();
        }
    }

    /// Puts it right after a change among the members: who is gone is no longer waited for, and who has everything takes
    /// over from an owner that is gone.
    pub(crate) fn settle(&mut self, members: &Members, at: u64) {
        let whole = |id: MemberId| is_here(members, id) && !self.returned.contains(&id);
        if let Some(owner) = self.owner.filter(|owner| whole(*owner)) {
            let in_sync = self.in_sync.iter().copied().filter(|id| whole(*id)).collect();
            return self.change(Some(owner), in_sync, at);
        }
        let ready: Vec<MemberId> = self.in_sync.iter().copied().filter(|id| whole(*id)).collect();
        match self.successor(&ready).or_else(|| self.successor_of_returned(members)) {
            Some(owner) => self.change(Some(owner), vec![owner], at),
            None => self.change(None, self.in_sync.clone(), at),
        }
    }

    fn successor(&self, ready: &[MemberId]) -> Option<MemberId> {
        self.replicas.iter().find(|id| ready.contains(id)).or(ready.first()).copied()
    }

    /// Where everybody that had everything came back: who served last, or the first of them.
    fn successor_of_returned(&self, members: &Members) -> Option<MemberId> {
        let gone = |id: MemberId| members.get(&id).is_none_or(|member| member.standing == Standing::Left);
        let back = |id: MemberId| is_here(members, id) && self.returned.contains(&id);
        if !self.in_sync.iter().all(|id| gone(*id) || back(*id)) {
            return None;
        }
        let ready: Vec<MemberId> = self.in_sync.iter().copied().filter(|id| back(*id)).collect();
        ready.contains(&self.last_owner).then_some(self.last_owner).or_else(|| self.successor(&ready))
    }

    /// Somebody serves what nobody may; gives whether there was such a one.
    pub(crate) fn force(&mut self, members: &Members, at: u64) -> bool {
        if self.owner.is_some() {
            return false;
        }
        let here = |id: &&MemberId| is_data_here(members, **id);
        let anybody = members.keys().find(|id| is_data_here(members, **id));
        let last = Some(&self.last_owner).filter(|id| self.in_sync.contains(id)).filter(here);
        let owner = last
            .or_else(|| self.in_sync.iter().find(here))
            .or_else(|| self.replicas.iter().find(here))
            .or(anybody);
        let Some(owner) = owner.copied() else { return false };
        self.change(Some(owner), vec![owner], at);
        true
    }

    /// A member has all of it. Gives whether that changed something, like those below.
    pub(crate) fn caught_up(&mut self, term: Term, id: MemberId, members: &Members, at: u64) -> bool {
        let fits = self.term == term && self.owner.is_some() && is_data_here(members, id);
        if !fits || self.in_sync.contains(&id) {
            return false;
        }
        let in_sync = self.in_sync.iter().copied().chain([id]).collect();
        self.change(self.owner, in_sync, at);
        true
    }

    /// A member is no longer waited for.
    pub(crate) fn drop_copy(&mut self, term: Term, id: MemberId, at: u64) -> bool {
        let fits = self.term == term && self.owner.is_some_and(|owner| owner != id);
        if !fits {
            return false;
        }
        if !self.in_sync.contains(&id) {
            // Its owner may have said before that it has all: that counts no more.
            (self.term, self.changed_at) = (self.term.next(), at);
            return true;
        }
        let in_sync = self.in_sync.iter().copied().filter(|other| *other != id).collect();
        self.change(self.owner, in_sync, at);
        true
    }

    /// The owner is to hand it over.
    pub(crate) fn start_move(&mut self, term: Term, to: MemberId, members: &Members) -> bool {
        let fits = self.term == term && self.owner.is_some_and(|owner| owner != to);
        if !fits || !self.in_sync.contains(&to) || !is_data_here(members, to) || self.moving == Some(to) {
            return false;
        }
        self.moving = Some(to);
        true
    }

    /// The owner has handed it over: both have everything.
    pub(crate) fn hand_over(&mut self, term: Term, to: MemberId, members: &Members, at: u64) -> bool {
        let fits = self.term == term && self.owner.is_some_and(|owner| owner != to);
        if !fits || !self.in_sync.contains(&to) || !is_data_here(members, to) {
            return false;
        }
        let takeovers = self.takeovers;
        self.change(Some(to), self.in_sync.clone(), at);
        (self.takeovers, self.moves, self.moving) = (takeovers, self.moves + 1, None);
        true
    }
}
