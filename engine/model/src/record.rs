//! What a request did in one partition, as bytes: what a journal keeps, and what brings another copy of the partition to
//! the same state. Rows are recorded, not rules, so that nothing is evaluated twice.
//!
//! Format 1, little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format, 1 |
//! | 8, 8, 8 | of the request: client, number, up to where the client's are answered; zeros where it is never repeated |
//! | 8 | revision of the flow whose numbers and shapes it uses |
//! | 4 | bytes of the changes |
//! | | changes, in their order: 2 table, 1 kind; kind 0 a put: the packed row; kind 1 a delete: 2 length, key bytes |
//! | 4 | rows accepted |
//! | 4 | refusals: 4 row, 1 code, 4 line and 4 column (0 and 0: none), 4 length, text |
//! | 4 | replies: 4 row, 2 output, the packed row |

use std::fmt;

use crate::batch::MAX_BATCH_BYTES;
use crate::expr::Place;
use crate::message::{Once, Refusal, RowsAnswer};
use crate::plan::{OutputId, RefusalCode, TableId};
use crate::rest::{Rest, Unread};
use crate::row::ROW_HEADER_BYTES;

/// The format that is written.
pub const RECORD_FORMAT: u8 = 1;

const PUT: u8 = 0;
const DELETE: u8 = 1;

/// Bytes of a put beside its row.
pub const PUT_BYTES: usize = 3;

/// Bytes of a delete beside its key.
pub const DELETE_BYTES: usize = 5;

/// Bytes before the changes.
const HEAD_BYTES: usize = 37;

/// Bytes of the counts in an answer.
const COUNTS_BYTES: usize = 12;

/// Bytes of a refusal beside its text.
const REFUSAL_BYTES: usize = 17;

/// Bytes of a reply beside its row.
pub const REPLY_BYTES: usize = 6;

/// Bytes of the changes and replies of a record, at most; a row that would add more is to be refused
/// ([`RecordWriter::takes`]).
pub const CHANGE_BYTES_MAX: usize = 56 << 20;

/// Bytes of the texts of refusals in a record, at most; further refusals are recorded without their texts.
pub const REFUSAL_TEXT_BYTES_MAX: usize = 4 << 20;

/// Bytes of a record, at most: all rows of the largest batch may be refused.
pub const RECORD_BYTES_MAX: usize = HEAD_BYTES
    + COUNTS_BYTES
    + CHANGE_BYTES_MAX
    + REFUSAL_TEXT_BYTES_MAX
    + MAX_BATCH_BYTES / ROW_HEADER_BYTES * REFUSAL_BYTES;

/// Bytes of each buffer that a writer keeps from record to record: there is a writer for each partition.
const KEPT_BYTES: usize = 64 << 10;

/// Whose request it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// By what a repeat of it is recognised.
    pub once: Option<Once>,
    /// The revision whose numbers and shapes the record uses.
    pub revision: i64,
}

/// A change of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'r> {
    /// This packed row is there now.
    Put(TableId, &'r [u8]),
    /// There is no row of this key any more.
    Delete(TableId, &'r [u8]),
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// They are of a newer format.
    Format(u8),
    /// They end too early.
    Short,
    /// Something in them has no meaning: what it is.
    Meaning(&'static str),
}

impl From<Unread> for RecordError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Short => RecordError::Short,
            Unread::Meaning(what) => RecordError::Meaning(what),
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Format(format) => {
                write!(
                    f,
                    "the record has format {format}, this release knows {RECORD_FORMAT}: use a newer one"
                )
            }
            RecordError::Short => f.write_str("the record ends too early"),
            RecordError::Meaning(what) => write!(f, "the record has {what} that means nothing"),
        }
    }
}

impl std::error::Error for RecordError {}

/// What a request does in one partition, in the making.
#[derive(Debug, Default)]
pub struct RecordWriter {
    changes: Vec<u8>,
    accepted: u32,
    refused: u32,
    refusals: Vec<u8>,
    replied: u32,
    replies: Vec<u8>,
    /// Whether changes are left out.
    brief: bool,
}

impl RecordWriter {
    /// Writes answers only ([`RecordWriter::finish_answer`]).
    pub fn of_answers() -> Self {
        RecordWriter { brief: true, ..RecordWriter::default() }
    }

