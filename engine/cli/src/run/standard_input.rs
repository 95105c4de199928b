//! Standard input that may be slow: a pipe or a person typing.
//!
//! Rows are sent in batches, and a batch must not wait for rows that may come in an hour. So the reader tells how many
//! whole lines lie in its buffer: so many can be read without waiting.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// A reader that counts the lines in its buffer.
///
/// INVARIANT: `lines` is the number of line breaks in the buffer.
pub(super) struct LineCounting<R> {
    inner: BufReader<R>,
    lines: LinesAtHand,
}

/// How many lines can be read without waiting.
#[derive(Clone, Debug, Default)]
pub(super) struct LinesAtHand(Arc<AtomicUsize>);

impl LinesAtHand {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, lines: usize) {
        self.0.store(lines, Ordering::Relaxed);
    }
}

impl<R: Read> LineCounting<R> {
    pub(super) fn new(reader: R) -> (Self, LinesAtHand) {
        let lines = LinesAtHand::default();
        (LineCounting { inner: BufReader::with_capacity(BUFFER_BYTES, reader), lines: lines.clone() }, lines)
    }
}

impl<R: Read> BufRead for LineCounting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let refill = self.inner.buffer().is_empty();
        let buffer = self.inner.fill_buf()?;
        if refill {
            self.lines.set(breaks(buffer));
        }
        Ok(buffer)
    }

    fn consume(&mut self, bytes: usize) {
        let taken = breaks(&self.inner.buffer()[..bytes]);
        self.lines.set(self.lines.get() - taken);
        self.inner.consume(bytes);
    }
}

impl<R: Read> Read for LineCounting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

fn breaks(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its pieces one by one, as a pipe does.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            self.0.remove(0).read(into)
        }
    }

    #[test]
    fn whole_lines_are_at_hand_and_a_begun_one_is_not() {
        let (mut reader, at_hand) = LineCounting::new(Pieces(vec![b"a\nb\nc", b"d\n"]));
        let mut seen = vec![at_hand.get()];
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 {
            seen.push(at_hand.get());
        }
        assert_eq!(line, "a\nb\ncd\n");
        assert_eq!(seen, [0, 1, 0, 0]);
    }
}
