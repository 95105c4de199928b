//! A zone is founded, joined, loses nodes and gets them back, in fair weather.

mod net;

use anabranch_cluster::{Deed, LEASE, MARGIN, Reason, Role, Standing, Wish};
use net::{MS, Net, SECOND};

/// Two data nodes and a witness, settled.
fn two_and_a_witness(seed: u64, durable: bool) -> Net {
    let mut net = Net::new(seed);
    let a = net.add("A", Role::Data, durable);
    let b = net.add("B", Role::Data, durable);
    let w = net.add("W", Role::Witness, durable);
    net.start(a, None);
    net.wish(a, Wish::Classes(vec![2]));
    net.start(b, Some(&[a]));
    net.start(w, Some(&[b]));
    net.run_until(5 * SECOND, "two nodes share the groups", |net| {
        net.is_settled() && net.view(0).votes() == 3 && net.running().count() == 3
    });
    net
}

#[test]
fn a_zone_of_one_serves_at_once() {
    let mut net = Net::new(1);
    let a = net.add("A", Role::Data, false);
    net.start(a, None);
    net.wish(a, Wish::Classes(vec![1, 2]));
    let time = net.run_until(SECOND, "it serves", |net| net.served(0) == 128);
    assert!(time <= 100 * MS, "{time}");
}

#[test]
fn nodes_that_join_share_the_groups_evenly_within_two_seconds() {
    let mut net = Net::new(2);
    let a = net.add("A", Role::Data, false);
    let b = net.add("B", Role::Data, false);
    net.start(a, None);
    net.wish(a, Wish::Classes(vec![2]));
    net.start(b, Some(&[a]));
    let time = net.run_until(3 * SECOND, "they share", |net| {
        net.is_settled() && net.running().count() == 2 && net.served(1) > 0
    });
    assert_eq!((net.served(a), net.served(b)), (32, 32));
    assert!(time < 2 * SECOND, "{time}");
    assert!(net.view(a).hangs_on_one_vote(), "two nodes without a witness have one vote");
}

#[test]
fn the_other_node_takes_over_within_300_ms_when_a_process_is_gone() {
    for victim in 0..2 {
        let mut net = two_and_a_witness(3, false);
        net.kill(victim);
        let other = 1 - victim;
        let time = net.run_until(SECOND, "takeover", |net| net.served(other) == 64);
        assert!(time <= 300 * MS, "{victim} {time}");
    }
}

#[test]
fn a_silent_node_is_replaced_after_lease_margin_and_election() {
    for victim in 0..2 {
        let mut net = two_and_a_witness(4, false);
        net.vanish(victim);
        let time = net.run_until(4 * SECOND, "takeover", |net| net.served(1 - victim) == 64);
        assert!(time >= LEASE / 2, "{time}");
        assert!(time <= LEASE + MARGIN + 900 * MS, "{victim} {time}");
    }
}

#[test]
fn a_node_without_a_disk_returns_as_a_new_member_and_gets_its_share_again() {
    let mut net = two_and_a_witness(5, false);
    let old = net.id(1);
    net.kill(1);
    net.run(SECOND);
    net.start(1, Some(&[0]));
    net.run_until(5 * SECOND, "it is back", |net| {
        net.is_settled() && net.running().count() == 3 && net.served(1) == 32
    });
    assert_ne!(net.id(1), old);
    assert_eq!(net.view(0).member(old).map(|member| member.standing), Some(Standing::Left));
    net.run_until(5 * SECOND, "votes", |net| net.view(0).votes() == 3);
    let voter = |id| net.view(0).members.iter().any(|seen| seen.member.id == id && seen.votes);
    assert!(voter(net.id(1)) && !voter(old));
}

#[test]
fn a_node_with_a_disk_returns_as_the_member_that_it_was() {
    for victim in 0..3 {
        let mut net = two_and_a_witness(6, true);
        let old = net.id(victim);
        net.kill(victim);
        net.run(300 * MS);
        net.start(victim, Some(&[(victim + 1) % 3]));
        net.run_until(8 * SECOND, "it is back", |net| {
            net.is_settled() && net.served(0) == 32 && net.served(1) == 32
        });
        assert_eq!(net.id(victim), old);
        assert_eq!(net.view(0).members.len(), 3);
    }
}

#[test]
fn a_zone_with_disks_that_stopped_as_a_whole_goes_on_when_all_are_back() {
    let mut net = two_and_a_witness(7, true);
    for at in 0..3 {
        net.vanish(at);
    }
    net.run(SECOND);
    net.start(0, Some(&[1, 2]));
    net.start(2, Some(&[0, 1]));
    net.run(5 * SECOND);
    assert_eq!(net.served(0), 0, "B may know more: A waits\n{}", net.describe());
    net.start(1, Some(&[0, 2]));
    net.run_until(8 * SECOND, "all serve", |net| net.is_settled() && net.running().count() == 3);
}

