//! The scripts by which two and three nodes are shown: play ten rows into A, read the table, kill A, read it elsewhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::Zone;

/// The reference flow as it is.
pub(crate) const NAMES: &str = include_str!("../../../../flows/names.flow");

/// Ten rows for `UpdateStream`.
fn ten() -> String {
    let rows = (0..10).map(|number| format!("name-{number},value-{}\n", 10 - number));
    format!("name,value\n{}", rows.collect::<String>())
}

fn asked(zone: &Zone, node: &str, name: &str) -> Value {
    let reply = zone.run(node, &["ask", "ReadStream", &format!("name={name}"), "--json"]);
    serde_json::from_str(&reply).unwrap_or_else(|error| unreachable!("{reply}: {error}"))
}

#[test]
fn updates_are_read_and_deleted_at_any_node_and_answers_name_the_node_that_was_asked() {
    let zone = Zone::of(NAMES, &["A", "B", "W"]);
    for (node, other) in [("A", "B"), ("B", "A")] {
        for value in ["1", "2"] {
            zone.run(node, &["send", "UpdateStream", "name=a", &format!("value={value}")]);
            for reader in [node, other] {
                let expected = json!({ "stream": "OutputStream",
                    "row": { "sourcenode": reader, "name": "a", "value": value, "found": true } });
                assert_eq!(asked(&zone, reader, "a"), expected);
            }
        }
        zone.run(node, &["send", "DeleteStream", "name=a"]);
        // To delete it again is no mistake.
        zone.run(other, &["send", "DeleteStream", "name=a"]);
        assert_eq!(asked(&zone, other, "a")["row"]["found"], json!(false));
        assert!(zone.table(node, "QueryTable").is_empty());
    }
}

#[test]
fn ten_rows_played_into_one_of_two_nodes_are_at_the_other_when_it_is_killed() {
    let mut zone = Zone::of(NAMES, &["A", "B", "W"]);
    let partitions = zone.run("A", &["partitions"]);
    for number in 0..64 {
        assert!(partitions.contains(&format!("demo_VP_{number} ")), "{number}: {partitions}");
    }
    zone.file("ten.csv", &ten());
    zone.run("A", &["play", "ten.csv", "--into", "UpdateStream"]);
    let rows = zone.table("A", "QueryTable");
    assert_eq!(rows.len(), 10);
    let owners: BTreeSet<String> = rows.iter().map(|row| created_on(row)).collect();
    assert!(owners.is_subset(&BTreeSet::from(["A".to_owned(), "B".to_owned()])), "{owners:?}");
    assert_eq!(zone.table("B", "QueryTable"), rows, "the other node answers the same while both are there");

    zone.kill("A");
    // Operators look meanwhile; it must not disturb.
    for _ in 0..10 {
        zone.run("B", &["nodes"]);
    }
    assert_eq!(zone.table("B", "QueryTable"), rows, "row by row what A told");
    assert_eq!(asked(&zone, "B", "name-3")["row"]["value"], json!("value-7"));
    zone.kill("B");
}

#[test]
fn rows_name_the_node_that_owned_them_when_they_were_written() {
    let mut zone = Zone::of(NAMES, &["A", "B", "W"]);
    zone.file("ten.csv", &ten());
    zone.run("A", &["play", "ten.csv", "--into", "UpdateStream"]);
    zone.kill("B");
    let before = zone.table("A", "QueryTable");
    let on = |rows: &[String], node: &str| rows.iter().filter(|row| created_on(row) == node).count();
    assert!(on(&before, "A") > 0 && on(&before, "B") > 0, "{before:?}");
    zone.run("A", &["play", "ten.csv", "--into", "UpdateStream"]);
    let after = zone.table("A", "QueryTable");
    assert_eq!((on(&after, "A"), on(&after, "B")), (10, 0), "{after:?}");
}

fn created_on(row: &str) -> String {
    let row: Value = serde_json::from_str(row).unwrap_or_else(|error| unreachable!("{row}: {error}"));
    row["createdon"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn ten_rows_played_into_one_of_three_nodes_are_at_both_others_when_it_is_killed() {
    let mut zone = Zone::of(NAMES, &["A", "B", "C"]);
    zone.file("ten.csv", &ten());
    zone.run("A", &["play", "ten.csv", "--into", "UpdateStream"]);
    let rows = zone.table("A", "QueryTable");
    assert_eq!(rows.len(), 10);
    for node in ["B", "C"] {
        assert_eq!(zone.table(node, "QueryTable"), rows, "{node} before");
    }
    zone.kill("A");
    for node in ["B", "C"] {
        assert_eq!(zone.table(node, "QueryTable"), rows, "{node} after");
    }
    // The third node counts: with two copies in sync again one more may go, and a majority of what was three is left no more.
    zone.until_whole();
    zone.kill("B");
    zone.kill("C");
}
