//! A node that was told when takes snapshots of itself, and starts from them.

mod support;

use anabranch::Client;
use serde_json::json;
use support::{Directory, Serving};

fn rows(node: &Serving) -> usize {
    Client::connect(&node.grpc).expect("it connects").scan("QueryTable").expect("it begins").count()
}

/// Sends rows until a snapshot is there; how many.
fn load(node: &Serving, directory: &Directory) -> usize {
    let mut client = Client::connect(&node.grpc).expect("it connects");
    for round in 1.. {
        let row = |n| json!({ "name": format!("{round}-{n}"), "value": "x" });
        client.send("UpdateStream", &(0..100).map(row).collect::<Vec<_>>()).expect("sent");
        let files = std::fs::read_dir(directory.path("data")).expect("it is there");
        let mut names = files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
        if names.any(|name| name.ends_with(".snap")) {
            return round * 100;
        }
        assert!(round < 1000, "no snapshot was taken");
    }
    unreachable!("it ends by itself")
}

#[test]
fn a_node_that_was_killed_starts_from_the_snapshot_that_it_took_by_itself() {
    let directory = Directory::with_flow();
    let mut node = directory.serve("--data data --snapshot-after 32KiB");
    let sent = load(&node, &directory);
    node.running.kill();
    drop(node);
    assert_eq!(rows(&directory.serve("--data data --workers 2")), sent);
}

#[test]
fn a_size_without_its_unit_and_snapshots_without_a_directory_are_wrong() {
    let directory = Directory::with_flow();
    directory
        .run("run names.flow --data data --snapshot-after 5 --exit")
        .exits(2)
        .says("64KiB, 256MiB, 2GiB");
    directory.run("run names.flow --snapshot-after 5MiB --exit").exits(2).says("--data");
}
