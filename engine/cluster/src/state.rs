//! The replicated state of a zone: what its log of decisions amounts to. Pure: the same commands in the same order give the
//! same state on every member.

#[cfg(test)]
mod laws;

use std::collections::{BTreeMap, BTreeSet};

use anabranch_model::zone::{Group, MemberId, ZONE_PARTITIONS};
use serde::{Deserialize, Serialize};

use crate::command::{Cause, Command, Entry};
use crate::configuration::Configuration;
use crate::flow::{Flow, Revision};
use crate::member::{Me, Member, Role, Standing};
use crate::placement;

/// The format of a state as bytes.
const FORMAT: u8 = 1;

/// Acts that are remembered; the oldest go.
pub(crate) const ACTS_MAX: usize = 64;

/// Members of a zone that have not left; further nodes are not taken in.
pub(crate) const MEMBERS_MAX: usize = 128;

/// Members that left and are remembered; those with the lowest numbers go, unless a group still waits for them.
pub(crate) const LEFT_MAX: usize = 64;

/// Something that an operator did, or that operators should know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Unix microseconds.
    pub at: u64,
    /// Which node.
    pub by: String,
    /// What.
    pub what: Deed,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Groups that nobody could serve are served from what there was.
    ForcedToServe {
        /// How many.
        groups: u32,
        /// Whether without a majority of the votes: the others' votes were taken away.
        alone: bool,
    },
    /// Ownership was asked to be evened out.
    Rebalanced,
    /// A member counted as dead.
    Died(MemberId, Cause),
    /// A member was asked to leave.
    AskedToLeave(MemberId),
}

/// The state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The zone's own number: the incarnation of who founded it.
    pub(crate) zone: u64,
    pub(crate) name: String,
    /// How often it was forced to go on without a majority.
    pub(crate) forced: u32,
    /// Grows with each change.
    pub(crate) version: u64,
    /// Grows with each change that placement has to look at.
    pub(crate) shape: u64,
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) next_member: u64,
    #[serde(with = "pairs")]
    pub(crate) groups: BTreeMap<Group, Configuration>,
    pub(crate) flows: BTreeMap<String, Flow>,
    pub(crate) next_revision: u64,
    /// The highest number of a wish with an effect that cannot be done twice, by who wished.
    pub(crate) wishes: BTreeMap<MemberId, u64>,
    pub(crate) acts: Vec<Act>,
}

/// Maps whose keys are no strings, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K, V, S>(map: &BTreeMap<K, V>, to: S) -> Result<S::Ok, S::Error>
    where
        K: Serialize,
        V: Serialize,
        S: Serializer,
    {
        to.collect_seq(map.iter())
    }

    pub(super) fn deserialize<'de, K, V, D>(from: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}

impl State {
    /// Of a zone that one node begins; it is there.
    pub(crate) fn founded(me: &Me, at: u64) -> State {
        let id = MemberId(1);
        let mut state =
            State { zone: me.incarnation, name: me.zone.clone(), next_member: 2, ..State::default() };
        state.version = 1;
        state.next_revision = 1;
        state.members.insert(id, member_of(id, me, Standing::Up, at));
        state
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        serde_json::to_writer(&mut bytes, self).expect("its maps have numbers or strings as keys");
        bytes
    }

    /// `None` where it is no state of this format, or one that cannot be.
    pub(crate) fn decode(bytes: &[u8]) -> Option<State> {
        let (format, rest) = bytes.split_first()?;
        let state: State = (*format == FORMAT).then(|| serde_json::from_slice(rest).ok()).flatten()?;
        state.is_sound().then_some(state)
    }

    fn is_sound(&self) -> bool {
        let groups = self.groups.iter().all(|(group, configuration)| {
            u32::from(group.number) < ZONE_PARTITIONS
                && configuration.in_sync.is_sorted()
                && configuration.owner.is_none_or(|owner| configuration.in_sync.contains(&owner))
        });
        groups && self.members.iter().all(|(id, member)| *id == member.id && id.0 < self.next_member)
    }

