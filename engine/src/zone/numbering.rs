//! Numbers for the requests of clients that give none: in a zone every request may have to be sent again.

use std::collections::{HashMap, VecDeque};

use anabranch_model::message::Once;

/// Numbers the requests that enter at one worker.
#[derive(Debug)]
pub(crate) struct Numbering {
    /// What makes the clients of this worker, in this life of the node, differ from all others.
    salt: u64,
    clients: HashMap<u64, Client>,
}

/// The requests of a client that were numbered here.
#[derive(Debug, Default)]
struct Client {
    last: u64,
    /// Those that are not answered, and answered ones behind them: request, number, whether it is answered.
    under_way: VecDeque<(u64, u64, bool)>,
}

impl Numbering {
    pub(crate) fn new(salt: u64) -> Self {
        Numbering { salt, clients: HashMap::new() }
    }

    /// By what a repeat of a client's request is recognised; `now` is the time in microseconds since 1970 UTC.
    pub(crate) fn number(&mut self, client: u64, request: u64, now: i64) -> Once {
        let of = self.clients.entry(client).or_default();
        of.last = (of.last + 1).max(now.max(0) as u64);
        of.under_way.push_back((request, of.last, false));
        let answered = of.under_way.front().map_or(of.last, |(_, number, _)| *number) - 1;
        // Clients of a node are few, so this keeps them apart for ever; 0 is nobody.
        let id = (self.salt ^ client.wrapping_mul(0x9E37_79B9_7F4A_7C15)).max(1);
        Once { client: id, number: of.last, answered, repeated: false }
    }

    /// A request of a client is answered.
    pub(crate) fn answered(&mut self, client: u64, request: u64) {
        let Some(of) = self.clients.get_mut(&client) else { return };
        if let Ok(at) = of.under_way.binary_search_by_key(&request, |(request, ..)| *request) {
            of.under_way[at].2 = true;
        }
        while of.under_way.front().is_some_and(|(.., answered)| *answered) {
            of.under_way.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_client_grow_and_say_what_is_answered() {
        let mut numbering = Numbering::new(7);
        let first = numbering.number(1, 1, 100);
        let second = numbering.number(1, 2, 100);
        let other = numbering.number(2, 1, 100);
        assert_eq!((first.number, second.number, other.number), (100, 101, 100));
        assert!(first.client == second.client && first.client != other.client && first.client != 0);
        assert_eq!((first.answered, second.answered), (99, 99));
        numbering.answered(1, 2);
        assert_eq!(numbering.number(1, 3, 100).answered, 99, "the first is not answered");
        numbering.answered(1, 1);
        assert_eq!(numbering.number(1, 4, 500).answered, 101);
        assert_eq!(numbering.number(1, 5, 50).number, 501, "a clock that is set back does not matter");
    }
}
