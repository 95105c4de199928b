//! How far the files are: rows, rate, time left. One line that is written over on a terminal, else a line now and then.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::text_table::{self, grouped};
use crate::{os, output};

/// Between two looks at a terminal: as often as people can read.
const TERMINAL_EVERY: Duration = Duration::from_millis(100);

/// Between two lines in a file: seldom enough for a log.
const LINES_EVERY: Duration = Duration::from_secs(10);

/// Goes to the beginning of the line and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// The progress of all plays together.
pub(super) struct Progress {
    /// Whether the line is written over.
    terminal: bool,
    started: Instant,
    shown_at: Instant,
    /// Whether the line stands there now.
    shown: bool,
    /// Bytes of all files, where all have a length.
    bytes: Option<u64>,
}

impl Progress {
    /// `rows_on_terminal` says that rows are printed: they would mix with a line that is written over.
    pub(super) fn new(bytes: Option<u64>, rows_printed: bool) -> Self {
        let mixed = rows_printed && io::stdout().is_terminal();
        let now = os::now();
        let terminal = io::stderr().is_terminal() && !mixed;
        Progress { terminal, started: now, shown_at: now, shown: false, bytes }
    }

    /// Since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        os::now() - self.started
    }

    /// Shows the progress when it is time.
    pub(super) fn update(&mut self, rows: u64, bytes_read: u64) {
        let every = if self.terminal { TERMINAL_EVERY } else { LINES_EVERY };
        let now = os::now();
        if now - self.shown_at < every {
            return;
        }
        self.shown_at = now;
        let line = line(rows, self.elapsed(), bytes_read, self.bytes);
        if self.terminal {
            // When standard error is gone there is nobody to tell.
            let _ = write!(io::stderr().lock(), "{CLEAR}{line}");
            self.shown = true;
        } else {
            output::message(&line);
        }
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr().lock(), "{CLEAR}");
        }
    }

    /// Writes a message where the line was.
    pub(super) fn tell(&mut self, message: &str) {
        self.clear();
        output::message(message);
    }
}

/// `1,234,567 rows, 456,789 rows/s, 62%, 3 s left`.
fn line(rows: u64, elapsed: Duration, bytes_read: u64, bytes: Option<u64>) -> String {
    let mut line = format!("{}, {} rows/s", text_table::rows(rows), grouped(rate(rows, elapsed)));
    if let Some(bytes) = bytes.filter(|bytes| *bytes > 0 && bytes_read > 0) {
        let share = (bytes_read as f64 / bytes as f64).min(1.0);
        let left = elapsed.as_secs_f64() * (1.0 - share) / share;
        line += &format!(", {:.0}%, {left:.0} s left", share * 100.0);
    }
    line
}

/// Rows per second.
pub(super) fn rate(rows: u64, elapsed: Duration) -> u64 {
    // Below a microsecond there is no rate to speak of.
    (rows as f64 / elapsed.as_secs_f64().max(1e-6)).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_bytes() {
        let shown = line(20_000, Duration::from_secs(2), 250, Some(1000));
        assert_eq!(shown, "20,000 rows, 10,000 rows/s, 25%, 6 s left");
    }

    #[test]
    fn a_pipe_has_no_end_to_tell() {
        assert_eq!(line(5, Duration::from_secs(1), 40, None), "5 rows, 5 rows/s");
    }

    #[test]
    fn a_file_that_grew_is_not_over_its_end() {
        assert!(line(1, Duration::from_secs(1), 2000, Some(1000)).ends_with("100%, 0 s left"));
    }
}
