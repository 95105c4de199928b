//! What the keeper does while segments are made beside it, and when the disk refuses one.

use anabranch_log::{Config, LogNumber, MemoryDisk, Reader};
use anabranch_model::message::WorkerId;
use anabranch_model::plan::Sync;
use anabranch_model::zone::Term;
use anabranch_operators::{FlowPartition, Made, What};

use super::*;
use crate::safe::Condition;
use crate::snapshot::{Due, SnapshotDoor};

const SEGMENT_BYTES: u64 = 16 << 10;

fn keeper(disk: &MemoryDisk) -> (Keeper<MemoryDisk>, Safe) {
    let config = Config::new([7; 16]).segment_bytes(SEGMENT_BYTES);
    let reader = Reader::open(disk.clone(), config, LogNumber(1)).expect("it is empty");
    let safe = Safe::none(1);
    let snapshots = Handover::new(SnapshotDoor::default(), Due::new(0, u64::MAX));
    let writer = reader.into_writer().expect("a writer");
    (Keeper::new(writer, safe.clone(), snapshots).spares_aside(), safe)
}

fn recorded(count: u64) -> Recorded {
    Recorded { by: WorkerId(0), count }
}

/// The record of this number, with a body of 1 KiB.
fn step(number: u64) -> Entry {
    let part = FlowPartition { of: 1, number: 0 };
    let made = Made { part, what: What::Step, copied: false, term: Term::FIRST, seq: number, end: 1024 };
    let records = Records { made: vec![made], bytes: vec![1; 1024] };
    Entry::Steps(vec![(FlowId(0), records)], recorded(number))
}

fn safe_records(safe: &Safe) -> u64 {
    (0..100).take_while(|count| safe.covers(recorded(count + 1), Sync::Disk)).count() as u64
}

fn full() -> LogError {
    LogError::Full { tried: "make", file: "ahead.tmp".to_owned() }
}

#[test]
fn a_segment_is_made_aside_and_what_fits_before_it_does_not_wait() {
    let disk = MemoryDisk::default();
    let (mut keeper, safe) = keeper(&disk);
    keeper.take(std::iter::once(step(1)));
    assert_eq!(keeper.commit(), Keeping::On);
    let order = keeper.order_spare().expect("a part of the segment is used");
    assert!(keeper.order_spare().is_none(), "one is under way");
    keeper.take((2..=30).map(step));
    assert_eq!(keeper.commit(), Keeping::Lacking);
    let before = safe_records(&safe);
    assert!((8..30).contains(&before), "{before} records fit into the segment");
    assert_eq!((keeper.commit(), safe_records(&safe)), (Keeping::Lacking, before));
    keeper.put_spare(order.make(&disk));
    assert_eq!(keeper.commit(), Keeping::Lacking);
    let order = keeper.order_spare().expect("the next is needed at once");
    keeper.put_spare(order.make(&disk));
    assert_eq!((keeper.commit(), safe_records(&safe)), (Keeping::On, 30));
}

#[test]
fn a_refused_segment_halts_the_journal_only_when_it_is_needed_and_until_it_is_made() {
    let disk = MemoryDisk::default();
    let (mut keeper, safe) = keeper(&disk);
    keeper.take(std::iter::once(step(1)));
    keeper.commit();
    let order = keeper.order_spare().expect("a part of the segment is used");
    keeper.put_spare(Err(full()));
    assert_eq!((keeper.commit(), &**safe.condition()), (Keeping::On, &Condition::Sound));
    assert!(keeper.order_spare().is_none(), "it is not tried again before it is needed");
    let (told, kept) = bounded(1);
    keeper.set_now(5);
    keeper.take((2..=12).map(step).chain([Entry::Flow(FlowId(1), FlowChange::Dropped, told)]));
    assert_eq!(keeper.commit(), Keeping::Lacking);
    assert!(keeper.order_spare().is_some());
    keeper.put_spare(Err(full()));
    assert_eq!(keeper.commit(), Keeping::Halted);
    assert!(
        matches!(&**safe.condition(), Condition::Halted(Trouble { since: 5, why }) if why.contains("is full"))
    );
    assert!(kept.try_recv().expect("it is told").expect_err("turned down").why().contains("is full"));
    keeper.put_spare(order.make(&disk));
    assert_eq!((keeper.commit(), safe_records(&safe)), (Keeping::On, 12));
    assert_eq!(**safe.condition(), Condition::Sound);
}

#[test]
fn a_journal_that_is_stopped_while_it_is_halted_ends() {
    let disk = MemoryDisk::default();
    let (mut keeper, safe) = keeper(&disk);
    keeper.take((1..=20).map(step).chain([Entry::Stop]));
    assert_eq!(keeper.commit(), Keeping::Lacking);
    keeper.put_spare(Err(full()));
    assert_eq!(keeper.commit(), Keeping::Ended);
    assert!(matches!(**safe.condition(), Condition::Broken(_)) && safe_records(&safe) < 20);
}

/// How many records of counts a journal has.
fn records_of_counts(disk: &MemoryDisk) -> usize {
    let mut reader = Reader::open(disk.clone(), Config::new([7; 16]), LogNumber(1)).expect("it is there");
    let mut count = 0;
    while let Some(entry) = reader.next().expect("it is whole") {
        count += usize::from(entry.record.kind == Kind::Counts);
    }
    count
}

#[test]
fn counts_are_kept_once_a_second_and_when_the_journal_ends() {
    let disk = MemoryDisk::default();
    let (mut keeper, _) = keeper(&disk);
    let second = crate::tally::COUNTED_EVERY;
    for now in (second..4 * second).step_by(second as usize / 4) {
        keeper.set_now(now);
        keeper.take((0..4).map(|worker| Entry::Counted(WorkerId(worker), Tally::default())));
        keeper.commit();
    }
    assert_eq!(records_of_counts(&disk), 3, "however many workers tell");
    assert!(keeper.has_counts());
    keeper.set_now(4 * second);
    keeper.commit();
    assert_eq!((records_of_counts(&disk), keeper.has_counts()), (4, false));
    keeper.take([Entry::Counted(WorkerId(0), Tally::default()), Entry::Stop].into_iter());
    assert_eq!((keeper.commit(), records_of_counts(&disk)), (Keeping::Ended, 5));
}
