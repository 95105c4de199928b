//! What a node does for its zone beside its rows: it hears what was decided, tells its workers, and says what they have done.
//!
//! Without I/O, threads and clock: whoever drives it gives it what comes and the time, and does what it says.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anabranch_cluster::{
    Cluster, Configuration, Contact, Error as ClusterError, Event, Me, Output, Reason, Standing, View, Wish,
};
use anabranch_model::message::{FlowId, WorkerId};
use anabranch_model::zone::{Group, MemberId, Term};

use crate::zone::says::Says;
use crate::zone::view::{Life, Other, WorkerView};

/// What comes.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A frame of the deciding.
    Message(Contact, Vec<u8>),
    /// There is a link to a member.
    Linked(MemberId),
    /// There is none any more; whether its process is gone.
    Unlinked(MemberId, bool),
    /// What was to be kept up to here is on disk.
    Kept(u64),
    /// A worker has done something.
    Says(Says),
    /// Something is to be decided.
    Wish(Wish),
}

/// What is to be done, in order.
#[derive(Debug)]
pub(crate) enum Act {
    Send(Contact, Vec<u8>),
    #[expect(dead_code, reason = "no node keeps its part of a zone yet")]
    Keep {
        serial: u64,
        whole: bool,
        bytes: Vec<u8>,
    },
    Lease(u64),
    /// Workers see this, and the node knows these members.
    View(Arc<View>, Arc<WorkerView>),
    /// Workers send all of a group to a member.
    Fill(Group, MemberId, u64),
    /// Workers do nothing of a group any more in this term.
    Drain(Group, Term),
    /// A revision of a flow is to be compiled, and what comes of it to be wished.
    Compile {
        flow: String,
        number: u64,
        text: String,
    },
    /// A flow is to run.
    Run {
        id: FlowId,
        flow: String,
        number: u64,
        text: String,
    },
    /// It is not to run any more.
    End(String),
    /// A link to a node that sends what no node should is to be ended.
    Unlink(MemberId),
    /// The node is no member, and will not be.
    Over(Reason),
}

/// A group that another node is being filled with.
#[derive(Debug, Default)]
struct Filling {
    tenure: Option<Term>,
    number: u64,
    done: BTreeSet<WorkerId>,
}

/// A group that is being handed over.
#[derive(Debug)]
struct Moving {
    term: Term,
    to: MemberId,
    drained: BTreeSet<WorkerId>,
}

/// A node's deputy in its zone.
#[derive(Debug)]
pub(crate) struct Steward {
    cluster: Cluster,
    workers: u32,
    view: Arc<View>,
    linked: BTreeSet<MemberId>,
    filling: BTreeMap<(Group, MemberId), Filling>,
    moving: BTreeMap<Group, Moving>,
    fills: u64,
    /// Members whose copies are given up: groups that wait for them are to drop them, those of the terms in which they may
    /// still be taken in, too.
    lost: BTreeMap<MemberId, BTreeMap<Group, Term>>,
    /// Revisions that were given to be compiled, and those that run, by flow.
    compiled: BTreeMap<String, u64>,
    /// All that the zone had since this node joined it.
    known_flows: BTreeSet<FlowId>,
    running: BTreeMap<String, u64>,
    acts: Vec<Act>,
}

impl Steward {
    pub(crate) fn new(cluster: Cluster, me: &Me) -> Self {
        Steward {
            view: cluster.view().clone(),
            cluster,
            workers: me.workers,
            linked: BTreeSet::new(),
            filling: BTreeMap::new(),
            moving: BTreeMap::new(),
            fills: 0,
            lost: BTreeMap::new(),
            compiled: BTreeMap::new(),
            known_flows: BTreeSet::new(),
            running: BTreeMap::new(),
            acts: Vec::new(),
        }
    }

    /// The zone as it is known here.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// When [`Steward::turn`] is to be called at the latest.
    pub(crate) fn due(&self) -> u64 {
        self.cluster.due()
    }

    /// Takes what comes at time `now`, in microseconds of a clock that only goes forward.
    ///
    /// # Errors
    /// A message is none of this zone; nothing has changed.
    pub(crate) fn hear(&mut self, now: u64, heard: Heard) -> Result<(), ClusterError> {
        match heard {
            Heard::Message(from, bytes) => self.cluster.handle(now, Event::Message { from, bytes })?,
            Heard::Linked(member) => {
                self.linked.insert(member);
                self.cluster.handle(now, Event::LinkUp(member))?;
                self.fill();
            }
            Heard::Unlinked(member, refused) => {
                self.linked.remove(&member);
                self.cluster.handle(now, Event::LinkLost { member, refused })?;
            }
            Heard::Kept(serial) => self.cluster.handle(now, Event::Kept(serial))?,
            Heard::Says(says) => self.says(now, says),
            Heard::Wish(wish) => drop(self.cluster.wish(now, wish)),
        }
        Ok(())
    }

