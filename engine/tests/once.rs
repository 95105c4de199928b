//! A request that is repeated takes effect once, and gets the first answer: over lost connections, and after a restart.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a relay between client and node that loses connections"
)]

mod http_support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anabranch::{Client, ConnectOptions, Error, Flow, Listen, Node, RefusalCode, Timeouts};
use http_support::{NDJSON, Served, serve};
use serde_json::{Value, json};
use tempfile::TempDir;

const HITS: &str = "flow hits revision 1
input  Hit:  { page: text, by: int }
output Told: { page: text, n: int? }
table  Hits: { page: text, n: int } { key page }
on Hit as h {
  require h.by > 0 else invalid 'it is hit by less than one'
  upsert Hits { page: h.page, n += h.by }
  read Hits where page = h.page as row or null
  reply Told { page: h.page, n: row.n }
}";

fn hits() -> Flow {
    Flow::parse("hits.flow", HITS).expect("it compiles")
}

fn now_millis() -> u128 {
    std::time::UNIX_EPOCH.elapsed().expect("it is later").as_millis()
}

/// Hits of all pages together.
fn all_hits(node: &Node) -> i64 {
    let mut client = node.client();
    let rows = client.scan("Hits").expect("it begins").map(|row| row.expect("a row"));
    rows.map(|row| if let Some(anabranch::Value::Int(n)) = row.get("n") { n } else { 0 }).sum()
}

/// Passes bytes on between clients and a node, and loses each connection after some bytes of the node's, but for the last
/// ones.
struct Relay {
    address: SocketAddr,
    lost: Arc<AtomicU64>,
    steady: Arc<AtomicBool>,
}

impl Relay {
    fn to(node: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("it listens");
        let address = listener.local_addr().expect("it has one");
        let (lost, steady) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let relay = Relay { address, lost: lost.clone(), steady: steady.clone() };
        std::thread::spawn(move || {
            for (number, client) in (0_u64..).zip(listener.incoming()) {
                let (Ok(client), Ok(node)) = (client, TcpStream::connect(node)) else { return };
                for stream in [&client, &node] {
                    stream.set_nodelay(true).expect("it is open");
                }
                let both = |stream: &TcpStream| stream.try_clone().expect("it has two ends");
                let (from, to) = (both(&client), both(&node));
                std::thread::spawn(move || pass(from, to, u64::MAX));
                // What of the answers is lost differs from connection to connection.
                let most =
                    if steady.load(Ordering::Relaxed) { u64::MAX } else { 6_000 + number * 3_777 % 30_000 };
                let lost = lost.clone();
                std::thread::spawn(move || {
                    pass(both(&node), both(&client), most);
                    lost.fetch_add(1, Ordering::Relaxed);
                    let _ = (client.shutdown(Shutdown::Both), node.shutdown(Shutdown::Both));
                });
            }
        });
        relay
    }
}

/// Passes at most so many bytes on.
fn pass(mut from: TcpStream, mut to: TcpStream, mut most: u64) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        let passed = (read as u64).min(most);
        most -= passed;
        if to.write_all(&bytes[..passed as usize]).is_err() || most == 0 {
            return;
        }
    }
}

#[test]
fn a_client_repeats_what_was_under_way_when_its_connection_was_lost() {
    for workers in [1, 2] {
        let node = Node::builder("A").workers(workers).flow(hits()).start().expect("it starts");
        let listen = Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
        let server = node.serve(&listen).expect("it listens");
        let relay = Relay::to(server.grpc().expect("it speaks gRPC"));
        let mut client = Client::connect(&relay.address.to_string()).expect("it connects");
        let (mut sent, mut told) = (0, 0);
        while relay.lost.load(Ordering::Relaxed) < 12 {
            let mut batch = client.batch("Hit").expect("there is such a stream");
            for row in 0..7 {
                let by = if (sent + row) % 50 == 3 { 0 } else { 1 };
                batch
                    .push(&json!({ "page": format!("p{}", (sent * 7 + row) % 40), "by": by }))
                    .expect("it fits");
            }
            client.submit(batch).expect("it is sent");
            sent += 1;
            while client.in_flight() > 20 {
                told += count(client.next().expect("answered"));
            }
        }
        relay.steady.store(true, Ordering::Relaxed);
        while client.in_flight() > 0 {
            told += count(client.next().expect("answered"));
        }
        while let Some(next) = client.try_next().expect("answered") {
            told += count(Some(next));
        }
        assert_eq!(all_hits(&node), told, "{sent} requests over {workers} workers");
    }
}

