//! What a journal promises where nothing crashes: numbers, segments, snapshots, retention, and clear refusals.

#![expect(clippy::unwrap_used, reason = "tests fail where something fails")]

use anabranch_log::{
    BODY_BYTES_MAX, Config, Disk, Error, Kind, LogNumber, MemoryDisk, Position, Reader, Record,
    SnapshotWriter, Writer, check, recover, retain, set_aside,
};

const FIRST: &str = "journal-00000000000000000001.log";

fn config() -> Config {
    Config::new([7; 16]).segment_bytes(4096 + 640)
}

fn open(disk: &MemoryDisk) -> Writer<MemoryDisk> {
    recover(disk.clone(), config()).unwrap().journal.into_writer().unwrap()
}

fn record(body: &[u8]) -> Record<'_> {
    Record { kind: Kind::Step, position: Position { flow: 1, of: 64, number: 3, term: 2, seq: 5 }, body }
}

/// Appends records, a sync behind each.
fn append(writer: &mut Writer<MemoryDisk>, count: u64) {
    for _ in 0..count {
        let number = writer.append(&record(format!("record {}", writer.next()).as_bytes())).unwrap();
        writer.write().unwrap();
        assert_eq!(writer.sync().unwrap(), number);
    }
}

fn bodies(disk: &MemoryDisk, from: u64) -> Result<Vec<String>, Error> {
    let mut reader = Reader::open(disk.clone(), config(), LogNumber(from))?;
    let mut bodies = Vec::new();
    while let Some(entry) = reader.next()? {
        bodies.push(String::from_utf8_lossy(entry.record.body).into_owned());
    }
    Ok(bodies)
}

fn files(disk: &MemoryDisk, suffix: &str) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.ends_with(suffix)).collect()
}

fn flip(disk: &MemoryDisk, name: &str, at: usize) {
    let mut bytes = disk.read(name).unwrap();
    bytes[at] ^= 1;
    disk.write(name, bytes);
}

fn snapshot(disk: &MemoryDisk, writer: &mut Writer<MemoryDisk>, body: &[u8]) {
    let mut snapshot = SnapshotWriter::begin(disk.clone(), writer.snapshot_start()).unwrap();
    snapshot.chunk(writer.safe(), body).unwrap();
    snapshot.finish(writer.safe()).unwrap();
}

#[test]
fn records_come_back_in_order_from_any_number_over_segments() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 30);
    assert_eq!(files(&disk, ".log").len(), 4);
    for from in [1, 2, 8, 9, 30, 31] {
        let expected: Vec<String> = (from..=30).map(|number| format!("record {number}")).collect();
        assert_eq!(bodies(&disk, from).unwrap(), expected, "from {from}");
    }
    assert!(matches!(bodies(&disk, 32), Err(Error::Missing { .. })));
    append(&mut open(&disk), 1);
    assert_eq!(bodies(&disk, 31).unwrap(), ["record 31"]);
}

#[test]
fn what_only_gathered_is_not_in_the_journal() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 1);
    writer.append(&record(b"gathered")).unwrap();
    assert_eq!((writer.next(), writer.safe()), (LogNumber(3), LogNumber(1)));
    assert_eq!(bodies(&disk, 1).unwrap(), ["record 1"]);
}

#[test]
fn a_record_longer_than_a_segment_gets_one_of_its_own() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    writer.append(&record(&[b'x'; 9000])).unwrap();
    append(&mut writer, 1);
    writer.append(&record(&[b'y'; 9000])).unwrap();
    writer.write().unwrap();
    let lengths: Vec<usize> = bodies(&disk, 1).unwrap().iter().map(String::len).collect();
    assert_eq!(lengths, [9000, 8, 9000]);
    let report = check(&disk).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_nothing_changes() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    let body = vec![0; BODY_BYTES_MAX + 1];
    let refused = writer.append(&record(&body)).unwrap_err();
    assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
    assert_eq!(writer.next(), LogNumber(1));
    append(&mut writer, 1);
}

#[test]
fn a_segment_made_ahead_becomes_the_next() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    let order = writer.spare_order().unwrap();
    writer.put_spare(order.make(&disk).unwrap());
    assert!(writer.spare_order().is_none());
    assert_eq!(files(&disk, ".tmp"), ["ahead.tmp"]);
    append(&mut writer, 11);
    assert!(files(&disk, ".tmp").is_empty());
    assert_eq!(files(&disk, ".log").len(), 2);
    assert!(writer.spare_order().is_some());
}

