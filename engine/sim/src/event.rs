//! What is to happen, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::node::{Answer, Ask, Host};

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A node wanted a turn now.
    Wake(Host, u32),
    /// A node hears of a new link, and who is at its other end.
    Up { at: Host, peer: Host, link: u64, hello: Vec<u8> },
    /// A node hears that a link is lost.
    Lost { at: Host, peer: Host, link: u64 },
    /// A frame comes to the end of its link.
    Arrive { from: Host, to: Host, link: u64, bytes: Vec<u8> },
    /// What was held back on a link goes on.
    Flush { from: Host, to: Host, link: u64 },
    /// A node tries to reach another one.
    Dial(Host, Host),
    /// The remains of a link of a process that died are found.
    Closed { at: Host, peer: Host, link: u64 },
    /// A request comes to the machine of a node, over a connection to its process in this life.
    Asked(Host, Option<u32>, Ask),
    /// A client asks the next.
    Client(usize),
    /// A client looks whether its answers are late, if it is still in this attempt.
    Late(usize, u64),
    /// A client's node is lost, or does not do what it is asked, if it is still in this attempt.
    Moves(usize, u64),
    /// An answer comes to its client.
    Answered { client: usize, number: u64, answer: Answer },
    /// The next fault begins.
    Fault,
    /// A fault of this number ends.
    Ends(u64),
    /// It is looked at what all nodes say of themselves.
    Look,
    /// No more faults: everything works from now on.
    Heal,
    /// Clients begin nothing new.
    Quiet,
    /// The last reads of all keys.
    LastReads,
}

struct Entry {
    at: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// All that is to happen, by time; what has one time in the order in which it was put.
#[derive(Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Events {
    pub(crate) fn put(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, event }));
    }

    /// The next that happens before `end`.
    pub(crate) fn next(&mut self, end: u64) -> Option<(u64, Event)> {
        let next = self.heap.peek()?;
        if next.0.at >= end {
            return None;
        }
        self.heap.pop().map(|entry| (entry.0.at, entry.0.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_they_were_put() {
        let mut events = Events::default();
        for (at, client) in [(5, 0), (3, 1), (5, 2), (3, 3), (9, 4)] {
            events.put(at, Event::Client(client));
        }
        let all = std::iter::from_fn(|| events.next(9)).map(|(at, event)| match event {
            Event::Client(client) => (at, client),
            other => panic!("{other:?} was not put"),
        });
        assert_eq!(all.collect::<Vec<_>>(), [(3, 1), (3, 3), (5, 0), (5, 2)]);
    }
}