/// Rows of a request that took effect; every row is answered.
fn count(next: Option<(anabranch::Ticket, anabranch::Answer)>) -> i64 {
    let (_, answer) = next.expect("something is under way");
    assert_eq!(answer.accepted + answer.refused.len(), 7);
    assert_eq!(answer.replies.len(), answer.accepted, "an accepted row has its reply, whenever it was made");
    assert!(answer.refused.iter().all(|refused| refused.code == RefusalCode::Invalid));
    answer.accepted as i64
}

#[test]
fn a_request_with_a_key_takes_effect_once_across_restarts() {
    let directory = TempDir::new().expect("a directory");
    let start = |workers| {
        let node = Node::builder("A").workers(workers).data(directory.path()).flow(hits());
        node.start().expect("it starts")
    };
    let key = format!("{}-order-17", now_millis());
    let send = |node: &Node| {
        let mut client = node.client();
        let mut batch = client.batch("Hit").expect("there is such a stream").once(&key).expect("a key");
        for (page, by) in [("a", 2), ("b", 3), ("a", 5), ("c", 0)] {
            batch.push(&json!({ "page": page, "by": by })).expect("it fits");
        }
        let ticket = client.submit(batch).expect("sent");
        let answer = client.wait(ticket).expect("answered");
        let replies: Vec<_> = answer.replies.iter().map(|reply| reply.row.to_string()).collect();
        let refused: Vec<_> =
            answer.refused.iter().map(|refused| (refused.request_row, refused.code)).collect();
        (answer.accepted, replies, refused)
    };
    let first = start(2);
    let answer = send(&first);
    let told = [r#"{"page":"a","n":2}"#, r#"{"page":"b","n":3}"#, r#"{"page":"a","n":7}"#];
    assert_eq!(answer, (3, told.map(str::to_owned).to_vec(), vec![(3, RefusalCode::Invalid)]));
    first.client().send("Hit", &[json!({ "page": "a", "by": 1 })]).expect("sent");
    assert_eq!((send(&first), all_hits(&first)), (answer.clone(), 11));
    drop(first);
    for workers in [1, 3] {
        let again = start(workers);
        assert_eq!((send(&again), all_hits(&again)), (answer.clone(), 11), "{workers} workers");
    }
}

/// A newer revision in which the output has another number, and, where `columns` are given, other columns.
fn revised(revision: u32, columns: &str) -> Flow {
    let text = HITS.replace("revision 1", &format!("revision {revision}")).replace(
        "output Told: { page: text, n: int? }",
        &format!("output Before: {{ n: int }}\noutput Told: {{ page: text, n: int?{columns} }}"),
    );
    Flow::parse("hits.flow", &text).expect("it compiles")
}

#[test]
fn answers_follow_the_flow_to_newer_revisions_as_long_as_they_can_be_told() {
    let directory = TempDir::new().expect("a directory");
    let start = || Node::builder("A").data(directory.path()).start().expect("it starts");
    let key = format!("{}-order-19", now_millis());
    let send = |node: &Node| {
        let mut client = node.client();
        let mut batch = client.batch("Hit").expect("there is such a stream").once(&key).expect("a key");
        batch.push(&json!({ "page": "a", "by": 1 })).expect("it fits");
        let ticket = client.submit(batch).expect("sent");
        client.wait(ticket).expect("answered")
    };
    let first = start();
    first.deploy(hits()).expect("deployed");
    send(&first);
    for (revision, columns) in [(2, ""), (3, ", kind: text?")] {
        first.deploy(revised(revision, columns)).expect("deployed");
        let told = send(&first);
        match columns.is_empty() {
            true => assert_eq!(told.replies[0].row.to_string(), r#"{"page":"a","n":1}"#),
            false => assert_eq!(told.refused[0].code, RefusalCode::Unknown),
        }
    }
    drop(first);
    let again = start();
    assert_eq!(send(&again).refused[0].code, RefusalCode::Unknown, "after a restart, too");
    assert_eq!(all_hits(&again), 1);
}

/// A newer revision may send the rows of an input to other partitions, which know nothing of what was done in those of
/// before.
#[test]
fn a_repeat_behind_a_revision_that_routes_otherwise_has_no_second_effect() {
    let directory = TempDir::new().expect("a directory");
    let start = || Node::builder("A").workers(2).data(directory.path()).start().expect("it starts");
    let by = |revision: u32, column: &str| {
        let text = format!(
            "flow pages revision {revision}
             input Hit: {{ page: int, other: int }}
             table Hits: {{ page: int, n: int }} {{ key page }}
             on Hit as h {{ upsert Hits {{ page: h.{column}, n += 1 }} }}"
        );
        Flow::parse("pages.flow", &text).expect("it compiles")
    };
    let made = now_millis();
    let send = |node: &Node, page: i64| {
        let mut client = node.client();
        let key = format!("{made}-page-{page}");
        let mut batch = client.batch("Hit").expect("there is such a stream").once(&key).expect("a key");
        batch.push(&json!({ "page": page, "other": page + 1000 })).expect("it fits");
        let ticket = client.submit(batch).expect("sent");
        let answer = client.wait(ticket).expect("answered");
        (answer.accepted, answer.refused.first().map(|refused| refused.code))
    };
    let node = start();
    node.deploy(by(1, "page")).expect("deployed");
    (0..10).for_each(|page| assert_eq!(send(&node, page), (1, None)));
    node.deploy(by(2, "other")).expect("deployed");
    let none_again = |node: &Node| {
        for page in 0..10 {
            // Some rows find the partition that has done them; of the others it is not known.
            assert!(matches!(send(node, page), (1, None) | (0, Some(RefusalCode::Unknown))), "page {page}");
        }
        assert_eq!(all_hits(node), 10);
    };
    none_again(&node);
    drop(node);
    let node = start();
    none_again(&node);
    (0..2).for_each(|_| assert!(node.snapshot().expect("it is taken").rows >= 10));
    drop(node);
    none_again(&start());
}

#[test]
fn a_key_for_one_stream_is_none_for_another() {
    let text = "flow two revision 1
        input One, Two: { id: int }
        table Ones: { id: int } { key id }
        table Twos: { id: int } { key id }
        on One as o { upsert Ones { id: o.id } }
        on Two as t { upsert Twos { id: t.id } }";
    let flow = Flow::parse("two.flow", text).expect("it compiles");
    let node = Node::builder("A").flow(flow).start().expect("it starts");
    let key = format!("{}-order-20", now_millis());
    for stream in ["One", "Two"] {
        let mut client = node.client();
        let mut batch = client.batch(stream).expect("there is such a stream").once(&key).expect("a key");
        batch.push(&json!({ "id": 1 })).expect("it fits");
        let ticket = client.submit(batch).expect("sent");
        assert_eq!(client.wait(ticket).expect("answered").accepted, 1);
        assert!(client.get(&format!("{stream}s"), [1]).expect("read").is_some(), "{stream}");
    }
}

/// What was sent over a connection that did not come back is given up; the next request is a new one.
#[test]
fn the_first_request_after_what_was_given_up_is_new() {
    let node = Node::builder("A").flow(hits()).start().expect("it starts");
    let listen = Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
    let server = node.serve(&listen).expect("it listens");
    let address = server.grpc().expect("it speaks gRPC");
    let options = ConnectOptions::new(&address.to_string()).reconnect_within(Duration::from_millis(100));
    let mut client = options.connect().expect("it connects");
    let row = json!({ "page": "a", "by": 1 });
    client.ask("Hit", &row).expect("asked");
    drop(server);
    assert!(client.ask("Hit", &row).is_err(), "nobody is there");
    let _server = node.serve(&Listen { grpc: Some(address), ..Listen::default() }).expect("it listens again");
    for n in 2..=4 {
        let replies = client.ask("Hit", &row).expect("asked on a new session");
        assert_eq!(replies[0].row.to_string(), format!("{{\"page\":\"a\",\"n\":{n}}}"));
    }
}

#[test]
fn a_repeat_is_not_told_to_subscribers_again() {
    let node = Node::builder("A").flow(hits()).start().expect("it starts");
    let mut told = node.subscribe("Told").expect("there is such a stream");
    let key = format!("{}-order-18", now_millis());
    for _ in 0..3 {
        let mut client = node.client();
        let mut batch = client.batch("Hit").expect("there is such a stream").once(&key).expect("a key");
        batch.push(&json!({ "page": "a", "by": 1 })).expect("it fits");
        let ticket = client.submit(batch).expect("sent");
        assert_eq!(client.wait(ticket).expect("answered").replies.len(), 1);
    }
    assert_eq!(std::iter::from_fn(|| told.try_next()).count(), 1);
}

fn served() -> Served {
    serve(2, &[("hits.flow", HITS)], Timeouts::default())
}

#[test]
fn over_http_a_key_makes_rows_and_asks_take_effect_once() {
    let served = served();
    let lines: String = (0..1000).map(|n| format!("{{\"page\":\"p{}\",\"by\":1}}\n", n % 30)).collect();
    let key = format!("{}-lines", now_millis());
    for _ in 0..2 {
        let reply = served.request("POST", "/streams/Hit", &[NDJSON, ("idempotency-key", &key)], &lines);
        assert_eq!(reply.json(), json!({ "accepted": 1000, "refused": [] }));
    }
    assert_eq!(all_hits(&served.node), 1000);
    let quoted = format!("\"{}-ask\"", now_millis());
    let row = r#"{"page":"p0","by":1}"#;
    let ask =
        |key: &str| served.request("POST", "/ask/Hit", &[http_support::JSON, ("idempotency-key", key)], row);
    let first = ask(&quoted).json();
    served.post("/ask/Hit", row);
    assert_eq!(ask(&quoted).json(), first, "the first answer");
    assert_eq!(all_hits(&served.node), 1002);
}

/// A body that breaks off is sent again, whole; how its bytes come does not matter.
#[test]
fn a_body_that_was_broken_off_is_repeated_without_loss() {
    let served = served();
    let key = format!("{}-broken", now_millis());
    let headers = [NDJSON, ("idempotency-key", key.as_str())];
    let lines: String = (0..600).map(|n| format!("{{\"page\":\"p{}\",\"by\":1}}\n", n % 30)).collect();
    let mut broken = served.connect();
    broken.head("POST", "/streams/Hit", &headers, None);
    broken.chunk(&lines.as_bytes()[..lines.len() / 2 + 3]);
    drop(broken);
    let reply = served.request("POST", "/streams/Hit", &headers, &lines);
    assert_eq!(reply.json(), json!({ "accepted": 600, "refused": [] }));
    assert_eq!(all_hits(&served.node), 600);
}

#[test]
fn an_unfit_key_is_refused_before_anything_is_done() {
    let served = served();
    let row = r#"{"page":"p0","by":1}"#;
    let ahead = format!("{}-x", now_millis() + 120_000);
    let cases =
        [("order-17", "the time at which it was made"), (ahead.as_str(), "ahead of the node's clock")];
    for (key, why) in cases {
        for path in ["/streams/Hit", "/ask/Hit"] {
            let reply = served.request("POST", path, &[http_support::JSON, ("idempotency-key", key)], row);
            let problem: Value = reply.json();
            assert_eq!(reply.status, 400);
            assert!(problem.to_string().contains(why), "{problem}");
        }
    }
    assert_eq!(all_hits(&served.node), 0);
    let mut client = served.node.client();
    let unfit = client.batch("Hit").expect("there is such a stream").once("17");
    assert!(matches!(unfit, Err(Error::IdempotencyKey { .. })));
}
