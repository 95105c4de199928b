//! A node of a zone in small: the real consensus and the real lanes, around rows in a map instead of a dataflow.
//!
//! It says how the parts are to be put together, and shows under the simulator that they hold what they promise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anabranch_cluster::{Cluster, Configuration, Contact, Event, Me, Role, View, Wish};
use anabranch_model::plan::Sync;
use anabranch_model::zone::{Group, Holder, MemberId, Term};
use anabranch_replica::{Ack, Copies, Item, Receiver, Tenure};
use anabranch_sim::{
    Answer, Ask, Configured, Factory, Held, Host, Input, Member, Node, Now, Operation, Output, Start,
};

use crate::codec::{Reader, Writer};
use crate::store::{GROUPS, Record, Store, item_head};

/// Copies of all rows.
const COPIES: u16 = 2;

const FRAME_BYTES: usize = 1 << 20;
const WAITING_BYTES: usize = 64 << 20;

/// Between attempts at what somebody did not take, in microseconds.
const RETRY_AFTER: u64 = 20_000;

const CONTROL: u8 = b'c';
const FORWARD: u8 = b'f';
const TOLD: u8 = b't';
const ELSEWHERE: u8 = b'e';
const LANE: u8 = b'l';
const ACK: u8 = b'a';

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// It answers before copies have what it did.
    BeforeCopies,
    /// It answers, and says that it serves, when its lease has ended.
    WithoutLease,
    /// Who takes over has forgotten what was answered before.
    ForgetsAnswers,
    /// It begins with what copies have, whatever that is: no state is sent.
    NoState,
    /// Nothing is fenced: who owned once sends on.
    NoFence,
    /// What was asked of an owner that is gone is not asked again of the next.
    NotAgain,
    /// What it sends again goes out backwards.
    Backwards,
    /// What was done in a group that was lost is answered all the same.
    AnswersLost,
}

pub(crate) struct Nodes {
    pub(crate) bug: Bug,
}

impl Factory for Nodes {
    fn start(&mut self, now: Now, start: Start) -> Result<Box<dyn Node>, String> {
        Ok(Box::new(ZoneNode::start(self.bug, now, start)?))
    }
}

/// A request that a client asked here and that is not answered.
struct Pending {
    ask: Ask,
    group: u16,
    /// Who was asked, in which term.
    sent: Option<(MemberId, Term)>,
}

/// Somebody who is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Here,
    There(Host),
}

/// An answer that waits until what it rests on is safe.
struct Waits {
    group: u16,
    rests_on: u64,
    asker: Asker,
    client: u64,
    number: u64,
    told: Option<i64>,
}

/// A request of another node that waits for news.
struct Early {
    from: Host,
    group: u16,
    term: Term,
    ask: Ask,
}

/// How far a member is with being filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filling {
    Sent,
    Waited,
    Asked(Term),
}

/// A peer with which there is a link.
struct Peer {
    incarnation: u64,
    /// Its first word about our lane.
    stand: Option<Ack>,
}

struct ZoneNode {
    bug: Bug,
    incarnation: u64,
    cluster: Cluster,
    view: Arc<View>,
    lease: u64,
    store: Store,
    copies: Copies,
    /// Of lanes from each host's process.
    receivers: BTreeMap<Host, (u64, Receiver)>,
    peers: BTreeMap<Host, Peer>,
    epoch: u64,
    asked: BTreeMap<u64, Pending>,
    last_asked: u64,
    early: Vec<Early>,
    waits: Vec<Waits>,
    /// What this node owns, and since which term.
    owned: BTreeMap<u16, Term>,
    filling: BTreeMap<(u16, MemberId), Filling>,
    lost: BTreeSet<MemberId>,
    handed: BTreeMap<u16, Term>,
    retry_at: Option<u64>,
    /// Whether requests are to be looked at again.
    routes: bool,
    out: Vec<Output>,
}

