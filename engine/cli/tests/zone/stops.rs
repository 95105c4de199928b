//! Nodes that stand still: they are not dead, and do not know what was decided meanwhile.

use serde_json::json;

use crate::harness::Zone;
use crate::scripts::NAMES;

#[test]
fn a_node_that_stood_still_answers_nothing_that_is_no_longer_so() {
    let zone = Zone::of(NAMES, &["A", "B", "W"]);
    let rows = |value: &str| {
        let rows: Vec<_> = (0..100).map(|n| json!({ "name": format!("n{n}"), "value": value })).collect();
        rows
    };
    zone.client(&["A"]).send("UpdateStream", &rows("old")).expect("both are there");
    let mut reader = zone.client(&["A"]);
    zone.stop("A");
    let answer = zone.client(&["B"]).send("UpdateStream", &rows("new")).expect("B takes over");
    assert_eq!(answer.accepted, 100);
    zone.go_on("A");
    // A client of A, connected all the while: either it waits, or sees what is.
    for n in 0..100 {
        let row = reader.get("QueryTable", [format!("n{n}")]).expect("it is read").expect("it is there");
        let text = row.to_string();
        assert!(text.contains(r#""value":"new""#), "A serves what it no longer owns: {text}");
    }
}
