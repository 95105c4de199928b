//! The pause of a key while a node that has come back gets copies and then its share of ownership again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::members::{Members, READY_WITHIN, wait};
use crate::process::Failure;
use crate::zone::ledger::{PARTITIONS, Write, partition, until_even, write_on};
use crate::zone::{Figure, Kept, Part, Tell, Trial, WHOLE_WITHIN, failed};

/// How often ownership moves.
const MOVES: usize = 5;

/// Clients, each with a share of the partitions.
const CLIENTS: usize = 8;

/// What a takeover costs is another figure: it is over after so long.
const SETTLED: Duration = Duration::from_secs(2);

/// How much of the time before the move is looked at.
const QUIET: Duration = Duration::from_secs(1);

pub(super) fn measure(trial: &Trial, tell: Tell<'_>) -> Result<(), Failure> {
    let mut members = trial.zone("move", 2, Kept::Memory)?;
    let (mut longest, mut quiet) = (Vec::new(), Vec::new());
    for _ in 0..MOVES {
        members.kill(1)?;
        wait(SETTLED);
        let (began, writes) = writes_while_it_comes_back(&mut members)?;
        members.whole(WHOLE_WITHIN)?;
        let (before, moving): (Vec<&Write>, Vec<&Write>) =
            writes.iter().partition(|write| write.answered < began);
        quiet.push(worst_ms(&before));
        longest.push(worst_ms(&moving));
    }
    let most = longest.iter().copied().fold(0.0, f64::max);
    let name = "the longest write while 32 partitions are copied and handed over";
    let figure = Figure::new(Part::Move, format!("{name}: median of {MOVES}"), crate::median(longest), "ms");
    tell(figure.beside("in the second before", crate::median(quiet)));
    tell(Figure::new(Part::Move, format!("{name}: worst"), most, "ms").below(100.0));
    Ok(())
}

/// Writes to all partitions, each one at a time, until B has its share again; when it was started.
fn writes_while_it_comes_back(members: &mut Members) -> Result<(Instant, Vec<Write>), Failure> {
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push((names(number), members.client(0, READY_WITHIN).map_err(failed)?));
    }
    let stop = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let write =
            |(names, mut client): (Vec<String>, _)| scope.spawn(move || write_on(&mut client, &names, stop));
        let threads: Vec<_> = clients.into_iter().map(write).collect();
        wait(QUIET);
        let began = Instant::now();
        let even = members.start(1).and_then(|()| members.ready(1)).and_then(|()| until_even(members, "B"));
        stop.store(true, Ordering::Relaxed);
        let mut writes = Vec::new();
        for thread in threads {
            writes.extend(thread.join().expect("a writer does not panic").map_err(failed)?);
        }
        even.map(|()| (began, writes))
    })
}

fn worst_ms(writes: &[&Write]) -> f64 {
    let worst = writes.iter().map(|write| write.took()).max();
    worst.unwrap_or_default().as_secs_f64() * 1e3
}

/// A name in each partition of a client's share.
fn names(number: usize) -> Vec<String> {
    let mut names = Vec::new();
    for wanted in (number as u32..PARTITIONS).step_by(CLIENTS) {
        let mut all = (0_u32..).map(|number| format!("name-{number}"));
        names.extend(all.find(|name| partition(name) == wanted));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_write_a_name_of_each_partition_between_them() {
        let mut all: Vec<u32> = (0..CLIENTS).flat_map(names).map(|name| partition(&name)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..PARTITIONS).collect::<Vec<_>>());
    }
}
