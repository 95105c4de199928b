//! Requests, or parts of them, that one node passes on to the owner of what they touch.
//!
//! A frame is items behind each other:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | number that the sender gives it; the answer has it |
//! | 4, 4 | the worker it comes from, the one that it is for |
//! | 4, 8, 8 | the flow, the revision whose numbers and shapes it uses, and that of who asks |
//! | 8, 8, 8, 1 | who asks: client, number, up to where its requests are answered, whether it may have been sent before |
//! | 2, 8 | of which groups: copies, partitions of the zone as bits |
//! | 8 each | their terms, as the sender knows them |
//! | 1 | what is asked: 0 rows, 1 a row, 2 a page |
//! | | rows: 2 input, 4 how many, 4 each its place in the request, 4 length, a packed batch |
//! | | a row: 2 table, 4 partition, 1 whether a stale one will do, 4 length, key |
//! | | a page: 2 table, 4 rows at most, 1 stale, 1 whether behind a key, 4 length, key |

use anabranch_model::batch::MAX_BATCH_BYTES;
use anabranch_model::key::MAX_KEY_BYTES;
use anabranch_model::message::{FlowId, Once, Reads, WorkerId};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, TableId};
use anabranch_model::rest::{Rest, Unread};
use anabranch_model::zone::{Group, Parts, Term};

use super::{FrameWriter, Full, Kind, PeerError, flag, long, next_item};

const ROWS: u8 = 0;
const GET: u8 = 1;
const PAGE: u8 = 2;

const TERM_BYTES: usize = 8;
const PLACE_BYTES: usize = 4;

/// A request, or a part of one, for the owner of what it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward<'b> {
    /// The sender's number for it.
    pub id: u64,
    /// The sender's worker, where the answer goes.
    pub from: WorkerId,
    /// The worker that is to take it.
    pub to: WorkerId,
    /// The flow.
    pub flow: FlowId,
    /// The revision whose numbers and shapes it uses.
    pub revision: i64,
    /// The revision of who asks, which the answer is told in.
    pub asker: i64,
    /// By what a repeat of it is recognised.
    pub once: Once,
    /// The groups that it touches, in which terms.
    pub terms: Terms<'b>,
    /// What is asked.
    pub body: ForwardBody<'b>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardBody<'b> {
    /// Rows for an input stream.
    Rows {
        /// The stream.
        input: InputId,
        /// Where the rows stand in the request.
        places: Places<'b>,
        /// The bytes of a packed batch, for [`anabranch_model::batch::Batch::from_bytes`].
        batch: &'b [u8],
    },
    /// The row of one key.
    Get {
        /// The table.
        table: TableId,
        /// Its partition.
        partition: PartitionId,
        /// Whether the answer waits.
        reads: Reads,
        /// The key bytes.
        key: &'b [u8],
    },
    /// Rows of all partitions in key order.
    Page {
        /// The table.
        table: TableId,
        /// Only keys greater than this.
        after: Option<&'b [u8]>,
        /// Rows at most.
        limit: u32,
        /// Whether the answer waits.
        reads: Reads,
    },
}

/// Where rows stand in their request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places<'b>(&'b [u8]);

impl<'b> Places<'b> {
    /// These. `bytes`, which they need, is overwritten.
    pub fn of(places: &[u32], bytes: &'b mut Vec<u8>) -> Self {
        bytes.clear();
        places.iter().for_each(|place| bytes.extend_from_slice(&place.to_le_bytes()));
        Places(bytes)
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = u32> + use<'b> {
        self.0
            .chunks_exact(PLACE_BYTES)
            .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("chunks of four bytes")))
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&((self.0.len() / PLACE_BYTES) as u32).to_le_bytes());
        out.extend_from_slice(self.0);
    }

    fn read(rest: &mut Rest<'b>) -> Result<Self, Unread> {
        let count = rest.u32()? as usize;
        rest.take(count.saturating_mul(PLACE_BYTES)).map(Places)
    }
}

/// Groups with their terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms<'b> {
    /// Copies of the groups.
    pub copies: u16,
    /// Their numbers.
    pub parts: Parts,
    /// A term for each of them, in order.
    terms: &'b [u8],
}

impl<'b> Terms<'b> {
    /// No group.
    pub const NONE: Terms<'static> = Terms { copies: 0, parts: Parts::NONE, terms: &[] };

    /// Groups of one number of copies. `bytes`, which they need, is overwritten.
    pub fn of(copies: u16, terms: impl IntoIterator<Item = (u16, Term)>, bytes: &'b mut Vec<u8>) -> Self {
        let mut of = [None; anabranch_model::zone::ZONE_PARTITIONS as usize];
        for (number, term) in terms {
            if let Some(place) = of.get_mut(usize::from(number)) {
                *place = Some(term);
            }
        }
        let mut parts = Parts::NONE;
        bytes.clear();
        for (number, term) in (0..).zip(of) {
            if let Some(Term(term)) = term {
                parts.insert(number);
                bytes.extend_from_slice(&term.to_le_bytes());
            }
        }
        Terms { copies, parts, terms: bytes }
    }

    /// Each group with its term, by number.
    pub fn iter(&self) -> impl Iterator<Item = (Group, Term)> + use<'b> {
        let copies = self.copies;
        let terms = self
            .terms
            .chunks_exact(TERM_BYTES)
            .map(|bytes| Term(u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"))));
        self.parts.iter().zip(terms).map(move |(number, term)| (Group { copies, number }, term))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.copies.to_le_bytes());
        out.extend_from_slice(&self.parts.0.to_le_bytes());
        out.extend_from_slice(self.terms);
    }

