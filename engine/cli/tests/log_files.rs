//! `anabranch log`: a journal without a node, and the directory that a node takes for itself.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests fail where something fails")]

mod support;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anabranch::DirectoryDisk;
use anabranch_log::{Config, Kind, LogNumber, Position, Reader, Record, SnapshotWriter};
use std::sync::Arc;

use support::Directory;

const FIRST: &str = "data/journal-00000000000000000001.log";

/// A directory whose `data` has a journal of two segments with 23 records and a snapshot.
fn with_journal() -> Directory {
    let directory = Directory::empty();
    let disk = Arc::new(DirectoryDisk::lock(&directory.path("data")).unwrap());
    let config = Config::new([7; 16]).segment_bytes(4096 + 1280);
    let mut writer = Reader::open(disk.clone(), config, LogNumber(1)).unwrap().into_writer().unwrap();
    for seq in 1..=23 {
        let position = Position { flow: 1, of: 64, number: 3, term: 2, seq };
        let kind = if seq == 1 { Kind::Flow } else { Kind::Step };
        writer.append(&Record { kind, position, body: &[seq as u8; 5] }).unwrap();
        writer.write().unwrap();
        writer.sync().unwrap();
    }
    let mut snapshot = SnapshotWriter::begin(disk, writer.snapshot_start()).unwrap();
    snapshot.chunk(LogNumber(23), b"a chunk").unwrap();
    snapshot.finish(writer.safe()).unwrap();
    directory
}

fn change(directory: &Directory, name: &str, at: usize, byte: u8) {
    let mut bytes = fs::read(directory.path(name)).unwrap();
    bytes[at] ^= byte;
    fs::write(directory.path(name), bytes).unwrap();
}

fn contents(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn check_tells_what_the_files_of_a_whole_journal_have() {
    let directory = with_journal();
    let came = directory.run("log check data");
    assert_eq!((came.code, came.stderr.as_str()), (0, ""));
    let expected = "\
file                                first  last  records or chunks  bytes used     of  state
journal-00000000000000000001.log        1    20                 20       5,376  5,376  whole
journal-00000000000000000021.log       21    23                  3       4,288  5,376  whole
snapshot-00000000000000000023.snap     23    23                  1         168    168  whole
";
    assert_eq!(came.stdout, expected);
}

#[test]
fn check_tells_a_damaged_segment_with_file_and_byte_and_changes_nothing() {
    let directory = with_journal();
    change(&directory, FIRST, 4096 + 64 + 58, 1);
    let before = contents(&directory.path("data"));
    let came = directory.run("log check data");
    assert_eq!(came.code, 1);
    let damaged =
        "journal-00000000000000000001.log        1     1                  1       4,160  5,376  damaged";
    assert!(came.stdout.contains(damaged), "{}", came.stdout);
    let said =
        "error: `journal-00000000000000000001.log` is damaged at byte 4160: record 2 is not what was written";
    assert!(came.stderr.starts_with(said), "{}", came.stderr);
    assert_eq!(contents(&directory.path("data")), before);

    let came = directory.run("log check --json data");
    assert_eq!(came.code, 1);
    let lines: Vec<serde_json::Value> =
        came.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["state"], &lines[1]["state"]), (&"damaged".into(), &"whole".into()));
    assert!(lines[0]["problem"].as_str().unwrap().contains("byte 4160"));
    assert_eq!((lines[1]["first"].as_u64(), lines[1]["last"].as_u64()), (Some(21), Some(23)));
}

