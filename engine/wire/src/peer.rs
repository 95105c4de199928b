//! What the nodes of a zone say to each other: frames over one connection, read without copying their bodies.
//!
//! The node that dials sends [`PREFACE`], so that a listener tells it from an HTTP client. Everything behind it, both
//! ways, is frames. Numbers are little endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | bytes of the body, at most [`FRAME_BYTES_MAX`] |
//! | 1 | [`Kind`] |
//! | | body |
//!
//! First come hellos and proofs ([`hello`]), each side's in its turn; then, in any order, what the zone's deciding says
//! ([`Kind::Control`], not looked into here), requests and their answers ([`forward`], [`answer`]), records and what was
//! taken of them ([`lane`]). Bodies are appended to one buffer, so that many items share a frame and many frames a write.
//!
//! ```
//! use anabranch_wire::peer::{Found, FrameWriter, Kind, find};
//!
//! let mut out = Vec::new();
//! let mut frame = FrameWriter::begin(&mut out, Kind::Control);
//! frame.body().extend_from_slice(b"vote");
//! frame.finish();
//!
//! let Ok(Found::Frame { kind, body, length }) = find(&out) else { panic!("a whole frame") };
//! assert_eq!((kind, body, length), (Kind::Control, b"vote".as_slice(), out.len()));
//! assert_eq!(find(&out[..6]), Ok(Found::Part { length: Some(9) }));
//! ```

pub mod answer;
pub mod forward;
pub mod hello;
pub mod lane;

use std::fmt;

use anabranch_model::message::WorkerId;
use anabranch_model::rest::{Rest, Unread};

/// The version of these frames that this release speaks.
pub const PEER_VERSION: u16 = 1;

/// What a node that dials another sends first.
pub const PREFACE: &[u8; 16] = b"anabranch peer\r\n";

/// Bytes of the body of a frame, at most: a record of the largest batch, and what stands around it.
pub const FRAME_BYTES_MAX: usize = 80 << 20;

/// Bytes of the body of a frame of who has not proved yet who it is, at most.
pub const HANDSHAKE_BYTES_MAX: usize = 4 << 10;

/// Bytes before the body of a frame.
pub const FRAME_HEAD_BYTES: usize = 5;

/// What a frame has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Nothing: a sign of life.
    Idle = 0,
    /// [`hello::Hello`].
    Hello = 1,
    /// That the zone's secret is known: [`hello::PROOF_BYTES`] bytes, or none where there is no secret. With that of the
    /// node that was dialed the link is made.
    Proof = 2,
    /// [`hello::Refused`]; the connection ends behind it.
    Refused = 3,
    /// Bytes of the zone's deciding.
    Control = 16,
    /// [`forward::Forwards`].
    Forwards = 17,
    /// [`answer::Answers`].
    Answers = 18,
    /// [`lane::Lane`].
    Lane = 19,
    /// [`lane::Acks`].
    Acks = 20,
}

impl Kind {
    /// The kind of this number.
    pub fn of(byte: u8) -> Option<Kind> {
        Some(match byte {
            0 => Kind::Idle,
            1 => Kind::Hello,
            2 => Kind::Proof,
            3 => Kind::Refused,
            16 => Kind::Control,
            17 => Kind::Forwards,
            18 => Kind::Answers,
            19 => Kind::Lane,
            20 => Kind::Acks,
            _ => return None,
        })
    }

    /// Whether it belongs to the time before both sides know each other.
    pub fn is_handshake(self) -> bool {
        matches!(self, Kind::Hello | Kind::Proof | Kind::Refused)
    }
}

/// Why bytes of a peer are not what it should send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerError {
    /// A frame has a kind that nobody knows.
    Kind(u8),
    /// A frame is longer than it may be.
    TooLong {
        /// Bytes of its body.
        bytes: usize,
        /// How many there may be.
        most: usize,
    },
    /// A frame ends too early.
    Short,
    /// Something in it has no meaning: what it is.
    Meaning(&'static str),
}

impl From<Unread> for PeerError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Short => PeerError::Short,
            Unread::Meaning(what) => PeerError::Meaning(what),
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerError::Kind(kind) => write!(f, "a frame of kind {kind}, which this release does not know"),
            PeerError::TooLong { bytes, most } => write!(f, "a frame of {bytes} bytes, {most} at most"),
            PeerError::Short => f.write_str("a frame that ends too early"),
            PeerError::Meaning(what) => write!(f, "a frame with {what} that means nothing"),
        }
    }
}

impl std::error::Error for PeerError {}

