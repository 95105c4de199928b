//! How two nodes come to know each other.
//!
//! The node that dials says hello, the other says hello back. Then the one that dialed proves that it knows the zone's
//! secret, and then the other one does: so nobody gets a proof from a node that listens without having given one. A
//! proof is a keyed hash over both hellos, which have a number in them that was never used before, and over who of both
//! dialed, so that it is good once and one way. Whoever does not want the other says why, with [`Refused`], and ends.
//!
//! The first two fields of a hello stay in all versions: a node of another version can be told so.

use std::fmt;

use anabranch_model::rest::Rest;
use anabranch_model::zone::MemberId;

use super::{FrameWriter, Kind, PEER_VERSION, PeerError, ended};

/// Bytes of a name in a hello, at most.
pub const TEXT_BYTES_MAX: usize = 255;

/// Bytes of a number that is used once.
pub const NONCE_BYTES: usize = 32;

/// Bytes of a proof.
pub const PROOF_BYTES: usize = 32;

/// Bytes of the reason in a [`Refused`], at most.
pub const REASON_BYTES_MAX: usize = 1024;

/// What a node is in its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It has rows.
    Data,
    /// It has a vote and no rows.
    Witness,
}

impl Role {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Data => "data",
            Role::Witness => "witness",
        }
    }
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest and newest version that it speaks.
    pub versions: (u16, u16),
    /// Its zone.
    pub zone: String,
    /// Its name.
    pub node: String,
    /// A number that tells this life of it from others.
    pub incarnation: u128,
    /// Its number in the zone, where it has one.
    pub member: Option<MemberId>,
    /// How many workers it has.
    pub workers: u32,
    /// What it is.
    pub role: Role,
    /// Its clock, in microseconds since 1970 UTC.
    pub clock: i64,
    /// Where others reach it: a host and a port.
    pub address: String,
    /// A number that it uses once.
    pub nonce: [u8; NONCE_BYTES],
}

impl Hello {
    /// Appends it as a frame.
    ///
    /// Texts that are longer than [`TEXT_BYTES_MAX`] are for the caller to turn down before; the other side does.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut frame = FrameWriter::begin(out, Kind::Hello);
        let body = frame.body();
        body.extend_from_slice(&self.versions.0.to_le_bytes());
        body.extend_from_slice(&self.versions.1.to_le_bytes());
        text(body, &self.zone);
        text(body, &self.node);
        body.extend_from_slice(&self.incarnation.to_le_bytes());
        body.extend_from_slice(&self.member.map_or(0, |member| member.0).to_le_bytes());
        body.push(u8::from(self.member.is_some()));
        body.extend_from_slice(&self.workers.to_le_bytes());
        body.push(match self.role {
            Role::Data => 0,
            Role::Witness => 1,
        });
        body.extend_from_slice(&self.clock.to_le_bytes());
        text(body, &self.address);
        body.extend_from_slice(&self.nonce);
        frame.finish();
    }

    /// Reads the body of its frame.
    ///
    /// # Errors
    /// [`Unheard::Versions`] where this release cannot read the rest; else what is wrong.
    pub fn read(body: &[u8]) -> Result<Hello, Unheard> {
        let mut rest = Rest(body);
        let versions = (rest.u16()?, rest.u16()?);
        if !(versions.0..=versions.1).contains(&PEER_VERSION) {
            return Err(Unheard::Versions { from: versions.0, to: versions.1 });
        }
        let (zone, node) = (read_text(&mut rest)?, read_text(&mut rest)?);
        let incarnation = u128::from_le_bytes(rest.array()?);
        let (number, is_member) = (rest.u64()?, super::flag(&mut rest)?);
        let workers = rest.u32()?;
        let role = match rest.byte()? {
            0 => Role::Data,
            1 => Role::Witness,
            _ => return Err(PeerError::Meaning("a role").into()),
        };
        let clock = rest.u64()? as i64;
        let (address, nonce) = (read_text(&mut rest)?, rest.array()?);
        ended(rest)?;
        let member = is_member.then_some(MemberId(number));
        Ok(Hello { versions, zone, node, incarnation, member, workers, role, clock, address, nonce })
    }
}

/// Why bytes are no hello that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// It speaks other versions than this release.
    Versions {
        /// The oldest that it speaks.
        from: u16,
        /// The newest.
        to: u16,
    },
    /// It is none.
    Wrong(PeerError),
}

impl From<PeerError> for Unheard {
    fn from(error: PeerError) -> Self {
        Unheard::Wrong(error)
    }
}

impl From<anabranch_model::rest::Unread> for Unheard {
    fn from(unread: anabranch_model::rest::Unread) -> Self {
        Unheard::Wrong(unread.into())
    }
}

/// Why a node does not want another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// They have no version in common.
    Version = 0,
    /// It is of another zone.
    Zone = 1,
    /// It does not know the zone's secret.
    Secret = 2,
    /// It is of another machine, and there is no secret.
    Open = 3,
    /// Its clock is too far off.
    Clock = 4,
    /// Its name, address or number of workers is none.
    Odd = 5,
    /// It is this node.
    Itself = 6,
    /// There is a link with it, or one that is preferred is being made.
    Linked = 7,
    /// What it sent means nothing.
    Garbage = 8,
    /// It took too long.
    Slow = 9,
    /// Too many come at once.
    Busy = 10,
    /// The node stops.
    Stopping = 11,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Reason; 12] = [
        Reason::Version,
        Reason::Zone,
        Reason::Secret,
        Reason::Open,
        Reason::Clock,
        Reason::Odd,
        Reason::Itself,
        Reason::Linked,
        Reason::Garbage,
        Reason::Slow,
        Reason::Busy,
        Reason::Stopping,
    ];
}

/// That a node does not want another, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What kind of reason.
    pub reason: Reason,
    /// In words, for who runs the other node.
    pub text: String,
}

impl Refused {
    /// Appends it as a frame; of the text as much as may be.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut frame = FrameWriter::begin(out, Kind::Refused);
        let end = self.text.floor_char_boundary(REASON_BYTES_MAX);
        frame.body().push(self.reason as u8);
        frame.body().extend_from_slice(&self.text.as_bytes()[..end]);
        frame.finish();
    }

    /// Reads the body of its frame. What cannot be shown in a line of text is left out of the text.
    ///
    /// # Errors
    /// It is none.
    pub fn read(body: &[u8]) -> Result<Refused, PeerError> {
        let mut rest = Rest(body);
        let reason = Reason::ALL.get(usize::from(rest.byte()?)).copied();
        let reason = reason.ok_or(PeerError::Meaning("a reason"))?;
        if rest.0.len() > REASON_BYTES_MAX {
            return Err(PeerError::TooLong { bytes: rest.0.len(), most: REASON_BYTES_MAX });
        }
        let text = std::str::from_utf8(rest.0).map_err(|_| PeerError::Meaning("a text"))?;
        Ok(Refused { reason, text: text.chars().filter(|sign| !sign.is_control()).collect() })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn read_text(rest: &mut Rest<'_>) -> Result<String, PeerError> {
    let length = usize::from(rest.u16()?);
    if length > TEXT_BYTES_MAX {
        return Err(PeerError::Meaning("a name that is too long"));
    }
    let text = std::str::from_utf8(rest.take(length)?).map_err(|_| PeerError::Meaning("a text"))?;
    Ok(text.to_owned())
}