fn group_of(key: &str) -> u16 {
    let sum = key.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    (sum.wrapping_mul(2_654_435_761) >> 16) as u16 % GROUPS
}

fn group(number: u16) -> Group {
    Group { copies: COPIES, number }
}

impl ZoneNode {
    fn start(bug: Bug, now: Now, start: Start) -> Result<Self, String> {
        let (store, pieces) = Store::open(&start.disk);
        let me = Me {
            zone: "demo".to_owned(),
            name: start.host.name(),
            incarnation: start.seed,
            address: start.host.0.to_string(),
            role: if start.witness { Role::Witness } else { Role::Data },
            workers: 1,
            durable: true,
            epoch_at: (now.wall as u64).saturating_sub(now.mono),
        };
        let seeds: Vec<String> = start.others.iter().map(|other| other.0.to_string()).collect();
        let cluster = match (start.founds, pieces.is_empty()) {
            (true, true) => Cluster::found(me, now.mono),
            (_, true) => Cluster::join(me, seeds, now.mono),
            (_, false) => {
                Cluster::restore(me, seeds, &pieces, now.mono).map_err(|error| error.to_string())?
            }
        };
        let mut node = ZoneNode {
            bug,
            incarnation: start.seed,
            // What it restored comes as a view, too.
            view: Arc::default(),
            cluster,
            lease: 0,
            store,
            copies: Copies::new(),
            receivers: BTreeMap::new(),
            peers: BTreeMap::new(),
            epoch: now.wall as u64,
            asked: BTreeMap::new(),
            last_asked: 0,
            early: Vec::new(),
            waits: Vec::new(),
            owned: BTreeMap::new(),
            filling: BTreeMap::new(),
            lost: BTreeSet::new(),
            handed: BTreeMap::new(),
            retry_at: None,
            routes: false,
            out: start.others.into_iter().map(Output::Connect).collect(),
        };
        if start.founds {
            node.cluster.wish(now.mono, Wish::Classes(vec![COPIES]));
        }
        Ok(node)
    }

    fn me(&self) -> Option<MemberId> {
        self.cluster.id()
    }

    fn host_of(&self, member: MemberId) -> Option<Host> {
        self.view.member(member)?.address.parse().ok().map(Host)
    }

    /// The member that is at the other end of a link.
    fn member_at(&self, host: Host) -> Option<MemberId> {
        let incarnation = self.peers.get(&host)?.incarnation;
        let members = self.view.members.iter().map(|seen| &seen.member);
        members.into_iter().find(|member| member.incarnation == incarnation).map(|member| member.id)
    }

    fn configuration(&self, number: u16) -> Option<&Configuration> {
        self.view.groups.get(&group(number))
    }

    fn send(&mut self, to: Host, frame: Writer) {
        self.out.push(Output::Send(to, frame.0));
    }

    // Links.

    fn up(&mut self, now: Now, peer: Host, hello: &[u8]) {
        let incarnation = Reader(hello).number();
        self.peers.insert(peer, Peer { incarnation, stand: None });
        self.receivers.retain(|host, (of, _)| *host != peer || *of == incarnation);
        let stand = self.receivers.get_mut(&peer).map_or_else(Ack::default, |(_, receiver)| receiver.stand());
        self.send(peer, Writer::of(ACK).ack(&stand, true));
        if let Some(member) = self.member_at(peer) {
            let _ = self.cluster.handle(now.mono, Event::LinkUp(member));
        }
        self.routes = true;
    }

    fn down(&mut self, now: Now, peer: Host, refused: bool) {
        if let Some(member) = self.member_at(peer) {
            self.copies.disconnected(member);
            let _ = self.cluster.handle(now.mono, Event::LinkLost { member, refused });
        }
        self.peers.remove(&peer);
        self.early.retain(|early| early.from != peer);
        self.waits.retain(|waits| waits.asker != Asker::There(peer));
        let here = self.me();
        let view = self.view.clone();
        for pending in self.asked.values_mut() {
            let to = pending.sent.filter(|(to, _)| Some(*to) != here);
            if to.is_some_and(|(to, _)| {
                view.member(to).is_none_or(|member| member.address == peer.0.to_string())
            }) {
                pending.sent = None;
            }
        }
    }

