//! What goes wrong in a run, by name.

use crate::network::Delay;

/// How often each kind of fault comes, beside the others; 0: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Nothing gets from one node to another, but back.
    pub(crate) cut_one: u64,
    /// Nothing gets from one node to another nor back.
    pub(crate) cut_both: u64,
    /// A node reaches no other one.
    pub(crate) isolate: u64,
    /// A link is reset.
    pub(crate) reset: u64,
    /// A node stands still for a while.
    pub(crate) pause: u64,
    /// A node is killed, and begins again with its disk.
    pub(crate) kill: u64,
    /// A node is killed, and begins again without anything.
    pub(crate) wipe: u64,
    /// A machine loses power: what was not synced is lost as chance has it.
    pub(crate) power: u64,
    /// All nodes are killed at once, and begin again with their disks.
    pub(crate) all: u64,
}

/// A kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Nodes with rows.
    pub(crate) nodes: u16,
    /// Whether there is a witness, too.
    pub(crate) witness: bool,
    pub(crate) faults: Faults,
    /// Between two faults, on the average; in microseconds.
    pub(crate) every: u64,
    /// How long one lasts, at most.
    pub(crate) lasts: u64,
    pub(crate) delay: Delay,
}

const SECOND: u64 = 1_000_000;

const LAN: Delay = Delay { least: 80, usual: 300, most: 10_000 };

const CALM: Scenario = Scenario {
    name: "calm",
    about: "three nodes, and nothing goes wrong",
    nodes: 3,
    witness: false,
    faults: Faults {
        cut_one: 0,
        cut_both: 0,
        isolate: 0,
        reset: 0,
        pause: 0,
        kill: 0,
        wipe: 0,
        power: 0,
        all: 0,
    },
    every: 10 * SECOND,
    lasts: 5 * SECOND,
    delay: LAN,
};

/// All kinds of runs; the first is the one that is meant where none is named.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "any",
        about: "three nodes, and everything goes wrong",
        faults: Faults {
            cut_one: 2,
            cut_both: 2,
            isolate: 2,
            reset: 3,
            pause: 2,
            kill: 3,
            wipe: 1,
            power: 1,
            all: 1,
        },
        every: 7 * SECOND,
        ..CALM
    },
    Scenario {
        name: "pair",
        about: "two nodes and a witness, and everything goes wrong",
        nodes: 2,
        witness: true,
        faults: Faults {
            cut_one: 2,
            cut_both: 2,
            isolate: 2,
            reset: 3,
            pause: 2,
            kill: 3,
            wipe: 1,
            power: 1,
            all: 1,
        },
        every: 7 * SECOND,
        ..CALM
    },
    CALM,
    Scenario {
        name: "links",
        about: "three nodes; links are cut and reset",
        faults: Faults { cut_one: 1, cut_both: 1, isolate: 1, reset: 2, ..CALM.faults },
        every: 4 * SECOND,
        ..CALM
    },
    Scenario {
        name: "kills",
        about: "three nodes; processes are killed and begin again with their disks",
        faults: Faults { kill: 1, ..CALM.faults },
        ..CALM
    },
    Scenario {
        name: "wipes",
        about: "three nodes; processes are killed and begin again without anything",
        faults: Faults { wipe: 1, ..CALM.faults },
        every: 15 * SECOND,
        ..CALM
    },
    Scenario {
        name: "pauses",
        about: "three nodes; processes stand still for a while",
        faults: Faults { pause: 1, ..CALM.faults },
        ..CALM
    },
    Scenario {
        name: "power",
        about: "three nodes; machines lose power, alone and all at once",
        faults: Faults { power: 3, all: 1, ..CALM.faults },
        ..CALM
    },
    Scenario {
        name: "slow",
        about: "three nodes far apart; links are cut and reset, processes stand still",
        faults: Faults { cut_one: 1, isolate: 1, reset: 2, pause: 1, ..CALM.faults },
        delay: Delay { least: 5_000, usual: 30_000, most: 100_000 },
        ..CALM
    },
];

impl Scenario {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name).copied()
    }

    /// Machines.
    pub(crate) fn hosts(&self) -> u16 {
        self.nodes + u16::from(self.witness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_are_found() {
        for scenario in SCENARIOS {
            assert_eq!(Scenario::named(scenario.name), Some(*scenario));
        }
        assert_eq!(Scenario::named("none"), None);
    }
}
