//! What a node tells of its zone, in process, over gRPC and over HTTP.

mod http_support;

use std::sync::atomic::{AtomicU64, Ordering};

use anabranch::{Client, Listen, ZoneNodeStatus, ZonePartitionStatus, ZoneStatus};
use http_support::names;

fn zone() -> ZoneStatus {
    let node = ZoneNodeStatus { node: "A".into(), member: 1, votes: true, ..ZoneNodeStatus::default() };
    let partition = ZonePartitionStatus {
        partition: ZonePartitionStatus::name_of("demo", 63),
        copies: 2,
        term: 9,
        ..ZonePartitionStatus::default()
    };
    ZoneStatus {
        zone: "demo".into(),
        node: "A".into(),
        votes: 1,
        nodes: vec![node],
        partitions: vec![partition],
        ..ZoneStatus::default()
    }
}

#[test]
fn a_zone_is_told_as_it_is_now_in_process_and_over_the_network() -> Result<(), anabranch::Error> {
    let served = names();
    let takeovers = AtomicU64::new(0);
    let tell = move || ZoneStatus { takeovers: takeovers.fetch_add(1, Ordering::Relaxed), ..zone() };
    served.node.zone_window().open(Box::new(tell));
    let after = |takeovers| Some(ZoneStatus { takeovers, ..zone() });
    assert_eq!(served.node.zone(), after(0));
    assert_eq!(served.node.client().zone()?, after(1));

    let grpc = served.node.serve(&Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() })?;
    let mut client = Client::connect(&grpc.grpc().expect("it listens").to_string())?;
    assert_eq!(client.zone()?, after(2));

    let reply = served.get("/zone");
    let told: ZoneStatus = serde_json::from_str(&reply.body).expect("a status");
    assert_eq!((reply.status, Some(told)), (200, after(3)));
    let json = served.get("/zone").json();
    assert_eq!(json["partitions"][0]["partition"], "demo_VP_63");
    assert_eq!((&json["quorum"], &json["nodes"][0]["state"]), (&"lost".into(), &"joining".into()));
    Ok(())
}

#[test]
fn a_node_alone_is_in_no_zone() -> Result<(), anabranch::Error> {
    let served = names();
    assert_eq!((served.node.zone(), served.node.client().zone()?), (None, None));
    let grpc = served.node.serve(&Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() })?;
    assert_eq!(Client::connect(&grpc.grpc().expect("it listens").to_string())?.zone()?, None);
    let reply = served.get("/zone");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some("not_found")));
    Ok(())
}
