//! What an owner's worker sends to a copy's worker, in a row of numbered items, and what the copy says it has.
//!
//! A lane is from one worker of a node to one worker of another. Its items have numbers without gaps, of which a frame has
//! the first; when a lane begins anew, it gets another epoch. A copy acknowledges all items up to a number: what it has
//! applied, and what a crash of it does not take.
//!
//! A frame of a lane: 4, 4 worker it comes from, worker that it is for; 8 epoch; 8 number of the first item; then items:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | 0 a record, 1 a reset, 2 a piece of state |
//! | 2, 8 | copies of its group, term |
//! | | a record: 4 flow, 4 partition, 4 of how many, 8 number in the partition, 4 length, the record |
//! | | a reset: 4 flow, 4 partition, 4 of how many |
//! | | a piece of state: 2 number of the group, 4 length, the piece |
//!
//! A frame of acknowledgements is items behind each other: 4, 4 worker they come from, worker whose lane it is; 8 epoch; 8
//! applied; 8 durable; 1 bits: 1 the first word on a link, 2 the lane is broken; 4 items that were fenced, 8 each its number.

use anabranch_model::message::{FlowId, WorkerId};
use anabranch_model::rest::{Rest, Unread};
use anabranch_model::zone::{Group, Term, ZONE_PARTITIONS};

use super::{FrameWriter, Full, Kind, PeerError, long, next_item};

const RECORD: u8 = 0;
const RESET: u8 = 1;
const STATE: u8 = 2;

/// A partition of a flow's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TablePart {
    /// The flow.
    pub flow: FlowId,
    /// Which partition.
    pub number: u32,
    /// Of how many.
    pub of: u32,
    /// Copies that its tables have.
    pub copies: u16,
}

impl TablePart {
    /// The group that it belongs to.
    pub fn group(self) -> Group {
        Group::of(u32::from(self.copies), self.number, self.of)
    }
}

/// Something that a copy is to do, in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'b> {
    /// What a request did in a partition.
    Record {
        /// The partition.
        part: TablePart,
        /// Of the owner that did it.
        term: Term,
        /// Its number in the partition.
        seq: u64,
        /// The bytes of the record ([`anabranch_model::record`]).
        body: &'b [u8],
    },
    /// A partition is to be emptied.
    Reset {
        /// The partition.
        part: TablePart,
        /// Of the owner that says so.
        term: Term,
    },
    /// State of a group.
    State {
        /// The group.
        group: Group,
        /// Of the owner whose state it is.
        term: Term,
        /// The bytes of the piece ([`anabranch_model::snapshot`]).
        piece: &'b [u8],
    },
}

impl<'b> Item<'b> {
    /// The group that it belongs to.
    pub fn group(&self) -> Group {
        match self {
            Item::Record { part, .. } | Item::Reset { part, .. } => part.group(),
            Item::State { group, .. } => *group,
        }
    }

    /// The term of the owner that sends it.
    pub fn term(&self) -> Term {
        match self {
            Item::Record { term, .. } | Item::Reset { term, .. } | Item::State { term, .. } => *term,
        }
    }

    /// Appends it as a frame has it: items may be kept as bytes until they are sent, and sent again.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut head = |kind, copies: u16, term: Term| {
            out.push(kind);
            out.extend_from_slice(&copies.to_le_bytes());
            out.extend_from_slice(&term.0.to_le_bytes());
        };
        match self {
            Item::Record { part, term, seq, body } => {
                head(RECORD, part.copies, *term);
                part.write(out);
                out.extend_from_slice(&seq.to_le_bytes());
                long(out, body);
            }
            Item::Reset { part, term } => {
                head(RESET, part.copies, *term);
                part.write(out);
            }
            Item::State { group, term, piece } => {
                head(STATE, group.copies, *term);
                out.extend_from_slice(&group.number.to_le_bytes());
                long(out, piece);
            }
        }
    }

    /// Reads the item that bytes begin with, which then begin behind it.
    ///
    /// # Errors
    /// There is none.
    pub fn read(rest: &mut Rest<'b>) -> Result<Self, Unread> {
        let kind = rest.byte()?;
        let (copies, term) = (rest.u16()?, Term(rest.u64()?));
        Ok(match kind {
            RECORD => {
                let part = TablePart::read(rest, copies)?;
                Item::Record { part, term, seq: rest.u64()?, body: rest.long()? }
            }
            RESET => Item::Reset { part: TablePart::read(rest, copies)?, term },
            STATE => {
                let group = Group { copies, number: rest.u16()? };
                if u32::from(group.number) >= ZONE_PARTITIONS {
                    return Err(Unread::Meaning("a number of a group"));
                }
                Item::State { group, term, piece: rest.long()? }
            }
            _ => return Err(Unread::Meaning("a kind of item")),
        })
    }
}

