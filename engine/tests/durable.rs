//! What a node with a data directory has acknowledged is there when it starts again.

use std::path::Path;

use anabranch::{DirectoryDisk, Error, Flow, Node};
use anabranch_log::{Config, Kind, LogNumber, Position, Reader, Record};
use serde_json::json;
use tempfile::TempDir;

fn counts(revision: u32, columns: &str) -> Flow {
    let text = format!(
        "flow counts revision {revision}
         input  Hit, Forget: {{ page: text }}
         output Told: {{ page: text, n: int }}
         table  Hits: {{ page: text, n: int{columns} }} {{ key page }}
         on Hit as h {{
           require h.page <> '' else invalid 'a page has a name'
           upsert Hits {{ page: h.page, n += 1 }}
           read Hits where page = h.page as row or null
           reply Told {{ page: h.page, n: coalesce(row.n, 0) }}
         }}
         on Forget as f {{ delete Hits where page = f.page }}"
    );
    Flow::parse("counts.flow", &text).expect("it compiles")
}

fn node(directory: &Path, workers: u32) -> Node {
    Node::builder("A").workers(workers).data(directory).start().expect("it starts")
}

fn rows(node: &Node) -> Vec<String> {
    let mut client = node.client();
    client.scan("Hits").expect("it begins").map(|row| row.expect("a row").to_string()).collect()
}

fn hit(node: &Node, pages: impl Iterator<Item = u32>) {
    let pages: Vec<_> = pages.map(|page| json!({ "page": format!("p{page}") })).collect();
    let mut client = node.client();
    for some in pages.chunks(7) {
        assert_eq!(client.send("Hit", some).expect("sent").accepted, some.len());
    }
}

