//! What a node sees of its zone: who is there, who owns what, which flows run.

use std::collections::BTreeMap;

use anabranch_model::zone::{Group, Holder, MemberId, Owners, Standing as GroupStanding};

use crate::configuration::Configuration;
use crate::flow::Flow;
use crate::member::{Member, Role, Standing};
use crate::state::{Act, State};

/// A member with what the consensus knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The member.
    pub member: Member,
    /// Whether it has a vote.
    pub votes: bool,
    /// Whether it has one when the change of votes that is under way is done. While that differs from `votes` for somebody,
    /// deciding takes a majority of both.
    pub will_vote: bool,
}

/// What a node sees of its zone. An older view is never right where a newer one differs; a newer one may exist elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Grows with each change of what the zone decided; the leader may change without it.
    pub version: u64,
    /// The zone's name.
    pub zone: String,
    /// The zone's own number.
    pub zone_id: u64,
    /// How often it was forced to go on without a majority of its votes.
    pub forced: u32,
    /// Who this node is in it, once it is a member.
    pub me: Option<MemberId>,
    /// Who leads, as far as this node knows.
    pub leader: Option<MemberId>,
    /// Everybody, in the order of joining, and those who left of late.
    pub members: Vec<Seen>,
    /// Who owns what.
    pub groups: BTreeMap<Group, Configuration>,
    /// What runs, by name.
    pub flows: BTreeMap<String, Flow>,
    /// What operators did and should know, the newest last.
    pub acts: Vec<Act>,
}

impl View {
    /// `votes` are those of now, and those when the change that is under way is done.
    pub(crate) fn of(
        state: &State,
        votes: (&[u64], &[u64]),
        me: Option<MemberId>,
        leader: Option<MemberId>,
    ) -> View {
        let seen = |member: &Member| Seen {
            member: member.clone(),
            votes: votes.0.contains(&member.id.0),
            will_vote: votes.1.contains(&member.id.0),
        };
        View {
            version: state.version,
            zone: state.name.clone(),
            zone_id: state.zone,
            forced: state.forced,
            me,
            leader,
            members: state.members.values().map(seen).collect(),
            groups: state.groups.clone(),
            flows: state.flows.clone(),
            acts: state.acts.clone(),
        }
    }

    /// The member of this number.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().map(|seen| &seen.member).find(|member| member.id == id)
    }

    /// The member of this name that has not left.
    pub fn named(&self, name: &str) -> Option<&Member> {
        let mut members = self.members.iter().map(|seen| &seen.member);
        members.find(|member| member.name == name && member.standing != Standing::Left)
    }

    /// Who serves what, as a member sees it: with this view's version, the names of the other data members that have not left, and
    /// what the member has whole copies of.
    pub fn owners(&self, me: MemberId) -> Owners {
        let standings = self.groups.iter().map(|(group, of)| {
            let holder = match of.owner {
                Some(owner) if owner == me => Holder::Here,
                Some(owner) => Holder::There(owner),
                None => Holder::Nobody,
            };
            (*group, GroupStanding { term: of.term, tenure: of.tenure, holder })
        });
        let members = self.members.iter().map(|seen| &seen.member);
        let serves = |member: &&Member| member.role == Role::Data && member.standing != Standing::Left;
        let others = members.filter(serves).filter(|member| member.id != me);
        let held = self.groups.iter().filter(|(_, of)| of.in_sync.contains(&me)).map(|(group, _)| *group);
        Owners::of(standings)
            .numbered(self.version)
            .naming(others.map(|member| (member.name.clone(), member.id)))
            .holding(held)
    }

    /// Members with a vote.
    pub fn votes(&self) -> usize {
        self.members.iter().filter(|seen| seen.votes).count()
    }

    /// Whether the zone stops deciding when one particular node dies although there is another one: the one vote is its.
    /// Two data nodes without a witness are such a zone.
    pub fn hangs_on_one_vote(&self) -> bool {
        let stays = |seen: &&Seen| !matches!(seen.member.standing, Standing::Left);
        self.votes() == 1 && self.members.iter().filter(stays).count() > 1
    }

    /// Members that are to hold a group, are here and lack it: whom its owner has to bring up to date.
    pub fn wanting(&self, group: Group) -> Vec<MemberId> {
        let Some(of) = self.groups.get(&group) else { return Vec::new() };
        let here = |id: &MemberId| {
            self.member(*id).is_some_and(|member| member.standing.is_here() && member.role == Role::Data)
        };
        of.replicas.iter().copied().filter(|id| !of.in_sync.contains(id) && here(id)).collect()
    }
}
