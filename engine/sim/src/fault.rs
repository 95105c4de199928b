//! Faults: what can begin, and end again.

use crate::chance::Chance;
use crate::node::Host;
use crate::scenario::Faults;

/// Something that is wrong for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing gets from the first of each to the second.
    Cut(Vec<(Host, Host)>),
    /// A link was reset; it comes back by itself.
    Reset(Host, Host),
    /// A process stands still.
    Pause(Host),
    /// A process is gone, and what is to become of its disk.
    Down(Vec<Host>, Remains),
}

/// What is left of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remains {
    /// All that it wrote.
    Written,
    /// What it synced, and of the rest what chance leaves; the machine is off meanwhile.
    Synced,
    /// Nothing.
    Nothing,
}

#[derive(Clone, Copy)]
enum Kind {
    CutOne,
    CutBoth,
    Isolate,
    Reset,
    Pause,
    Kill,
    Wipe,
    Power,
    All,
}

/// Draws a fault of some kind, by how often each comes.
pub(crate) fn draw(faults: &Faults, hosts: u16, data_nodes: u16, chance: &mut Chance) -> Option<Fault> {
    let kinds = [
        (faults.cut_one, Kind::CutOne),
        (faults.cut_both, Kind::CutBoth),
        (faults.isolate, Kind::Isolate),
        (faults.reset, Kind::Reset),
        (faults.pause, Kind::Pause),
        (faults.kill, Kind::Kill),
        (faults.wipe, Kind::Wipe),
        (faults.power, Kind::Power),
        (faults.all, Kind::All),
    ];
    let one = Host(chance.below(u64::from(hosts)) as u16);
    let other = Host((one.0 + 1 + chance.below(u64::from(hosts) - 1) as u16) % hosts);
    let all = || (0..hosts).map(Host);
    let total: u64 = kinds.iter().map(|(weight, _)| weight).sum();
    let mut rest = chance.below(total);
    let (_, kind) = kinds.iter().find(|(weight, _)| {
        let found = rest < *weight;
        rest = rest.saturating_sub(*weight);
        found
    })?;
    Some(match kind {
        Kind::CutOne => Fault::Cut(vec![(one, other)]),
        Kind::CutBoth => Fault::Cut(vec![(one, other), (other, one)]),
        Kind::Isolate => {
            let others = all().filter(|host| *host != one);
            Fault::Cut(others.flat_map(|host| [(one, host), (host, one)]).collect())
        }
        Kind::Reset => Fault::Reset(one, other),
        Kind::Pause => Fault::Pause(one),
        Kind::Kill => Fault::Down(vec![one], Remains::Written),
        // A witness is as good as gone without what it voted.
        Kind::Wipe => Fault::Down(vec![Host(one.0 % data_nodes)], Remains::Nothing),
        Kind::Power => Fault::Down(vec![one], Remains::Synced),
        Kind::All => Fault::Down(all().collect(), Remains::Written),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_have_no_weight_never_come() {
        let mut chance = Chance::new(1);
        assert_eq!(draw(&Faults::default(), 3, 3, &mut chance), None);
        let faults = Faults { pause: 1, reset: 2, ..Faults::default() };
        let drawn: Vec<_> = (0..300).filter_map(|_| draw(&faults, 3, 3, &mut chance)).collect();
        let pauses = drawn.iter().filter(|fault| matches!(fault, Fault::Pause(_))).count();
        let resets =
            drawn.iter().filter(|fault| matches!(fault, Fault::Reset(one, other) if one != other)).count();
        assert!(drawn.len() == 300 && pauses + resets == 300 && (60..140).contains(&pauses), "{pauses}");
    }
}