    fn frame(&mut self, now: Now, from: Host, bytes: &[u8]) {
        let mut reader = Reader(bytes);
        match reader.kind() {
            CONTROL => {
                let contact = Contact::at(&from.0.to_string());
                let bytes = reader.0.to_vec();
                // What was turned down is somebody's else, or of another time.
                let _ = self.cluster.handle(now.mono, Event::Message { from: contact, bytes });
            }
            FORWARD => {
                let (term, ask) = (reader.term(), reader.ask());
                let group = group_of(ask.what.key());
                let early = Early { from, group, term, ask };
                if self.early.iter().any(|before| before.group == group && before.from == from) {
                    self.early.push(early);
                } else {
                    self.forwarded(now, early);
                }
            }
            TOLD => {
                let (client, number, told) = (reader.number(), reader.number(), reader.maybe());
                self.answer(client, number, told);
            }
            ELSEWHERE => {
                let (group, term) = (reader.number() as u16, reader.term());
                for pending in self.asked.values_mut().filter(|pending| pending.group == group) {
                    pending.sent = pending.sent.filter(|(_, sent)| *sent != term);
                }
                self.retry_at.get_or_insert(now.mono + RETRY_AFTER);
            }
            LANE => self.items(now, from, reader),
            _ => {
                let (ack, first) = reader.ack();
                if first && let Some(peer) = self.peers.get_mut(&from) {
                    peer.stand = Some(ack.clone());
                }
                let Some(member) = self.member_at(from) else { return };
                let lost = match first {
                    true => self.copies.reconnected(member, 0, &ack),
                    false => self.copies.acked(member, 0, &ack),
                };
                if lost.is_err() {
                    self.lose_copy(now, member);
                }
            }
        }
    }

    // Requests.

    fn ask(&mut self, ask: Ask) {
        let is = |pending: &Pending| (pending.ask.client, pending.ask.number) == (ask.client, ask.number);
        if !self.asked.values().any(is) {
            self.last_asked += 1;
            let group = group_of(ask.what.key());
            self.asked.insert(self.last_asked, Pending { ask, group, sent: None });
            self.routes = true;
        }
    }

    /// Sends what was not sent to who owns it now, in order.
    fn route(&mut self, now: Now) {
        self.routes = false;
        let mut orders: Vec<u64> = self.asked.keys().copied().collect();
        if self.bug == Bug::Backwards {
            orders.reverse();
        }
        for order in orders {
            let Some(pending) = self.asked.get(&order) else { continue };
            let Some(of) = self.configuration(pending.group) else { continue };
            let (term, tenure, moving, owns) = (of.term, of.tenure, of.moving.is_some(), self.owns(of));
            let stays = self.bug == Bug::NotAgain;
            if pending.sent.is_some_and(|(to, sent)| stays || (Some(to) == of.owner && sent >= tenure)) {
                continue;
            }
            let Some(owner) = of.owner else { continue };
            let (ask, group) = (pending.ask.clone(), pending.group);
            if Some(owner) == self.me() {
                if !moving && owns {
                    self.perform(now, Asker::Here, group, term, &ask);
                    self.sent(order, owner, term);
                }
            } else if let Some(host) = self.host_of(owner).filter(|host| self.peers.contains_key(host)) {
                self.send(host, Writer::of(FORWARD).number(term.0).ask(&ask));
                self.sent(order, owner, term);
            }
        }
    }

    fn sent(&mut self, order: u64, to: MemberId, term: Term) {
        if let Some(pending) = self.asked.get_mut(&order) {
            pending.sent = Some((to, term));
        }
    }

