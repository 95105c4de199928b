//! What happened, as text: the same seed gives the same, byte for byte.

use std::fmt::Write;

use crate::node::Host;

/// A run's lines, if they are wanted: making them takes longer than the run.
#[derive(Debug, Default)]
pub(crate) struct Trace(Option<String>);

impl Trace {
    pub(crate) fn new(wanted: bool) -> Self {
        Trace(wanted.then(String::new))
    }

    /// Appends a line about a node, or about the world.
    pub(crate) fn say(&mut self, now: u64, host: Option<Host>, what: impl FnOnce() -> String) {
        if let Some(text) = &mut self.0 {
            let who = host.map_or_else(|| "-".to_owned(), Host::name);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:>4}.{:06} {who} {}", now / 1_000_000, now % 1_000_000, what());
        }
    }

    pub(crate) fn into_text(self) -> String {
        self.0.unwrap_or_default()
    }
}
