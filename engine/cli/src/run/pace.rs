//! How fast rows are sent: by a timetable, not by gaps, so that what came late is made up for.

use std::str::FromStr;
use std::time::{Duration, Instant};

/// Requests a second that a pace aims at: so often that rows are spread evenly, so seldom that they share requests.
const REQUESTS_PER_SECOND: u64 = 100;

/// Rows a second, or as fast as the node takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(Option<u64>);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "max" => Ok(Rate(None)),
            Ok(rows @ 1..) => Ok(Rate(Some(rows))),
            _ => Err("write a number of rows a second from 1 on, or `max`".to_owned()),
        }
    }
}

impl Rate {
    /// Rows of a request, where `at_most` is best for a node that is to take them as fast as it can.
    pub(crate) fn batch_rows(self, at_most: usize) -> usize {
        let Rate(rate) = self;
        rate.map_or(at_most, |rows| {
            usize::try_from(rows / REQUESTS_PER_SECOND).unwrap_or(at_most).clamp(1, at_most)
        })
    }

    /// A timetable of this rate; none for `max`.
    pub(crate) fn pace(self) -> Option<Pace> {
        let Rate(rate) = self;
        rate.map(|rows_per_second| Pace { rows_per_second, begun: None, rows: 0 })
    }
}

/// When rows are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    rows_per_second: u64,
    /// When the first row was due.
    begun: Option<Instant>,
    /// Rows that had their turn.
    rows: u64,
}

impl Pace {
    /// When the next rows are due. The first are due now.
    pub(super) fn next(&mut self, now: Instant, rows: u64) -> Instant {
        let begun = *self.begun.get_or_insert(now);
        let due = begun + Duration::from_secs_f64(self.rows as f64 / self.rows_per_second as f64);
        self.rows += rows;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os;

    #[test]
    fn rows_are_due_by_a_timetable() {
        let mut pace = "10".parse::<Rate>().expect("a rate").pace().expect("a pace");
        let begun = os::now();
        let late = begun + Duration::from_secs(5);
        let due = [begun, late, late].map(|now| pace.next(now, 5) - begun);
        assert_eq!(due, [0, 500, 1000].map(Duration::from_millis));
    }

    #[test]
    fn slow_rows_go_one_by_one_and_fast_ones_together() {
        let rows = |rate: &str| rate.parse::<Rate>().map(|rate| rate.batch_rows(256));
        assert_eq!([rows("1"), rows("1000"), rows("1000000"), rows("max")], [1, 10, 256, 256].map(Ok));
        for wrong in ["0", "-1", "fast", "", "1.5"] {
            assert!(rows(wrong).is_err(), "{wrong}");
        }
    }
}
