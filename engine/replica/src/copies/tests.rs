//! Which records are covered, and who gets what.

use super::*;

const B: MemberId = MemberId(2);
const C: MemberId = MemberId(3);
const G: Group = Group { copies: 3, number: 1 };
const H: Group = Group { copies: 2, number: 2 };

fn copies() -> Copies {
    let mut copies = Copies::new();
    for member in [B, C] {
        assert!(copies.add(member, 2, 7));
        (0..2).for_each(|worker| copies.reconnected(member, worker, &Ack::default()).unwrap());
    }
    copies
}

fn push(copies: &mut Copies, group: Group, partition: u32, count: u64) {
    copies.push(group, partition, count, 0, |bytes| bytes.push(count as u8));
}

/// A member's worker says that it has applied, and has on its disk, so many items.
fn ack(copies: &mut Copies, member: MemberId, worker: u32, applied: u64, durable: u64) {
    while copies.next(member, worker, 100).is_some() {}
    copies.acked(member, worker, &Ack { epoch: 7, applied, durable, ..Ack::default() }).unwrap();
}

fn covered(copies: &Copies) -> [u64; 2] {
    let last = |sync| (0..100).take_while(|count| copies.covers(*count, sync)).last().unwrap();
    [Sync::Memory, Sync::Disk].map(last)
}

#[test]
fn a_record_is_covered_when_all_have_it_that_it_waits_for() {
    let mut copies = copies();
    assert!(copies.covers(u64::MAX, Sync::Disk));
    copies.set(G, &[B, C], &[]).unwrap();
    copies.set(H, &[B], &[C]).unwrap();
    push(&mut copies, G, 0, 1);
    push(&mut copies, H, 1, 2);
    push(&mut copies, G, 2, 3);
    assert_eq!(covered(&copies), [0, 0]);
    ack(&mut copies, B, 0, 2, 1);
    assert_eq!(covered(&copies), [0, 0], "C has nothing");
    ack(&mut copies, C, 0, 2, 2);
    assert_eq!(covered(&copies), [1, 1], "the second is not with B; C need not have it");
    ack(&mut copies, B, 1, 1, 0);
    assert_eq!(covered(&copies), [99, 1]);
    ack(&mut copies, B, 1, 1, 1);
    assert_eq!(covered(&copies), [99, 2]);
    push(&mut copies, G, 0, 4);
    assert_eq!(covered(&copies), [3, 2]);
}

#[test]
fn records_go_to_the_worker_of_their_partition_and_to_nobody_else() {
    let mut copies = copies();
    copies.set(G, &[B], &[]).unwrap();
    push(&mut copies, G, 0, 1);
    push(&mut copies, G, 5, 2);
    push(&mut copies, H, 0, 3);
    assert_eq!(copies.next(B, 0, 100).unwrap().bytes, [1]);
    assert_eq!(copies.next(B, 1, 100).unwrap().bytes, [2]);
    assert!(copies.lanes().all(|(_, _, lane)| !lane.has_next()));
}

#[test]
fn a_copy_joins_when_it_has_what_was_seen_before_it_was_waited_for() {
    let mut copies = copies();
    copies.set(G, &[B], &[C]).unwrap();
    assert!(copies.push_piece(G, C, 0, 0, |_| ()) && copies.push_piece(G, C, 1, 0, |_| ()));
    ack(&mut copies, C, 0, 1, 1);
    assert!(!copies.has_pieces(G, C, Sync::Disk));
    ack(&mut copies, C, 1, 1, 1);
    assert!(copies.has_pieces(G, C, Sync::Disk));
    push(&mut copies, G, 0, 1);
    ack(&mut copies, B, 0, 1, 1);
    assert_eq!(covered(&copies), [99, 99], "it was seen, and C does not have it");
    copies.set(G, &[B, C], &[]).unwrap();
    assert_eq!(covered(&copies), [0, 0]);
    assert!(!copies.has_joined(G, C, Sync::Disk) && !copies.has_joined(G, C, Sync::Memory));
    ack(&mut copies, C, 0, 2, 1);
    assert!(copies.has_joined(G, C, Sync::Memory) && !copies.has_joined(G, C, Sync::Disk));
    assert!(!copies.has_joined(H, C, Sync::Memory));
}

#[test]
fn a_copy_that_is_dropped_holds_nothing_back_and_begins_anew_when_it_comes_back() {
    let mut copies = copies();
    copies.set(G, &[B, C], &[]).unwrap();
    push(&mut copies, G, 0, 1);
    ack(&mut copies, B, 0, 1, 1);
    assert!(!copies.remove(C), "it is waited for");
    assert_eq!(covered(&copies), [0, 0]);
    copies.set(G, &[B], &[]).unwrap();
    assert_eq!(covered(&copies), [99, 99]);
    assert!(!copies.push_piece(G, C, 0, 0, |_| ()), "it does not follow");
    copies.set(G, &[B, C], &[]).unwrap();
    assert_eq!(covered(&copies), [99, 99], "what it was sent before does not count");
    copies.set(G, &[B], &[C]).unwrap();
    assert!(copies.remove(C) && copies.add(C, 1, 8));
    push(&mut copies, G, 0, 2);
    assert_eq!(copies.lanes().filter(|(member, _, lane)| *member == C && lane.pushed() == 0).count(), 1);
}

#[test]
fn a_group_that_is_lost_holds_nothing_back() {
    let mut copies = copies();
    copies.set(G, &[B], &[]).unwrap();
    push(&mut copies, G, 0, 1);
    copies.lose(G);
    assert_eq!(covered(&copies), [99, 99]);
    push(&mut copies, G, 0, 2);
    assert_eq!(copies.lanes().map(|(_, _, lane)| lane.pushed()).sum::<u64>(), 1);
}

#[test]
fn a_member_without_lanes_cannot_be_waited_for() {
    let mut copies = copies();
    assert_eq!(copies.set(G, &[B, MemberId(9)], &[]), Err(Unknown(MemberId(9))));
    push(&mut copies, G, 0, 1);
    assert_eq!(covered(&copies), [99, 99]);
}
