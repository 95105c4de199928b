//! The state of a node as pieces of bytes: what a snapshot keeps, and what brings workers, however many, to the same
//! state.
//!
//! A piece is one of three. The pieces of the *node* and of *revisions* come first: which flows there are, the kept
//! revisions of each oldest first, so that they are installed and replaced again while their tables are empty. Pieces of
//! *state* have what one worker has of one flow: where its partitions stand, and rows. What is said of a partition comes
//! before its rows, and with it the partition begins anew: what was in it before is gone.
//!
//! Format 1, little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1, 1 | format, 1; kind: 0 the node, 1 a revision, 2 state |
//! | | of the node: 4 number of the next flow |
//! | | of a revision: 4 flow, 4 length, name of its file, 4 length, its text |
//! | | of state: 4 flow, 8 its revision, 8 last stamp of its clock, 8 when its rows last found other ways, then items to the end |
//!
//! | bytes | what |
//! |---|---|
//! | 1 | kind of an item: 0 a partition, 1 rows |
//! | | a partition: 4 of how many, 4 number, 8 and 8 term and number of its last record, 4 length, answers that it remembers |
//! | | rows: 2 table, 4 partition, 4 length, packed rows behind each other |

use std::fmt;

use crate::message::FlowId;
use crate::partition::PartitionId;
use crate::plan::TableId;
use crate::rest::{Rest, Unread};
use crate::stamp::Stamp;
use crate::zone::Term;

/// The format that is written.
pub const SNAPSHOT_FORMAT: u8 = 1;

const NODE: u8 = 0;
const REVISION: u8 = 1;
const STATE: u8 = 2;

const PARTITION: u8 = 0;
const ROWS: u8 = 1;

/// Bytes of a piece of state before its items.
const STATE_HEAD_BYTES: usize = 30;

/// A piece of the state of a node.
#[derive(Clone, Debug)]
pub enum Piece<'p> {
    /// The node itself.
    Node {
        /// The number that its next flow gets: none is given twice.
        next_flow: u32,
    },
    /// A revision of a flow.
    Revision {
        /// The flow.
        flow: FlowId,
        /// The name of its file.
        file: &'p str,
        /// Its text.
        text: &'p str,
    },
    /// What a worker has of a flow.
    State(State<'p>),
}

/// What a worker has of a flow, or a part of that.
#[derive(Clone, Copy, Debug)]
pub struct State<'p> {
    /// The flow.
    pub flow: FlowId,
    /// Its revision.
    pub revision: i64,
    /// Later stamps are larger.
    pub stamp: Stamp,
    /// When a newer revision last sent rows of an input to other partitions, in microseconds since 1970 UTC; 0 where none
    /// did.
    pub rerouted: u64,
    items: &'p [u8],
}

/// Something of the state of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'p> {
    /// Where a partition stands.
    Partition(Standing<'p>),
    /// Rows of a partition, for [`rows`].
    Rows(TableId, PartitionId, &'p [u8]),
}

/// Where a partition stands: records up to `seq` have had their effects on its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'p> {
    /// How many partitions there are.
    pub of: u32,
    /// Which of them.
    pub number: u32,
    /// The term of its last record.
    pub term: Term,
    /// Its last record.
    pub seq: u64,
    /// The answers that it remembers, in their own format.
    pub remembered: &'p [u8],
}

/// Why bytes are no piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// They are of a newer format.
    Format(u8),
    /// They end too early.
    Short,
    /// Something in them has no meaning: what it is.
    Meaning(&'static str),
}

impl From<Unread> for SnapshotError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Short => SnapshotError::Short,
            Unread::Meaning(what) => SnapshotError::Meaning(what),
        }
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Format(format) => write!(
                f,
                "a piece of the snapshot has format {format}, this release knows {SNAPSHOT_FORMAT}: use a newer one"
            ),
            SnapshotError::Short => f.write_str("a piece of the snapshot ends too early"),
            SnapshotError::Meaning(what) => write!(f, "the snapshot has {what} that means nothing"),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// Writes the piece of a node whose next flow gets this number.
#[must_use]
pub fn node(next_flow: u32) -> Vec<u8> {
    let mut out = vec![SNAPSHOT_FORMAT, NODE];
    out.extend_from_slice(&next_flow.to_le_bytes());
    out
}