#[test]
fn a_torn_tail_is_told_and_is_no_damage() {
    let directory = with_journal();
    change(&directory, "data/journal-00000000000000000021.log", 4288 + 9, 0xff);
    let came = directory.run("log check --json data");
    assert_eq!((came.code, came.stderr.as_str()), (0, ""));
    assert!(came.stdout.contains(r#""state":"torn","torn_bytes":16"#), "{}", came.stdout);
}

#[test]
fn dump_prints_records_from_any_number_on() {
    let directory = with_journal();
    let came = directory.run("log dump data --limit 2");
    let expected = "\
number  kind  flow  partition  term  seq  bytes
     1  flow     1       3/64     2    1      5
     2  step     1       3/64     2    2      5
";
    assert_eq!((came.code, came.stdout.as_str(), came.stderr.as_str()), (0, expected, ""));
    let came = directory.run("log dump data --from 22 --json --bodies");
    let expected = r#"{"body":"1616161616","bytes":5,"flow":1,"kind":"step","number":22,"of":64,"partition":3,"seq":22,"term":2}"#;
    assert_eq!((came.code, came.stdout.lines().count()), (0, 2));
    assert_eq!(came.stdout.lines().next(), Some(expected));
}

#[test]
fn dump_ends_at_what_is_damaged_and_says_so() {
    let directory = with_journal();
    change(&directory, FIRST, 4096 + 64 + 58, 1);
    let came = directory.run("log dump data");
    assert_eq!((came.code, came.stdout.lines().count()), (1, 2));
    assert!(came.stderr.contains("damaged at byte 4160"), "{}", came.stderr);
    let came = directory.run("log dump data --from 21");
    assert_eq!((came.code, came.stdout.lines().count()), (0, 4));
    let came = directory.run("log dump data --from 25");
    assert_eq!(came.code, 1);
    assert!(came.stderr.contains("the journal ends with record 23"), "{}", came.stderr);
}

#[test]
fn where_no_journal_is_the_error_says_what_to_do() {
    let directory = Directory::empty().file("file", "");
    for command in ["check", "dump"] {
        for (name, code, said) in [
            ("missing", 3, "cannot use the data directory `missing`: it is not there; check its name"),
            ("file", 3, "cannot use the data directory `file`: it is no directory; name a directory"),
            (".", 1, "there is no journal in `.`"),
        ] {
            let came = directory.run(&format!("log {command} {name}"));
            assert_eq!((came.code, came.stdout.as_str()), (code, ""), "{command} {name}");
            assert!(came.stderr.contains(said), "{command} {name}: {}", came.stderr);
        }
    }
    assert!(directory.run("log check --help").stdout.contains("Exit codes:"));
}

#[test]
fn a_directory_has_one_node_at_a_time() {
    let directory = Directory::empty();
    let path = directory.path("data");
    let node = DirectoryDisk::lock(&path).unwrap();
    let refused = DirectoryDisk::lock(&path).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ResourceBusy);
    assert!(refused.to_string().contains("another node uses it; stop that node"), "{refused}");
    assert!(DirectoryDisk::read_only(&path).is_ok());
    drop(node);
    assert!(DirectoryDisk::lock(&path).is_ok());
}

#[test]
fn a_directory_that_is_only_read_is_never_written() {
    let directory = with_journal();
    let before = contents(&directory.path("data"));
    let disk = Arc::new(DirectoryDisk::read_only(&directory.path("data")).unwrap());
    let reader = Reader::open(disk, Config::new([0; 16]), LogNumber(1)).unwrap();
    let refused = reader.into_writer().map(drop).unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    assert_eq!(contents(&directory.path("data")), before);
}

#[test]
fn a_journal_goes_on_after_its_process_has_gone() {
    let directory = with_journal();
    for expected in [24, 25] {
        let disk = Arc::new(DirectoryDisk::lock(&directory.path("data")).unwrap());
        let recovery = anabranch_log::recover(disk, Config::new([0; 16])).unwrap();
        assert_eq!(recovery.snapshot.unwrap().next().unwrap().unwrap().body, b"a chunk");
        let mut writer = recovery.journal.into_writer().unwrap();
        let record = Record { kind: Kind::Term, position: Position::default(), body: b"" };
        assert_eq!(writer.append(&record).unwrap(), LogNumber(expected));
        writer.write().unwrap();
        writer.sync().unwrap();
    }
    assert_eq!(directory.run("log dump data --from 21").stdout.lines().count(), 6);
}