#[test]
fn recovery_starts_from_the_newest_snapshot_and_retention_keeps_two() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    for body in [b"one", b"two", b"six"] {
        append(&mut writer, 10);
        snapshot(&disk, &mut writer, body);
    }
    append(&mut writer, 2);
    let begins = ["snapshot-00000000000000000020.snap", "snapshot-00000000000000000030.snap"];
    assert_eq!(files(&disk, ".snap"), begins);
    assert!(bodies(&disk, 1).is_err());
    assert_eq!(bodies(&disk, 21).unwrap().len(), 12);

    let mut recovery = recover(disk.clone(), config()).unwrap();
    let mut snapshot = recovery.snapshot.unwrap();
    assert_eq!(snapshot.next().unwrap().unwrap().body, b"six");
    assert!(snapshot.next().unwrap().is_none());
    assert_eq!(recovery.journal.next().unwrap().unwrap().number, LogNumber(31));

    flip(&disk, begins[1], 100);
    let mut recovery = recover(disk.clone(), config()).unwrap();
    assert_eq!(recovery.damaged.len(), 1);
    assert_eq!(recovery.snapshot.unwrap().next().unwrap().unwrap().body, b"two");
    assert_eq!(recovery.journal.next().unwrap().unwrap().number, LogNumber(21));
}

#[test]
fn a_damaged_snapshot_that_was_set_aside_does_not_count_among_those_that_stay() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    for body in [b"one", b"two"] {
        append(&mut writer, 10);
        snapshot(&disk, &mut writer, body);
    }
    flip(&disk, "snapshot-00000000000000000020.snap", 100);
    let damaged = recover(disk.clone(), config()).unwrap().damaged;
    set_aside(&disk, &damaged).unwrap();
    append(&mut writer, 10);
    snapshot(&disk, &mut writer, b"six");
    let whole = ["snapshot-00000000000000000010.snap", "snapshot-00000000000000000030.snap"];
    assert_eq!(files(&disk, ".snap"), whole);
    assert_eq!(files(&disk, ".damaged"), ["snapshot-00000000000000000020.snap.damaged"]);
}

#[test]
fn records_that_went_with_damaged_snapshots_are_told_with_what_is_damaged() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    for body in [b"one", b"two", b"six"] {
        append(&mut writer, 10);
        snapshot(&disk, &mut writer, body);
    }
    files(&disk, ".snap").iter().for_each(|file| flip(&disk, file, 100));
    let error = recover(disk, config()).map(drop).unwrap_err().to_string();
    let parts =
        ["begins with record", "is needed, because `snapshot-00000000000000000030.snap` is damaged at byte"];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn one_snapshot_alone_drops_nothing() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 20);
    snapshot(&disk, &mut writer, b"one");
    assert_eq!(bodies(&disk, 1).unwrap().len(), 20);
    assert_eq!(retain(&disk).unwrap(), anabranch_log::Dropped::default());
}

#[test]
fn a_flipped_bit_in_what_was_safe_is_told_with_file_and_byte() {
    let disk = MemoryDisk::default();
    append(&mut open(&disk), 3);
    // The second record begins behind one of 56 + 8 bytes.
    flip(&disk, FIRST, 4096 + 64 + 60);
    let Err(Error::Damaged(damage)) = bodies(&disk, 1) else { panic!("it was not told") };
    assert_eq!((damage.file.as_str(), damage.offset), (FIRST, 4096 + 64));
    let before = disk.read(FIRST);
    assert!(Reader::open(disk.clone(), config(), LogNumber(1)).unwrap().into_writer().is_err());
    assert_eq!(disk.read(FIRST), before, "a damaged journal must not be changed");
}

#[test]
fn a_segment_that_is_gone_or_short_is_told() {
    let disk = MemoryDisk::default();
    append(&mut open(&disk), 30);
    let names = files(&disk, ".log");
    let gone = MemoryDisk::default();
    names
        .iter()
        .filter(|name| **name != names[1])
        .for_each(|name| gone.write(name, disk.read(name).unwrap()));
    let error = bodies(&gone, 1).unwrap_err();
    assert!(error.to_string().contains(&names[2]), "{error}");

    let mut bytes = disk.read(&names[3]).unwrap();
    bytes.truncate(4200);
    disk.write(&names[3], bytes);
    let Err(Error::Damaged(damage)) = bodies(&disk, 1) else { panic!("it was not told") };
    assert_eq!((damage.file.as_str(), damage.offset), (names[3].as_str(), 4200));
}

