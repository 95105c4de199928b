//! The laws of the replicated state, over random commands, among them those that make no sense.

use anabranch_model::zone::{Group, MemberId, Term};
use proptest::prelude::*;

use super::State;
use crate::command::{Cause, Command, Entry};
use crate::member::{Me, Role, Standing};

fn me(name: u64, incarnation: u64) -> Me {
    Me {
        zone: "demo".to_owned(),
        name: format!("N{name}"),
        incarnation,
        address: format!("n{name}:1"),
        role: if name == 4 { Role::Witness } else { Role::Data },
        workers: 1,
        durable: name.is_multiple_of(2),
        epoch_at: 0,
    }
}

/// A command from a few numbers: terms and incarnations are mostly those that fit.
fn command(state: &State, kind: u8, one: u64, two: u64, fits: bool) -> Command {
    let member = MemberId(one % 6 + 1);
    let to = MemberId(two % 6 + 1);
    let group = Group { copies: 1 + (two % 3) as u16, number: (one % 64) as u16 };
    let present = state.groups.get(&group).map_or(Term(1), |of| of.term);
    let term = if fits { present } else { Term(two % 5) };
    let known = state.members.get(&member);
    let incarnation = known.filter(|_| fits).map_or(two, |member| member.incarnation);
    match kind {
        0 => Command::Join { node: me(one % 5, two) },
        1 => {
            let name = known.and_then(|member| member.name[1..].parse().ok()).unwrap_or(one);
            Command::Return { member, node: me(name, two + 1_000) }
        }
        2 | 3 => Command::Up { member, incarnation },
        4 | 5 => Command::Dead { member, incarnation, cause: Cause::Silent },
        6 => Command::Leave { member },
        7 => Command::Left { member },
        8 => Command::Classes { copies: vec![group.copies] },
        9 | 10 => Command::Replicas { wanted: state.placed() },
        11 => Command::Replicas { wanted: vec![(group, vec![member, to])] },
        12 => Command::Move { group, term, to },
        13 | 14 => Command::CaughtUp { group, term, member },
        15 => Command::Drop { group, term, member },
        16 | 17 => Command::HandOver { group, term, to },
        18 => Command::ForceServe { by: member, number: two, alone: false },
        19 => {
            Command::Deploy { flow: format!("f{}", one % 2), text: "t".to_owned(), by: member, number: two }
        }
        20 => {
            let flow = format!("f{}", one % 2);
            let revision = state.next_revision.saturating_sub(1 + u64::from(!fits));
            let refused = (two.is_multiple_of(7)).then(|| "no".to_owned());
            Command::Compiled { flow, revision, member, refused }
        }
        21 => Command::Withdraw { flow: format!("f{}", one % 2), by: member, number: two },
        _ => Command::Rebalance { by: member, number: two },
    }
}

