//! Where diagnostics gather while a file is read.

use crate::diagnostic::Diagnostic;

/// Diagnostics of one file. More helps nobody, and a hostile file must not fill the memory.
pub(crate) const MOST: usize = 200;

/// Diagnostics in the order they were found, at most [`MOST`] and a last one that says so.
#[derive(Debug)]
pub(crate) struct Sink {
    found: Vec<Diagnostic>,
}

impl Sink {
    pub(crate) fn new() -> Self {
        Sink { found: Vec::new() }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.found.len() < MOST {
            self.found.push(diagnostic);
        } else if self.found.len() == MOST {
            let span = diagnostic.labels[0].span;
            let message = format!("more than {MOST} errors; the rest is not shown");
            self.found.push(Diagnostic::error("F024", span, message).help("mend these first"));
        }
    }

    /// Whether there are so many that nobody looks at more.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() > MOST
    }

    /// Takes back what was said about the places from `range.start` up to `range.end`: something larger was found
    /// that says it better.
    pub(crate) fn forget(&mut self, range: std::ops::Range<u32>) {
        self.found.retain(|diagnostic| !range.contains(&diagnostic.labels[0].span.start));
    }

    /// Whether the last diagnostic is about this place.
    pub(crate) fn said_at(&self, start: u32) -> bool {
        self.found.last().is_some_and(|diagnostic| diagnostic.labels[0].span.start == start)
    }

    /// The code of the last diagnostic.
    pub(crate) fn last_code(&self) -> Option<&'static str> {
        self.found.last().map(|diagnostic| diagnostic.code)
    }

    /// Where the first label of each begins, in order.
    pub(crate) fn starts(&self) -> Vec<u32> {
        let separators = ["F008", "F009"];
        let mut starts: Vec<u32> = self
            .found
            .iter()
            .filter(|diagnostic| !separators.contains(&diagnostic.code))
            .map(|diagnostic| diagnostic.labels[0].span.start)
            .collect();
        starts.sort_unstable();
        starts
    }

    /// All of them, by their place in the text.
    pub(crate) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut found = self.found;
        found.sort_by_key(|diagnostic| (diagnostic.code == "F024", diagnostic.labels[0].span.start));
        found
    }
}
