//! A checker outside of the zone: every acknowledged request has happened once, every other one once or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anabranch::{Client, Ticket, Value};
use serde_json::json;

/// A flow that counts.
pub(crate) const HITS: &str = "\
flow hits revision 1

policy pair { partitions 64  copies 2  ack all  sync memory }

input Hit: { name: text }
table Hits: { name: text, times: int } {
  key name
  replicate pair
}

on Hit as h { upsert Hits { name: h.name, times += 1 } }
";

/// Rows of a request.
const ROWS: usize = 5;

/// Requests under way.
const UNDER_WAY: usize = 8;

/// What clients know.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// Names whose request was acknowledged.
    pub(crate) acknowledged: BTreeSet<String>,
    /// All that were sent.
    pub(crate) sent: BTreeSet<String>,
}

impl Known {
    /// Adds what another client knows.
    pub(crate) fn add(&mut self, other: Known) {
        self.acknowledged.extend(other.acknowledged);
        self.sent.extend(other.sent);
    }

    /// Compares with the rows that a client finds.
    #[track_caller]
    pub(crate) fn check(&self, client: &mut Client, at: &str) {
        let mut found = BTreeMap::new();
        for row in client.scan("Hits").expect("it begins") {
            let row = row.expect("a row");
            let (Some(Value::Text(name)), Some(Value::Int(times))) = (row.get("name"), row.get("times"))
            else {
                unreachable!("{row}")
            };
            assert_eq!(times, 1, "{at}: {name} was done {times} times");
            found.insert(name.into_owned(), times);
        }
        let lost = self.acknowledged.iter().find(|name| !found.contains_key(*name));
        assert_eq!(lost, None, "{at}: an acknowledged row is lost, of {}", self.acknowledged.len());
        let invented = found.keys().find(|name| !self.sent.contains(*name));
        assert_eq!(invented, None, "{at}: a row was never sent");
    }
}

/// Sends requests until it is told to stop, and then takes all answers. `progress` counts acknowledged rows.
pub(crate) fn load(mut client: Client, name: &str, stop: &AtomicBool, progress: &AtomicUsize) -> Known {
    let mut known = Known::default();
    let mut under_way: BTreeMap<Ticket, Vec<String>> = BTreeMap::new();
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) || !under_way.is_empty() {
        if !stop.load(Ordering::Relaxed) {
            number += 1;
            let names: Vec<String> = (0..ROWS).map(|at| format!("{name}-{number:06}-{at}")).collect();
            let mut batch = client.batch("Hit").expect("there is such a stream");
            for name in &names {
                batch.push(&json!({ "name": name })).expect("it fits");
            }
            known.sent.extend(names.iter().cloned());
            under_way.insert(client.submit(batch).expect("it is sent, or waits"), names);
            if under_way.len() < UNDER_WAY {
                continue;
            }
        }
        let (ticket, answer) = client.next().expect("it is answered").expect("requests are under way");
        assert_eq!(answer.accepted, ROWS, "{answer:?}");
        known.acknowledged.extend(under_way.remove(&ticket).expect("it was sent"));
        progress.fetch_add(ROWS, Ordering::Relaxed);
    }
    known
}
