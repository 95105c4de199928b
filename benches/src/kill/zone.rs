//! A zone of two nodes and a witness, any of which is killed or stands still at random moments under load, and what the others
//! answer meanwhile, counted outside of it.
//!
//! The slots, the ledgers and the clients are those of the node that is killed alone. What is added: clients go to either
//! node, and those that stay move to the other; what was acknowledged must be there at the survivor, before the killed one is
//! back, and on both when it is. A node without a directory comes back empty; it is killed only when the other has every row.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::kill::chance::Chance;
use crate::kill::ledger::Ledger;
use crate::kill::{Failure, Repeats, client, process};
use crate::members::{Members, Role, wait};

/// One harm among so many is that a member stands still.
const PAUSE_AMONG: u64 = 4;

/// How long a member stands still, at most: longer than any lease.
const PAUSE: Duration = Duration::from_millis(2500);

/// Harms of a round in which clients stay, at most.
const STAYED_HARMS_MAX: u64 = 3;

/// How long copies may take to be in sync again.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// How long what is under way in the zone may go on to happen after its clients are gone.
const LATE: Duration = Duration::from_secs(5);

/// Nodes with rows; the witness stands behind them.
const NODES: usize = 2;

/// What to do.
#[derive(Clone, Debug)]
pub struct ZoneKill {
    /// The program `anabranch`.
    pub program: PathBuf,
    /// A directory of its own, for the flow and the nodes' data.
    pub directory: PathBuf,
    /// Where chance begins.
    pub seed: u64,
    /// Kills, at most.
    pub kills: u64,
    /// How long, at most.
    pub within: Duration,
    /// How long the zone is under load before a kill, at most.
    pub life: Duration,
    /// Clients.
    pub clients: usize,
    /// Requests of a client without an answer.
    pub in_flight: usize,
    /// Whether repeats have the key of the first try; without one the counts must come out wrong.
    pub keys: bool,
    /// Whether nodes keep what they do, so that all may be killed at once.
    pub data: bool,
    /// Whether acknowledgements wait for the disks.
    pub synced: bool,
}

/// What has happened so far.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ZoneSummary {
    /// Where chance began.
    pub seed: u64,
    /// Whether nodes kept what they did.
    pub data: bool,
    /// How often a member was killed.
    pub kills: u64,
    /// Those of the witness.
    pub witness_kills: u64,
    /// How often both nodes with rows were killed at once.
    pub both_kills: u64,
    /// How often a member stood still for a while.
    pub pauses: u64,
    /// Kills that clients stayed over.
    pub stayed_kills: u64,
    /// Requests that were acknowledged.
    pub acknowledged: u64,
    /// Requests that were under way when their clients ended.
    pub under_way: u64,
    /// Those of them that had been done, at least in one partition.
    pub under_way_done: u64,
    /// Rows that were compared.
    pub rows_compared: u64,
    /// How often all rows were compared while a node was dead.
    pub compared_at_survivor: u64,
    /// From the start of what was killed until all copies are in sync again, in milliseconds.
    pub whole_ms_p50: f64,
    /// See `whole_ms_p50`.
    pub whole_ms_max: f64,
    /// How long it took.
    pub seconds: f64,
}

/// What the rounds share.
struct Rounds<'k> {
    kill: &'k ZoneKill,
    chance: Chance,
    ledgers: Vec<Ledger>,
    members: Members,
    summary: ZoneSummary,
    whole_ms: Vec<f64>,
}

impl ZoneKill {
    /// Kills until there were enough; `tell` hears of each round.
    ///
    /// # Errors
    /// What the zone did wrong, or why it cannot be tried.
    pub fn run(&self, mut tell: impl FnMut(&ZoneSummary)) -> Result<ZoneSummary, Failure> {
        let began = Instant::now();
        process::make_directory(&self.directory)?;
        process::write_flow(&self.directory, &self.flow())?;
        let flow = self.directory.join("kill.flow");
        let members = Members::new(&self.program, &self.directory, &flow, self.data);
        let members = members.with("A", Role::Data).with("B", Role::Data).with("W", Role::Witness);
        let mut rounds = Rounds {
            kill: self,
            chance: Chance::new(self.seed),
            ledgers: (0..self.clients).map(Ledger::new).collect(),
            members,
            summary: ZoneSummary { seed: self.seed, data: self.data, ..ZoneSummary::default() },
            whole_ms: Vec::new(),
        };
        for at in 0..NODES {
            rounds.members.member(at).workers = 1 + rounds.chance.below(2);
        }
        rounds.members.all(WHOLE_WITHIN)?;
        while rounds.summary.kills < self.kills && began.elapsed() < self.within {
            match rounds.chance.below(2) {
                0 => rounds.clients_end()?,
                _ => rounds.clients_stay()?,
            }
            rounds.sum_up(began);
            tell(&rounds.summary);
        }
        rounds.load(Repeats::ByKey, |_| Ok(()))?;
        rounds.all_are_answered()?;
        rounds.sum_up(began);
        Ok(rounds.summary)
    }

    fn flow(&self) -> String {
        let copies = format!("copies 2  ack all  sync {}", if self.synced { "disk" } else { "memory" });
        super::flow(1).replace("copies 1", &copies)
    }
}

