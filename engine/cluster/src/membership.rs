//! A node that is a member: consensus, lease, wishes, and what it hears of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anabranch_model::zone::MemberId;
use raft::eraftpb::{ConfState, Message};

use crate::cluster::{Contact, Error, Output};
use crate::command::Command;
use crate::consensus::Consensus;
use crate::frame::{Body, Frame, Reason};
use crate::leading::Leading;
use crate::member::{Me, Role, Standing};
use crate::outbox::Outbox;
use crate::shelf::Shelf;
use crate::state::State;
use crate::view::View;
use crate::wish::Wish;
use crate::wishes::Wishes;
use crate::{FORCE_AFTER, LEASE};

/// Microseconds between two beats: four to a lease.
pub(crate) const BEAT: u64 = LEASE / 4;

/// Microseconds that each voter leaves to those before it when the leader's process is gone.
const CAMPAIGN_STEP: u64 = 60_000;

/// Microseconds for which a report that a process is gone is told.
const REPORT_FOR: u64 = 5_000_000;

/// A node that is a member.
#[derive(Debug)]
pub(crate) struct Membership {
    zone: u64,
    forced: u32,
    pub(crate) consensus: Consensus,
    /// Where members are reached, as far as the state does not say.
    book: BTreeMap<MemberId, String>,
    seeds: Vec<String>,
    asked_at: Option<u64>,
    beat_at: Option<u64>,
    /// Grants that wait for this member to apply what the leader had: what has to be applied, and when the beat was sent.
    grants: Vec<(u64, u64)>,
    lease_until: u64,
    wishes: Wishes,
    /// Processes that are gone, as this node saw itself: incarnation and until when it is told.
    gone: BTreeMap<MemberId, (u64, u64)>,
    campaign_at: Option<u64>,
    pub(crate) leading: Option<Leading>,
    leader_seen_at: u64,
    /// Version, leader and votes (now and next) of the last view.
    shown: (u64, Option<MemberId>, (Vec<u64>, Vec<u64>)),
}

impl Membership {
    fn new(shelf: Shelf, zone: u64, forced: u32, now: u64) -> Membership {
        Membership {
            zone,
            forced,
            consensus: Consensus::new(shelf),
            book: BTreeMap::new(),
            seeds: Vec::new(),
            asked_at: None,
            beat_at: None,
            grants: Vec::new(),
            lease_until: 0,
            wishes: Wishes::default(),
            gone: BTreeMap::new(),
            campaign_at: None,
            leading: None,
            leader_seen_at: now,
            shown: (0, None, Default::default()),
        }
    }

    pub(crate) fn found(me: &Me, now: u64) -> Membership {
        let state = State::founded(me, me.epoch_at + now);
        let mut conf = ConfState::default();
        conf.set_voters(vec![1]);
        let zone = state.zone;
        Membership::new(Shelf::at(MemberId(1), state, conf, 1, 1), zone, 0, now)
    }

    pub(crate) fn taken(
        me: &Me,
        id: MemberId,
        zone: u64,
        forced: u32,
        book: Vec<(MemberId, String)>,
    ) -> Membership {
        let mut shelf = Shelf::empty(id);
        shelf.state.name = me.zone.clone();
        shelf.state.zone = zone;
        shelf.state.forced = forced;
        let mut member = Membership::new(shelf, zone, forced, 0);
        member.book = book.into_iter().collect();
        member
    }

    pub(crate) fn restore(me: &Me, shelf: Shelf, seeds: Vec<String>, now: u64) -> Membership {
        let (zone, forced) = (shelf.state.zone, shelf.state.forced);
        let mut member = Membership::new(shelf, zone, forced, now);
        member.seeds = seeds;
        member.seeds.retain(|seed| *seed != me.address);
        member
    }

    /// Keeps who it is; who has the only vote leads at once.
    pub(crate) fn begin(&mut self, me: &Me, out: &mut Outbox, now: u64) {
        self.leader_seen_at = now;
        if me.durable {
            let bytes = self.consensus.shelf_mut().whole();
            out.keep(true, bytes);
        }
        let conf = self.consensus.shelf().conf();
        if conf.voters == [self.id().0] && conf.voters_outgoing.is_empty() {
            self.consensus.campaign();
        }
    }

    pub(crate) fn id(&self) -> MemberId {
        self.consensus.shelf().me
    }

