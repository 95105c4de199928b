//! Links between nodes: streams that keep their order, take their time, stall, break, and come back.
//!
//! What TCP cannot do a link does not do: of two frames the second never comes first, and none is missing before one that
//! comes. A cut (in one direction or in both) holds frames back, and they come when it ends, as repeats of segments do. A
//! link that is reset loses what is under way; both ends hear of it, and whoever wanted the link dials again. When a
//! process dies its machine closes its links, and refuses new ones while nobody listens there.

use std::collections::VecDeque;

use crate::chance::Chance;
use crate::event::{Event, Events};
use crate::node::{Host, Input};

/// Between two attempts at a link, in microseconds: from, to.
const REDIAL: (u64, u64) = (20_000, 500_000);

/// After a cut has ended, until the sender repeats, at most.
const REPEATS_WITHIN: u64 = 200_000;

/// What runs on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// A process, in this life.
    Process(u32),
    /// A process that stands still, in this life.
    Paused(u32),
    /// None; the machine says so to whoever asks.
    Nothing,
    /// The machine has no power.
    Off,
}

impl Runs {
    pub(crate) fn life(self) -> Option<u32> {
        match self {
            Runs::Process(life) | Runs::Paused(life) => Some(life),
            Runs::Nothing | Runs::Off => None,
        }
    }
}

/// How long frames take, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) least: u64,
    pub(crate) usual: u64,
    /// One of a hundred takes up to so long.
    pub(crate) most: u64,
}

impl Delay {
    fn draw(self, chance: &mut Chance) -> u64 {
        let upto = if chance.below(100) == 0 { self.most } else { self.usual };
        self.least + chance.below(upto.saturating_sub(self.least) + 1)
    }
}

/// One direction between two hosts.
#[derive(Debug, Default)]
struct Way {
    cut: bool,
    /// When the last frame comes.
    last: u64,
    held: VecDeque<Vec<u8>>,
}

/// Two hosts, the smaller one first.
#[derive(Debug, Default)]
struct Pair {
    /// The link between them, by a number that no other link has.
    link: Option<u64>,
    /// The link that the node at each end was last told of, until it was told that it is lost.
    told: [Option<u64>; 2],
    /// Whether the one, or the other, wants it.
    wanted: [bool; 2],
    ways: [Way; 2],
}

#[derive(Debug)]
pub(crate) struct Network {
    chance: Chance,
    pub(crate) delay: Delay,
    pub(crate) hosts: Vec<Runs>,
    pairs: Vec<Pair>,
    links: u64,
}

impl Network {
    pub(crate) fn new(seed: u64, hosts: usize, delay: Delay) -> Self {
        Network {
            chance: Chance::new(seed),
            delay,
            hosts: vec![Runs::Nothing; hosts],
            pairs: (0..hosts * hosts).map(|_| Pair::default()).collect(),
            links: 0,
        }
    }

    /// The pair, and which of its ends `from` is.
    fn pair(&mut self, from: Host, to: Host) -> (&mut Pair, usize) {
        let (low, high) = (from.min(to), from.max(to));
        let place = usize::from(low.0) * self.hosts.len() + usize::from(high.0);
        (&mut self.pairs[place], usize::from(from > to))
    }

    fn runs(&self, host: Host) -> Runs {
        self.hosts[usize::from(host.0)]
    }

    fn draw(&mut self) -> u64 {
        self.delay.draw(&mut self.chance)
    }

    /// A node wants a link.
    pub(crate) fn connect(&mut self, now: u64, from: Host, to: Host, events: &mut Events) {
        if from == to || usize::from(to.0) >= self.hosts.len() {
            return;
        }
        let (pair, end) = self.pair(from, to);
        let wanted = std::mem::replace(&mut pair.wanted[end], true);
        if !wanted || pair.link.is_none() {
            events.put(now, Event::Dial(from, to));
        }
    }

    /// A node sends a frame.
    pub(crate) fn send(&mut self, now: u64, from: Host, to: Host, bytes: Vec<u8>, events: &mut Events) {
        if from == to || usize::from(to.0) >= self.hosts.len() {
            return;
        }
        let takes = self.draw();
        let (pair, end) = self.pair(from, to);
        let Some(link) = pair.link.filter(|link| pair.told[end] == Some(*link)) else { return };
        let way = &mut pair.ways[end];
        way.last = way.last.max(now + takes);
        events.put(way.last, Event::Arrive { from, to, link, bytes });
    }

    /// A frame comes to the end of its link: what the node there gets, if anything.
    pub(crate) fn arrive(&mut self, from: Host, to: Host, link: u64, bytes: Vec<u8>) -> Option<Input> {
        let (pair, end) = self.pair(from, to);
        // A process that began when its predecessor's link was not closed yet gets nothing of it.
        if pair.link != Some(link) || pair.told[1 - end] != Some(link) {
            return None;
        }
        let way = &mut pair.ways[end];
        if way.cut || !way.held.is_empty() {
            way.held.push_back(bytes);
            return None;
        }
        Some(Input::Frame { peer: from, bytes })
    }

