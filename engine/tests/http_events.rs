//! Output streams as server-sent events: rows as they come, signs of life, gaps, coming back.

mod http_support;

use std::time::Duration;

use anabranch::Timeouts;
use http_support::{Connection, JSON, NDJSON, SHOP, Served, names, serve, shop};
use serde_json::{Value, json};

/// Subscribes; returns when rows from now on will come.
fn subscribe(served: &Served, path: &str, last: Option<&str>) -> Connection {
    let mut connection = served.connect();
    let last: Vec<_> = last.map(|id| ("last-event-id", id)).into_iter().collect();
    connection.head("GET", path, &last, Some(0));
    let reply = connection.reply_head();
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(connection.event_line().as_deref(), Some(": subscribed"));
    assert_eq!(connection.event_line().as_deref(), Some("retry: 1000"));
    connection
}

/// The next line that begins so, without it.
#[track_caller]
fn field(connection: &mut Connection, name: &str) -> String {
    let line = connection.event_line().expect("a line");
    assert!(line.starts_with(name), "{line}, not {name}");
    line[name.len()..].to_owned()
}

fn tell(served: &Served, texts: std::ops::Range<u32>) {
    let rows: String = texts.map(|n| json!({ "text": n.to_string() }).to_string() + "\n").collect();
    assert_eq!(served.request("POST", "/streams/Tell", &[NDJSON], &rows).status, 200);
}

/// The next row: its id and its text.
#[track_caller]
fn told(connection: &mut Connection) -> (String, String) {
    let id = field(connection, "id: ");
    let row: Value = serde_json::from_str(&field(connection, "data: ")).expect("JSON");
    (id, row["text"].as_str().expect("a text").to_owned())
}

