//! The part that one worker has in its zone: which requests go to other nodes, which records to copies, and what comes from
//! there.

mod answers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anabranch_model::message::{Answer, Body, Delivery, FlowId, Forward, Part, Recorded, WorkerId};
use anabranch_model::plan::Sync;
use anabranch_model::share::Work;
use anabranch_model::zone::{Group, Holder, MemberId, Owners, Term, Touched};
use anabranch_operators::{Records, Worker};
use anabranch_wire::peer::Kind;
use anabranch_wire::peer::answer::Answers;
use anabranch_wire::peer::lane::{Acks, AcksWriter};
use crossbeam_channel::Sender;

use crate::egress::Egress;
use crate::log;
use crate::safe::Safe;
use crate::zone::draining::{Draining, Stage};
use crate::zone::entrance::{self, Entrance, is_guest};
use crate::zone::frames;
use crate::zone::guests::{self, Guests};
use crate::zone::lanes::{Lanes, Untaken};
use crate::zone::link::Link;
use crate::zone::says::Says;
use crate::zone::view::{Life, WorkerView};

/// What a worker is told of its zone.
#[derive(Debug)]
pub enum Told {
    /// A newer view.
    View(Arc<WorkerView>),
    /// There is a link to another node.
    Linked(MemberId, Link),
    /// There is none any more.
    Unlinked(MemberId),
    /// A frame came from another node.
    Frame(MemberId, Kind, Vec<u8>),
    /// Another node is to get all of a group that is owned here; a number that is never given again.
    Fill(Group, MemberId, u64),
    /// Until when the node may let out anything, in microseconds of the worker's clock, by the views before.
    Lease(u64),
    /// A group is about to be handed over: nothing of it is done here any more in this term.
    Drain(Group, Term),
}

/// A worker's part in its zone.
pub(crate) struct ZoneWorker {
    me: WorkerId,
    view: Arc<WorkerView>,
    /// What the worker was given last, and by which view with which groups left out.
    given: Arc<Owners>,
    left_out: (u64, Vec<Group>),
    entrance: Entrance,
    guests: Guests,
    lanes: Lanes,
    draining: BTreeMap<Group, Draining>,
    links: BTreeMap<MemberId, Link>,
    /// Frames of forwards that gather until the turn ends.
    out: BTreeMap<MemberId, Vec<u64>>,
    says: Sender<Says>,
    /// The worker's records before this turn.
    recorded: u64,
    /// Members whose lanes are of no use, until nothing waits for them.
    broken: BTreeSet<MemberId>,
    /// Members that are lost by the present view.
    gone: Vec<MemberId>,
    /// When it is looked next whether a copy is too slow.
    look_at: u64,
}

/// A copy that has not acknowledged something for so long, in microseconds, is waited for no longer.
const SLOW_COPY_MICROS: u64 = 3_000_000;

/// How often that is looked for.
const LOOK_EVERY_MICROS: u64 = 100_000;

impl ZoneWorker {
    /// A worker that knows nobody yet: nobody serves anything.
    pub(crate) fn new(worker: &mut Worker, says: Sender<Says>) -> Self {
        let given = Arc::new(Owners::of([]).numbered(1));
        worker.set_owners(given.clone());
        ZoneWorker {
            me: worker.id(),
            view: Arc::default(),
            given,
            left_out: (0, Vec::new()),
            entrance: Entrance::default(),
            guests: Guests::default(),
            lanes: Lanes::new(worker.id()),
            draining: BTreeMap::new(),
            links: BTreeMap::new(),
            out: BTreeMap::new(),
            says,
            recorded: 0,
            broken: BTreeSet::new(),
            gone: Vec::new(),
            look_at: 0,
        }
    }

    fn say(&self, says: Says) {
        // The zone's thread may have ended before the workers.
        let _ = self.says.send(says);
    }

