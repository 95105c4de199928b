//! Links between nodes over real sockets: how they come to be, how they end, and who gets none.

#![allow(clippy::disallowed_types, reason = "the sockets of nodes that do wrong")]
#![allow(clippy::disallowed_methods, reason = "threads and clocks of a test")]

mod refused;
mod relay;
mod world;

use std::sync::Arc;
use std::time::Duration;

use anabranch::peers::wire::Kind;
use anabranch::peers::wire::hello::Reason;
use anabranch::peers::{PeerEvent, PeerTimes, PeersConfig};
use anabranch::{Client, Flow, Listen, Node};
use anabranch_model::zone::MemberId;
use relay::relay;
use world::{Bare, SOON, Side, config, frame, hasty, hello, secret};

#[test]
fn a_link_carries_frames_both_ways_in_their_order() {
    let (a, b) = (Side::plain("A"), Side::plain("B"));
    a.peers.set_member(MemberId(7));
    a.dial(&b);
    let ((to_b, at_a), (to_a, at_b)) = (a.up(), b.up());
    assert_eq!((to_b.hello.node.as_str(), to_b.dialed), ("B", true));
    assert_eq!((to_a.hello.node.as_str(), to_a.dialed), ("A", false));
    assert_eq!((to_a.hello.member, to_b.hello.member), (Some(MemberId(7)), None));
    assert_eq!(to_b.hello.address, b.at());

    let bodies: Vec<Vec<u8>> = (0..300_usize).map(|at| vec![at as u8; at * at % 9001]).collect();
    for body in &bodies {
        assert!(at_a.send(frame(Kind::Lane, body)));
        assert!(at_b.send([frame(Kind::Acks, body), frame(Kind::Idle, &[])].concat()));
    }
    for body in &bodies {
        let (peer, kind, came) = b.came.recv_timeout(SOON).expect("it comes");
        assert_eq!((peer.link, kind, &came), (to_a.link, Kind::Lane, body));
        let (peer, kind, came) = a.came.recv_timeout(SOON).expect("it comes");
        assert_eq!((peer.link, kind, &came), (to_b.link, Kind::Acks, body));
    }
    at_a.send(frame(Kind::Control, b"vote"));
    let event = b.event();
    assert!(matches!(&event, PeerEvent::Control(_, body) if body == b"vote"), "{event:?}");
    assert!(b.came.is_empty());
    wait_until(|| at_a.queued_bytes() + at_b.queued_bytes() == 0);
}

/// Waits until something is so, that comes about on another thread without telling.
fn wait_until(so: impl Fn() -> bool) {
    let until = std::time::Instant::now() + SOON;
    while !so() {
        assert!(std::time::Instant::now() < until, "it does not come about");
        std::thread::yield_now();
    }
}

#[test]
fn a_large_frame_comes_whole() {
    let (a, b) = (Side::plain("A"), Side::plain("B"));
    a.dial(&b);
    let ((_, at_a), _) = (a.up(), b.up());
    let body: Vec<u8> = (0..20_u32 << 20).map(|at| (at / 7) as u8).collect();
    at_a.send(frame(Kind::Forwards, &body));
    at_a.send(frame(Kind::Forwards, b"behind"));
    let next = || b.came.recv_timeout(SOON).expect("it comes").2;
    assert!(next() == body && next() == b"behind");
}

#[test]
fn with_a_secret_that_both_know_there_is_a_link() {
    let known = |node| Side::with(PeersConfig { secret: secret("ours"), ..config(node) });
    let (a, b) = (known("A"), known("B"));
    b.dial(&a);
    let ((_, at_b), (peer, _)) = (b.up(), a.up());
    assert_eq!(peer.hello.node, "B");
    at_b.send(frame(Kind::Answers, b"yes"));
    assert_eq!(a.came.recv_timeout(SOON).expect("it comes").2, b"yes");
}

#[test]
fn of_two_that_dial_each_other_one_link_stays() {
    for round in 0..6 {
        let (a, b) = (Side::plain("A"), Side::plain("B"));
        // Both at once, as far as that can be had; in some rounds one is ahead.
        std::thread::scope(|scope| {
            let (one, other) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
            scope.spawn(|| one.dial(other));
            scope.spawn(|| other.dial(one));
        });
        let settled = |side: &Side| {
            let (mut ups, mut last) = (0, None);
            loop {
                // A link that came up may give way to the other one, not more than once.
                match side.events.recv_timeout(if last.is_some() { PAUSE } else { SOON }) {
                    Ok(PeerEvent::Up(peer, sender)) => (ups, last) = (ups + 1, Some((peer, sender))),
                    Ok(PeerEvent::Lost { refused, .. }) => assert!(!refused),
                    Ok(other) => unreachable!("{other:?}"),
                    Err(_) => break,
                }
            }
            assert!((1..=2).contains(&ups), "{ups} links");
            last.expect("a link")
        };
        let ((at_a, send), (at_b, _)) = (settled(&a), settled(&b));
        assert_eq!(at_a.dialed, !at_b.dialed, "both have the same one");
        assert!(send.send(frame(Kind::Lane, b"x")));
        assert_eq!(b.came.recv_timeout(SOON).expect("it comes").0.link, at_b.link);
    }
}

