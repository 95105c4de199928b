//! Reads all that bytes of a peer may be, to its end; shared with the fuzz target.

use anabranch_wire::peer::answer::{Answered, AnsweredBody, Answers};
use anabranch_wire::peer::forward::Forwards;
use anabranch_wire::peer::hello::{Hello, Refused};
use anabranch_wire::peer::lane::{Acks, Lane};
use anabranch_wire::peer::{Found, Kind, find};

/// Reads frame after frame, as a link does. How many there were.
pub(crate) fn read_frames(mut bytes: &[u8]) -> usize {
    let mut frames = 0;
    while let Ok(Found::Frame { kind, body, length }) = find(bytes) {
        assert!(length <= bytes.len() && body.len() < length, "{length} of {}", bytes.len());
        read_body(kind, body);
        bytes = &bytes[length..];
        frames += 1;
    }
    frames
}

/// Reads a body, and looks at all that is in it. How many items of it could be read.
pub(crate) fn read_body(kind: Kind, body: &[u8]) -> usize {
    match kind {
        Kind::Idle | Kind::Control | Kind::Proof => 0,
        Kind::Hello => usize::from(Hello::read(body).is_ok()),
        Kind::Refused => {
            usize::from(Refused::read(body).is_ok_and(|refused| refused.text.len() <= body.len()))
        }
        Kind::Forwards => {
            let read = Forwards::read(body).map_while(Result::ok);
            read.map(|forward| assert_eq!(forward.terms.iter().count(), forward.terms.parts.iter().count()))
                .count()
        }
        Kind::Answers => Answers::read(body).map_while(Result::ok).inspect(look).count(),
        Kind::Lane => match Lane::read(body) {
            Ok(lane) => lane.items().map_while(Result::ok).filter(|item| item.group().number < 64).count(),
            Err(_) => 0,
        },
        Kind::Acks => {
            Acks::read(body).map_while(Result::ok).inspect(|ack| assert!(ack.durable <= ack.applied)).count()
        }
    }
}

fn look(answered: &Answered<'_>) {
    match answered.body {
        AnsweredBody::Rows(rows) => {
            let answer = rows.answer();
            assert_eq!(answer.replies.len(), rows.replies().count());
            let _ = rows.elsewhere().count();
        }
        AnsweredBody::Page(page) => assert!(page.page().rows.is_sorted()),
        _ => {}
    }
}
