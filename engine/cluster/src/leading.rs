//! What a leader does besides leading: it gives leases, finds out who is dead, takes nodes in, and brings what is towards
//! what is wanted: copies and owners where placement wants them, votes where they are safest.

use std::collections::{BTreeMap, BTreeSet};

use anabranch_model::zone::MemberId;

use crate::cluster::TICK;
use crate::command::{Cause, Command};
use crate::consensus::Consensus;
use crate::frame::Reason;
use crate::member::{Me, Member, Standing};
use crate::state::State;
use crate::votes;
use crate::{LEASE, MARGIN};

/// Groups that are handed over at the same time.
const MOVES_MAX: usize = 4;

/// Microseconds after which a leader looks again at what it may have left undone.
const AGAIN: u64 = 5 * TICK;

/// Microseconds for which the leader remembers who asked for a name that is taken.
const ASKED_FOR: u64 = 10_000_000;

/// A process of a member asks for its lease, at a time of its own clock.
#[derive(Clone, Copy, Debug)]
struct Beat {
    from: MemberId,
    incarnation: u64,
    sent: u64,
}

/// Beats that wait for a majority to confirm that this is the leader.
#[derive(Debug)]
struct Round {
    read: u64,
    since: u64,
    beats: Vec<Beat>,
}

/// A leader's knowledge, of one term.
#[derive(Debug)]
pub(crate) struct Leading {
    term: u64,
    /// When each member last got its lease, or was first known; nobody is silent before the lease and the margin behind.
    heard: BTreeMap<MemberId, u64>,
    beats: Vec<Beat>,
    round: Option<Round>,
    next_read: u64,
    /// Who beats and does not count as being there.
    rising: BTreeSet<MemberId>,
    /// Processes that are gone.
    gone: BTreeMap<MemberId, u64>,
    /// Members that get no lease any more in this term until they count as dead.
    condemned: BTreeSet<MemberId>,
    /// Who asked for a name that is taken, and since when.
    asked: BTreeMap<String, (u64, u64)>,
    /// The shape of the state that placement has nothing to add to.
    placed: u64,
    /// What the duties have been done for: applied, version.
    done: (u64, u64),
    /// When they are done again although nothing has changed.
    again: u64,
}

impl Leading {
    pub(crate) fn new(term: u64) -> Leading {
        Leading {
            term,
            heard: BTreeMap::new(),
            beats: Vec::new(),
            round: None,
            next_read: term << 24,
            rising: BTreeSet::new(),
            gone: BTreeMap::new(),
            condemned: BTreeSet::new(),
            asked: BTreeMap::new(),
            placed: 0,
            done: (0, 0),
            again: 0,
        }
    }

    pub(crate) fn term(&self) -> u64 {
        self.term
    }

    /// A member's process is gone.
    pub(crate) fn gone(&mut self, member: MemberId, incarnation: u64) {
        self.gone.insert(member, incarnation);
        self.done = (0, 0);
    }

    /// The leader itself stood still: everybody gets the whole time again.
    pub(crate) fn forgive(&mut self, now: u64) {
        self.heard.values_mut().for_each(|heard| *heard = now);
    }

    // ---------------------------------------------------------------------------------------------------- leases

    /// A member asks for its lease.
    pub(crate) fn beat(&mut self, from: MemberId, incarnation: u64, sent: u64) {
        // One beat of a member is enough: the later one says more.
        self.beats.retain(|beat| beat.from != from);
        self.beats.push(Beat { from, incarnation, sent });
    }

    /// Asks the majority once for all beats that wait.
    fn confirm(&mut self, consensus: &mut Consensus, now: u64) {
        if let Some(lost) = self.round.take_if(|round| round.since + 3 * TICK <= now) {
            // Those that came since say more than the lost ones of the same members.
            let newer = std::mem::replace(&mut self.beats, lost.beats);
            newer.into_iter().for_each(|beat| self.beat(beat.from, beat.incarnation, beat.sent));
        }
        if self.round.is_some() || self.beats.is_empty() || !consensus.leads_knowingly() {
            return;
        }
        self.next_read += 1;
        self.round = Some(Round { read: self.next_read, since: now, beats: std::mem::take(&mut self.beats) });
        consensus.read(self.next_read);
    }

