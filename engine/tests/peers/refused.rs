//! Who gets no link, and what both sides are told.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use anabranch::peers::wire::hello::{Hello, Reason, Refused};
use anabranch::peers::wire::{HANDSHAKE_BYTES_MAX, Kind, PREFACE};
use anabranch::peers::{PeerTimes, PeersConfig};
use anabranch::{Error, ZoneConfig};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use crate::world::{Bare, SOON, Side, config, frame, hasty, hello, now, secret};

/// What a node with `dialer` is told by one with `listener`, which has no link either.
fn told(dialer: PeersConfig, listener: PeersConfig) -> Refused {
    let (a, b) = (Side::with(dialer), Side::with(listener));
    a.dial(&b);
    let refused = a.refused();
    b.nothing_for(Duration::from_millis(1));
    a.nothing_for(Duration::from_millis(80));
    refused
}

/// What a bare socket that says this hello is told.
fn told_hello(change: impl FnOnce(&mut Hello)) -> Refused {
    let a = Side::plain("A");
    let mut hello = hello(a.port.address);
    change(&mut hello);
    let mut bare = Bare::to(&a);
    let mut out = PREFACE.to_vec();
    hello.write(&mut out);
    bare.write(&out);
    let refused = bare.turned_down();
    a.nothing_for(Duration::from_millis(1));
    refused
}

#[test]
fn who_does_not_know_the_secret_has_no_link() {
    let with = |node, text: Option<&str>| PeersConfig { secret: text.and_then(secret), ..config(node) };
    for (mine, theirs, words) in [
        (Some("ours"), Some("theirs"), "different zone secrets"),
        (None, Some("theirs"), "the other one none"),
        (Some("ours"), None, "no zone secret"),
    ] {
        let refused = told(with("A", mine), with("B", theirs));
        assert!(refused.reason == Reason::Secret && refused.text.contains(words), "{refused}");
        assert!(refused.text.contains("--zone-secret"), "{refused}");
    }
}

#[test]
fn a_proof_that_is_given_back_is_none() {
    let a = Side::with(PeersConfig { secret: secret("ours"), ..config("A") });
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("it listens");
    a.peers.dial(&at.to_string()).expect("it dials");
    let (stream, _) = listener.accept().expect("it comes");
    let mut bare = Bare::over(stream);
    let mut preface = [0; PREFACE.len()];
    std::io::Read::read_exact(&mut bare.stream, &mut preface).expect("a preface");
    assert_eq!((&preface, bare.frame().map(|(kind, _)| kind)), (PREFACE, Some(Kind::Hello)));
    let mut out = Vec::new();
    hello(at).write(&mut out);
    bare.write(&out);
    let (_, proof) = bare.frame().expect("a proof");
    assert_eq!(proof.len(), 32);
    bare.write(&frame(Kind::Proof, &proof));
    assert_eq!(a.refused().reason, Reason::Secret);
}

#[test]
fn a_proof_of_another_connection_is_none() {
    let b = Side::with(PeersConfig { secret: secret("ours"), ..config("B") });
    // Somebody has overheard a node that joined, and says the same again.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let between = listener.local_addr().expect("it listens");
    let a = Side::with(PeersConfig { secret: secret("ours"), ..config("A") });
    a.peers.dial(&between.to_string()).expect("it dials");
    let (stream, _) = listener.accept().expect("it comes");
    let (mut from_a, mut to_b) = (Bare::over(stream), Bare::to(&b));
    let mut preface = [0; PREFACE.len()];
    std::io::Read::read_exact(&mut from_a.stream, &mut preface).expect("a preface");
    let (_, hello) = from_a.frame().expect("a hello");
    let said = [PREFACE.as_slice(), &frame(Kind::Hello, &hello)].concat();
    to_b.write(&said);
    let (_, answer) = to_b.frame().expect("a hello");
    from_a.write(&frame(Kind::Hello, &answer));
    let (_, proof) = from_a.frame().expect("a proof");
    let mut again = Bare::to(&b);
    again.write(&said);
    assert_eq!(again.frame().map(|(kind, _)| kind), Some(Kind::Hello));
    again.write(&frame(Kind::Proof, &proof));
    assert_eq!(again.turned_down().reason, Reason::Secret);
    // Where it was made for, it holds.
    to_b.write(&frame(Kind::Proof, &proof));
    assert_eq!(to_b.frame().map(|(kind, proof)| (kind, proof.len())), Some((Kind::Proof, 32)));
}

