//! The world of the lanes: an owner, two copies, links, and who knows what of terms.

use std::collections::{BTreeMap, VecDeque};

use anabranch_model::plan::Sync;
use anabranch_model::zone::{Group, Holder, MemberId, Term};
use anabranch_replica::{Ack, Copies, Item, Receiver, Tenure};
use proptest::prelude::*;

const OWNER: MemberId = MemberId(1);
const OTHER: MemberId = MemberId(9);
const COPIES: usize = 2;
const WORKERS: u32 = 2;
const GROUPS: u16 = 3;
const EPOCH: u64 = 3;

/// Something that happens; groups, copies and workers by number, taken modulo.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// The owner makes a record of a group in a partition of this number.
    Push(u16, u32),
    /// The owner sends a piece of state of a group to a worker of a copy.
    Piece(u16, usize, u32),
    /// A copy's lane sends a frame of so many bytes.
    Send(usize, u32, usize),
    /// A link to a copy carries so many messages.
    Carry(usize, usize),
    /// A copy acknowledges; so many of its own last records are not on its disk.
    Acknowledge(usize, u64),
    /// Everything that is under way between the owner and a copy arrives.
    Settle(usize),
    /// The link from a copy carries so many messages.
    CarryBack(usize, usize),
    /// A link breaks, with what it carries.
    Break(usize),
    /// There is a link again.
    Link(usize),
    /// A group has a new configuration with the same owner.
    Reconfigure(u16),
    /// A group has another owner; the former one does not know yet.
    Usurp(u16),
    /// The group comes back to the owner, who hears of it.
    Return(u16),
    /// A copy hears of all configurations.
    Learn(usize),
    /// The owner hears of all configurations.
    OwnerLearns,
    /// The owner waits, or does not wait any more, for a copy to have the records of a group.
    Wait(u16, usize, bool),
}

pub(crate) fn ops() -> impl Strategy<Value = Op> {
    let group = 0..GROUPS;
    prop_oneof![
        6 => (group.clone(), 0..4u32).prop_map(|(group, number)| Op::Push(group, number)),
        1 => (group.clone(), 0..COPIES, 0..WORKERS).prop_map(|(group, copy, worker)| Op::Piece(group, copy, worker)),
        6 => (0..COPIES, 0..WORKERS, 1..60usize).prop_map(|(copy, worker, bytes)| Op::Send(copy, worker, bytes)),
        5 => (0..COPIES, 1..4usize).prop_map(|(copy, messages)| Op::Carry(copy, messages)),
        4 => (0..COPIES, 0..4u64).prop_map(|(copy, behind)| Op::Acknowledge(copy, behind)),
        5 => (0..COPIES, 1..4usize).prop_map(|(copy, messages)| Op::CarryBack(copy, messages)),
        3 => (0..COPIES).prop_map(Op::Settle),
        3 => (0..COPIES).prop_map(Op::Break),
        6 => (0..COPIES).prop_map(Op::Link),
        2 => group.clone().prop_map(Op::Reconfigure),
        1 => group.clone().prop_map(Op::Usurp),
        1 => group.clone().prop_map(Op::Return),
        2 => (0..COPIES).prop_map(Op::Learn),
        2 => Just(Op::OwnerLearns),
        1 => (group, 0..COPIES, any::<bool>()).prop_map(|(group, copy, waits)| Op::Wait(group, copy, waits)),
    ]
}

/// An item as it goes over a link: made unique by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    group: Group,
    term: Term,
    name: u64,
}

const SENT_BYTES: usize = 26;

impl Sent {
    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.group.number.to_le_bytes());
        [self.term.0, self.name, 0].iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    }

    fn read(bytes: &[u8]) -> Sent {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let group = group(u16::from_le_bytes([bytes[0], bytes[1]]));
        Sent { group, term: Term(number(2)), name: number(10) }
    }
}

struct Frame {
    worker: u32,
    first: u64,
    bytes: Vec<u8>,
}

/// A record that the owner made.
struct Record {
    count: u64,
    sent: Sent,
    worker: u32,
}

#[derive(Default)]
struct Lane {
    /// What the owner pushed.
    pushed: Vec<Sent>,
    /// What the copy applied, and after how many own records it was on its disk at the earliest.
    applied: Vec<(Sent, u64)>,
}

