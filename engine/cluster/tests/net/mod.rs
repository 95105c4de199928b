//! A few nodes, a network and disks in memory, on a virtual clock, from one seed. Owners behave as real ones do: they bring
//! copies up to date and hand over what they are told to; who holds a lease is checked after every step.
#![allow(dead_code, unreachable_pub)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use anabranch_cluster::{Cluster, Contact, Deed, Event, Me, Output, Reason, Role, View, Wish};
use anabranch_model::zone::{Group, MemberId, Term};

pub const MS: u64 = 1_000;
pub const SECOND: u64 = 1_000_000;

/// Chance from a seed (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the network does to messages.
#[derive(Clone, Copy)]
pub struct Weather {
    pub delay_min: u64,
    pub delay_max: u64,
    pub loss_percent: u64,
    pub double_percent: u64,
}

impl Weather {
    pub const FAIR: Weather = Weather { delay_min: 200, delay_max: 600, loss_percent: 0, double_percent: 0 };
    pub const FOUL: Weather =
        Weather { delay_min: 200, delay_max: 60 * MS, loss_percent: 10, double_percent: 5 };
}

pub struct Written {
    serial: u64,
    whole: bool,
    bytes: Vec<u8>,
    synced: bool,
}

pub struct Node {
    pub me: Me,
    pub cluster: Option<Cluster>,
    /// How fast its clock goes, in parts of 1,000, and where it began.
    pub rate: u64,
    pub offset: u64,
    pub paused_until: u64,
    /// What was written, and whether it was synced.
    pub disk: Vec<Written>,
    pub view: Arc<View>,
    pub lease: u64,
    pub refused: Option<Reason>,
    /// What it stopped to serve, as it handed it over.
    stopped: BTreeSet<(Group, Term)>,
    wished: BTreeSet<(Group, Term, MemberId)>,
    incarnations: u64,
}

impl Node {
    pub fn clock(&self, now: u64) -> u64 {
        self.offset + now * self.rate / 1_000
    }

    fn id(&self) -> Option<MemberId> {
        self.cluster.as_ref().and_then(Cluster::id)
    }

    /// What it may serve now.
    fn serves(&self, now: u64) -> impl Iterator<Item = Group> {
        let me = self.id().filter(|_| self.lease > self.clock(now) && self.refused.is_none());
        let of = self.view.groups.iter().filter(move |(_, of)| of.owner.is_some() && of.owner == me);
        of.filter(|(group, of)| !self.stopped.contains(&(**group, of.term))).map(|(group, _)| *group)
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    Message { from: usize, incarnation: u64, bytes: Vec<u8> },
    LinkLost { member: MemberId, refused: bool },
    Kept { incarnation: u64, serial: u64 },
    Do { incarnation: u64, what: Task },
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    CaughtUp(Group, Term, MemberId),
    HandOver(Group, Term, MemberId),
}

/// What a term of a group was: owner and who had everything.
type Configured = (Option<MemberId>, Vec<MemberId>);

pub struct Net {
    pub now: u64,
    pub chance: Chance,
    pub nodes: Vec<Node>,
    pub weather: Weather,
    /// From whom to whom nothing passes.
    pub cut: BTreeSet<(usize, usize)>,
    queue: BinaryHeap<Reverse<(u64, u64, usize, Coming)>>,
    serial: u64,
    pub trace: u64,
    pub messages: u64,
    pub bytes: u64,
    configured: BTreeMap<(u64, u32, Group, Term), Configured>,
    /// Time that catching up one group takes.
    pub catch_up: u64,
    pub disk_time: u64,
    /// Who gets heartbeats and nothing of the log.
    pub without_log: Option<usize>,
    /// What was sent, where somebody asks for it.
    pub record: Option<Vec<Vec<u8>>>,
    /// Whether somebody was forced to serve.
    forced: bool,
}

impl Net {
    pub fn new(seed: u64) -> Net {
        Net {
            now: 0,
            chance: Chance(seed),
            nodes: Vec::new(),
            weather: Weather::FAIR,
            cut: BTreeSet::new(),
            queue: BinaryHeap::new(),
            serial: 0,
            trace: 0,
            messages: 0,
            bytes: 0,
            configured: BTreeMap::new(),
            catch_up: 20 * MS,
            disk_time: MS,
            without_log: None,
            record: None,
            forced: false,
        }
    }

