//! What a journal is made with.

use crate::planted::Planted;
use crate::segment::START;

/// Bytes of a segment, where nothing else is said.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Bytes of a segment, at most; more is taken as this. So the records of one have numbers of 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 30;

/// What a journal is made with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub(crate) identity: [u8; 16],
    pub(crate) segment_bytes: u64,
    pub(crate) planted: Planted,
}

impl Config {
    /// Segments of 64 MiB. A journal that is made new gets the identity, which no other journal may have: take random
    /// bytes. One that is there keeps its own.
    #[must_use]
    pub fn new(identity: [u8; 16]) -> Self {
        Config { identity, segment_bytes: SEGMENT_BYTES, planted: Planted::None }
    }

    /// Bytes of the segments that are made from now on; a record that is longer gets a longer one.
    #[must_use]
    pub fn segment_bytes(self, bytes: u64) -> Self {
        Config { segment_bytes: bytes.clamp(START, SEGMENT_BYTES_MAX), ..self }
    }

    /// A journal with a bug, for tests of tests.
    #[doc(hidden)]
    #[must_use]
    pub fn planted(self, planted: Planted) -> Self {
        Config { planted, ..self }
    }
}
