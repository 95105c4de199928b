//! Nodes die under load: nothing that was acknowledged is missing, nothing happens twice, no operator is needed.
#![expect(clippy::disallowed_methods, reason = "clients ask while nodes are killed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use crate::harness::{WITHIN, Zone, in_time};
use crate::hits::{HITS, Known, load};

/// Rows that are acknowledged between two harms, at least.
const BETWEEN: usize = 200;

/// Lets a client at each node ask while `harm` is done, and gives what they know. `harm` gets a function that waits for so many
/// more acknowledged rows.
fn under_load(zone: &mut Zone, round: usize, harm: impl FnOnce(&mut Zone, &dyn Fn(&Zone))) -> Known {
    let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    // Where it fails, clients must end all the same.
    let stopping = Stop(stop.clone());
    let (tell, all) = channel();
    for (name, client) in [("a", zone.client(&["A", "B"])), ("b", zone.client(&["B", "A"]))] {
        let (tell, stop, progress) = (tell.clone(), stop.clone(), progress.clone());
        std::thread::spawn(move || {
            // Who waits for it may have failed.
            let _ = tell.send(load(client, &format!("{name}{round}"), &stop, &progress));
        });
    }
    let more = |zone: &Zone| {
        let before = progress.load(Ordering::Relaxed);
        zone.until("rows are acknowledged", || progress.load(Ordering::Relaxed) >= before + BETWEEN);
    };
    more(zone);
    harm(zone, &more);
    more(zone);
    drop(stopping);
    let mut known = Known::default();
    for _ in 0..2 {
        known.add(all.recv_timeout(WITHIN).expect("clients get their last answers"));
    }
    known
}

struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn check(zone: &Zone, known: &Known, names: &[&str]) {
    for &name in names {
        let (mut client, known, at) = (zone.client(&[name]), known.clone(), name.to_owned());
        in_time("the table is read", move || known.check(&mut client, &at));
    }
}

#[test]
fn a_node_comes_back_under_load_and_gets_its_share_again() {
    let mut zone = Zone::of(HITS, &["A", "B", "W"]);
    let known = under_load(&mut zone, 0, |zone, more| {
        zone.kill("A");
        more(zone);
        zone.start("A");
        zone.until_whole();
        zone.until("ownership is even again", || owned(zone, "B", "A") == 32);
        more(zone);
    });
    check(&zone, &known, &["A", "B"]);
}

/// Partitions that a node owns, as another one tells.
fn owned(zone: &Zone, at: &str, node: &str) -> usize {
    let standing = zone.standing(at).unwrap_or_default();
    let partitions = standing["partitions"].as_array().cloned().unwrap_or_default();
    partitions.iter().filter(|partition| partition["active_node"] == node).count()
}

#[test]
fn without_the_witness_two_nodes_go_on_and_with_it_again_one_may_die() {
    let mut zone = Zone::of(HITS, &["A", "B", "W"]);
    let known = under_load(&mut zone, 0, |zone, more| {
        zone.kill("W");
        more(zone);
        zone.start("W");
        zone.until("the witness votes", || votes(zone) == 3);
        zone.kill("B");
        more(zone);
    });
    check(&zone, &known, &["A"]);
}

fn votes(zone: &Zone) -> u64 {
    zone.standing("A").map_or(0, |standing| standing["votes_up"].as_u64().unwrap_or(0))
}
