//! What members send to each other, as bytes with a format number.

use anabranch_model::zone::MemberId;
use raft::eraftpb::Message;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::bytes::{Put, Take};
use crate::command::Command;
use crate::member::Me;
use crate::raft_bytes::{put_message, take_message};

/// The format of frames. A node that does not know a frame's format says so to its sender.
pub(crate) const FORMAT: u8 = 1;

/// Bytes of a frame; the snapshot of a zone with all its flows is the largest.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;

/// Why a node is not, or no longer, a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Another process with this name is a member and was heard since.
    NameTaken,
    /// What answers there is of another zone, which this one names.
    AnotherZone(String),
    /// The other end speaks another version of the protocol, which this one names.
    Version(u8),
    /// The member left, or a later life of its node took its place; its identity is of no use any more.
    Forgotten,
    /// The zone was forced to go on without it, and what it knows since is not part of the zone's history.
    ForcedOut,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::NameTaken => f.write_str("another node of this name is in the zone and alive; give this one another name, or stop the other"),
            Reason::AnotherZone(zone) => write!(f, "the node that answers is of zone `{zone}`; name that zone, or another address"),
            Reason::Version(theirs) => {
                write!(f, "the zone speaks version {theirs} of its protocol, this node version {FORMAT}; update the older one")
            }
            Reason::Forgotten => f.write_str("the zone has another node in its place; start it with an empty data directory"),
            Reason::ForcedOut => {
                f.write_str("the zone was forced to go on without it; start it with an empty data directory")
            }
        }
    }
}

/// What is in a frame.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// A node wants to be a member, or again the member that it was.
    Ask { node: Me, was: Option<MemberId> },
    /// It is one.
    Taken { id: MemberId, book: Vec<(MemberId, String)> },
    /// The leader is elsewhere.
    Redirect { address: String },
    /// It is none.
    Refused(Reason),
    /// Of the consensus.
    Raft(Box<Message>),
    /// A member asks for its lease, at a time of its own clock.
    Beat { sent: u64 },
    /// It has it once it has applied so much.
    Grant { sent: u64, applied: u64 },
    /// The process of a member is gone.
    Report { member: MemberId, incarnation: u64 },
    /// A member wants something decided.
    Wishes(Vec<Command>),
}

/// A frame with who sends it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    /// The zone's number; zero while it is not known.
    pub(crate) zone: u64,
    /// How often the zone was forced to go on.
    pub(crate) forced: u32,
    pub(crate) from: Option<MemberId>,
    pub(crate) incarnation: u64,
    pub(crate) body: Body,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Format(u8),
    Garbage,
}

impl Frame {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put(vec![FORMAT]);
        put.u64(self.zone);
        put.u64(u64::from(self.forced));
        put.u64(self.from.map_or(0, |id| id.0));
        put.u64(self.incarnation);
        let text = |put: &mut Put, kind: u8, bytes: serde_json::Result<Vec<u8>>| {
            put.u8(kind);
            put.0.extend(bytes.expect("it has no maps and no failing parts"));
        };
        match &self.body {
            Body::Ask { node, was } => text(&mut put, 1, serde_json::to_vec(&(node, was))),
            Body::Taken { id, book } => text(&mut put, 2, serde_json::to_vec(&(id, book))),
            Body::Redirect { address } => text(&mut put, 3, serde_json::to_vec(address)),
            Body::Refused(reason) => text(&mut put, 4, serde_json::to_vec(reason)),
            Body::Wishes(commands) => text(&mut put, 5, serde_json::to_vec(commands)),
            Body::Raft(message) => {
                put.u8(6);
                put.0.extend(put_message(message));
            }
            Body::Beat { sent } => {
                put.u8(7);
                put.u64(*sent);
            }
            Body::Grant { sent, applied } => {
                put.u8(8);
                put.u64(*sent);
                put.u64(*applied);
            }
            Body::Report { member, incarnation } => {
                put.u8(9);
                put.u64(member.0);
                put.u64(*incarnation);
            }
        }
        put.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Frame, Unreadable> {
        match bytes.first() {
            Some(&FORMAT) if bytes.len() <= FRAME_BYTES_MAX => {
                Frame::take(Take(&bytes[1..])).ok_or(Unreadable::Garbage)
            }
            Some(&format) if format != FORMAT => Err(Unreadable::Format(format)),
            _ => Err(Unreadable::Garbage),
        }
    }

    fn take(mut take: Take) -> Option<Frame> {
        let zone = take.u64()?;
        let forced = u32::try_from(take.u64()?).ok()?;
        let from = Some(MemberId(take.u64()?)).filter(|id| id.0 != 0);
        let incarnation = take.u64()?;
        let kind = take.u8()?;
        let body = if kind <= 6 { Body::take_text(kind, take.0)? } else { Body::take_numbers(kind, take)? };
        Some(Frame { zone, forced, from, incarnation, body })
    }
}

fn text<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

impl Body {
    fn take_text(kind: u8, bytes: &[u8]) -> Option<Body> {
        Some(match kind {
            1 => {
                let (node, was) = text(bytes)?;
                Body::Ask { node, was }
            }
            2 => {
                let (id, book) = text(bytes)?;
                Body::Taken { id, book }
            }
            3 => Body::Redirect { address: text(bytes)? },
            4 => Body::Refused(text(bytes)?),
            5 => Body::Wishes(text(bytes)?),
            6 => Body::Raft(Box::new(take_message(bytes)?)),
            _ => return None,
        })
    }

    fn take_numbers(kind: u8, mut take: Take) -> Option<Body> {
        let body = match kind {
            7 => Body::Beat { sent: take.u64()? },
            8 => Body::Grant { sent: take.u64()?, applied: take.u64()? },
            9 => Body::Report { member: MemberId(take.u64()?), incarnation: take.u64()? },
            _ => return None,
        };
        take.end()?;
        Some(body)
    }
}
