//! What clients asked and what they were answered: all that a world may be judged by from outside.

use crate::node::{Host, Operation};

/// One request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The client.
    pub client: u64,
    /// Its number among the client's.
    pub number: u64,
    /// What was asked.
    pub what: Operation,
    /// When it was sent first, in microseconds.
    pub asked_at: u64,
    /// When the client had the answer, and a value if it was given one.
    pub answered: Option<(u64, Option<i64>)>,
    /// Where it was sent, in order.
    pub sent_to: Vec<(Host, u32)>,
}

/// All requests, in the order in which they were sent first.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// They.
    pub requests: Vec<Request>,
}

impl History {
    /// The requests of each key, in their order; keys in theirs.
    #[must_use]
    pub fn by_key(&self) -> Vec<(&str, Vec<&Request>)> {
        let mut keys: std::collections::BTreeMap<&str, Vec<&Request>> = std::collections::BTreeMap::new();
        for request in &self.requests {
            keys.entry(request.what.key()).or_default().push(request);
        }
        keys.into_iter().collect()
    }
}

impl Request {
    /// Whether it may be done after what its client asked later without waiting for it. What reads are told is not
    /// remembered: a read that waited for its answer when its group got another owner is done again, after what was done
    /// meanwhile. It never shows less than its client has asked for before.
    #[must_use]
    pub fn floats(&self) -> bool {
        self.what.only_reads()
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Request { client, number, what, asked_at, answered, .. } = self;
        let seconds = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        write!(f, "client {client} request {number} {what:?} asked at {}", seconds(*asked_at))?;
        match answered {
            Some((at, value)) => write!(f, ", answered at {} with {value:?}", seconds(*at)),
            None => f.write_str(", never answered"),
        }
    }
}
