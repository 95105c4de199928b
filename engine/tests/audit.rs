//! Whoever changes the flows of a node is noted: by name, with where from and what came of it, and never with a token.

#![allow(clippy::disallowed_types, reason = "a request with a name that no client would send")]

use std::fmt::{Debug, Write as _};
use std::io::{Read, Write as _};
use std::sync::mpsc::{Sender, channel};

use anabranch::{ConnectOptions, Flow, Listen, NewToken, Node, Scope, Tokens};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Sends every audit line as text.
struct Audit(Sender<String>);

impl Subscriber for Audit {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "audit"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        let _ = self.0.send(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    /// As a subscriber may write it that escapes nothing.
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, " {}={value}", field.name());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

#[test]
fn every_change_of_a_flow_is_noted_with_who_did_it() {
    let (sender, lines) = channel();
    tracing::subscriber::set_global_default(Audit(sender)).expect("it is the first");
    let make = |name: &str, scope: Scope| NewToken::make(name, &[scope], &[]).expect("a token");
    let (ops, guest, admin) =
        (make("ops", Scope::Deploy), make("guest", Scope::Read), make("admin", Scope::Admin));
    let text = format!("{}\n{}\n{}\n", ops.line(), guest.line(), admin.line());
    let node = Node::builder("A").start().expect("it starts");
    let listen = Listen {
        grpc: Some(([127, 0, 0, 1], 0).into()),
        http: Some(([127, 0, 0, 1], 0).into()),
        tokens: Some(Tokens::parse("tokens", &text).expect("they are right")),
        ..Listen::default()
    };
    let server = node.serve(&listen).expect("it listens");
    let at = server.grpc().expect("it speaks gRPC").to_string();
    let client =
        |token: &NewToken| ConnectOptions::new(&at).token(token.text()).connect().expect("it connects");
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    let (mut ops_client, mut guest_client) = (client(&ops), client(&guest));

    ops_client.deploy(flow).expect("it may");
    guest_client.drop_flow("names").expect_err("it may not");
    let ask = |head: &str, token: &NewToken, body: &str| {
        let at = server.http().expect("it speaks HTTP");
        let mut stream = std::net::TcpStream::connect(at).expect("it connects");
        let (token, length) = (token.text(), body.len());
        let rest = format!("Authorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}");
        write!(stream, "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{rest}").expect("written");
        stream.read_to_end(&mut Vec::new()).expect("an answer");
    };
    // A name that would be a line of its own, and one that is far too long.
    ask("PUT /flows/a%0AINFO%20who=root", &guest, "");
    ops_client.drop_flow(&"x".repeat(2000)).expect_err("there is none");
    ask("PUT /flows/names", &ops, "no flow");
    ask("PUT /flows/other", &ops, anabranch::doc::NAMES);
    ask("DELETE /flows/none", &ops, "");
    ask("DELETE /flows/none", &guest, "");
    ask("GET /status", &guest, "");
    ask("GET /metrics", &ops, "");
    ask("GET /status", &admin, "");
    let other = format!("{}\ninput Another: {{ a: int }}\n", anabranch::doc::NAMES);
    ops_client
        .deploy(Flow::parse("names.flow", &other).expect("it compiles"))
        .expect_err("the revision is the same");
    ops_client.drop_flow("names").expect("it may");

    let noted: Vec<String> = lines.try_iter().collect();
    let parts = [
        "INFO who=ops from=127.0.0.1:X what=deploy flow=names outcome=done",
        "WARN who=guest from=127.0.0.1:X what=drop flow=names outcome=denied",
        r"WARN who=guest from=127.0.0.1:X what=deploy flow=a\nINFO who=root outcome=denied",
        "WARN who=ops from=127.0.0.1:X what=drop flow=xxx",
        "WARN who=ops from=127.0.0.1:X what=deploy flow=names outcome=failed why=the flow file has ",
        "WARN who=ops from=127.0.0.1:X what=deploy flow=other outcome=failed why=the file is of the flow `names`",
        "WARN who=ops from=127.0.0.1:X what=drop flow=none outcome=failed why=there is no flow `none`",
        "WARN who=guest from=127.0.0.1:X what=drop flow=none outcome=denied",
        "WARN who=ops from=127.0.0.1:X what=status outcome=denied",
        "INFO who=admin from=127.0.0.1:X what=status outcome=done",
        "WARN who=ops from=127.0.0.1:X what=deploy flow=names outcome=failed why=",
        "INFO who=ops from=127.0.0.1:X what=drop flow=names outcome=done",
    ];
    assert_eq!(noted.len(), parts.len(), "{noted:#?}");
    for (line, part) in noted.iter().zip(parts) {
        let (before, after) = line.split_once("127.0.0.1:").expect("where from");
        let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
        assert!(format!("{before}127.0.0.1:X{after}").starts_with(part), "{line}\n{part}");
        assert!(line.len() < 1000, "{line}");
        assert!(!line.contains(ops.text()) && !line.contains(guest.text()), "{line}");
    }
}