#[test]
fn of_two_that_prove_themselves_at_the_same_moment_the_smaller_name_has_the_link() {
    let (a, b) = (Side::plain("A"), Side::plain("B"));
    let both_there = Arc::new(std::sync::Barrier::new(2));
    let (to_a, to_b) = (relay(a.port.address, both_there.clone()), relay(b.port.address, both_there));
    a.peers.dial(&to_b.to_string()).expect("it dials");
    b.peers.dial(&to_a.to_string()).expect("it dials");
    let ((at_a, _), (at_b, _)) = (a.up(), b.up());
    assert!(at_a.dialed && !at_b.dialed);
    a.nothing_for(PAUSE);
    b.nothing_for(Duration::from_millis(1));
}

/// Long enough for a link that would come up wrongly.
const PAUSE: Duration = Duration::from_millis(150);

#[test]
fn a_node_that_is_linked_is_not_dialed_again() {
    let (a, b) = (Side::plain("A"), Side::plain("B"));
    a.dial(&b);
    let (up, _) = (a.up(), b.up());
    a.peers.connect("B", &format!("localhost:{}", b.port.address.port())).expect("it dials");
    a.dial(&b);
    b.peers.connect("A", &a.at()).expect("it dials");
    a.nothing_for(PAUSE);
    b.nothing_for(Duration::from_millis(1));
    assert!(up.1.is_up());
}

#[test]
fn a_lost_link_is_made_again() {
    let (a, b) = (Side::plain("A"), Side::plain("B"));
    a.dial(&b);
    let mut last = None;
    for round in 0..5 {
        let ((peer, at_a), (_, at_b)) = (a.up(), b.up());
        assert!(last.replace(peer.link) < Some(peer.link), "each link has a number of its own");
        // Either side may end it.
        if round % 2 == 0 {
            at_a.end()
        } else {
            at_b.end()
        }
        assert_eq!((a.lost(), b.lost().1), ((peer, false), false), "its process is there");
        assert!(!at_a.is_up() && !at_a.send(frame(Kind::Lane, b"late")));
    }
}

#[test]
fn a_process_that_is_gone_is_told_from_a_link_that_is_lost() {
    let (a, mut b) = (Side::plain("A"), Side::plain("B"));
    a.dial(&b);
    let ((peer, _), _) = (a.up(), b.up());
    b.port.close();
    drop(b);
    assert_eq!(a.lost(), (peer, true));
}

#[test]
fn who_was_dialed_tells_a_process_that_is_gone_too_once_it_has_reached_it() {
    let (mut a, b) = (Side::plain("A"), Side::plain("B"));
    a.dial(&b);
    let ((_, _), (peer, _)) = (a.up(), b.up());
    // It looks who is there, and goes on with the link that there is.
    b.peers.connect("A", &a.at()).expect("it dials");
    b.nothing_for(PAUSE);
    a.port.close();
    drop(a);
    assert_eq!(b.lost(), (peer, true));
}

/// A wrong address of a node must not make it dead when its link breaks.
#[test]
fn an_address_where_a_node_was_never_reached_proves_nothing() {
    let b = Side::plain("B");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let bare = Bare::to(&b).link(&hello(nobody.expect("a port")));
    let (peer, _) = b.up();
    drop(bare);
    assert_eq!(b.lost(), (peer, false));
}

#[test]
fn a_node_that_was_restarted_is_another_one() {
    let (a, b) = (Side::plain("A"), Side::plain("B"));
    b.dial(&a);
    let ((before, _), _) = (a.up(), b.up());
    let again = Side::with(PeersConfig { incarnation: 99, ..config("B") });
    again.dial(&a);
    let (now, _) = a.up();
    assert_eq!((now.hello.incarnation, again.up().0.hello.node.as_str()), (99, "A"));
    drop(b);
    assert_eq!(a.lost().0.link, before.link, "the link with the one that is gone ends by itself");
}

#[test]
fn a_dialer_that_comes_again_takes_the_place_of_its_old_link() {
    let a = Side::plain("A");
    let _old = Bare::to(&a).link(&hello(a.port.address));
    let (before, _) = a.up();
    let mut new = Bare::to(&a).link(&hello(a.port.address));
    assert_eq!(a.lost(), (before, false));
    let (_, at_a) = a.up();
    at_a.send(frame(Kind::Control, b"you"));
    assert_eq!(new.frame(), Some((Kind::Control, b"you".to_vec())));
}