#[test]
fn of_two_live_nodes_with_one_name_the_second_is_refused() {
    let mut net = two_and_a_witness(8, false);
    let twin = net.add("B", Role::Data, false);
    net.start(twin, Some(&[2]));
    net.run_until(3 * SECOND, "refusal", |net| net.nodes[twin].refused.is_some());
    assert_eq!(net.nodes[twin].refused, Some(Reason::NameTaken));
    net.run(SECOND);
    assert_eq!((net.served(0), net.served(1)), (32, 32));
}

#[test]
fn a_node_of_another_zone_is_refused() {
    let mut net = two_and_a_witness(9, false);
    let stranger = net.add("C", Role::Data, false);
    net.nodes[stranger].me.zone = "other".to_owned();
    net.start(stranger, Some(&[1]));
    net.run_until(SECOND, "refusal", |net| net.nodes[stranger].refused.is_some());
    assert_eq!(net.nodes[stranger].refused, Some(Reason::AnotherZone("demo".to_owned())));
}

#[test]
fn a_cut_off_owner_serves_nothing_when_the_other_takes_over_and_returns_when_it_is_heard() {
    let mut net = two_and_a_witness(10, false);
    net.cut_off(0);
    net.run_until(3 * SECOND, "takeover", |net| net.served(1) == 64);
    assert_eq!(net.served(0), 0);
    net.cut.clear();
    net.run_until(5 * SECOND, "together again", |net| {
        net.is_settled() && net.served(0) == 32 && net.served(1) == 32
    });
    assert_eq!(net.view(1).members.len(), 3, "it is the member that it was");
}

