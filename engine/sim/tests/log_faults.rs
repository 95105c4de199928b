//! Calls that fail: which poison the journal, which are got over, and that nothing that was safe is lost by either.

#![expect(clippy::unwrap_used, reason = "tests fail where something fails")]

use std::io::ErrorKind;

use anabranch_log::{
    Config, Disk, Error, Kind, LogNumber, Planted, Position, Reader, Record, SnapshotWriter, Writer,
};
use anabranch_sim::{Chance, Fault, Lost, SimDisk};

#[path = "log_crash/model.rs"]
#[expect(dead_code, reason = "the crash suite uses all of it")]
mod model;

use model::Model;

const SEGMENT_BYTES: u64 = 4096 + 1024;

fn open(disk: &SimDisk) -> Writer<SimDisk> {
    let config = Config::new([7; 16]).segment_bytes(SEGMENT_BYTES);
    Reader::open(disk.clone(), config, LogNumber(1)).unwrap().into_writer().unwrap()
}

fn append(writer: &mut Writer<SimDisk>) -> Result<LogNumber, Error> {
    writer.append(&Record { kind: Kind::Step, position: Position::default(), body: &[1; 40] })
}

fn count(disk: &SimDisk) -> u64 {
    let mut reader = Reader::open(disk.clone(), Config::new([7; 16]), LogNumber(1)).unwrap();
    while reader.next().unwrap().is_some() {}
    reader.position().before().0
}

/// Goes through a workload in which one call fails; the journal must be poisoned, or get over it. Then the process starts
/// anew, and after it the machine.
fn one_call_fails(seed: u64, call: u64, kind: ErrorKind, planted: Planted) -> Result<(bool, bool), String> {
    let (disk, mut model, mut chance) = (SimDisk::new(seed), Model::default(), Chance::new(seed));
    let mut writer = model.reopen(&disk, planted).unwrap();
    disk.fail_at(disk.calls() + call, Fault::Error(kind));
    let last = disk.calls() + call;
    let mut refused = 0;
    for _ in 0..60 {
        let done = model.work(&mut writer, &disk, &mut chance, 1);
        let Err(error) = done else { continue };
        refused += 1;
        if let Some(poison) = writer.poison() {
            let said = error.to_string();
            assert!(said.contains(poison), "{said}");
            for again in [append(&mut writer), writer.write(), writer.sync()] {
                assert_eq!(again.unwrap_err().to_string(), said);
            }
            break;
        }
        assert_eq!(refused, 1, "seed {seed}, call {call}: one call failed, and this one, too: {error}");
    }
    let poisoned = writer.poison().is_some();
    for lost in [Lost::Nothing, Lost::AtRandom, Lost::Everything] {
        disk.restart(lost);
        model
            .reopen(&disk, planted)
            .map_err(|failed| format!("seed {seed}, call {call}, {kind:?}, lost {lost:?}: {failed:?}"))?;
    }
    Ok((disk.calls() >= last, poisoned))
}

/// Lets every call of some workloads fail; how many runs were poisoned, and how many not.
fn every_call_fails(kind: ErrorKind, planted: Planted) -> Result<(u32, u32), String> {
    let (mut poisoned, mut survived) = (0, 0);
    for seed in 0..4 {
        for call in 1..80 {
            let (reached, is_poisoned) = one_call_fails(seed, call, kind, planted)?;
            if !reached {
                break;
            }
            (poisoned, survived) = (poisoned + u32::from(is_poisoned), survived + u32::from(!is_poisoned));
        }
    }
    Ok((poisoned, survived))
}

#[test]
fn a_call_that_fails_poisons_or_is_got_over_and_nothing_safe_is_lost() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        let (poisoned, survived) =
            every_call_fails(kind, Planted::None).unwrap_or_else(|violation| panic!("{violation}"));
        assert!(poisoned > 10 && survived > 10, "{kind:?}: {poisoned} poisoned, {survived} survived");
    }
}

#[test]
fn trusting_what_can_be_read_after_a_failed_sync_is_found() {
    let violation = every_call_fails(ErrorKind::Other, Planted::NotRewritten).unwrap_err();
    assert!(violation.contains("was safe"), "{violation}");
}

