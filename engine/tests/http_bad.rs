//! What clients over HTTP do wrong: each gets its answer, and nothing of it stays behind.

mod http_support;

use std::time::Duration;

use anabranch::Timeouts;
use http_support::{Connection, JSON, NDJSON, Served, names, serve};
use serde_json::json;

const UPDATE: &str = "/streams/UpdateStream";

/// A node that does not wait for long.
fn impatient() -> Served {
    let short = Duration::from_millis(50);
    serve(
        1,
        &[("names.flow", anabranch::doc::NAMES)],
        Timeouts { head: short, body: short, ..Timeouts::default() },
    )
}

/// The node has let go of everything but the connection that asks it.
fn nothing_is_left(served: &Served) {
    served.wait_for_status("connections", 1);
    served.wait_for_status("unanswered_bytes", 0);
    served.wait_for_status("subscriptions", 0);
}

/// Reads to the end of the connection.
fn rest(connection: &mut Connection) -> Vec<String> {
    std::iter::from_fn(|| connection.line()).collect()
}

#[test]
fn garbage_is_answered_with_400_and_the_end_of_the_connection() {
    let served = names();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"hello world\r\n\r\n",
    ] {
        let mut connection = served.connect();
        connection.write(garbage);
        connection.shut();
        let lines = rest(&mut connection);
        assert!(lines.is_empty() || lines[0] == "HTTP/1.1 400 Bad Request", "{garbage:?}: {lines:?}");
    }
    nothing_is_left(&served);
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let served = impatient();
    for head in ["", "PRI * HT", "GET /live HT", "GET /live HTTP/1.1\r\nhost: x\r\na"] {
        let mut connection = served.connect();
        connection.write(head.as_bytes());
        rest(&mut connection);
    }
    nothing_is_left(&served);
}

#[test]
fn an_idle_connection_is_kept_and_then_closed() {
    let served = impatient();
    let mut connection = served.connect();
    for _ in 0..3 {
        assert_eq!(connection.request("GET", "/live", &[], b"").status, 200);
    }
    assert_eq!(rest(&mut connection), Vec::<String>::new());
    nothing_is_left(&served);
}

#[test]
fn a_body_that_does_not_come_on_is_answered_with_408() {
    let served = impatient();
    for (path, kind, sent) in [
        (UPDATE, NDJSON, "{\"name\":\"a\",\"value\":\"1\"}\n{\"na"),
        (UPDATE, JSON, "{\"name\":"),
        ("/ask/ReadStream", JSON, ""),
    ] {
        let mut connection = served.connect();
        connection.head("POST", path, &[kind], Some(1000));
        connection.write(sent.as_bytes());
        let reply = connection.reply(false);
        assert_eq!(reply.problem(), (408, "slow".into()), "{sent}");
        if kind == NDJSON {
            assert_eq!(reply.json()["accepted"], 1);
        }
    }
    nothing_is_left(&served);
}

#[test]
fn a_client_that_is_gone_in_mid_request_leaves_nothing_behind() {
    let served = names();
    for (path, kind) in [(UPDATE, NDJSON), (UPDATE, JSON), ("/ask/ReadStream", JSON)] {
        let mut connection = served.connect();
        connection.head("POST", path, &[kind], None);
        connection.chunk(b"{\"name\":\"a\",\"value\":\"1\"}\n");
        connection.chunk(b"{\"name\":\"b");
    }
    let mut connection = served.connect();
    connection.head("GET", "/streams/OutputStream", &[], Some(0));
    drop(connection);
    served.wait_for_status("connections", 1);
    served.wait_for_status("unanswered_bytes", 0);
    assert_eq!(served.get("/tables/QueryTable/b").status, 404);
}

