//! Order and answers: what a client sends is applied in the order in which it sends it wherever it touches the same
//! partition, every request is answered, and a batch is answered per row.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]

mod support;

use anabranch::{Client, Event, Flow, Node, RefusalCode, Ticket};
use serde_json::{Value, json};
use support::{answer_text, flow, node};

/// Counts how often each name came, and says so.
const COUNTERS: &str = "
flow counters revision 1

input  Add: { name: text, by: int }
input  Get: { name: text }
output Count: { name: text, count: int }
output Added: { name: text, by: int }

table Counters: { name: text, count: int } { key name }

on Add as a {
  require a.by <> 0 else invalid 'nothing to add'
  upsert Counters { name: a.name, count += a.by }
  emit   Added a
}

on Get as g {
  read  Counters where name = g.name as c or null
  reply Count { name: g.name, count: coalesce(c.count, 0) }
}
";

fn counters(workers: u32) -> Node {
    node(workers, Flow::parse("counters.flow", COUNTERS).unwrap_or_else(|error| panic!("{error}")))
}

fn submit(client: &mut Client, input: &str, rows: &[Value]) -> Ticket {
    let mut batch = client.batch(input).expect("an input");
    rows.iter().for_each(|row| batch.push(row).expect("a row"));
    client.submit(batch).expect("a node that runs")
}

/// The counts in the replies to a request.
fn counts(client: &mut Client, ticket: Ticket) -> Vec<i64> {
    let answer = client.wait(ticket).expect("an answer");
    let count = |reply: &anabranch::Reply| match reply.row.get("count") {
        Some(anabranch::Value::Int(count)) => count,
        other => panic!("{other:?} is no count"),
    };
    answer.replies.iter().map(count).collect()
}

#[test]
fn a_read_sees_every_update_that_its_client_sent_before_it() {
    let node = node(4, flow("names.flow"));
    let mut clients: Vec<Client> = (0..3).map(|_| node.client()).collect();
    // Names of each client lie in many partitions, so every request is split over all workers.
    let names: Vec<Vec<String>> = (0..3).map(|c| (0..16).map(|n| format!("{c}/{n}")).collect()).collect();
    let mut reads = Vec::new();
    for round in 0..100 {
        for (at, client) in clients.iter_mut().enumerate() {
            let update = |name: &String| json!({ "name": name, "value": round.to_string() });
            let updates: Vec<Value> = names[at].iter().map(update).collect();
            let read: Vec<Value> = names[at].iter().map(|name| json!({ "name": name })).collect();
            submit(client, "UpdateStream", &updates);
            reads.push((at, round, submit(client, "ReadStream", &read)));
            if round % 10 == 9 {
                submit(client, "DeleteStream", &read);
            }
        }
    }
    for (at, round, ticket) in reads {
        let answer = clients[at].wait(ticket).expect("an answer");
        let rows: Vec<String> = answer.replies.iter().map(|reply| reply.row.to_string()).collect();
        let row =
            |name: &String| format!(r#"{{"sourcenode":"A","name":"{name}","value":"{round}","found":true}}"#);
        assert_eq!(rows, names[at].iter().map(row).collect::<Vec<_>>(), "client {at}, round {round}");
    }
    assert_eq!(clients[0].scan("QueryTable").expect("a table").count(), 0, "the last round deleted all");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "clients on threads of their own, as hosts have them")]
fn clients_on_threads_lose_no_change_and_never_read_backwards() {
    const ROUNDS: usize = 200;
    let node = counters(4);
    let clients: Vec<Client> = (0..4).map(|_| node.client()).collect();
    std::thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(move || {
                let names: Vec<Value> = (0..8).map(|name| json!({ "name": name.to_string() })).collect();
                let adds: Vec<Value> =
                    (0..8).map(|name| json!({ "name": name.to_string(), "by": 1 })).collect();
                let mut last = vec![0; names.len()];
                let mut gets = Vec::new();
                for _ in 0..ROUNDS {
                    submit(&mut client, "Add", &adds);
                    gets.push(submit(&mut client, "Get", &names));
                }
                for (round, get) in gets.into_iter().enumerate() {
                    let now = counts(&mut client, get);
                    assert!(now.iter().zip(&last).all(|(now, last)| now > last), "{last:?}, then {now:?}");
                    assert!(now.iter().all(|&now| now > round as i64), "{now:?} after {round} own rounds");
                    last = now;
                }
            });
        }
    });
    let mut client = node.client();
    let rows: Vec<String> =
        client.scan("Counters").expect("a table").map(|row| row.expect("a row").to_string()).collect();
    let row = |name| format!(r#"{{"name":"{name}","count":{}}}"#, 4 * ROUNDS);
    assert_eq!(rows, (0..8).map(row).collect::<Vec<_>>());
}

#[test]
fn every_request_is_answered_once() {
    let node = counters(2);
    let mut client = node.client();
    let mut sent = Vec::new();
    for at in 0..1000_usize {
        // Requests without rows, of one row, and of many.
        let rows: Vec<Value> = (0..at % 7).map(|row| json!({ "name": format!("{row}"), "by": 1 })).collect();
        sent.push((submit(&mut client, "Add", &rows), rows.len()));
    }
    let mut answered = Vec::new();
    while let Some((ticket, answer)) = client.next().expect("a node that runs") {
        assert!(answer.refused.is_empty() && answer.replies.is_empty(), "{answer:?}");
        answered.push((ticket, answer.accepted));
    }
    assert_eq!(client.in_flight(), 0);
    answered.sort();
    assert_eq!(answered, sent);
    let again = client.wait(sent[0].0);
    assert!(matches!(again, Err(anabranch::Error::NoSuchTicket)), "{again:?}");
}

