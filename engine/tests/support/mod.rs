//! What the tests of whole nodes share: requests as data, and answers as text that can be compared.

#![allow(dead_code, unreachable_pub, reason = "every test uses a part of it")]
#![allow(clippy::panic, reason = "what helps a test panics where it fails")]

use std::path::PathBuf;

use anabranch::testing::TestNode;
use anabranch::{Answer, Client, Event, Flow, Link, Node, Subscription, Ticket};
use serde_json::{Value, json};

/// A request: the client that sends it, the input, the rows.
#[derive(Clone, Debug)]
pub struct Request {
    pub client: usize,
    pub input: &'static str,
    pub rows: Vec<Value>,
}

/// What can be seen of a node after requests.
#[derive(Debug, PartialEq)]
pub struct Seen {
    /// One per request.
    pub answers: Vec<String>,
    /// The rows of each table in key order.
    pub tables: Vec<Vec<String>>,
    /// What was published, sorted.
    pub published: Vec<String>,
}

/// A flow file of the repository.
pub fn flow(name: &str) -> Flow {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../flows").join(name);
    let text = text_of(&path);
    Flow::parse(name, &text).unwrap_or_else(|error| panic!("{error}"))
}

#[expect(clippy::disallowed_methods, reason = "a test reads a file of the repository")]
fn text_of(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A node with so many workers, on threads.
pub fn node(workers: u32, flow: Flow) -> Node {
    Node::builder("A").workers(workers).seed(1).flow(flow).start().expect("a node")
}

/// A node in this thread.
pub fn test_node(flow: Flow) -> TestNode {
    TestNode::start("A", 1, vec![flow]).expect("a node")
}

/// Columns that the clock writes: threads run on another one than a test.
pub type ClockColumns = &'static [&'static str];

/// Sends everything without waiting in between, then collects answers and tables.
pub fn run<L: Link>(
    clients: &mut [Client<L>],
    requests: &[Request],
    tables: &[&str],
    clock: ClockColumns,
) -> (Vec<String>, Vec<Vec<String>>) {
    let tickets: Vec<(usize, Ticket)> = requests
        .iter()
        .map(|request| {
            let client = &mut clients[request.client];
            let mut batch = client.batch(request.input).expect("an input");
            request.rows.iter().for_each(|row| batch.push(row).expect("a row"));
            (request.client, client.submit(batch).expect("a node that runs"))
        })
        .collect();
    // Collected from the last to the first: answers wait for who asks for them.
    let mut answers: Vec<String> = tickets
        .into_iter()
        .rev()
        .map(|(client, ticket)| answer_text(&clients[client].wait(ticket).expect("an answer"), clock))
        .collect();
    answers.reverse();
    (answers, tables.iter().map(|table| table_text(&mut clients[0], table, clock)).collect())
}

/// An answer as text.
pub fn answer_text(answer: &Answer, clock: ClockColumns) -> String {
    let mut text = format!("accepted {}", answer.accepted);
    for refused in &answer.refused {
        text.push_str(&format!("; {} {refused}", refused.request_row));
    }
    for reply in &answer.replies {
        text.push_str(&format!("; {} {} {}", reply.request_row, reply.stream, row_text(&reply.row, clock)));
    }
    text
}

/// The rows of a table.
pub fn table_text<L: Link>(client: &mut Client<L>, table: &str, clock: ClockColumns) -> Vec<String> {
    client.scan(table).expect("a table").map(|row| row_text(&row.expect("a row"), clock)).collect()
}

/// Every row that subscriptions brought, sorted: rows of different partitions have no order. `next` is
/// `Subscription::next` for a node that has stopped, or `Subscription::try_next`.
pub fn published(
    subscriptions: Vec<Subscription>,
    next: impl Fn(&mut Subscription) -> Option<Event>,
    clock: ClockColumns,
) -> Vec<String> {
    let mut rows = Vec::new();
    for mut subscription in subscriptions {
        while let Some(event) = next(&mut subscription) {
            rows.push(match event {
                Event::Row(row) => row_text(&row, clock),
                Event::Refused(event) => format!("{} {} {}", event.stream, event.row, event.refused),
                Event::Missed(count) => panic!("{count} rows were missed"),
                Event::Gone => panic!("the flow is gone"),
            });
        }
    }
    rows.sort();
    rows
}

/// A row as JSON, with the columns that the clock wrote as null.
fn row_text(row: &anabranch::Row, clock: ClockColumns) -> String {
    if clock.is_empty() {
        return row.to_string();
    }
    let mut object = row.to_json().expect("a row is an object");
    for column in clock {
        if let Some(value) = object.get_mut(column) {
            *value = json!(null);
        }
    }
    object.to_string()
}