    pub(crate) fn state(&self) -> &State {
        &self.consensus.shelf().state
    }

    pub(crate) fn leads(&self) -> bool {
        self.consensus.is_leader()
    }

    /// When it wants to campaign.
    pub(crate) fn due(&self) -> Option<u64> {
        self.campaign_at
    }

    pub(crate) fn campaign(&mut self) {
        self.campaign_at = None;
        self.consensus.campaign();
    }

    fn address(&self, id: MemberId) -> Option<String> {
        let known = self.state().members.get(&id).map(|member| member.address.clone());
        known.or_else(|| self.book.get(&id).cloned())
    }

    pub(crate) fn send(&self, to: MemberId, body: Body, me: &Me, out: &mut Outbox) {
        if let Some(address) = self.address(to) {
            self.send_to(Contact { address, member: Some(to) }, body, me, out);
        }
    }

    pub(crate) fn send_to(&self, to: Contact, body: Body, me: &Me, out: &mut Outbox) {
        let from = Some(self.id());
        let frame = Frame { zone: self.zone, forced: self.forced, from, incarnation: me.incarnation, body };
        out.push(Output::Send { to, bytes: frame.encode() });
    }

    /// Whether the zone knows that this process is the member.
    fn is_known(&self, me: &Me) -> bool {
        let known = self.state().members.get(&self.id());
        // A new member has not seen the state with itself in it yet.
        known.is_none_or(|member| member.incarnation == me.incarnation)
    }

    // ------------------------------------------------------------------------------------------------ what comes

    /// Takes a frame; gives why this node is no member any more where it says so.
    pub(crate) fn message(
        &mut self,
        from: Contact,
        frame: Frame,
        me: &Me,
        out: &mut Outbox,
        now: u64,
    ) -> Result<Option<Reason>, Error> {
        let Frame { zone, forced, from: sender, incarnation, body } = frame;
        let to = Contact { address: from.address, member: sender };
        match body {
            Body::Ask { was: Some(_), .. } if zone != self.zone => return Err(Error::AnotherZone),
            Body::Ask { was: Some(_), .. } if forced < self.forced => {
                self.send_to(to, Body::Refused(Reason::ForcedOut), me, out);
                return Ok(None);
            }
            Body::Ask { node, was } => {
                self.asked(to, node, was, me, out, now);
                return Ok(None);
            }
            Body::Refused(reason) if zone == self.zone && forced >= self.forced => {
                return Ok(self.believes(&reason).then_some(reason));
            }
            _ => {}
        }
        if zone != self.zone {
            return Err(Error::AnotherZone);
        }
        if forced < self.forced {
            self.send_to(to, Body::Refused(Reason::ForcedOut), me, out);
            return Err(Error::AnotherZone);
        }
        if forced > self.forced {
            return Ok(Some(Reason::ForcedOut));
        }
        let Some(sender) = sender else { return Err(Error::Impostor) };
        self.book.entry(sender).or_insert(to.address);
        self.inner(sender, incarnation, body, me, now)?;
        Ok(None)
    }

    /// A member is not talked out of being one by whatever a stranger says.
    fn believes(&self, reason: &Reason) -> bool {
        matches!(reason, Reason::Forgotten | Reason::ForcedOut)
    }

    fn inner(
        &mut self,
        sender: MemberId,
        incarnation: u64,
        body: Body,
        me: &Me,
        now: u64,
    ) -> Result<(), Error> {
        match body {
            Body::Raft(message) => {
                if message.from != sender.0 {
                    return Err(Error::Impostor);
                }
                if message.to == self.id().0 && !self.consensus.step(*message) {
                    return Err(Error::Garbage);
                }
            }
            Body::Beat { sent } => {
                if let Some(leading) = &mut self.leading {
                    leading.beat(sender, incarnation, sent);
                }
            }
            Body::Grant { sent, applied } => self.granted(sent, applied, now),
            Body::Report { member, incarnation } => self.reported(member, incarnation, now),
            Body::Wishes(commands) => self.wished(sender, incarnation, commands, me, now),
            _ => {}
        }
        Ok(())
    }