    /// The member of this name that has not left.
    pub(crate) fn named(&self, name: &str) -> Option<&Member> {
        self.members.values().find(|member| member.name == name && member.standing != Standing::Left)
    }

    /// Data members that are here and stay.
    pub(crate) fn eligible(&self) -> Vec<MemberId> {
        let stays = |member: &&Member| member.standing == Standing::Up && member.role == Role::Data;
        self.members.values().filter(stays).map(|member| member.id).collect()
    }

    /// Applies one command; gives whether it changed something.
    pub(crate) fn apply(&mut self, entry: Entry) -> bool {
        let Entry { at, command } = entry;
        let changed = self.perform(command, at);
        if changed {
            self.next_version();
        }
        changed
    }

    fn next_version(&mut self) {
        self.version += 1;
    }

    fn perform(&mut self, command: Command, at: u64) -> bool {
        match command {
            Command::Join { node } => self.join(node, at),
            Command::Return { member, node } => self.come_back(member, node, at),
            Command::Up { member, incarnation } => self.up(member, incarnation, at),
            Command::Dead { member, incarnation, cause } => self.dead(member, incarnation, cause, at),
            Command::Leave { member } => self.leave(member, at),
            Command::Left { member } => self.left(member, at),
            Command::Classes { copies } => self.classes(copies, at),
            Command::Replicas { wanted } => self.replicas(wanted),
            Command::Move { group, term, to } => {
                self.group(group, |of, members| of.start_move(term, to, members))
            }
            Command::CaughtUp { group, term, member } => {
                self.group(group, |of, members| of.caught_up(term, member, members, at))
            }
            Command::Drop { group, term, member } => {
                self.group(group, |of, _| of.drop_copy(term, member, at))
            }
            Command::HandOver { group, term, to } => {
                self.group(group, |of, members| of.hand_over(term, to, members, at))
            }
            Command::ForceServe { by, number, alone } => {
                self.is_new_wish(by, number) && self.force_serve(by, alone, at)
            }
            Command::Rebalance { by, number } => {
                self.is_new_wish(by, number) && {
                    self.shape += 1;
                    self.note(at, self.name_of(by), Deed::Rebalanced)
                }
            }
            Command::Deploy { flow, text, by, number } => self.deploy(flow, text, by, number),
            Command::Compiled { flow, revision, member, refused } => {
                let known = self.flows.get_mut(&flow);
                known.is_some_and(|flow| flow.compiled(revision, member, refused)) && self.activate()
            }
            Command::Withdraw { flow, by, number } => {
                self.is_new_wish(by, number) && self.flows.remove(&flow).is_some()
            }
            Command::All { of } => {
                let one = |command: &Command| !matches!(command, Command::All { .. });
                of.into_iter().filter(one).fold(false, |changed, command| self.perform(command, at) | changed)
            }
        }
    }

    fn group(
        &mut self,
        group: Group,
        change: impl FnOnce(&mut Configuration, &BTreeMap<MemberId, Member>) -> bool,
    ) -> bool {
        self.groups.get_mut(&group).is_some_and(|of| change(of, &self.members))
    }

    fn join(&mut self, node: Me, at: u64) -> bool {
        if let Some(old) = self.named(&node.name) {
            if old.standing != Standing::Dead || old.incarnation == node.incarnation {
                return false;
            }
            let old = old.id;
            self.stand(old, Standing::Left, at);
        }
        let staying = self.members.values().filter(|member| member.standing != Standing::Left);
        if staying.count() >= MEMBERS_MAX {
            return false;
        }
        let id = MemberId(self.next_member);
        self.next_member += 1;
        self.members.insert(id, member_of(id, &node, Standing::Joining, at));
        self.settle(at);
        self.forget();
        true
    }

