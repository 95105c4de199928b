//! Nobody who asks for much, or does not take what was asked for, keeps others from being answered.

#![allow(clippy::disallowed_types, reason = "the sockets of clients that do wrong")]

mod safe_support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anabranch::{Listen, NetLimits, NewToken, Scope, Timeouts, Tokens};
use safe_support::{Served, http, served};
use serde_json::json;

/// Longer than anything here takes, on a busy machine, too.
const SOON: Duration = Duration::from_secs(20);

/// So short that a test does not wait for it.
const SHORT: Duration = Duration::from_millis(200);

/// Questions that a node answers at the same time.
const QUESTIONS_MAX: usize = 8;

fn fill(served: &Served, rows: usize, bytes: usize) {
    let row = |n: usize| json!({ "name": n.to_string(), "value": "v".repeat(bytes) });
    let rows: Vec<_> = (0..rows).map(row).collect();
    let mut client = served.node.client();
    for part in rows.chunks(100) {
        client.send("UpdateStream", part).expect("sent");
    }
}

/// Puts a question that takes much longer than a test, and does not wait for its answer.
fn put_long_question(served: &Served, head: &str) -> TcpStream {
    let value =
        "replace(replace(replace(value, 'v', '{v}'), 'v', 'w'), 'w', 'x')".replace("{v}", &"v".repeat(900));
    let question = format!("select sum(length({value})) as n from QueryTable");
    let mut stream = TcpStream::connect(served.http()).expect("it connects");
    let length = question.len();
    write!(
        stream,
        "POST /query HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {length}\r\n\r\n{question}"
    )
    .expect("written");
    stream
}

fn is_unanswered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("set");
    stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn others_are_answered_while_questions_are_evaluated_and_questions_end_with_their_clients() {
    let patient = Timeouts { ready: SOON, ..Timeouts::default() };
    let served = served(Listen { timeouts: patient, ..Listen::default() });
    fill(&served, 4000, 1000);
    let questions: Vec<TcpStream> = (0..QUESTIONS_MAX).map(|_| put_long_question(&served, "")).collect();
    for _ in 0..100 {
        assert!(http(&served, "GET /live HTTP/1.1\r\n", "").starts_with("HTTP/1.1 200"));
        assert!(http(&served, "GET /tables/QueryTable/7 HTTP/1.1\r\n", "").starts_with("HTTP/1.1 200"));
    }
    assert!(questions.iter().all(is_unanswered));
    // Their room is free again when their clients are gone.
    drop(questions);
    let short =
        http(&served, "POST /query HTTP/1.1\r\n", r#"{"query":"select name from QueryTable limit 1"}"#);
    assert!(short.starts_with("HTTP/1.1 200"), "{short}");
}

#[test]
fn one_caller_does_not_get_all_the_room_for_questions() {
    let token = |name: &str| NewToken::make(name, &[Scope::Read], &[]).expect("a token");
    let (greedy, modest) = (token("greedy"), token("modest"));
    let tokens = Tokens::parse("tokens", &format!("{}\n{}", greedy.line(), modest.line())).ok();
    let timeouts = Timeouts { ready: SHORT, ..Timeouts::default() };
    let served = served(Listen { tokens, timeouts, ..Listen::default() });
    fill(&served, 4000, 1000);
    let bearer = |token: &NewToken| format!("Authorization: Bearer {}\r\n", token.text());
    let questions: Vec<TcpStream> =
        (0..QUESTIONS_MAX / 2).map(|_| put_long_question(&served, &bearer(&greedy))).collect();
    let ask = |token: &NewToken| {
        let head = format!("POST /query HTTP/1.1\r\n{}", bearer(token));
        http(&served, &head, r#"{"query":"select name from QueryTable limit 1"}"#)
    };
    // Until those before have come in, one more has room.
    let mut answers = (0..100).map(|_| ask(&greedy));
    let one_more = answers.find(|answer| !answer.starts_with("HTTP/1.1 200")).expect("there is no more room");
    assert!(one_more.starts_with("HTTP/1.1 503") && one_more.contains("of one caller 4"), "{one_more}");
    assert!(ask(&modest).starts_with("HTTP/1.1 200"));
    assert!(questions.iter().all(is_unanswered));
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a request as HTTP/2 has it, without compression.
fn head(path: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "localhost")];
    let length = |text: &str| u8::try_from(text.len()).expect("short");
    let field = |(name, value): (&str, &str)| {
        [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
    };
    fields.into_iter().flat_map(field).collect()
}

/// The stream of the next frame of a kind.
fn next_of(stream: &mut TcpStream, wanted: u8) -> u32 {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("the connection stays");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        stream.read_exact(&mut vec![0; length]).expect("a whole frame");
        if head[3] == wanted {
            return u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        }
    }
}

#[test]
fn a_response_over_http_2_that_is_not_taken_is_reset_and_others_of_the_connection_are_not() {
    let (reset, settings, ping) = (3, 4, 6);
    let stalled = NetLimits { stalled: SHORT, ..NetLimits::default() };
    let served = served(Listen { limits: stalled, ..Listen::default() });
    fill(&served, 200, 10_000);
    let mut stream = TcpStream::connect(served.http()).expect("it connects");
    stream.set_read_timeout(Some(SOON)).expect("a time");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // No room for a byte, then for some that end within a page.
    for (id, room) in [(1, 0_u32), (3, 20_000)] {
        bytes.extend(frame(settings, 0, 0, &[&[0, 4], &room.to_be_bytes()[..]].concat()));
        bytes.extend(frame(1, 5, id, &head("/tables/QueryTable")));
    }
    // One that has nothing to give yet waits for it as long as it likes.
    bytes.extend(frame(1, 5, 5, &head("/streams/OutputStream")));
    stream.write_all(&bytes).expect("written");
    let mut resets = [next_of(&mut stream, reset), next_of(&mut stream, reset)];
    resets.sort_unstable();
    assert_eq!(resets, [1, 3]);
    stream.write_all(&frame(ping, 0, 0, b"are you?")).expect("written");
    assert_eq!(next_of(&mut stream, ping), 0);
}
