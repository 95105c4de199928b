//! `GET /metrics` is read by Prometheus, and tells what happens.

#![allow(clippy::disallowed_types, reason = "a test is a client")]
#![allow(clippy::panic, reason = "what helps a test panics where it fails")]

#[path = "support/exposition.rs"]
mod exposition;

use std::collections::BTreeSet;

use anabranch::{Client, Flow, Listen, Node, Server};
use exposition::{Metrics, http, scrape};
use serde_json::json;

const JSON: &str = "content-type: application/json\r\n";

fn served() -> (Node, Server) {
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    let node = Node::builder("A\"\\").workers(2).flow(flow).start().expect("it starts");
    let any = Some(([127, 0, 0, 1], 0).into());
    let server = node.serve(&Listen { grpc: any, http: any, ..Listen::default() }).expect("it listens");
    (node, server)
}

#[test]
fn counters_move_with_what_they_count() {
    let (_node, server) = served();
    let (at, grpc) = (server.http().expect("it speaks HTTP"), server.grpc().expect("it speaks gRPC"));
    let before = scrape(at);
    assert_eq!(before.value("anabranch_stream_rows_in_total{flow=\"names\",stream=\"UpdateStream\"}"), 0.0);
    assert_eq!(before.value("anabranch_build_info{version=\"0.1.0\",node=\"A\\\"\\\\\"}"), 1.0);

    let mut client = Client::connect(&grpc.to_string()).expect("it connects");
    let rows: Vec<_> = (0..100).map(|n| json!({ "name": format!("n{n}"), "value": "x" })).collect();
    client.send("UpdateStream", &rows).expect("sent");
    let (head, _) = http(at, "POST", "/flows/names/ask/ReadStream", JSON, "{\"name\":\"n7\"}");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");

    let after = scrape(at);
    let stream =
        |metric: &str, name: &str| after.value(&format!("{metric}{{flow=\"names\",stream=\"{name}\"}}"));
    assert_eq!(stream("anabranch_stream_rows_in_total", "UpdateStream"), 100.0);
    assert_eq!(stream("anabranch_stream_rows_in_total", "ReadStream"), 1.0);
    assert_eq!(stream("anabranch_stream_rows_out_total", "OutputStream"), 1.0);
    assert_eq!(after.value("anabranch_table_rows{flow=\"names\",table=\"QueryTable\"}"), 100.0);
    assert!(after.value("anabranch_table_row_bytes{flow=\"names\",table=\"QueryTable\"}") > 1000.0);
    assert_eq!(after.value("anabranch_sessions"), 1.0);
    assert_eq!(after.value("anabranch_connections{protocol=\"grpc\"}"), 1.0);
    let asked = "route=\"/flows/{flow}/ask/{input}\"";
    assert_eq!(
        after.value(&format!("anabranch_http_requests_total{{{asked},method=\"POST\",status=\"200\"}}")),
        1.0
    );
    assert_eq!(after.value(&format!("anabranch_http_request_seconds_count{{{asked}}}")), 1.0);
    let catalog = "anabranch_grpc_requests_total{method=\"/anabranch.v1.Node/Catalog\",code=\"0\"}";
    assert_eq!(after.value(catalog), 1.0);
    assert!(after.value("process_resident_memory_bytes") > 1e6 && after.value("process_open_fds") > 3.0);
}

#[test]
fn what_clients_make_up_becomes_no_label() {
    let (_node, server) = served();
    let at = server.http().expect("it speaks HTTP");
    for made_up in ["/made/up", "/flows/made_up/ask/up", "/flows/names/ask/made_up"] {
        http(at, "MADEUP", made_up, "", "");
        http(at, "POST", made_up, "", "{}");
    }
    let metrics = scrape(at);
    assert!(metrics.samples.keys().all(|sample| !sample.to_lowercase().contains("made")));
    assert!(metrics.sum("anabranch_http_requests_total{route=\"other\"") >= 2.0);
}

#[test]
fn the_page_names_what_a_node_tells() {
    let (_node, server) = served();
    let told: Vec<String> = scrape(server.http().expect("it speaks HTTP")).families.into_keys().collect();
    let page = include_str!("../METRICS.md");
    let (_, table) = page.split_once("| metric | type |").expect("the table");
    let table = table.split("\n\n").next().unwrap_or_default();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut named: Vec<String> = rows.map(|(name, _)| name.to_owned()).collect();
    named.sort();
    assert_eq!(named, told);
}

#[test]
fn the_reader_of_these_tests_takes_nothing_else() {
    let fine = "# HELP a A.\n# TYPE a counter\na{b=\"c\\\"\"} 1\na{b=\"\"} 2\n";
    assert_eq!(Metrics::parse(fine).map(|metrics| metrics.samples.len()), Ok(2));
    for wrong in [
        "a 1\n",
        "# TYPE a counter\na 1\n",
        "# HELP a A.\n# TYPE a counter\na 1",
        "# HELP a A.\n# TYPE a counter\na 1\na 2\n",
        "# HELP a A.\n# TYPE a counter\nb 1\n",
        "# HELP a A.\n# TYPE a counter\na{b=c} 1\n",
        "# HELP a A.\n# TYPE a counter\na{b=\"\\c\"} 1\n",
        "# HELP a A.\n# TYPE a counter\na one\n",
        "# HELP a A.\n# TYPE a histogram\na 1\n",
        "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 3\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 2\n",
    ] {
        assert!(Metrics::parse(wrong).is_err(), "{wrong}");
    }
}

/// The names of metrics in the expressions of a text. A histogram is asked for by its parts.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
    let metrics = words.filter(|word| {
        let begins = |start: &str| word.strip_prefix(start).is_some_and(|rest| !rest.is_empty());
        begins("anabranch_") || begins("process_")
    });
    let family = |word: &str| {
        let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part));
        part.unwrap_or(word).to_owned()
    };
    metrics.map(family).collect()
}

#[test]
fn dashboard_and_alerts_ask_for_what_a_node_tells() {
    let (_node, server) = served();
    let told = scrape(server.http().expect("it speaks HTTP")).families;
    let dashboard = include_str!("../../examples/observe/dashboard.json");
    let read: serde_json::Value = serde_json::from_str(dashboard).expect("it is JSON");
    let panels = read["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "every panel has a number of its own");
    for (file, text) in
        [("dashboard.json", dashboard), ("alerts.yml", include_str!("../../examples/observe/alerts.yml"))]
    {
        let asked = metrics_in(text);
        assert!(asked.len() > 8, "{file}: {asked:?}");
        let missing: Vec<&String> = asked.iter().filter(|name| !told.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{file} asks for what no node tells: {missing:?}");
    }
}
