//! A client over the network does what a client in the process does.
#![expect(clippy::disallowed_methods, reason = "a client sends while its server stops")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anabranch::{Before, Client, ConnectOptions, Error, Event, Flow, Listen, Node, Server, Watch};
use serde_json::json;

fn served(workers: u32) -> (Node, Server) {
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    let node = Node::builder("A").workers(workers).flow(flow).start().expect("it starts");
    let listen = Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
    let server = node.serve(&listen).expect("it listens");
    (node, server)
}

fn connect(server: &Server) -> Client {
    let options = ConnectOptions::new(&server.grpc().expect("it speaks gRPC").to_string());
    options.reconnect_within(Duration::from_millis(300)).connect().expect("it connects")
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
fn a_client_that_knows_two_nodes_goes_to_the_one_that_is_there() {
    let ((_a, first), (_b, second)) = (served(1), served(1));
    let address = |server: &Server| server.grpc().expect("it speaks gRPC").to_string();
    let options = ConnectOptions::new(&address(&first)).also(&address(&second));
    let mut client = options.connect().expect("it connects");
    client.ask("UpdateStream", &json!({ "name": "a", "value": "1" })).expect("the first answers");
    drop(first);
    // The two are no zone: the second knows nothing of it.
    assert_eq!(client.get("QueryTable", ["a"]).expect("the second answers"), None);
    // Where the first is gone from the beginning it is the same.
    let mut client = options.connect().expect("it connects");
    assert_eq!(client.get("QueryTable", ["a"]).expect("the second answers"), None);
    drop(second);
    let lost = options.reconnect_within(Duration::ZERO).connect().expect_err("nobody is there");
    assert!(matches!(lost, Error::Connect { .. }), "{lost}");
}

/// Passes bytes on between a client and a node until it is told to hold its breath, and keeps connections open then.
#[expect(clippy::disallowed_types, reason = "a test that cuts needs a socket of its own")]
fn relay(to: std::net::SocketAddr, still: Arc<AtomicBool>) -> std::net::SocketAddr {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("it listens");
    let address = listener.local_addr().expect("it has one");
    let pass = |mut from: TcpStream, mut to: TcpStream, still: Arc<AtomicBool>| {
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                if !still.load(Ordering::Relaxed) && to.write_all(&bytes[..read]).is_err() {
                    return;
                }
            }
        })
    };
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(node)) = (client, TcpStream::connect(to)) else { return };
            let both = |stream: &TcpStream| stream.try_clone().expect("it has two ends");
            pass(both(&client), both(&node), still.clone());
            pass(node, client, still.clone());
        }
    });
    address
}

#[test]
fn a_client_that_knows_two_nodes_leaves_the_one_that_gives_no_sign_of_life() {
    let ((_a, first), (_b, second)) = (served(1), served(1));
    let still = Arc::new(AtomicBool::new(false));
    let address = relay(first.grpc().expect("it speaks gRPC"), still.clone());
    let options = ConnectOptions::new(&address.to_string());
    let options = options.also(&second.grpc().expect("it speaks gRPC").to_string());
    let mut client = options.connect().expect("it connects");
    client.ask("UpdateStream", &json!({ "name": "a", "value": "1" })).expect("the first answers");
    still.store(true, Ordering::Relaxed);
    // The two are no zone: the second knows nothing of it.
    assert_eq!(client.get("QueryTable", ["a"]).expect("the second answers"), None);
    drop((first, second));
}

#[test]
fn what_is_under_way_is_sent_again_where_a_call_opens_the_new_session() {
    let (node, server) = served(1);
    let mut client = connect(&server);
    let address = server.grpc().expect("it speaks gRPC");
    drop(server);
    let mut batch = client.batch("UpdateStream").expect("there is such a stream");
    batch.push(&json!({ "name": "a", "value": "1" })).expect("it fits");
    let ticket = client.submit(batch).expect("the client does not know that nobody is there");
    let _server = node.serve(&Listen { grpc: Some(address), ..Listen::default() }).expect("it listens again");
    // The first call meets the connection that has ended.
    while client.flows().is_err() {}
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(client.wait(ticket).map(|answer| answer.accepted)));
    let accepted = told.recv_timeout(Duration::from_secs(10)).expect("the request is answered");
    assert_eq!(accepted.expect("answered"), 1);
}

