//! What a client knows of its slots: by which request each was written last, how often, and which requests are open.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anabranch_model::key;
use anabranch_model::partition::{partition_hash, partition_of};
use anabranch_model::types::Type;
use anabranch_model::value::Value;

/// Slots of a client. A request writes the next so many; they come round again long after a request was answered.
const SLOTS: u64 = 4096;

/// Slots that a request writes.
const ROWS: u64 = 8;

/// Partitions of the table.
const PARTITIONS: u32 = 8;

/// A slot: by which request it was written last, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) request: i64,
    pub(crate) times: i64,
}

/// Slots that were written.
pub(crate) type Slots = HashMap<i64, Slot>;

/// What became of open requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    /// Done in some partition.
    pub(crate) done: u64,
    /// Done in some partitions and not in others.
    pub(crate) in_part: u64,
}

/// What a client knows.
#[derive(Debug)]
pub(crate) struct Ledger {
    client: usize,
    last: i64,
    slots: Slots,
    /// Requests without an answer.
    open: BTreeMap<i64, Pending>,
}

/// A request without an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    /// Its key.
    pub(crate) key: String,
    /// The partitions in which it is known to be done.
    done: BTreeSet<u32>,
}

impl Ledger {
    /// The ledger of a client that has asked for nothing.
    pub(crate) fn new(client: usize) -> Self {
        Ledger { client, last: 0, slots: Slots::new(), open: BTreeMap::new() }
    }

    /// The number of the client.
    pub(crate) fn client(&self) -> usize {
        self.client
    }