    /// A machine; nothing runs on it yet.
    pub fn add(&mut self, name: &str, role: Role, durable: bool) -> usize {
        let me = Me {
            zone: "demo".to_owned(),
            name: name.to_owned(),
            incarnation: 0,
            address: format!("{name}:7401#{}", self.nodes.len()),
            role,
            workers: 2,
            durable,
            epoch_at: 1_800_000_000 * SECOND,
        };
        self.nodes.push(Node {
            me,
            cluster: None,
            rate: 1_000,
            offset: 0,
            paused_until: 0,
            disk: Vec::new(),
            view: Arc::default(),
            lease: 0,
            refused: None,
            stopped: BTreeSet::new(),
            wished: BTreeSet::new(),
            incarnations: 0,
        });
        self.nodes.len() - 1
    }

    /// Starts a process: it founds (`None`), or joins at these; with what is on its disk.
    pub fn start(&mut self, at: usize, join: Option<&[usize]>) {
        let seeds: Option<Vec<String>> =
            join.map(|seeds| seeds.iter().map(|seed| self.nodes[*seed].me.address.clone()).collect());
        let now = self.now;
        let node = &mut self.nodes[at];
        node.incarnations += 1;
        node.me.incarnation = (at as u64 + 1) * 1_000 + node.incarnations;
        node.lease = 0;
        node.view = Arc::default();
        node.refused = None;
        node.stopped.clear();
        node.wished.clear();
        let (me, clock) = (node.me.clone(), node.clock(now));
        let cluster = match seeds {
            None if node.disk.is_empty() => Cluster::found(me, clock),
            seeds => {
                let saved: Vec<Vec<u8>> = node.disk.iter().map(|written| written.bytes.clone()).collect();
                Cluster::restore(me, seeds.unwrap_or_default(), &saved, clock).expect("own pieces")
            }
        };
        node.cluster = Some(cluster);
        self.drain(at);
    }

    /// SIGKILL: whoever is not cut off sees its connections closed and new ones refused.
    pub fn kill(&mut self, at: usize) {
        let Some(member) = self.crash(at) else { return };
        for other in 0..self.nodes.len() {
            if other != at && !self.cut.contains(&(at, other)) && !self.cut.contains(&(other, at)) {
                let delay = self.weather.delay_min + self.chance.below(self.weather.delay_max);
                self.push(delay, other, Coming::LinkLost { member, refused: true });
            }
        }
    }

    /// Its process ends, and what was written and not synced is there or not.
    fn crash(&mut self, at: usize) -> Option<MemberId> {
        let member = self.nodes[at].cluster.take()?.id();
        let disk = &mut self.nodes[at].disk;
        let synced = disk.iter().take_while(|written| written.synced).count();
        let there = synced + self.chance.below((disk.len() - synced) as u64 + 1) as usize;
        disk.truncate(there);
        disk.iter_mut().for_each(|written| written.synced = true);
        member
    }

    /// The machine is gone with its network: nobody hears why.
    pub fn vanish(&mut self, at: usize) {
        self.crash(at);
    }

    pub fn pause(&mut self, at: usize, time: u64) {
        self.nodes[at].paused_until = self.now + time;
    }

    pub fn cut_off(&mut self, at: usize) {
        for other in 0..self.nodes.len() {
            self.cut.insert((at, other));
            self.cut.insert((other, at));
        }
    }

    pub fn wish(&mut self, at: usize, wish: Wish) -> u64 {
        let clock = self.nodes[at].clock(self.now);
        let number = self.nodes[at].cluster.as_mut().expect("it runs").wish(clock, wish);
        self.drain(at);
        number
    }

    /// Bytes from somewhere.
    pub fn inject(
        &mut self,
        at: usize,
        from: Contact,
        bytes: Vec<u8>,
    ) -> Result<(), anabranch_cluster::Error> {
        let clock = self.nodes[at].clock(self.now);
        let result =
            self.nodes[at].cluster.as_mut().expect("it runs").handle(clock, Event::Message { from, bytes });
        self.drain(at);
        result
    }