    /// A request of another node.
    fn forwarded(&mut self, now: Now, early: Early) {
        let of = self.configuration(early.group);
        let Some(of) = of.filter(|of| early.term <= of.term) else { return self.early.push(early) };
        if of.owner.is_some() && of.owner == self.me() && !self.owns(of) {
            return self.early.push(early);
        }
        if !self.owns(of) || early.term < of.tenure {
            let elsewhere = Writer::of(ELSEWHERE).number(u64::from(early.group)).number(early.term.0);
            return self.send(early.from, elsewhere);
        }
        if of.moving.is_some() {
            return self.early.push(early);
        }
        let term = of.term;
        self.perform(now, Asker::There(early.from), early.group, term, &early.ask);
    }

    /// Does what is asked, in a group that this node owns, and lets the answer wait.
    fn perform(&mut self, now: Now, asker: Asker, number: u16, term: Term, ask: &Ask) {
        let state = &mut self.store.states[usize::from(number)];
        let id = (ask.client, ask.number);
        let before = state.rows.get(ask.what.key()).copied();
        let value = match &ask.what {
            Operation::Put(_, value) => Some(*value),
            Operation::Add(_, by) => Some(before.unwrap_or(0) + by),
            Operation::Delete(_) => None,
            Operation::Get(_) | Operation::Count(_) => before,
        };
        let told = match (state.told.get(&id), &ask.what) {
            (Some(told), _) => *told,
            (None, what) => {
                let told = if matches!(what, Operation::Put(..)) { None } else { value };
                if !what.only_reads() {
                    let (seq, key) = (state.seq + 1, what.key().to_owned());
                    let record =
                        Record { group: number, term, seq, client: id.0, number: id.1, told, key, value };
                    self.record(now, &record);
                }
                told
            }
        };
        let rests_on = self.store.states[usize::from(number)].last;
        self.waits.push(Waits {
            group: number,
            rests_on,
            asker,
            client: ask.client,
            number: ask.number,
            told,
        });
    }

    fn record(&mut self, now: Now, record: &Record) {
        let item = record.write();
        let count = self.store.put(now.mono, &item).expect("it follows what is there");
        let write = |out: &mut Vec<u8>| *out = Writer(std::mem::take(out)).bytes(&item).0;
        self.copies.push(group(record.group), 0, count, now.mono, write);
    }

    fn answer(&mut self, client: u64, number: u64, told: Option<i64>) {
        let is = |pending: &Pending| (pending.ask.client, pending.ask.number) == (client, number);
        let Some(order) = self.asked.iter().find(|(_, pending)| is(pending)).map(|(order, _)| *order) else {
            return;
        };
        self.asked.remove(&order);
        self.out.push(Output::Answer { client, number, answer: Answer::Done(told) });
    }

    /// Lets out answers that rest on what is safe.
    fn let_out(&mut self, now: Now) {
        if self.waits.is_empty() || (now.mono >= self.lease && self.bug != Bug::WithoutLease) {
            return;
        }
        let (copies, store, bug) = (&self.copies, &self.store, self.bug);
        let is_safe = |waits: &mut Waits| {
            let own = waits.rests_on <= store.synced;
            own && (bug == Bug::BeforeCopies || copies.covers(waits.rests_on, Sync::Disk))
        };
        let safe: Vec<Waits> = self.waits.extract_if(.., is_safe).collect();
        for Waits { asker, client, number, told, .. } in safe {
            match asker {
                Asker::Here => self.answer(client, number, told),
                Asker::There(host) => {
                    self.send(host, Writer::of(TOLD).number(client).number(number).maybe(told));
                }
            }
        }
    }

    // Copies.

