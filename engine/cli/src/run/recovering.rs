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
    let pace = Mutex::new(Pace::begin(os::now()));
    move |progress| {
        // One thread recovers; a lock that another left poisoned holds times all the same.
        let mut pace = pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(line) = pace.line(&progress, os::now()) {
            output::message(&line);
        }
    }
}

/// When lines come.
struct Pace {
    checking: bool,
    /// When what is done now began.
    began: Instant,
    told_at: Instant,
}

impl Pace {
    fn begin(now: Instant) -> Self {
        Pace { checking: true, began: now, told_at: now }
    }

    /// The line that is due, if one is.
    fn line(&mut self, progress: &RecoveryProgress, now: Instant) -> Option<String> {
        if std::mem::replace(&mut self.checking, progress.checking) != progress.checking {
            self.began = now;
        }
        let due = now - self.told_at >= EVERY;
        due.then(|| {
            self.told_at = now;
            line(progress, now - self.began)
        })
    }
}

/// `recovering: 1,234,567 rows, 4,567 records, 62%, 3 s left`, and before that `checking the snapshot: 62%, 1 s left`.
fn line(progress: &RecoveryProgress, elapsed: Duration) -> String {
    let RecoveryProgress { checking, rows: count, records, bytes, bytes_in_all } = *progress;
    let share = (bytes as f64 / bytes_in_all.max(1) as f64).clamp(0.001, 1.0);
    let left = elapsed.as_secs_f64() * (1.0 - share) / share;
    let told = match checking {
        true => "checking the snapshot: ".to_owned(),
        false => format!("recovering: {}, {} records, ", rows(count), grouped(records)),
    };
    format!("{told}{:.0}%, {left:.0} s left", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_bytes() {
        let (rows, records) = (1_234_567, 4_567);
        let progress = RecoveryProgress { checking: false, rows, records, bytes: 500, bytes_in_all: 2_000 };
        let wanted = "recovering: 1,234,567 rows, 4,567 records, 25%, 6 s left";
        assert_eq!(line(&progress, Duration::from_secs(2)), wanted);
        assert!(line(&RecoveryProgress::default(), Duration::from_secs(2)).contains("0 rows"));
        let checking = RecoveryProgress { checking: true, ..progress };
        assert_eq!(line(&checking, Duration::from_secs(2)), "checking the snapshot: 25%, 6 s left");
    }

    #[test]
    fn a_line_comes_after_a_second_and_then_every_second() {
        let began = os::now();
        let mut pace = Pace::begin(began);
        let mut told = |checking, millis| {
            let progress =
                RecoveryProgress { checking, bytes: 1, bytes_in_all: 2, ..RecoveryProgress::default() };
            pace.line(&progress, began + Duration::from_millis(millis))
        };
        assert_eq!([10, 999, 1900].map(|millis| told(true, millis).is_some()), [false, false, true]);
        assert_eq!([2000, 2899, 2900].map(|millis| told(false, millis).is_some()), [false, false, true]);
        let line = told(false, 4000).expect("it is due");
        assert!(line.ends_with("50%, 2 s left"), "time left is of what is done now: {line}");
    }
}
