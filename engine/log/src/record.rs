//! One record of the journal: where it belongs, what kind it is, and a body that only its writer understands.
//!
//! Layout, little endian; `FORMAT.md` is the promise:
//!
//! ```text
//!  0 u32 checksum of the journal's identity and bytes 4..56      24 u32 number - (number known to be durable)
//!  4 u32 checksum of the body and its padding                    28 u32 flow
//!  8 u32 bytes of the body                                       32 u32 partitions
//! 12 u8  kind                                                    36 u32 partition
//! 13 u8  version of this layout: 1                               40 u64 term
//! 14 u16 0                                                       48 u64 seq
//! 16 u64 number                                                  56 body, then zeros up to a multiple of 8
//! ```
//!
//! The head has a checksum of its own, so a length is believed before the body is read, and so that a body that looks
//! like a record is none: it would have to know the journal's identity.

use std::fmt;

use crc32c::{crc32c, crc32c_append};

use crate::error::Error;
use crate::planted::Planted;

/// Bytes of a body, at most: the answer of a step has up to 64 MiB, its rows 16 MiB.
pub const BODY_BYTES_MAX: usize = 80 << 20;

/// Bytes before the body.
pub(crate) const HEAD_BYTES: usize = 56;

/// Records begin at multiples of it.
pub(crate) const ALIGNMENT: usize = 8;

/// The layout that this version writes, the only one that it reads.
const VERSION: u8 = 1;

/// The number of a record in its journal; the first is 1, and none is left out. 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogNumber(pub u64);

impl LogNumber {
    /// The number of the record behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        LogNumber(self.0.saturating_add(1))
    }

    /// The number of the record before this one; 0 before 1 and before 0.
    #[must_use]
    pub fn before(self) -> Self {
        LogNumber(self.0.saturating_sub(1))
    }
}

impl fmt::Display for LogNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// What a step changed.
    Step = 1,
    /// A flow was installed, replaced or dropped.
    Flow = 2,
    /// A partition has a new term.
    Term = 3,
    /// What flows have counted so far.
    Counts = 4,
    /// A piece of the state of a partition, of which the node has a copy that begins anew.
    State = 5,
}

impl Kind {
    /// Its name: one lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Step => "step",
            Kind::Flow => "flow",
            Kind::Term => "term",
            Kind::Counts => "counts",
            Kind::State => "state",
        }
    }

    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Kind::Step),
            2 => Some(Kind::Flow),
            3 => Some(Kind::Term),
            4 => Some(Kind::Counts),
            5 => Some(Kind::State),
            _ => None,
        }
    }
}

/// A place in the history of a partition. The journal stores it and does not look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The flow.
    pub flow: u32,
    /// How many partitions the table has.
    pub of: u32,
    /// Which of them.
    pub number: u32,
    /// The term.
    pub term: u64,
    /// The number of the change in the partition.
    pub seq: u64,
}

/// A record, as it is given to the journal and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it tells.
    pub kind: Kind,
    /// Where it belongs.
    pub position: Position,
    /// What it says; [`BODY_BYTES_MAX`] at most.
    pub body: &'a [u8],
}

/// A record with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its number.
    pub number: LogNumber,
    /// The record up to which everything was durable when this one was appended.
    pub durable: LogNumber,
    /// The record.
    pub record: Record<'a>,
}

/// What checksums begin with, so that a record of another journal is none of this one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal {
    checksum: u32,
    planted: Planted,
}

impl Seal {
    pub(crate) fn new(identity: [u8; 16], planted: Planted) -> Self {
        Seal { checksum: crc32c(&identity), planted }
    }

    fn head(self, head: &[u8; HEAD_BYTES]) -> u32 {
        if self.planted == Planted::NumberUnchecked {
            return crc32c_append(crc32c(&head[4..16]), &head[28..]);
        }
        crc32c_append(self.checksum, &head[4..])
    }
}

/// The head of a record where it lies: true by its checksum, the body not looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a>(&'a [u8; HEAD_BYTES]);

/// Bytes of a body with its padding.
fn padded(body_bytes: usize) -> usize {
    body_bytes.next_multiple_of(ALIGNMENT)
}

/// Bytes of a whole record.
#[must_use]
pub fn record_bytes(body_bytes: usize) -> usize {
    HEAD_BYTES + padded(body_bytes)
}