#[test]
fn a_ticket_of_another_client_collects_nothing() {
    let node = counters(1);
    let (mut one, mut other) = (node.client(), node.client());
    let ticket = submit(&mut one, "Add", &[json!({ "name": "a", "by": 1 })]);
    let own = submit(&mut other, "Add", &[json!({ "name": "b", "by": 0 })]);
    let wrong = other.wait(ticket);
    assert!(matches!(wrong, Err(anabranch::Error::NoSuchTicket)), "{wrong:?}");
    assert_eq!(other.wait(own).expect("its own answer").refused.len(), 1);
    assert_eq!(one.wait(ticket).expect("its own answer").accepted, 1);
}

#[test]
fn batches_that_are_no_rows_of_the_stream_are_not_sent() {
    let (node, elsewhere) = (counters(1), counters(1));
    let mut client = node.client();
    let foreign = elsewhere.client().batch("Add").expect("declared");
    let refused = client.submit(foreign);
    assert!(matches!(refused, Err(anabranch::Error::OtherNode)), "{refused:?}");

    let mut by_hand = client.batch("Add").expect("declared");
    let mut other = client.batch("Get").expect("declared");
    other.push(&json!({ "name": "a" })).expect("it fits");
    *by_hand.packed() = other.packed().clone();
    let refused = client.submit(by_hand);
    assert!(matches!(refused, Err(anabranch::Error::Packed(_))), "{refused:?}");
    assert_eq!(client.in_flight(), 0);
    assert_eq!(client.send("Add", &[json!({ "name": "a", "by": 1 })]).expect("an answer").accepted, 1);
}

#[test]
fn a_batch_is_refused_per_row() {
    for workers in [1, 2, 4] {
        let node = counters(workers);
        let mut client = node.client();
        let rows: Vec<Value> =
            (0..300).map(|row| json!({ "name": format!("n{row}"), "by": row % 3 })).collect();
        let answer = client.send("Add", &rows).expect("an answer");
        assert_eq!(answer.accepted, 200, "{workers} workers");
        let refused: Vec<usize> = answer.refused.iter().map(|refused| refused.request_row).collect();
        assert_eq!(refused, (0..300).step_by(3).collect::<Vec<_>>(), "{workers} workers");
        assert!(answer.refused.iter().all(|refused| refused.code == RefusalCode::Invalid));
        assert_eq!(answer.refused[0].to_string(), "invalid: nothing to add (counters.flow:12:3)");
        assert_eq!(client.scan("Counters").expect("a table").count(), 200, "{workers} workers");
    }
}

#[test]
fn replies_come_in_the_order_of_the_rows_they_answer() {
    for workers in [1, 4] {
        let node = counters(workers);
        let mut client = node.client();
        // The same names again and again: a reply sees the rows before it in its own batch.
        let rows: Vec<Value> =
            (0..50).map(|row| json!({ "name": format!("n{}", row % 5), "by": 1 })).collect();
        client.send("Add", &rows).expect("an answer");
        let gets: Vec<Value> = (0..50).map(|row| json!({ "name": format!("n{}", row % 7) })).collect();
        let answer = client.send("Get", &gets).expect("an answer");
        let reply = |row| {
            let (name, count) = (row % 7, if row % 7 < 5 { 10 } else { 0 });
            format!(r#"; {row} Count {{"name":"n{name}","count":{count}}}"#)
        };
        let replies: String = (0..50).map(reply).collect();
        assert_eq!(answer_text(&answer, &[]), format!("accepted 50{replies}"), "{workers} workers");
    }
}

#[test]
fn a_subscription_brings_everything_that_was_sent_after_it() {
    for round in 0..20 {
        let node = counters(4);
        let (mut added, mut errors) =
            (node.subscribe("Added").expect("an output"), node.subscribe("errors").expect("it"));
        let mut client = node.client();
        let rows: Vec<Value> =
            (0..64).map(|row| json!({ "name": format!("n{row}"), "by": row % 4 })).collect();
        assert_eq!(client.send("Add", &rows).expect("an answer").accepted, 48);
        // What was answered is published, if need be while the node stops.
        node.stop().expect("no worker panicked");
        let rows = std::iter::from_fn(|| added.next()).filter(|event| matches!(event, Event::Row(_))).count();
        let refused =
            std::iter::from_fn(|| errors.next()).filter(|event| matches!(event, Event::Refused(_))).count();
        assert_eq!((rows, refused), (48, 16), "round {round}");
    }
}

#[test]
fn rows_of_one_key_are_published_in_their_order() {
    let node = counters(4);
    let mut added = node.subscribe("Added").expect("an output");
    let mut client = node.client();
    for by in 1..=500 {
        submit(&mut client, "Add", &[json!({ "name": "n", "by": by })]);
    }
    for expected in 1..=500 {
        let Some(Event::Row(row)) = added.next() else { panic!("row {expected} is missing") };
        assert_eq!(row.get("by"), Some(anabranch::Value::Int(expected)));
    }
}

#[test]
fn refused_rows_of_several_flows_are_asked_for_by_flow() {
    let parse = |text: &str| Flow::parse("a.flow", text).unwrap_or_else(|error| panic!("{error}"));
    let other = parse("flow other revision 1 input Other: { name: text } on Other as o { }");
    let node = Node::builder("A").flow(parse(COUNTERS)).flow(other).start().expect("two flows");
    let told = node.subscribe("errors").map(drop).expect_err("of which flow?").to_string();
    assert_eq!(told, "`errors` is in several flows; write `counters.errors` or `other.errors`");
    node.subscribe("other.errors").expect("that one");
}
