//! A file of rows that is played into an input stream.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use anabranch::rows::{Chunk, ExtraColumns, OpenError, RowReader};
use anabranch::{InputBatch, Shape};
use anabranch_model::SchemaId;

use super::options::{Format, PlayOption};
use super::standard_input::{LineCounting, LinesAtHand};
use crate::failure::{Exit, Failure};
use crate::{os, output};

/// Rows of a request: enough to share its cost, few enough that answers come at once.
pub(crate) const BATCH_ROWS: usize = 256;

/// Bytes that are read from a file at once.
const READ_BYTES: usize = 256 << 10;

/// A file that is open, with its header read.
pub(crate) struct Play {
    /// The input stream, as it was given.
    pub(crate) input: String,
    /// The file's name in messages.
    pub(crate) name: String,
    /// Its length, where it has one.
    pub(crate) bytes: Option<u64>,
    reader: RowReader<Box<dyn BufRead + Send>>,
    /// How many lines are at hand, of standard input.
    at_hand: Option<LinesAtHand>,
    schema: SchemaId,
}

impl Play {
    /// Opens the file of `option`; its rows go into batches like `empty`.
    ///
    /// # Errors
    /// The file cannot be read, or its header does not fit the stream.
    pub(crate) fn open(
        option: &PlayOption,
        empty: &mut InputBatch,
        extra: ExtraColumns,
    ) -> Result<Self, Failure> {
        let shape = empty.shape().clone();
        let schema = empty.packed().schema();
        let named = |name: &str, bytes, reader, at_hand| Play {
            input: option.input.clone(),
            name: name.to_owned(),
            bytes,
            reader,
            at_hand,
            schema,
        };
        if option.file == "-" {
            let (reader, at_hand) = LineCounting::new(io::stdin());
            let reader = RowReader::json_lines(Box::new(reader) as Box<dyn BufRead + Send>, shape, extra);
            return Ok(named("<stdin>", None, reader, Some(at_hand)));
        }
        let file = option.file.as_str();
        let (opened, bytes) = os::open(file).map_err(|error| Failure::file("read", file, &error))?;
        let reader = reader_of(opened, option, shape, extra)?;
        Ok(named(file, bytes, reader, None))
    }

    /// The next rows and bad lines, at least one; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read any further.
    pub(super) fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        let rows = self.at_hand.as_ref().map_or(BATCH_ROWS, |lines| lines.get().clamp(1, BATCH_ROWS));
        self.reader.next_chunk(self.schema, rows)
    }

    /// Bytes that were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.reader.bytes_read()
    }
}

fn reader_of(
    file: impl Read + Send + 'static,
    option: &PlayOption,
    shape: Arc<Shape>,
    extra: ExtraColumns,
) -> Result<RowReader<Box<dyn BufRead + Send>>, Failure> {
    let name = option.file.as_str();
    let file: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(READ_BYTES, file));
    let opened = match option.format {
        Format::JsonLines => return Ok(RowReader::json_lines(file, shape, extra)),
        Format::Csv => RowReader::csv(file, shape, extra),
    };
    opened.map_err(|error| match error {
        OpenError::Read(error) => Failure::file("read", name, &error),
        OpenError::Header(problems) => {
            for problem in problems {
                output::error(&format!("{name}:{problem}"), None);
            }
            Failure::told(Exit::Wrong)
        }
    })
}
