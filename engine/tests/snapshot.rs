//! A node that takes snapshots comes back from them and the journal behind, as it was.

#![expect(
    clippy::disallowed_methods,
    reason = "a test damages files, and writes while something else goes on"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anabranch::{Error, Flow, Node};
use serde_json::json;
use tempfile::TempDir;

/// Small segments, so that some are left behind.
const SEGMENT_BYTES: u64 = 64 << 10;

/// Two tables with different partitions, written, changed and deleted from.
fn counts(revision: u32, columns: &str) -> Flow {
    let text = format!(
        "flow counts revision {revision}
         input  Hit, Forget: {{ page: text, n: int }}
         output Told: {{ page: text, n: int }}
         policy few {{ partitions 3 }}
         table  Hits: {{ page: text, n: int, note: text{columns} }} {{ key page }}
         table  Days: {{ day: int, n: int }} {{ key day replicate few }}
         on Hit as h {{
           upsert Hits {{ page: h.page, n += 1, note: 'seen ' || h.page }}
           read Hits where page = h.page as row or null
           reply Told {{ page: h.page, n: coalesce(row.n, 0) }}
         }}
         on Forget as f {{ delete Hits where page = f.page }}
         input  Day: {{ day: int }}
         on Day as d {{ upsert Days {{ day: d.day, n += 1 }} }}"
    );
    Flow::parse("counts.flow", &text).expect("it compiles")
}

fn node(directory: &Path, workers: u32) -> Node {
    start(directory, workers).expect("it starts")
}

fn start(directory: &Path, workers: u32) -> Result<Node, Error> {
    Node::builder("A").workers(workers).segment_bytes(SEGMENT_BYTES).data(directory).start()
}

fn table(node: &Node, name: &str) -> Vec<String> {
    let mut client = node.client();
    client.scan(name).expect("it begins").map(|row| row.expect("a row").to_string()).collect()
}

fn tables(node: &Node) -> [Vec<String>; 2] {
    ["counts.Hits", "counts.Days"].map(|name| table(node, name))
}

fn hit(node: &Node, pages: impl Iterator<Item = u32>) {
    let pages: Vec<_> = pages.map(|page| json!({ "page": format!("p{page:05}"), "n": 1 })).collect();
    let mut client = node.client();
    for some in pages.chunks(50) {
        assert_eq!(client.send("Hit", some).expect("sent").accepted, some.len());
        let day = json!({ "day": some.len() });
        client.send("Day", &[day]).expect("sent");
    }
}

fn files(directory: &Path, begin: &str) -> Vec<String> {
    let names =
        std::fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("a file").file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().expect("text")).collect();
    names.retain(|name| name.starts_with(begin));
    names.sort();
    names
}