    fn read(rest: &mut Rest<'b>) -> Result<Self, Unread> {
        let (copies, parts) = (rest.u16()?, Parts(rest.u64()?));
        let terms = rest.take(parts.0.count_ones() as usize * TERM_BYTES)?;
        Ok(Terms { copies, parts, terms })
    }
}

/// A frame of forwards in the making.
#[derive(Debug)]
pub struct ForwardsWriter<'o>(FrameWriter<'o>);

impl<'o> ForwardsWriter<'o> {
    /// Begins a frame at the end of a buffer.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        ForwardsWriter(FrameWriter::begin(out, Kind::Forwards))
    }

    /// Appends one.
    ///
    /// # Errors
    /// It does not fit; nothing of it was written.
    pub fn push(&mut self, forward: &Forward<'_>) -> Result<(), Full> {
        self.0.item(|out| forward.write(out))
    }

    /// Bytes of its items so far.
    pub fn bytes(&self) -> usize {
        self.0.body_bytes()
    }

    /// Ends the frame.
    pub fn finish(self) {
        self.0.finish();
    }
}

/// The forwards of a frame, in their order; ends behind the first that is none.
#[derive(Clone, Copy, Debug)]
pub struct Forwards<'b>(Rest<'b>);

impl<'b> Forwards<'b> {
    /// Of the body of a frame.
    pub fn read(body: &'b [u8]) -> Self {
        Forwards(Rest(body))
    }
}

impl<'b> Iterator for Forwards<'b> {
    type Item = Result<Forward<'b>, PeerError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_item(&mut self.0, Forward::read)
    }
}

impl<'b> Forward<'b> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.from.0.to_le_bytes());
        out.extend_from_slice(&self.to.0.to_le_bytes());
        out.extend_from_slice(&self.flow.0.to_le_bytes());
        out.extend_from_slice(&self.revision.to_le_bytes());
        out.extend_from_slice(&self.asker.to_le_bytes());
        out.extend_from_slice(&self.once.client.to_le_bytes());
        out.extend_from_slice(&self.once.number.to_le_bytes());
        out.extend_from_slice(&self.once.answered.to_le_bytes());
        out.push(u8::from(self.once.repeated));
        self.terms.write(out);
        self.body.write(out);
    }

    fn read(rest: &mut Rest<'b>) -> Result<Self, Unread> {
        let (id, from, to) = (rest.u64()?, WorkerId(rest.u32()?), WorkerId(rest.u32()?));
        let (flow, revision, asker) = (FlowId(rest.u32()?), rest.u64()? as i64, rest.u64()? as i64);
        let (client, number, answered) = (rest.u64()?, rest.u64()?, rest.u64()?);
        if client == 0 {
            return Err(Unread::Meaning("client 0"));
        }
        let once = Once { client, number, answered, repeated: flag(rest)? };
        let (terms, body) = (Terms::read(rest)?, ForwardBody::read(rest)?);
        Ok(Forward { id, from, to, flow, revision, asker, once, terms, body })
    }
}

impl<'b> ForwardBody<'b> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            ForwardBody::Rows { input, places, batch } => {
                out.push(ROWS);
                out.extend_from_slice(&input.0.to_le_bytes());
                places.write(out);
                long(out, batch);
            }
            ForwardBody::Get { table, partition, reads, key } => {
                out.push(GET);
                out.extend_from_slice(&table.0.to_le_bytes());
                out.extend_from_slice(&partition.0.to_le_bytes());
                out.push(u8::from(*reads == Reads::Stale));
                long(out, key);
            }
            ForwardBody::Page { table, after, limit, reads } => {
                out.push(PAGE);
                out.extend_from_slice(&table.0.to_le_bytes());
                out.extend_from_slice(&limit.to_le_bytes());
                out.push(u8::from(*reads == Reads::Stale));
                out.push(u8::from(after.is_some()));
                long(out, after.unwrap_or_default());
            }
        }
    }

    fn read(rest: &mut Rest<'b>) -> Result<Self, Unread> {
        Ok(match rest.byte()? {
            ROWS => {
                let (input, places, batch) = (InputId(rest.u16()?), Places::read(rest)?, rest.long()?);
                if batch.len() > MAX_BATCH_BYTES {
                    return Err(Unread::Meaning("a batch that is too long"));
                }
                ForwardBody::Rows { input, places, batch }
            }
            GET => {
                let (table, partition) = (TableId(rest.u16()?), PartitionId(rest.u32()?));
                let (reads, key) = (read_reads(rest)?, read_key(rest)?);
                ForwardBody::Get { table, partition, reads, key }
            }
            PAGE => {
                let (table, limit, reads) = (TableId(rest.u16()?), rest.u32()?, read_reads(rest)?);
                let (behind, key) = (flag(rest)?, read_key(rest)?);
                ForwardBody::Page { table, after: behind.then_some(key), limit, reads }
            }
            _ => return Err(Unread::Meaning("a kind of request")),
        })
    }
}

fn read_reads(rest: &mut Rest<'_>) -> Result<Reads, Unread> {
    Ok(if flag(rest)? { Reads::Stale } else { Reads::Safe })
}

fn read_key<'b>(rest: &mut Rest<'b>) -> Result<&'b [u8], Unread> {
    match rest.long()? {
        key if key.len() > MAX_KEY_BYTES => Err(Unread::Meaning("a key that is too long")),
        key => Ok(key),
    }
}
