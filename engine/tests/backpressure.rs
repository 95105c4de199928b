//! Bounded memory: a producer that is faster than the flow waits, a subscriber that is slower is told what it missed,
//! and a client that goes away takes nothing with it.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]

mod support;

use std::sync::Mutex;

use anabranch::{
    Client, Event, Flow, InputBatch, NODE_BYTES, Node, SUBSCRIPTION_ROWS_MAX, WINDOW_BYTES, WINDOW_REQUESTS,
};
use serde_json::json;

/// The tests measure the memory of the whole process, so they run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

/// A flow that takes long for a row: it makes another text of its text. Who sends the row again only copies it.
const SLOW: &str = "
flow slow revision 1

input  Texts: { name: text, text: text }
input  Quick: { name: text }
output Found: { name: text }

table Lengths: { name: text, length: int } { key name }

on Texts as t {
  upsert Lengths { name: t.name, length: length(replace(t.text, 'a', 'bb')) }
}

on Quick as q {
  emit Found q
}
";

const ROW_BYTES: usize = 16 << 10;
const ROWS: usize = 16;

fn slow(workers: u32) -> Node {
    support::node(workers, Flow::parse("slow.flow", SLOW).unwrap_or_else(|error| panic!("{error}")))
}

/// A batch of some 256 KiB for few keys, so that the table stays small.
fn texts(client: &mut Client) -> InputBatch {
    let mut batch = client.batch("Texts").expect("an input");
    for row in 0..ROWS {
        let row = json!({ "name": format!("n{row}"), "text": "abbb".repeat(ROW_BYTES / 4) });
        batch.push(&row).expect("a row");
    }
    batch
}

/// Bytes of memory that the process holds.
#[expect(clippy::disallowed_methods, reason = "a test measures its own process")]
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says so");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the line of resident memory");
    let kilobytes: usize =
        line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number");
    kilobytes * 1024
}

#[test]
fn a_producer_faster_than_the_flow_waits_and_memory_stays_flat() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Far more than all windows together hold.
    const OFFERED: usize = 128 << 20;
    let node = slow(2);
    let mut clients: Vec<Client> = (0..2).map(|_| node.client()).collect();
    let batch = texts(&mut clients[0]);
    let before = resident_bytes();
    let (mut sent, mut most, mut held, mut full) = (0, 0, 0, 0);
    let mut uncollected = [0; 2];
    while sent < OFFERED {
        for (client, uncollected) in clients.iter_mut().zip(&mut uncollected) {
            client.submit(batch.clone()).expect("a node that runs");
            sent += ROWS * ROW_BYTES;
            most = most.max(client.in_flight());
            full += usize::from((client.in_flight() + 1) * ROWS * ROW_BYTES >= WINDOW_BYTES);
            // Answers that have come are collected: what is measured is what is under way.
            *uncollected += 1;
            while *uncollected > client.in_flight() {
                client.next().expect("a node that runs");
                *uncollected -= 1;
            }
        }
        held = held.max(resident_bytes().saturating_sub(before));
    }
    // The windows were filled again and again (answers come in bursts): the producer was the faster one.
    assert!(full >= OFFERED / WINDOW_BYTES / 2, "the flow kept up: the windows were full {full} times");
    assert!(
        most <= WINDOW_REQUESTS && most * ROWS * ROW_BYTES <= WINDOW_BYTES + ROWS * ROW_BYTES,
        "{most} in flight"
    );
    // Windows of two clients, and what the allocator keeps for later.
    assert!(held < 4 * WINDOW_BYTES + (16 << 20), "{held} bytes were held for {OFFERED} offered");
    for client in &mut clients {
        while let Some((_, answer)) = client.next().expect("a node that runs") {
            assert_eq!(answer.accepted, ROWS);
        }
    }
    assert_eq!(node.status().flows[0].inputs[0].rows_in, (sent / ROW_BYTES) as u64);
}

#[test]
fn a_request_window_holds_small_requests_too() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let node = slow(1);
    let mut client = node.client();
    for row in 0..4 * WINDOW_REQUESTS {
        let mut batch = client.batch("Quick").expect("an input");
        batch.push(&json!({ "name": row.to_string() })).expect("a row");
        client.submit(batch).expect("a node that runs");
        assert!(client.in_flight() <= WINDOW_REQUESTS, "{} in flight", client.in_flight());
    }
}

#[test]
fn a_slow_subscriber_is_told_what_it_missed_and_holds_nobody_up() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    const MORE: usize = 5_000;
    let node = slow(1);
    let mut asleep = node.subscribe("Found").expect("an output");
    let mut client = node.client();
    let row = |row: usize| json!({ "name": row.to_string() });
    let rows: Vec<_> = (0..SUBSCRIPTION_ROWS_MAX + MORE).map(row).collect();
    for chunk in rows.chunks(1000) {
        assert_eq!(
            client.send("Quick", chunk).expect("an answer, though nobody reads").accepted,
            chunk.len()
        );
    }
    let mut next_is = |expected: usize| match asleep.next() {
        Some(Event::Row(row)) => assert_eq!(row.get("name"), Some(expected.to_string().into())),
        other => panic!("{other:?} at {expected}"),
    };
    (0..10).for_each(&mut next_is);
    // Rows that find room again come behind the gap.
    client.send("Quick", &[row(1), row(2)]).expect("an answer");
    (10..SUBSCRIPTION_ROWS_MAX).for_each(&mut next_is);
    let Some(Event::Missed(missed)) = asleep.next() else { panic!("the gap is told") };
    assert_eq!(missed, MORE as u64);
    for expected in ["1", "2"] {
        assert!(matches!(asleep.next(), Some(Event::Row(row)) if row.get("name") == Some(expected.into())));
    }
    // From there on it goes on.
    client.send("Quick", &[row(7)]).expect("an answer");
    assert!(matches!(asleep.next(), Some(Event::Row(row)) if row.get("name") == Some("7".into())));
}

#[test]
fn clients_that_go_away_with_requests_under_way_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let node = slow(2);
    let mut stays = node.client();
    let batch = texts(&mut stays);
    let bytes = batch.len() * ROW_BYTES;
    // So many that none of them has to wait for an answer.
    let in_flight = WINDOW_BYTES / bytes - 2;
    let before = resident_bytes();
    let (mut sent, mut left) = (0, 0);
    // Together more than the node lets in at once: what those before left under way does not count for ever.
    while left <= NODE_BYTES {
        let mut goes = node.client();
        for _ in 0..in_flight {
            goes.submit(batch.clone()).expect("a node that runs");
            sent += bytes;
        }
        left += goes.in_flight() * bytes;
        drop(goes);
        // The node still answers, and others go on.
        stays.send("Quick", &[json!({ "name": "x" })]).expect("an answer");
        assert!(node.status().flows[0].inputs[0].rows_in <= (sent / ROW_BYTES) as u64);
    }
    assert_eq!(
        stays.send("Texts", &[json!({ "name": "last", "text": "a" })]).expect("an answer").accepted,
        1
    );
    drop(stays);
    let held = resident_bytes().saturating_sub(before);
    assert!(held < 8 * WINDOW_BYTES, "{held} bytes are held");
    node.stop().expect("no worker panicked");
}