    /// Hears something.
    pub(crate) fn hear(&mut self, told: Told, worker: &mut Worker, egress: &mut Egress, now: u64) {
        match told {
            Told::View(view) => self.see(view, worker, egress, now),
            Told::Linked(member, link) => self.linked(member, link, egress),
            Told::Unlinked(member) => {
                self.links.remove(&member);
                self.lanes.unlinked(member);
            }
            Told::Frame(from, kind, body) => self.frame(from, kind, &body, worker, egress, now),
            Told::Lease(until) => egress.lease_until(until),
            Told::Fill(group, member, number) => {
                let in_sync = self.view.copies.get(&group).cloned();
                if let Some(in_sync) = in_sync.filter(|in_sync| !in_sync.contains(&member)) {
                    self.lanes.fill(group, member, number, &in_sync, worker);
                }
            }
            Told::Drain(group, term) => {
                let stage = Stage::Dividing(self.given.version() + 1);
                let draining = self.draining.entry(group).or_insert(Draining { term, stage });
                if !matches!(draining.stage, Stage::Dividing(_)) {
                    // It is to be said again, of this term, or for somebody else.
                    *draining = Draining { term, stage: Stage::Copying(worker.recorded().count) };
                }
                draining.term = term;
            }
        }
    }

    /// A newer view. What rests on groups that are lost by it goes its ways again.
    fn see(&mut self, view: Arc<WorkerView>, worker: &mut Worker, egress: &mut Egress, now: u64) {
        let before = std::mem::replace(&mut self.view, view);
        let view = self.view.clone();
        for (member, other) in &view.others {
            let was = before.others.get(member).map_or(Life::New, |other| other.life);
            match (was, other.life) {
                (Life::Gone, Life::Gone) => {}
                (_, Life::Gone) => self.gone.extend([*member]),
                _ => self.lanes.add(*member, other.workers),
            }
        }
        // Who is to hand a group over takes nothing of it any more, also where a copy of it comes or goes meanwhile.
        self.draining.retain(|group, _| view.moving.contains(group));
        for group in before.copies.keys().filter(|group| !view.copies.contains_key(group)) {
            self.lanes.lose(*group);
        }
        for (group, in_sync) in &view.copies {
            if before.copies.get(group) != Some(in_sync)
                || before.owners.standing(*group).tenure != view.owners.standing(*group).tenure
            {
                self.lanes.own(*group, in_sync);
            }
        }
        // Nothing waits for them by this view.
        let in_sync = |group: Group| view.copies.get(&group).cloned().unwrap_or_default();
        std::mem::take(&mut self.gone).into_iter().for_each(|member| self.lanes.remove(member, in_sync));
        self.lanes.give_up_void(&view.owners, |group| view.copies.get(&group).cloned().unwrap_or_default());
        self.mend();
        let pages = self.entrance.forwards.take_back(|member| view.lives(member));
        pages.into_iter().for_each(|page| self.nobody_has(page, egress, now));
        let lost = |touched: Touched| {
            touched.groups().any(|group| view.owners.standing(group).holder != Holder::Here)
        };
        for delivery in egress.take_lost(lost) {
            if let Some(delivery) = self.deliver(delivery, worker, egress, now) {
                egress.deliver(delivery, worker.recorded(), now);
            }
        }
        // Before anything that is divided by it: steps of what is not owned end at once.
        self.give(worker);
        for (member, untaken) in self.lanes.resume(&self.view.owners, worker) {
            self.untaken(member, &untaken);
        }
        self.resume_guests(worker, egress);
    }

    /// Guests whose requests came too early go on.
    fn resume_guests(&mut self, worker: &mut Worker, egress: &mut Egress) {
        for (flow, request) in self.guests.resume(worker, (&self.view, &self.given)) {
            egress.entered();
            worker.submit(flow, request);
        }
    }

