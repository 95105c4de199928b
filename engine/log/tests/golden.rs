//! The first format, byte by byte: a journal that was written once must read the same for ever.
//!
//! `UPDATE=1 cargo test -p anabranch-log --test golden` writes the files anew; only a new format may.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests read files, and fail where they cannot"
)]

use std::path::{Path, PathBuf};

use anabranch_log::{
    Config, Disk, Kind, LogNumber, MemoryDisk, Position, Reader, Record, SnapshotWriter, check, recover,
};

const RECORDS: [(Kind, Position, &[u8]); 4] = [
    (Kind::Flow, Position { flow: 1, of: 0, number: 0, term: 0, seq: 0 }, b"flow names revision 1"),
    (Kind::Term, Position { flow: 1, of: 64, number: 63, term: 1, seq: 0 }, b""),
    (Kind::Step, Position { flow: 1, of: 64, number: 63, term: 1, seq: 1 }, b"a step"),
    (
        Kind::Step,
        Position { flow: 0x0102_0304, of: 4096, number: 5, term: u64::MAX, seq: 1 << 40 },
        &[0xff; 64],
    ),
];

fn config() -> Config {
    Config::new(*b"0123456789abcdef").segment_bytes(4096 + 256)
}

/// Two segments and a snapshot.
fn write() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut writer = Reader::open(disk.clone(), config(), LogNumber(1)).unwrap().into_writer().unwrap();
    for (kind, position, body) in RECORDS {
        writer.append(&Record { kind, position, body }).unwrap();
        writer.write().unwrap();
        writer.sync().unwrap();
    }
    let mut snapshot = SnapshotWriter::begin(disk.clone(), writer.snapshot_start()).unwrap();
    snapshot.chunk(LogNumber(4), b"a chunk").unwrap();
    snapshot.chunk(LogNumber(4), b"another one").unwrap();
    snapshot.finish(writer.safe()).unwrap();
    disk
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format-1")
}

#[test]
fn a_journal_of_the_first_format_is_written_as_ever() {
    let disk = write();
    for name in disk.list().unwrap() {
        let bytes = disk.read(&name).unwrap();
        let path = fixtures().join(&name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}");
    }
    assert_eq!(std::fs::read_dir(fixtures()).unwrap().count(), disk.list().unwrap().len());
}

#[test]
fn a_journal_of_the_first_format_is_read() {
    let disk = MemoryDisk::default();
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let entry = entry.unwrap();
        disk.write(entry.file_name().to_str().unwrap(), std::fs::read(entry.path()).unwrap());
    }
    let report = check(&disk).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let mut reader = Reader::open(disk.clone(), config(), LogNumber(1)).unwrap();
    for (at, (kind, position, body)) in RECORDS.into_iter().enumerate() {
        let entry = reader.next().unwrap().unwrap();
        assert_eq!(entry.record, Record { kind, position, body });
        assert_eq!((entry.number.0, entry.durable.0), (at as u64 + 1, at as u64));
    }
    assert!(reader.next().unwrap().is_none());
    let mut snapshot = recover(disk, config()).unwrap().snapshot.unwrap();
    assert_eq!(snapshot.summary().begin, LogNumber(4));
    assert_eq!(snapshot.next().unwrap().unwrap().body, b"a chunk");
    assert_eq!(snapshot.next().unwrap().unwrap().body, b"another one");
    assert!(snapshot.next().unwrap().is_none());
}

/// The first record, put together by hand from `FORMAT.md`.
#[test]
fn a_record_lies_as_the_page_says() {
    let bytes = write().read("journal-00000000000000000001.log").unwrap();
    let body = b"flow names revision 1\0\0\0";
    let mut head = Vec::new();
    head.extend(crc32c::crc32c(body).to_le_bytes());
    head.extend(21u32.to_le_bytes());
    head.extend([2, 1, 0, 0]);
    head.extend(1u64.to_le_bytes());
    head.extend(1u32.to_le_bytes());
    head.extend([1u32, 0, 0].map(u32::to_le_bytes).concat());
    head.extend([0; 16]);
    let checksum = crc32c::crc32c(&[b"0123456789abcdef".as_slice(), &head].concat());
    assert_eq!(bytes[4096..][..80], [&checksum.to_le_bytes()[..], &head, body].concat());
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
}
