//! Whatever is sent to the HTTP interface, the answer is no fault of the node, and an error says what is wrong as JSON.

mod http_support;

use http_support::{Connection, Served, shop};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Parts of paths: names that are there, near misses, and anything.
fn part() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "flows",
        "shop",
        "streams",
        "ask",
        "tables",
        "Put",
        "Ask",
        "Refuse",
        "Tell",
        "Told",
        "Item",
        "errors",
        "Items",
        "Words",
        "status",
        "ready",
        "live",
        "openapi.json",
        "query",
        "",
        ".",
        "..",
        "%2F",
        "%",
        "%ff",
        "%00",
        "*",
        "{flow}",
    ]);
    prop_oneof![4 => names.prop_map(str::to_owned), 1 => "[A-Za-z0-9_.~!$&'()*+,;=:@-]{0,8}", 1 => "(%[0-9a-f]{2}){1,4}"]
}

fn path() -> impl Strategy<Value = String> {
    let query = prop::sample::select(vec![
        "",
        "?",
        "?limit=2",
        "?limit=x",
        "?after=a&after=1",
        "?after",
        "?%zz=1",
        "?&&=",
    ]);
    let whole = prop::sample::select(vec![
        "/streams/Put",
        "/streams/Tell",
        "/flows/shop/ask/Ask",
        "/ask/Refuse",
        "/tables/Items",
        "/tables/Items/a/1",
        "/",
    ]);
    let parts = prop::collection::vec(part(), 0..6).prop_map(|parts| format!("/{}", parts.join("/")));
    (prop_oneof![whole.prop_map(str::to_owned), parts], query).prop_map(|(path, query)| {
        // A space or `#` would end the address in the request line.
        format!("{path}{query}").replace('#', "%23")
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let rows = prop::sample::select(vec![
        r#"{"shelf":"a","number":1,"price":1}"#,
        r#"{"shelf":"a","number":1,"price":-1}"#,
        r#"{"shelf":"a","number":1}"#,
        r#"{"how":"denied"}"#,
        r#"{"how":"unavailable"}"#,
        r#"{"text":"a"}"#,
        r#"{"text":null}"#,
        "[]",
        "{}",
        "null",
        "[1,",
        "\"",
        "{\"text\":\"\\ud800\"}",
        "{\"number\":1e999}",
        "\u{feff}{}",
    ]);
    let lines = prop::collection::vec(rows, 0..5).prop_map(|rows| rows.join("\n").into_bytes());
    prop_oneof![4 => lines, 1 => prop::collection::vec(any::<u8>(), 0..64), 1 => "[\\[\\]{}:,\"a1\\\\ \n]{0,40}".prop_map(String::into_bytes)]
}

fn kind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "application/json",
        "application/x-ndjson",
        "text/plain",
        "",
        "application/json;;;",
    ])
}

fn method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"])
}

/// Sends it, and says what is wrong with the answer.
fn check(served: &Served, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<(), TestCaseError> {
    if method == "DELETE" && path.starts_with("/flows/shop") {
        // What follows would have nothing to ask.
        return Ok(());
    }
    let mut connection: Connection = served.connect();
    connection.head(method, path, &[("content-type", kind)], Some(body.len()));
    connection.write(body);
    let head = connection.reply_head();
    let status = head.status;
    prop_assert!(status != 500 && (200..600).contains(&status), "{status}");
    if status < 400 {
        return Ok(());
    }
    prop_assert_eq!(head.header("content-type"), Some("application/json"));
    let reply = connection.body_of(head, method == "HEAD");
    if method != "HEAD" {
        let (_, code) = reply.problem();
        prop_assert!(!code.is_empty());
    }
    prop_assert!(status != 405 || reply.header("allow").is_some());
    Ok(())
}

#[test]
fn no_request_is_answered_with_500_and_every_error_is_json() {
    let served = shop();
    let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
    let requests = (method(), path(), kind(), body());
    let run = TestRunner::new(config)
        .run(&requests, |(method, path, kind, body)| check(&served, method, &path, kind, &body));
    assert!(run.is_ok(), "{run:?}");
    served.wait_for_status("unanswered_bytes", 0);
    served.wait_for_status("connections", 1);
}