#[test]
fn a_node_of_another_zone_has_no_link() {
    let other = PeersConfig::new(&ZoneConfig::new("other"), "B", 5);
    let refused = told(other, config("A"));
    assert!(refused.reason == Reason::Zone && !refused.text.contains("demo"), "{refused}");
}

#[test]
fn a_clock_that_is_five_minutes_off_is_told() {
    let ahead = PeersConfig { clock: || now() + 301_000_000, ..config("B") };
    let refused = told(ahead, config("A"));
    assert!(refused.reason == Reason::Clock && refused.text.contains("30"), "{refused}");
    let behind = PeersConfig { clock: || now() - 301_000_000, ..config("A") };
    assert_eq!(told(config("B"), behind).reason, Reason::Clock);
    assert_eq!(told_hello(|hello| hello.clock = i64::MIN).reason, Reason::Clock);
    // A little is nothing.
    let (a, b) = (Side::plain("A"), Side::with(PeersConfig { clock: || now() + 290_000_000, ..config("B") }));
    a.dial(&b);
    drop((a.up(), b.up()));
}

#[test]
fn odd_names_have_no_link() {
    for name in ["", "a b", "a\nb"] {
        assert_eq!(told_hello(|hello| hello.node = name.into()).reason, Reason::Odd, "{name:?}");
    }
    assert_eq!(told_hello(|hello| hello.node = "n".repeat(256)).reason, Reason::Garbage);
    for address in ["", "x", "a:0", "a b:1"] {
        assert_eq!(told_hello(|hello| hello.address = address.into()).reason, Reason::Odd, "{address:?}");
    }
    for workers in [0, 257, u32::MAX] {
        assert_eq!(told_hello(|hello| hello.workers = workers).reason, Reason::Odd, "{workers}");
    }
}

#[test]
fn another_version_is_told_both() {
    let refused = told_hello(|hello| hello.versions = (4, 9));
    assert_eq!(refused.reason, Reason::Version);
    assert!(refused.text.contains("version 1") && refused.text.contains("4 to 9"), "{refused}");
}

#[test]
fn a_node_that_answers_with_another_version_is_told_of() {
    let a = Side::plain("A");
    let (_, refused) = answered(&a, |at| {
        let mut out = Vec::new();
        Hello { versions: (2, 2), ..hello(at) }.write(&mut out);
        out
    });
    assert!(refused.reason == Reason::Version && refused.text.contains("2 to 2"), "{refused}");
}

/// What a node is told of one that answers it with these bytes.
fn answered(a: &Side, answer: impl FnOnce(SocketAddr) -> Vec<u8>) -> (TcpListener, Refused) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("it listens");
    a.peers.dial(&at.to_string()).expect("it dials");
    let (stream, _) = listener.accept().expect("it comes");
    Bare::over(stream).write(&answer(at));
    (listener, a.refused())
}

#[test]
fn what_is_no_node_is_told_once_however_often_it_is_tried() {
    let a = Side::plain("A");
    let (listener, refused) = answered(&a, |_| vec![0xfe; 64]);
    assert_eq!(refused.reason, Reason::Garbage);
    for _ in 0..3 {
        let (stream, _) = listener.accept().expect("it comes again");
        Bare::over(stream).write(&[0xfe; 64]);
    }
    // The same trouble again is nothing new, another one is.
    let (stream, _) = listener.accept().expect("it comes again");
    let mut out = Vec::new();
    Refused { reason: Reason::Busy, text: "later".into() }.write(&mut out);
    Bare::over(stream).write(&out);
    assert_eq!(a.refused(), Refused { reason: Reason::Busy, text: "later".into() });
}

