//! The simulator itself: a small node that does everything right passes, each of its bugs is found, and the same seed gives
//! the same run.

#[path = "many/toy.rs"]
mod toy;

use anabranch_sim::{Outcome, SCENARIOS, Scenario, simulate};
use toy::{Bug, Toys};

/// Seeds in which a bug has to be found.
const SEEDS: u64 = 40;

/// Kinds of runs in which no process loses its memory: a toy has no disk.
const SCENARIOS_OF_TOYS: [&str; 4] = ["calm", "links", "pauses", "slow"];

fn run(seed: u64, name: &str, traced: bool, bug: Bug) -> Outcome {
    let scenario = Scenario::named(name).expect("there is such a scenario");
    simulate(seed, &scenario, traced, &mut Toys { bug })
}

#[test]
fn nodes_that_do_everything_right_pass() {
    for name in SCENARIOS_OF_TOYS {
        for seed in 0..10 {
            let outcome = run(seed, name, false, Bug::None);
            assert_eq!(outcome.violation, None, "{name} {seed}");
            assert!(outcome.history.requests.len() > 1000, "{name} {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for name in SCENARIOS_OF_TOYS {
        let [one, again] = [(); 2].map(|()| run(3, name, true, Bug::None));
        assert!(one.trace.len() > 100_000 && one.trace == again.trace, "{name}");
        assert_ne!(one.trace, run(4, name, true, Bug::None).trace, "{name}");
    }
}

#[test]
fn each_bug_is_found() {
    let bugs = [
        (Bug::StaleReads, "a read shows what was replaced"),
        (Bug::Twice, "additions that are done twice"),
        (Bug::Reorders, "not in its turn"),
        (Bug::LosesACopy, "copies differ"),
        (Bug::NeverAnswers, "not answered"),
        (Bug::AnswersAnybody, "which was not asked there"),
        (Bug::TwoOwners, "two owners"),
        (Bug::TwoConfigurations, "two configurations in one term"),
    ];
    for (bug, what) in bugs {
        let found = (0..SEEDS).find_map(|seed| {
            let outcome = run(seed, SCENARIOS_OF_TOYS[1 + seed as usize % 3], false, bug);
            Some((seed, outcome.violation?))
        });
        let (seed, violation) = found.unwrap_or_else(|| panic!("{bug:?} is not found in {SEEDS} seeds"));
        let words: &[&str] = match bug {
            // They show as answers that no order explains.
            Bug::Twice | Bug::Reorders | Bug::NeverAnswers => {
                &["linearizable", "in its turn", "counter", "replaced", "not answered"]
            }
            _ => &[what],
        };
        assert!(words.iter().any(|word| violation.contains(word)), "{bug:?} in {seed}: {violation}");
    }
}

#[test]
fn scenarios_say_what_they_are() {
    assert!(SCENARIOS.iter().all(|scenario| !scenario.about.is_empty()));
}