#[test]
fn a_failed_write_poisons_and_what_was_safe_stays_readable() {
    let disk = SimDisk::new(1);
    let mut writer = open(&disk);
    append(&mut writer).unwrap();
    writer.write().unwrap();
    writer.sync().unwrap();
    append(&mut writer).unwrap();
    disk.fail_at(disk.calls() + 1, Fault::Error(ErrorKind::Other));
    let error = writer.write().unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
    assert!(error.to_string().contains("cannot write `journal-00000000000000000001.log`"), "{error}");
    assert_eq!(writer.safe(), LogNumber(1));
    assert!(count(&disk) >= 1);
}

#[test]
fn a_failed_sync_poisons_even_where_the_disk_is_only_full() {
    let disk = SimDisk::new(1);
    let mut writer = open(&disk);
    append(&mut writer).unwrap();
    writer.write().unwrap();
    disk.fail_at(disk.calls() + 1, Fault::Error(ErrorKind::StorageFull));
    assert!(matches!(writer.sync(), Err(Error::Poisoned { .. })));
    // What a failed sync left out is not made durable by a later one that succeeds.
    assert!(matches!(writer.sync(), Err(Error::Poisoned { .. })));
    disk.restart(Lost::Everything);
    assert_eq!(count(&disk), 0);
}

#[test]
fn a_full_disk_refuses_records_until_there_is_space_and_loses_none() {
    let disk = SimDisk::new(1);
    let mut writer = open(&disk);
    disk.set_capacity(2 * SEGMENT_BYTES);
    let mut appended = 0;
    let error = loop {
        match append(&mut writer) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(error.to_string().contains("make space"), "{error}");
    // What has come so far can still be made safe, and asking again changes nothing.
    assert!(matches!(append(&mut writer), Err(Error::Full { .. })));
    writer.write().unwrap();
    assert_eq!(writer.sync().unwrap(), LogNumber(appended));
    assert_eq!((writer.next().before(), count(&disk)), (LogNumber(appended), appended));
    disk.set_capacity(3 * SEGMENT_BYTES);
    assert_eq!(append(&mut writer).unwrap(), LogNumber(appended + 1));
    writer.write().unwrap();
    writer.sync().unwrap();
    disk.restart(Lost::Everything);
    assert_eq!(count(&disk), appended + 1);
}

#[test]
fn a_write_that_meets_a_full_disk_is_made_again_at_the_same_place() {
    let disk = SimDisk::new(3);
    let mut writer = open(&disk);
    for _ in 0..4 {
        append(&mut writer).unwrap();
    }
    disk.fail_at(disk.calls() + 1, Fault::Error(ErrorKind::StorageFull));
    assert!(matches!(writer.write(), Err(Error::Full { .. })));
    assert!(writer.poison().is_none());
    append(&mut writer).unwrap();
    assert_eq!(writer.write().unwrap(), LogNumber(5));
    assert_eq!(writer.sync().unwrap(), LogNumber(5));
    disk.restart(Lost::Everything);
    assert_eq!(count(&disk), 5);
}

#[test]
fn a_snapshot_that_finds_no_space_leaves_none_taken_and_the_journal_goes_on() {
    let disk = SimDisk::new(1);
    let mut writer = open(&disk);
    append(&mut writer).unwrap();
    writer.write().unwrap();
    writer.sync().unwrap();
    let before = disk.list().unwrap();
    disk.set_capacity(SEGMENT_BYTES + 100);
    let mut snapshot = SnapshotWriter::begin(disk.clone(), writer.snapshot_start()).unwrap();
    let refused = snapshot.chunk(LogNumber(1), &vec![1; 2 << 20]).unwrap_err();
    assert!(matches!(refused, Error::Full { .. }), "{refused}");
    assert_eq!(disk.list().unwrap(), before);
    append(&mut writer).unwrap();
    writer.write().unwrap();
    assert_eq!(writer.sync().unwrap(), LogNumber(2));
}