    /// What to do at time `now`.
    pub(crate) fn turn(&mut self, now: u64) -> Vec<Act> {
        for output in self.cluster.turn(now) {
            match output {
                Output::Send { to, bytes } => self.acts.push(Act::Send(to, bytes)),
                Output::Keep { serial, whole, bytes } => self.acts.push(Act::Keep { serial, whole, bytes }),
                Output::Lease { until } => self.acts.push(Act::Lease(until)),
                Output::View(view) => self.see(now, view),
                Output::Refused(reason) => self.acts.push(Act::Over(reason)),
            }
        }
        std::mem::take(&mut self.acts)
    }

    fn me(&self) -> Option<MemberId> {
        self.view.me
    }

    fn see(&mut self, now: u64, view: Arc<View>) {
        let before = std::mem::replace(&mut self.view, view);
        let Some(me) = self.me() else { return };
        self.unlink_lost(&before);
        self.known_flows.extend(self.view.flows.values().map(|flow| FlowId(flow.id)));
        let for_workers = Arc::new(worker_view(&self.view, me, self.workers, &self.known_flows));
        self.flows();
        self.acts.push(Act::View(self.view.clone(), for_workers));
        self.drop_lost(now);
        self.fill();
        self.hand_over();
        self.say_again(now);
    }

    /// What a node that is lost sends still counts no more: when it comes back, both sides begin anew.
    fn unlink_lost(&mut self, before: &View) {
        let gone = |standing: Standing| matches!(standing, Standing::Dead | Standing::Left);
        let members = self.view.members.iter().map(|seen| &seen.member);
        let was_gone = |id| before.member(id).is_none_or(|member| gone(member.standing));
        let lost = members.filter(|member| gone(member.standing) && !was_gone(member.id));
        self.acts.extend(lost.map(|member| Act::Unlink(member.id)));
    }

    /// The groups that this node owns.
    fn owned(&self) -> impl Iterator<Item = (Group, &Configuration)> {
        let me = self.me();
        let groups = self.view.groups.iter().map(|(group, of)| (*group, of));
        groups.filter(move |(_, of)| me.is_some() && of.owner == me)
    }

    /// Begins to fill those that lack something which is owned here.
    fn fill(&mut self) {
        let mut wanted = BTreeMap::new();
        for (group, of) in self.owned() {
            wanted.extend(self.view.wanting(group).into_iter().map(|member| ((group, member), of.tenure)));
        }
        // A link that is lost is no reason to begin anew: the lanes go on where they were.
        self.filling.retain(|key, filling| wanted.get(key).copied() == filling.tenure);
        let takes = |member: &MemberId| self.linked.contains(member) && !self.lost.contains_key(member);
        for (key, tenure) in wanted.into_iter().filter(|((_, member), _)| takes(member)) {
            if let Entry::Vacant(new) = self.filling.entry(key) {
                self.fills += 1;
                new.insert(Filling { tenure: Some(tenure), number: self.fills, done: BTreeSet::new() });
                self.acts.push(Act::Fill(key.0, key.1, self.fills));
            }
        }
    }

    fn hand_over(&mut self) {
        let moving: BTreeMap<Group, (Term, MemberId)> =
            self.owned().filter_map(|(group, of)| Some((group, (of.term, of.moving?)))).collect();
        self.moving.retain(|group, known| moving.get(group) == Some(&(known.term, known.to)));
        for (group, (term, to)) in moving {
            if let Entry::Vacant(new) = self.moving.entry(group) {
                new.insert(Moving { term, to, drained: BTreeSet::new() });
                self.acts.push(Act::Drain(group, term));
            }
        }
    }