    fn items(&mut self, now: Now, from: Host, mut reader: Reader<'_>) {
        let (sender, epoch, first) = (MemberId(reader.number()), reader.number(), reader.number());
        let Some(incarnation) = self.peers.get(&from).map(|peer| peer.incarnation) else { return };
        let new = || (incarnation, Receiver::new(sender, WAITING_BYTES));
        let (_, receiver) = self.receivers.entry(from).or_insert_with(new);
        let mut items = Vec::new();
        while !reader.0.is_empty() {
            let bytes = reader.bytes();
            let (number, term) = item_head(bytes);
            items.push(Item { group: group(number), term, bytes });
        }
        let (view, me, store, bug) = (&self.view, self.cluster.id(), &mut self.store, self.bug);
        let known = |item: Item<'_>| tenure(view, me, item.group, sender, bug);
        // A hole cannot be: links keep their order. What cannot be applied is told with the next word.
        let _ = receiver.take(epoch, first, items, known, |item| put(store, now, bug, item));
    }

    fn resume(&mut self, now: Now) {
        let (view, me, store, bug) = (&self.view, self.cluster.id(), &mut self.store, self.bug);
        for (_, receiver) in self.receivers.values_mut().filter(|(_, receiver)| receiver.waits()) {
            let sender = receiver.sender();
            let known = |item: Item<'_>| tenure(view, me, item.group, sender, bug);
            let _ = receiver.resume(known, |item| put(store, now, bug, item));
        }
    }

    fn acknowledge(&mut self) {
        let synced = self.store.synced;
        let peers = &self.peers;
        let acks = self.receivers.iter_mut().filter(|(host, _)| peers.contains_key(host));
        let acks: Vec<_> =
            acks.filter_map(|(host, (_, receiver))| Some((*host, receiver.ack(synced)?))).collect();
        acks.into_iter().for_each(|(host, ack)| self.send(host, Writer::of(ACK).ack(&ack, false)));
    }

    fn send_items(&mut self) {
        let Some(me) = self.me() else { return };
        let ready: Vec<MemberId> =
            self.copies.lanes().filter(|(_, _, lane)| lane.has_next()).map(|lane| lane.0).collect();
        for member in ready {
            let Some(host) = self.host_of(member) else { continue };
            while let Some(frame) = self.copies.next(member, 0, FRAME_BYTES) {
                let head = Writer::of(LANE).number(me.0).number(frame.epoch).number(frame.first);
                let mut bytes = head.0;
                bytes.extend_from_slice(frame.bytes);
                self.out.push(Output::Send(host, bytes));
            }
        }
    }

    /// A copy does not stand where its lane could go on: it has to be dropped, and filled anew.
    fn lose_copy(&mut self, now: Now, member: MemberId) {
        self.lost.insert(member);
        self.copies.disconnected(member);
        for number in self.owned.keys().copied().collect::<Vec<_>>() {
            let Some(of) = self.configuration(number).filter(|of| of.in_sync.contains(&member)) else {
                continue;
            };
            let wish = Wish::Drop { group: group(number), term: of.term, member };
            self.cluster.wish(now.mono, wish);
        }
    }

    /// Lanes that are of no use go when nobody waits for them any more.
    fn make_lanes_anew(&mut self, now: Now) {
        for member in self.lost.clone() {
            let waited = self
                .owned
                .keys()
                .any(|number| self.configuration(*number).is_some_and(|of| of.in_sync.contains(&member)));
            if !waited {
                self.filling.retain(|(_, filled), _| *filled != member);
                for number in self.owned.keys().copied().collect::<Vec<_>>() {
                    self.set_copies(now, number, Some(member));
                }
                assert!(self.copies.remove(member), "nobody waits for it");
                self.lost.remove(&member);
            }
        }
    }

    /// Says who gets the records of a group that this node owns, all but one.
    fn set_copies(&mut self, now: Now, number: u16, but: Option<MemberId>) {
        let Some(of) = self.configuration(number) else { return };
        let others = |member: &MemberId| Some(*member) != self.cluster.id() && Some(*member) != but;
        let waited = |member: &MemberId| {
            self.filling.get(&(number, *member)).is_some_and(|filling| *filling != Filling::Sent)
        };
        let in_sync = of.in_sync.iter().copied().filter(others);
        let filled = self.filling.keys().filter(|(group, _)| *group == number).map(|(_, member)| *member);
        let (waits, follow): (Vec<_>, Vec<_>) = filled.filter(others).partition(waited);
        let waits: Vec<MemberId> = in_sync.chain(waits).collect();
        for member in waits.iter().chain(&follow) {
            self.epoch += 1;
            if self.copies.add(*member, 1, self.epoch) {
                self.link_lane(now, *member);
            }
        }
        self.copies.set(group(number), &waits, &follow).expect("each has a lane");
    }