struct Copy {
    known: BTreeMap<Group, Tenure>,
    receivers: Vec<Receiver>,
    lanes: Vec<Lane>,
    linked: bool,
    to: VecDeque<Frame>,
    from: VecDeque<(u32, Ack, bool)>,
    /// Records of its own.
    records: u64,
    kept: u64,
}

pub(crate) struct World {
    copies: Copies,
    peers: Vec<Copy>,
    /// Who owns what.
    truth: BTreeMap<Group, Tenure>,
    /// Which groups the owner takes for its own, in which term.
    owned: BTreeMap<Group, Term>,
    waits: BTreeMap<Group, [bool; COPIES]>,
    /// Records of groups that the owner has not lost since.
    records: Vec<Record>,
    made: u64,
    names: u64,
    /// What was covered, and must stay so while no copy is added.
    covered: [u64; 2],
}

fn group(number: u16) -> Group {
    Group { copies: 3, number: number % GROUPS }
}

fn member(copy: usize) -> MemberId {
    MemberId(2 + copy as u64)
}

impl World {
    pub(crate) fn new() -> Self {
        let first = Tenure { since: Term(1), term: Term(1), holder: Holder::There(OWNER) };
        let truth: BTreeMap<_, _> = (0..GROUPS).map(|number| (group(number), first)).collect();
        let copy = |_| Copy {
            known: truth.clone(),
            receivers: (0..WORKERS).map(|_| Receiver::new(OWNER, 1 << 20)).collect(),
            lanes: (0..WORKERS).map(|_| Lane::default()).collect(),
            linked: false,
            to: VecDeque::new(),
            from: VecDeque::new(),
            records: 0,
            kept: 0,
        };
        let mut world = World {
            copies: Copies::new(),
            peers: (0..COPIES).map(copy).collect(),
            owned: truth.keys().map(|group| (*group, Term(1))).collect(),
            waits: truth.keys().map(|group| (*group, [true, group.number != 1])).collect(),
            truth,
            records: Vec::new(),
            made: 0,
            names: 0,
            covered: [0; 2],
        };
        (0..COPIES).for_each(|copy| assert!(world.copies.add(member(copy), WORKERS, EPOCH)));
        (0..GROUPS).for_each(|number| world.set(group(number)));
        world
    }

    fn set(&mut self, group: Group) {
        let waits = self.waits[&group];
        let (waits_for, follow): (Vec<usize>, Vec<usize>) = (0..COPIES).partition(|copy| waits[*copy]);
        let members = |copies: Vec<usize>| copies.into_iter().map(member).collect::<Vec<_>>();
        self.copies.set(group, &members(waits_for), &members(follow)).unwrap();
    }

    pub(crate) fn perform(&mut self, op: Op) {
        match op {
            Op::Push(number, partition) => self.push(group(number), partition),
            Op::Piece(number, copy, worker) => self.piece(group(number), copy, worker),
            Op::Send(copy, worker, bytes) => self.send(copy, worker, bytes),
            Op::Carry(copy, messages) => (0..messages).for_each(|_| self.carry(copy)),
            Op::Acknowledge(copy, behind) => self.acknowledge(copy, behind),
            Op::CarryBack(copy, messages) => (0..messages).for_each(|_| self.carry_back(copy)),
            Op::Settle(copy) => self.settle(copy),
            Op::Break(copy) => self.cut(copy),
            Op::Link(copy) => self.link(copy),
            Op::Reconfigure(number) => self.change(group(number), |tenure| tenure.since),
            Op::Usurp(number) => self.usurp(group(number)),
            Op::Return(number) => self.come_back(group(number)),
            Op::Learn(copy) => self.learn(copy),
            Op::OwnerLearns => self.owner_learns(),
            Op::Wait(number, copy, waits) => {
                let group = group(number);
                self.waits.get_mut(&group).unwrap()[copy] = waits;
                if self.owned.contains_key(&group) {
                    self.set(group);
                    self.covered = [0; 2];
                }
            }
        }
    }

    fn name(&mut self, group: Group) -> Option<Sent> {
        let term = *self.owned.get(&group)?;
        self.names += 1;
        Some(Sent { group, term, name: self.names })
    }

    fn push(&mut self, group: Group, partition: u32) {
        let Some(sent) = self.name(group) else { return };
        self.made += 1;
        self.copies.push(group, partition, self.made, 0, |bytes| sent.write(bytes));
        let worker = partition % WORKERS;
        self.peers.iter_mut().for_each(|peer| peer.lanes[worker as usize].pushed.push(sent.clone()));
        self.records.push(Record { count: self.made, sent, worker });
        let before = self.made - 1;
        self.covered = self.covered.map(|covered| covered.min(before));
    }

