//! A file of rows that is played into an input stream.

use std::io::{self, BufRead, BufReader};
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
    reader: Reader,
    /// How many lines are at hand, of standard input.
    at_hand: Option<LinesAtHand>,
    schema: SchemaId,
    /// Rows of a request, at most.
    batch_rows: usize,
    rounds: Rounds,
}

type Reader = RowReader<Box<dyn BufRead + Send>>;

/// A file that is played several times.
struct Rounds {
    option: PlayOption,
    shape: Arc<Shape>,
    extra: ExtraColumns,
    /// Rounds after this one.
    left: u64,
    /// Bytes of the rounds before this one.
    bytes_before: u64,
    /// Whether this round has had any line.
    any: bool,
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
        let (reader, bytes, at_hand) = open(option, &shape, extra)?;
        let name = if option.file == "-" { "<stdin>" } else { &option.file };
        Ok(Play {
            input: option.input.clone(),
            name: name.to_owned(),
            bytes,
            reader,
            at_hand,
            schema: empty.packed().schema(),
            batch_rows: BATCH_ROWS,
            rounds: Rounds { option: option.clone(), shape, extra, left: 0, bytes_before: 0, any: false },
        })
    }

    /// Plays the file so many times, one after the other.
    pub(crate) fn times(mut self, times: u64) -> Self {
        self.rounds.left = times.saturating_sub(1);
        self.bytes = self.bytes.map(|bytes| bytes.saturating_mul(times));
        self
    }

    /// Puts at most so many rows into a request.
    pub(crate) fn in_batches_of(mut self, rows: usize) -> Self {
        self.batch_rows = rows.clamp(1, BATCH_ROWS);
        self
    }

    /// The next rows and bad lines, at least one; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read any further.
    pub(super) fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            let at_hand = self.at_hand.as_ref().map_or(BATCH_ROWS, LinesAtHand::get);
            let chunk = self.reader.next_chunk(self.schema, at_hand.clamp(1, self.batch_rows))?;
            self.rounds.any |= chunk.is_some();
            // A round without a line is like all that would come.
            if chunk.is_some() || self.rounds.left == 0 || !self.rounds.any {
                return Ok(chunk);
            }
            self.begin_again()?;
        }
    }

    fn begin_again(&mut self) -> io::Result<()> {
        let rounds = &mut self.rounds;
        rounds.bytes_before += self.reader.bytes_read();
        rounds.left -= 1;
        rounds.any = false;
        let changed = |_| io::Error::other("it was changed while it was played");
        self.reader = open(&rounds.option, &rounds.shape, rounds.extra).map_err(changed)?.0;
        Ok(())
    }

    /// Bytes that were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.rounds.bytes_before + self.reader.bytes_read()
    }
}

/// The file of `option`, its length where it has one, and what of standard input is at hand.
fn open(
    option: &PlayOption,
    shape: &Arc<Shape>,
    extra: ExtraColumns,
) -> Result<(Reader, Option<u64>, Option<LinesAtHand>), Failure> {
    if option.file == "-" {
        let (reader, at_hand) = LineCounting::new(io::stdin());
        return Ok((reader_of(Box::new(reader), option, shape.clone(), extra)?, None, Some(at_hand)));
    }
    let file = option.file.as_str();
    let (opened, bytes) = os::open(file).map_err(|error| Failure::file("read", file, &error))?;
    let opened = BufReader::with_capacity(READ_BYTES, opened);
    Ok((reader_of(Box::new(opened), option, shape.clone(), extra)?, bytes, None))
}

fn reader_of(
    file: Box<dyn BufRead + Send>,
    option: &PlayOption,
    shape: Arc<Shape>,
    extra: ExtraColumns,
) -> Result<Reader, Failure> {
    let name = option.file.as_str();
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