    /// A majority has confirmed; gives who has a lease from when on, and what it has to have applied.
    pub(crate) fn confirmed(
        &mut self,
        consensus: &Consensus,
        read: u64,
        needs: u64,
        now: u64,
    ) -> Vec<(MemberId, u64, u64)> {
        let applied = consensus.shelf().applied();
        let Some(round) = self.round.take_if(|round| round.read == read && needs <= applied) else {
            return Vec::new();
        };
        let state = &consensus.shelf().state;
        let mut granted = Vec::new();
        for Beat { from, incarnation, sent } in round.beats {
            let here = state
                .members
                .get(&from)
                .is_some_and(|member| member.standing.is_here() && member.incarnation == incarnation);
            if here && !self.condemned.contains(&from) {
                self.heard.insert(from, now);
                granted.push((from, sent, applied));
            }
        }
        granted
    }

    // --------------------------------------------------------------------------------------------------- joining

    /// A node asks to be a member; gives the answer where there is one already.
    pub(crate) fn asked(
        &mut self,
        consensus: &mut Consensus,
        node: &Me,
        was: Option<MemberId>,
        me: &Me,
        now: u64,
    ) -> Option<Result<MemberId, Reason>> {
        if !consensus.leads_knowingly() {
            return None;
        }
        let state = &consensus.shelf().state;
        let command = match was {
            Some(id) => match state.members.get(&id) {
                Some(known) if known.standing != Standing::Left && known.name == node.name => {
                    let same = known.incarnation == node.incarnation;
                    (!same).then(|| Command::Return { member: id, node: node.clone() })?
                }
                _ => return Some(Err(Reason::Forgotten)),
            },
            None => match state.named(&node.name) {
                Some(known) if known.incarnation == node.incarnation => return Some(Ok(known.id)),
                Some(known) if known.standing != Standing::Dead => {
                    let id = known.id;
                    return self.name_taken(id, node, now).then_some(Err(Reason::NameTaken));
                }
                _ => Command::Join { node: node.clone() },
            },
        };
        if !consensus.is_waiting() {
            consensus.propose(me.epoch_at + now, vec![command]);
        }
        None
    }

    /// Whether the member that has the name was heard since another process asked for it. Until it was, or counts as dead,
    /// the other one waits.
    fn name_taken(&mut self, holder: MemberId, node: &Me, now: u64) -> bool {
        let asked = self.asked.entry(node.name.clone()).or_insert((node.incarnation, now));
        if asked.0 != node.incarnation {
            *asked = (node.incarnation, now);
        }
        self.heard.get(&holder).is_some_and(|heard| *heard > asked.1 + MARGIN)
    }

    // ---------------------------------------------------------------------------------------------------- duties

    pub(crate) fn tick(&mut self, consensus: &mut Consensus, me: &Me, now: u64) {
        self.asked.retain(|_, (_, at)| *at + ASKED_FOR > now);
        if !consensus.leads_knowingly() {
            return;
        }
        let deaths = self.deaths(&consensus.shelf().state, me, now);
        consensus.propose(me.epoch_at + now, deaths);
        if self.again <= now {
            self.again = now + AGAIN;
            self.done = (0, 0);
        }
        self.duties(consensus, me, now);
    }

    /// Does what is due; cheap where nothing has changed.
    pub(crate) fn duties(&mut self, consensus: &mut Consensus, me: &Me, now: u64) {
        if !consensus.leads_knowingly() {
            return;
        }
        self.rise(&consensus.shelf().state);
        self.confirm(consensus, now);
        let done = (consensus.shelf().applied(), consensus.shelf().state.version);
        if self.done == done {
            return;
        }
        self.done = done;
        let mut commands = self.deaths(&consensus.shelf().state, me, now);
        if !consensus.is_waiting() {
            let state = &consensus.shelf().state;
            commands.extend(self.returns(state, me));
            commands.extend(self.placements(state));
            commands.extend(moves(state));
            commands.extend(extras(state));
            commands.extend(leavings(state));
        }
        consensus.propose(me.epoch_at + now, commands);
        votes::look_after(consensus);
    }