#[test]
fn a_node_comes_back_from_its_snapshot_and_the_journal_behind_it_with_any_number_of_workers() {
    let directory = TempDir::new().expect("a directory");
    let first = node(directory.path(), 2);
    first.deploy(counts(1, "")).expect("deployed");
    hit(&first, (0..3000).map(|n| n % 2000));
    let taken = first.snapshot().expect("taken");
    assert!(taken.rows >= 2000 && taken.begin <= taken.end, "{taken:?}");
    hit(&first, 1500..2500);
    first.client().send("Forget", &[json!({ "page": "p00007", "n": 0 })]).expect("sent");
    let before = tables(&first);
    drop(first);
    for workers in [1, 4, 2, 2] {
        let again = node(directory.path(), workers);
        assert_eq!(tables(&again), before, "{workers} workers");
        assert_eq!(again.flows()[0].revision(), 1);
    }
    let last = node(directory.path(), 3);
    let told = last.client().ask("Hit", &json!({ "page": "p00001", "n": 1 })).expect("asked");
    assert_eq!(told[0].row.to_string(), r#"{"page":"p00001","n":3}"#, "it goes on from what there was");
}

#[test]
fn the_last_two_snapshots_stay_and_segments_that_nobody_needs_go() {
    let directory = TempDir::new().expect("a directory");
    let first = node(directory.path(), 1);
    first.deploy(counts(1, "")).expect("deployed");
    let mut firsts = Vec::new();
    for round in 0..4 {
        hit(&first, round * 500..round * 500 + 800);
        let taken = first.snapshot().expect("taken");
        assert_eq!(files(directory.path(), "snapshot-").len(), (round as usize + 1).min(2));
        firsts.push(files(directory.path(), "journal-")[0].clone());
        assert_eq!(
            files(directory.path(), "snapshot-").last(),
            Some(&format!("snapshot-{:020}.snap", taken.begin))
        );
    }
    assert!(firsts.is_sorted_by(|a, b| a < b), "{firsts:?}");
    let before = tables(&first);
    drop(first);
    assert_eq!(tables(&node(directory.path(), 2)), before);
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_the_one_before_it() {
    let directory = TempDir::new().expect("a directory");
    let first = node(directory.path(), 2);
    first.deploy(counts(1, "")).expect("deployed");
    for round in 0..2 {
        hit(&first, round * 500..round * 500 + 800);
        first.snapshot().expect("taken");
    }
    hit(&first, 0..100);
    let before = tables(&first);
    drop(first);
    let newest = files(directory.path(), "snapshot-").pop().expect("a snapshot");
    damage(&directory.path().join(newest));
    let again = node(directory.path(), 1);
    assert_eq!(tables(&again), before);
    let names = files(directory.path(), "snapshot-");
    assert!(names[0].ends_with(".snap") && names[1].ends_with(".snap.damaged"), "{names:?}");
    again.snapshot().expect("taken");
    assert!(files(directory.path(), "snapshot-").contains(&names[0]), "the whole one before stays");
    drop(again);

    // Without both too little of the journal is left.
    let whole = files(directory.path(), "snapshot-");
    let whole = whole.iter().filter(|name| name.ends_with(".snap"));
    whole.for_each(|name| damage(&directory.path().join(name)));
    let error = start(directory.path(), 1).expect_err("records are missing");
    assert!(error.to_string().contains("the journal begins with record"), "{error}");
}

fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn writes_go_on_while_a_snapshot_is_taken_and_none_is_lost() {
    for workers in [1, 2, 4] {
        let directory = TempDir::new().expect("a directory");
        let first = node(directory.path(), workers);
        first.deploy(counts(1, "")).expect("deployed");
        hit(&first, 0..4000);
        let ended = AtomicBool::new(false);
        let sent = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut client = first.client();
                let mut sent = BTreeMap::<u32, i64>::new();
                let mut round = 0;
                while !ended.load(Ordering::Relaxed) || round < 20 {
                    round += 1;
                    let pages: Vec<u32> = (0..40).map(|n| (round * 131 + n * 97) % 5000).collect();
                    let rows: Vec<_> =
                        pages.iter().map(|page| json!({ "page": format!("p{page:05}"), "n": 1 })).collect();
                    client.send("Hit", &rows).expect("sent");
                    pages.iter().for_each(|page| *sent.entry(*page).or_default() += 1);
                    if round % 3 == 0 {
                        let page = (round * 7) % 5000;
                        client
                            .send("Forget", &[json!({ "page": format!("p{page:05}"), "n": 0 })])
                            .expect("sent");
                    }
                }
                sent.len()
            });
            for _ in 0..3 {
                first.snapshot().expect("taken");
            }
            ended.store(true, Ordering::Relaxed);
            writer.join().expect("it wrote")
        });
        assert!(sent > 0);
        let before = tables(&first);
        drop(first);
        for again in [workers, 3, 1] {
            assert_eq!(tables(&node(directory.path(), again)), before, "{workers} workers, then {again}");
        }
    }
}