#[test]
fn a_torn_tail_is_cut_told_and_written_over() {
    let disk = MemoryDisk::default();
    append(&mut open(&disk), 2);
    let mut bytes = disk.read(FIRST).unwrap();
    bytes[4096 + 128..][..20].fill(0xaa);
    disk.write(FIRST, bytes);
    let mut reader = Reader::open(disk.clone(), config(), LogNumber(1)).unwrap();
    while reader.next().unwrap().is_some() {}
    let torn = reader.torn().unwrap().clone();
    assert_eq!((torn.file.as_str(), torn.offset, torn.bytes), (FIRST, 4096 + 128, 24));
    append(&mut reader.into_writer().unwrap(), 1);
    assert_eq!(bodies(&disk, 1).unwrap(), ["record 1", "record 2", "record 3"]);
}

/// Found by fuzzing: clearing whole words made the file longer than its header says.
#[test]
fn a_segment_of_an_odd_length_keeps_it_when_its_tail_is_cut() {
    let disk = MemoryDisk::default();
    let config = Config::new([7; 16]).segment_bytes(4096 + 133);
    drop(Reader::open(disk.clone(), config, LogNumber(1)).unwrap().into_writer().unwrap());
    flip(&disk, FIRST, 4096 + 132);
    append(&mut open(&disk), 1);
    assert_eq!(bodies(&disk, 1).unwrap(), ["record 1"]);
}

#[test]
fn a_newer_format_is_refused_and_nothing_is_touched() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 10);
    snapshot(&disk, &mut writer, b"one");
    for suffix in [".log", ".snap"] {
        let newer = MemoryDisk::default();
        for name in disk.list().unwrap() {
            newer.write(&name, disk.read(&name).unwrap());
        }
        let name = files(&disk, suffix).pop().unwrap();
        let mut bytes = disk.read(&name).unwrap();
        bytes[8] = 2;
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        newer.write(&name, bytes.clone());
        let error = recover(newer.clone(), config()).map(drop).unwrap_err();
        assert!(matches!(error, Error::Newer { .. }), "{error}");
        assert!(error.to_string().contains("format 2"), "{error}");
        assert_eq!(newer.read(&name).unwrap(), bytes);
        assert_eq!(newer.list().unwrap(), disk.list().unwrap());
    }
}

#[test]
fn snapshots_of_another_journal_are_refused() {
    let (disk, other) = (MemoryDisk::default(), MemoryDisk::default());
    append(&mut open(&disk), 2);
    let config = Config::new([8; 16]);
    let mut writer = recover(other.clone(), config).unwrap().journal.into_writer().unwrap();
    append(&mut writer, 1);
    snapshot(&other, &mut writer, b"foreign");
    let name = files(&other, ".snap").pop().unwrap();
    disk.write(&name, other.read(&name).unwrap());
    assert!(matches!(recover(disk, config), Err(Error::Damaged(_))));
}

#[test]
fn a_snapshot_that_knows_more_than_the_journal_is_told() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 3);
    let mut snapshot = SnapshotWriter::begin(disk.clone(), writer.snapshot_start()).unwrap();
    append(&mut writer, 2);
    snapshot.chunk(writer.safe(), b"five").unwrap();
    snapshot.finish(writer.safe()).unwrap();
    let mut bytes = disk.read(FIRST).unwrap();
    bytes[4096 + 4 * 64..].fill(0);
    disk.write(FIRST, bytes);
    let mut journal = recover(disk, config()).unwrap().journal;
    let error = loop {
        match journal.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it was not told"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("records up to 5 were there"), "{error}");
}

#[test]
fn check_tells_every_file_that_is_damaged() {
    let disk = MemoryDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 20);
    snapshot(&disk, &mut writer, b"one");
    append(&mut writer, 4);
    assert!(check(&disk).unwrap().is_sound());
    let segments = files(&disk, ".log");
    flip(&disk, &segments[0], 4096 + 64 + 8);
    flip(&disk, &files(&disk, ".snap")[0], 70);
    let report = check(&disk).unwrap();
    assert_eq!(report.problems().count(), 2, "{report:?}");
    assert_eq!(report.segments[0].records, 1);
    assert_eq!(report.segments[1].records, 8);
    assert!(report.segments[0].problem.is_some() && report.segments[1].problem.is_none());
}