    fn says(&mut self, now: u64, says: Says) {
        match says {
            Says::Filled { worker, group, member, number } => {
                let filling = self.filling.get_mut(&(group, member));
                if let Some(filling) = filling.filter(|filling| filling.number == number) {
                    filling.done.insert(worker);
                }
                self.say_again(now);
            }
            Says::Drained { worker, group, term } => {
                let all = self.workers as usize;
                let Some(moving) = self.moving.get_mut(&group).filter(|moving| moving.term == term) else {
                    return;
                };
                moving.drained.insert(worker);
                if moving.drained.len() == all {
                    let to = moving.to;
                    self.cluster.wish(now, Wish::HandOver { group, term, to });
                }
            }
            Says::Lost { member } => {
                let said = self.filling.extract_if(.., |(_, to), _| *to == member);
                // What one worker has said already counts with it until a newer term.
                let said = said.filter(|(_, filling)| !filling.done.is_empty());
                let terms = |group: &Group| self.view.groups.get(group).map(|of| of.term);
                let void = said.filter_map(|((group, _), _)| Some((group, terms(&group)?))).collect();
                self.lost.insert(member, void);
                self.drop_lost(now);
                self.fill();
            }
            Says::Odd { member } => self.acts.push(Act::Unlink(member)),
        }
    }

    /// Wishes that members whose copies are given up are waited for no longer; said again until it is so.
    fn drop_lost(&mut self, now: u64) {
        let mut wishes = Vec::new();
        let me = self.view.me;
        for (member, void) in &mut self.lost {
            void.retain(|group, term| self.view.groups.get(group).is_some_and(|of| of.term == *term));
            let owned = self.view.groups.iter().filter(|(_, of)| of.owner == me);
            let waits = owned.filter(|(group, of)| of.in_sync.contains(member) || void.contains_key(group));
            let drops = waits.map(|(group, of)| Wish::Drop { group: *group, term: of.term, member: *member });
            let before = wishes.len();
            wishes.extend(drops);
            if wishes.len() == before {
                void.clear();
            }
        }
        let holds = |member: &MemberId| {
            self.view.groups.values().any(|of| of.owner == me && of.in_sync.contains(member))
        };
        self.lost.retain(|member, void| !void.is_empty() || holds(member));
        for wish in wishes {
            self.cluster.wish(now, wish);
        }
    }

    /// Members that have all of a group are to be waited for.
    fn say_again(&mut self, now: u64) {
        let all = self.workers as usize;
        for ((group, member), _) in self.filling.iter().filter(|(_, filling)| filling.done.len() == all) {
            if let Some(of) = self.view.groups.get(group) {
                let wish = Wish::CaughtUp { group: *group, term: of.term, member: *member };
                self.cluster.wish(now, wish);
            }
        }
    }

    fn flows(&mut self) {
        for (name, flow) in &self.view.flows {
            if let Some(pending) = &flow.pending
                && self.compiled.insert(name.clone(), pending.number) != Some(pending.number)
            {
                let (flow, number, text) = (name.clone(), pending.number, pending.text.clone());
                self.acts.push(Act::Compile { flow, number, text });
            }
            if let Some(active) = &flow.active
                && self.running.get(name).is_none_or(|running| *running != active.number)
            {
                let id = FlowId(flow.id);
                self.running.insert(name.clone(), active.number);
                let (flow, number, text) = (name.clone(), active.number, active.text.clone());
                self.acts.push(Act::Run { id, flow, number, text });
            }
        }
        let gone = self.running.extract_if(.., |name, _| !self.view.flows.contains_key(name));
        let gone: Vec<Act> = gone.map(|(flow, _)| Act::End(flow)).collect();
        self.acts.extend(gone);
    }
}

fn worker_view(view: &View, me: MemberId, workers: u32, known: &BTreeSet<FlowId>) -> WorkerView {
    let flows: BTreeSet<FlowId> = view.flows.values().map(|flow| FlowId(flow.id)).collect();
    let members = view.members.iter().map(|seen| &seen.member).filter(|member| member.id != me);
    let other = |member: &anabranch_cluster::Member| {
        let life = match member.standing {
            Standing::Joining => Life::New,
            Standing::Up | Standing::Leaving => Life::Here,
            Standing::Dead | Standing::Left => Life::Gone,
        };
        (member.id, Other { name: member.name.clone(), workers: member.workers, life })
    };
    let owned = view.groups.iter().filter(|(_, of)| of.owner == Some(me));
    let moving = owned.clone().filter(|(_, of)| of.moving.is_some()).map(|(group, _)| *group);
    let others = |of: &Configuration| of.in_sync.iter().copied().filter(|member| *member != me).collect();
    WorkerView {
        version: view.version,
        owners: view.owners(me),
        workers,
        others: members.map(other).collect(),
        dropped: known.difference(&flows).copied().collect(),
        moving: moving.collect(),
        copies: owned.map(|(group, of)| (*group, others(of))).collect(),
    }
}
