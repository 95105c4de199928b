//! Load on a node, as clients make it: updates and reads of the reference flow, and how long each took.
//!
//! With a rate the loop is open: requests have their times whether or not earlier ones are answered, and latency counts
//! from that time, so a stall of the node is seen in all requests that it held up (no coordinated omission). At `max`
//! each connection keeps its requests in flight, and latency counts from sending.

use std::collections::HashMap;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anabranch::{Client, Error, Ticket};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::workload;

/// What load to make.
#[derive(Clone, Debug)]
pub struct Load {
    /// Updates among a hundred requests; the rest reads.
    pub mix: u32,
    /// Rows of a request.
    pub batch: usize,
    /// Clients, each with a connection.
    pub connections: usize,
    /// Threads, each with its share of the clients, which it serves in turn.
    pub threads: usize,
    /// Requests of a connection without an answer, at most.
    pub in_flight: usize,
    /// Requests a second over all connections; none for as many as go.
    pub rate: Option<f64>,
    /// Names to choose from.
    pub keys: u64,
    /// How long.
    pub seconds: f64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Rows a second.
    pub ops_per_s: f64,
    /// Latency of a request, in microseconds.
    pub p50_us: f64,
    /// See `p50_us`.
    pub p99_us: f64,
    /// See `p50_us`.
    pub p999_us: f64,
    /// See `p50_us`.
    pub max_us: f64,
    /// Resident memory of the node's process, in MB (2^20 bytes); 0 where it is not known.
    pub rss_mb: f64,
}

#[derive(Serialize)]
struct NameValue<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

impl Load {
    /// Writes every name once.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub fn fill(&self, client: &mut Client) -> Result<(), Error> {
        let mut pairs = workload::all_keys().take(self.keys as usize).peekable();
        while pairs.peek().is_some() {
            let mut batch = client.batch("UpdateStream")?;
            for (name, value) in pairs.by_ref().take(1000) {
                batch.push(&NameValue { name: text(&name), value: text(&value) })?;
            }
            client.submit(batch)?;
        }
        while client.next()?.is_some() {}
        Ok(())
    }

    /// Makes the load with clients that `connect` gives.
    ///
    /// # Errors
    /// The first that a client met.
    pub fn run(&self, connect: impl Fn() -> Result<Client, Error> + Sync) -> Result<Outcome, Error> {
        let begin = Barrier::new(self.threads);
        let (began, took, histogram) = std::thread::scope(|scope| {
            let run = |thread: usize| {
                let (connect, begin) = (&connect, &begin);
                scope.spawn(move || {
                    let numbers = (thread..self.connections).step_by(self.threads);
                    let clients: Result<Vec<Client>, Error> = numbers.map(|_| connect()).collect();
                    begin.wait();
                    self.run_with(clients?, thread)
                })
            };
            let threads: Vec<_> = (0..self.threads).map(run).collect();
            let mut rows = 0;
            let mut took = Duration::ZERO;
            let mut all = histogram();
            for thread in threads {
                let (sent, lasted, histogram) = thread.join().expect("a connection does not panic")?;
                rows += sent;
                took = took.max(lasted);
                all.add(histogram).expect("histograms have the same bounds");
            }
            Ok::<_, Error>((rows, took, all))
        })?;
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Outcome {
            ops_per_s: began as f64 / took.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max() as f64 / 1000.0,
            rss_mb: 0.0,
        })
    }

    /// Makes a thread's share of the load: its rows, how long it took, and latencies.
    fn run_with(
        &self,
        clients: Vec<Client>,
        thread: usize,
    ) -> Result<(u64, Duration, Histogram<u64>), Error> {
        let start = Instant::now();
        let end = start + Duration::from_secs_f64(self.seconds);
        let mut latencies = histogram();
        let numbered = (thread..).step_by(self.threads).zip(clients);
        let mut connections: Vec<_> =
            numbered.map(|(number, client)| Connection::new(self, client, number, start)).collect();
        while Instant::now() < end {
            let mut idle = true;
            for connection in &mut connections {
                idle &= !connection.step(&mut latencies)?;
            }
            if idle {
                // The node may need this processor.
                std::thread::yield_now();
            }
        }
        for connection in &mut connections {
            while !connection.under_way.is_empty() {
                connection.answer(&mut latencies)?;
            }
        }
        Ok((connections.iter().map(|connection| connection.rows).sum(), start.elapsed(), latencies))
    }
}

/// Nanoseconds, up to ten minutes, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("the bounds are in order")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("names and values are ASCII")
}

struct Connection<'a> {
    load: &'a Load,
    client: Client,
    chance: u64,
    /// When the next request is due, and how long after it the one that follows.
    due: Option<(Instant, Duration)>,
    /// When requests that are under way should have begun.
    under_way: HashMap<Ticket, Instant>,
    rows: u64,
}

impl<'a> Connection<'a> {
    fn new(load: &'a Load, client: Client, number: usize, start: Instant) -> Self {
        let chance = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let due = load.rate.map(|rate| {
            let first = start + Duration::from_secs_f64(number as f64 / rate);
            (first, Duration::from_secs_f64(load.connections as f64 / rate))
        });
        Connection { load, client, chance, due, under_way: HashMap::new(), rows: 0 }
    }

    /// Makes the next request, when it is due and there is room for it. Whether it did.
    fn step(&mut self, latencies: &mut Histogram<u64>) -> Result<bool, Error> {
        let mut begins = None;
        if let Some((due, every)) = &mut self.due {
            let now = Instant::now();
            if now >= *due {
                begins = Some(*due);
                *due += *every;
            }
            while self.answer_if_there(latencies)? {}
            if begins.is_none() {
                return Ok(false);
            }
        }
        while self.under_way.len() >= self.load.in_flight {
            self.answer(latencies)?;
        }
        let begins = begins.unwrap_or_else(Instant::now);
        let ticket = self.request()?;
        self.under_way.insert(ticket, begins);
        Ok(true)
    }

    fn request(&mut self) -> Result<Ticket, Error> {
        let is_update = self.random(100) < u64::from(self.load.mix);
        let mut batch = self.client.batch(if is_update { "UpdateStream" } else { "ReadStream" })?;
        for _ in 0..self.load.batch {
            let key = self.random(self.load.keys);
            let (name, value) = workload::pair(key, self.chance);
            match is_update {
                true => batch.push(&NameValue { name: text(&name), value: text(&value) })?,
                false => batch.push(&Name { name: text(&name) })?,
            }
        }
        self.client.submit(batch)
    }

    fn answer(&mut self, latencies: &mut Histogram<u64>) -> Result<(), Error> {
        if let Some((ticket, answer)) = self.client.next()? {
            self.answered(ticket, answer.accepted, latencies);
        }
        Ok(())
    }

    /// Takes an answer that has come; false where none has.
    fn answer_if_there(&mut self, latencies: &mut Histogram<u64>) -> Result<bool, Error> {
        let next = self.client.try_next()?;
        let there = next.is_some();
        if let Some((ticket, answer)) = next {
            self.answered(ticket, answer.accepted, latencies);
        }
        Ok(there)
    }

    fn answered(&mut self, ticket: Ticket, accepted: usize, latencies: &mut Histogram<u64>) {
        self.rows += accepted as u64;
        if let Some(began) = self.under_way.remove(&ticket) {
            latencies.saturating_record(began.elapsed().as_nanos() as u64);
        }
    }

    /// A number below `below`: xorshift64* (Vigna 2016).
    fn random(&mut self, below: u64) -> u64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        ((u128::from(self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d)) * u128::from(below)) >> 64) as u64
    }
}