impl Rounds<'_> {
    /// Harms the zone under clients that end with what they meet, and looks at the survivor before all are back.
    fn clients_end(&mut self) -> Result<(), Failure> {
        self.load(Repeats::ByKey, Self::harm)?;
        self.summary.under_way += self.ledgers.iter().map(|ledger| ledger.open().len() as u64).sum::<u64>();
        let dead = (0..self.members.count()).filter(|at| !self.members.runs(*at)).count();
        if dead == 1 {
            self.compare()?;
            self.summary.compared_at_survivor += 1;
        }
        self.heal()?;
        self.compare()
    }

    /// The same, again and again, with clients that stay, and move to the other node.
    fn clients_stay(&mut self) -> Result<(), Failure> {
        self.load(Repeats::ByClient, |rounds| {
            for _ in 0..=rounds.chance.below(STAYED_HARMS_MAX) {
                let before = rounds.summary.kills;
                rounds.harm()?;
                rounds.summary.stayed_kills += rounds.summary.kills - before;
                let alone = rounds.chance.part_of(rounds.kill.life);
                wait(alone);
                rounds.heal()?;
            }
            Ok(())
        })?;
        self.all_are_answered()
    }

    /// Some time under load; then members are killed, or one stands still for a while and is perhaps killed then.
    fn harm(&mut self) -> Result<(), Failure> {
        let lives = self.chance.part_of(self.kill.life);
        wait(lives);
        let mut victims = self.victims();
        if self.chance.below(PAUSE_AMONG) == 0 {
            victims.truncate(1);
            let still = self.chance.part_of(PAUSE);
            self.summary.pauses += 1;
            self.members.pause(victims[0])?;
            wait(still);
            if self.chance.below(2) == 0 {
                return self.members.resume(victims[0]);
            }
        }
        let nodes = victims.iter().filter(|at| self.members.has_rows(**at)).count();
        self.summary.both_kills += u64::from(nodes == NODES);
        for at in victims {
            self.summary.kills += 1;
            self.summary.witness_kills += u64::from(!self.members.has_rows(at));
            self.members.kill(at)?;
        }
        Ok(())
    }

    /// Members to be killed at once: one, or with disks any of them, in any order.
    fn victims(&mut self) -> Vec<usize> {
        let count = self.members.count() as u64;
        let first = self.chance.below(count);
        let more = if self.kill.data { self.chance.below(count) } else { 0 };
        (0..=more).map(|behind| ((first + behind) % count) as usize).collect()
    }

    /// Starts what is dead, in any order, and waits until each row has its copies.
    fn heal(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let (count, first) = (self.members.count(), self.chance.below(3) as usize);
        for at in (0..count).map(|at| (at + first) % count) {
            if !self.members.runs(at) {
                self.members.member(at).workers = 1 + self.chance.below(2);
                self.members.start(at)?;
            }
        }
        self.members.all(WHOLE_WITHIN)?;
        self.whole_ms.push(began.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }

    fn all_are_answered(&mut self) -> Result<(), Failure> {
        if self.ledgers.iter().any(|ledger| !ledger.open().is_empty()) {
            return Err(Failure::Violation("clients that were not killed have no answers".to_owned()));
        }
        self.compare()
    }

    /// Lets all clients ask until `end` returns.
    fn load(
        &mut self,
        repeats: Repeats,
        end: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (addresses, stop) = (self.members.addresses(), &AtomicBool::new(false));
        let (in_flight, keys) = (self.kill.in_flight, self.kill.keys);
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

    /// Compares all slots with what clients know of them, as each node that runs tells. Nodes may go on to do what clients
    /// sent that are gone, and a scan is no snapshot, so what is wrong has to stay wrong.
    fn compare(&mut self) -> Result<(), Failure> {
        for address in self.running() {
            let began = Instant::now();
            while let Err(failure) = self.compare_at(&address) {
                if began.elapsed() > LATE {
                    return Err(failure);
                }
                wait(LATE / 10);
            }
        }
        Ok(())
    }

    fn compare_at(&mut self, address: &str) -> Result<(), Failure> {
        let mut found = client::slots(&[address.to_owned()])?;
        for (number, ledger) in self.ledgers.iter_mut().enumerate() {
            let slots = found.remove(&(number as i64)).unwrap_or_default();
            self.summary.rows_compared += slots.len() as u64;
            let open = ledger.compare(&slots);
            let open =
                open.map_err(|what| Failure::Violation(format!("at {address}, client {number}: {what}")))?;
            self.summary.under_way_done += open.done;
        }
        match found.keys().next() {
            None => Ok(()),
            Some(other) => {
                let text = format!("at {address} there are rows of client {other}, which never was");
                Err(Failure::Violation(text))
            }
        }
    }

    /// Where nodes with rows run.
    fn running(&mut self) -> Vec<String> {
        let all = 0..self.members.count();
        let runs: Vec<usize> =
            all.filter(|at| self.members.runs(*at) && self.members.has_rows(*at)).collect();
        runs.into_iter().map(|at| self.members.member(at).address.clone()).collect()
    }

    fn sum_up(&mut self, began: Instant) {
        self.whole_ms.sort_by(f64::total_cmp);
        let summary = &mut self.summary;
        summary.whole_ms_p50 = self.whole_ms.get(self.whole_ms.len() / 2).copied().unwrap_or_default();
        summary.whole_ms_max = self.whole_ms.last().copied().unwrap_or_default();
        summary.acknowledged = self.ledgers.iter().map(Ledger::acknowledged).sum();
        summary.seconds = began.elapsed().as_secs_f64();
    }
}