impl TablePart {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.flow.0.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.of.to_le_bytes());
    }

    fn read(rest: &mut Rest<'_>, copies: u16) -> Result<Self, Unread> {
        let part = TablePart { flow: FlowId(rest.u32()?), number: rest.u32()?, of: rest.u32()?, copies };
        match part.number < part.of {
            true => Ok(part),
            false => Err(Unread::Meaning("a number of a partition")),
        }
    }
}

/// Which lane of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId {
    /// The worker that sends items.
    pub from: WorkerId,
    /// The worker that takes them.
    pub to: WorkerId,
    /// The epoch of the lane.
    pub epoch: u64,
}

/// A frame of a lane in the making.
#[derive(Debug)]
pub struct LaneWriter<'o>(FrameWriter<'o>);

impl<'o> LaneWriter<'o> {
    /// Begins a frame at the end of a buffer, of items from this number on.
    pub fn begin(out: &'o mut Vec<u8>, lane: LaneId, first: u64) -> Self {
        let mut frame = FrameWriter::begin(out, Kind::Lane);
        let body = frame.body();
        lane.write(body);
        body.extend_from_slice(&first.to_le_bytes());
        LaneWriter(frame)
    }

    /// Appends the next item.
    ///
    /// # Errors
    /// It does not fit; nothing of it was written.
    pub fn push(&mut self, item: &Item<'_>) -> Result<(), Full> {
        self.0.item(|out| item.write(out))
    }

    /// Appends the next item, as [`Item::write`] has written it.
    ///
    /// # Errors
    /// As [`LaneWriter::push`].
    pub fn push_written(&mut self, item: &[u8]) -> Result<(), Full> {
        self.0.item(|out| out.extend_from_slice(item))
    }

    /// Bytes of its items so far, and of what stands before them.
    pub fn bytes(&self) -> usize {
        self.0.body_bytes()
    }

    /// Ends the frame.
    pub fn finish(self) {
        self.0.finish();
    }
}

/// A frame of a lane.
#[derive(Clone, Copy, Debug)]
pub struct Lane<'b> {
    /// Which.
    pub id: LaneId,
    /// The number of its first item.
    pub first: u64,
    items: Rest<'b>,
}

impl<'b> Lane<'b> {
    /// Reads the body of a frame up to its items.
    ///
    /// # Errors
    /// It is too short, or its first number is so high that the next ones have none.
    pub fn read(body: &'b [u8]) -> Result<Self, PeerError> {
        let mut rest = Rest(body);
        let (id, first) = (LaneId::read(&mut rest)?, rest.u64()?);
        match first.checked_add(body.len() as u64) {
            Some(_) => Ok(Lane { id, first, items: rest }),
            None => Err(PeerError::Meaning("a number of an item")),
        }
    }

    /// The items, in their order; ends behind the first that is none.
    pub fn items(&self) -> impl Iterator<Item = Result<Item<'b>, PeerError>> + use<'b> {
        let mut rest = self.items;
        std::iter::from_fn(move || next_item(&mut rest, Item::read))
    }

