//! Processor time of a row, of all nodes together, for zones of one, two and three nodes.

use crate::load::Load;
use crate::members::{Members, READY_WITHIN, options};
use crate::process::Failure;
use crate::zone::{Figure, Kept, Part, Tell, Trial, failed};

/// Rows of a request.
const BATCH: usize = 256;

/// Requests under way.
const UNDER_WAY: usize = 16;

/// Ticks of the clock by which Linux counts processor time, a second.
const TICKS: f64 = 100.0;

pub(super) fn measure(trial: &Trial, tell: Tell<'_>) -> Result<(), Failure> {
    let mut one = None;
    let load = Load {
        mix: 100,
        batch: BATCH,
        connections: 2,
        threads: 1,
        in_flight: UNDER_WAY,
        rate: None,
        keys: 1_000_000,
        seconds: trial.seconds,
    };
    for nodes in 1..=3 {
        let members = trial.zone("processor", nodes, Kept::Memory)?;
        load.fill(&mut members.client(0, READY_WITHIN).map_err(failed)?).map_err(failed)?;
        let before = processor_seconds(&members)?;
        let addresses = members.addresses();
        let connect = || options(&addresses).connect();
        let outcome = load.run(connect).map_err(failed)?;
        let rows = outcome.ops_per_s * trial.seconds;
        let us = (processor_seconds(&members)? - before) / rows * 1e6;
        let name = format!("{nodes} nodes, batches of {BATCH}: processor time of a row");
        let figure = Figure::new(Part::Processor, name, us, "us");
        tell(match one {
            None => figure,
            Some(one) => figure.beside("one node", one),
        });
        one = one.or(Some(us));
    }
    Ok(())
}

/// Processor time of all members so far, in seconds.
fn processor_seconds(members: &Members) -> Result<f64, Failure> {
    let mut ticks = 0.0;
    for id in members.ids() {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat"))
            .map_err(|error| Failure::World(format!("cannot read the processor time of {id}: {error}")))?;
        // The name of the program, in parentheses, may have spaces in it; then user and system time are the 12th and 13th.
        let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
        let times = behind.split_whitespace().skip(11).take(2);
        ticks += times.filter_map(|time| time.parse::<f64>().ok()).sum::<f64>();
    }
    Ok(ticks / TICKS)
}
