//! The suite: crashes of a node at every call of its disk, each followed by the next lives of the node.

use std::io::ErrorKind;

use anabranch_sim::{Chance, Fault, Lost, SimDisk};

use crate::model::Model;
use crate::world::{Bugs, End, World};

/// Steps of a workload.
const STEPS: u32 = 60;

/// Workloads; `ANABRANCH_CRASH_SEEDS` names another number, for a long run.
const SEEDS: u64 = 1;

/// Calls of the disk between a recovery and the crash that may fall into it.
const SOON: u64 = 30;

/// Runs everything; how many crashes there were.
///
/// # Errors
/// What the node did wrong, with the seed and the call.
pub(crate) fn suite(bugs: Bugs) -> Result<u64, String> {
    let seeds = std::env::var("ANABRANCH_CRASH_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    (0..seeds.unwrap_or(SEEDS)).map(|seed| crash_everywhere(seed, bugs)).sum()
}

fn crash_everywhere(seed: u64, bugs: Bugs) -> Result<u64, String> {
    let mut crashes = 0;
    for call in 1.. {
        let disk = SimDisk::new(seed ^ call << 8);
        disk.fail_at(call, Fault::Crash);
        let mut model = Model::default();
        let lived = life(&mut model, &disk, seed, STEPS, bugs);
        lived.map_err(|violation| format!("seed {seed}, to call {call}: {violation}"))?;
        if !disk.has_crashed() {
            break;
        }
        for lost in [Lost::Everything, Lost::Nothing, Lost::AtRandom] {
            let (disk, mut model) = (disk.fork(call), model.clone());
            crashes +=
                later_lives(&mut model, &disk, seed ^ call << 16, lost, bugs).map_err(|violation| {
                    format!("seed {seed}, crash at call {call}, lost {lost:?}: {violation}")
                })?;
        }
    }
    Ok(crashes)
}

/// Lets every call of some workloads fail by itself; how many failed. The node refuses, or gets over it; then its process
/// starts anew, or the machine.
///
/// # Errors
/// What the node did wrong, with the seed and the call.
pub(crate) fn every_call_fails(bugs: Bugs) -> Result<u64, String> {
    let mut failures = 0;
    for (seed, kind) in [(0, ErrorKind::Other), (1, ErrorKind::StorageFull)] {
        for call in 1.. {
            let (disk, mut model) = (SimDisk::new(seed ^ call << 8), Model::default());
            disk.fail_at(call, Fault::Error(kind));
            let place = |what| format!("seed {seed}, call {call} fails with {kind:?}: {what}");
            life(&mut model, &disk, seed, STEPS / 3 * 2, bugs).map_err(place)?;
            if !disk.has_failed() {
                break;
            }
            failures += 1;
            for lost in [Lost::Nothing, Lost::AtRandom, Lost::Everything] {
                disk.restart(lost);
                let steps = if lost == Lost::AtRandom { STEPS / 6 } else { 0 };
                life(&mut model, &disk, seed, steps, bugs)
                    .map_err(|what| place(format!("lost {lost:?}: {what}")))?;
            }
        }
    }
    Ok(failures)
}

/// A life of the node, to the end of its work or of the machine.
fn life(model: &mut Model, disk: &SimDisk, seed: u64, steps: u32, bugs: Bugs) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    let lived = World::start(model, disk, bugs)
        .and_then(|mut world| world.work(&mut chance, steps).and_then(|()| world.settle()));
    match lived {
        Ok(()) | Err(End::Crashed) => Ok(()),
        Err(End::Violation(what)) => Err(what),
    }
}

/// Recovers; crashes again soon, perhaps while it recovers; recovers twice, which must be the same. How many crashes.
fn later_lives(model: &mut Model, disk: &SimDisk, seed: u64, lost: Lost, bugs: Bugs) -> Result<u64, String> {
    let mut chance = Chance::new(seed);
    disk.restart(lost);
    disk.fail_at(disk.calls() + 1 + chance.below(SOON), Fault::Crash);
    life(model, disk, seed, STEPS / 3, bugs).map_err(|what| format!("in the second life {what}"))?;
    // Twice where the first recovery may have mended something.
    let lives = [("third", Lost::AtRandom), ("fourth", Lost::Everything)];
    let count = if lost == Lost::AtRandom { 2 } else { 1 };
    for (life, lost) in lives.into_iter().take(count) {
        disk.restart(lost);
        match World::start(model, disk, bugs) {
            Ok(_) => {}
            Err(End::Crashed) => return Err("it crashed by itself".to_owned()),
            Err(End::Violation(what)) => return Err(format!("in the {life} life {what}")),
        }
    }
    Ok(1 + count as u64)
}