#[test]
fn a_frame_that_is_too_long_for_a_stranger_is_refused() {
    let a = Side::plain("A");
    let mut bare = Bare::to(&a);
    let length = HANDSHAKE_BYTES_MAX as u32 + 1;
    bare.write(&[PREFACE.as_slice(), &length.to_le_bytes(), &[Kind::Hello as u8]].concat());
    let refused = bare.turned_down();
    assert!(refused.reason == Reason::Garbage && refused.text.contains("4096 at most"), "{refused}");
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let times = PeerTimes { handshake: Duration::from_millis(200), ..PeerTimes::default() };
    let a = Side::with(PeersConfig { times, ..config("A") });
    let mut silent = Bare::to(&a);
    silent.write(PREFACE);
    assert_eq!(silent.turned_down().reason, Reason::Slow);
    // A byte now and then does not make it longer.
    let mut drips = Bare::to(&a);
    drips.write(&[PREFACE.as_slice(), &[200, 0, 0, 0, 1]].concat());
    drips.stream.set_read_timeout(Some(Duration::from_millis(20))).expect("it is a socket");
    let until = std::time::Instant::now() + SOON;
    while std::io::Write::write_all(&mut drips.stream, b"x").is_ok() {
        assert!(std::time::Instant::now() < until, "it goes on");
        // Waits a little, or reads why.
        let _ = std::io::Read::read(&mut drips.stream, &mut [0; 100]);
    }
    // One that does not even say that it is a node is told nothing.
    let mut nobody = Bare::to(&a);
    nobody.write(&PREFACE[..3]);
    assert!(matches!(nobody.frame(), None | Some((Kind::Refused, _))));
}

#[test]
fn a_node_that_listens_and_says_nothing_is_given_up() {
    let a = Side::with(PeersConfig { times: hasty(), ..config("A") });
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    a.peers.dial(&listener.local_addr().expect("it listens").to_string()).expect("it dials");
    assert_eq!(a.refused().reason, Reason::Slow);
    drop(listener.accept());
    drop(listener.accept().expect("it is tried again"));
}

#[test]
fn strangers_beyond_the_limit_are_turned_away_and_nodes_come_in_behind_them() {
    let a = Side::plain("A");
    let mut strangers: Vec<Bare> = (0..64).map(|_| Bare::to(&a)).collect();
    // They have come that far when each has an answer to its hello.
    for stranger in &mut strangers {
        let mut out = PREFACE.to_vec();
        hello(a.port.address).write(&mut out);
        stranger.write(&out);
        assert_eq!(stranger.frame().map(|(kind, _)| kind), Some(Kind::Hello));
    }
    assert_eq!(Bare::to(&a).turned_down().reason, Reason::Busy);
    let b = Side::plain("B");
    b.dial(&a);
    assert_eq!(b.refused().reason, Reason::Busy);
    drop(strangers);
    drop((a.up(), b.up()));
}

#[test]
fn without_a_secret_other_machines_are_not_dialed() {
    // An address that is kept for documentation.
    let a = Side::plain("A");
    a.peers.dial("192.0.2.1:7401").expect("it dials");
    let refused = a.refused();
    assert!(refused.reason == Reason::Open && refused.text.contains("--zone-secret"), "{refused}");
}

#[test]
fn without_a_secret_other_machines_are_not_let_in() {
    let Some(own) = own_address() else {
        println!("skipped: this machine has no address but its own");
        return;
    };
    let (a, b) = (Side::plain("A"), Side::with(PeersConfig { insecure: true, ..config("B") }));
    // The port of the node as if the listener were another one's.
    let listener = TcpListener::bind((own, 0)).expect("a port");
    let at = listener.local_addr().expect("it listens");
    b.peers.dial(&at.to_string()).expect("it dials");
    let (stream, _) = listener.accept().expect("it comes");
    a.peers.door().take(stream);
    let refused = b.refused();
    assert!(refused.reason == Reason::Open && refused.text.contains("--insecure"), "{refused}");
}

/// An address of this machine that is not a loopback address.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Sends nothing.
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && TcpListener::bind((own, 0)).is_ok()).then_some(own)
}

#[test]
fn what_is_no_address_is_not_dialed() {
    let a = Side::plain("A");
    for address in ["", "x", "a:0", "http://a:1"] {
        assert!(matches!(a.peers.dial(address), Err(Error::Unfit { .. })), "{address}");
    }
}

#[test]
fn any_bytes_from_a_stranger_leave_the_node_as_it_was() {
    let a = Side::plain("A");
    let strategy = (any::<bool>(), prop::collection::vec(any::<u8>(), 0..400));
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..40 {
        let drawn = strategy.new_tree(&mut runner).expect("a value").current();
        let (as_node, bytes) = drawn;
        let mut bare = Bare::to(&a);
        let begin: &[u8] = if as_node { PREFACE } else { &[] };
        // It may have closed the connection before all was written.
        let _ = std::io::Write::write_all(&mut bare.stream, &[begin, &bytes].concat());
        let _ = bare.stream.shutdown(std::net::Shutdown::Write);
        while bare.frame().is_some_and(|(kind, _)| kind == Kind::Refused) {}
    }
    let b = Side::plain("B");
    b.dial(&a);
    drop((a.up(), b.up()));
}
