//! A node that is killed at any moment comes back with every acknowledged row.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use anabranch::{Client, ConnectOptions, Error};
use serde_json::json;
use support::{Directory, Serving};

/// Kills in the default run.
const KILLS: u64 = 4;

fn client(node: &Serving) -> Client {
    // Nobody comes back at this address.
    let options = ConnectOptions::new(&node.grpc).reconnect_within(Duration::from_millis(100));
    options.connect().expect("it connects")
}

fn names(node: &Serving) -> BTreeSet<String> {
    let mut client = client(node);
    let rows = client.scan("QueryTable").expect("it begins").map(|row| row.expect("a row"));
    let name = |row: anabranch::Row| match row.get("name") {
        Some(anabranch::Value::Text(name)) => name.into_owned(),
        other => unreachable!("{other:?}"),
    };
    rows.map(name).collect()
}

/// Sends rows, several requests under way, and kills the node when so many were acknowledged: those that were, and those
/// that may have been done.
fn load_and_kill(node: Serving, round: u64, acknowledged: usize) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut client = client(&node);
    let (mut done, mut sent) = (BTreeSet::new(), BTreeSet::new());
    let mut under_way = std::collections::HashMap::new();
    let mut node = Some(node);
    for number in 0_u64.. {
        let batch_names: Vec<String> = (0..5).map(|at| format!("{round:03}-{number:06}-{at}")).collect();
        let mut batch = match client.batch("UpdateStream") {
            Ok(batch) => batch,
            Err(_) => break,
        };
        for name in &batch_names {
            batch.push(&json!({ "name": name, "value": "x" })).expect("it fits");
        }
        sent.extend(batch_names.iter().cloned());
        match client.submit(batch) {
            Ok(ticket) => drop(under_way.insert(ticket, batch_names)),
            Err(_) => break,
        }
        while client.in_flight() >= 8 {
            match client.next() {
                Ok(Some((ticket, answer))) => {
                    assert_eq!(answer.accepted, 5);
                    done.extend(under_way.remove(&ticket).expect("it was sent"));
                }
                Ok(None) => break,
                Err(Error::Disconnected { .. } | Error::Storage(_)) => {}
                Err(error) => unreachable!("{error}"),
            }
        }
        if done.len() >= acknowledged
            && let Some(mut node) = node.take()
        {
            node.running.kill();
        }
    }
    (done, sent)
}

#[test]
fn a_killed_node_comes_back_with_every_acknowledged_row() {
    let directory = Directory::with_flow();
    let (mut acknowledged, mut sent) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..KILLS {
        let node =
            directory.serve(&format!("--data data --snapshot-after 16KiB --workers {}", 1 + round % 2));
        let found = names(&node);
        assert!(
            acknowledged.is_subset(&found),
            "round {round}: {:?} is lost",
            acknowledged.difference(&found).next()
        );
        assert!(found.is_subset(&sent), "round {round}: {:?} was never sent", found.difference(&sent).next());
        let (done, tried) = load_and_kill(node, round, 100 + 370 * round as usize);
        acknowledged.extend(done);
        sent.extend(tried);
    }
    let node = directory.serve("--data data --workers 2");
    let found = names(&node);
    assert!(acknowledged.len() >= 100 && acknowledged.is_subset(&found) && found.is_subset(&sent));
    let came = node.run(&directory, "status");
    assert!(!came.stderr.contains("in memory"), "{came:?}");
}

#[test]
fn a_node_without_a_directory_says_that_it_is_in_memory() {
    let directory = Directory::with_flow();
    let node = directory.serve("");
    node.run(&directory, "status").exits(0).says("in memory and not on disk");
}