    fn piece(&mut self, group: Group, copy: usize, worker: u32) {
        let Some(sent) = self.name(group) else { return };
        assert!(self.copies.push_piece(group, member(copy), worker, 0, |bytes| sent.write(bytes)));
        self.peers[copy].lanes[worker as usize].pushed.push(sent);
    }

    fn send(&mut self, copy: usize, worker: u32, bytes_most: usize) {
        let Some(frame) = self.copies.next(member(copy), worker, bytes_most) else { return };
        assert!(frame.epoch == EPOCH && frame.bytes.len() == frame.items as usize * SENT_BYTES);
        assert!(frame.bytes.len() <= bytes_most || frame.items == 1);
        let frame = Frame { worker, first: frame.first, bytes: frame.bytes.to_vec() };
        self.peers[copy].to.push_back(frame);
    }

    fn carry(&mut self, copy: usize) {
        let Copy { known, receivers, lanes, to, records, .. } = &mut self.peers[copy];
        let Some(Frame { worker, first, bytes }) = to.pop_front() else { return };
        let lane = &mut lanes[worker as usize];
        let items = bytes.chunks(SENT_BYTES).map(|bytes| {
            let sent = Sent::read(bytes);
            Item { group: sent.group, term: sent.term, bytes }
        });
        let apply = |item: Item<'_>| {
            check_owner(known[&item.group], item.term);
            *records += 1;
            lane.applied.push((Sent::read(item.bytes), *records));
            Ok::<_, ()>(*records)
        };
        receivers[worker as usize]
            .take(EPOCH, first, items, |item| known.get(&item.group).copied(), apply)
            .unwrap();
    }

    fn learn(&mut self, copy: usize) {
        self.peers[copy].known = self.truth.clone();
        let Copy { known, receivers, lanes, records, .. } = &mut self.peers[copy];
        for (receiver, lane) in receivers.iter_mut().zip(lanes) {
            let apply = |item: Item<'_>| {
                check_owner(known[&item.group], item.term);
                *records += 1;
                lane.applied.push((Sent::read(item.bytes), *records));
                Ok::<_, ()>(*records)
            };
            receiver.resume(|item| known.get(&item.group).copied(), apply).unwrap();
        }
    }

    fn acknowledge(&mut self, copy: usize, behind: u64) {
        let peer = &mut self.peers[copy];
        peer.kept = peer.kept.max(peer.records.saturating_sub(behind));
        for (worker, receiver) in (0..).zip(&mut peer.receivers) {
            if let Some(ack) = receiver.ack(peer.kept).filter(|_| peer.linked) {
                peer.from.push_back((worker, ack, false));
            }
        }
    }

    fn carry_back(&mut self, copy: usize) {
        let Some((worker, ack, first)) = self.peers[copy].from.pop_front() else { return };
        match first {
            true => self.copies.reconnected(member(copy), worker, &ack).unwrap(),
            false => self.copies.acked(member(copy), worker, &ack).unwrap(),
        }
    }

    fn cut(&mut self, copy: usize) {
        self.copies.disconnected(member(copy));
        let peer = &mut self.peers[copy];
        peer.linked = false;
        peer.to.clear();
        peer.from.clear();
    }

    fn link(&mut self, copy: usize) {
        let peer = &mut self.peers[copy];
        if !std::mem::replace(&mut peer.linked, true) {
            let stands =
                (0..).zip(&mut peer.receivers).map(|(worker, receiver)| (worker, receiver.stand(), true));
            peer.from.extend(stands);
        }
    }

    fn change(&mut self, group: Group, since: impl Fn(&Tenure) -> Term) {
        let tenure = self.truth.get_mut(&group).unwrap();
        tenure.term = tenure.term.next();
        tenure.since = since(tenure);
    }

    fn usurp(&mut self, group: Group) {
        self.change(group, |tenure| tenure.term);
        self.truth.get_mut(&group).unwrap().holder = Holder::There(OTHER);
    }

    fn come_back(&mut self, group: Group) {
        self.owner_learns();
        if self.owned.contains_key(&group) {
            return;
        }
        self.change(group, |tenure| tenure.term);
        self.truth.get_mut(&group).unwrap().holder = Holder::There(OWNER);
        self.owner_learns();
    }

    /// What the owner has lost it forgets with its records; what it has (again) it serves in the new term.
    fn owner_learns(&mut self) {
        for (group, tenure) in self.truth.clone() {
            let had = self.owned.get(&group).copied();
            if had.is_some_and(|term| term < tenure.since) {
                self.owned.remove(&group);
                self.copies.lose(group);
                self.records.retain(|record| record.sent.group != group);
            }
            if tenure.holder == Holder::There(OWNER) {
                let new = self.owned.insert(group, tenure.term).is_none();
                if new {
                    self.set(group);
                }
            }
        }
    }

    /// INVARIANTS at every moment.
    pub(crate) fn check(&mut self) {
        for peer in &self.peers {
            for (lane, receiver) in peer.lanes.iter().zip(&peer.receivers) {
                check_prefix(lane, receiver.taken());
            }
        }
        for (place, sync) in [(0, Sync::Memory), (1, Sync::Disk)] {
            assert!(self.copies.covers(self.covered[place], sync), "{sync:?}: it was covered before");
            while self.covered[place] < self.made && self.copies.covers(self.covered[place] + 1, sync) {
                self.covered[place] += 1;
            }
            let covered = self.covered[place];
            for record in self.records.iter().filter(|record| record.count <= covered) {
                self.check_there(record, sync);
            }
        }
    }

    fn check_there(&self, record: &Record, sync: Sync) {
        let waits = self.waits[&record.sent.group];
        for (copy, peer) in self.peers.iter().enumerate().filter(|(copy, _)| waits[*copy]) {
            let applied = &peer.lanes[record.worker as usize].applied;
            let there = applied.iter().find(|(sent, _)| *sent == record.sent);
            let safe = there.is_some_and(|(_, own)| sync == Sync::Memory || *own <= peer.kept);
            assert!(safe, "record {} is not with copy {copy} ({sync:?}) and is covered", record.count);
        }
    }

    /// Everybody hears of everything, links work, everything is carried.
    pub(crate) fn heal(&mut self) {
        self.owner_learns();
        for copy in 0..COPIES {
            self.learn(copy);
            self.link(copy);
        }
        (0..COPIES).for_each(|copy| self.settle(copy));
    }

    fn settle(&mut self, copy: usize) {
        self.carry_all_back(copy);
        (0..WORKERS).for_each(|worker| (0..1000).for_each(|_| self.send(copy, worker, 100)));
        while !self.peers[copy].to.is_empty() {
            self.carry(copy);
        }
        self.acknowledge(copy, 0);
        self.carry_all_back(copy);
    }

    fn carry_all_back(&mut self, copy: usize) {
        while !self.peers[copy].from.is_empty() {
            self.carry_back(copy);
        }
    }

    pub(crate) fn check_all_is_there(&self) {
        for peer in &self.peers {
            for (lane, receiver) in peer.lanes.iter().zip(&peer.receivers) {
                assert_eq!(receiver.taken(), lane.pushed.len() as u64);
            }
        }
        for sync in [Sync::Memory, Sync::Disk] {
            assert!(self.copies.covers(u64::MAX, sync), "{sync:?}");
        }
        assert!(self.copies.lanes().all(|(_, _, lane)| lane.items_under_way() == 0 && !lane.has_next()));
    }
}

/// The copy knows that the owner had the group in this term, and has not lost it since.
fn check_owner(known: Tenure, term: Term) {
    let owns = known.holder == Holder::There(OWNER) && (known.since..=known.term).contains(&term);
    assert!(owns, "an item of term {term} is applied where {known:?}");
}

/// What was applied is what was pushed up to here, in order and once each, but for what is of an owner of earlier.
fn check_prefix(lane: &Lane, taken: u64) {
    let prefix = &lane.pushed[..taken as usize];
    let mut rest = prefix.iter();
    for (sent, _) in &lane.applied {
        assert!(
            rest.any(|pushed| pushed == sent),
            "{sent:?} was applied out of order, twice, or from nowhere"
        );
    }
    let mut newest: BTreeMap<Group, Term> = BTreeMap::new();
    for (sent, _) in &lane.applied {
        let newest = newest.entry(sent.group).or_insert(sent.term);
        assert!(sent.term >= *newest, "{sent:?} is of an earlier term than what was applied before");
        *newest = sent.term;
    }
}