    /// The items, each with the bytes that [`Item::write`] has written.
    pub fn written(&self) -> impl Iterator<Item = Result<(Item<'b>, &'b [u8]), PeerError>> + use<'b> {
        let mut rest = self.items;
        std::iter::from_fn(move || {
            let all = rest.0;
            let item = next_item(&mut rest, Item::read)?;
            Some(item.map(|item| (item, &all[..all.len() - rest.0.len()])))
        })
    }
}

impl LaneId {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.from.0.to_le_bytes());
        out.extend_from_slice(&self.to.0.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
    }

    fn read(rest: &mut Rest<'_>) -> Result<Self, Unread> {
        Ok(LaneId { from: WorkerId(rest.u32()?), to: WorkerId(rest.u32()?), epoch: rest.u64()? })
    }
}

/// Items that one acknowledgement tells to be fenced, at most: one of each group, of a few classes.
pub const FENCED_MAX: usize = 4096;

const FIRST: u8 = 1;
const BROKEN: u8 = 2;

/// How far a copy has come with a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The lane, as its sender named it: `from` is the owner's worker, `to` the copy's, which says this.
    pub lane: LaneId,
    /// All items up to this number are applied, or fenced.
    pub applied: u64,
    /// All items up to this number are where a crash does not take them, or fenced; `applied` at most.
    pub durable: u64,
    /// Items that were refused for their term, or their sender; [`FENCED_MAX`] at most.
    pub fenced: Vec<u64>,
    /// Whether it is the first word about the lane on this link.
    pub first: bool,
    /// Whether the lane is of no use any more.
    pub broken: bool,
}

impl Ack {
    fn write(&self, out: &mut Vec<u8>) {
        self.lane.write(out);
        out.extend_from_slice(&self.applied.to_le_bytes());
        out.extend_from_slice(&self.durable.to_le_bytes());
        out.push(if self.first { FIRST } else { 0 } | if self.broken { BROKEN } else { 0 });
        let fenced = &self.fenced[..self.fenced.len().min(FENCED_MAX)];
        out.extend_from_slice(&(fenced.len() as u32).to_le_bytes());
        fenced.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    }

    fn read(rest: &mut Rest<'_>) -> Result<Self, Unread> {
        let (lane, applied, durable) = (LaneId::read(rest)?, rest.u64()?, rest.u64()?);
        let (bits, count) = (rest.byte()?, rest.u32()? as usize);
        if bits > FIRST | BROKEN || count > FENCED_MAX {
            return Err(Unread::Meaning("what was fenced"));
        }
        let fenced = (0..count).map(|_| rest.u64()).collect::<Result<_, _>>()?;
        let (first, broken) = (bits & FIRST != 0, bits & BROKEN != 0);
        match durable <= applied {
            true => Ok(Ack { lane, applied, durable, fenced, first, broken }),
            false => Err(Unread::Meaning("something durable before it is applied")),
        }
    }
}

/// A frame of acknowledgements in the making.
#[derive(Debug)]
pub struct AcksWriter<'o>(FrameWriter<'o>);

impl<'o> AcksWriter<'o> {
    /// Begins a frame at the end of a buffer.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        AcksWriter(FrameWriter::begin(out, Kind::Acks))
    }

    /// Appends one.
    ///
    /// # Errors
    /// It does not fit; nothing of it was written.
    pub fn push(&mut self, ack: &Ack) -> Result<(), Full> {
        self.0.item(|out| ack.write(out))
    }

    /// Ends the frame.
    pub fn finish(self) {
        self.0.finish();
    }
}

/// The acknowledgements of a frame, in their order; ends behind the first that is none.
#[derive(Clone, Copy, Debug)]
pub struct Acks<'b>(Rest<'b>);

impl<'b> Acks<'b> {
    /// Of the body of a frame.
    pub fn read(body: &'b [u8]) -> Self {
        Acks(Rest(body))
    }
}

impl Iterator for Acks<'_> {
    type Item = Result<Ack, PeerError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_item(&mut self.0, Ack::read)
    }
}
