//! The real node under the simulator, in memory: a node that dies loses what it had, and the others go on.
//!
//! A few runs by default; `ANABRANCH_SIM_SEEDS=100 cargo test --release -p anabranch-sim --test real` does more.

#[path = "real/node.rs"]
mod node;

use anabranch_sim::{Outcome, Scenario, simulate};
use node::RealNodes;

fn run(seed: u64, name: &str, traced: bool) -> Outcome {
    let scenario = Scenario::named(name).expect("there is such a scenario");
    simulate(seed, &scenario, traced, &mut RealNodes)
}

fn seeds() -> Option<u64> {
    std::env::var("ANABRANCH_SIM_SEEDS").ok().map(|seeds| seeds.parse().expect("a number of seeds"))
}

#[test]
fn nothing_is_lost_whatever_goes_wrong() {
    for name in ["any", "pair", "calm", "links", "wipes", "pauses", "slow"] {
        for seed in 1..=seeds().unwrap_or(u64::from(name == "any")) {
            let outcome = run(seed, name, false);
            assert_eq!(outcome.violation, None, "{name} {seed}");
            assert!(outcome.history.requests.len() > 1000, "{name} {seed}");
        }
    }
}