    /// A row is put.
    #[inline]
    pub fn put(&mut self, table: TableId, row: &[u8]) {
        if self.brief {
            return;
        }
        self.changes.extend_from_slice(&table.0.to_le_bytes());
        self.changes.push(PUT);
        self.changes.extend_from_slice(row);
    }

    /// The row of a key (at most [`crate::key::MAX_KEY_BYTES`]) is deleted.
    pub fn delete(&mut self, table: TableId, key: &[u8]) {
        if self.brief {
            return;
        }
        self.changes.extend_from_slice(&table.0.to_le_bytes());
        self.changes.push(DELETE);
        self.changes.extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.changes.extend_from_slice(key);
    }

    /// Whether so many bytes of changes and replies more fit into the record ([`PUT_BYTES`], [`DELETE_BYTES`] and
    /// [`REPLY_BYTES`] of them beside each row or key).
    #[inline]
    pub fn takes(&self, more: usize) -> bool {
        self.brief || self.changes.len() + self.replies.len() + more <= CHANGE_BYTES_MAX
    }

    /// Where the changes end now, for [`RecordWriter::truncate`].
    #[inline]
    pub fn mark(&self) -> usize {
        self.changes.len()
    }

    /// Takes back the changes made since `mark`.
    pub fn truncate(&mut self, mark: usize) {
        self.changes.truncate(mark);
    }

    /// The step of a row took effect.
    #[inline]
    pub fn accept(&mut self) {
        self.accepted += 1;
    }

    /// A row was refused. Its text is left out where the record has [`REFUSAL_TEXT_BYTES_MAX`] of them.
    pub fn refuse(&mut self, refusal: &Refusal) {
        let texts = self.refusals.len() - self.refused as usize * REFUSAL_BYTES;
        let fits = texts + refusal.text.len() <= REFUSAL_TEXT_BYTES_MAX;
        let text = if fits { refusal.text.as_str() } else { "" };
        self.refused += 1;
        let place = refusal.place.unwrap_or(Place { line: 0, column: 0 });
        let out = &mut self.refusals;
        out.extend_from_slice(&refusal.row.to_le_bytes());
        out.push(refusal.code as u8);
        out.extend_from_slice(&place.line.to_le_bytes());
        out.extend_from_slice(&place.column.to_le_bytes());
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }

    /// A rule replied to a row.
    pub fn reply(&mut self, row: u32, output: OutputId, bytes: &[u8]) {
        self.replied += 1;
        self.replies.extend_from_slice(&row.to_le_bytes());
        self.replies.extend_from_slice(&output.0.to_le_bytes());
        self.replies.extend_from_slice(bytes);
    }

    /// Whether nothing was changed.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.changes.is_empty()
    }

    /// Appends the record to `out`, and begins anew. Where in `out` the answer begins.
    pub fn finish(&mut self, of: Identity, out: &mut Vec<u8>) -> usize {
        out.reserve(HEAD_BYTES + self.changes.len());
        out.push(RECORD_FORMAT);
        let once = of.once.unwrap_or(Once { client: 0, number: 0, answered: 0, repeated: false });
        out.extend_from_slice(&once.client.to_le_bytes());
        out.extend_from_slice(&once.number.to_le_bytes());
        out.extend_from_slice(&once.answered.to_le_bytes());
        out.extend_from_slice(&of.revision.to_le_bytes());
        out.extend_from_slice(&(self.changes.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.changes);
        let answer = out.len();
        self.finish_answer(out);
        answer
    }

    /// Appends the answer alone, as the end of a record has it, and begins anew.
    pub fn finish_answer(&mut self, out: &mut Vec<u8>) {
        out.reserve(COUNTS_BYTES + self.refusals.len() + self.replies.len());
        out.extend_from_slice(&self.accepted.to_le_bytes());
        out.extend_from_slice(&self.refused.to_le_bytes());
        out.extend_from_slice(&self.refusals);
        out.extend_from_slice(&self.replied.to_le_bytes());
        out.extend_from_slice(&self.replies);
        self.clear();
    }

    /// Forgets what was done.
    pub fn clear(&mut self) {
        (self.accepted, self.refused, self.replied) = (0, 0, 0);
        for bytes in [&mut self.changes, &mut self.refusals, &mut self.replies] {
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES);
        }
    }
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'r> {
    /// Whose request it was.
    pub of: Identity,
    changes: &'r [u8],
    answer: &'r [u8],
}

