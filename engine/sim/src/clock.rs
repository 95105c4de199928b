//! The clock of a node: it runs a little too fast or too slow, and begins somewhere.

use crate::chance::Chance;

/// How far a clock's rate is off, at most, in parts of a million.
const RATE_OFF: u64 = 100;

/// When simulated time begins on a right wall clock: 2000-01-01T00:00:00Z, in microseconds since 1970 UTC.
const WALL_BEGIN: i64 = 946_684_800_000_000;

/// What a node's clocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Its monotonic clock, in microseconds.
    pub mono: u64,
    /// Its wall clock, in microseconds since 1970 UTC.
    pub wall: i64,
}

/// The clocks of one node; simulated time is in microseconds since the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    begin: u64,
    /// Microseconds that it gains in a million.
    gain: i64,
    wall_off: i64,
}

impl Clock {
    /// A right one.
    pub(crate) fn right() -> Self {
        Clock { begin: 1, gain: 0, wall_off: 0 }
    }

    /// One whose rate and beginning are off, and whose wall clock is by a second at most.
    pub(crate) fn skewed(chance: &mut Chance) -> Self {
        let gain = chance.below(2 * RATE_OFF + 1) as i64 - RATE_OFF as i64;
        let wall_off = chance.below(2_000_001) as i64 - 1_000_000;
        Clock { begin: 1 + chance.below(1 << 40), gain, wall_off }
    }

    fn gained(self, time: u64) -> i64 {
        (i128::from(time) * i128::from(self.gain) / 1_000_000) as i64
    }

    /// What it says at a time.
    pub(crate) fn at(self, time: u64) -> Now {
        let passed = time.saturating_add_signed(self.gained(time));
        Now { mono: self.begin + passed, wall: WALL_BEGIN + self.wall_off + passed as i64 }
    }

    /// The first time at which its monotonic clock says this or more.
    pub(crate) fn time_of(self, mono: u64) -> u64 {
        let passed = mono.saturating_sub(self.begin);
        let mut time = passed.saturating_add_signed(-self.gained(passed)).saturating_sub(1);
        while self.at(time).mono < mono {
            time += 1;
        }
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_a_time_of_a_skewed_clock_ends_when_it_says_so() {
        let mut chance = Chance::new(3);
        for _ in 0..100 {
            let clock = Clock::skewed(&mut chance);
            for time in [0, 1, 9_999, 300_000_000, 1 + chance.below(1 << 33)] {
                let mono = clock.at(time).mono;
                let found = clock.time_of(mono);
                assert!(
                    clock.at(found).mono >= mono && found.abs_diff(time) <= 2,
                    "{clock:?} {time} {found}"
                );
                assert!(found == 0 || clock.at(found - 1).mono < mono || found < time);
            }
        }
    }
}
