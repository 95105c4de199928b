//! Packed batches: rows of one shape behind each other in one buffer, with a header. The unit that travels.
//!
//! ```text
//! offset  bytes  what (little-endian)
//! 0       2      format, [`BATCH_FORMAT`]
//! 2       2      zero
//! 4       4      schema id: the number of the stream or table whose rows these are
//! 8       4      number of rows
//! 12      4      zero
//! 16      ..     the rows, each with its own length (see [`crate::row`])
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::row::{Row, RowError, RowWriter, row_length};
use crate::types::Shape;

/// The version of the batch and row format.
pub const BATCH_FORMAT: u16 = 1;

/// Bytes of the header of a batch.
pub const BATCH_HEADER_BYTES: usize = 16;

/// Bytes of a batch, at most: what one message may cost the receiver before it has looked at it.
pub const MAX_BATCH_BYTES: usize = 16 << 20;

/// The number of the stream or table that rows belong to; who hands out the batch says in which numbering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SchemaId(pub u32);

/// Rows of one shape in one buffer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    /// An empty batch of rows of `schema`.
    pub fn new(schema: SchemaId) -> Self {
        Batch::with_capacity(schema, 0)
    }

    /// An empty batch with room for so many bytes of rows.
    pub fn with_capacity(schema: SchemaId, row_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(BATCH_HEADER_BYTES + row_bytes);
        bytes.extend_from_slice(&BATCH_FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&schema.0.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Batch { bytes }
    }

    /// Checks bytes from outside and makes them a batch of rows of `shape`.
    ///
    /// # Errors
    /// What is wrong with the header, or with which row.
    pub fn from_bytes(bytes: Vec<u8>, shape: &Shape) -> Result<Self, BatchError> {
        if bytes.len() < BATCH_HEADER_BYTES || bytes.len() > MAX_BATCH_BYTES {
            return Err(BatchError::Length { bytes: bytes.len() });
        }
        let batch = Batch { bytes };
        let format = u16::from_le_bytes([batch.bytes[0], batch.bytes[1]]);
        if format != BATCH_FORMAT || batch.bytes[2..4] != [0; 2] || batch.bytes[12..16] != [0; 4] {
            return Err(BatchError::Format { format });
        }
        batch.check(shape)?;
        Ok(batch)
    }

    /// Checks that all rows are rows of `shape`: what [`Batch::push`] and another batch in its place leave open.
    ///
    /// # Errors
    /// What is wrong with which row, or that the header counts others.
    pub fn check(&self, shape: &Shape) -> Result<(), BatchError> {
        let (mut rest, mut rows) = (&self.bytes[BATCH_HEADER_BYTES..], 0);
        while !rest.is_empty() {
            let length = row_length(rest).filter(|&length| length <= rest.len()).unwrap_or(rest.len());
            let (row, behind) = rest.split_at(length.max(1));
            Row::check(row, shape).map_err(|error| BatchError::Row { row: rows, error })?;
            (rest, rows) = (behind, rows + 1);
        }
        match rows == self.len() {
            true => Ok(()),
            false => Err(BatchError::Rows { said: self.len(), found: rows }),
        }
    }

    /// Whose rows these are.
    pub fn schema(&self) -> SchemaId {
        SchemaId(self.header_number(4))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.header_number(8) as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole buffer, header included: what goes over a wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole buffer, header included.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The packed rows in order.
    pub fn rows(&self) -> Rows<'_> {
        Rows { rest: &self.bytes[BATCH_HEADER_BYTES..] }
    }

    /// Empties the batch for rows of another schema; its memory stays.
    pub fn reset(&mut self, schema: SchemaId) {
        self.bytes.truncate(BATCH_HEADER_BYTES);
        self.bytes[4..8].copy_from_slice(&schema.0.to_le_bytes());
        self.bytes[8..12].copy_from_slice(&[0; 4]);
    }

    /// Bytes of the rows.
    pub fn row_bytes(&self) -> usize {
        self.bytes.len() - BATCH_HEADER_BYTES
    }

    /// The first byte of the packed row that begins so many bytes behind the header.
    ///
    /// # Panics
    /// None begins there.
    #[inline]
    pub fn row_head(&self, offset: usize) -> &u8 {
        &self.bytes[BATCH_HEADER_BYTES + offset]
    }

    /// The packed row that begins so many bytes behind the header.
    ///
    /// # Panics
    /// None begins there.
    #[inline]
    pub fn row_at(&self, offset: usize) -> &[u8] {
        let rows = &self.bytes[BATCH_HEADER_BYTES + offset..];
        &rows[..row_length(rows).expect("a row begins there")]
    }

    /// Appends a packed row of the batch's shape.
    #[inline]
    pub fn push(&mut self, row: &[u8]) {
        debug_assert_eq!(row_length(row), Some(row.len()));
        self.bytes.extend_from_slice(row);
        self.count();
    }

    /// Appends a row that `write` writes. A failed row leaves the batch as it was.
    ///
    /// # Errors
    /// The row does not fit the shape, or `write` says so.
    pub fn push_with<E: From<RowError>>(
        &mut self,
        shape: &Shape,
        write: impl FnOnce(&mut RowWriter<'_, '_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        let mut writer = RowWriter::new(&mut self.bytes, shape);
        let written = write(&mut writer).and_then(|()| writer.finish().map_err(E::from));
        match written {
            Ok(()) => self.count(),
            Err(_) => self.bytes.truncate(start),
        }
        written
    }

    /// Removes the rows after the first `rows`, whose bytes end at `end` of the buffer.
    pub fn truncate(&mut self, mark: BatchMark) {
        self.bytes.truncate(mark.bytes);
        self.bytes[8..12].copy_from_slice(&mark.rows.to_le_bytes());
    }

    /// Where the batch ends now, for [`Batch::truncate`].
    pub fn mark(&self) -> BatchMark {
        BatchMark { bytes: self.bytes.len(), rows: self.header_number(8) }
    }

    fn count(&mut self) {
        let rows = self.header_number(8) + 1;
        self.bytes[8..12].copy_from_slice(&rows.to_le_bytes());
    }

    fn header_number(&self, at: usize) -> u32 {
        let bytes = &self.bytes[at..at + 4];
        u32::from_le_bytes(bytes.try_into().expect("four bytes of the header"))
    }
}

impl Default for Batch {
    fn default() -> Self {
        Batch::new(SchemaId::default())
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("schema", &self.schema().0)
            .field("rows", &self.len())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// An end of a batch to come back to.
#[derive(Clone, Copy, Debug)]
pub struct BatchMark {
    bytes: usize,
    rows: u32,
}

/// The packed rows of a batch in order.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Rows<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let length = row_length(self.rest)?;
        let (row, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(row)
    }
}

/// Bytes that are no batch.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchError {
    /// Shorter than a header, or longer than [`MAX_BATCH_BYTES`].
    Length {
        /// How long.
        bytes: usize,
    },
    /// Another format, or a header that is none.
    Format {
        /// The format that it says.
        format: u16,
    },
    /// The header counts other rows than there are.
    Rows {
        /// What it says.
        said: usize,
        /// What there are.
        found: usize,
    },
    /// A row is wrong.
    Row {
        /// Which, from 0.
        row: usize,
        /// Why.
        error: RowError,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::Length { bytes } => {
                write!(f, "a batch has {BATCH_HEADER_BYTES} to {MAX_BATCH_BYTES} bytes, this one {bytes}")
            }
            BatchError::Format { format } => write!(f, "batch format {format} is not {BATCH_FORMAT}"),
            BatchError::Rows { said, found } => {
                write!(f, "the batch says that it has {said} rows and has {found}")
            }
            BatchError::Row { row, error } => write!(f, "row {row} of the batch: {error}"),
        }
    }
}

impl std::error::Error for BatchError {}
