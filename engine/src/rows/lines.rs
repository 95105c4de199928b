//! The lines of a file, one at a time in bounded memory, with their numbers.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use super::MAX_LINE_BYTES;

/// Reads lines. A byte-order mark at the beginning does not count.
pub(super) struct Lines<R> {
    reader: R,
    /// The line that was read last, with its line break.
    line: Vec<u8>,
    number: u64,
    bytes_read: u64,
    /// Lines to give again before more are read; `None` for one that is too long.
    rewound: VecDeque<Option<Vec<u8>>>,
}

/// What [`Lines::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, in [`Lines::bytes`].
    Text,
    /// A line over [`MAX_LINE_BYTES`], which was skipped.
    TooLong,
    /// The end of the file.
    End,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Lines { reader, line: Vec::new(), number: 0, bytes_read: 0, rewound: VecDeque::new() }
    }

    /// Goes to the next line.
    pub(super) fn next(&mut self) -> io::Result<Line> {
        if let Some(again) = self.rewound.pop_front() {
            self.number += 1;
            return Ok(match again {
                Some(line) => {
                    self.line = line;
                    Line::Text
                }
                None => Line::TooLong,
            });
        }
        let read = self.read_part(MAX_LINE_BYTES + 1)?;
        if read == 0 {
            return Ok(Line::End);
        }
        if self.number == 0 && self.line.starts_with(b"\xef\xbb\xbf") {
            self.line.drain(..3);
        }
        self.number += 1;
        if read <= MAX_LINE_BYTES || self.line.ends_with(b"\n") {
            return Ok(Line::Text);
        }
        while !self.line.ends_with(b"\n") && self.read_part(MAX_LINE_BYTES)? > 0 {}
        Ok(Line::TooLong)
    }

    /// Reads to the end of the line, but not over `limit` bytes.
    fn read_part(&mut self, limit: usize) -> io::Result<usize> {
        self.line.clear();
        let read = (&mut self.reader).take(limit as u64).read_until(b'\n', &mut self.line)?;
        self.bytes_read += read as u64;
        Ok(read)
    }

    /// The line that was read last, with its line break.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.line
    }

    /// Its number, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes taken from the reader.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Gives the last lines that were read again; `None` for one that is too long.
    pub(super) fn rewind(&mut self, lines: Vec<Option<Vec<u8>>>) {
        self.number -= lines.len() as u64;
        for line in lines.into_iter().rev() {
            self.rewound.push_front(line);
        }
    }
}

/// Whether a line has nothing but white space.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}
