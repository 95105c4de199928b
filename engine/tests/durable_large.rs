//! What one request does in a partition is one record of the journal: a request that does too much is refused in part, and
//! the node goes on.

use anabranch::{Answer, Flow, Node, RefusalCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Bytes of the long texts.
const LONG: usize = 900_000;

/// Short rows that write, or are refused with, long texts.
fn flow() -> Flow {
    let long = "x".repeat(LONG);
    let text = format!(
        "flow large revision 1
         input Put, Hit, Bad: {{ id: int }}
         policy one {{ partitions 1 }}
         table Rows: {{ id: int, text: text, hits: int }} {{ key id  replicate one }}
         on Put as p {{ upsert Rows {{ id: p.id, text: '{long}', hits: 0 }} }}
         on Hit as h {{ update Rows {{ id: h.id, hits += 1 }} }}
         on Bad as b {{
           read Rows where id = b.id as row or null
           require row is null else invalid row.text
           upsert Rows {{ id: b.id, text: '', hits: 0 }}
         }}"
    );
    Flow::parse("large.flow", &text).expect("it compiles")
}

fn start(directory: &TempDir) -> Node {
    let node = Node::builder("A").data(directory.path()).start().expect("it starts");
    node.deploy(flow()).expect("deployed");
    node
}

fn send(node: &Node, input: &str, ids: impl Iterator<Item = u32>) -> Answer {
    let rows: Vec<Value> = ids.map(|id| json!({ "id": id })).collect();
    node.client().send(input, &rows).expect("it is done")
}

fn rows(node: &Node) -> Vec<String> {
    let mut client = node.client();
    let rows = client.query("select id, hits from Rows order by id").expect("it begins");
    rows.map(|row| row.expect("a row").to_string()).collect()
}

fn assert_refused(answer: &Answer, rows: usize, code: RefusalCode, text: &str) {
    assert_eq!(answer.refused.len(), rows);
    let right = |refused: &anabranch::Refused| refused.code == code && refused.text.starts_with(text);
    assert!(answer.refused.iter().all(right));
}

#[test]
fn rows_that_would_make_a_record_too_long_are_refused_and_their_steps_undone() {
    let directory = TempDir::new().expect("a directory");
    let node = start(&directory);
    let put = send(&node, "Put", (0..100).map(|_| 1));
    assert_eq!(put.accepted, (56 << 20) / (LONG + 100));
    assert_refused(&put, 100 - put.accepted, RefusalCode::Unavailable, "R015: ");
    let hit = send(&node, "Hit", (0..100).map(|_| 1));
    assert_refused(&hit, 100 - hit.accepted, RefusalCode::Unavailable, "R015: ");
    let left = format!(r#"{{"id":1,"hits":{}}}"#, hit.accepted);
    assert_eq!(rows(&node), [left], "a refused row has changed nothing");
    assert_eq!(send(&node, "Put", [2].into_iter()).accepted, 1, "the journal goes on");
    let before = rows(&node);
    node.stop().expect("it stops");
    assert_eq!(rows(&start(&directory)), before);
}

#[test]
fn refusals_with_long_texts_do_not_make_a_record_too_long() {
    let directory = TempDir::new().expect("a directory");
    let node = start(&directory);
    send(&node, "Put", [1].into_iter());
    let bad = send(&node, "Bad", (0..100).map(|_| 1).chain([2]));
    assert_eq!(bad.accepted, 1);
    assert_refused(&bad, 100, RefusalCode::Invalid, "xxxx");
    assert_eq!(send(&node, "Hit", [2].into_iter()).accepted, 1, "the journal goes on");
    node.stop().expect("it stops");
    assert_eq!(rows(&start(&directory)), [r#"{"id":1,"hits":0}"#, r#"{"id":2,"hits":1}"#]);
}
