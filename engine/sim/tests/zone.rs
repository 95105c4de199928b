//! The consensus and the lanes under the simulator, around a model of a node that has rows in a map: what they promise holds
//! whatever goes wrong, and a node that puts them together wrongly is found.
//!
//! A few runs by default; `ANABRANCH_SIM_SEEDS=100 cargo test --release -p anabranch-sim --test zone` does more.

#[path = "zone/codec.rs"]
mod codec;
#[path = "zone/node.rs"]
mod node;
#[path = "zone/store.rs"]
mod store;

use anabranch_sim::{Outcome, Scenario, simulate};
use node::{Bug, Nodes};

/// Seeds of each kind of run, where many are wanted.
fn seeds() -> Option<u64> {
    std::env::var("ANABRANCH_SIM_SEEDS").ok().map(|seeds| seeds.parse().expect("a number of seeds"))
}

fn run(seed: u64, name: &str, traced: bool, bug: Bug) -> Outcome {
    let scenario = Scenario::named(name).expect("there is such a scenario");
    simulate(seed, &scenario, traced, &mut Nodes { bug })
}

#[test]
fn nothing_is_lost_whatever_goes_wrong() {
    for name in ["any", "pair", "calm", "links", "kills", "wipes", "pauses", "power", "slow"] {
        for seed in 1..=seeds().unwrap_or(u64::from(name == "any")) {
            let outcome = run(seed, name, false, Bug::None);
            assert_eq!(outcome.violation, None, "{name} {seed}");
            assert!(outcome.history.requests.len() > 1000, "{name} {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let [one, again] = [(); 2].map(|()| run(3, "pair", true, Bug::None));
    assert!(one.violation.is_none() && one.trace.len() > 100_000 && one.trace == again.trace);
}

#[test]
fn nodes_that_do_it_wrongly_are_found() {
    let bugs = [
        Bug::WithoutLease,
        Bug::NoState,
        Bug::Backwards,
        Bug::NotAgain,
        Bug::BeforeCopies,
        Bug::AnswersLost,
        Bug::ForgetsAnswers,
        Bug::NoFence,
    ];
    // The first few show soon; the others may need many seeds.
    let few = if seeds().is_some() { bugs.len() } else { 3 };
    for bug in bugs.into_iter().take(few) {
        let most = seeds().unwrap_or(5);
        let found = (1..=most).any(|seed| run(seed, "any", false, bug).violation.is_some());
        assert!(found, "{bug:?} is not found in {most} seeds");
    }
}