    /// The same without looking at what it makes of the zone: who is lied to by a member may believe it.
    pub fn inject_unchecked(
        &mut self,
        at: usize,
        from: Contact,
        bytes: Vec<u8>,
    ) -> Result<(), anabranch_cluster::Error> {
        let clock = self.nodes[at].clock(self.now);
        let cluster = self.nodes[at].cluster.as_mut().expect("it runs");
        let result = cluster.handle(clock, Event::Message { from, bytes });
        cluster.turn(clock);
        self.now += 100;
        result
    }

    /// How many pieces on its disk are synced.
    pub fn synced(&self, at: usize) -> usize {
        self.nodes[at].disk.iter().filter(|written| written.synced).count()
    }

    /// What is on its disk.
    pub fn saved(&self, at: usize) -> Vec<Vec<u8>> {
        self.nodes[at].disk.iter().map(|written| written.bytes.clone()).collect()
    }

    fn push(&mut self, delay: u64, to: usize, coming: Coming) {
        self.serial += 1;
        self.queue.push(Reverse((self.now + delay, self.serial, to, coming)));
    }

    /// When the node wants its turn, in the time of the world.
    fn due(&self, at: usize) -> Option<u64> {
        let node = &self.nodes[at];
        let due = node.cluster.as_ref()?.due();
        if due == u64::MAX {
            return None;
        }
        let world = (due.saturating_sub(node.offset) * 1_000).div_ceil(node.rate);
        Some(world.max(self.now).max(node.paused_until))
    }