    /// A node asks to be a member.
    fn asked(&mut self, to: Contact, node: Me, was: Option<MemberId>, me: &Me, out: &mut Outbox, now: u64) {
        if node.incarnation == me.incarnation {
            return;
        }
        if node.zone != me.zone {
            let body = Body::Refused(Reason::AnotherZone(me.zone.clone()));
            return self.send_to(to, body, me, out);
        }
        if !self.consensus.is_leader() {
            let leader = self.consensus.leader().and_then(|leader| self.address(leader));
            if let Some(address) = leader.filter(|_| was.is_none()) {
                self.send_to(to, Body::Redirect { address }, me, out);
            } else if let Some(leader) = self.consensus.leader() {
                // Somebody who has been a member is a member: it answers whoever leads.
                self.send(leader, Body::Ask { node, was }, me, out);
            }
            return;
        }
        let Some(leading) = &mut self.leading else { return };
        let answer = leading.asked(&mut self.consensus, &node, was, me, now);
        match answer {
            Some(Ok(id)) => {
                let book = self.state().members.values();
                let book = book.filter(|member| member.standing != Standing::Left);
                let book = book.map(|member| (member.id, member.address.clone())).collect();
                self.send_to(Contact::at(&node.address), Body::Taken { id, book }, me, out);
            }
            Some(Err(reason)) => {
                self.send_to(Contact::at(&node.address), Body::Refused(reason), me, out);
            }
            None => {}
        }
    }

    pub(crate) fn granted(&mut self, sent: u64, applied: u64, now: u64) {
        // A time that is not past was not given by this process.
        if sent <= now && self.grants.len() < 64 {
            self.grants.push((applied, sent));
        }
    }

    pub(crate) fn link_up(&mut self, member: MemberId) {
        self.gone.remove(&member);
    }

    /// This node saw that the process of a member is gone.
    pub(crate) fn refused(&mut self, member: MemberId, me: &Me, out: &mut Outbox, now: u64) {
        let known = self.state().members.get(&member).filter(|known| known.standing.is_here());
        let Some(incarnation) = known.map(|known| known.incarnation).filter(|_| member != self.id()) else {
            return;
        };
        self.gone.insert(member, (incarnation, now + REPORT_FOR));
        self.reported(member, incarnation, now);
        self.report(me, out, now);
    }

    /// The process of a member is gone, as somebody saw.
    fn reported(&mut self, member: MemberId, incarnation: u64, now: u64) {
        let state = self.state();
        let known = state.members.get(&member);
        let fits = known.is_some_and(|known| known.standing.is_here() && known.incarnation == incarnation);
        if !fits || member == self.id() {
            return;
        }
        if let Some(leading) = &mut self.leading {
            leading.gone(member, incarnation);
        } else if self.consensus.leader().is_none_or(|leader| leader == member) && self.consensus.votes() {
            self.consensus.let_go(member);
            let here = |id: &u64| {
                self.state().members.get(&MemberId(*id)).is_some_and(|member| member.standing.is_here())
            };
            let voters = self.consensus.shelf().conf().voters.iter();
            let before = voters.filter(|id| **id < self.id().0 && **id != member.0 && here(id)).count();
            let at = now + before as u64 * CAMPAIGN_STEP;
            self.campaign_at = Some(self.campaign_at.map_or(at, |known| known.min(at)));
        }
    }

    /// Tells of processes that are gone: the leader, or everybody where the leader is gone.
    fn report(&mut self, me: &Me, out: &mut Outbox, now: u64) {
        let state = &self.consensus.shelf().state;
        let still = |id: &MemberId, incarnation: u64| {
            let known = state.members.get(id);
            known.is_some_and(|known| known.incarnation == incarnation && known.standing.is_here())
        };
        self.gone.retain(|id, (incarnation, until)| *until > now && still(id, *incarnation));
        let leader = self.consensus.leader();
        for (member, (incarnation, _)) in self.gone.clone() {
            let body = Body::Report { member, incarnation };
            match leader.filter(|leader| *leader != member) {
                Some(leader) if leader == self.id() => self.reported(member, incarnation, now),
                Some(leader) => self.send(leader, body, me, out),
                None => {
                    let here = self.state().members.values().filter(|other| other.standing.is_here());
                    let others = here.map(|other| other.id).filter(|id| *id != member && *id != self.id());
                    for other in others.collect::<Vec<_>>() {
                        self.send(other, body.clone(), me, out);
                    }
                }
            }
        }
    }