/// What one command may do to a group.
fn check(before: &State, after: &State, command: &Command) {
    let forced = matches!(command, Command::ForceServe { .. });
    for (group, new) in &after.groups {
        assert!(!new.in_sync.is_empty() && new.in_sync.is_sorted(), "{new:?}");
        if let Some(owner) = new.owner {
            assert!(new.in_sync.contains(&owner), "{new:?}");
            let member = &after.members[&owner];
            assert!(member.standing.is_here() && member.role == Role::Data, "{new:?} {member:?}");
            assert!(!new.returned.contains(&owner), "{new:?}");
            assert!(new.moving.is_none_or(|to| new.in_sync.contains(&to) && to != owner), "{new:?}");
        }
        let Some(old) = before.groups.get(group) else {
            assert_eq!(new.term, Term::FIRST);
            continue;
        };
        let again = matches!(command, Command::Return { member, .. } if new.owner == Some(*member))
            && old.tenure != new.tenure;
        // What was said of a copy that is given up before it counts is void by a new term.
        let void = matches!(command, Command::Drop { member, .. } if !old.in_sync.contains(member))
            && old.term != new.term;
        let changed = old.owner != new.owner || old.in_sync != new.in_sync || again || void;
        assert_eq!(new.term.0, old.term.0 + u64::from(changed), "{old:?} to {new:?} by {command:?}");
        assert_eq!(new.owner != old.owner || again, new.tenure != old.tenure, "{old:?} to {new:?}");
        if new.owner != old.owner || again {
            assert_eq!(new.tenure, new.term, "{new:?}");
            let fits = new.owner.is_none_or(|owner| old.in_sync.contains(&owner));
            assert!(fits || forced, "{old:?} to {new:?} by {command:?}");
        }
        let joins = new.in_sync.iter().filter(|id| !old.in_sync.contains(id)).count();
        assert!(joins == 0 || matches!(command, Command::CaughtUp { .. }) || forced, "{old:?} to {new:?}");
    }
    assert!(before.groups.keys().all(|group| after.groups.contains_key(group)), "groups stay");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_is_decided_the_laws_of_configurations_hold(
        steps in proptest::collection::vec((0..23u8, 0..1_000u64, 0..1_000u64, prop::bool::weighted(0.85)), 1..120),
    ) {
        let mut state = State::founded(&me(0, 7), 0);
        state.apply(Entry { at: 1, command: Command::Classes { copies: vec![2] } });
        for (at, (kind, one, two, fits)) in (2..).zip(steps) {
            let command = command(&state, kind, one, two, fits);
            let before = state.clone();
            let changed = state.apply(Entry { at, command: command.clone() });
            check(&before, &state, &command);
            prop_assert_eq!(state.version, before.version + u64::from(changed));
            if !changed {
                prop_assert!(state.groups == before.groups && state.members == before.members, "{:?}", command);
            }
        }
        prop_assert_eq!(State::decode(&state.encode()), Some(state));
    }

    #[test]
    fn bytes_that_are_no_state_are_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(State::decode(&bytes), None);
        let text = [&[1u8][..], &bytes].concat();
        prop_assert_eq!(State::decode(&text), None);
        prop_assert_eq!(Entry::decode(&text), None);
    }
}

#[test]
fn commands_come_back_from_their_bytes() {
    let state = State::founded(&me(0, 7), 0);
    for kind in 0..23 {
        let entry = Entry { at: 5, command: command(&state, kind, 3, 4, true) };
        assert_eq!(Entry::decode(&entry.encode()), Some(entry));
    }
}

#[test]
fn a_flow_runs_when_all_that_are_here_have_compiled_it_and_not_where_one_refuses() {
    let mut state = State::founded(&me(0, 7), 0);
    let mut apply = |command| state.apply(Entry { at: 1, command });
    apply(Command::Join { node: me(1, 8) });
    apply(Command::Up { member: MemberId(2), incarnation: 8 });
    let deploy =
        |number| Command::Deploy { flow: "f".to_owned(), text: "t".to_owned(), by: MemberId(1), number };
    let compiled = |revision, member, refused| Command::Compiled {
        flow: "f".to_owned(),
        revision,
        member: MemberId(member),
        refused,
    };
    apply(deploy(1));
    apply(compiled(1, 1, None));
    assert!(!apply(deploy(1)), "the same wish once");
    apply(compiled(1, 2, None));
    apply(deploy(2));
    apply(compiled(2, 1, None));
    apply(compiled(2, 2, Some("F001".to_owned())));
    let flow = &state.flows["f"];
    assert_eq!(flow.active.as_ref().map(|active| active.number), Some(1));
    assert_eq!(flow.pending, None);
    assert_eq!(flow.refused.as_ref().map(|refusal| (refusal.number, refusal.wish)), Some((2, 2)));
}

#[test]
fn of_all_that_came_back_who_served_last_serves() {
    let mut state = State::founded(&me(0, 7), 0);
    let mut apply = |command| state.apply(Entry { at: 1, command });
    apply(Command::Join { node: me(2, 8) });
    apply(Command::Up { member: MemberId(2), incarnation: 8 });
    apply(Command::Classes { copies: vec![2] });
    // Both stop, and both come back in another process.
    apply(Command::Return { member: MemberId(1), node: me(0, 9) });
    let group = Group { copies: 2, number: 0 };
    assert_eq!(state.groups[&group].in_sync, [MemberId(2)], "the other one has everything");
    let mut apply = |command| state.apply(Entry { at: 1, command });
    apply(Command::Dead { member: MemberId(2), incarnation: 8, cause: Cause::Refused });
    assert_eq!(state.groups[&group].owner, None);
    let mut apply = |command| state.apply(Entry { at: 1, command });
    apply(Command::Return { member: MemberId(2), node: me(2, 10) });
    assert_eq!(state.groups[&group].owner, Some(MemberId(2)));
    assert_eq!(state.members[&MemberId(2)].standing, Standing::Up);
}
