//! From the moment at which a node is killed or stands still to the next acknowledged write.
//!
//! A client writes one name after the other, one at a time. What counts is the answer to the first write that was *begun* after
//! the harm, or that was under way then, whichever is later: of names that the harmed node owned, or where a copy stands still,
//! of names of the other node.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::members::{Members, READY_WITHIN, wait};
use crate::process::Failure;
use crate::zone::ledger::{Write, names_of, until_even, write_on};
use crate::zone::{Figure, Kept, Part, Tell, Trial, WHOLE_WITHIN, failed};

/// How long writes go on before the harm.
const BEFORE: Duration = Duration::from_millis(200);

/// How long they go on behind it.
const BEHIND: Duration = Duration::from_millis(2500);

/// How often a node is stopped.
const STOPS: usize = 5;

/// What happens to a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    Kill,
    Stop,
}

pub(super) fn measure(trial: &Trial, tell: Tell<'_>) -> Result<(), Failure> {
    let mut members = trial.zone("takeover", 2, Kept::Memory)?;
    for (what, entry) in [("client at the other node", 1), ("client at the killed node", 0)] {
        let mut took = Vec::new();
        for _ in 0..trial.kills {
            took.push(after(&mut members, Harm::Kill, entry, "A")?);
        }
        let (median, worst) = of(took);
        let name = format!("kill, {what}");
        tell(Figure::new(Part::Takeover, format!("{name}: median"), median, "ms").below(500.0));
        let worst_of = format!("{name}: worst of {}", trial.kills);
        tell(Figure::new(Part::Takeover, worst_of, worst, "ms").below(1000.0));
    }
    for (what, names) in [("the owner stands still", "A"), ("a copy stands still", "B")] {
        let mut took = Vec::new();
        for _ in 0..STOPS {
            took.push(after(&mut members, Harm::Stop, 1, names)?);
        }
        let (median, worst) = of(took);
        tell(Figure::new(Part::Takeover, format!("{what}: median"), median, "ms"));
        tell(Figure::new(Part::Takeover, format!("{what}: worst of {STOPS}"), worst, "ms"));
    }
    Ok(())
}

/// Median and worst, in milliseconds.
fn of(took: Vec<Duration>) -> (f64, f64) {
    let took: Vec<f64> = took.into_iter().map(|time| time.as_secs_f64() * 1e3).collect();
    let worst = took.iter().copied().fold(0.0, f64::max);
    (crate::median(took), worst)
}

/// Harms A while a client that began at `entry` writes names of a node, and puts it right again.
fn after(members: &mut Members, harm: Harm, entry: usize, names: &str) -> Result<Duration, Failure> {
    let names = names_of(members, names)?;
    let mut client = members.client(entry, READY_WITHIN).map_err(failed)?;
    let stop = &AtomicBool::new(false);
    let (harmed, writes) = std::thread::scope(|scope| {
        let writing = scope.spawn(move || write_on(&mut client, &names, stop));
        wait(BEFORE);
        let harmed = Instant::now();
        let done = match harm {
            Harm::Kill => members.kill(0),
            Harm::Stop => members.pause(0),
        };
        wait(BEHIND);
        stop.store(true, Ordering::Relaxed);
        let writes = writing.join().expect("a writer does not panic").map_err(failed);
        done.and(writes.map(|writes| (harmed, writes)))
    })?;
    match harm {
        Harm::Kill => members.start(0).and_then(|()| members.ready(0))?,
        Harm::Stop => members.resume(0)?,
    }
    members.whole(WHOLE_WITHIN)?;
    // Each time as much is taken over.
    until_even(members, "A")?;
    first_after(&writes, harmed)
}

fn first_after(writes: &[Write], harmed: Instant) -> Result<Duration, Failure> {
    let first = writes.iter().find(|write| write.sent >= harmed);
    let first = first.ok_or_else(|| Failure::Violation(format!("no write is answered within {BEHIND:?}")))?;
    Ok(first.answered - harmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_under_way_at_the_harm_does_not_count() {
        let harmed = Instant::now();
        let ms = Duration::from_millis;
        let write = |sent: Instant, took| Write { sent, answered: sent + ms(took) };
        let writes = [write(harmed - ms(1), 400), write(harmed + ms(399), 100), write(harmed + ms(500), 1)];
        assert_eq!(first_after(&writes, harmed).expect("there is one"), ms(499));
        assert!(first_after(&writes[..1], harmed).is_err());
    }
}
