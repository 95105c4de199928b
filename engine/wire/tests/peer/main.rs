//! What nodes say to each other: it reads as it was written, and bytes that nobody wrote so are an error and no panic.

mod read_all;
mod values;

use anabranch_model::message::WorkerId;
use anabranch_model::zone::{Group, Term};
use anabranch_wire::peer::answer::{Answer, AnswerBody, AnsweredBody, Answers, AnswersWriter};
use anabranch_wire::peer::forward::{Forward, Forwards, ForwardsWriter, Terms};
use anabranch_wire::peer::hello::{Hello, Reason, Refused, TEXT_BYTES_MAX, Unheard};
use anabranch_wire::peer::lane::{Ack, Acks, AcksWriter, Item, Lane, LaneId, LaneWriter};
use anabranch_wire::peer::{FRAME_BYTES_MAX, Found, FrameWriter, Full, Kind, PeerError, find, find_within};
use proptest::prelude::*;
use read_all::{read_body, read_frames};
use values::{Said, answers, asked, hello, item};

/// The only frame of these bytes.
fn only(bytes: &[u8], kind: Kind) -> &[u8] {
    let found = find(bytes);
    let Ok(Found::Frame { kind: of, body, length }) = found else { unreachable!("{found:?}") };
    assert_eq!((of, length), (kind, bytes.len()));
    body
}

const LANE: LaneId = LaneId { from: WorkerId(1), to: WorkerId(2), epoch: 3 };