#[test]
fn rows_and_flows_come_back_with_any_number_of_workers() {
    let directory = TempDir::new().expect("a directory");
    let first = node(directory.path(), 2);
    first.deploy(counts(1, "")).expect("deployed");
    hit(&first, (0..500).map(|n| n % 300));
    first.client().send("Forget", &[json!({ "page": "p7" })]).expect("sent");
    assert!(matches!(first.client().ask("Hit", &json!({ "page": "" })), Err(Error::Refused(_))));
    let before = rows(&first);
    assert_eq!(before.len(), 299);
    drop(first);
    for workers in [1, 4, 2] {
        let again = node(directory.path(), workers);
        assert_eq!(again.flows()[0].revision(), 1);
        assert_eq!(rows(&again), before, "{workers} workers");
    }
    let last = node(directory.path(), 1);
    let told = last.client().ask("Hit", &json!({ "page": "p1" })).expect("asked");
    assert_eq!(told[0].row.to_string(), r#"{"page":"p1","n":3}"#, "it goes on from what there was");
}

#[test]
fn newer_revisions_and_dropped_flows_come_back_as_they_were() {
    let directory = TempDir::new().expect("a directory");
    let first = node(directory.path(), 2);
    first.deploy(counts(1, "")).expect("deployed");
    hit(&first, 0..10);
    first.deploy(counts(2, ", kind: text default 'old'")).expect("deployed");
    hit(&first, 5..15);
    let other = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    first.deploy(other.clone()).expect("deployed");
    first.client().ask("UpdateStream", &json!({ "name": "a", "value": "1" })).expect("asked");
    first.drop_flow("names").expect("dropped");
    first.deploy(other).expect("deployed again, without its rows");
    let before = rows(&first);
    assert_eq!(before.len(), 15);
    assert_eq!(before[0], r#"{"page":"p0","n":1,"kind":"old"}"#);
    drop(first);
    let again = node(directory.path(), 1);
    let flows: Vec<_> = again.flows().iter().map(|flow| (flow.name().to_owned(), flow.revision())).collect();
    assert_eq!(flows, [("counts".to_owned(), 2), ("names".to_owned(), 1)]);
    assert_eq!(rows(&again), before);
    assert_eq!(again.client().scan("QueryTable").expect("it begins").count(), 0);
    drop(again);
}

#[test]
fn a_node_starts_with_the_flows_that_it_was_started_with_before() {
    let directory = TempDir::new().expect("a directory");
    let start = |flow| Node::builder("A").data(directory.path()).flow(flow).start();
    let first = start(counts(1, "")).expect("it starts");
    first.deploy(counts(2, ", kind: text?")).expect("deployed");
    hit(&first, 0..3);
    let before = rows(&first);
    drop(first);
    let again = start(counts(1, "")).expect("it starts");
    assert_eq!((again.flows()[0].revision(), rows(&again)), (2, before.clone()), "the newer one runs on");
    drop(again);
    let other = start(counts(2, ", sort: text?"));
    assert!(matches!(other, Err(Error::Evolution(_))), "the same revision cannot be another flow");
    drop(other);
    let newer = start(counts(3, ", kind: text?, more: int?")).expect("it starts");
    assert_eq!((newer.flows()[0].revision(), rows(&newer).len()), (3, before.len()));
    newer.drop_flow("counts").expect("dropped");
    drop(newer);
    let anew = start(counts(1, "")).expect("it starts");
    assert_eq!((anew.flows()[0].revision(), rows(&anew).len()), (1, 0), "named, it is there again");
}

/// Rows taken and refused on `Hit`, and rows of `Told`.
fn counted(node: &Node) -> (u64, u64, u64, u64) {
    let status = node.status();
    let flow = status.flows.iter().find(|flow| flow.flow == "counts").expect("it runs");
    let hit = flow.inputs.iter().find(|input| input.stream == "Hit").expect("it is there");
    let told = flow.outputs.iter().find(|output| output.stream == "Told").expect("it is there");
    (hit.rows_in, hit.rows_refused, hit.batches.iter().sum(), told.rows_out)
}

#[test]
fn counts_go_on_where_they_were() {
    let directory = TempDir::new().expect("a directory");
    let first = node(directory.path(), 2);
    first.deploy(counts(1, "")).expect("deployed");
    hit(&first, 0..70);
    assert!(first.client().ask("Hit", &json!({ "page": "" })).is_err());
    let before = counted(&first);
    assert_eq!((before.0, before.1, before.3), (71, 1, 70));
    drop(first);
    let again = node(directory.path(), 1);
    assert_eq!(counted(&again), before);
    hit(&again, 0..7);
    // The journal before the begins of snapshots goes, and with it what it said of counts.
    for _ in 0..3 {
        again.snapshot().expect("it is taken");
    }
    again.deploy(counts(2, ", kind: text?")).expect("deployed");
    let before = counted(&again);
    assert_eq!((before.0, before.1, before.3), (78, 1, 77));
    drop(again);
    let last = node(directory.path(), 3);
    assert_eq!(counted(&last), before);
    last.drop_flow("counts").expect("dropped");
    last.deploy(counts(1, "")).expect("deployed");
    assert_eq!(counted(&last).0, 0, "another flow of the same name");
    drop(last);
    assert_eq!(counted(&node(directory.path(), 1)).0, 0);
}

fn notes(revision: u32, columns: &str) -> String {
    format!(
        "flow notes revision {revision}
         input Note: {{ id: int, text: text }}
         table Notes: {{ id: int, text: text{columns} }} {{ key id }}
         on Note as n {{ upsert Notes {{ id: n.id, text: n.text }} }}"
    )
}

#[test]
fn a_change_of_a_flow_that_no_node_makes_is_told_when_the_journal_is_read() {
    let file = |text: &str| json!({ "file": "notes.flow", "text": text });
    let other_type = notes(2, "").replace("text: text", "text: bytes");
    let default = format!(", more: text default '{}'", "x".repeat(1 << 10));
    let changes = [
        (0, json!({ "installed": file(&notes(1, "")) }), "flow number 0 is installed twice"),
        (1, json!({ "replaced": file(&notes(2, "")) }), "flow number 1 is changed and was never installed"),
        (7, json!("dropped"), "flow number 7 is changed and was never installed"),
        (0, json!({ "replaced": file(&other_type) }), "may not follow the one before it"),
        (0, json!({ "replaced": file(&notes(1, ", more: text?")) }), "may not follow the one before it"),
        (0, json!({ "replaced": file(&notes(2, &default)) }), "a stored row may come to"),
    ];
    for (flow, change, wanted) in changes {
        let directory = TempDir::new().expect("a directory");
        let first = node(directory.path(), 2);
        first.deploy(Flow::parse("notes.flow", &notes(1, "")).expect("it compiles")).expect("deployed");
        let long = json!({ "id": 1, "text": "x".repeat((4 << 20) - 512) });
        assert_eq!(first.client().send("Note", &[long]).expect("sent").accepted, 1);
        drop(first);
        append(directory.path(), flow, change.to_string().as_bytes());
        let error = Node::builder("A").data(directory.path()).start().expect_err(wanted);
        assert!(matches!(&error, Error::Start(text) if text.contains(wanted)), "{error}");
    }
}

/// Appends a change of a flow to the journal of a node that has stopped.
fn append(directory: &Path, flow: u32, body: &[u8]) {
    let disk = std::sync::Arc::new(DirectoryDisk::lock(directory).expect("no node has it"));
    let config = Config::new([1; 16]).segment_bytes(1 << 20);
    let mut reader = Reader::open(disk, config, LogNumber(1)).expect("a journal");
    while reader.next().expect("it is whole").is_some() {}
    let mut writer = reader.into_writer().expect("a writer");
    let position = Position { flow, ..Position::default() };
    writer.append(&Record { kind: Kind::Flow, position, body }).expect("there is room");
    writer.write().and_then(|_| writer.sync()).expect("it is kept");
}

#[test]
fn a_directory_belongs_to_one_node() {
    let directory = TempDir::new().expect("a directory");
    let first = node(directory.path(), 1);
    let error = Node::builder("B").data(directory.path()).start().expect_err("another node has it");
    assert!(error.to_string().contains("another node uses it"), "{error}");
    drop(first);
    node(directory.path(), 1);
}