    // ---------------------------------------------------------------------------------------------------- wishes

    /// Takes a wish; it is told with the next turn, together with others.
    pub(crate) fn wish(&mut self, wish: Wish, number: u64) {
        self.wishes.add(wish.command(self.id(), number));
    }

    /// Tells wishes that are new; gives whether there were any.
    pub(crate) fn tell_new(&mut self, me: &Me, out: &mut Outbox, now: u64) -> bool {
        let untold = self.wishes.take_untold();
        if untold {
            self.tell_wishes(me, out, now);
        }
        untold
    }

    /// Sends or proposes what is not decided.
    fn tell_wishes(&mut self, me: &Me, out: &mut Outbox, now: u64) {
        if self.wishes.is_empty() || !self.is_known(me) {
            return;
        }
        let Some(leader) = self.consensus.leader() else { return };
        if leader == self.id() && !self.consensus.leads_knowingly() {
            return;
        }
        let due = self.wishes.due(&self.consensus.shelf().state, now);
        if due.is_empty() {
            return;
        }
        if leader == self.id() {
            self.wished(leader, me.incarnation, due, me, now);
        } else {
            self.send(leader, Body::Wishes(due), me, out);
        }
    }

    /// The leader hears wishes.
    fn wished(&mut self, from: MemberId, incarnation: u64, mut commands: Vec<Command>, me: &Me, now: u64) {
        let state = self.state();
        let known = state.members.get(&from).is_some_and(|member| {
            member.incarnation == incarnation && !matches!(member.standing, Standing::Dead | Standing::Left)
        });
        commands.retain(|command| command.may_wish(from, state) && !command.is_settled(state));
        if known && self.consensus.leads_knowingly() {
            self.consensus.propose(me.epoch_at + now, commands);
        }
    }

    // ------------------------------------------------------------------------------------------------------ time

    pub(crate) fn tick(&mut self, late: u64, me: &Me, out: &mut Outbox, now: u64) {
        self.consensus.tick();
        if self.campaign_at.is_some_and(|at| at <= now) {
            self.campaign();
        }
        if let Some(leading) = self.leading.as_mut().filter(|_| late > BEAT) {
            // It stood still: what others sent meanwhile has not been read yet.
            leading.forgive(now);
        }
        if self.consensus.leader().is_some_and(|leader| !self.gone.contains_key(&leader)) {
            self.leader_seen_at = now;
        }
        self.beat(me, out, now);
        self.ask_again(me, out, now);
        self.report(me, out, now);
        self.tell_wishes(me, out, now);
        self.force(me, out, now);
        if let Some(leading) = &mut self.leading {
            leading.tick(&mut self.consensus, me, now);
        }
    }

    fn beat(&mut self, me: &Me, out: &mut Outbox, now: u64) {
        if self.beat_at.is_some_and(|at| now < at + BEAT) {
            return;
        }
        let Some(leader) = self.consensus.leader() else { return };
        self.beat_at = Some(now);
        if leader != self.id() {
            return self.send(leader, Body::Beat { sent: now }, me, out);
        }
        let id = self.id();
        if let Some(leading) = &mut self.leading {
            leading.beat(id, me.incarnation, now);
        }
    }

    /// A member that is back in another process says so until the zone knows.
    fn ask_again(&mut self, me: &Me, out: &mut Outbox, now: u64) {
        if self.is_known(me) || self.asked_at.is_some_and(|at| now < at + BEAT) {
            return;
        }
        self.asked_at = Some(now);
        if self.leads() {
            return;
        }
        let node = me.clone();
        let body = Body::Ask { node, was: Some(self.id()) };
        match self.consensus.leader() {
            Some(leader) => self.send(leader, body, me, out),
            None => {
                let others = self.state().members.values().filter(|member| member.id != self.id());
                let mut contacts: BTreeSet<Contact> = others
                    .filter(|member| member.standing != Standing::Left)
                    .map(|member| Contact { address: member.address.clone(), member: Some(member.id) })
                    .collect();
                contacts.extend(self.seeds.iter().map(|seed| Contact::at(seed)));
                contacts.into_iter().for_each(|to| self.send_to(to, body.clone(), me, out));
            }
        }
    }