    fn come_back(&mut self, id: MemberId, node: Me, at: u64) -> bool {
        let Some(member) = self.members.get_mut(&id) else { return false };
        let same = member.name == node.name && member.role == node.role;
        if !same || member.standing == Standing::Left || member.incarnation == node.incarnation {
            return false;
        }
        let leaving = member.standing == Standing::Leaving;
        self.shape += 1;
        *member = member_of(id, &node, if leaving { Standing::Leaving } else { Standing::Up }, at);
        // Its new process counts its wishes from the beginning.
        self.wishes.remove(&id);
        for configuration in self.groups.values_mut() {
            configuration.came_back(id);
        }
        self.settle(at);
        true
    }

    fn up(&mut self, id: MemberId, incarnation: u64, at: u64) -> bool {
        let fits = self.members.get(&id).is_some_and(|member| {
            member.incarnation == incarnation && matches!(member.standing, Standing::Joining | Standing::Dead)
        });
        if fits {
            self.stand(id, Standing::Up, at);
            self.settle(at);
        }
        fits
    }

    fn dead(&mut self, id: MemberId, incarnation: u64, cause: Cause, at: u64) -> bool {
        let fits = |member: &&Member| {
            member.incarnation == incarnation
                && matches!(member.standing, Standing::Joining | Standing::Up | Standing::Leaving)
        };
        let Some(name) = self.members.get(&id).filter(fits).map(|member| member.name.clone()) else {
            return false;
        };
        self.stand(id, Standing::Dead, at);
        self.settle(at);
        self.note(at, name, Deed::Died(id, cause))
    }

    fn leave(&mut self, id: MemberId, at: u64) -> bool {
        let here = self.members.get(&id).filter(|member| member.standing == Standing::Up);
        let Some(name) = here.map(|member| member.name.clone()) else { return false };
        self.stand(id, Standing::Leaving, at);
        self.note(at, name, Deed::AskedToLeave(id))
    }

    fn left(&mut self, id: MemberId, at: u64) -> bool {
        let leaving = self.members.get(&id).is_some_and(|member| member.standing == Standing::Leaving);
        let needed = self.groups.values().any(|of| of.in_sync.contains(&id));
        if !leaving || needed {
            return false;
        }
        self.stand(id, Standing::Left, at);
        self.settle(at);
        self.forget();
        true
    }

    fn stand(&mut self, id: MemberId, standing: Standing, at: u64) {
        self.shape += 1;
        if let Some(member) = self.members.get_mut(&id) {
            member.standing = standing;
            member.changed_at = at;
        }
    }

    /// Puts configurations and flows right after a change among the members.
    fn settle(&mut self, at: u64) {
        for configuration in self.groups.values_mut() {
            configuration.settle(&self.members, at);
        }
        self.activate();
    }

    /// Forgets members that left long ago.
    fn forget(&mut self) {
        let left = self.members.values().filter(|member| member.standing == Standing::Left);
        let left: Vec<MemberId> = left.map(|member| member.id).collect();
        for id in left.iter().take(left.len().saturating_sub(LEFT_MAX)) {
            if !self.groups.values().any(|of| of.in_sync.contains(id)) {
                self.members.remove(id);
                self.wishes.remove(id);
            }
        }
    }

    fn classes(&mut self, copies: Vec<u16>, at: u64) -> bool {
        let mut changed = false;
        for copies in copies {
            if self.has_class(copies) || copies == 0 {
                continue;
            }
            let placed = placement::place(copies, &self.nodes(), &[]);
            for (number, replicas) in placed.into_iter().enumerate() {
                let Some(first) = Configuration::first(replicas, &self.members, at) else { continue };
                self.groups.insert(Group { copies, number: number as u16 }, first);
                self.shape += 1;
                changed = true;
            }
        }
        changed
    }

    /// Whether there are groups for tables with so many copies.
    pub(crate) fn has_class(&self, copies: u16) -> bool {
        self.groups.contains_key(&Group { copies, number: 0 })
    }

    /// What placement goes by: who is eligible, with a number that a node keeps over its lives.
    pub(crate) fn nodes(&self) -> Vec<placement::Node> {
        let node = |id| placement::Node::new(id, &self.members[&id].name);
        self.eligible().into_iter().map(node).collect()
    }

