//! Rows a second and latencies at several depths, beside Redis with one replica and WAIT 1.
//!
//! A request of ours with 16 rows stands beside 16 commands of a Redis pipeline that a WAIT closes: both are one message there
//! and one back. Requests of one row, 16 of them under way, are told besides: clients that do not know of each other.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::load::{Load, Outcome};
use crate::members::{Members, READY_WITHIN, options};
use crate::process::Failure;
use crate::zone::redis::{Came, Redis};
use crate::zone::{Figure, Kept, Part, Tell, Trial, failed};

/// Rows that a connection has under way.
const DEPTHS: [usize; 3] = [1, 16, 256];

/// Connections.
const CONNECTIONS: [usize; 2] = [1, 50];

/// What one combination came to, a round each.
#[derive(Default)]
struct Rounds {
    rows: Vec<Outcome>,
    requests: Vec<Outcome>,
    redis: Vec<Came>,
}

pub(super) fn measure(trial: &Trial, tell: Tell<'_>) -> Result<(), Failure> {
    for kept in Kept::ALL {
        let members = trial.zone("rates", 2, kept)?;
        let redis = match &trial.redis {
            None => None,
            Some((server, generator)) => Some(Redis::pair(server, generator, &trial.fresh("redis")?, kept)?),
        };
        let mut client = members.client(0, READY_WITHIN).map_err(failed)?;
        load(1, 1, 1, trial.seconds).fill(&mut client).map_err(failed)?;
        for connections in CONNECTIONS {
            for depth in DEPTHS {
                let rounds = Rounds::of(trial, &members, redis.as_ref(), connections, depth)?;
                rounds.tell(kept, connections, depth, tell);
            }
        }
    }
    Ok(())
}

fn load(connections: usize, batch: usize, in_flight: usize, seconds: f64) -> Load {
    let (rate, keys) = (None, 1_000_000);
    Load { mix: 100, batch, connections, threads: 1, in_flight, rate, keys, seconds }
}

/// Clients by turns at each of the nodes.
fn ours(members: &Members, load: &Load) -> Result<Outcome, Failure> {
    let (addresses, next) = (members.addresses(), AtomicUsize::new(0));
    let connect = || {
        let mut turned = addresses.clone();
        turned.rotate_left(next.fetch_add(1, Ordering::Relaxed) % addresses.len());
        options(&turned).connect()
    };
    load.run(connect).map_err(failed)
}

fn median<T>(all: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    crate::median(all.iter().map(figure).collect())
}

impl Rounds {
    fn of(
        trial: &Trial,
        members: &Members,
        redis: Option<&Redis>,
        connections: usize,
        depth: usize,
    ) -> Result<Rounds, Failure> {
        let mut rounds = Rounds::default();
        for _ in 0..trial.rounds {
            rounds.rows.push(ours(members, &load(connections, depth, 1, trial.seconds))?);
            if depth > 1 {
                rounds.requests.push(ours(members, &load(connections, 1, depth, trial.seconds))?);
            }
            if let Some(redis) = redis {
                rounds.redis.push(redis.updates(connections, depth, trial.seconds)?);
            }
        }
        Ok(rounds)
    }

    fn tell(&self, kept: Kept, connections: usize, depth: usize, tell: Tell<'_>) {
        let what = format!("{}, {connections} x {depth}", kept.name());
        let asked = match kept {
            _ if depth < 16 => None,
            Kept::Memory => Some(1.0),
            Kept::Disk => Some(2.0),
        };
        let redis_rate = (!self.redis.is_empty()).then(|| median(&self.redis, |came| came.ops_per_s));
        let redis_p50 = (!self.redis.is_empty()).then(|| median(&self.redis, |came| came.p50_us));
        let beside = |figure: Figure, redis: Option<f64>| match redis {
            Some(redis) => figure.beside("Redis, WAIT 1", redis),
            None => figure,
        };
        let figure = |name: &str, value, unit| Figure::new(Part::Rates, format!("{what}{name}"), value, unit);
        let rate = median(&self.rows, |outcome| outcome.ops_per_s);
        tell(beside(figure(": rows/s", rate, "rows/s"), redis_rate).ratio(asked, None));
        let p50 = median(&self.rows, |outcome| outcome.p50_us);
        tell(beside(figure(": p50", p50, "us"), redis_p50));
        tell(figure(": p99", median(&self.rows, |outcome| outcome.p99_us), "us"));
        if !self.requests.is_empty() {
            let rate = median(&self.requests, |outcome| outcome.ops_per_s);
            tell(beside(figure(" requests of a row: rows/s", rate, "rows/s"), redis_rate));
        }
    }
}