#[test]
fn a_body_of_another_content_type_is_answered_with_415() {
    let served = names();
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"]
    {
        let reply = served.request("POST", UPDATE, &[("content-type", kind)], "{}");
        assert_eq!(reply.problem(), (415, "wrong_content_type".into()), "{kind}");
    }
    assert_eq!(served.request("POST", UPDATE, &[], "{}").problem(), (415, "wrong_content_type".into()));
    let kind = ("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(served.request("POST", UPDATE, &[kind], r#"{"name":"a","value":"1"}"#).status, 200);
}

#[test]
fn a_compressed_body_is_answered_with_415() {
    let served = names();
    let gzip =
        |path: &str, method: &str| served.request(method, path, &[JSON, ("content-encoding", "gzip")], "x");
    for (method, path) in
        [("POST", UPDATE), ("POST", "/ask/ReadStream"), ("POST", "/query"), ("PUT", "/flows/a")]
    {
        assert_eq!(gzip(path, method).problem(), (415, "wrong_content_encoding".into()), "{path}");
    }
    let same = [JSON, ("content-encoding", "identity")];
    assert_eq!(served.request("POST", UPDATE, &same, r#"{"name":"a","value":"1"}"#).status, 200);
}

#[test]
fn parameters_that_an_address_does_not_have_are_refused() {
    let served = names();
    for path in
        ["/live?x=y", "/status?x", "/tables/QueryTable/a?limit=1", "/flows?limit=1", "/tables/QueryTable?x=1"]
    {
        assert_eq!(served.get(path).problem(), (400, "invalid".into()), "{path}");
    }
    assert_eq!(served.get("/live?").status, 200);
    let twice = served.get("/tables/QueryTable?limit=1&limit=2").json();
    assert_eq!(twice["message"], "`limit` is given 2 times");
}

#[test]
fn advice_fits_what_was_asked() {
    let served = names();
    for (method, path, help) in [
        ("POST", UPDATE, "ndjson"),
        ("POST", "/query", "64 KiB"),
        ("PUT", "/flows/a", "4 MiB"),
        ("POST", "/ask/ReadStream", "one row"),
    ] {
        let mut connection = served.connect();
        connection.head(method, path, &[JSON], Some(9 << 20));
        let reply = connection.reply(false);
        assert_eq!(reply.problem().0, 413, "{path}");
        assert!(reply.json()["help"].as_str().is_some_and(|text| text.contains(help)), "{reply:?}");
    }
    // Nothing can be done there with an output.
    let ask = served.post("/ask/OutputStream", "{}");
    assert_eq!((ask.problem(), ask.header("allow")), ((404, "unknown".into()), None));
}

#[test]
fn what_is_too_large_is_answered_before_it_is_held() {
    let served = names();
    let large = 9 << 20;
    let mut connection = served.connect();
    connection.head("POST", UPDATE, &[JSON], Some(1 << 40));
    assert_eq!(connection.reply(false).problem(), (413, "too_large".into()));
    for (kind, line) in [(JSON, None), (NDJSON, Some(2))] {
        let mut connection = served.connect();
        connection.head("POST", UPDATE, &[kind], None);
        connection.chunk(b"{\"name\":\"a\",\"value\":\"1\"}\n");
        for _ in 0..large >> 16 {
            connection.chunk(&[b' '; 1 << 16]);
        }
        connection.chunk(b"");
        let reply = connection.reply(false);
        assert_eq!(reply.problem(), (413, "too_large".into()));
        assert_eq!(reply.json()["line"].as_u64(), line);
    }
    let long = format!("/tables/QueryTable/{}", "a".repeat(20_000));
    assert_eq!(served.get(&long).problem(), (414, "too_long".into()));
    assert_eq!(
        served.get(&format!("/tables/QueryTable/{}", "a".repeat(5000))).problem(),
        (400, "invalid".into())
    );
    let mut connection = served.connect();
    connection.head("GET", "/live", &[("x-large", &"a".repeat(100_000))], Some(0));
    assert_eq!(connection.line().as_deref(), Some("HTTP/1.1 431 Request Header Fields Too Large"));
    drop(connection);
    nothing_is_left(&served);
}

#[test]
fn what_is_no_row_is_answered_with_400_that_says_why() {
    let served = names();
    for (body, message) in [
        ("{\"name\":\"a\",\"value\":1}", "column `value`: `1` is not text"),
        (
            "{\"name\":\"a\"}",
            "column `value`: the column is missing, and is neither nullable nor has a default",
        ),
        ("{\"name\":\"a\",\"value\":null}", "column `value`: null, and the column is not nullable"),
        ("{\"name\":\"a\",\"name\":\"b\",\"value\":\"\"}", "column `name`: the column is given twice"),
        ("[1]", "`1` is no JSON object"),
        ("\"text\"", "`\"text\"` is no JSON object"),
        ("{\"name\":", "the body is no JSON: EOF while parsing a value at line 1 column 8"),
    ] {
        for path in [UPDATE, "/ask/UpdateStream"] {
            let reply = served.post(path, body);
            assert_eq!(reply.problem(), (400, "invalid".into()), "{body}");
            assert_eq!(reply.json()["message"], message, "{body}");
        }
    }
    for kind in [JSON, NDJSON] {
        let mut connection = served.connect();
        let reply = connection.request("POST", UPDATE, &[kind], b"{\"name\":\"\xff\",\"value\":\"1\"}");
        assert_eq!(reply.problem(), (400, "invalid".into()));
    }
    let deep = format!("{{\"name\":{}", "[".repeat(100_000));
    assert_eq!(served.post(UPDATE, &deep).problem(), (400, "invalid".into()));
    assert_eq!(served.get("/tables/QueryTable").body, "");
}

#[test]
fn names_and_methods_that_are_not_there_are_told_what_is() {
    let served = names();
    for (path, help) in [
        ("/flows/nmaes/streams/UpdateStream", "did you mean `names`?"),
        ("/flows/names/tables/QueryTabel", "did you mean `QueryTable`?"),
        ("/flows/names/tables/x/y", "there is `QueryTable`"),
        ("/nothing", "`GET /` tells"),
        ("/flows/names/nothing", "`GET /` tells"),
    ] {
        let reply = served.get(path);
        assert_eq!(reply.problem(), (404, "unknown".into()), "{path}");
        let told = reply.json()["help"].as_str().unwrap_or_default().to_owned();
        assert!(told.starts_with(help), "{path}: {told}");
    }
    let reply = served.post("/streams/UpdateStraem", "{}");
    assert!(
        reply.json()["help"].as_str().is_some_and(|help| help.starts_with("did you mean `UpdateStream`?"))
    );
    for (method, path, allow) in [
        ("DELETE", "/live", "GET,HEAD"),
        ("GET", "/ask/ReadStream", "POST"),
        ("PUT", UPDATE, "GET,HEAD,POST"),
        ("POST", "/tables/QueryTable", "GET,HEAD"),
    ] {
        let reply = served.request(method, path, &[JSON], "");
        assert_eq!(reply.problem(), (405, "wrong_method".into()), "{method} {path}");
        let mut methods: Vec<&str> =
            reply.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allow, "{method} {path}");
    }
}

#[test]
fn an_answer_is_read_even_by_a_client_that_is_still_sending() {
    let served = names();
    let mut connection = served.connect();
    let body = vec![b' '; 4 << 20];
    connection.head("POST", "/streams/None", &[NDJSON], Some(body.len()));
    connection.write(&body);
    assert_eq!(connection.reply(false).problem(), (404, "unknown".into()));
    let reply = connection.request("GET", "/live", &[], b"");
    assert_eq!(reply.status, 200, "the connection goes on");
}

#[test]
fn many_connections_are_served_and_leave_nothing_behind() {
    let served = names();
    let mut all: Vec<Connection> = (0..500).map(|_| served.connect()).collect();
    for (at, connection) in all.iter_mut().enumerate() {
        let row = json!({ "name": format!("n{at}"), "value": "1" }).to_string();
        assert_eq!(connection.request("POST", UPDATE, &[JSON], row.as_bytes()).status, 200);
    }
    served.wait_for_status("connections", 501);
    drop(all);
    nothing_is_left(&served);
}

#[test]
fn a_request_of_a_trace_is_answered_with_a_span_of_it() {
    let served = names();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for path in ["/live", "/nothing"] {
        let answer = served.request("GET", path, &[("traceparent", trace)], "");
        let span = answer.header("traceresponse").expect("it is given");
        assert!(span.starts_with(&trace[..36]) && span.ends_with("-01") && span != trace, "{span}");
    }
    let answer = served.request("GET", "/live", &[("traceparent", "nonsense")], "");
    assert_eq!(answer.header("traceresponse"), None);
}