    /// Requests that were answered.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.last as u64 - self.open.len() as u64
    }

    /// Requests without an answer.
    pub(crate) fn open(&self) -> &BTreeMap<i64, Pending> {
        &self.open
    }

    /// A request more, with its key.
    pub(crate) fn begin(&mut self, millis: u128) -> (i64, String) {
        self.last += 1;
        let key = format!("{millis}-{}-{}", self.client, self.last);
        self.open.insert(self.last, Pending { key: key.clone(), done: BTreeSet::new() });
        (self.last, key)
    }

    /// The slots that a request writes.
    pub(crate) fn rows(request: i64) -> impl Iterator<Item = i64> {
        let begin = request as u64 * ROWS;
        (begin..begin + ROWS).map(|slot| (slot % SLOTS) as i64)
    }

    /// A request was answered: it has happened, everywhere and once.
    pub(crate) fn answered(&mut self, request: i64) {
        let Some(Pending { done, .. }) = self.open.remove(&request) else { return };
        for slot in Self::rows(request) {
            if !done.contains(&self.partition(slot)) {
                self.wrote(slot, request);
            }
        }
    }

    /// A slot was written by a request. Answers may come in any order; what is written has that of the requests.
    fn wrote(&mut self, slot: i64, request: i64) {
        let known = self.slots.entry(slot).or_default();
        *known = Slot { request: known.request.max(request), times: known.times + 1 };
    }

    /// Compares what was found with what is known; from now on it is known what became of open requests.
    ///
    /// # Errors
    /// What is lost, doubled, invented or done by half.
    pub(crate) fn compare(&mut self, found: &Slots) -> Result<Open, String> {
        let mut open = Open::default();
        let requests: Vec<i64> = self.open.keys().copied().collect();
        for request in requests {
            let became = self.became(request, found)?;
            open.done += u64::from(became.values().any(|done| *done));
            open.in_part +=
                u64::from(became.values().any(|done| *done) && !became.values().all(|done| *done));
            self.becomes(request, &became);
        }
        let written = self.slots.iter().chain(found).map(|(slot, _)| *slot);
        for slot in written {
            let (known, is) = (self.slots.get(&slot), found.get(&slot));
            if known != is {
                return Err(format!("slot {slot} is {is:?} where it must be {known:?}"));
            }
        }
        Ok(open)
    }

    /// In which of its partitions an open request was done.
    fn became(&self, request: i64, found: &Slots) -> Result<HashMap<u32, bool>, String> {
        let mut became = HashMap::new();
        for slot in Self::rows(request) {
            let done = found.get(&slot).is_some_and(|slot| slot.request == request);
            let partition = self.partition(slot);
            if *became.entry(partition).or_insert(done) != done {
                return Err(format!("request {request} was done by half in partition {partition}"));
            }
        }
        Ok(became)
    }

    /// Takes note of the partitions in which an open request was done.
    fn becomes(&mut self, request: i64, became: &HashMap<u32, bool>) {
        let Some(mut pending) = self.open.remove(&request) else { return };
        for slot in Self::rows(request) {
            let partition = self.partition(slot);
            if became[&partition] && !pending.done.contains(&partition) {
                self.wrote(slot, request);
            }
        }
        pending.done.extend(became.iter().filter(|(_, done)| **done).map(|(partition, _)| *partition));
        self.open.insert(request, pending);
    }

    fn partition(&self, slot: i64) -> u32 {
        let mut bytes = Vec::new();
        let values = [self.client as i64, slot].map(Value::Int);
        let columns = values.into_iter().map(|value| (value, &Type::Int));
        key::of_values(columns, &mut bytes).expect("numbers are a key");
        partition_of(partition_hash(&bytes), PARTITIONS).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(request: i64, times: i64) -> Slot {
        Slot { request, times }
    }

    /// A client with an answered request and an open one, and what is found where both were done.
    fn asked() -> (Ledger, Slots) {
        let mut ledger = Ledger::new(1);
        ledger.begin(0);
        ledger.begin(0);
        ledger.answered(1);
        let found = Ledger::rows(1).map(|at| (at, slot(1, 1)));
        let found = found.chain(Ledger::rows(2).map(|at| (at, slot(2, 1)))).collect();
        (ledger, found)
    }

    #[test]
    fn what_was_answered_is_there_and_what_was_not_may_be() {
        let (mut ledger, found) = asked();
        assert_eq!(ledger.compare(&found), Ok(Open { done: 1, in_part: 0 }));
        // Its repeat changes nothing that is there.
        ledger.answered(2);
        assert_eq!(ledger.compare(&found), Ok(Open::default()));
        assert_eq!((ledger.acknowledged(), ledger.open().len()), (2, 0));
        let (mut ledger, mut found) = asked();
        found.retain(|_, slot| slot.request == 1);
        assert_eq!(ledger.compare(&found), Ok(Open::default()));
    }

    #[test]
    fn an_open_request_is_done_in_whole_partitions() {
        let (mut ledger, mut found) = asked();
        let one = ledger.partition(16);
        found.retain(|at, slot| slot.request == 1 || ledger.partition(*at) != one);
        assert_eq!(ledger.compare(&found), Ok(Open { done: 1, in_part: 1 }));
        let (mut ledger, mut found) = asked();
        let shared = Ledger::rows(2)
            .find(|at| {
                let shares = |other: &i64| other != at && ledger.partition(*other) == ledger.partition(*at);
                Ledger::rows(2).any(|other| shares(&other))
            })
            .expect("eight slots in eight partitions share some");
        found.remove(&shared);
        assert!(ledger.compare(&found).unwrap_err().contains("by half"));
    }

    #[test]
    fn what_is_lost_doubled_or_invented_is_found() {
        let spoil = |spoil: &dyn Fn(&mut Slots)| {
            let (mut ledger, mut found) = asked();
            spoil(&mut found);
            ledger.compare(&found).unwrap_err()
        };
        let first = 8;
        assert!(spoil(&|found| found.retain(|at, _| *at != first)).contains("slot 8 is None"));
        assert!(spoil(&|found| found.extend([(first, slot(1, 2))])).contains("times: 2"));
        assert!(spoil(&|found| found.extend([(4000, slot(3, 1))])).contains("must be None"));
    }
}
