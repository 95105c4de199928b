//! A client over the network does what a client in the process does.

use anabranch::{Client, Error, Flow, Listen, Node, Server};
use serde_json::json;

fn served(workers: u32) -> (Node, Server) {
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    let node = Node::builder("A").workers(workers).flow(flow).start().expect("it starts");
    let listen = Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
    let server = node.serve(&listen).expect("it listens");
    (node, server)
}

fn connect(server: &Server) -> Client {
    Client::connect(&server.grpc().expect("it speaks gRPC").to_string()).expect("it connects")
}

#[test]
fn rows_are_sent_asked_for_read_and_scanned() {
    for workers in [1, 2] {
        let (_node, server) = served(workers);
        let mut client = connect(&server);
        let rows: Vec<_> = (0..3000).map(|n| json!({ "name": format!("n{n:04}"), "value": "x" })).collect();
        assert_eq!(client.send("UpdateStream", &rows).expect("sent").accepted, 3000);
        let replies = client.ask("ReadStream", &json!({ "name": "n0007" })).expect("asked");
        let reply = replies[0].row.to_string();
        assert_eq!(reply, r#"{"sourcenode":"A","name":"n0007","value":"x","found":true}"#);
        let row = client.get("QueryTable", ["n0009"]).expect("read").expect("it is there");
        assert_eq!(row.to_string(), r#"{"name":"n0009","value":"x","createdon":"A"}"#);
        assert_eq!(client.get("QueryTable", ["none"]).expect("read"), None);
        let scanned: Vec<_> =
            client.scan("QueryTable").expect("it begins").map(|row| row.expect("a row")).collect();
        assert_eq!(scanned.len(), 3000);
    }
}

#[test]
fn many_requests_are_under_way_at_once_and_done_in_order() {
    let (_node, server) = served(2);
    let mut client = connect(&server);
    for round in 0..2000 {
        let mut batch = client.batch("UpdateStream").expect("there is such a stream");
        batch.push(&json!({ "name": "one", "value": round.to_string() })).expect("it fits");
        client.submit(batch).expect("submitted");
    }
    let mut answers = 0;
    while let Some((_, answer)) = client.next().expect("answered") {
        assert_eq!(answer.accepted, 1);
        answers += 1;
    }
    assert_eq!(answers, 2000);
    let row = client.get("QueryTable", ["one"]).expect("read").expect("it is there");
    assert_eq!(row.to_string(), r#"{"name":"one","value":"1999","createdon":"A"}"#);
}

#[test]
fn a_client_goes_on_where_the_node_is_served_again() {
    let (node, server) = served(1);
    let mut client = connect(&server);
    let row = json!({ "name": "a", "value": "1" });
    client.ask("UpdateStream", &row).expect("asked");
    let address = server.grpc().expect("it speaks gRPC");
    drop(server);
    let error = client.ask("UpdateStream", &row).expect_err("nobody is there");
    assert!(matches!(error, Error::Disconnected { .. } | Error::Connect { .. }), "{error}");
    let _server = node.serve(&Listen { grpc: Some(address), ..Listen::default() }).expect("it listens again");
    client.ask("UpdateStream", &row).expect("asked on a new session");
    assert_eq!(client.in_flight(), 0);
}

#[test]
fn what_cannot_be_reached_is_told() {
    let (_node, server) = served(1);
    let address = server.grpc().expect("it speaks gRPC").to_string();
    drop(server);
    let error = Client::connect(&address).expect_err("nobody listens there");
    assert!(error.to_string().starts_with(&format!("cannot connect to {address}: ")), "{error}");
}