/// The worker that a frame is for, where it is for one: all its items are.
///
/// # Errors
/// The frame is too short for what it should be.
pub fn destination(kind: Kind, body: &[u8]) -> Result<Option<WorkerId>, PeerError> {
    let at = match kind {
        Kind::Forwards | Kind::Answers => 12,
        Kind::Lane => 4,
        // An acknowledgement names the owner's worker first.
        Kind::Acks => 0,
        _ => return Ok(None),
    };
    match body.get(at..at + 4) {
        Some(bytes) => Ok(Some(WorkerId(u32::from_le_bytes(bytes.try_into().expect("four bytes"))))),
        None if body.is_empty() => Ok(None),
        None => Err(PeerError::Short),
    }
}

/// An item that does not fit into a frame any more. Nothing of it was written. Finish the frame and begin another; what
/// does not fit into an empty one cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame has at most {FRAME_BYTES_MAX} bytes, and this item does not fit into it any more")
    }
}

impl std::error::Error for Full {}

/// A frame in the making, at the end of a buffer. One that is dropped without [`FrameWriter::finish`] is taken back.
#[derive(Debug)]
pub struct FrameWriter<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    finished: bool,
}

impl<'o> FrameWriter<'o> {
    /// Begins a frame.
    pub fn begin(out: &'o mut Vec<u8>, kind: Kind) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, kind as u8]);
        FrameWriter { out, start, finished: false }
    }

    /// Where the body is appended. What stands before stays as it is.
    pub fn body(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Bytes of the body so far.
    pub fn body_bytes(&self) -> usize {
        self.out.len() - self.start - FRAME_HEAD_BYTES
    }

    /// Appends an item that `write` writes; where the frame gets too long, nothing of it.
    ///
    /// # Errors
    /// It does not fit.
    pub fn item(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Full> {
        let end = self.out.len();
        write(self.out);
        match self.body_bytes() <= FRAME_BYTES_MAX {
            true => Ok(()),
            false => {
                self.out.truncate(end);
                Err(Full)
            }
        }
    }

    /// Ends the frame.
    ///
    /// # Panics
    /// Its body is longer than [`FRAME_BYTES_MAX`], which whoever appends to it otherwise than by
    /// [`FrameWriter::item`] has to see to.
    pub fn finish(mut self) {
        let bytes = self.body_bytes();
        assert!(bytes <= FRAME_BYTES_MAX, "a frame of {bytes} bytes");
        let (start, length) = (self.start, bytes as u32);
        self.out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.finished = true;
    }
}

impl Drop for FrameWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

/// What bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'b> {
    /// A whole frame.
    Frame {
        /// What is in it.
        kind: Kind,
        /// Its body.
        body: &'b [u8],
        /// Bytes of all of it; the next frame begins behind them.
        length: usize,
    },
    /// The begin of a frame, or nothing.
    Part {
        /// Bytes of all of it, where that can be told; within the limit.
        length: Option<usize>,
    },
}

/// The frame that bytes begin with.
///
/// # Errors
/// It is of no known kind, or longer than it may be: found before its body has come.
pub fn find(bytes: &[u8]) -> Result<Found<'_>, PeerError> {
    find_within(bytes, FRAME_BYTES_MAX)
}

/// As [`find`], for frames with another limit.
///
/// # Errors
/// As [`find`].
pub fn find_within(bytes: &[u8], most: usize) -> Result<Found<'_>, PeerError> {
    let Some((head, behind)) = bytes.split_first_chunk::<FRAME_HEAD_BYTES>() else {
        return Ok(Found::Part { length: None });
    };
    let [a, b, c, d, kind] = *head;
    let kind = Kind::of(kind).ok_or(PeerError::Kind(kind))?;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > most {
        return Err(PeerError::TooLong { bytes: length, most });
    }
    let whole = FRAME_HEAD_BYTES + length;
    Ok(match behind.get(..length) {
        Some(body) => Found::Frame { kind, body, length: whole },
        None => Found::Part { length: Some(whole) },
    })
}

/// Appends bytes behind their length of four bytes.
fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads what has two values.
fn flag(rest: &mut Rest<'_>) -> Result<bool, Unread> {
    match rest.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Unread::Meaning("a yes or no")),
    }
}

/// Nothing may follow.
fn ended(rest: Rest<'_>) -> Result<(), PeerError> {
    match rest.0 {
        [] => Ok(()),
        _ => Err(PeerError::Meaning("bytes behind its end")),
    }
}

/// The next of items behind each other; none behind one that cannot be read.
fn next_item<'b, T>(
    rest: &mut Rest<'b>,
    read: impl FnOnce(&mut Rest<'b>) -> Result<T, Unread>,
) -> Option<Result<T, PeerError>> {
    let item = (!rest.0.is_empty()).then(|| read(rest))?;
    if item.is_err() {
        *rest = Rest(&[]);
    }
    Some(item.map_err(PeerError::from))
}
