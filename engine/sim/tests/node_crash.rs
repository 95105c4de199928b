//! Crashes of a durable node at every call of its disk, twice over.
//!
//! A seeded workload (clients with batches over several partitions, reads, subscribers, newer revisions, dropped flows) runs
//! on a node of one thread over a disk that loses what was not synced. Whatever happens: what somebody was told is there
//! when the node comes back, nothing that was refused, nothing half. Each planted bug is found by the same suite that finds
//! none in the node as it is.

#[path = "node_crash/flow.rs"]
mod flow;
#[path = "node_crash/model.rs"]
mod model;
#[path = "node_crash/suite.rs"]
mod suite;
#[path = "node_crash/world.rs"]
mod world;

use anabranch::testing::Planted;
use suite::{every_call_fails, suite};
use world::Bugs;

#[test]
fn what_anybody_was_told_survives_a_crash_at_every_call() {
    let crashes = suite(Bugs::default()).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{crashes} crashes");
    assert!(crashes > 300, "only {crashes} crashes");
}

#[test]
fn what_anybody_was_told_survives_a_failure_of_every_call() {
    let failures = every_call_fails(Bugs::default()).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{failures} failures");
    assert!(failures > 60, "only {failures} failures");
}

#[test]
fn trusting_what_can_be_read_after_a_failed_sync_is_found() {
    let journal = anabranch_log::Planted::NotRewritten;
    let violation =
        every_call_fails(Bugs { journal, ..Bugs::default() }).expect_err("the suite must find it");
    assert!(violation.contains("damaged") || violation.contains("somebody has seen"), "{violation}");
}

fn found(node: Planted) -> String {
    suite(Bugs { node, ..Bugs::default() }).expect_err("the suite must find it")
}

#[test]
fn acknowledging_before_it_is_safe_is_found() {
    let violation = found(Planted::AnswersEarly);
    assert!(violation.contains("somebody has seen"), "{violation}");
}

#[test]
fn reading_what_is_not_safe_is_found() {
    let violation = found(Planted::ReadsEarly);
    assert!(violation.contains("somebody has seen"), "{violation}");
}

#[test]
fn telling_that_a_row_is_gone_before_its_deletion_is_safe_is_found() {
    let violation = found(Planted::NothingFoundEarly);
    assert!(violation.contains("somebody has seen"), "{violation}");
}

#[test]
fn refusing_by_what_is_not_safe_is_found() {
    let violation = found(Planted::RefusalsEarly);
    // It comes back without the refusal, or does it again.
    assert!(violation.contains("somebody has seen") || violation.contains("subscribers of"), "{violation}");
}

#[test]
fn telling_subscribers_what_is_not_safe_is_found() {
    let violation = found(Planted::EmittedEarly);
    assert!(violation.contains("somebody has seen"), "{violation}");
}

#[test]
fn acknowledging_a_flow_before_it_is_safe_is_found() {
    let violation = found(Planted::FlowsEarly);
    assert!(violation.contains("flows"), "{violation}");
}

#[test]
fn keeping_a_part_of_what_was_done_is_found() {
    let violation = found(Planted::FirstRecordOnly);
    assert!(violation.contains("somebody has seen") || violation.contains("does not follow"), "{violation}");
}

#[test]
fn leaving_out_deletions_is_found() {
    let violation = found(Planted::DeletesSkipped);
    assert!(violation.contains("never was in"), "{violation}");
}

#[test]
fn doing_a_record_again_twice_is_found() {
    let violation = found(Planted::ReplayedTwice);
    assert!(violation.contains("does not follow"), "{violation}");
}

#[test]
fn leaving_out_revisions_is_found() {
    let violation = found(Planted::RevisionsSkipped);
    assert!(violation.contains("came back"), "{violation}");
}

#[test]
fn forgetting_what_was_answered_is_found() {
    let violation = found(Planted::AnswersForgotten);
    assert!(violation.contains("never was in") || violation.contains("must be answered"), "{violation}");
}

#[test]
fn forgetting_the_answers_in_a_snapshot_is_found() {
    let violation = found(Planted::SnapshotAnswersForgotten);
    // What was done again is seen in its rows, in its answer, or by those who are told of refused rows.
    let signs = ["never was in", "must be answered", "subscribers of"];
    assert!(signs.iter().any(|sign| violation.contains(sign)), "{violation}");
}

#[test]
fn leaving_out_where_partitions_of_a_snapshot_stand_is_found() {
    let violation = found(Planted::SnapshotHeadsSkipped);
    assert!(violation.contains("does not follow"), "{violation}");
}
