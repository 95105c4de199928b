//! Hybrid-clock stamps: time with a counter, so that stamps of one owner always grow and stay close to the clock
//! (Kulkarni and others 2014, "Logical physical clocks").

/// A stamp: microseconds since 1970 UTC in the upper 52 bits (until the year 2112), a counter in the lower 12.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp(pub u64);

/// The last time that a clock shows, in microseconds since 1970 UTC: the begin of the year 2112. Behind it stamps would
/// begin anew.
pub const MICROS_MAX: i64 = 4_481_049_600_000_000;

/// Bits of the counter: 4,096 stamps in a microsecond before the clock is pushed ahead.
const COUNTER_BITS: u32 = 12;

impl Stamp {
    /// The stamp's time in microseconds since 1970 UTC.
    pub fn micros(self) -> i64 {
        (self.0 >> COUNTER_BITS) as i64
    }
}

/// Issues stamps that grow.
#[derive(Clone, Debug, Default)]
pub struct HybridClock {
    last: u64,
}

impl HybridClock {
    /// The next stamp, given the present time in microseconds since 1970 UTC, at most [`MICROS_MAX`].
    #[inline]
    pub fn tick(&mut self, now: i64) -> Stamp {
        let time = (now.clamp(0, MICROS_MAX) as u64) << COUNTER_BITS;
        // Only a stamp that somebody made up brings it to the last one there is.
        self.last = time.max(self.last.saturating_add(1));
        Stamp(self.last)
    }

    /// The last stamp: every later one is larger.
    pub fn last(&self) -> Stamp {
        Stamp(self.last)
    }

    /// Makes every later stamp larger than `seen`.
    pub fn observe(&mut self, seen: Stamp) {
        self.last = self.last.max(seen.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_when_the_clock_stands_still_or_goes_back() {
        let mut clock = HybridClock::default();
        let first = clock.tick(1_000);
        let second = clock.tick(1_000);
        let third = clock.tick(10);
        assert!(first < second && second < third);
        assert_eq!((first.micros(), third.micros()), (1_000, 1_000));
        clock.observe(Stamp(9_999 << COUNTER_BITS));
        assert_eq!(clock.tick(10).micros(), 9_999);
    }

    #[test]
    fn stamps_grow_to_the_end_of_the_clock() {
        let mut clock = HybridClock::default();
        let stamps =
            [1_000, MICROS_MAX - 1, MICROS_MAX, MICROS_MAX + 1, 1 << 53, i64::MAX].map(|now| clock.tick(now));
        assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
        assert_eq!(stamps[5].micros(), MICROS_MAX);
    }
}