    /// A lane goes on from the copy's first word on the link, which may have come before there was a lane, or before it was
    /// known whose word it is.
    fn link_lane(&mut self, now: Now, member: MemberId) {
        let peer = self.peers.keys().copied().find(|host| self.member_at(*host) == Some(member));
        let is_linked = self.copies.lanes().any(|(of, _, lane)| of == member && lane.is_linked());
        let stand = peer.and_then(|host| self.peers.get(&host)?.stand.clone()).filter(|_| !is_linked);
        if let Some(stand) = stand
            && self.copies.reconnected(member, 0, &stand).is_err()
        {
            self.lose_copy(now, member);
        }
    }

    /// Fills members that are to have a group and lack it.
    fn fill(&mut self, now: Now) {
        for ((number, member), filling) in self.filling.clone() {
            let Some(term) = self.configuration(number).map(|of| of.term) else { continue };
            let next = match filling {
                Filling::Sent if self.copies.has_pieces(group(number), member, Sync::Disk) => Filling::Waited,
                Filling::Waited if self.copies.has_joined(group(number), member, Sync::Disk) => {
                    Filling::Asked(term)
                }
                Filling::Asked(before) if before != term => Filling::Asked(term),
                _ => continue,
            };
            self.filling.insert((number, member), next);
            match next {
                Filling::Asked(term) => {
                    self.cluster.wish(now.mono, Wish::CaughtUp { group: group(number), term, member });
                }
                _ => self.set_copies(now, number, None),
            }
        }
    }

    fn begin_filling(&mut self, now: Now, number: u16, member: MemberId) {
        // What it was sent before does not count.
        self.filling.remove(&(number, member));
        self.set_copies(now, number, Some(member));
        self.filling.insert((number, member), Filling::Sent);
        self.set_copies(now, number, None);
        let Some(term) = self.configuration(number).map(|of| of.term) else { return };
        let state = &self.store.states[usize::from(number)];
        let mut item = state.clone();
        if self.bug == Bug::ForgetsAnswers {
            item.told.clear();
        }
        let item = item.write(number, term);
        let pushed = self.copies.push_piece(group(number), member, 0, now.mono, |out| {
            *out = Writer(std::mem::take(out)).bytes(&item).0;
        });
        if !pushed {
            // Its turn comes when there is room.
            self.filling.remove(&(number, member));
        }
    }

    // What the zone decides.

    fn see(&mut self, now: Now, view: Arc<View>) {
        let members: Vec<_> = view
            .members
            .iter()
            .map(|seen| format!("{} {:?}", seen.member.id, seen.member.standing))
            .collect();
        self.out.push(Output::Say(format!(
            "sees {} led by {:?}: {}",
            view.version,
            view.leader,
            members.join(", ")
        )));
        for (group, of) in view.groups.iter().filter(|(group, of)| self.view.groups.get(group) != Some(of)) {
            let Configuration { term, owner, in_sync, returned, replicas, moving, .. } = of;
            self.out.push(Output::Say(format!(
                "  {} {term}: {owner:?} {in_sync:?} {returned:?} {replicas:?} {moving:?}",
                group.number
            )));
        }
        let before = std::mem::replace(&mut self.view, view);
        self.routes = true;
        let members: Vec<MemberId> = self.peers.keys().filter_map(|host| self.member_at(*host)).collect();
        let is_new = |member: &MemberId| before.member(*member) != self.view.member(*member);
        for member in members.into_iter().filter(is_new).collect::<Vec<_>>() {
            let _ = self.cluster.handle(now.mono, Event::LinkUp(member));
            // Its first word came before it was known who it is.
            self.link_lane(now, member);
        }
        for number in 0..GROUPS {
            let Some(of) = self.view.groups.get(&group(number)) else { continue };
            if before.groups.get(&group(number)) != Some(of) {
                self.see_group(now, number);
            }
        }
        self.make_lanes_anew(now);
        self.resume(now);
        let early = std::mem::take(&mut self.early);
        early.into_iter().for_each(|early| self.forwarded(now, early));
    }