    /// Who beats without being there rises.
    fn rise(&mut self, state: &State) {
        for Beat { from, incarnation, .. } in &self.beats {
            let known = state.members.get(from).filter(|member| member.incarnation == *incarnation);
            let below =
                known.is_some_and(|member| matches!(member.standing, Standing::Joining | Standing::Dead));
            if below && self.rising.insert(*from) {
                self.done = (0, 0);
            }
        }
    }

    /// Who came back, and this leader itself where it is in another process than before.
    fn returns(&mut self, state: &State, me: &Me) -> Vec<Command> {
        let mut commands = Vec::new();
        for id in std::mem::take(&mut self.rising) {
            let Some(member) = state.members.get(&id) else { continue };
            commands.push(Command::Up { member: id, incarnation: member.incarnation });
        }
        let own =
            state.members.values().find(|member| member.name == me.name && member.standing != Standing::Left);
        if let Some(own) = own.filter(|own| own.incarnation != me.incarnation) {
            commands.push(Command::Return { member: own.id, node: me.clone() });
        }
        commands
    }

    fn deaths(&mut self, state: &State, me: &Me, now: u64) -> Vec<Command> {
        let alive = |member: &&Member| member.standing.is_here() || member.standing == Standing::Joining;
        let mut commands = Vec::new();
        for member in state.members.values().filter(|member| member.incarnation != me.incarnation) {
            if !alive(&member) {
                self.condemned.remove(&member.id);
                self.heard.remove(&member.id);
                continue;
            }
            let heard = *self.heard.entry(member.id).or_insert(now);
            let gone = self.gone.get(&member.id) == Some(&member.incarnation);
            let silent = now > heard + LEASE + MARGIN;
            if (gone || silent) && self.condemned.insert(member.id) {
                let cause = if gone { Cause::Refused } else { Cause::Silent };
                let (member, incarnation) = (member.id, member.incarnation);
                commands.push(Command::Dead { member, incarnation, cause });
            }
        }
        self.gone.retain(|id, gone| {
            state.members.get(id).is_some_and(|member| alive(&member) && member.incarnation == *gone)
        });
        commands
    }

    fn placements(&mut self, state: &State) -> Option<Command> {
        if self.placed == state.shape {
            return None;
        }
        let wanted = state.placed();
        if wanted.is_empty() {
            self.placed = state.shape;
            return None;
        }
        Some(Command::Replicas { wanted })
    }
}

/// Groups that are to go to their preferred owner now.
fn moves(state: &State) -> Vec<Command> {
    let under_way = state.groups.values().filter(|of| of.moving.is_some()).count();
    let here = |id: MemberId| state.members.get(&id).is_some_and(|member| member.standing == Standing::Up);
    let ready = state.groups.iter().filter_map(|(group, of)| {
        let to = *of.replicas.first()?;
        let due =
            of.owner.is_some_and(|owner| owner != to) && of.in_sync.contains(&to) && of.moving != Some(to);
        (due && here(to)).then_some(Command::Move { group: *group, term: of.term, to })
    });
    ready.take(MOVES_MAX.saturating_sub(under_way)).collect()
}

/// Copies that nobody wants, of groups that have all those that are wanted.
fn extras(state: &State) -> Vec<Command> {
    let mut commands = Vec::new();
    for (group, of) in &state.groups {
        let complete = of.replicas.iter().all(|id| of.in_sync.contains(id)) && !of.replicas.is_empty();
        let extra = |id: &&MemberId| !of.replicas.contains(id) && of.owner != Some(**id);
        if let Some(member) = of.in_sync.iter().find(extra).filter(|_| complete && of.owner.is_some()) {
            commands.push(Command::Drop { group: *group, term: of.term, member: *member });
        }
    }
    commands
}

/// Members that were asked to leave and have nothing left.
fn leavings(state: &State) -> Vec<Command> {
    let needed = |id: MemberId| state.groups.values().any(|of| of.in_sync.contains(&id));
    let leaving = state.members.values().filter(|member| member.standing == Standing::Leaving);
    let leaving = leaving.map(|member| member.id).filter(|id| !needed(*id));
    leaving.map(|member| Command::Left { member }).collect()
}