#[test]
fn what_means_nothing_ends_its_link_and_nothing_else() {
    let (a, c) = (Side::plain("A"), Side::plain("C"));
    c.dial(&a);
    let ((_, at_c), _) = (c.up(), a.up());
    let long = [&u32::MAX.to_le_bytes()[..], &[Kind::Lane as u8]].concat();
    for bad in [
        frame(Kind::Lane, b"refuse"),
        frame(Kind::Lane, b"panic"),
        frame(Kind::Hello, b""),
        vec![0, 0, 0, 0, 99],
        long,
        frame(Kind::Lane, &[0; 100])[..50].to_vec(),
    ] {
        let mut bare = Bare::to(&a).link(&hello(a.port.address));
        let (peer, _) = a.up();
        bare.write(&bad);
        if bad.len() == 50 {
            drop(bare);
        }
        assert_eq!(a.lost(), (peer, false));
    }
    at_c.send(frame(Kind::Lane, b"fine"));
    assert_eq!(a.came.recv_timeout(SOON).expect("it comes").2, b"fine");
}

#[test]
fn a_peer_that_takes_nothing_loses_its_link() {
    let times = PeerTimes { stalled: Duration::from_millis(200), ..PeerTimes::default() };
    let a = Side::with(PeersConfig { times, ..config("A") });
    let _bare = Bare::to(&a).link(&hello(a.port.address));
    let (peer, at_a) = a.up();
    let piece = frame(Kind::Lane, &vec![0; 1 << 20]);
    for _ in 0..64 {
        at_a.send(piece.clone());
    }
    assert!(at_a.queued_bytes() > 0);
    assert_eq!(a.lost(), (peer, false));
    assert!(!at_a.send(piece));
}

#[test]
fn a_peer_that_says_nothing_loses_its_link_and_signs_of_life_keep_one() {
    let a = Side::with(PeersConfig { times: hasty(), ..config("A") });
    let bare = Bare::to(&a).link(&hello(a.port.address));
    let (peer, _) = a.up();
    assert_eq!(a.lost(), (peer, false));
    drop(bare);

    let quiet = Duration::from_millis(20);
    let lively = |node| Side::with(PeersConfig { times: PeerTimes { quiet, ..hasty() }, ..config(node) });
    let (a, b) = (lively("A"), lively("B"));
    a.dial(&b);
    let (_, _) = (a.up(), b.up());
    a.nothing_for(Duration::from_millis(700));
    b.nothing_for(Duration::from_millis(1));
}

#[test]
fn a_name_that_leads_to_several_addresses_is_tried_through() {
    // Of most machines `localhost` is ::1 as well, where nothing listens.
    let (a, b) = (Side::plain("A"), Side::plain("B"));
    a.peers.dial(&format!("localhost:{}", b.port.address.port())).expect("it dials");
    assert_eq!((a.up().0.hello.node.as_str(), b.up().0.hello.node.as_str()), ("B", "A"));
}

#[test]
fn nobody_is_dialed_any_more_who_is_forgotten() {
    let (a, b) = (Side::plain("A"), Side::plain("B"));
    a.dial(&b);
    let ((_, at_a), _) = (a.up(), b.up());
    a.peers.forget(&b.at());
    assert!(at_a.is_up(), "the link stays");
    at_a.end();
    drop((a.lost(), b.lost()));
    a.nothing_for(PAUSE);
    a.dial(&b);
    drop(a.up());
}

#[test]
fn a_node_that_dials_itself_has_no_link() {
    let a = Side::plain("A");
    a.dial(&a);
    a.nothing_for(PAUSE);
    let mut itself = hello(a.port.address);
    (itself.node, itself.incarnation) = ("A".to_owned(), u128::from(b'A'));
    let mut bare = Bare::to(&a);
    let mut out = anabranch::peers::wire::PREFACE.to_vec();
    itself.write(&mut out);
    bare.write(&out);
    assert_eq!(bare.turned_down().reason, Reason::Itself);
}

#[test]
fn nodes_and_clients_come_to_the_same_port() -> Result<(), anabranch::Error> {
    let (to, events) = crossbeam_channel::unbounded();
    let sinks: anabranch::peers::MakeSink = Arc::new(|_, _| Box::new(Nothing));
    let peers = anabranch::peers::Peers::start(config("A"), to, sinks);
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES)?;
    let node = Node::builder("A").flow(flow).start()?;
    node.zone_window().let_in(&peers);
    let server = node.serve(&Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() })?;
    let at = server.grpc().expect("it listens");
    peers.set_address(&at.to_string());

    let b = Side::plain("B");
    b.peers.dial(&at.to_string())?;
    assert_eq!(b.up().0.hello.address, at.to_string());
    let up = events.recv_timeout(SOON);
    assert!(matches!(up, Ok(PeerEvent::Up(..))), "{up:?}");
    let mut client = Client::connect(&at.to_string())?;
    client.ask("UpdateStream", &serde_json::json!({ "name": "a", "value": "1" }))?;
    assert!(client.get("QueryTable", ["a"])?.is_some());
    // A client that ends before its first byte, and one of HTTP/1.1.
    drop(std::net::TcpStream::connect(at));
    let mut bare = std::net::TcpStream::connect(at).expect("it listens");
    std::io::Write::write_all(&mut bare, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut bare, &mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    Ok(())
}

/// Takes nothing.
struct Nothing;

impl anabranch::peers::PeerSink for Nothing {
    fn frame(&mut self, _: Kind, _: &[u8]) -> Result<(), anabranch::peers::wire::PeerError> {
        Ok(())
    }
}