/// Refuses a body that is too long.
pub(crate) fn check_body(body: &[u8]) -> Result<(), Error> {
    match body.len() > BODY_BYTES_MAX {
        true => Err(Error::TooLarge { bytes: body.len(), most: BODY_BYTES_MAX }),
        false => Ok(()),
    }
}

/// Appends the bytes of an entry. The body is not too long, and the number at most 2^32 behind `durable`.
pub(crate) fn encode(entry: &Entry<'_>, seal: Seal, out: &mut Vec<u8>) {
    let Entry { number, durable, record: Record { kind, position, body } } = *entry;
    let behind = u32::try_from(number.0 - durable.0)
        .expect("a segment holds fewer, and is synced before the next begins");
    let start = out.len();
    out.resize(start + HEAD_BYTES, 0);
    out.extend_from_slice(body);
    out.resize(start + record_bytes(body.len()), 0);
    let body_checksum = crc32c(&out[start + HEAD_BYTES..]);
    let head: &mut [u8; HEAD_BYTES] =
        (&mut out[start..start + HEAD_BYTES]).try_into().expect("it has this length");
    head[4..8].copy_from_slice(&body_checksum.to_le_bytes());
    head[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
    (head[12], head[13]) = (kind as u8, VERSION);
    head[16..24].copy_from_slice(&number.0.to_le_bytes());
    head[24..28].copy_from_slice(&behind.to_le_bytes());
    head[28..32].copy_from_slice(&position.flow.to_le_bytes());
    head[32..36].copy_from_slice(&position.of.to_le_bytes());
    head[36..40].copy_from_slice(&position.number.to_le_bytes());
    head[40..48].copy_from_slice(&position.term.to_le_bytes());
    head[48..56].copy_from_slice(&position.seq.to_le_bytes());
    let checksum = seal.head(head);
    head[..4].copy_from_slice(&checksum.to_le_bytes());
}

impl<'a> Head<'a> {
    /// The head that stands at the begin of the bytes, if its checksum is right and its numbers are some that can be.
    #[inline]
    pub(crate) fn read(bytes: &'a [u8], seal: Seal) -> Option<Self> {
        let head = Head(bytes.first_chunk()?);
        let right = u32_at(head.0, 0) == seal.head(head.0)
            && head.body_bytes() <= BODY_BYTES_MAX
            && u64::from(u32_at(head.0, 24)) <= head.number().0;
        right.then_some(head)
    }

    #[inline]
    pub(crate) fn number(self) -> LogNumber {
        LogNumber(u64_at(self.0, 16))
    }

    /// The last record that was durable when this one was appended.
    #[inline]
    pub(crate) fn durable(self) -> LogNumber {
        LogNumber(self.number().0 - u64::from(u32_at(self.0, 24)))
    }

    #[inline]
    fn body_bytes(self) -> usize {
        u32_at(self.0, 8) as usize
    }

    /// Bytes of the record with its head.
    #[inline]
    pub(crate) fn record_bytes(self) -> usize {
        record_bytes(self.body_bytes())
    }

    /// Whether bytes that begin with a head that was right, body and padding included, are a record as it was written.
    ///
    /// # Errors
    /// What is newer than this version.
    #[inline]
    pub(crate) fn check(bytes: &[u8]) -> Result<bool, String> {
        let Some((head, body)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return Ok(false) };
        if head[13] != VERSION {
            return Err(format!("a record of version {}", head[13]));
        }
        if bytes.len() != Head(head).record_bytes() || crc32c(body) != u32_at(head, 4) {
            return Ok(false);
        }
        match Kind::of(head[12]) {
            Some(_) => Ok(true),
            None => Err(format!("a record of kind {}", head[12])),
        }
    }
}

impl<'a> Entry<'a> {
    /// The entry of bytes that [`Head::check`] found right, under the number that it has in the journal.
    #[inline]
    pub(crate) fn of(bytes: &'a [u8], number: LogNumber) -> Option<Self> {
        let head = Head(bytes.first_chunk()?);
        let position = Position {
            flow: u32_at(bytes, 28),
            of: u32_at(bytes, 32),
            number: u32_at(bytes, 36),
            term: u64_at(bytes, 40),
            seq: u64_at(bytes, 48),
        };
        let body = bytes.get(HEAD_BYTES..HEAD_BYTES + head.body_bytes())?;
        let record = Record { kind: Kind::of(bytes[12])?, position, body };
        Some(Entry { number, durable: head.durable(), record })
    }
}

#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller has looked at the length"))
}

#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller has looked at the length"))
}