    pub fn run(&mut self, time: u64) {
        let until = self.now + time;
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until something is so; panics where it is not in time.
    pub fn run_until(&mut self, time: u64, what: &str, is: impl Fn(&Net) -> bool) -> u64 {
        let (start, until) = (self.now, self.now + time);
        while !is(self) {
            assert!(self.step(until), "{what}: not after {} ms\n{}", time / MS, self.describe());
        }
        self.now - start
    }

    fn step(&mut self, until: u64) -> bool {
        let timer = (0..self.nodes.len()).filter_map(|at| Some((self.due(at)?, at))).min();
        let event = self.queue.peek().map(|Reverse((at, ..))| *at);
        let next = match (timer, event) {
            (Some((due, _)), Some(event)) => due.min(event),
            (Some((due, _)), None) => due,
            (None, Some(event)) => event,
            (None, None) => return false,
        };
        if next > until {
            return false;
        }
        self.now = next;
        if event == Some(next) {
            let Reverse((_, _, at, coming)) = self.queue.pop().expect("it was there");
            if self.nodes[at].paused_until > self.now {
                let wait = self.nodes[at].paused_until - self.now;
                self.push(wait, at, coming);
            } else {
                self.come(at, coming);
            }
        } else if let Some((_, at)) = timer {
            self.drain(at);
        }
        true
    }

    fn come(&mut self, at: usize, coming: Coming) {
        let clock = self.nodes[at].clock(self.now);
        let incarnation = self.nodes[at].me.incarnation;
        let from_contact = |net: &Net, from: usize| Contact::at(&net.nodes[from].me.address);
        let event = match coming {
            Coming::Message { from, bytes, .. } => Event::Message { from: from_contact(self, from), bytes },
            Coming::LinkLost { member, refused } => Event::LinkLost { member, refused },
            Coming::Kept { incarnation: of, serial } if of == incarnation => {
                let disk = &mut self.nodes[at].disk;
                let kept = disk.iter_mut().filter(|written| written.serial <= serial);
                kept.for_each(|written| written.synced = true);
                let whole = disk.iter().rposition(|written| written.whole && written.synced).unwrap_or(0);
                disk.drain(..whole);
                Event::Kept(serial)
            }
            Coming::Do { incarnation: of, what } if of == incarnation => return self.perform(at, what),
            _ => return,
        };
        let Some(cluster) = self.nodes[at].cluster.as_mut() else { return };
        // What comes late from an earlier life, or of another zone, is turned down.
        let _ = cluster.handle(clock, event);
        self.drain(at);
    }

    fn perform(&mut self, at: usize, what: Task) {
        let node = &mut self.nodes[at];
        let Some(me) = node.id() else { return };
        let fits = |group: &Group, term: &Term| {
            node.view.groups.get(group).is_some_and(|of| of.term == *term && of.owner == Some(me))
        };
        let wish = match what {
            Task::CaughtUp(group, term, member) if fits(&group, &term) => {
                Wish::CaughtUp { group, term, member }
            }
            Task::HandOver(group, term, to) if fits(&group, &term) => {
                node.stopped.insert((group, term));
                Wish::HandOver { group, term, to }
            }
            _ => return,
        };
        if node.cluster.is_some() {
            self.wish(at, wish);
        }
    }

    fn drain(&mut self, at: usize) {
        let clock = self.nodes[at].clock(self.now);
        let Some(cluster) = self.nodes[at].cluster.as_mut() else { return };
        let outputs = cluster.turn(clock);
        let mut serving = false;
        for output in outputs {
            self.note(at, &output);
            serving |= matches!(output, Output::View(_) | Output::Lease { .. });
            self.perform_output(at, output);
        }
        if serving {
            self.check_leases();
        }
    }

    fn perform_output(&mut self, at: usize, output: Output) {
        let incarnation = self.nodes[at].me.incarnation;
        match output {
            Output::Send { to, bytes } => self.post(at, &to.address, bytes),
            Output::Keep { serial, whole, bytes } => {
                let node = &mut self.nodes[at];
                assert!(node.me.durable, "only durable nodes keep");
                node.disk.push(Written { serial, whole, bytes, synced: false });
                self.push(self.disk_time, at, Coming::Kept { incarnation, serial });
            }
            Output::View(view) => {
                let node = &mut self.nodes[at];
                assert!(view.version >= node.view.version, "views only grow");
                let before = std::mem::replace(&mut node.view, view);
                self.look(at, &before);
            }
            Output::Lease { until } => self.nodes[at].lease = until,
            Output::Refused(reason) => self.nodes[at].refused = Some(reason),
        }
    }

    fn post(&mut self, from: usize, to: &str, bytes: Vec<u8>) {
        self.messages += 1;
        self.bytes += bytes.len() as u64;
        self.record.iter_mut().for_each(|record| record.push(bytes.clone()));
        let Some(to) = self.nodes.iter().position(|node| node.me.address == to) else { return };
        if self.cut.contains(&(from, to)) || self.chance.percent(self.weather.loss_percent) {
            return;
        }
        // Entries and snapshots of the log, by their place in the frame.
        let of_log = bytes.get(33) == Some(&6) && matches!(bytes.get(34), Some(3 | 7));
        if of_log && self.without_log == Some(to) {
            return;
        }
        let copies = 1 + u64::from(self.chance.percent(self.weather.double_percent));
        for _ in 0..copies {
            let spread = self.weather.delay_max - self.weather.delay_min;
            let delay = self.weather.delay_min + self.chance.below(spread);
            let incarnation = self.nodes[from].me.incarnation;
            self.push(delay, to, Coming::Message { from, incarnation, bytes: bytes.clone() });
        }
    }

    /// An owner does what its view asks of it.
    fn look(&mut self, at: usize, before: &View) {
        let view = self.nodes[at].view.clone();
        let Some(me) = self.nodes[at].id() else { return };
        let incarnation = self.nodes[at].me.incarnation;
        let members = before.members != view.members || before.me != view.me;
        for (group, of) in &view.groups {
            let same = before.groups.get(group) == Some(of);
            if !same {
                self.configure(&view, *group);
            }
            if of.owner != Some(me) || (same && !members) {
                continue;
            }
            let wanting = view.wanting(*group).into_iter().map(|member| (member, false));
            for (member, moves) in wanting.chain(of.moving.map(|to| (to, true))) {
                if self.nodes[at].wished.insert((*group, of.term, member)) {
                    let what = match moves {
                        true => Task::HandOver(*group, of.term, member),
                        false => Task::CaughtUp(*group, of.term, member),
                    };
                    let delay = self.chance.below(self.catch_up);
                    self.push(delay, at, Coming::Do { incarnation, what });
                }
            }
        }
    }

    /// A term of a group is one configuration, whoever sees it.
    fn configure(&mut self, view: &View, group: Group) {
        let of = &view.groups[&group];
        assert!(of.owner.is_none_or(|owner| of.in_sync.contains(&owner)), "{group:?} {of:?}");
        let now = (of.owner, of.in_sync.clone());
        let known =
            self.configured.entry((view.zone_id, view.forced, group, of.term)).or_insert_with(|| now.clone());
        assert_eq!(*known, now, "term {} of {group:?}", of.term);
        let before = Term(of.term.0 - 1);
        // What was forced may break with what was before.
        self.forced |= view.acts.iter().any(|act| matches!(act.what, Deed::ForcedToServe { .. }));
        if let Some((_, in_sync)) = self.configured.get(&(view.zone_id, view.forced, group, before)) {
            assert!(
                self.forced || now.0.is_none_or(|owner| in_sync.contains(&owner)),
                "{group:?} {now:?} after {in_sync:?}"
            );
        }
    }

    fn check_leases(&self) {
        let mut serves: BTreeMap<Group, usize> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.cluster.is_some()) {
            for group in node.serves(self.now) {
                let other = serves.insert(group, at);
                assert!(other.is_none(), "{group:?} is served by {other:?} and {at}\n{}", self.describe());
            }
        }
    }