/// Writes the piece of a revision of a flow.
#[must_use]
pub fn revision(flow: FlowId, file: &str, text: &str) -> Vec<u8> {
    let mut out = vec![SNAPSHOT_FORMAT, REVISION];
    out.extend_from_slice(&flow.0.to_le_bytes());
    for part in [file, text] {
        out.extend_from_slice(&(part.len() as u32).to_le_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out
}

/// A piece of state in the making.
#[derive(Debug)]
pub struct StateWriter {
    out: Vec<u8>,
    /// The rows that further ones are added to: table, partition, where their length stands.
    open: Option<(TableId, PartitionId, usize)>,
}

impl StateWriter {
    /// Begins a piece of what a worker has of a flow.
    #[must_use]
    pub fn new(flow: FlowId, revision: i64, stamp: Stamp, rerouted: u64) -> Self {
        let mut out = vec![SNAPSHOT_FORMAT, STATE];
        out.extend_from_slice(&flow.0.to_le_bytes());
        out.extend_from_slice(&revision.to_le_bytes());
        out.extend_from_slice(&stamp.0.to_le_bytes());
        out.extend_from_slice(&rerouted.to_le_bytes());
        StateWriter { out, open: None }
    }

    /// Makes room for so many bytes.
    pub fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    /// Says where a partition stands, before its rows.
    pub fn partition(&mut self, standing: Standing<'_>) {
        self.close();
        self.out.push(PARTITION);
        self.out.extend_from_slice(&standing.of.to_le_bytes());
        self.out.extend_from_slice(&standing.number.to_le_bytes());
        self.out.extend_from_slice(&standing.term.0.to_le_bytes());
        self.out.extend_from_slice(&standing.seq.to_le_bytes());
        self.out.extend_from_slice(&(standing.remembered.len() as u32).to_le_bytes());
        self.out.extend_from_slice(standing.remembered);
    }

    /// Adds a packed row.
    #[inline]
    pub fn row(&mut self, table: TableId, partition: PartitionId, row: &[u8]) {
        if self.open.is_none_or(|(of, number, _)| (of, number) != (table, partition)) {
            self.open(table, partition);
        }
        self.out.extend_from_slice(row);
    }

    fn open(&mut self, table: TableId, partition: PartitionId) {
        self.close();
        self.out.push(ROWS);
        self.out.extend_from_slice(&table.0.to_le_bytes());
        self.out.extend_from_slice(&partition.0.to_le_bytes());
        self.open = Some((table, partition, self.out.len()));
        self.out.extend_from_slice(&[0; 4]);
    }

    fn close(&mut self) {
        if let Some((_, _, at)) = self.open.take() {
            let bytes = (self.out.len() - at - 4) as u32;
            self.out[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
        }
    }

    /// Bytes so far.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether it says nothing yet but the flow and its clock.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.len() <= STATE_HEAD_BYTES
    }

    /// The piece.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.close();
        self.out
    }
}

impl<'p> Piece<'p> {
    /// Reads a piece; the items of state are read by [`State::items`].
    ///
    /// # Errors
    /// It is of another format or kind, or too short.
    pub fn parse(bytes: &'p [u8]) -> Result<Self, SnapshotError> {
        let mut rest = Rest(bytes);
        match rest.byte()? {
            SNAPSHOT_FORMAT => {}
            other => return Err(SnapshotError::Format(other)),
        }
        let piece = match rest.byte()? {
            NODE => Piece::Node { next_flow: rest.u32()? },
            REVISION => {
                let flow = FlowId(rest.u32()?);
                Piece::Revision { flow, file: rest.text()?, text: rest.text()? }
            }
            STATE => {
                let (flow, revision) = (FlowId(rest.u32()?), rest.u64()? as i64);
                let (stamp, rerouted) = (Stamp(rest.u64()?), rest.u64()?);
                return Ok(Piece::State(State { flow, revision, stamp, rerouted, items: rest.0 }));
            }
            _ => return Err(SnapshotError::Meaning("a kind of piece")),
        };
        match rest.0 {
            [] => Ok(piece),
            _ => Err(SnapshotError::Meaning("bytes behind the end of a piece")),
        }
    }
}

impl<'p> State<'p> {
    /// The items, in their order; ends behind the first that is none.
    pub fn items(&self) -> impl Iterator<Item = Result<Item<'p>, SnapshotError>> + use<'p> {
        let mut rest = Rest(self.items);
        std::iter::from_fn(move || {
            let item = (!rest.0.is_empty()).then(|| rest.item())?;
            if item.is_err() {
                rest = Rest(&[]);
            }
            Some(item)
        })
    }
}

/// The packed rows that lie behind each other, each as far as its length says; ends behind the first that is none. What
/// is in them is for [`crate::Row::check`].
pub fn rows(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], SnapshotError>> {
    let mut rest = Rest(bytes);
    std::iter::from_fn(move || {
        let row = (!rest.0.is_empty()).then(|| rest.row())?;
        if row.is_err() {
            rest = Rest(&[]);
        }
        Some(row.map_err(SnapshotError::from))
    })
}

impl<'p> Rest<'p> {
    fn item(&mut self) -> Result<Item<'p>, SnapshotError> {
        match self.byte()? {
            PARTITION => {
                let (of, number) = (self.u32()?, self.u32()?);
                let (term, seq) = (Term(self.u64()?), self.u64()?);
                Ok(Item::Partition(Standing { of, number, term, seq, remembered: self.long()? }))
            }
            ROWS => {
                let table = TableId(self.u16()?);
                let partition = PartitionId(self.u32()?);
                Ok(Item::Rows(table, partition, self.long()?))
            }
            _ => Err(SnapshotError::Meaning("a kind of item")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::row::ROW_HEADER_BYTES;

    /// A row of a header and `bytes`.
    fn row(bytes: &[u8]) -> Vec<u8> {
        let mut row = vec![0; ROW_HEADER_BYTES];
        row.extend_from_slice(bytes);
        let length = row.len() as u32;
        row[..4].copy_from_slice(&length.to_le_bytes());
        row
    }

    const STANDING: Standing<'_> =
        Standing { of: 8, number: 3, term: Term(4), seq: 7, remembered: b"answers" };

    fn written() -> Vec<u8> {
        let mut writer = StateWriter::new(FlowId(5), 6, Stamp(9), 3);
        writer.partition(STANDING);
        writer.row(TableId(1), PartitionId(3), &row(b"one"));
        writer.row(TableId(1), PartitionId(3), &row(b"two"));
        writer.row(TableId(2), PartitionId(3), &row(b"three"));
        writer.finish()
    }

    #[test]
    fn state_reads_as_it_was_written() {
        let bytes = written();
        let Ok(Piece::State(state)) = Piece::parse(&bytes) else { unreachable!("it is state") };
        assert_eq!((state.flow, state.revision, state.stamp, state.rerouted), (FlowId(5), 6, Stamp(9), 3));
        let items: Vec<_> = state.items().map(|item| item.expect("an item")).collect();
        let both = [row(b"one"), row(b"two")].concat();
        assert_eq!(
            items,
            [
                Item::Partition(STANDING),
                Item::Rows(TableId(1), PartitionId(3), &both),
                Item::Rows(TableId(2), PartitionId(3), &row(b"three")),
            ]
        );
        let read: Result<Vec<_>, _> = rows(&both).collect();
        assert_eq!(read.expect("rows"), [row(b"one"), row(b"two")]);
    }

    #[test]
    fn the_node_and_its_revisions_read_as_they_were_written() {
        assert!(matches!(Piece::parse(&node(7)), Ok(Piece::Node { next_flow: 7 })));
        let bytes = revision(FlowId(2), "a.flow", "flow a revision 1");
        let Ok(Piece::Revision { flow, file, text }) = Piece::parse(&bytes) else {
            unreachable!("a revision")
        };
        assert_eq!((flow, file, text), (FlowId(2), "a.flow", "flow a revision 1"));
    }

    /// The bytes are a promise: files and other nodes rest on them.
    #[test]
    fn the_format_stays() {
        let mut writer = StateWriter::new(FlowId(5), 6, Stamp(9), 3);
        assert!(writer.is_empty());
        writer.partition(Standing { of: 2, number: 1, term: Term(4), seq: 3, remembered: b"r" });
        assert!(!writer.is_empty());
        writer.row(TableId(4), PartitionId(1), &row(b""));
        let mut wanted = vec![1, 2, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        wanted.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0]);
        wanted.extend_from_slice(&[0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        wanted.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'r']);
        wanted.extend_from_slice(&[1, 4, 0, 1, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0]);
        wanted.extend_from_slice(&[0; 12]);
        assert_eq!(writer.finish(), wanted);
        assert_eq!(node(7), [1, 0, 7, 0, 0, 0]);
        assert_eq!(revision(FlowId(2), "f", "t"), [1, 1, 2, 0, 0, 0, 1, 0, 0, 0, b'f', 1, 0, 0, 0, b't']);
    }

    #[test]
    fn a_newer_format_is_told() {
        let mut bytes = written();
        bytes[0] = 2;
        assert_eq!(Piece::parse(&bytes).map(drop), Err(SnapshotError::Format(2)));
    }

    /// Reads all of it, whatever it is.
    fn read(bytes: &[u8]) {
        if let Ok(Piece::State(state)) = Piece::parse(bytes) {
            for item in state.items() {
                if let Ok(Item::Rows(_, _, bytes)) = item {
                    let _ = rows(bytes).count();
                }
            }
        }
    }

    proptest! {
        #[test]
        fn bytes_from_outside_are_a_piece_or_an_error(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            kind in 0_u8..4,
            known in any::<bool>(),
        ) {
            if let ([format, of, ..], true) = (bytes.as_mut_slice(), known) {
                (*format, *of) = (SNAPSHOT_FORMAT, kind);
            }
            read(&bytes);
        }

        #[test]
        fn a_piece_that_was_cut_or_changed_is_no_panic(at in 0_usize..120, byte in any::<u8>()) {
            let mut bytes = written();
            read(&bytes[..at.min(bytes.len())]);
            let at = at % bytes.len();
            bytes[at] = byte;
            read(&bytes);
        }
    }
}