proptest! {
    #[test]
    fn hellos_read_as_they_were_written(hello in hello()) {
        let mut out = Vec::new();
        hello.write(&mut out);
        prop_assert_eq!(Hello::read(only(&out, Kind::Hello)), Ok(hello));
    }

    #[test]
    fn forwards_read_as_they_were_written(wanted in prop::collection::vec(asked(), 0..5)) {
        let mut out = b"before".to_vec();
        let mut terms = vec![(Vec::new(), Vec::new()); wanted.len()];
        let forwards: Vec<Forward<'_>> =
            wanted.iter().zip(&mut terms).map(|(asked, terms)| asked.forward(terms)).collect();
        let mut writer = ForwardsWriter::begin(&mut out);
        for forward in &forwards {
            writer.push(forward).expect("it fits");
        }
        writer.finish();
        let read: Result<Vec<_>, _> = Forwards::read(only(&out[6..], Kind::Forwards)).collect();
        prop_assert_eq!(read, Ok(forwards.clone()));
        for (forward, asked) in forwards.iter().zip(&wanted) {
            let terms: Vec<_> = forward.terms.iter().map(|(group, term)| (group.number, term)).collect();
            prop_assert_eq!(terms, asked.terms.clone().into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn answers_read_as_they_were_written(wanted in prop::collection::vec(answers(), 0..5)) {
        let mut out = Vec::new();
        let mut writer = AnswersWriter::begin(&mut out);
        for said in &wanted {
            writer.push(&said.answer()).expect("it fits");
        }
        writer.finish();
        let read: Result<Vec<_>, _> = Answers::read(only(&out, Kind::Answers)).collect();
        let read: Vec<Said> = read.expect("answers").iter().map(Said::of).collect();
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn lanes_read_as_they_were_written(items in prop::collection::vec(item(), 0..5), first in 0..u64::MAX / 2) {
        let mut out = Vec::new();
        let mut writer = LaneWriter::begin(&mut out, LANE, first);
        for (at, item) in items.iter().enumerate() {
            let item = item.item();
            let mut written = Vec::new();
            item.write(&mut written);
            let pushed = if at % 2 == 0 { writer.push(&item) } else { writer.push_written(&written) };
            pushed.expect("it fits");
        }
        writer.finish();
        let lane = Lane::read(only(&out, Kind::Lane)).expect("a lane");
        prop_assert_eq!((lane.id, lane.first), (LANE, first));
        let read: Result<Vec<Item<'_>>, _> = lane.items().collect();
        prop_assert_eq!(read.expect("items"), items.iter().map(values::Kept::item).collect::<Vec<_>>());
    }

    #[test]
    fn acknowledgements_read_as_they_were_written(
        numbers in prop::collection::vec((any::<u64>(), any::<u64>(), any::<Option<u64>>()), 0..5),
    ) {
        let acks = numbers.iter().map(|&(one, other, fenced)| {
            let (first, broken) = (one % 2 == 0, other % 2 == 0);
            let fenced = fenced.into_iter().chain([one]).collect();
            Ack { lane: LANE, applied: one.max(other), durable: one.min(other), fenced, first, broken }
        });
        let mut out = Vec::new();
        let mut writer = AcksWriter::begin(&mut out);
        for ack in acks.clone() {
            writer.push(&ack).expect("it fits");
        }
        writer.finish();
        let read: Result<Vec<_>, _> = Acks::read(only(&out, Kind::Acks)).collect();
        prop_assert_eq!(read, Ok(acks.collect()));
    }

    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_frames(&bytes);
    }

    #[test]
    fn any_body_is_read_or_an_error(kind in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(kind) = Kind::of(kind % 24) {
            read_body(kind, &body);
        }
    }

    #[test]
    fn a_frame_that_was_cut_or_changed_is_no_panic(
        said in answers(), asked in asked(), item in item(), hello in hello(),
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let (mut out, mut terms) = (Vec::new(), (Vec::new(), Vec::new()));
        hello.write(&mut out);
        let mut writer = AnswersWriter::begin(&mut out);
        writer.push(&said.answer()).expect("it fits");
        writer.finish();
        let mut writer = ForwardsWriter::begin(&mut out);
        writer.push(&asked.forward(&mut terms)).expect("it fits");
        writer.finish();
        let mut writer = LaneWriter::begin(&mut out, LANE, 0);
        writer.push(&item.item()).expect("it fits");
        writer.finish();
        prop_assert_eq!(read_frames(&out), 4);
        let at = at.index(out.len());
        match cut {
            true => out.truncate(at),
            false => out[at] = byte,
        }
        read_frames(&out);
    }

    /// Whoever cuts a body into less than it says gets nothing of the item that was cut.
    #[test]
    fn a_body_that_ends_too_early_is_an_error(said in answers(), cut in any::<prop::sample::Index>()) {
        let mut out = Vec::new();
        let mut writer = AnswersWriter::begin(&mut out);
        writer.push(&said.answer()).expect("it fits");
        writer.finish();
        let body = only(&out, Kind::Answers);
        let at = 1 + cut.index(body.len() - 1);
        if at < body.len() {
            let read: Vec<_> = Answers::read(&body[..at]).collect();
            prop_assert!(matches!(read.as_slice(), [Err(PeerError::Short)]), "{:?}", read);
        }
    }
}

#[test]
fn what_is_too_long_is_told_before_its_body_has_come() {
    let head = |length: u32, kind: u8| [&length.to_le_bytes()[..], &[kind]].concat();
    let most = FRAME_BYTES_MAX;
    let long = PeerError::TooLong { bytes: most + 1, most };
    assert_eq!(find(&head(most as u32 + 1, 16)), Err(long));
    assert_eq!(find(&head(most as u32, 16)), Ok(Found::Part { length: Some(most + 5) }));
    assert_eq!(find_within(&head(101, 1), 100), Err(PeerError::TooLong { bytes: 101, most: 100 }));
    assert_eq!(find(&head(0, 99)), Err(PeerError::Kind(99)));
    assert_eq!(find(&head(0, 0)), Ok(Found::Frame { kind: Kind::Idle, body: &[], length: 5 }));
    assert_eq!(find(&[1, 0, 0, 0]), Ok(Found::Part { length: None }));
}

#[test]
fn an_item_that_does_not_fit_leaves_the_frame_as_it_was() {
    let piece = vec![0; FRAME_BYTES_MAX / 2];
    let item = Item::State { group: Group { copies: 2, number: 0 }, term: Term(1), piece: &piece };
    let mut out = Vec::new();
    let mut writer = LaneWriter::begin(&mut out, LANE, 7);
    assert_eq!(writer.push(&item), Ok(()));
    let before = writer.bytes();
    assert_eq!((writer.push(&item), writer.bytes()), (Err(Full), before));
    writer.finish();
    let lane = Lane::read(only(&out, Kind::Lane)).expect("a lane");
    assert_eq!(lane.items().count(), 1);
}

#[test]
fn a_frame_that_is_given_up_is_taken_back() {
    let mut out = b"before".to_vec();
    let mut frame = FrameWriter::begin(&mut out, Kind::Control);
    frame.body().extend_from_slice(b"vote");
    drop(frame);
    assert_eq!(out, b"before");
}

#[test]
fn a_hello_of_another_version_says_which() {
    // Of the future: more behind, and other things in between.
    let body = [&[7, 0, 9, 0][..], b"what nobody knows yet"].concat();
    assert_eq!(Hello::read(&body), Err(Unheard::Versions { from: 7, to: 9 }));
    assert_eq!(Hello::read(&[0, 0, 0, 0]), Err(Unheard::Versions { from: 0, to: 0 }));
    assert_eq!(Hello::read(&[1, 0]), Err(Unheard::Wrong(PeerError::Short)));
}

#[test]
fn a_reason_is_cut_and_shown_in_one_line() {
    let text = format!("first\nsecond{}", "ü".repeat(1000));
    let mut out = Vec::new();
    Refused { reason: Reason::Zone, text }.write(&mut out);
    let refused = Refused::read(only(&out, Kind::Refused)).expect("a reason");
    assert!(refused.reason == Reason::Zone && refused.text.starts_with("firstsecondü"), "{refused}");
    assert_eq!(refused.text.len(), 1023, "whole characters within 1,024 bytes, without the end of a line");
    for (number, reason) in (0..).zip(Reason::ALL) {
        assert_eq!(reason as u8, number);
    }
}

#[test]
fn names_that_are_too_long_are_no_hello() {
    let mut long = values::plain_hello();
    long.node = "n".repeat(TEXT_BYTES_MAX);
    let mut out = Vec::new();
    long.write(&mut out);
    assert_eq!(Hello::read(only(&out, Kind::Hello)).expect("a hello").node, long.node);
    long.node.push('n');
    out.clear();
    long.write(&mut out);
    let wrong = Err(Unheard::Wrong(PeerError::Meaning("a name that is too long")));
    assert_eq!(Hello::read(only(&out, Kind::Hello)), wrong);
}

#[test]
fn a_page_out_of_order_is_refused() {
    let page = |keys: [&[u8]; 2]| {
        let rows = keys.map(|key| (key.to_vec(), values::row(b"")));
        anabranch_model::message::Page { rows: rows.to_vec(), more: false }
    };
    let read = |page: &anabranch_model::message::Page| {
        let mut out = Vec::new();
        let mut writer = AnswersWriter::begin(&mut out);
        let body = AnswerBody::Page(page);
        let parts = anabranch_model::zone::Parts::ALL;
        let answer = Answer { id: 1, from: WorkerId(0), to: WorkerId(0), revised: None, parts, body };
        writer.push(&answer).expect("it fits");
        writer.finish();
        let first = Answers::read(only(&out, Kind::Answers)).next().expect("an answer");
        first.map(|answered| matches!(answered.body, AnsweredBody::Page(_)))
    };
    assert_eq!(read(&page([b"a", b"b"])), Ok(true));
    assert_eq!(read(&page([b"b", b"a"])), Err(PeerError::Meaning("the order of keys")));
    assert_eq!(read(&page([b"a", b"a"])), Err(PeerError::Meaning("the order of keys")));
}

#[test]
fn terms_are_those_of_the_last_word_by_number() {
    let mut bytes = vec![1, 2, 3];
    let terms = Terms::of(3, [(63, Term(9)), (0, Term(1)), (63, Term(8)), (64, Term(7))], &mut bytes);
    let group = |number| Group { copies: 3, number };
    assert_eq!(terms.iter().collect::<Vec<_>>(), [(group(0), Term(1)), (group(63), Term(8))]);
    assert_eq!(Terms::NONE.iter().count(), 0);
}
