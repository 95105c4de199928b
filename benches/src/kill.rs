//! A node as a process of its own that is killed under load at random moments, again and again, and what it comes back
//! with, counted outside of it.
//!
//! Each client has slots in a table, and a request writes the slots behind those of the request before it, in several
//! partitions: `times += 1`. So a slot says how often it was written and by which request last. After every kill
//! what was acknowledged must be there, once; what was not is there whole, for each partition of its request, or not at
//! all. Then it is sent again, by its key, until it is acknowledged: it must have happened once in the end. In other rounds
//! clients stay over several kills and repeat by themselves what was under way. Meanwhile newer revisions of the flow are
//! deployed, and snapshots are made.

mod chance;
mod client;
mod ledger;
mod process;
mod zone;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use chance::Chance;
use ledger::Ledger;

use crate::members::wait;
pub use crate::process::Failure;
use crate::process::Process;
pub use zone::{ZoneKill, ZoneSummary};

/// The flow that runs, at a revision.
fn flow(revision: u64) -> String {
    format!(
        "flow kill revision {revision}
policy few {{ partitions 8  copies 1 }}
input Put: {{ client: int, slot: int, request: int }}
table Slots: {{ client: int, slot: int, request: int, times: int, revision: int }} {{
  key client, slot
  replicate few
}}
on Put as p {{
  upsert Slots {{ client: p.client, slot: p.slot, request: p.request, times += 1, revision: {revision} }}
}}
"
    )
}

/// One kill among so many comes before anything is asked, and perhaps before the node is ready.
const EARLY_AMONG: u64 = 8;

/// How long an early kill waits, at most.
const EARLY: Duration = Duration::from_millis(30);

/// One life among so many has a newer revision of the flow deployed.
const DEPLOY_AMONG: u64 = 3;

/// Kills of a round in which clients stay, at most.
const STAYED_KILLS_MAX: u64 = 3;

/// How long a node may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// What to do.
#[derive(Clone, Debug)]
pub struct Kill {
    /// The program `anabranch`.
    pub program: PathBuf,
    /// A directory of its own, for the flow and the node's data.
    pub directory: PathBuf,
    /// Where chance begins.
    pub seed: u64,
    /// Kills, at most.
    pub kills: u64,
    /// How long, at most.
    pub within: Duration,
    /// How long the node is under load before a kill, at most.
    pub life: Duration,
    /// Clients.
    pub clients: usize,
    /// Requests of a client without an answer.
    pub in_flight: usize,
    /// Whether repeats have the key of the first try; without one the counts must come out wrong.
    pub keys: bool,
    /// Bytes of journal after which the node makes a snapshot.
    pub snapshot_after: String,
}

/// What has happened so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Where chance began.
    pub seed: u64,
    /// How often the node was killed.
    pub kills: u64,
    /// Those before anything was asked of it.
    pub early_kills: u64,
    /// Those that clients stayed over.
    pub stayed_kills: u64,
    /// Newer revisions of the flow that were deployed.
    pub deploys: u64,
    /// Requests that were acknowledged.
    pub acknowledged: u64,
    /// Requests that were under way when the node was killed and their clients, too.
    pub under_way: u64,
    /// Those of them that had been done, at least in one partition.
    pub under_way_done: u64,
    /// Those that had been done in some partitions and not in others.
    pub under_way_in_part: u64,
    /// Rows that were compared.
    pub rows_compared: u64,
    /// From the start of the process until it is ready, in milliseconds.
    pub ready_ms_p50: f64,
    /// See `ready_ms_p50`.
    pub ready_ms_max: f64,
    /// Bytes of the node's data.
    pub data_bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Who repeats what was under way at a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Another client, by the key of the first try.
    ByKey,
    /// The same client, by itself.
    ByClient,
}

/// What the rounds share.
struct Rounds<'k> {
    kill: &'k Kill,
    chance: Chance,
    ledgers: Vec<Ledger>,
    summary: Summary,
    ready_ms: Vec<f64>,
    /// Where the node listens: a port that it takes the first time, and keeps.
    address: String,
    revision: u64,
}

impl Kill {
    /// Kills until there were enough; `tell` hears of each. The last life ends without one, when everything is answered.
    ///
    /// # Errors
    /// What the node did wrong, or why it cannot be tried.
    pub fn run(&self, mut tell: impl FnMut(&Summary)) -> Result<Summary, Failure> {
        let began = Instant::now();
        process::make_directory(&self.directory)?;
        let mut rounds = Rounds {
            kill: self,
            chance: Chance::new(self.seed),
            ledgers: (0..self.clients).map(Ledger::new).collect(),
            summary: Summary { seed: self.seed, ..Summary::default() },
            ready_ms: Vec::new(),
            address: "127.0.0.1:0".to_owned(),
            revision: 1,
        };
        process::write_flow(&self.directory, &flow(1))?;
        while rounds.summary.kills < self.kills && began.elapsed() < self.within {
            match rounds.chance.below(2) {
                0 => rounds.clients_die_too()?,
                _ => rounds.clients_stay()?,
            }
            rounds.sum_up(began);
            tell(&rounds.summary);
        }
        rounds.live_to_the_end()?;
        rounds.sum_up(began);
        Ok(rounds.summary)
    }
}

