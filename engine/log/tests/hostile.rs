//! Readers over bytes that nobody wrote as they are: no panic, no memory beyond what the files fill, nothing invented.

use anabranch_log::{
    Config, Kind, LogNumber, MemoryDisk, Position, Reader, Record, SnapshotWriter, check, recover,
};
use proptest::prelude::*;

const SEGMENT: &str = "journal-00000000000000000001.log";
const SNAPSHOT: &str = "snapshot-00000000000000000002.snap";

fn config() -> Config {
    Config::new([7; 16]).segment_bytes(4096 + 1024)
}

/// Five records and a snapshot of two of them.
fn sound() -> Result<MemoryDisk, anabranch_log::Error> {
    let disk = MemoryDisk::default();
    let mut writer = Reader::open(disk.clone(), config(), LogNumber(1))?.into_writer()?;
    for number in 1..=5 {
        let body = vec![number as u8; 20 * number];
        writer.append(&Record { kind: Kind::Step, position: Position::default(), body: &body })?;
        writer.write()?;
        writer.sync()?;
        if number == 2 {
            let mut snapshot = SnapshotWriter::begin(disk.clone(), writer.snapshot_start())?;
            snapshot.chunk(LogNumber(2), &body)?;
            snapshot.chunk(LogNumber(2), b"end")?;
            snapshot.finish(LogNumber(2))?;
        }
    }
    Ok(disk)
}

/// Does with a directory all that a node and `check` do.
fn use_all(disk: &MemoryDisk) {
    drop(check(disk));
    let Ok(mut recovery) = recover(disk.clone(), config()) else { return };
    while let Some(Ok(Some(_))) = recovery.snapshot.as_mut().map(|snapshot| snapshot.next()) {}
    while let Ok(Some(entry)) = recovery.journal.next() {
        // All that this journal ever had.
        let number = entry.number.0 as usize;
        assert_eq!(entry.record.body, vec![number as u8; 20 * number]);
    }
    drop(recovery.journal.into_writer());
}

fn damage(bytes: &mut Vec<u8>, changes: &[(usize, Vec<u8>)], cut: Option<usize>) {
    for (at, with) in changes {
        let at = at % bytes.len();
        let count = with.len().min(bytes.len() - at);
        bytes[at..at + count].copy_from_slice(&with[..count]);
    }
    if let Some(cut) = cut {
        bytes.truncate(cut % bytes.len());
    }
}

proptest! {
    #[test]
    fn any_bytes_as_files_are_refused_or_empty(
        segment in prop::collection::vec(any::<u8>(), 0..6000),
        snapshot in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let disk = MemoryDisk::default();
        disk.write(SEGMENT, segment);
        use_all(&disk);
        disk.write(SNAPSHOT, snapshot);
        use_all(&disk);
    }

    #[test]
    fn a_damaged_journal_gives_nothing_that_was_not_written(
        changes in prop::collection::vec((any::<usize>(), prop::collection::vec(any::<u8>(), 1..40)), 0..4),
        low in prop::collection::vec((4090usize..4700, prop::collection::vec(any::<u8>(), 1..4)), 0..4),
        cut in prop::option::of(any::<usize>()),
        which in any::<bool>(),
    ) {
        let disk = sound().expect("memory does not fail");
        let name = if which { SEGMENT } else { SNAPSHOT };
        let mut bytes = disk.read(name).expect("it was written");
        damage(&mut bytes, &changes, cut);
        if which && !bytes.is_empty() {
            damage(&mut bytes, &low, None);
        }
        disk.write(name, bytes);
        use_all(&disk);
    }
}

/// A body that is full of heads of records must neither be taken for some nor take long.
#[test]
fn a_body_that_looks_like_records_is_none() {
    let disk = sound().expect("memory does not fail");
    let bytes = disk.read(SEGMENT).expect("it was written");
    let fake: Vec<u8> = bytes[4096..4096 + 56].repeat(50_000);
    let big = MemoryDisk::default();
    let written = (|| {
        let mut writer = Reader::open(big.clone(), Config::new([8; 16]), LogNumber(1))?.into_writer()?;
        for body in [b"one".as_slice(), &fake] {
            writer.append(&Record { kind: Kind::Step, position: Position::default(), body })?;
        }
        writer.write()
    })();
    written.expect("memory does not fail");
    let mut torn = big.read(SEGMENT).expect("it was written");
    torn[4096 + 64] ^= 1;
    big.write(SEGMENT, torn);
    let mut reader = Reader::open(big, config(), LogNumber(1)).expect("it has a header");
    let mut count = 0;
    while let Ok(Some(_)) = reader.next() {
        count += 1;
    }
    assert_eq!((count, reader.torn().is_some()), (1, true));
}
