//! What operators see of a zone.

use serde_json::Value;

use crate::harness::{WITHIN, Zone};
use crate::scripts::NAMES;

/// Values of a list by a key.
fn of<'v>(list: &'v Value, key: &str) -> Vec<&'v Value> {
    list.as_array().map(|list| list.iter().map(|each| &each[key]).collect()).unwrap_or_default()
}

#[test]
fn partitions_are_spread_evenly_and_each_has_one_owner_and_one_replica() {
    let mut zone = Zone::of(NAMES, &["A", "B", "W"]);
    for node in ["A", "B"] {
        let standing = zone.standing(node).expect("it is told");
        let partitions = standing["partitions"].as_array().cloned().unwrap_or_default();
        assert_eq!(partitions.len(), 64);
        for (number, partition) in partitions.iter().enumerate() {
            assert_eq!(partition["partition"], format!("demo_VP_{number}"));
            let (owner, replicas) = (&partition["active_node"], of(&partition["replicas"], "node"));
            assert!(replicas.len() == 1 && replicas[0] != owner, "{partition}");
        }
        let owners = of(&standing["partitions"], "active_node");
        assert_eq!(owners.iter().filter(|owner| **owner == "A").count(), 32, "{node} tells");
        assert_eq!(standing["votes"], 3);
    }
    // All nodes tell the same owner of each partition, also when one has gone and come back.
    zone.kill("B");
    zone.start("B");
    zone.until_whole();
    zone.until("both tell the same", || {
        let owners = |node| zone.standing(node).map(|standing| standing["partitions"].clone());
        let names = |node| owners(node).map(|list| format!("{:?}", of(&list, "active_node")));
        let (a, b) = (names("A"), names("B"));
        a.is_some() && a == b && a.unwrap_or_default().matches("\"A\"").count() == 32
    });
}

#[test]
fn the_same_is_told_over_http() {
    let zone = Zone::of(NAMES, &["A", "B", "W"]);
    let told = http_get(zone.http("B"), "/zone");
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|error| unreachable!("{told}: {error}"));
    assert_eq!(told["zone"], "demo");
    assert_eq!(told["partitions"].as_array().map(Vec::len), Some(64));
}

#[expect(clippy::disallowed_types, clippy::unwrap_used, reason = "a test asks over a socket of its own")]
fn http_get(address: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body[body.find('{').unwrap_or(0)..=body.rfind('}').unwrap_or(0)].to_owned()
}