/// A server that stops reads no further and answers what it has read: nothing is done whose answer is lost.
#[test]
fn a_server_that_stops_answers_what_it_does() {
    for workers in [1, 2] {
        let (node, server) = served(workers);
        let mut client = connect(&server);
        let (told, answered) = std::sync::mpsc::channel();
        let sender = std::thread::spawn(move || {
            let mut done = std::collections::BTreeSet::new();
            let mut sent = std::collections::HashMap::new();
            for number in 0.. {
                let name = format!("n{number:07}");
                let mut batch = client.batch("UpdateStream").expect("there is such a stream");
                batch.push(&json!({ "name": name, "value": "x" })).expect("it fits");
                match client.submit(batch) {
                    Ok(ticket) => drop(sent.insert(ticket, name)),
                    Err(Error::Disconnected { .. } | Error::Connect { .. }) => break,
                    Err(error) => panic!("{error}"),
                }
                while client.in_flight() >= 64 {
                    match client.next() {
                        Ok(next) => drop(next.map(|(ticket, _)| done.insert(sent[&ticket].clone()))),
                        Err(Error::Disconnected { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    // Nobody listens any more after the first.
                    let _ = told.send(done.len());
                }
            }
            loop {
                match client.next() {
                    Ok(Some((ticket, _))) => drop(done.insert(sent[&ticket].clone())),
                    Ok(None) => return done,
                    Err(Error::Disconnected { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        assert!(answered.iter().any(|count| count >= 500), "requests are answered");
        drop(answered);
        drop(server);
        let done = sender.join().expect("the client ends");
        let mut inside = node.client();
        let rows = inside.scan("QueryTable").expect("it begins").map(|row| row.expect("a row"));
        let name = |row: anabranch::Row| match row.get("name") {
            Some(anabranch::Value::Text(name)) => name.into_owned(),
            other => panic!("{other:?}"),
        };
        let kept: std::collections::BTreeSet<String> = rows.map(name).collect();
        let differ: Vec<_> = kept.symmetric_difference(&done).take(3).collect();
        assert!(
            differ.is_empty(),
            "done or answered, and not both, of {} with {workers} workers: {differ:?}",
            kept.len()
        );
    }
}

#[test]
fn what_cannot_be_reached_is_told() {
    let (_node, server) = served(1);
    let address = server.grpc().expect("it speaks gRPC").to_string();
    drop(server);
    let error = Client::connect(&address).expect_err("nobody listens there");
    assert!(error.to_string().starts_with(&format!("cannot connect to {address}: ")), "{error}");
}

fn flow(revision: u32, columns: &str) -> Flow {
    let text = format!(
        "flow seen revision {revision}
         input See: {{ name: text }}
         output Seen: {{ name: text, times: int }}
         table Names: {{ name: text, {columns} }} {{ key name }}
         on See as s {{
             read Names where name = s.name as old or null
             require s.name <> '' else invalid 'a name has letters'
             upsert Names {{ name: s.name, times += 1 }}
             emit Seen {{ name: s.name, times: coalesce(old.times, 0) + 1 }}
         }}"
    );
    Flow::parse("seen.flow", &text).expect("it compiles")
}

#[test]
fn flows_are_deployed_replaced_and_dropped_from_afar() {
    let (_node, server) = served(2);
    let (mut client, mut other) = (connect(&server), connect(&server));
    assert!(matches!(client.deploy(flow(1, "times: int")).expect("new").before, Before::Nothing));
    // The other client asks when it does not know a name.
    other.ask("See", &json!({ "name": "a" })).expect("seen");
    let before = client.deploy(flow(2, "times: int, kind: text default 'old'")).expect("newer").before;
    assert!(matches!(before, Before::Older(_)));
    let refused = client.deploy(flow(3, "times: int?")).expect_err("stored rows could not stand it");
    assert!(refused.to_string().contains("stored rows have the old type"), "{refused}");
    let row = client.get("Names", ["a"]).expect("read").expect("it is there").to_string();
    assert_eq!(row, r#"{"name":"a","times":1,"kind":"old"}"#);
    let names: Vec<_> = other.flows().expect("listed").iter().map(|flow| flow.name().to_owned()).collect();
    assert_eq!(names, ["names", "seen"]);
    client.drop_flow("seen").expect("dropped");
    let gone = client.drop_flow("seen").expect_err("it is gone");
    assert!(gone.to_string().contains("there is no flow `seen`"), "{gone}");
}

#[test]
fn outputs_and_refused_rows_are_watched_from_afar() {
    let (node, server) = served(2);
    let mut client = connect(&server);
    client.deploy(flow(1, "times: int")).expect("new");
    let mut seen = client.subscribe("Seen").expect("watched");
    let mut errors = client.subscribe("seen.errors").expect("watched");
    let next = |watch: &mut Watch| match watch.next().expect("an event") {
        Some(Event::Row(row)) => row.to_string(),
        Some(Event::Refused(refused)) => format!("{}: {}", refused.row, refused.refused),
        other => panic!("{other:?}"),
    };
    client.ask("See", &json!({ "name": "a" })).expect("seen");
    client.ask("See", &json!({ "name": "" })).expect_err("refused");
    assert_eq!(next(&mut seen), r#"{"name":"a","times":1}"#);
    assert_eq!(next(&mut errors), r#"{"name":""}: invalid: a name has letters (seen.flow:7:14)"#);
    client.drop_flow("seen").expect("dropped");
    assert!(matches!(seen.next().expect("an event"), Some(Event::Gone)));
    let unknown = client.subscribe("Nowhere").expect_err("there is none");
    assert!(unknown.to_string().contains("there is no output `Nowhere`"), "{unknown}");
    drop(node);
}

#[test]
fn a_request_of_an_older_revision_is_answered_by_the_newer_one() {
    let (_node, server) = served(2);
    let (mut client, mut other) = (connect(&server), connect(&server));
    client.deploy(flow(1, "times: int")).expect("new");
    // Made for the first revision, sent when the second runs.
    let mut batch = other.batch("See").expect("there is such a stream");
    batch.push(&json!({ "name": "a" })).expect("it fits");
    client.deploy(flow(2, "times: int, kind: text default 'old'")).expect("newer");
    let ticket = other.submit(batch).expect("submitted");
    assert_eq!(other.wait(ticket).expect("answered").accepted, 1);
    let row = other.get("Names", ["a"]).expect("read").expect("it is there").to_string();
    assert_eq!(row, r#"{"name":"a","times":1,"kind":"old"}"#);
}