#[test]
fn flows_and_their_revisions_come_back_from_a_snapshot() {
    let directory = TempDir::new().expect("a directory");
    let first = node(directory.path(), 2);
    let names = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    first.deploy(names.clone()).expect("deployed");
    first.drop_flow("names").expect("dropped");
    first.deploy(counts(1, "")).expect("deployed");
    hit(&first, 0..100);
    let mut old = first.client();
    let batch = |client: &mut anabranch::Client| client.batch("Hit").expect("there is such a stream");
    let _ = batch(&mut old);
    first.deploy(counts(2, ", kind: text default 'old'")).expect("deployed");
    hit(&first, 50..150);
    first.snapshot().expect("taken");
    first.deploy(counts(3, ", kind: text default 'old', more: int default 7")).expect("deployed");
    hit(&first, 100..200);
    first.deploy(names).expect("deployed");
    let before = tables(&first);
    assert!(before[0][0].contains(r#""kind":"old","more":7"#), "{}", before[0][0]);
    drop(first);
    for workers in [1, 2] {
        let again = node(directory.path(), workers);
        let flows: Vec<_> =
            again.flows().iter().map(|flow| (flow.name().to_owned(), flow.revision())).collect();
        assert_eq!(flows, [("counts".to_owned(), 3), ("names".to_owned(), 1)]);
        assert_eq!(tables(&again), before);
        again.snapshot().expect("taken");
    }
    let last = node(directory.path(), 1);
    assert_eq!(tables(&last), before, "from a snapshot with all revisions");
    last.deploy(counts(4, ", kind: text default 'old', more: int default 7")).expect("it goes on");
}

#[test]
fn deploys_during_snapshots_harm_neither() {
    let directory = TempDir::new().expect("a directory");
    let first = node(directory.path(), 2);
    first.deploy(counts(1, "")).expect("deployed");
    hit(&first, 0..3000);
    std::thread::scope(|scope| {
        let snapshots = scope.spawn(|| (0..6).for_each(|_| assert!(first.snapshot().is_ok())));
        for revision in 2..6 {
            let columns: String = (2..=revision).map(|n| format!(", c{n}: int default {n}")).collect();
            first.deploy(counts(revision, &columns)).expect("deployed");
            hit(&first, revision * 100..revision * 100 + 50);
        }
        snapshots.join().expect("taken");
    });
    let before = tables(&first);
    drop(first);
    let again = node(directory.path(), 1);
    assert_eq!((again.flows()[0].revision(), tables(&again)), (5, before));
}

#[test]
fn a_snapshot_is_taken_when_the_journal_has_grown() {
    let directory = TempDir::new().expect("a directory");
    let builder = Node::builder("A").segment_bytes(SEGMENT_BYTES).snapshot_after(100_000);
    let first = builder.data(directory.path()).start().expect("it starts");
    first.deploy(counts(1, "")).expect("deployed");
    for round in 0.. {
        assert!(round < 1000, "none was taken");
        hit(&first, 0..200);
        if files(directory.path(), "snapshot-").len() == 2 {
            break;
        }
    }
    let before = tables(&first);
    drop(first);
    assert_eq!(tables(&node(directory.path(), 1)), before);
}

#[test]
fn a_node_without_flows_has_a_snapshot_too() {
    let directory = TempDir::new().expect("a directory");
    for _ in 0..3 {
        let taken = node(directory.path(), 1).snapshot().expect("taken");
        assert_eq!(taken.rows, 0);
    }
    let last = node(directory.path(), 2);
    last.deploy(counts(1, "")).expect("deployed");
    hit(&last, 0..10);
    last.snapshot().expect("taken");
    last.drop_flow("counts").expect("dropped");
    last.snapshot().expect("taken");
    drop(last);
    let again = node(directory.path(), 1);
    assert!(again.flows().is_empty());
    again.deploy(counts(1, "")).expect("deployed");
    assert_eq!(tables(&again)[0].len(), 0, "a number of a flow is not given twice");
}

#[test]
fn a_node_in_memory_takes_no_snapshot() {
    let error = Node::builder("A").start().expect("it starts").snapshot().expect_err("it keeps nothing");
    assert!(error.to_string().contains("start it with a data directory"), "{error}");
}