    fn note(&mut self, at: usize, output: &Output) {
        let mut mix = |number: u64| {
            self.trace = (self.trace.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        mix(self.now);
        mix(at as u64);
        match output {
            Output::Send { to, bytes } => {
                to.address.bytes().for_each(|byte| mix(byte.into()));
                bytes.iter().for_each(|byte| mix((*byte).into()));
            }
            Output::Keep { bytes, .. } => bytes.iter().for_each(|byte| mix((*byte).into())),
            Output::View(view) => mix(view.version),
            Output::Lease { until } => mix(*until),
            Output::Refused(_) => mix(1),
        }
    }

    pub fn view(&self, at: usize) -> &View {
        &self.nodes[at].view
    }

    pub fn id(&self, at: usize) -> MemberId {
        self.nodes[at].id().expect("it is a member")
    }

    pub fn leader(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|at| self.nodes[*at].cluster.as_ref().is_some_and(Cluster::leads))
    }

    pub fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|at| self.nodes[*at].cluster.is_some())
    }

    /// How many groups a node serves.
    pub fn served(&self, at: usize) -> usize {
        self.nodes[at].serves(self.now).count()
    }

    /// All that run see the same and each group is served by somebody who holds a lease.
    pub fn is_whole(&self) -> bool {
        let mut views = self.running().map(|at| (&self.nodes[at].view.version, &self.nodes[at].view.leader));
        let first = views.next();
        let same = views.all(|view| Some(view) == first);
        let total: usize = self.running().map(|at| self.served(at)).sum();
        let groups = self.running().next().map_or(0, |at| self.view(at).groups.len());
        same && total == groups && groups > 0 && first.is_some_and(|(_, leader)| leader.is_some())
    }

    /// Nothing is left to be moved or brought up to date either.
    pub fn is_settled(&self) -> bool {
        let settled = |at: usize| {
            self.view(at).groups.values().all(|of| {
                let mut wanted = of.replicas.clone();
                wanted.sort();
                of.owner == of.replicas.first().copied() && of.in_sync == wanted
            })
        };
        self.is_whole() && self.running().all(settled)
    }

    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let standings: Vec<_> = node
                .view
                .members
                .iter()
                .map(|seen| {
                    format!(
                        "{}={}:{:?}{}",
                        seen.member.id,
                        seen.member.name,
                        seen.member.standing,
                        if seen.votes { "*" } else { "" }
                    )
                })
                .collect();
            text += &format!(
                "{at} {} runs {} id {:?} leads {} lease in {} ms, serves {}, view {} of leader {:?}: {}, refused {:?}\n",
                node.me.name,
                node.cluster.is_some(),
                node.id(),
                node.cluster.as_ref().is_some_and(Cluster::leads),
                node.lease as i64 / 1000 - node.clock(self.now) as i64 / 1000,
                self.served(at),
                node.view.version,
                node.view.leader,
                standings.join(" "),
                node.refused,
            );
        }
        text
    }
}
