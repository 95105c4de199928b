//! How far a node is that starts from its data directory, on standard error: a line a second, where it takes longer than
//! that.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use anabranch::RecoveryProgress;

use crate::text_table::{grouped, rows};
use crate::{os, output};

/// Between two lines, and before the first.
const EVERY: Duration = Duration::from_secs(1);

/// Says how far a node is, from now on.
pub(crate) fn teller() -> impl Fn(RecoveryProgress) + Send + Sync + 'static {
    let began = os::now();
    let told_at = Mutex::new(began);
    move |progress| {
        let now = os::now();
        if due(&told_at, now) {
            output::message(&line(&progress, now - began));
        }
    }
}

/// Whether it is time for a line.
fn due(told_at: &Mutex<Instant>, now: Instant) -> bool {
    // One thread recovers; a lock that another left poisoned holds a time all the same.
    let mut told_at = told_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let due = now - *told_at >= EVERY;
    if due {
        *told_at = now;
    }
    due
}

/// `recovering: 1,234,567 rows, 4,567 records, 62%, 3 s left`.
fn line(progress: &RecoveryProgress, elapsed: Duration) -> String {
    let RecoveryProgress { rows: count, records, bytes, bytes_in_all } = *progress;
    let share = (bytes as f64 / bytes_in_all.max(1) as f64).clamp(0.001, 1.0);
    let left = elapsed.as_secs_f64() * (1.0 - share) / share;
    let records = grouped(records);
    format!("recovering: {}, {records} records, {:.0}%, {left:.0} s left", rows(count), share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_bytes() {
        let progress = RecoveryProgress { rows: 1_234_567, records: 4_567, bytes: 500, bytes_in_all: 2_000 };
        let wanted = "recovering: 1,234,567 rows, 4,567 records, 25%, 6 s left";
        assert_eq!(line(&progress, Duration::from_secs(2)), wanted);
        assert!(line(&RecoveryProgress::default(), Duration::from_secs(2)).contains("0 rows"));
    }

    #[test]
    fn a_line_comes_after_a_second_and_then_every_second() {
        let began = os::now();
        let told_at = Mutex::new(began);
        let due = |millis| due(&told_at, began + Duration::from_millis(millis));
        assert_eq!([10, 999, 1000, 1900, 2000, 2001].map(due), [false, false, true, false, true, false]);
    }
}