#[test]
fn a_node_that_leaves_hands_over_first() {
    for leaver in 0..2 {
        let mut net = two_and_a_witness(11, false);
        let id = net.id(leaver);
        net.wish(leaver, Wish::Leave(id));
        net.run_until(5 * SECOND, "it left", |net| {
            net.view(1 - leaver).member(id).is_some_and(|member| member.standing == Standing::Left)
        });
        assert_eq!(net.served(1 - leaver), 64);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed: u64| {
        let mut net = two_and_a_witness(seed, true);
        net.weather = net::Weather::FOUL;
        net.run(5 * SECOND);
        net.kill(0);
        net.run(5 * SECOND);
        (net.trace, net.messages)
    };
    assert_eq!(run(12), run(12));
    assert_ne!(run(12), run(13));
}

#[test]
fn a_decision_of_three_votes_takes_eight_messages_at_most() {
    let count = |wish: bool| {
        let mut net = two_and_a_witness(14, false);
        let (before, version) = (net.messages, net.view(2).version);
        if wish {
            net.wish(0, Wish::Rebalance);
        }
        net.run(30 * MS);
        assert_eq!(net.view(2).version > version, wish);
        net.messages - before
    };
    let (idle, busy) = (count(false), count(true));
    assert!(busy > idle && busy <= idle + 8, "{idle} {busy}");
    println!("messages: {idle} {busy}");
}

#[test]
fn an_idle_zone_of_three_sends_few_messages_and_takes_few_turns() {
    let mut net = two_and_a_witness(15, false);
    let (messages, version) = (net.messages, net.view(0).version);
    net.run(300 * SECOND);
    let per_second = (net.messages - messages) / 300;
    assert!(per_second <= 160, "{per_second}");
    assert_eq!(net.view(0).version, version, "nothing is decided");
    println!("messages a second: {per_second}");
}

#[test]
fn a_revision_of_a_flow_runs_when_all_have_compiled_it() {
    let mut net = two_and_a_witness(16, false);
    let number = net.wish(1, Wish::Deploy { flow: "f".to_owned(), text: "text".to_owned() });
    net.run_until(SECOND, "it is pending", |net| net.view(0).flows.contains_key("f"));
    let pending = net.view(0).flows["f"].pending.clone().expect("it waits for the compilers");
    assert_eq!((pending.by, pending.wish), (net.id(1), number));
    for at in 0..2 {
        let revision = pending.number;
        net.wish(at, Wish::Compiled { flow: "f".to_owned(), revision, refused: None });
    }
    net.run_until(SECOND, "it runs", |net| {
        (0..3).all(|at| net.view(at).flows["f"].active == Some(pending.clone()))
    });
}

#[test]
fn wishes_are_done_once_and_in_order_over_a_foul_network() {
    let mut net = two_and_a_witness(17, false);
    net.weather = net::Weather { loss_percent: 30, double_percent: 30, ..net::Weather::FOUL };
    for number in 0..10 {
        net.wish(1, Wish::Deploy { flow: format!("f{number}"), text: "text".to_owned() });
    }
    net.run_until(60 * SECOND, "all are there", |net| net.view(1).flows.len() == 10);
    let revision =
        |number: u64| net.view(1).flows[&format!("f{number}")].pending.as_ref().map(|of| of.number);
    assert_eq!((0..10).map(revision).collect::<Vec<_>>(), (1..=10).map(Some).collect::<Vec<_>>());
}

#[test]
fn without_a_majority_nobody_serves_until_somebody_is_forced_to_and_who_was_left_behind_hears_of_it() {
    let mut net = two_and_a_witness(18, true);
    net.vanish(1);
    net.cut_off(2);
    net.run(2 * SECOND);
    assert_eq!(net.served(0), 0);
    net.wish(0, Wish::ForceServe);
    net.run(2 * SECOND);
    assert_eq!(net.served(0), 0, "a leader may still be found");
    net.run_until(5 * SECOND, "it goes on", |net| net.served(0) == 64);
    assert!(net.view(0).acts.iter().any(|act| matches!(act.what, Deed::ForcedToServe { alone: true, .. })));
    net.cut.clear();
    net.start(1, Some(&[0]));
    net.run_until(5 * SECOND, "the others hear of it", |net| {
        (1..3).all(|at| net.nodes[at].refused == Some(Reason::ForcedOut))
    });
    net.run(2 * SECOND);
    assert_eq!((net.served(0), net.served(1)), (64, 0));
    // With an empty directory it is a new member.
    net.vanish(1);
    net.nodes[1].disk.clear();
    net.start(1, Some(&[0]));
    net.run_until(8 * SECOND, "it is back", |net| net.served(1) == 32 && net.served(0) == 32);
}

#[test]
fn what_only_the_dead_had_is_served_when_a_majority_is_forced_to() {
    let mut net = Net::new(19);
    for name in ["A", "B", "C"] {
        net.add(name, Role::Data, false);
    }
    net.start(0, None);
    net.wish(0, Wish::Classes(vec![1]));
    net.start(1, Some(&[0]));
    net.start(2, Some(&[0]));
    net.run_until(8 * SECOND, "they share", |net| {
        net.is_settled() && net.view(0).votes() == 3 && net.served(2) > 20
    });
    net.kill(2);
    net.run(2 * SECOND);
    let served = |net: &Net| net.served(0) + net.served(1);
    assert!(served(&net) < 64, "there was one copy");
    net.wish(1, Wish::ForceServe);
    net.run_until(SECOND, "all are served", |net| served(net) == 64);
    assert!(
        net.view(0)
            .acts
            .iter()
            .any(|act| matches!(act.what, Deed::ForcedToServe { alone: false, groups } if groups > 20))
    );
}

#[test]
fn a_slow_copy_that_is_dropped_is_brought_up_to_date_again() {
    let mut net = two_and_a_witness(20, false);
    let (group, of) =
        net.view(0).groups.iter().find(|(_, of)| of.owner == Some(net.id(0))).expect("it owns half");
    let (group, term, member) = (*group, of.term, net.id(1));
    net.wish(0, Wish::Drop { group, term, member });
    net.run_until(SECOND, "it is dropped", |net| net.view(0).groups[&group].in_sync == [net.id(0)]);
    assert_eq!(net.view(0).wanting(group), [member]);
    net.run_until(SECOND, "it is back", |net| net.is_settled());
    assert_eq!(net.view(0).groups[&group].term.0, term.0 + 2);
}

#[test]
fn a_node_that_stops_as_soon_as_it_is_taken_in_goes_on_as_who_it_is() {
    let mut net = two_and_a_witness(21, true);
    let c = net.add("C", Role::Data, true);
    net.start(c, Some(&[0]));
    net.run_until(SECOND, "it has a number", |net| net.synced(c) == 1);
    let id = net.id(c);
    net.kill(c);
    net.start(c, Some(&[0]));
    net.run_until(5 * SECOND, "it has its share", |net| net.is_settled() && net.served(c) > 20);
    assert_eq!(net.id(c), id);
}

#[test]
fn a_lease_does_not_begin_before_the_member_knows_what_was_decided_without_it() {
    let mut net = two_and_a_witness(22, false);
    net.cut_off(0);
    net.run_until(3 * SECOND, "takeover", |net| net.served(1) == 64);
    net.without_log = Some(0);
    net.cut.clear();
    let up = |net: &Net| net.view(1).member(net.id(0)).is_some_and(|member| member.standing == Standing::Up);
    net.run_until(3 * SECOND, "it is heard", up);
    // It believes to own half, and beats; a lease would let it serve what the other one serves.
    net.run(3 * SECOND);
    assert_eq!(net.served(0), 0);
    assert!(net.nodes[0].lease < net.nodes[0].clock(net.now), "it has none");
    net.without_log = None;
    net.run_until(5 * SECOND, "together again", |net| net.served(0) == 32 && net.served(1) == 32);
}