    /// What was held back comes now.
    pub(crate) fn flush(&mut self, from: Host, to: Host, link: u64) -> Vec<Input> {
        let (pair, end) = self.pair(from, to);
        if pair.link != Some(link) || pair.told[1 - end] != Some(link) || pair.ways[end].cut {
            return Vec::new();
        }
        let held = std::mem::take(&mut pair.ways[end].held);
        held.into_iter().map(|bytes| Input::Frame { peer: from, bytes }).collect()
    }

    /// Cuts a direction, or ends its cut.
    pub(crate) fn cut(&mut self, now: u64, from: Host, to: Host, cut: bool, events: &mut Events) {
        let repeats = 1 + self.chance.below(REPEATS_WITHIN);
        let (pair, end) = self.pair(from, to);
        pair.ways[end].cut = cut;
        if let Some(link) = pair.link.filter(|_| !cut) {
            events.put(now + repeats, Event::Flush { from, to, link });
        }
    }

    /// Breaks the link between two hosts; both ends hear of it.
    pub(crate) fn reset(&mut self, now: u64, one: Host, other: Host, events: &mut Events) {
        let Some(link) = self.pair(one, other).0.link.take() else { return };
        for (at, peer) in [(one, other), (other, one)] {
            let takes = self.draw();
            events.put(now + takes, Event::Lost { at, peer, link });
        }
        self.redial(now, one, other, events);
    }

    /// A node hears of a new link: what it is told before.
    pub(crate) fn up(&mut self, at: Host, peer: Host, link: u64) -> Option<Option<Input>> {
        let (pair, end) = self.pair(at, peer);
        if pair.link != Some(link) {
            return None;
        }
        let before = pair.told[end].replace(link);
        Some(before.map(|_| Input::Lost { peer, refused: false }))
    }

    /// A node hears that a link is lost: whether it had heard of it.
    pub(crate) fn lost(&mut self, at: Host, peer: Host, link: u64) -> bool {
        let (pair, end) = self.pair(at, peer);
        let told = pair.told[end] == Some(link);
        if told {
            pair.told[end] = None;
        }
        told
    }

    fn redial(&mut self, now: u64, from: Host, to: Host, events: &mut Events) {
        for (one, other) in [(from, to), (to, from)] {
            let (pair, end) = self.pair(one, other);
            if pair.wanted[end] {
                let after = REDIAL.0 + self.chance.below(REDIAL.1 - REDIAL.0);
                events.put(now + after, Event::Dial(one, other));
            }
        }
    }

    /// A host's process has died: nobody there wants links, and its peers find out.
    pub(crate) fn died(&mut self, now: u64, host: Host, events: &mut Events) {
        for peer in (0..self.hosts.len() as u16).map(Host).filter(|peer| *peer != host) {
            // A machine without power says nothing, but it is found out when it runs again.
            let takes = self.draw() + self.draw() + self.draw();
            let (pair, end) = self.pair(host, peer);
            pair.wanted[end] = false;
            pair.told[end] = None;
            if let Some(link) = pair.link {
                events.put(now + takes, Event::Closed { at: peer, peer: host, link });
            }
        }
    }

    /// The end of a link to a process that died is looked at: what the node there gets, if anything.
    pub(crate) fn closed(
        &mut self,
        now: u64,
        at: Host,
        peer: Host,
        link: u64,
        events: &mut Events,
    ) -> Option<Input> {
        let (peer_runs, again) = (self.runs(peer), self.draw());
        let (pair, _) = self.pair(at, peer);
        if pair.link != Some(link) {
            return None;
        }
        if peer_runs == Runs::Off || pair.ways.iter().any(|way| way.cut) {
            events.put(now + 50_000 + again, Event::Closed { at, peer, link });
            return None;
        }
        pair.link = None;
        self.redial(now, at, peer, events);
        self.lost(at, peer, link).then_some(Input::Lost { peer, refused: peer_runs == Runs::Nothing })
    }

    /// A node dials: the number of the link, and when the two ends will know of it, where there is one now. Frames come
    /// behind that.
    pub(crate) fn dial(
        &mut self,
        now: u64,
        from: Host,
        to: Host,
        events: &mut Events,
    ) -> Option<(u64, [u64; 2])> {
        let listens = matches!(self.runs(to), Runs::Process(_));
        let ends = [now + self.draw() + self.draw(), now + self.draw()];
        let number = self.links + 1;
        let dials = self.runs(from).life().is_some();
        let (pair, end) = self.pair(from, to);
        if !dials || !pair.wanted[end] || pair.link.is_some() {
            return None;
        }
        if !listens || pair.ways.iter().any(|way| way.cut) {
            let after = REDIAL.0 + self.chance.below(REDIAL.1 - REDIAL.0);
            events.put(now + after, Event::Dial(from, to));
            return None;
        }
        pair.link = Some(number);
        pair.ways[end] = Way { last: ends[1], ..Way::default() };
        pair.ways[1 - end] = Way { last: ends[0], ..Way::default() };
        self.links = number;
        Some((number, ends))
    }
}