    /// Who is to hold what, where that differs from what is wanted now.
    pub(crate) fn placed(&self) -> Vec<(Group, Vec<MemberId>)> {
        let nodes = self.nodes();
        let classes: BTreeSet<u16> = self.groups.keys().map(|group| group.copies).collect();
        let mut wanted = Vec::new();
        for copies in classes {
            let of = |number| self.groups.get(&Group { copies, number });
            let present: Vec<placement::Present> = (0..ZONE_PARTITIONS as u16)
                .map(|number| of(number).map(placement::Present::of).unwrap_or_default())
                .collect();
            for (number, replicas) in placement::place(copies, &nodes, &present).into_iter().enumerate() {
                let group = Group { copies, number: number as u16 };
                if self.groups.get(&group).is_some_and(|of| of.replicas != replicas) {
                    wanted.push((group, replicas));
                }
            }
        }
        wanted
    }

    fn replicas(&mut self, wanted: Vec<(Group, Vec<MemberId>)>) -> bool {
        let mut changed = false;
        for (group, replicas) in wanted {
            let known = replicas.iter().all(|id| self.members.contains_key(id));
            let Some(of) = self.groups.get_mut(&group).filter(|of| known && of.replicas != replicas) else {
                continue;
            };
            of.moving = of.moving.filter(|to| replicas.first() == Some(to));
            of.replicas = replicas;
            changed = true;
            self.shape += 1;
        }
        changed
    }

    fn force_serve(&mut self, by: MemberId, alone: bool, at: u64) -> bool {
        self.shape += 1;
        let mut groups = 0;
        for configuration in self.groups.values_mut() {
            groups += u32::from(configuration.force(&self.members, at));
        }
        self.note(at, self.name_of(by), Deed::ForcedToServe { groups, alone })
    }

    fn name_of(&self, id: MemberId) -> String {
        self.members.get(&id).map(|member| member.name.clone()).unwrap_or_default()
    }

    /// Goes on without those who cannot be reached: all but one member count as dead, and what they know is not heard of
    /// again.
    pub(crate) fn go_on_alone(&mut self, me: MemberId, at: u64) {
        self.forced += 1;
        let others: Vec<MemberId> = self.members.keys().copied().filter(|id| *id != me).collect();
        for id in others {
            if self.members[&id].standing != Standing::Left {
                self.stand(id, Standing::Dead, at);
            }
        }
        self.settle(at);
        self.next_version();
    }

    fn note(&mut self, at: u64, by: String, what: Deed) -> bool {
        if self.acts.len() >= ACTS_MAX {
            self.acts.remove(0);
        }
        self.acts.push(Act { at, by, what });
        true
    }

    /// Whether a member has not wished this before; remembers it.
    fn is_new_wish(&mut self, by: MemberId, number: u64) -> bool {
        let last = self.wishes.entry(by).or_default();
        let new = number > *last;
        *last = number.max(*last);
        new
    }

    fn deploy(&mut self, flow: String, text: String, by: MemberId, wish: u64) -> bool {
        if !self.members.contains_key(&by) || !self.is_new_wish(by, wish) {
            return false;
        }
        let number = self.next_revision;
        self.next_revision += 1;
        let flow = self.flows.entry(flow).or_default();
        if flow.id == 0 {
            flow.id = number as u32;
        }
        flow.deploy(Revision { number, text, by, wish });
        true
    }

    /// Activates flows that all data members that are here have compiled.
    fn activate(&mut self) -> bool {
        let data = self.members.values().filter(|member| member.role == Role::Data);
        let here = data.filter(|member| member.standing.is_here()).map(|member| member.id).collect();
        for flow in self.flows.values_mut() {
            flow.activate(&here);
        }
        true
    }
}

fn member_of(id: MemberId, node: &Me, standing: Standing, at: u64) -> Member {
    Member {
        id,
        name: node.name.clone(),
        incarnation: node.incarnation,
        address: node.address.clone(),
        role: node.role,
        workers: node.workers,
        durable: node.durable,
        standing,
        changed_at: at,
    }
}