#[test]
fn rows_come_as_events_with_ids_and_refused_rows_with_their_reasons() {
    let served = shop();
    let mut rows = subscribe(&served, "/flows/shop/streams/Told", None);
    let mut errors = subscribe(&served, "/streams/errors", None);
    let first = field(&mut rows, "id: ");
    tell(&served, 0..300);
    let subscription = first.strip_suffix("-0").expect("position 0");
    let mut got: Vec<(String, String)> = (0..300).map(|_| told(&mut rows)).collect();
    assert_eq!(got[299].0, format!("{subscription}-300"));
    got.sort_by_key(|(_, text)| text.parse::<u32>().ok());
    assert!(got.iter().enumerate().all(|(at, (_, text))| *text == at.to_string()));
    served.post("/streams/Put", r#"{"shelf":"s","number":1,"price":-1}"#);
    field(&mut errors, "id: ");
    assert!(field(&mut errors, "id: ").ends_with("-1"));
    let refused: Value = serde_json::from_str(&field(&mut errors, "data: ")).expect("JSON");
    let row = json!({ "shelf": "s", "number": 1, "price": "-1.00", "note": null });
    assert_eq!(
        (&refused["stream"], &refused["row"], &refused["code"]),
        (&json!("Put"), &row, &json!("invalid"))
    );
    assert_eq!(refused["place"]["line"], 19);
}

#[test]
fn a_subscription_without_rows_gets_signs_of_life_and_ends_with_the_node() {
    let timeouts = Timeouts { heartbeat: Duration::from_millis(5), ..Timeouts::default() };
    let served = serve(1, &[("shop.flow", SHOP)], timeouts);
    let mut rows = subscribe(&served, "/streams/Told", None);
    field(&mut rows, "id: ");
    assert_eq!((rows.event_line().as_deref(), rows.event_line().as_deref()), (Some(":"), Some(":")));
    served.node.stop().expect("it stops");
    let end = std::iter::from_fn(|| rows.event_line()).find(|line| line != ":");
    assert_eq!(end.as_deref(), Some("event: end"));
}

#[test]
fn a_subscription_is_told_its_end_when_its_server_stops() {
    let served = shop();
    let mut rows = subscribe(&served, "/streams/Told", None);
    field(&mut rows, "id: ");
    drop(served.server);
    let lines: Vec<String> = std::iter::from_fn(|| rows.event_line()).collect();
    assert_eq!(lines[..2], ["event: end", "data: {}"], "{lines:?}");
}

#[test]
fn a_client_that_comes_back_goes_on_without_loss() {
    let served = shop();
    let mut rows = subscribe(&served, "/streams/Told", None);
    field(&mut rows, "id: ");
    tell(&served, 0..5);
    let seen: Vec<(String, String)> = (0..5).map(|_| told(&mut rows)).collect();
    drop(rows);
    tell(&served, 5..8);
    // Of the rows that came, the last two are taken as not seen.
    let mut again = subscribe(&served, "/streams/Told", Some(&seen[2].0));
    let mut rest: Vec<String> = (0..5).map(|_| told(&mut again).1).collect();
    rest.extend(seen[..3].iter().map(|(_, text)| text.clone()));
    rest.sort();
    assert_eq!(rest, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    served.wait_for_status("subscriptions", 1);
}

#[test]
fn a_client_that_comes_back_too_late_is_told_and_begins_anew() {
    let timeouts = Timeouts { subscription: Duration::from_millis(1), ..Timeouts::default() };
    let served = serve(1, &[("shop.flow", SHOP)], timeouts);
    let mut rows = subscribe(&served, "/streams/Told", None);
    let first = field(&mut rows, "id: ");
    drop(rows);
    served.wait_for_status("subscriptions", 0);
    for id in [first.as_str(), "nonsense", "ff-18446744073709551616"] {
        let mut again = subscribe(&served, "/streams/Told", Some(id));
        assert_eq!(again.event_line().as_deref(), Some("event: missed"));
        assert_ne!(field(&mut again, "id: "), first);
        assert!(field(&mut again, "data: ").starts_with("{\"missed\":null"));
        tell(&served, 7..8);
        assert_eq!(told(&mut again).1, "7");
    }
    served.wait_for_status("subscriptions", 0);
    served.wait_for_status("connections", 1);
}

#[test]
fn a_client_that_does_not_read_slows_nobody_and_is_told_what_it_missed() {
    let served = shop();
    let mut rows = subscribe(&served, "/streams/Told", None);
    field(&mut rows, "id: ");
    // More than the queue of a subscription and the buffers of a socket hold.
    let text = "x".repeat(4000);
    let body = (json!({ "text": text }).to_string() + "\n").repeat(1500);
    let mut connection = served.connect();
    for _ in 0..16 {
        let reply = connection.request("POST", "/streams/Tell", &[NDJSON], body.as_bytes());
        assert_eq!(reply.json()["accepted"], 1500);
    }
    let (mut got, mut missed) = (0, 0);
    while got + missed < 24_000 {
        let line = rows.event_line().expect("it goes on");
        if let Some(count) = line.strip_prefix("data: {\"missed\":") {
            missed += count.trim_end_matches('}').parse::<u64>().expect("a number");
        } else if line.starts_with("data: ") {
            got += 1;
        }
    }
    assert_eq!(got + missed, 24_000);
    assert!(missed > 0, "the queue took all");
}

#[test]
fn names_of_streams_and_their_direction_are_checked() {
    let served = names();
    let unknown = served.get("/streams/OutputStraem");
    assert_eq!(unknown.problem(), (404, "unknown".into()));
    let help = unknown.json()["help"].as_str().unwrap_or_default().to_owned();
    assert!(help.starts_with("did you mean `OutputStream`?") && help.contains("`errors`"), "{help}");
    let input = served.get("/streams/UpdateStream");
    assert_eq!((input.problem(), input.header("allow")), ((405, "wrong_method".into()), Some("POST")));
    let output = served.post("/streams/OutputStream", "{}");
    assert_eq!((output.problem(), output.header("allow")), ((405, "wrong_method".into()), Some("GET, HEAD")));
    let head = served.request("HEAD", "/streams/OutputStream", &[JSON], "");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    served.wait_for_status("subscriptions", 0);
}
