//! What a node is to the simulator: events in, effects out.

use anabranch_model::zone::{Group, Term};

use crate::clock::Now;
use crate::disk::SimDisk;

/// A machine, as an address names it; a node that runs there may die and another begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(pub u16);

impl Host {
    /// The name of the node there.
    #[must_use]
    pub fn name(self) -> String {
        char::from_u32(u32::from(b'A') + u32::from(self.0)).map_or_else(|| self.0.to_string(), String::from)
    }
}

/// A node in one of its lives, in one thread and without any source of time, chance or I/O of its own.
pub trait Node {
    /// Something has happened outside.
    fn handle(&mut self, now: Now, input: Input);

    /// Does what there is to do, and appends what is to happen outside. Called after [`Node::handle`], and when it is
    /// [`Node::due`].
    fn turn(&mut self, now: Now, out: &mut Vec<Output>);

    /// When it wants its next turn, on its monotonic clock, where nothing happens before; `None`: never.
    fn due(&self) -> Option<u64>;

    /// What a peer is told when there is a link: who this is.
    fn hello(&self) -> Vec<u8>;

    /// Which groups it would answer for now.
    fn serves(&self, now: Now) -> Vec<(Group, Term)>;

    /// Grows whenever [`Node::configurations`] has changed.
    fn version(&self) -> u64;

    /// The configurations that it knows, one of each group.
    fn configurations(&self) -> Vec<Configured>;

    /// What it holds; asked at the end only.
    fn holds(&self) -> Vec<Held>;
}

/// How a node begins a life.
#[derive(Debug)]
pub struct Start {
    /// Where.
    pub host: Host,
    /// Which life of the node there, from 0.
    pub life: u32,
    /// For its chance.
    pub seed: u64,
    /// What is left of the lives before.
    pub disk: SimDisk,
    /// Whether it begins the zone; else it joins.
    pub founds: bool,
    /// Whether it has a vote and no rows.
    pub witness: bool,
    /// Where other nodes are.
    pub others: Vec<Host>,
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// There is a link to a peer, and it has said who it is.
    Up {
        /// The peer.
        peer: Host,
        /// Its [`Node::hello`].
        hello: Vec<u8>,
    },
    /// There is no link any more; a new one comes by itself where it can.
    Lost {
        /// The peer.
        peer: Host,
        /// Whether the machine has closed the link and refuses a new one: the peer's process is gone.
        refused: bool,
    },
    /// A frame of a peer. Frames come in their order, each once; those that were under way when a link broke do not.
    Frame {
        /// The peer.
        peer: Host,
        /// What it sent.
        bytes: Vec<u8>,
    },
    /// A request of a client.
    Ask(Ask),
    /// A client is gone, and wants no answers here any more.
    Gone(u64),
}

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Who asks; not 0.
    pub client: u64,
    /// The client's number for it; grows.
    pub number: u64,
    /// All of the client's requests up to this number are answered.
    pub answered: u64,
    /// Whether it may have been sent before.
    pub repeated: bool,
    /// What is asked.
    pub what: Operation,
}

/// What is asked, of one key. Keys of counters and those of other rows are different.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The key has this value from now on.
    Put(String, i64),
    /// The key has no value any more.
    Delete(String),
    /// The value of the key.
    Get(String),
    /// The value of the key grows by so much; tells the new one.
    Add(String, i64),
    /// The value of a key to which is added.
    Count(String),
}

impl Operation {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Operation::Put(key, _)
            | Operation::Delete(key)
            | Operation::Get(key)
            | Operation::Add(key, _)
            | Operation::Count(key) => key,
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        matches!(self, Operation::Get(_) | Operation::Count(_))
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done; a value, where one was asked for and there is one.
    Done(Option<i64>),
    /// It was not done, or nobody knows: to be sent again, elsewhere if possible.
    Again,
}

/// What a node does outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Wants a link to a peer, and a new one whenever it is lost.
    Connect(Host),
    /// Ends the link to a peer; a new one comes by itself where it can.
    Close(Host),
    /// Sends a frame; without effect where there is no link.
    Send(Host, Vec<u8>),
    /// Answers a client's request.
    Answer {
        /// The client.
        client: u64,
        /// Its number.
        number: u64,
        /// The answer.
        answer: Answer,
    },
    /// A line for the trace.
    Say(String),
}

/// A configuration of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// The group.
    pub group: Group,
    /// Its term.
    pub term: Term,
    /// Who owns it.
    pub owner: Option<Member>,
    /// Who has all of its rows that were acknowledged.
    pub in_sync: Vec<Member>,
}

/// A node as a configuration names it, with where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// Its number in the zone.
    pub id: u64,
    /// Where it runs.
    pub host: Host,
}

/// What a node holds of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The group.
    pub group: Group,
    /// The last record of each partition of it that has one: partition, term, number.
    pub positions: Vec<(u32, Term, u64)>,
    /// Rows by key.
    pub rows: Vec<(String, i64)>,
}