    /// Gives the worker the owners that it is to go by, where they are others than it has.
    fn give(&mut self, worker: &mut Worker) {
        let mut out = self.entrance.forwards.closed(&self.view.owners);
        out.extend(self.draining.keys());
        out.sort_unstable();
        out.dedup();
        let left_out = (self.view.version, out);
        let given = self.given.version();
        let drains = |of: &Draining| matches!(of.stage, Stage::Dividing(version) if version > given);
        if left_out == self.left_out && !self.draining.values().any(drains) {
            return;
        }
        self.left_out = left_out;
        let owners = self.view.owners.without(self.left_out.1.iter().copied());
        self.given = Arc::new(owners.numbered(self.given.version() + 1));
        worker.set_owners(self.given.clone());
    }

    fn linked(&mut self, member: MemberId, link: Link, egress: &mut Egress) {
        self.guests.forget(member);
        let Some(other) = self.view.others.get(&member).cloned() else { return };
        self.lanes.add(member, other.workers);
        for from in (0..other.workers).map(WorkerId) {
            if from.0 % self.view.workers == self.me.0 {
                egress.connect(guests::client(member, from), guests::outlet(link.clone(), self.me, from));
            }
        }
        let mut out = Vec::new();
        for ack in self.lanes.stand(member) {
            let mut writer = AcksWriter::begin(&mut out);
            if writer.push(&ack).is_err() {
                unreachable!("an acknowledgement fits into a frame");
            }
            writer.finish();
        }
        link.send(out);
        self.links.insert(member, link);
        // What was sent and not answered is sent again, in its order.
        let unanswered = self.entrance.forwards.unanswered(member);
        self.out.insert(member, unanswered);
    }

    fn frame(
        &mut self,
        from: MemberId,
        kind: Kind,
        body: &[u8],
        worker: &mut Worker,
        egress: &mut Egress,
        now: u64,
    ) {
        match kind {
            Kind::Forwards => {
                let name = self.view.others.get(&from).map_or("", |other| other.name.as_str()).to_owned();
                match self.guests.take(from, &name, body, worker, (&self.view, &self.given)) {
                    Ok(requests) => {
                        for (flow, request) in requests {
                            egress.entered();
                            worker.submit(flow, request);
                        }
                    }
                    Err(_) => self.say(Says::Odd { member: from }),
                }
            }
            Kind::Answers => {
                for said in Answers::read(body) {
                    let Ok(said) = said else { return self.say(Says::Odd { member: from }) };
                    self.answered(from, &said, worker, egress, now);
                }
            }
            Kind::Lane => {
                if let Err(untaken) = self.lanes.take(from, body, &self.view.owners, worker) {
                    self.untaken(from, &untaken);
                }
            }
            Kind::Acks => {
                for ack in Acks::read(body) {
                    let Ok(ack) = ack else { return self.say(Says::Odd { member: from }) };
                    if let Err(lost) = self.lanes.acked(from, &ack) {
                        log::copy_lost(from.0, &lost);
                        self.give_up(from);
                    }
                }
            }
            _ => self.say(Says::Odd { member: from }),
        }
    }

    /// A copy is to be waited for no longer, and to be filled anew.
    fn give_up(&mut self, member: MemberId) {
        if self.broken.insert(member) {
            self.lanes
                .stop_filling(member, |group| self.view.copies.get(&group).cloned().unwrap_or_default());
            self.mend();
            self.say(Says::Lost { member });
        }
    }

    /// Members for whom nothing waits any more get new lanes.
    fn mend(&mut self) {
        let view = self.view.clone();
        self.broken.retain(|member| {
            let waits =
                view.copies.values().any(|in_sync| in_sync.contains(member)) || self.lanes.joins(*member);
            if !waits && let Some(other) = view.others.get(member).filter(|other| other.life != Life::Gone) {
                self.lanes.renew(*member, other.workers, self.links.contains_key(member));
            }
            waits
        });
    }

