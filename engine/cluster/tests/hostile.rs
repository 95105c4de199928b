//! Bytes that no member sends: each is an error or does nothing, none stops a node.

mod net;

use anabranch_cluster::{Contact, Error, Event, Output, Role, Wish};
use net::{Chance, Net, SECOND};

fn zone(seed: u64) -> Net {
    let mut net = Net::new(seed);
    for (name, role) in [("A", Role::Data), ("B", Role::Data), ("W", Role::Witness)] {
        net.add(name, role, seed.is_multiple_of(2));
    }
    net.start(0, None);
    net.wish(0, Wish::Classes(vec![2]));
    net.start(1, Some(&[0]));
    net.start(2, Some(&[0]));
    net.run_until(8 * SECOND, "the zone begins", |net| net.is_settled() && net.view(0).votes() == 3);
    net
}

/// Frames as members send them, of all kinds that there are in a life.
fn frames() -> Vec<Vec<u8>> {
    let mut net = zone(1);
    net.record = Some(Vec::new());
    net.wish(1, Wish::Deploy { flow: "f".to_owned(), text: "text".to_owned() });
    net.kill(0);
    net.run(SECOND);
    net.start(0, Some(&[1]));
    net.run(2 * SECOND);
    let mut frames = net.record.take().expect("it was asked for");
    frames.sort();
    frames.dedup();
    frames
}

#[test]
fn random_bytes_are_garbage_and_another_version_is_named() {
    let mut net = zone(2);
    let mut chance = Chance(3);
    for length in 0..200 {
        let mut bytes: Vec<u8> = (0..length).map(|_| chance.next() as u8).collect();
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        let result = net.inject(1, Contact::at("x"), bytes);
        assert!(matches!(result, Err(Error::Garbage | Error::AnotherZone)), "{result:?}");
    }
    assert_eq!(net.inject(1, Contact::at("x"), vec![9, 9, 9]), Err(Error::Version(9)));
}

#[test]
fn frames_that_were_changed_stop_nobody() {
    let frames = frames();
    assert!(frames.len() > 100);
    let mut chance = Chance(4);
    let mut net = zone(5);
    for round in 0..6_000 {
        let mut bytes = frames[chance.below(frames.len() as u64) as usize].clone();
        // The zone's own number, so that it is looked at; then a few bytes of the rest.
        bytes[1..9].copy_from_slice(&net.view(0).zone_id.to_le_bytes());
        for _ in 0..chance.below(4) {
            let at = 17 + chance.below(bytes.len() as u64 - 17) as usize;
            bytes[at] = match chance.below(4) {
                0 => 0,
                1 => 0xff,
                2 => bytes[at].wrapping_add(1),
                _ => chance.next() as u8,
            };
        }
        if chance.percent(10) {
            bytes.truncate(17 + chance.below(bytes.len() as u64 - 16) as usize);
        }
        let to = chance.below(3) as usize;
        // Whatever it says: nobody panics.
        let _ = net.inject_unchecked(to, Contact::at("x"), bytes);
        if round % 500 == 0 {
            net = zone(round);
        }
    }
}

#[test]
fn a_member_cannot_speak_for_another_one() {
    let mut net = zone(6);
    net.record = Some(Vec::new());
    net.run(SECOND);
    let frames = net.record.take().expect("it was asked for");
    let (a, b) = (net.id(0), net.id(1));
    let of_a =
        frames.iter().find(|frame| frame[17..25] == a.0.to_le_bytes()).expect("A has sent something").clone();
    let from = Contact { address: net.nodes[1].me.address.clone(), member: Some(b) };
    assert_eq!(net.inject(2, from, of_a), Err(Error::Impostor));
}

#[test]
fn what_was_kept_and_then_damaged_is_told_or_read_and_stops_nobody() {
    let net = zone(8);
    let saved = net.saved(1);
    let me = net.nodes[1].me.clone();
    let mut chance = Chance(9);
    for _ in 0..400 {
        let mut saved = saved.clone();
        let piece = chance.below(saved.len() as u64) as usize;
        let at = chance.below(saved[piece].len() as u64) as usize;
        saved[piece][at] ^= 1 << chance.below(8);
        if let Ok(mut cluster) = anabranch_cluster::Cluster::restore(me.clone(), Vec::new(), &saved, 0) {
            cluster.turn(SECOND);
        }
    }
    assert_eq!(
        anabranch_cluster::Cluster::restore(me, Vec::new(), &[vec![1, 2, 3]], 0).err(),
        Some(Error::Unreadable)
    );
}

#[test]
fn a_node_that_was_refused_says_nothing_more() {
    let mut net = zone(10);
    let twin = net.add("A", Role::Data, false);
    net.start(twin, Some(&[2]));
    net.run_until(3 * SECOND, "refusal", |net| net.nodes[twin].refused.is_some());
    let cluster = net.nodes[twin].cluster.as_mut().expect("it runs");
    assert_eq!(cluster.due(), u64::MAX);
    let event = Event::Message { from: Contact::at("x"), bytes: vec![1; 40] };
    let _ = cluster.handle(100 * SECOND, event);
    assert_eq!(cluster.turn(100 * SECOND), Vec::<Output>::new());
}
