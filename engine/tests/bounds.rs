//! What a node holds in memory for others is bounded in bytes, not only in rows.

use anabranch::testing::TestNode;
use anabranch::{Event, Flow, Node, RefusalCode, SUBSCRIPTION_BYTES_MAX};
use serde_json::json;

/// Texts are kept, replied five times, emitted.
const FLOW: &str = "
    flow long revision 1
    input  Keep: { id: int, text: text }
    input  Tell: { id: int, text: text }
    input  Cry:  { id: int, text: text }
    output Told, Cried: { id: int, text: text }
    table  Texts: { id: int, text: text } { key id }
    on Keep as k { upsert Texts { ..k } }
    on Tell as t {
      upsert Texts { ..t }
      reply Told { ..t }  reply Told { ..t }  reply Told { ..t }  reply Told { ..t }  reply Told { ..t }
    }
    on Cry as c { emit Cried { ..c } }";

fn flow() -> Flow {
    Flow::parse("long.flow", FLOW).expect("it compiles")
}

#[test]
fn a_scan_of_long_rows_brings_all_of_them_in_pages_of_bounded_size() {
    for workers in [1, 3] {
        let node = Node::builder("A").workers(workers).flow(flow()).start().unwrap();
        let mut client = node.client();
        // A page ends after a mebibyte, so each holds a few of these, and those of three workers end at other keys.
        let text = |id: i64| "x".repeat(100_000 + 1_000 * (id as usize % 7));
        for id in 0..80 {
            client.send("Keep", &[json!({ "id": id, "text": text(id) })]).unwrap();
        }
        let ids: Vec<_> =
            client.scan("Texts").unwrap().map(|row| row.unwrap().get("id").unwrap().into_owned()).collect();
        assert_eq!(ids, (0..80).map(anabranch::Value::from).collect::<Vec<_>>(), "{workers} workers");
    }
}

#[test]
fn rows_that_would_make_an_answer_too_large_are_refused_and_their_steps_undone() {
    let node = TestNode::start("A", 1, vec![flow()]).unwrap();
    let mut client = node.client();
    // Five MiB of replies a row, and a short row at the end: the thirteenth goes beyond 64 MiB.
    let text = "x".repeat(1 << 20);
    let mut rows: Vec<_> = (0..15).map(|id| json!({ "id": id, "text": text })).collect();
    rows.push(json!({ "id": 15, "text": "short" }));
    let answer = client.send("Tell", &rows).unwrap();
    assert_eq!((answer.accepted, answer.replies.len()), (13, 65));
    assert!(
        answer.refused.iter().all(|refused| {
            refused.code == RefusalCode::Unavailable && refused.text.starts_with("R013: ")
        })
    );
    assert_eq!(answer.refused.iter().map(|refused| refused.request_row).collect::<Vec<_>>(), [12, 13, 14]);
    let ids: Vec<_> =
        client.scan("Texts").unwrap().map(|row| row.unwrap().get("id").unwrap().into_owned()).collect();
    let kept: Vec<_> = (0..12).chain([15]).map(anabranch::Value::from).collect();
    assert_eq!(ids, kept, "a refused row has written nothing");
}

#[test]
fn a_subscriber_of_long_rows_is_held_to_bytes() {
    let node = Node::builder("A").flow(flow()).start().unwrap();
    let mut cried = node.subscribe("Cried").unwrap();
    let mut client = node.client();
    let text = "x".repeat(1 << 20);
    let rows = SUBSCRIPTION_BYTES_MAX / (1 << 20) + 10;
    for id in 0..rows {
        client.send("Cry", &[json!({ "id": id, "text": text })]).unwrap();
    }
    let (mut came, mut missed) = (0, 0);
    while let Some(event) = cried.try_next() {
        match event {
            Event::Row(_) => came += 1,
            Event::Missed(rows) => missed += rows as usize,
            Event::Refused(_) | Event::Gone => unreachable!("an output that stays, without refusals"),
        }
    }
    assert_eq!(came + missed, rows);
    assert!(missed >= 10 && came > rows / 2, "{came} came, {missed} were missed");
    // What was taken makes room.
    client.send("Cry", &[json!({ "id": 0, "text": text })]).unwrap();
    assert!(matches!(cried.try_next(), Some(Event::Row(_))));
}

#[test]
fn a_node_is_called_by_a_word() {
    for name in ["", "two words", "line\nbreak", "\u{1b}[31m", &"n".repeat(256)] {
        let refused = Node::builder(name).flow(flow()).start().expect_err("no such name").to_string();
        assert!(
            refused.contains("its name is a word of at most 255 bytes") && refused.len() < 500,
            "{refused}"
        );
        assert!(!refused.contains('\u{1b}'), "{refused:?}");
    }
    assert!(Node::builder("nörd-1.example").flow(flow()).start().is_ok());
}
