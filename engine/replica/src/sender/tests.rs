//! What goes out, what is kept, and what the copy is known to have.

use super::*;

const G: Group = Group { copies: 2, number: 1 };
const H: Group = Group { copies: 2, number: 2 };

/// A lane with a link that waits for `G`, and records of these groups, counted from 1.
fn lane(groups: &[Group]) -> Sender {
    let mut lane = Sender::new(5);
    lane.wait_for(G, true);
    lane.reconnected(&Ack::default()).unwrap();
    for (count, group) in (1..).zip(groups) {
        lane.push(*group, count, 100 + count, |bytes| bytes.extend_from_slice(&[count as u8; 10]));
    }
    lane
}

fn ack(applied: u64, durable: u64, fenced: &[u64]) -> Ack {
    Ack { epoch: 5, applied, durable, fenced: fenced.to_vec(), broken: false }
}

fn sent(lane: &mut Sender, bytes_most: usize) -> Vec<(u64, Vec<u8>)> {
    std::iter::from_fn(|| lane.next(bytes_most).map(|frame| (frame.first, frame.bytes.to_vec()))).collect()
}

fn counts(lane: &Sender) -> [u64; 2] {
    [lane.applied_count(), lane.durable_count()]
}

#[test]
fn frames_have_whole_items_and_at_least_one() {
    let mut lane = lane(&[G; 5]);
    let firsts: Vec<_> = sent(&mut lane, 25).into_iter().map(|(first, bytes)| (first, bytes.len())).collect();
    assert_eq!(firsts, [(1, 20), (3, 20), (5, 10)]);
    lane.push(G, 6, 0, |bytes| bytes.extend_from_slice(&[6; 99]));
    assert_eq!(sent(&mut lane, 25), [(6, vec![6; 99])]);
    assert!(!lane.has_next());
}

#[test]
fn after_a_new_link_the_lane_goes_on_where_the_copy_stands() {
    let mut lane = lane(&[G; 6]);
    sent(&mut lane, 1000);
    lane.acked(&ack(2, 1, &[])).unwrap();
    lane.disconnected();
    assert_eq!(lane.next(1000), None);
    lane.push(G, 7, 0, |bytes| bytes.push(7));
    lane.reconnected(&ack(4, 2, &[])).unwrap();
    let frame = lane.next(1000).unwrap();
    assert_eq!((frame.first, frame.items, frame.bytes.len()), (5, 3, 21));
    assert_eq!((counts(&lane), lane.items_under_way(), lane.bytes_under_way()), ([4, 2], 3, 21));
}

#[test]
fn a_copy_that_forgot_or_knows_what_was_never_sent_is_lost() {
    let mut lane = lane(&[G; 6]);
    lane.next(35);
    lane.acked(&ack(1, 0, &[])).unwrap();
    for wrong in [ack(4, 0, &[]), ack(2, 3, &[]), ack(2, 2, &[3]), Ack { broken: true, ..ack(2, 2, &[]) }] {
        assert!(lane.acked(&wrong).is_err(), "{wrong:?}");
    }
    for wrong in [ack(0, 0, &[]), ack(4, 4, &[]), Ack { epoch: 4, ..ack(3, 3, &[]) }, Ack::default()] {
        assert!(lane.reconnected(&wrong).is_err(), "{wrong:?}");
    }
    lane.acked(&Ack { epoch: 4, ..ack(3, 3, &[]) }).unwrap();
    assert_eq!(counts(&lane), [1, 0], "what was said of another lane or wrongly has no effect");
    lane.reconnected(&ack(3, 3, &[])).unwrap();
}

#[test]
fn a_copy_that_forgot_what_it_never_acknowledged_gets_it_again() {
    let mut lane = lane(&[G; 3]);
    sent(&mut lane, 1000);
    lane.reconnected(&Ack { epoch: 4, ..ack(99, 99, &[99]) }).unwrap();
    assert_eq!(lane.next(1000).map(|frame| (frame.first, frame.items)), Some((1, 3)));
}

#[test]
fn records_of_groups_that_need_not_be_there_hold_nothing_back() {
    let mut lane = lane(&[H, G, H, G, H]);
    sent(&mut lane, 1000);
    assert_eq!(counts(&lane), [1, 1]);
    lane.acked(&ack(2, 1, &[])).unwrap();
    assert_eq!(counts(&lane), [3, 1]);
    lane.acked(&ack(4, 4, &[])).unwrap();
    assert_eq!(counts(&lane), [u64::MAX; 2]);
    lane.push(H, 6, 0, |_| ());
    assert_eq!(counts(&lane), [u64::MAX; 2]);
    lane.push(G, 9, 0, |_| ());
    assert_eq!(counts(&lane), [8, 8]);
}

