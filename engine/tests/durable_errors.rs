//! What a node says that cannot start from its data directory, though all checksums are right: what is wrong, where, and
//! what to do.

use anabranch::{Error, Node};
use anabranch_log::{Config, Kind, LogNumber, MemoryDisk, Position, Reader, Record, SnapshotWriter, Writer};
use anabranch_model::message::FlowId;
use anabranch_model::snapshot::{node, revision};
use serde_json::json;

const SEEN: &str = "flow seen revision 2
    input See: { id: int }
    table Ids: { id: int } { key id }
    on See as s { upsert Ids { ..s } }";

/// A flow file of no version that there is.
const STRANGE: &str = "flow seen revision 1
    input See: { id: int }
    watch See as s { remember s }";

/// A journal with records of flow 0.
fn journal(disk: &MemoryDisk, records: &[(Kind, &[u8])]) -> Writer<MemoryDisk> {
    let config = Config::new([7; 16]).segment_bytes(64 << 10);
    let reader = Reader::open(disk.clone(), config, LogNumber(1)).expect("it is empty");
    let mut writer = reader.into_writer().expect("a writer");
    for (kind, body) in records {
        let position = Position { of: 64, term: 1, seq: 7, ..Position::default() };
        writer.append(&Record { kind: *kind, position, body }).expect("appended");
    }
    writer.write().expect("written");
    writer.sync().expect("synced");
    writer
}

fn installed(text: &str) -> Vec<u8> {
    json!({ "installed": { "file": "seen.flow", "text": text } }).to_string().into_bytes()
}

/// A disk with a snapshot of these pieces, behind a record.
fn snapshot(pieces: &[Vec<u8>]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let writer = journal(&disk, &[(Kind::Term, &[])]);
    let mut snapshot = SnapshotWriter::begin(disk.clone(), writer.snapshot_start()).expect("begun");
    for piece in pieces {
        snapshot.chunk(LogNumber(1), piece).expect("written");
    }
    snapshot.finish(writer.safe()).expect("it is there");
    disk
}

fn start(disk: &MemoryDisk) -> Result<Node, Error> {
    Node::builder("A").segment_bytes(64 << 10).start_on(disk.clone())
}

/// Why a node does not start.
fn why(disk: &MemoryDisk) -> String {
    let error = start(disk).expect_err("it does not start");
    assert!(matches!(error, Error::Start(_)), "{error:?}");
    error.to_string()
}

fn assert_says(why: &str, parts: &[&str]) {
    for part in parts {
        assert!(why.contains(part), "`{part}` is missing: {why}");
    }
}

#[test]
fn a_record_that_cannot_be_done_again_is_told_with_its_number_and_what_to_do() {
    let disk = MemoryDisk::default();
    journal(&disk, &[(Kind::Flow, &installed(SEEN)), (Kind::Step, b"anything")]);
    let parts = ["record 2 of the journal cannot be done again", "record 7 of partition 0 of 64"];
    assert_says(&why(&disk), &parts);
    assert_says(&why(&disk), &["nothing was changed", "anabranch log check", "from a copy", "report this"]);

    let disk = MemoryDisk::default();
    journal(&disk, &[(Kind::Flow, b"{}")]);
    let parts = ["record 1 of the journal tells of a flow in an unknown way", "anabranch log check"];
    assert_says(&why(&disk), &parts);
}

#[test]
fn a_kept_flow_that_does_not_compile_is_told_as_such() {
    let disk = MemoryDisk::default();
    journal(&disk, &[(Kind::Flow, &installed(STRANGE))]);
    let parts = ["record 1 of the journal keeps a flow", "run the version that wrote it", "seen.flow:3"];
    assert_says(&why(&disk), &parts);
}

#[test]
fn what_cannot_be_read_of_a_snapshot_is_told_with_its_byte() {
    let disk = snapshot(&[node(1), b"anything".to_vec()]);
    assert_says(
        &why(&disk),
        &["of the snapshot that begins at record 1 cannot be read", "anabranch log check"],
    );
    assert_says(&why(&disk), &["what stands at byte 1"]);
}

#[test]
fn an_old_revision_that_does_not_compile_is_passed_over_and_the_last_is_not() {
    let old = revision(FlowId(0), "seen.flow", STRANGE);
    let new = revision(FlowId(0), "seen.flow", SEEN);
    let started = start(&snapshot(&[node(1), old.clone(), new.clone()])).expect("it starts");
    assert_eq!(started.flows()[0].revision(), 2);
    let newest = STRANGE.replace("revision 1", "revision 3");
    let disk = snapshot(&[node(2), old, new, revision(FlowId(0), "seen.flow", &newest)]);
    assert_says(&why(&disk), &["keeps a flow", "seen.flow:3"]);
}
