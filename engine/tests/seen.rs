//! What a node knows of itself: counts, times, sizes; and what it logs of slow requests.

#![allow(clippy::disallowed_types, reason = "a test is a client")]
#![allow(clippy::panic, reason = "what helps a test panics where it fails")]

#[path = "support/exposition.rs"]
mod exposition;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anabranch::{Client, Flow, Listen, Node, RequestStatus};
use crossbeam_channel::{Receiver, Sender, unbounded};
use exposition::http;
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

const CHECKED: &str = "flow checked revision 1
input  Put: { id: int, kind: text }
output Told: { id: int }
table  Kept: { id: int } { key id }
on Put as p where p.kind = 'keep' { upsert Kept { id: p.id } }
on Put as p {
  require p.kind <> 'bad' else invalid 'it is bad'
  require p.kind <> 'twice' else conflict 'it is twice'
  reply Told { id: p.id }
}";

fn node(workers: u32) -> anabranch::NodeBuilder {
    Node::builder("A").workers(workers).flow(Flow::parse("checked.flow", CHECKED).expect("it compiles"))
}

fn put(id: i64, kind: &str) -> Value {
    json!({ "id": id, "kind": kind })
}

#[test]
fn a_status_tells_rules_batches_refusals_and_times() {
    for workers in [1, 2] {
        let node = node(workers).start().expect("it starts");
        let mut client = node.client();
        let rows = [put(1, "keep"), put(2, "keep"), put(3, "bad"), put(4, "twice"), put(5, "other")];
        client.send("Put", &rows).expect("sent");
        client.send("Put", &[put(6, "bad")]).expect("sent");
        client.get("Kept", [1]).expect("read");
        let flow = node.status().flows.remove(0);
        let input = &flow.inputs[0];
        let ran: Vec<(u32, u64)> = input.rules.iter().map(|rule| (rule.line, rule.rows)).collect();
        assert_eq!(ran, [(5, 2), (6, 6)], "{workers} workers");
        assert_eq!(input.refused_by_code["invalid"], 2);
        assert_eq!(input.refused_by_code["conflict"], 1);
        assert_eq!((input.refused_by_code["denied"], input.rows_refused), (0, 3));
        assert!(input.step_micros > 0, "it took some time");
        if workers == 1 {
            assert_eq!(input.batches, [1, 0, 0, 1], "one of a row, one of up to eight");
        }
        let request = |kind: &str| -> &RequestStatus {
            flow.requests.iter().find(|request| request.kind == kind).expect("there were some")
        };
        let (sent, got) = (request("rows"), request("get"));
        assert_eq!((sent.of.as_str(), sent.count, got.of.as_str(), got.count), ("Put", 2, "Kept", 1));
        assert!(
            sent.p50_us <= sent.p99_us
                && sent.p99_us <= sent.max_us
                && sent.max_us <= sent.sum_us + sent.sum_us / 50
        );
        assert!(flow.operators.is_empty(), "nobody asked for a profile");
        assert!(input.rules.iter().all(|rule| rule.micros.is_none()), "nor for the times of rules");
    }
}