impl Rounds<'_> {
    /// Starts the node, compares, loads it, and kills it and its clients at some moment of all this.
    fn clients_die_too(&mut self) -> Result<(), Failure> {
        self.summary.kills += 1;
        if self.chance.below(EARLY_AMONG) == 0 {
            self.summary.early_kills += 1;
            let mut process = self.start()?;
            process.ready(self.chance.part_of(EARLY))?;
            return process.kill();
        }
        let mut process = self.ready()?;
        self.compare()?;
        self.load(Repeats::ByKey, |rounds| rounds.die(&mut process))?;
        self.summary.under_way += self.ledgers.iter().map(|ledger| ledger.open().len() as u64).sum::<u64>();
        Ok(())
    }

    /// The same, with clients that stay, and wait until the node is there again.
    fn clients_stay(&mut self) -> Result<(), Failure> {
        let mut process = self.ready()?;
        self.compare()?;
        self.load(Repeats::ByClient, |rounds| {
            for _ in 0..=rounds.chance.below(STAYED_KILLS_MAX) {
                rounds.summary.kills += 1;
                rounds.summary.stayed_kills += 1;
                rounds.die(&mut process)?;
                process = rounds.ready()?;
            }
            Ok(())
        })?;
        self.all_are_answered()?;
        process.kill()
    }

    /// Starts the node, lets clients repeat what is open, and compares before and after it.
    fn live_to_the_end(&mut self) -> Result<(), Failure> {
        let mut process = self.ready()?;
        self.compare()?;
        self.load(Repeats::ByKey, |_| Ok(()))?;
        self.all_are_answered()?;
        process.kill()
    }

    fn all_are_answered(&mut self) -> Result<(), Failure> {
        if self.ledgers.iter().any(|ledger| !ledger.open().is_empty()) {
            return Err(Failure::Violation("clients that were not killed have no answers".to_owned()));
        }
        self.compare()
    }

    /// Some time under load, perhaps with a newer revision; then the kill.
    fn die(&mut self, process: &mut Process) -> Result<(), Failure> {
        let lives = self.chance.part_of(self.kill.life);
        if self.chance.below(DEPLOY_AMONG) > 0 {
            wait(lives);
            return process.kill();
        }
        self.revision += 1;
        self.summary.deploys += 1;
        let (text, address) = (flow(self.revision), self.address.as_str());
        // It is deployed by the next start where the kill comes before.
        process::write_flow(&self.kill.directory, &text)?;
        let before = self.chance.part_of(lives);
        wait(before);
        std::thread::scope(|scope| {
            let deploying = scope.spawn(move || client::deploy(address, &text));
            wait(lives.saturating_sub(before));
            let killed = process.kill();
            killed.and(deploying.join().expect("a client does not panic"))
        })
    }

    /// Partitions find their workers, whatever their number.
    fn start(&mut self) -> Result<Process, Failure> {
        process::start(self.kill, &self.address, 1 + self.chance.below(2))
    }

    /// Starts the node, and waits until it is ready.
    fn ready(&mut self) -> Result<Process, Failure> {
        let began = Instant::now();
        let mut process = self.start()?;
        let Some(ready) = process.ready(READY_WITHIN)? else {
            return Err(Failure::Violation(format!("it is not ready after {READY_WITHIN:?}")));
        };
        self.address = ready.address("listen")?;
        self.ready_ms.push(began.elapsed().as_secs_f64() * 1e3);
        Ok(process)
    }

    /// Lets all clients ask until `end` returns.
    fn load(
        &mut self,
        repeats: Repeats,
        end: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (kill, addresses, stop) = (self.kill, [self.address.clone()], &AtomicBool::new(false));
        let (in_flight, keys) = (kill.in_flight, kill.keys);
        let asks = &client::Asks { addresses: &addresses, in_flight, keys, repeats };
        let mut ledgers = std::mem::take(&mut self.ledgers);
        let ended = std::thread::scope(|scope| {
            let ask = |ledger| scope.spawn(move || client::ask(ledger, asks, stop));
            let threads: Vec<_> = ledgers.iter_mut().map(ask).collect();
            let ended = end(self);
            stop.store(true, Ordering::Relaxed);
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().expect("a client does not panic")
            };
            let asked: Vec<Result<(), Failure>> = threads.into_iter().map(join).collect();
            asked.into_iter().fold(ended, Result::and)
        });
        self.ledgers = ledgers;
        ended
    }

    /// Compares all slots with what clients know of them.
    fn compare(&mut self) -> Result<(), Failure> {
        let mut found = client::slots(std::slice::from_ref(&self.address))?;
        for (number, ledger) in self.ledgers.iter_mut().enumerate() {
            let slots = found.remove(&(number as i64)).unwrap_or_default();
            self.summary.rows_compared += slots.len() as u64;
            let open = ledger.compare(&slots);
            let open = open.map_err(|what| Failure::Violation(format!("client {number}: {what}")))?;
            self.summary.under_way_done += open.done;
            self.summary.under_way_in_part += open.in_part;
        }
        match found.keys().next() {
            None => Ok(()),
            Some(other) => {
                Err(Failure::Violation(format!("there are rows of client {other}, which never was")))
            }
        }
    }

    fn sum_up(&mut self, began: Instant) {
        let summary = &mut self.summary;
        self.ready_ms.sort_by(f64::total_cmp);
        summary.ready_ms_p50 = self.ready_ms.get(self.ready_ms.len() / 2).copied().unwrap_or_default();
        summary.ready_ms_max = self.ready_ms.last().copied().unwrap_or_default();
        summary.acknowledged = self.ledgers.iter().map(Ledger::acknowledged).sum();
        summary.data_bytes = process::data_bytes(&self.kill.directory);
        summary.seconds = began.elapsed().as_secs_f64();
    }
}

/// Slots as they were found, by client.
pub(crate) type Found = HashMap<i64, ledger::Slots>;
