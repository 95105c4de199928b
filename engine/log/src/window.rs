//! A file read forward in large pieces, of which any part can be looked at where it lies.

use crate::disk::DiskFile;
use crate::error::{Error, Tried};

/// Bytes that are read at once; more only where one record is longer.
const PIECE_BYTES: usize = 1 << 20;

/// A piece of a file in memory.
#[derive(Debug)]
pub(crate) struct Window<F> {
    file: F,
    name: String,
    /// Where the piece begins in the file.
    start: u64,
    /// The piece, and room behind it.
    buffer: Vec<u8>,
    /// Bytes of the piece.
    filled: usize,
}

impl<F: DiskFile> Window<F> {
    pub(crate) fn new(file: F, name: String) -> Self {
        Window { file, name, start: 0, buffer: Vec::new(), filled: 0 }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the file.
    pub(crate) fn file_bytes(&self) -> Result<u64, Error> {
        self.file.bytes().map_err(|why| Tried("read", &self.name).failed(why))
    }

    /// `count` bytes at `offset`, fewer only where the file ends. The caller has bounded `count`.
    #[inline]
    pub(crate) fn bytes(&mut self, offset: u64, count: usize) -> Result<&[u8], Error> {
        let inside = offset >= self.start && offset + count as u64 <= self.start + self.filled as u64;
        if !inside {
            self.load(offset, count)?;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..self.filled.min(from + count)])
    }

    /// What lies in memory from `offset` on, at least one byte unless the file ends there.
    pub(crate) fn some(&mut self, offset: u64) -> Result<&[u8], Error> {
        self.bytes(offset, 1)?;
        Ok(&self.buffer[(offset - self.start) as usize..self.filled])
    }

    /// Moves the piece to `offset`, with at least `count` bytes if the file has them.
    #[cold]
    fn load(&mut self, offset: u64, count: usize) -> Result<(), Error> {
        // What of the old piece is still of use moves to the front.
        let end = self.start + self.filled as u64;
        let kept = if offset >= self.start && offset < end {
            (offset - self.start) as usize..self.filled
        } else {
            0..0
        };
        // A short file does not make us take a whole piece.
        let rest = self.file_bytes()?.saturating_sub(offset);
        let wanted = count.max(rest.min(PIECE_BYTES as u64) as usize);
        self.filled = kept.len();
        // A buffer that one long record needed goes again.
        if (wanted..=wanted.max(PIECE_BYTES)).contains(&self.buffer.len()) {
            self.buffer.copy_within(kept, 0);
        } else {
            let mut buffer = vec![0; wanted.max(kept.len())];
            buffer[..kept.len()].copy_from_slice(&self.buffer[kept]);
            self.buffer = buffer;
        }
        self.start = offset;
        while self.filled < self.buffer.len() {
            let at = offset + self.filled as u64;
            let read = self.file.read_at(&mut self.buffer[self.filled..], at);
            match read.map_err(|why| Tried("read", &self.name).failed(why))? {
                0 => break,
                read => self.filled += read,
            }
        }
        Ok(())
    }
}
