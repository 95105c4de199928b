//! Frames out of a socket, read in large pieces; bodies are handed out where they lie.

use std::io::{self, Read};

use anabranch_wire::peer::{Found, Kind, PeerError, find};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Bytes of memory that stay with a link that has nothing, at most.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Frames out of what was read.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// What was read and not handed out: `buffer[start..end]`.
    start: usize,
    end: usize,
}

impl Frames {
    /// Behind what was read already.
    pub(super) fn behind(read: Vec<u8>) -> Self {
        let end = read.len();
        Frames { buffer: read, start: 0, end }
    }

    /// Hands out the whole frames that are there, in their order.
    ///
    /// # Errors
    /// What is there is no frame, or `take` says so.
    pub(super) fn each(
        &mut self,
        mut take: impl FnMut(Kind, &[u8]) -> Result<(), PeerError>,
    ) -> Result<(), PeerError> {
        while let Found::Frame { kind, body, length } = find(&self.buffer[self.start..self.end])? {
            take(kind, body)?;
            self.start += length;
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        Ok(())
    }

    /// Reads what there is. None at the end.
    ///
    /// # Errors
    /// What the socket says.
    pub(super) fn read(&mut self, from: &mut impl Read) -> io::Result<Option<()>> {
        self.make_room();
        let got = from.read(&mut self.buffer[self.end..])?;
        self.end += got;
        Ok((got > 0).then_some(()))
    }

    /// Memory grows with what has come, and not with what a head says.
    fn make_room(&mut self) {
        if self.end == 0 && self.buffer.len() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
        if self.buffer.len() - self.end >= PIECE_BYTES / 2 {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() - self.end < PIECE_BYTES / 2 {
            let length = (self.buffer.len() * 2).max(PIECE_BYTES);
            self.buffer.resize(length, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use anabranch_wire::peer::{FRAME_BYTES_MAX, FrameWriter};

    use super::*;

    /// Gives its bytes in pieces of changing length.
    struct Pieces<'b>(&'b [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1 * 7 % 5003 + 1;
            let length = self.1.min(into.len()).min(self.0.len());
            let (now, then) = self.0.split_at(length);
            into[..length].copy_from_slice(now);
            self.0 = then;
            Ok(length)
        }
    }

    #[test]
    fn frames_come_out_whole_however_they_come_in() {
        let lengths = [0, 1, 5, 1000, PIECE_BYTES - 5, PIECE_BYTES, 3 * PIECE_BYTES + 1, 0, 17, 5 << 20, 2];
        let mut bytes = Vec::new();
        for (at, length) in lengths.into_iter().enumerate() {
            let mut frame = FrameWriter::begin(&mut bytes, Kind::Control);
            frame.body().extend(std::iter::repeat_n(at as u8, length));
            frame.finish();
        }
        let (ahead, behind) = bytes.split_at(8);
        let (mut frames, mut socket) = (Frames::behind(ahead.to_vec()), Pieces(behind, 1));
        let mut seen = Vec::new();
        loop {
            let each = frames.each(|kind, body| {
                assert!(kind == Kind::Control && body.iter().all(|byte| usize::from(*byte) == seen.len()));
                seen.push(body.len());
                Ok(())
            });
            each.expect("frames");
            if frames.read(&mut socket).expect("it reads").is_none() {
                break;
            }
        }
        assert_eq!(seen, lengths);
        assert!(frames.buffer.len() <= KEPT_BYTES_MAX, "{}", frames.buffer.len());
    }

    #[test]
    fn memory_follows_what_has_come_and_not_what_was_said() {
        let head = [&(FRAME_BYTES_MAX as u32).to_le_bytes()[..], &[Kind::Lane as u8]].concat();
        let mut frames = Frames::behind(head);
        assert_eq!(frames.each(|_, _| Ok(())), Ok(()));
        frames.read(&mut &[0; 100][..]).expect("it reads");
        assert!(frames.buffer.len() <= 2 * PIECE_BYTES, "{}", frames.buffer.len());
    }

    #[test]
    fn what_is_no_frame_ends_the_link() {
        let mut frames = Frames::behind(vec![0xff; 5]);
        assert_eq!(frames.each(|_, _| Ok(())), Err(PeerError::Kind(0xff)));
    }
}
