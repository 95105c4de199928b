//! A zone, measured: nodes as processes on this machine, beside Redis with a replica and beside bare hops and syncs, all in one
//! run.
//!
//! Each part starts a zone of its own and ends it. A figure stands with what it is compared with and what is asked of it;
//! absolute figures of a shared machine say little, ratios of one run more.

mod bare;
mod catch_up;
mod ledger;
mod move_pause;
mod processor;
mod rates;
mod redis;
mod single;
mod takeover;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anabranch::Error;
use serde::Serialize;

use crate::members::{Members, Role};
use crate::process::Failure;

/// How long copies may take to be in sync.
const WHOLE_WITHIN: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Rows a second and latencies at several depths, beside Redis.
    Rates,
    /// One request in flight, beside the sum of what it needs.
    Single,
    /// From a kill, or the stop of a node, to the next acknowledged write.
    Takeover,
    /// The pause of a key while ownership evens out.
    Move,
    /// How an empty node fills itself.
    CatchUp,
    /// Processor time of a row.
    Processor,
}

impl Part {
    /// All of them, with their words.
    pub const ALL: [(&'static str, Part); 6] = [
        ("rates", Part::Rates),
        ("single", Part::Single),
        ("takeover", Part::Takeover),
        ("move", Part::Move),
        ("catch-up", Part::CatchUp),
        ("processor", Part::Processor),
    ];
}

/// What to measure, and with what.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The program `anabranch`.
    pub program: PathBuf,
    /// A directory of its own.
    pub directory: PathBuf,
    /// `redis-server` and the load generator for it, where they are there.
    pub redis: Option<(PathBuf, PathBuf)>,
    /// Length of a timed repetition.
    pub seconds: f64,
    /// Repetitions; the median is told.
    pub rounds: usize,
    /// Kills.
    pub kills: usize,
    /// Rows that an empty node gets.
    pub rows: u64,
    /// Which parts.
    pub parts: Vec<Part>,
}

/// Something that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The part that it belongs to.
    pub part: Part,
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// What it is compared with, of the same run and unit.
    pub beside: Option<(String, f64)>,
    /// What is asked of it, and whether it is met.
    pub asked: Option<(String, bool)>,
}

impl Figure {
    fn new(part: Part, name: impl Into<String>, value: f64, unit: &'static str) -> Figure {
        Figure { part, name: name.into(), value, unit, beside: None, asked: None }
    }

    fn beside(mut self, name: impl Into<String>, value: f64) -> Figure {
        self.beside = Some((name.into(), value));
        self
    }

    /// Asks that the ratio to what it is compared with is at least, or at most, so much.
    fn ratio(self, least: Option<f64>, most: Option<f64>) -> Figure {
        let ratio = self.ratio_of().unwrap_or(f64::NAN);
        match (least, most) {
            (Some(least), _) => self.asked(format!("at least {least} times"), ratio >= least),
            (_, Some(most)) => self.asked(format!("at most {most} times"), ratio <= most),
            _ => self,
        }
    }

    fn below(self, most: f64) -> Figure {
        let met = self.value < most;
        let unit = self.unit;
        self.asked(format!("below {most} {unit}"), met)
    }

    fn asked(mut self, what: String, met: bool) -> Figure {
        self.asked = Some((what, met));
        self
    }

    /// How many times what it is compared with.
    pub fn ratio_of(&self) -> Option<f64> {
        self.beside.as_ref().map(|(_, beside)| self.value / beside)
    }
}

/// Where figures go.
type Tell<'t> = &'t mut dyn FnMut(Figure);

impl Trial {
    /// Measures all parts; `tell` hears of each figure.
    ///
    /// # Errors
    /// What cannot be measured, or what a node did that it must not.
    pub fn run(&self, tell: Tell<'_>) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.directory).map_err(|error| {
            Failure::World(format!("cannot make `{}`: {error}", self.directory.display()))
        })?;
        for part in &self.parts {
            match part {
                Part::Rates => rates::measure(self, tell)?,
                Part::Single => single::measure(self, tell)?,
                Part::Takeover => takeover::measure(self, tell)?,
                Part::Move => move_pause::measure(self, tell)?,
                Part::CatchUp => catch_up::measure(self, tell)?,
                Part::Processor => processor::measure(self, tell)?,
            }
        }
        Ok(())
    }

    /// A zone of so many nodes, all in sync; of two with a witness.
    fn zone(&self, name: &str, nodes: usize, kept: Kept) -> Result<Members, Failure> {
        let directory = self.fresh(name)?;
        let flow = directory.join("names.flow");
        std::fs::write(&flow, kept.flow())
            .map_err(|error| Failure::World(format!("cannot write `{}`: {error}", flow.display())))?;
        let mut members = Members::new(&self.program, &directory, &flow, kept == Kept::Disk);
        for name in ["A", "B", "C"].iter().take(nodes) {
            members = members.with(name, Role::Data);
        }
        if nodes == 2 {
            members = members.with("W", Role::Witness);
        }
        members.all(WHOLE_WITHIN)?;
        Ok(members)
    }

    /// An empty directory.
    fn fresh(&self, name: &str) -> Result<PathBuf, Failure> {
        let directory = self.directory.join(name);
        let made = || {
            if Path::new(&directory).exists() {
                std::fs::remove_dir_all(&directory)?;
            }
            std::fs::create_dir_all(&directory)
        };
        made().map_err(|error| Failure::World(format!("cannot make `{}`: {error}", directory.display())))?;
        Ok(directory)
    }
}

/// When a write is acknowledged: copies have it in memory, or on their disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Memory,
    Disk,
}

impl Kept {
    const ALL: [Kept; 2] = [Kept::Memory, Kept::Disk];

    fn name(self) -> &'static str {
        match self {
            Kept::Memory => "sync memory",
            Kept::Disk => "sync disk",
        }
    }

    /// The reference flow with this policy.
    fn flow(self) -> String {
        let text = include_str!("../../flows/names.flow");
        let flow = text.replace("sync disk", self.name());
        assert!(flow.contains(self.name()), "the reference flow has a policy");
        flow
    }
}

/// A client that fails in a measurement is no measurement.
fn failed(error: Error) -> Failure {
    Failure::Violation(format!("a request fails: {error}"))
}
