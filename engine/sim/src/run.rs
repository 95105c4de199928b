//! One run of a world by a seed, and what came of it.

use crate::chance::Chance;
use crate::history::History;
use crate::invariant::{acknowledged, answered, copies, linear, order, seen};
use crate::scenario::Scenario;
use crate::world::{ENDS_AT, Factory, World};

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What must not be, if it was.
    pub violation: Option<String>,
    /// All that was asked and answered.
    pub history: History,
    /// What happened, line by line; empty where it was not wanted.
    pub trace: String,
}

/// Simulated seconds of a run.
pub const RUN_SECONDS: u64 = ENDS_AT / 1_000_000;

/// Runs five minutes of a world: four in which things go wrong, and one in which everything comes right again.
pub fn simulate(seed: u64, scenario: &Scenario, traced: bool, factory: &mut dyn Factory) -> Outcome {
    let mut world = World::new(Chance::new(seed).number(), *scenario, traced, factory);
    let violation = world.run().and_then(|()| judge(&world, scenario)).err();
    let history = std::mem::take(&mut world.clients.history);
    Outcome { violation, history, trace: world.trace.into_text() }
}

/// The simplest first: what it finds is told best.
fn judge(world: &World<'_>, scenario: &Scenario) -> Result<(), String> {
    let history = &world.clients.history;
    acknowledged::check(history)?;
    seen::check(history)?;
    order::check(history)?;
    linear::check(history)?;
    answered::check(history)?;
    let held: Vec<_> = world.nodes().map(|(host, node)| (host, node.holds())).collect();
    copies::check(world.watch.newest(), &held, scenario.nodes)
}
