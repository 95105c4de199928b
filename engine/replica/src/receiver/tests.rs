//! What a copy takes, and what it says.

use anabranch_model::zone::Holder;

use super::*;

const A: MemberId = MemberId(1);
const G: Group = Group { copies: 2, number: 1 };
const H: Group = Group { copies: 2, number: 2 };

/// What is known: `A` owns `G` since this term, and `H` since the first.
fn known(since: u64) -> impl Fn(Item<'_>) -> Option<Tenure> {
    move |item| {
        let group = item.group;
        let since = Term(if group == G { since } else { 1 });
        Some(Tenure { since, term: since, holder: Holder::There(A) })
    }
}

fn item(group: Group, term: u64, bytes: &[u8]) -> Item<'_> {
    Item { group, term: Term(term), bytes }
}

/// Gives a receiver items of epoch 1; what was applied.
fn take(
    receiver: &mut Receiver,
    first: u64,
    items: &[Item<'_>],
    since: u64,
) -> Result<String, TakeError<()>> {
    let mut applied = String::new();
    receiver.take(1, first, items.iter().copied(), known(since), |item| Ok(push(&mut applied, item)))?;
    Ok(applied)
}

fn push(applied: &mut String, item: Item<'_>) -> u64 {
    applied.push_str(std::str::from_utf8(item.bytes).unwrap());
    applied.len() as u64
}

fn ack(applied: u64, durable: u64, fenced: &[u64]) -> Ack {
    Ack { epoch: 1, applied, durable, fenced: fenced.to_vec(), broken: false }
}

#[test]
fn items_are_applied_once_and_in_order() {
    let mut receiver = Receiver::new(A, 100);
    let items = [b"a", b"b", b"c", b"d"].map(|bytes| item(G, 1, bytes));
    assert_eq!(take(&mut receiver, 1, &items[..2], 1).unwrap(), "ab");
    assert_eq!(take(&mut receiver, 1, &items[..3], 1).unwrap(), "c");
    assert_eq!(take(&mut receiver, 5, &items[..1], 1), Err(TakeError::Hole { next: 4, came: 5 }));
    assert_eq!(take(&mut receiver, 4, &items[3..], 1).unwrap(), "d");
    assert_eq!(receiver.taken(), 4);
}

#[test]
fn an_acknowledgement_tells_all_at_once_and_only_news() {
    let mut receiver = Receiver::new(A, 100);
    let items = [b"a", b"b", b"c", b"d"].map(|bytes| item(G, 1, bytes));
    assert_eq!(receiver.ack(9), None);
    take(&mut receiver, 1, &items, 1).unwrap();
    assert_eq!(receiver.ack(0), Some(ack(4, 0, &[])));
    assert_eq!(receiver.ack(2), Some(ack(4, 2, &[])));
    assert_eq!(receiver.ack(2), None);
    assert_eq!(receiver.stand(), ack(4, 2, &[]));
    assert_eq!(receiver.ack(u64::MAX), Some(ack(4, 4, &[])));
}

#[test]
fn items_wait_for_news_of_their_terms_and_those_behind_with_them() {
    let mut receiver = Receiver::new(A, 100);
    let items = [item(G, 1, b"a"), item(G, 2, b"b"), item(H, 1, b"c")];
    assert_eq!(take(&mut receiver, 1, &items, 1).unwrap(), "a");
    assert_eq!(take(&mut receiver, 2, &items[1..], 2).unwrap(), "", "what waits came already");
    assert_eq!((receiver.stand(), receiver.waiting_bytes()), (ack(1, 0, &[]), 2));
    let mut applied = String::new();
    receiver.resume(known(1), |item| Ok::<_, ()>(push(&mut applied, item))).unwrap();
    assert_eq!(applied, "");
    receiver.resume(known(2), |item| Ok::<_, ()>(push(&mut applied, item))).unwrap();
    assert_eq!((applied.as_str(), receiver.waits(), receiver.waiting_bytes()), ("bc", false, 0));
    receiver.take(1, 4, [item(G, 9, b"e")], |_| None, |_| Err(())).unwrap();
    assert!(receiver.waits(), "nothing is known of the group");
}

#[test]
fn what_waits_is_bounded() {
    let mut receiver = Receiver::new(A, 10);
    let long = item(G, 2, b"twelve bytes");
    take(&mut receiver, 1, &[long], 1).unwrap();
    assert_eq!(take(&mut receiver, 2, &[item(G, 2, b"a")], 1), Err(TakeError::Full { window: 10 }));
    assert_eq!(receiver.stand().applied, 0);
}

#[test]
fn items_of_an_earlier_owner_are_fenced_and_that_is_told_on_each_link() {
    let mut receiver = Receiver::new(A, 100);
    let items = [item(G, 3, b"a"), item(G, 2, b"b"), item(H, 1, b"c"), item(G, 2, b"d")];
    assert_eq!(take(&mut receiver, 1, &items, 3).unwrap(), "ac");
    assert_eq!(receiver.ack(u64::MAX), Some(ack(4, 4, &[4])));
    take(&mut receiver, 5, &[item(H, 1, b"e")], 3).unwrap();
    assert_eq!(receiver.ack(u64::MAX), Some(ack(5, 5, &[])));
    assert_eq!(receiver.stand(), ack(5, 5, &[4]));
}

#[test]
fn what_cannot_be_applied_ends_the_lane_until_there_is_a_new_one() {
    let mut receiver = Receiver::new(A, 100);
    let items = [item(H, 1, b"a"), item(H, 1, b"b")];
    let fails = |item: Item<'_>| if item.bytes == b"b" { Err("no room") } else { Ok(1) };
    let result = receiver.take(1, 1, items, known(1), fails);
    assert_eq!(result, Err(TakeError::Failed(2, "no room")));
    assert_eq!(receiver.stand(), Ack { broken: true, ..ack(1, 0, &[]) });
    assert_eq!(take(&mut receiver, 2, &items[1..], 1).unwrap(), "", "it takes nothing any more");
    receiver.take(2, 1, items, known(1), |_| Ok::<_, ()>(0)).unwrap();
    assert_eq!(receiver.stand(), Ack { epoch: 2, ..ack(2, 0, &[]) });
    assert_eq!(take(&mut receiver, 3, &items[1..], 1).unwrap(), "", "it is of the lane before");
}

#[test]
fn errors_say_what_is_to_be_done() {
    let hole: TakeError<&str> = TakeError::Hole { next: 4, came: 6 };
    assert!(hole.to_string().contains("item 6") && hole.to_string().contains("made anew"));
    assert!(TakeError::Failed(3, "no room").to_string().contains("(no room)"));
}