impl<'r> Record<'r> {
    /// Reads the head of a record; what follows is read by [`Record::changes`] and [`Record::answer`].
    ///
    /// # Errors
    /// It is of another format, or too short.
    pub fn parse(bytes: &'r [u8]) -> Result<Self, RecordError> {
        let mut rest = Rest(bytes);
        match rest.byte()? {
            RECORD_FORMAT => {}
            other => return Err(RecordError::Format(other)),
        }
        let (client, number, answered) = (rest.u64()?, rest.u64()?, rest.u64()?);
        let once = Once { client, number, answered, repeated: false };
        let once = (once.client != 0).then_some(once);
        let of = Identity { once, revision: rest.u64()? as i64 };
        let length = rest.u32()? as usize;
        Ok(Record { of, changes: rest.take(length)?, answer: rest.0 })
    }

    /// The changes, in their order; ends behind the first that is none.
    pub fn changes(&self) -> impl Iterator<Item = Result<Change<'r>, RecordError>> + use<'r> {
        let mut rest = Rest(self.changes);
        std::iter::from_fn(move || {
            let change = (!rest.0.is_empty()).then(|| rest.change())?;
            if change.is_err() {
                rest = Rest(&[]);
            }
            Some(change)
        })
    }

    /// The bytes of what the request was answered, for [`parse_answer`].
    pub fn answer_bytes(&self) -> &'r [u8] {
        self.answer
    }

    /// What the request was answered, as far as this partition is concerned.
    ///
    /// # Errors
    /// It is too short, or has what means nothing.
    pub fn answer(&self) -> Result<RowsAnswer, RecordError> {
        parse_answer(self.answer)
    }
}

/// An answer as the end of a record has it.
///
/// # Errors
/// It is too short, or has what means nothing.
pub fn parse_answer(bytes: &[u8]) -> Result<RowsAnswer, RecordError> {
    let mut rest = Rest(bytes);
    let mut answer = RowsAnswer { accepted: rest.u32()?, ..RowsAnswer::default() };
    for _ in 0..rest.u32()? {
        answer.refusals.push(rest.refusal()?);
    }
    for _ in 0..rest.u32()? {
        let (row, output) = (rest.u32()?, OutputId(rest.u16()?));
        answer.replies.push(row, output, rest.row()?);
    }
    match rest.0 {
        [] => Ok(answer),
        _ => Err(RecordError::Meaning("bytes behind its end")),
    }
}