    /// An operator has said that it is to go on, and there has been no leader for long: it goes on alone.
    fn force(&mut self, me: &Me, out: &mut Outbox, now: u64) {
        let wanted = self.wishes.has_force() && me.role == Role::Data;
        if !wanted || now < self.leader_seen_at + FORCE_AFTER || self.state().members.is_empty() {
            return;
        }
        let shelf = self.consensus.shelf_mut().alone(me.epoch_at + now);
        self.forced = shelf.state.forced;
        self.consensus = Consensus::new(shelf);
        self.leading = None;
        self.grants.clear();
        self.wishes.go_alone();
        self.begin(me, out, now);
    }

    // --------------------------------------------------------------------------------------------------- outputs

    /// Goes on until nothing is left to do.
    pub(crate) fn settle(&mut self, me: &Me, out: &mut Outbox, view: &mut Arc<View>, now: u64) {
        // Each pass that is not the last applies or sends something; what it proposes is decided in the next, or waits
        // for others.
        loop {
            let round = self.consensus.round(me.durable);
            round.early.into_iter().for_each(|message| self.send_raft(message, me, out));
            if let Some(piece) = round.piece {
                out.keep(piece.whole, piece.bytes);
            }
            round.late.into_iter().for_each(|message| self.send_raft(message, me, out));
            self.show(me, out, view);
            self.lead(me, now);
            for (read, applied) in round.reads {
                let granted =
                    self.leading.as_mut().map(|of| of.confirmed(&self.consensus, read, applied, now));
                for (to, sent, applied) in granted.unwrap_or_default() {
                    match to == self.id() {
                        true => self.granted(sent, applied, now),
                        false => self.send(to, Body::Grant { sent, applied }, me, out),
                    }
                }
            }
            self.take_grants(me, out);
            if round.changed {
                self.tell_wishes(me, out, now);
            }
            if !self.consensus.is_ready() {
                return;
            }
        }
    }

    fn send_raft(&self, message: Message, me: &Me, out: &mut Outbox) {
        self.send(MemberId(message.to), Body::Raft(Box::new(message)), me, out);
    }

    fn show(&mut self, me: &Me, out: &mut Outbox, view: &mut Arc<View>) {
        let shelf = self.consensus.shelf();
        let leader = self.consensus.leader();
        if self.campaign_at.is_some() && leader.is_some_and(|leader| !self.gone.contains_key(&leader)) {
            self.campaign_at = None;
        }
        let votes = (shelf.votes(), &shelf.conf().voters[..]);
        let (version, shown_leader, shown_votes) = &self.shown;
        let same_votes = shown_votes.0 == votes.0 && shown_votes.1 == votes.1;
        if *version == shelf.state.version && *shown_leader == leader && same_votes {
            return;
        }
        self.shown = (shelf.state.version, leader, (votes.0.to_vec(), votes.1.to_vec()));
        let shelf = self.consensus.shelf();
        let votes = (shelf.votes(), &shelf.conf().voters[..]);
        if shelf.state.members.is_empty() {
            return;
        }
        let known = Some(self.id()).filter(|_| self.is_known(me));
        *view = Arc::new(View::of(&shelf.state, votes, known, leader));
        out.push(Output::View(view.clone()));
    }

    /// Begins and ends to lead; does what a leader does.
    fn lead(&mut self, me: &Me, now: u64) {
        if !self.consensus.is_leader() {
            self.leading = None;
            return;
        }
        let term = self.consensus.term();
        if self.leading.as_ref().is_none_or(|leading| leading.term() != term) {
            let mut leading = Leading::new(term);
            for (member, (incarnation, _)) in &self.gone {
                leading.gone(*member, *incarnation);
            }
            self.leading = Some(leading);
            self.beat_at = None;
        }
        if let Some(leading) = &mut self.leading {
            leading.duties(&mut self.consensus, me, now);
        }
    }

    /// Leases begin when this member has applied what the leader had when it gave them.
    fn take_grants(&mut self, me: &Me, out: &mut Outbox) {
        let applied = self.consensus.shelf().applied();
        let known = self.is_known(me) && !self.state().members.is_empty();
        let mut until = 0;
        self.grants.retain(|(needs, sent)| {
            let ready = *needs <= applied;
            if ready && known {
                until = until.max(sent + LEASE);
            }
            !ready
        });
        if until > self.lease_until {
            self.lease_until = until;
            out.push(Output::Lease { until });
        }
    }
}