#[test]
fn a_group_that_is_waited_for_from_now_on_holds_back_what_is_under_way() {
    let mut lane = lane(&[H, H, G, H]);
    lane.push_piece(H, 0, |_| ());
    sent(&mut lane, 1000);
    lane.acked(&ack(1, 0, &[])).unwrap();
    assert!(!lane.has_pieces(H, Sync::Memory) && !lane.has_joined(H, Sync::Memory));
    lane.wait_for(H, true);
    assert_eq!(counts(&lane), [1, 0]);
    lane.push(H, 5, 0, |_| ());
    lane.acked(&ack(5, 4, &[])).unwrap();
    assert!(lane.has_pieces(H, Sync::Memory) && !lane.has_pieces(H, Sync::Disk));
    assert!(lane.has_joined(H, Sync::Memory) && !lane.has_joined(H, Sync::Disk));
    lane.wait_for(H, false);
    assert_eq!(counts(&lane), [u64::MAX; 2]);
    assert!(!lane.has_joined(H, Sync::Memory));
}

#[test]
fn what_was_fenced_holds_back_until_it_is_forgiven() {
    let mut lane = lane(&[G, H, G, G]);
    sent(&mut lane, 1000);
    lane.acked(&ack(1, 0, &[])).unwrap();
    lane.acked(&ack(4, 4, &[3])).unwrap();
    assert_eq!(
        counts(&lane),
        [2, 0],
        "the first was applied before, but nobody knows whether it is on the disk"
    );
    lane.reconnected(&ack(4, 4, &[3])).unwrap();
    lane.push(G, 9, 0, |_| ());
    lane.next(1000);
    lane.forgive(G);
    assert_eq!(counts(&lane), [u64::MAX; 2]);
    lane.acked(&ack(5, 5, &[5])).unwrap();
    assert_eq!(counts(&lane), [u64::MAX; 2], "it was fenced after it was forgiven");
    lane.push(G, 10, 0, |_| ());
    assert_eq!(counts(&lane), [9, 9]);
}

#[test]
fn a_copy_that_fenced_has_neither_pieces_nor_joined() {
    let mut lane = lane(&[G]);
    lane.push_piece(H, 0, |_| ());
    lane.wait_for(H, true);
    sent(&mut lane, 1000);
    lane.acked(&ack(2, 2, &[2])).unwrap();
    assert!(!lane.has_pieces(H, Sync::Memory) && !lane.has_joined(H, Sync::Memory));
    lane.forgive(H);
    lane.push_piece(H, 0, |_| ());
    lane.next(1000);
    assert!(!lane.has_pieces(H, Sync::Memory));
    lane.acked(&ack(3, 3, &[])).unwrap();
    assert!(lane.has_pieces(H, Sync::Memory));
}

#[test]
fn pieces_under_way_are_bounded() {
    let mut lane = lane(&[]);
    let mut pieces = 0;
    while lane.takes_piece() {
        pieces = lane.push_piece(H, 0, |bytes| bytes.extend_from_slice(&[0; PIECE_BYTES_WINDOW / 4]));
    }
    assert_eq!(pieces, 4);
    sent(&mut lane, 1);
    lane.acked(&ack(1, 0, &[])).unwrap();
    assert!(lane.takes_piece());
    lane.push_piece(H, 0, |bytes| bytes.extend_from_slice(&[0; PIECE_BYTES_WINDOW]));
    assert!(!lane.takes_piece());
    lane.next(usize::MAX);
    lane.acked(&ack(5, 0, &[5])).unwrap();
    assert!(lane.takes_piece() && lane.piece_bytes == 0);
}

#[test]
fn what_was_applied_takes_no_memory() {
    let mut lane = lane(&[]);
    let mut most = 0;
    for count in 1..=10_000 {
        lane.push(G, count, 0, |bytes| bytes.extend_from_slice(&[1; 1000]));
        sent(&mut lane, 1 << 20);
        lane.acked(&ack(count.saturating_sub(10), count.saturating_sub(20), &[])).unwrap();
        most = most.max(lane.bytes.len());
        assert_eq!(lane.bytes_under_way(), count.min(10) * 1000);
    }
    assert!(most <= 22_000 && lane.items.len() == 20, "{most}");
    lane.acked(&ack(10_000, 10_000, &[])).unwrap();
    assert!(lane.bytes.capacity() <= BYTES_KEPT && lane.items.is_empty());
}

#[test]
fn the_oldest_item_tells_its_age_and_a_lane_that_is_full() {
    let mut lane = lane(&[G, G]);
    assert_eq!(lane.age(Sync::Disk, 201), Some(100));
    sent(&mut lane, 1000);
    lane.acked(&ack(2, 1, &[])).unwrap();
    assert_eq!((lane.age(Sync::Memory, 300), lane.age(Sync::Disk, 300)), (None, Some(198)));
    (0..LANE_ITEMS_MAX - 2).for_each(|_| assert!(lane.push(H, 9, 0, |_| ()) > 2));
    assert!(!lane.is_full());
    lane.push(H, 9, 0, |_| ());
    assert!(lane.is_full());
}
