//! Crashes of a journal at every call of its disk, twice over, and bytes that go bad.
//!
//! A seeded workload appends, writes, syncs, rolls, makes snapshots and drops what is old, over a disk that loses what
//! was not synced. Whatever happens: what was said to be safe comes back, in order, once, and nothing that was not
//! appended. Each planted bug is found by the same suite that finds none in the journal as it is.

#[path = "log_crash/model.rs"]
mod model;
#[path = "log_crash/suite.rs"]
mod suite;

use anabranch_log::Planted;

use suite::suite;

#[test]
fn what_was_safe_survives_a_crash_at_every_call() {
    let lives = suite(Planted::None).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{lives} crashes");
    assert!(lives > 2000, "only {lives} crashes");
}

fn found(planted: Planted) -> String {
    suite(planted).expect_err("the suite must find it")
}

#[test]
fn acknowledging_before_the_sync_is_found() {
    found(Planted::AcknowledgeBeforeSync);
}

#[test]
fn skipping_the_sync_of_the_directory_is_found() {
    found(Planted::SkipDirectorySync);
}

#[test]
fn checksums_without_the_number_of_the_record_are_found() {
    let violation = found(Planted::NumberUnchecked);
    assert!(violation.contains("never appended"), "{violation}");
}

#[test]
fn cutting_a_hole_as_if_it_were_the_tail_is_found() {
    let violation = found(Planted::HoleIsTail);
    assert!(violation.contains("flipped"), "{violation}");
}

#[test]
fn removing_segments_before_the_snapshot_is_durable_is_found() {
    let violation = found(Planted::RemoveBeforeDurable);
    assert!(violation.contains("snapshot"), "{violation}");
}

#[test]
fn reusing_a_segment_without_clearing_it_is_found() {
    found(Planted::ReuseUncleared);
}

#[test]
fn leaving_a_torn_tail_behind_new_records_is_found() {
    found(Planted::TailLeft);
}