    /// Copies that are too slow are given up.
    fn look(&mut self, now: u64) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_EVERY_MICROS;
        let slow = |member: &MemberId| self.lanes.lag(*member, now).1 > SLOW_COPY_MICROS;
        let slow: Vec<MemberId> = self.view.others.keys().copied().filter(slow).collect();
        for member in slow {
            log::copy_slow(member.0);
            self.give_up(member);
        }
    }

    fn untaken(&self, from: MemberId, untaken: &Untaken) {
        log::lane_broken(from.0, untaken);
        if let Untaken::Unread(_) = untaken {
            self.say(Says::Odd { member: from });
        }
    }

    /// Takes what a turn produced, as far as it concerns other nodes; gives back what is to leave here.
    pub(crate) fn deliver(
        &mut self,
        delivery: Delivery,
        worker: &mut Worker,
        egress: &mut Egress,
        now: u64,
    ) -> Option<Delivery> {
        match delivery {
            Delivery::Forward(forward) => {
                self.forward(*forward, egress);
                None
            }
            Delivery::Owners(owners) => {
                self.divides_by(&owners, worker, now);
                None
            }
            Delivery::Part { flow, part, revised, given } => {
                let (part, given) = self.part(flow, part, given, worker, egress)?;
                Some(Delivery::Part { flow, part, revised, given })
            }
            Delivery::Emitted(.., touched) | Delivery::Refused(.., touched) if self.is_lost(touched) => None,
            delivery => Some(delivery),
        }
    }

    fn is_lost(&self, touched: Touched) -> bool {
        touched.groups().any(|group| self.view.owners.standing(group).holder != Holder::Here)
    }

    /// A part for another node, or for nobody yet.
    fn forward(&mut self, forward: Forward, egress: &mut Egress) {
        let whose = self.entrance.whose(&forward.origin);
        match forward.to {
            Some(to) if self.view.lives(to) => {
                let number = self.entrance.forwards.send(to, whose, forward);
                self.out.entry(to).or_default().push(number);
            }
            Some(_) if matches!(forward.body, Body::Page { .. }) => self.nobody_has(forward, egress, 0),
            // It was divided before the owner was lost; a node by name is told of by a newer view.
            Some(_) => {
                let behind = if forward.terms.touched.parts.is_empty() { self.view.version } else { 0 };
                self.entrance.forwards.wait(whose, forward, behind);
            }
            None => self.entrance.forwards.wait(whose, forward, 0),
        }
    }

    /// All that the worker divided by older owners has come back.
    fn divides_by(&mut self, owners: &Arc<Owners>, worker: &mut Worker, now: u64) {
        let count = worker.recorded().count;
        for draining in self.draining.values_mut() {
            if matches!(draining.stage, Stage::Dividing(version) if version <= owners.version()) {
                draining.stage = Stage::Copying(count);
            }
        }
        if owners.version() == self.given.version() {
            for (whose, forward) in self.entrance.forwards.ready(owners, self.view.version, now) {
                let (flow, request) = self.entrance.again(self.me, whose, forward);
                worker.again(flow, request);
            }
        }
    }

    /// A part of an answer; what of it is still to be seen here, with what it was to do.
    fn part(
        &mut self,
        flow: FlowId,
        mut part: Part,
        given: Option<Box<Work>>,
        worker: &Worker,
        egress: &mut Egress,
    ) -> Option<(Part, Option<Box<Work>>)> {
        let Some(given) = given else { return Some((part, None)) };
        let owners = &self.view.owners;
        let is_lost = |group: Group| owners.standing(group).holder != Holder::Here;
        let lost: Vec<Group> = part.touched.groups().filter(|group| is_lost(*group)).collect();
        if !lost.is_empty() {
            entrance::lose(&mut part, &given, &lost, worker.plan(flow).as_deref());
        }
        if is_guest(part.origin.client) {
            return Some((part, Some(given)));
        }
        let whose = self.entrance.whose(&part.origin);
        match &mut part.answer {
            Answer::Page(_) => egress.keep_page((part.origin.client, part.origin.request), &given),
            Answer::Elsewhere => {
                let again = entrance::undone(flow, &part, *given, None, owners);
                self.entrance.forwards.wait(whose, again, 0);
                return None;
            }
            Answer::Rows(rows) if !rows.elsewhere.is_empty() => {
                let turned_away = std::mem::take(&mut rows.elsewhere);
                let nothing_else = rows.is_empty();
                let again = entrance::undone(flow, &part, (*given).clone(), Some(&turned_away), owners);
                self.entrance.forwards.wait(whose, again, 0);
                if nothing_else {
                    return None;
                }
                egress.one_more((part.origin.client, part.origin.request), part.parts);
            }
            _ => {}
        }
        Some((part, Some(given)))
    }

    /// Sends what the worker recorded to copies; before anything of it may be seen.
    pub(crate) fn records(&mut self, records: &[(FlowId, Records)], worker: &Worker, safe: &Safe, now: u64) {
        self.lanes.push(records, &self.view.owners, worker, self.recorded, now);
        self.recorded = worker.recorded().count;
        self.tell_reached(safe);
    }

    fn tell_reached(&self, safe: &Safe) {
        let (memory, synced) = self.lanes.reached();
        safe.copied(self.me, memory, synced);
    }

    /// A turn ends: what gathered goes out. Whether there was something.
    pub(crate) fn end_turn(&mut self, worker: &mut Worker, egress: &mut Egress, now: u64) -> bool {
        let safe = &egress.safe().clone();
        let view = self.view.clone();
        if self.guests.waits() {
            self.resume_guests(worker, egress);
        }
        if self.lanes.waits() {
            for (member, untaken) in self.lanes.resume(&view.owners, worker) {
                self.untaken(member, &untaken);
            }
        }
        let in_sync = |group: Group| view.copies.get(&group).cloned().unwrap_or_default();
        let whole = self.lanes.go_on(worker, &view.owners, in_sync, now);
        for (group, member, number) in whole {
            self.say(Says::Filled { worker: self.me, group, member, number });
        }
        self.tell_reached(safe);
        let mut busy = self.send_forwards();
        let links = &self.links;
        self.lanes.frames(|member, frames| {
            busy = true;
            if let Some(link) = links.get(&member) {
                link.send(frames);
            }
        });
        let mut acks: BTreeMap<MemberId, Vec<u8>> = BTreeMap::new();
        self.lanes.acks(safe.synced_count(self.me), |member, ack| {
            let mut writer = AcksWriter::begin(acks.entry(member).or_default());
            if writer.push(&ack).is_err() {
                unreachable!("an acknowledgement fits into a frame");
            }
            writer.finish();
        });
        for (member, frames) in acks {
            busy = true;
            if let Some(link) = links.get(&member) {
                link.send(frames);
            }
        }
        self.drain(safe);
        self.look(now);
        self.give(worker);
        if self.entrance.forwards.is_ready(&self.given, self.view.version, now) {
            // What waits goes on behind what is divided by now.
            self.given = Arc::new(Owners::clone(&self.given).numbered(self.given.version() + 1));
            worker.set_owners(self.given.clone());
            busy = true;
        }
        busy
    }

    fn drain(&mut self, safe: &Safe) {
        for (group, draining) in &mut self.draining {
            let Stage::Copying(count) = draining.stage else { continue };
            if safe.covers(Recorded { by: self.me, count }, Sync::Disk) {
                draining.stage = Stage::Said;
                let says = Says::Drained { worker: self.me, group: *group, term: draining.term };
                let _ = self.says.send(says);
            }
        }
    }

    fn send_forwards(&mut self) -> bool {
        let gathered = std::mem::take(&mut self.out);
        let busy = !gathered.is_empty();
        for (member, numbers) in gathered {
            let Some(link) = self.links.get(&member) else { continue };
            let to =
                WorkerId(self.me.0 % self.view.others.get(&member).map_or(1, |other| other.workers.max(1)));
            let mut out = Vec::new();
            for number in numbers {
                // It may have been taken back.
                if let Some(forward) = self.entrance.forwards.sent(number) {
                    frames::write(number, forward, self.me, to, &mut out);
                }
            }
            link.send(out);
        }
        busy
    }
}
