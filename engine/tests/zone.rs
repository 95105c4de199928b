//! Nodes of one zone in one process, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use anabranch::{Flow, Listen, Node, ReplicaMode, Server, ZoneConfig, ZoneRole};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(10);

struct Member {
    node: Node,
    server: Server,
}

impl Member {
    fn start(name: &str, join: Option<&Member>, witness: bool) -> Member {
        let mut zone = ZoneConfig::new("demo");
        zone.role = if witness { ZoneRole::Witness } else { ZoneRole::Data };
        if let Some(other) = join {
            zone = zone.join(other.address().to_string());
        }
        let mut node = Node::builder(name).zone(zone);
        if join.is_none() {
            node = node.flow(Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles"));
        }
        let node = node.start().expect("it starts");
        let listen = Listen { grpc: Some("127.0.0.1:0".parse().expect("an address")), ..Listen::default() };
        let server = node.serve(&listen).expect("it listens");
        Member { node, server }
    }

    fn address(&self) -> SocketAddr {
        self.server.grpc().expect("it listens")
    }

    fn ready(self) -> Member {
        assert!(self.node.wait_until_ready(WITHIN).expect("it is wanted"), "it serves");
        self
    }
}

#[test]
fn what_one_node_is_told_the_other_one_tells() {
    let a = Member::start("A", None, false).ready();
    let b = Member::start("B", Some(&a), false).ready();
    let mut client = a.node.client();
    for number in 0..100 {
        let row = json!({ "name": format!("n{number}"), "value": number.to_string() });
        client.ask("UpdateStream", &row).expect("it is taken");
    }
    let mut other = b.node.client();
    for number in 0..100 {
        let row = other.get("QueryTable", [format!("n{number}")]).expect("it is read").expect("it is there");
        assert!(row.to_string().contains(&format!("\"value\":\"{number}\"")), "{row}");
    }
    let rows: Vec<_> = other.scan("QueryTable").expect("a table").collect();
    assert_eq!(rows.len(), 100);
}

#[test]
fn another_node_takes_over_and_nothing_that_was_acknowledged_is_missing() {
    let a = Member::start("A", None, false).ready();
    let b = Member::start("B", Some(&a), false).ready();
    let w = Member::start("W", Some(&a), true).ready();
    let in_sync = || {
        let status = b.node.zone().expect("it is in a zone");
        status.votes == 3
            && status
                .partitions
                .iter()
                .all(|of| of.replicas.iter().all(|of| of.mode == ReplicaMode::Synchronous))
    };
    wait(in_sync);
    let mut client = b.node.client();
    let mut asked = 0;
    for number in 0..200 {
        let row = json!({ "name": format!("n{number}"), "value": "x" });
        client.ask("UpdateStream", &row).expect("it is taken");
        asked += 1;
    }
    drop(a);
    for number in 0..asked {
        assert!(client.get("QueryTable", [format!("n{number}")]).expect("it is read").is_some(), "n{number}");
    }
    client.ask("UpdateStream", &json!({ "name": "new", "value": "y" })).expect("it is taken");
    let status = b.node.zone().expect("it is in a zone");
    assert!(
        status.takeovers > 0 && status.partitions.iter().all(|of| of.active_node.as_deref() == Some("B"))
    );
    drop(w);
}

/// Waits until something is so.
fn wait(is: impl Fn() -> bool) {
    let ticks = crossbeam_channel::tick(Duration::from_millis(5));
    for _ in 0..2000 {
        if is() {
            return;
        }
        ticks.recv().expect("it ticks");
    }
    unreachable!("it was waited for");
}