    /// What a node restored may be older than its own records: it owns nothing before it has a lease in this life, for
    /// that is given for a view that is new enough.
    fn begin_to_serve(&mut self, now: Now) {
        self.routes = true;
        (0..GROUPS).for_each(|number| self.see_group(now, number));
        let early = std::mem::take(&mut self.early);
        early.into_iter().for_each(|early| self.forwarded(now, early));
    }

    fn owns(&self, of: &Configuration) -> bool {
        of.owner.is_some() && of.owner == self.me() && self.lease > 0
    }

    fn see_group(&mut self, now: Now, number: u16) {
        let Some(of) = self.configuration(number) else { return };
        let owner = self.owns(of);
        let (tenure, in_sync) = (of.tenure, of.in_sync.clone());
        if self.owned.get(&number).is_some_and(|since| !owner || *since != tenure) {
            self.owned.remove(&number);
            self.filling.retain(|(group, _), _| *group != number);
            self.handed.remove(&number);
            self.copies.lose(group(number));
            if self.bug != Bug::AnswersLost {
                self.waits.retain(|waits| waits.group != number);
            }
            let me = self.me();
            for pending in self.asked.values_mut().filter(|pending| pending.group == number) {
                pending.sent = pending.sent.filter(|(to, _)| Some(*to) != me);
            }
        }
        if owner {
            self.owned.insert(number, tenure);
            self.filling.retain(|(group, member), _| *group != number || !in_sync.contains(member));
            self.set_copies(now, number, None);
        }
    }

    /// Fills who lacks a group, and gives it away where it is to go.
    fn look_after_groups(&mut self, now: Now) {
        for number in self.owned.keys().copied().collect::<Vec<_>>() {
            let Some(of) = self.configuration(number) else { continue };
            let (term, moving) = (of.term, of.moving);
            let wanting = self.view.wanting(group(number));
            let here: BTreeSet<MemberId> =
                wanting.into_iter().filter(|member| !self.lost.contains(member)).collect();
            let gone = |(of, member): &(u16, MemberId)| *of == number && !here.contains(member);
            if self.filling.keys().any(gone) {
                self.filling.retain(|of, _| !gone(of));
                self.set_copies(now, number, None);
            }
            for member in here {
                if !self.filling.contains_key(&(number, member)) {
                    self.begin_filling(now, number, member);
                }
            }
            let last = self.store.states[usize::from(number)].last;
            let rests = self.waits.iter().all(|waits| waits.group != number);
            if let Some(to) = moving
                && rests
                && self.copies.covers(last, Sync::Disk)
                && self.handed.insert(number, term) != Some(term)
            {
                self.cluster.wish(now.mono, Wish::HandOver { group: group(number), term, to });
            }
        }
    }

    fn drive_cluster(&mut self, now: Now) -> bool {
        let outputs = self.cluster.turn(now.mono);
        let any = !outputs.is_empty();
        for output in outputs {
            match output {
                anabranch_cluster::Output::Send { to, bytes } => {
                    let mut frame = vec![CONTROL];
                    frame.extend_from_slice(&bytes);
                    if let Ok(host) = to.address.parse() {
                        self.out.push(Output::Send(Host(host), frame));
                    }
                }
                anabranch_cluster::Output::Keep { serial, whole, bytes } => {
                    self.store.keep_piece(now.mono, serial, whole, &bytes);
                }
                anabranch_cluster::Output::View(view) => self.see(now, view),
                anabranch_cluster::Output::Lease { until } => {
                    let first = std::mem::replace(&mut self.lease, until) == 0;
                    if first {
                        self.begin_to_serve(now);
                    }
                }
                anabranch_cluster::Output::Refused(reason) => {
                    self.out.push(Output::Say(format!("is refused: {reason:?}")));
                    self.lease = 0;
                }
            }
        }
        any
    }
}