#[test]
fn a_profile_tells_what_operators_and_channels_do() {
    for workers in [1, 2] {
        let node = node(workers).profile(true).start().expect("it starts");
        let mut client = node.client();
        for id in 0..20 {
            client.send("Put", &[put(id, "keep")]).expect("sent");
        }
        let flow = node.status().flows.remove(0);
        let micros: Vec<u64> = flow.inputs[0].rules.iter().filter_map(|rule| rule.micros).collect();
        let step = flow.inputs[0].step_micros;
        assert!(micros.len() == 2 && micros.iter().sum::<u64>() > 0, "{micros:?}");
        assert!(micros.iter().sum::<u64>() <= step, "{micros:?} of {step}");
        let names: Vec<&str> = flow.operators.iter().map(|of| of.operator.as_str()).collect();
        for name in ["route", "step", "source"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(flow.operators.iter().filter(|of| of.operator == "step").all(|of| of.activations >= 20));
        let channel = |from: &str, to: &str| {
            let found = flow.channels.iter().find(|of| of.from == from && of.to == to);
            found.map(|of| (of.messages, of.records)).unwrap_or_else(|| panic!("{:?}", flow.channels))
        };
        let (messages, records) = channel("route", "step");
        assert!((1..=20).contains(&messages), "{messages}");
        assert_eq!((records, channel("step", "source").1), (20, 20), "one task for each request");
    }
}

#[test]
fn subscriptions_are_told_with_what_waits() {
    let node = node(2).start().expect("it starts");
    let first = node.subscribe("Told").expect("there is such an output");
    let _second = node.subscribe("Told").expect("there is such an output");
    node.client().send("Put", &[put(1, "keep"), put(2, "keep")]).expect("sent");
    let told = node.status().flows.remove(0).subscriptions.remove(0);
    assert_eq!(
        (told.stream.as_str(), told.subscribers, told.rows_waiting, told.rows_missed),
        ("Told", 2, 4, 0)
    );
    drop(first);
    node.client().send("Put", &[put(3, "keep")]).expect("sent");
    assert_eq!(node.status().flows.remove(0).subscriptions.remove(0).subscribers, 1);
}

/// Hands on lines of a log.
#[derive(Clone)]
struct Lines(Sender<Value>, Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = self.1.lock().expect("nobody panics while writing");
        rest.extend_from_slice(bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let _ = self.0.send(serde_json::from_slice(&line)?);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The next line about a slow request to a flow.
fn slow(lines: &Receiver<Value>, request: &str) -> Value {
    loop {
        let line = lines.recv_timeout(Duration::from_secs(20)).expect("it is logged");
        if line["message"] == "slow request" && line["request"] == request {
            return line;
        }
    }
}

#[test]
fn slow_requests_are_logged_with_the_trace_that_they_came_with() {
    let (to, lines) = unbounded();
    let log = Lines(to, Arc::default());
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || log.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).expect("the only log of this program");
    let node = node(1).slow_requests(Duration::ZERO).start().expect("it starts");
    let any = Some(([127, 0, 0, 1], 0).into());
    let server = node.serve(&Listen { grpc: any, http: any, ..Listen::default() }).expect("it listens");
    let traceparent = format!("00-{TRACE}-{SPAN}-01");

    // In the process, over a session, and over HTTP.
    let remote = Client::connect(&server.grpc().expect("it speaks gRPC").to_string()).expect("it connects");
    for mut client in [node.client(), remote] {
        client.trace(&traceparent);
        client.send("Put", &[put(1, "keep"), put(2, "bad")]).expect("sent");
        let line = slow(&lines, "rows");
        assert_eq!((&line["of"], &line["rows"], &line["refused"]), (&"Put".into(), &2.into(), &1.into()));
        assert_eq!(line["trace_id"], TRACE);
        assert_eq!(line["span_id"].as_str().map(str::len), Some(16));
        assert_ne!(line["span_id"], SPAN, "a span of its own");
        client.trace("");
        client.send("Put", &[put(1, "keep")]).expect("sent");
        assert!(slow(&lines, "rows")["trace_id"].is_null());
    }
    let at = server.http().expect("it speaks HTTP");
    let head = format!("content-type: application/json\r\ntraceparent: {traceparent}\r\n");
    let (answer, _) = http(at, "POST", "/flows/checked/ask/Put", &head, "{\"id\":1,\"kind\":\"keep\"}");
    let line = slow(&lines, "rows");
    assert_eq!(line["trace_id"], TRACE);
    let span = line["span_id"].as_str().expect("a span");
    assert!(answer.contains(&format!("traceresponse: 00-{TRACE}-{span}-01")), "{answer}");
    assert!(line["flow"] == "checked" && line["took_us"].is_u64());

    let head = "content-type: application/json\r\ntraceparent: 00-nonsense-01\r\n";
    let (answer, _) = http(at, "POST", "/flows/checked/ask/Put", head, "{\"id\":1,\"kind\":\"keep\"}");
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("traceresponse"), "{answer}");
    assert!(slow(&lines, "rows")["trace_id"].is_null());
}