impl<'r> Rest<'r> {
    fn change(&mut self) -> Result<Change<'r>, RecordError> {
        let table = TableId(self.u16()?);
        match self.byte()? {
            PUT => Ok(Change::Put(table, self.row()?)),
            DELETE => {
                let length = self.u16()?;
                Ok(Change::Delete(table, self.take(usize::from(length))?))
            }
            _ => Err(RecordError::Meaning("a kind of change")),
        }
    }

    fn refusal(&mut self) -> Result<Refusal, RecordError> {
        let row = self.u32()?;
        let code = RefusalCode::ALL.get(usize::from(self.byte()?)).copied();
        let (line, column, text) = (self.u32()?, self.u32()?, self.text()?);
        Ok(Refusal {
            row,
            code: code.ok_or(RecordError::Meaning("a code of a refusal"))?,
            text: text.to_owned(),
            place: (line > 0).then_some(Place { line, column }),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of() -> Identity {
        Identity { once: Some(Once { client: 7, number: 9, answered: 8, repeated: false }), revision: 2 }
    }

    /// A row of a header and `bytes`.
    fn row(bytes: &[u8]) -> Vec<u8> {
        let mut row = vec![0; ROW_HEADER_BYTES];
        row.extend_from_slice(bytes);
        let length = row.len() as u32;
        row[..4].copy_from_slice(&length.to_le_bytes());
        row
    }

    fn refusal() -> Refusal {
        let place = Some(Place { line: 3, column: 4 });
        Refusal { row: 1, code: RefusalCode::Conflict, text: "it is there".into(), place }
    }

    fn written() -> Vec<u8> {
        let mut writer = RecordWriter::default();
        writer.put(TableId(1), &row(b"first"));
        writer.delete(TableId(2), b"key");
        let mark = writer.mark();
        writer.put(TableId(3), &row(b"taken back"));
        writer.truncate(mark);
        writer.accept();
        writer.refuse(&refusal());
        writer.reply(0, OutputId(5), &row(b"reply"));
        let mut out = Vec::new();
        writer.finish(of(), &mut out);
        assert!(writer.is_idle(), "it begins anew");
        out
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        let bytes = written();
        let record = Record::parse(&bytes).expect("a record");
        let first = row(b"first");
        let changes: Result<Vec<_>, _> = record.changes().collect();
        assert_eq!(
            changes.expect("changes"),
            [Change::Put(TableId(1), &first), Change::Delete(TableId(2), b"key")]
        );
        let answer = record.answer().expect("an answer");
        assert_eq!((record.of, answer.accepted, answer.refusals), (of(), 1, vec![refusal()]));
        assert_eq!(answer.replies.iter().collect::<Vec<_>>(), [(0, OutputId(5), row(b"reply").as_slice())]);
    }

    /// The bytes are a promise: files and other nodes rest on them.
    #[test]
    fn the_format_stays() {
        let mut writer = RecordWriter::default();
        writer.delete(TableId(2), b"k");
        writer.accept();
        let mut out = Vec::new();
        let once = Some(Once { client: 1, number: 2, answered: 1, repeated: false });
        let answer = writer.finish(Identity { once, revision: 3 }, &mut out);
        let mut wanted = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        wanted.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        wanted.extend_from_slice(&[6, 0, 0, 0, 2, 0, 1, 1, 0, b'k', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out, wanted);
        assert_eq!(parse_answer(&out[answer..]).expect("an answer").accepted, 1);
    }

    #[test]
    fn no_request_makes_a_record_beyond_its_limit() {
        let mut writer = RecordWriter::default();
        let change = row(&vec![0; 1 << 20]);
        while writer.takes(PUT_BYTES + change.len()) {
            writer.put(TableId(0), &change);
        }
        let left = CHANGE_BYTES_MAX - writer.changes.len();
        assert!(left < change.len() + PUT_BYTES, "{left}");
        assert!(writer.takes(left) && !writer.takes(left + 1));
        writer.reply(0, OutputId(0), &row(&vec![0; left - REPLY_BYTES - ROW_HEADER_BYTES]));
        let rows = MAX_BATCH_BYTES / ROW_HEADER_BYTES;
        (0..rows).for_each(|row| writer.refuse(&Refusal { row: row as u32, ..refusal() }));
        let mut out = Vec::new();
        writer.finish(of(), &mut out);
        assert!(out.len() <= RECORD_BYTES_MAX && out.len() + 100 > RECORD_BYTES_MAX, "{}", out.len());
        let refusals = Record::parse(&out).and_then(|record| record.answer()).expect("an answer").refusals;
        assert_eq!((refusals.len(), refusals[0].text.as_str()), (rows, "it is there"));
        assert_eq!(refusals[rows - 1], Refusal { row: rows as u32 - 1, text: String::new(), ..refusal() });
        let kept = [&writer.changes, &writer.refusals, &writer.replies].map(Vec::capacity);
        assert!(kept.iter().all(|kept| *kept <= 2 * KEPT_BYTES), "{kept:?}");
    }

    #[test]
    fn a_newer_format_is_told() {
        let mut bytes = written();
        bytes[0] = 2;
        assert_eq!(Record::parse(&bytes), Err(RecordError::Format(2)));
    }

    proptest! {
        #[test]
        fn bytes_from_outside_are_a_record_or_an_error(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            known in any::<bool>(),
        ) {
            if let Some(first) = bytes.first_mut().filter(|_| known) {
                *first = RECORD_FORMAT;
            }
            if let Ok(record) = Record::parse(&bytes) {
                let _ = record.changes().count();
                let _ = record.answer();
            }
        }

        #[test]
        fn a_record_that_was_cut_or_changed_is_no_panic(at in 0_usize..120, byte in any::<u8>()) {
            let mut bytes = written();
            let _ = Record::parse(&bytes[..at.min(bytes.len())]).map(|record| record.answer().is_ok());
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(record) = Record::parse(&bytes) {
                let _ = record.changes().count();
                let _ = record.answer();
            }
        }
    }
}