/// Who owns a group, as the view has it; `None` where it does not have the group.
fn tenure(view: &View, me: Option<MemberId>, group: Group, sender: MemberId, bug: Bug) -> Option<Tenure> {
    let of = view.groups.get(&group)?;
    if bug == Bug::NoFence {
        return Some(Tenure { since: Term(0), term: Term(u64::MAX), holder: Holder::There(sender) });
    }
    let holder = match of.owner {
        Some(owner) if Some(owner) == me => Holder::Here,
        Some(owner) => Holder::There(owner),
        None => Holder::Nobody,
    };
    Some(Tenure { since: of.tenure, term: of.term, holder })
}

fn put(store: &mut Store, now: Now, bug: Bug, item: Item<'_>) -> Result<u64, String> {
    if bug == Bug::NoState && item.bytes[0] == crate::store::STATE {
        return Ok(store.count);
    }
    store.put(now.mono, item.bytes)
}

impl Node for ZoneNode {
    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Up { peer, hello } => self.up(now, peer, &hello),
            Input::Lost { peer, refused } => self.down(now, peer, refused),
            Input::Frame { peer, bytes } => self.frame(now, peer, &bytes),
            Input::Ask(ask) => self.ask(ask),
            Input::Gone(client) => self.asked.retain(|_, pending| pending.ask.client != client),
        }
    }

    fn turn(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut again = true;
        while again {
            again = self.drive_cluster(now);
            if self.retry_at.take_if(|at| *at <= now.mono).is_some() || self.routes {
                self.route(now);
            }
            self.make_lanes_anew(now);
            self.fill(now);
            self.look_after_groups(now);
            self.let_out(now);
            self.send_items();
            if let Some(serial) = self.store.turn(now.mono) {
                let _ = self.cluster.handle(now.mono, Event::Kept(serial));
                again = true;
            }
            self.acknowledge();
        }
        out.append(&mut self.out);
    }

    fn due(&self) -> Option<u64> {
        [Some(self.cluster.due()), self.store.sync_at, self.retry_at].into_iter().flatten().min()
    }

    fn hello(&self) -> Vec<u8> {
        Writer::default().number(self.incarnation).0
    }

    fn serves(&self, now: Now) -> Vec<(Group, Term)> {
        if now.mono >= self.lease && self.bug != Bug::WithoutLease {
            return Vec::new();
        }
        // What is to go to another owner takes no requests: the other one may have heard that it owns it already.
        let stays = |number: &u16| self.configuration(*number).is_some_and(|of| of.moving.is_none());
        let owned = self.owned.iter().filter(|(number, _)| stays(number));
        owned.map(|(number, term)| (group(*number), *term)).collect()
    }

    fn version(&self) -> u64 {
        self.view.version
    }

    fn configurations(&self) -> Vec<Configured> {
        let member = |id: &MemberId| {
            let host = self.host_of(*id).unwrap_or(Host(u16::MAX));
            Member { id: id.0, host }
        };
        let groups = self.view.groups.iter();
        let of = groups.map(|(group, of)| Configured {
            group: *group,
            term: of.term,
            owner: of.owner.as_ref().map(member),
            in_sync: of.in_sync.iter().map(member).collect(),
        });
        of.collect()
    }

    fn holds(&self) -> Vec<Held> {
        let held = (0..).zip(&self.store.states).map(|(number, state)| Held {
            group: group(number),
            positions: vec![(0, Term(state.term), state.seq)],
            rows: state.rows.iter().map(|(key, value)| (key.clone(), *value)).collect(),
        });
        held.collect()
    }
}
