//! Clients: each asks one node, and another one with the same numbers when that is lost, slow, or cannot.

use std::collections::VecDeque;

use crate::chance::Chance;
use crate::history::{History, Request};
use crate::node::{Answer, Ask, Host, Operation};

pub(crate) const CLIENTS: usize = 8;

/// Keys of rows, and of counters.
const KEYS: [u64; 2] = [8, 4];

/// Requests of a client under way.
const UNDER_WAY: usize = 3;

/// Between two requests of a client, at most, in microseconds.
const THINKS: u64 = 1_600_000;

/// For how long a client waits until it asks another node.
pub(crate) const PATIENCE: u64 = 3_000_000;

/// Added to times, so that the numbers of requests are about the time at which they were made.
const NUMBER_BEGIN: u64 = 946_684_800_000_000;

/// A client.
struct Client {
    host: Host,
    /// The life of the process there that it is connected to, once it is.
    life: Option<u32>,
    /// How often it has gone to another node.
    attempt: u64,
    /// What it waits for, in order: places in the history, and when they were sent in this attempt.
    waiting: VecDeque<(usize, u64)>,
    /// All its requests: numbers and places in the history.
    asked: Vec<(u64, usize)>,
    /// When the last request comes to its node.
    last: u64,
}

/// A request on its way to a node.
pub(crate) struct Sending {
    pub(crate) to: Host,
    pub(crate) at: u64,
    pub(crate) ask: Ask,
}

/// All clients, with what they asked.
pub(crate) struct Clients {
    chance: Chance,
    clients: Vec<Client>,
    /// Nodes that are asked.
    nodes: u16,
    pub(crate) history: History,
    pub(crate) quiet: bool,
    last_reads: Vec<String>,
}

impl Clients {
    pub(crate) fn new(seed: u64, nodes: u16) -> Self {
        let client = |number: usize| Client {
            host: Host(number as u16 % nodes),
            life: None,
            attempt: 0,
            waiting: VecDeque::new(),
            asked: Vec::new(),
            last: 0,
        };
        Clients {
            chance: Chance::new(seed),
            clients: (0..CLIENTS).map(client).collect(),
            nodes,
            history: History::default(),
            quiet: false,
            last_reads: Vec::new(),
        }
    }

    pub(crate) fn id(client: usize) -> u64 {
        client as u64 + 1
    }

    pub(crate) fn attempt(&self, client: usize) -> u64 {
        self.clients[client].attempt
    }

    /// A client sends something to a process in this life: the life of the one that it is connected to.
    pub(crate) fn connect(&mut self, client: usize, life: Option<u32>) -> Option<u32> {
        let bound = &mut self.clients[client].life;
        *bound = bound.or(life);
        *bound
    }

    pub(crate) fn host(&self, client: usize) -> Host {
        self.clients[client].host
    }

    /// A client thinks of something to ask; and how long it thinks about the next.
    pub(crate) fn thinks(&mut self, now: u64, client: usize) -> (Option<Sending>, u64) {
        let pause = 1 + self.chance.below(THINKS);
        if self.quiet || self.clients[client].waiting.len() >= UNDER_WAY {
            return (None, pause);
        }
        let what = self.operation();
        (Some(self.ask(now, client, what)), pause)
    }

    fn operation(&mut self) -> Operation {
        let row = format!("k{}", self.chance.below(KEYS[0]));
        let counter = format!("c{}", self.chance.below(KEYS[1]));
        // A value says by which request it was put.
        let value = self.history.requests.len() as i64 + 1;
        match self.chance.below(100) {
            0..40 => Operation::Put(row, value),
            40..70 => Operation::Get(row),
            70..75 => Operation::Delete(row),
            75..90 => Operation::Add(counter, 1 + self.chance.below(5) as i64),
            _ => Operation::Count(counter),
        }
    }

    /// Each key is read once more, by all clients in turn.
    pub(crate) fn read_all(&mut self, now: u64) -> Vec<(usize, Sending)> {
        let rows = (0..KEYS[0]).map(|key| Operation::Get(format!("k{key}")));
        let counters = (0..KEYS[1]).map(|key| Operation::Count(format!("c{key}")));
        let all: Vec<_> = rows.chain(counters).enumerate().collect();
        self.last_reads = all.iter().map(|(_, what)| what.key().to_owned()).collect();
        all.into_iter().map(|(at, what)| (at % CLIENTS, self.ask(now, at % CLIENTS, what))).collect()
    }

    fn ask(&mut self, now: u64, client: usize, what: Operation) -> Sending {
        let place = self.history.requests.len();
        let last = self.clients[client].asked.last().map_or(0, |(number, _)| *number);
        let number = (NUMBER_BEGIN + now).max(last + 1);
        self.clients[client].asked.push((number, place));
        let request = Request {
            client: Clients::id(client),
            number,
            what,
            asked_at: now,
            answered: None,
            sent_to: Vec::new(),
        };
        self.history.requests.push(request);
        self.clients[client].waiting.push_back((place, now));
        self.send(now, client, place, false)
    }

    fn send(&mut self, now: u64, client: usize, place: usize, repeated: bool) -> Sending {
        let takes = 50 + self.chance.below(300);
        let asks = &mut self.clients[client];
        asks.last = asks.last.max(now + takes);
        let request = &self.history.requests[place];
        let oldest = asks.waiting.front().map_or(place, |(place, _)| *place);
        let answered = self.history.requests[oldest].number - 1;
        let Request { number, ref what, .. } = *request;
        let ask = Ask { client: Clients::id(client), number, answered, repeated, what: what.clone() };
        Sending { to: asks.host, at: asks.last, ask }
    }

    /// Whether a client waits in vain for its node.
    pub(crate) fn is_late(&self, now: u64, client: usize) -> bool {
        self.clients[client].waiting.front().is_some_and(|(_, sent)| sent + PATIENCE <= now)
    }

    /// A client goes to another node, and sends there what it waits for.
    pub(crate) fn moves(&mut self, now: u64, client: usize) -> Vec<Sending> {
        let steps = 1 + self.chance.below(u64::from(self.nodes).saturating_sub(1).max(1)) as u16;
        let moving = &mut self.clients[client];
        moving.host = Host((moving.host.0 + steps) % self.nodes);
        moving.attempt += 1;
        moving.life = None;
        moving.last = now;
        let places: Vec<usize> =
            moving.waiting.iter_mut().map(|(place, sent)| (*place, *sent = now).0).collect();
        places.into_iter().map(|place| self.send(now, client, place, true)).collect()
    }

    /// Where a request stands in the history.
    pub(crate) fn place(&self, client: u64, number: u64) -> Option<usize> {
        let asked = &self.clients.get(client.checked_sub(1)? as usize)?.asked;
        let at = asked.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(asked[at].1)
    }

    /// An answer has come; whether the client has to go to another node.
    pub(crate) fn answered(&mut self, now: u64, client: usize, number: u64, answer: &Answer) -> bool {
        let Some(place) = self.place(Clients::id(client), number) else { return false };
        let waiting = &mut self.clients[client].waiting;
        let Some(at) = waiting.iter().position(|(waits, _)| *waits == place) else { return false };
        let Answer::Done(value) = answer else { return true };
        waiting.remove(at);
        self.history.requests[place].answered = Some((now, *value));
        false
    }

    /// How long an answer takes.
    pub(crate) fn answer_takes(&mut self) -> u64 {
        50 + self.chance.below(300)
    }
}
