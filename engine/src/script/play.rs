//! Files of rows that a script plays.

use std::io;

use crate::input_batch::InputBatch;
use crate::rows::{ExtraColumns, OpenError, RowReader};

use super::problem::{Problem, cut};
use super::words::Word;

/// Rows of a file that go in one request.
const PLAY_ROWS: usize = 256;

/// One request from a file.
pub(super) struct PlayChunk {
    pub(super) batch: InputBatch,
    /// The line of every row.
    pub(super) lines: Vec<u64>,
    /// The lines that are no rows.
    pub(super) problems: Vec<(u64, String)>,
}

/// What a file holds, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    JsonLines,
}

impl Format {
    pub(super) fn of(file: &str) -> Option<Format> {
        let (_, ending) = file.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "ndjson" | "jsonl" => Some(Format::JsonLines),
            _ => None,
        }
    }
}

/// The requests that the text of a file makes, for the input of `batch`.
pub(super) fn chunks(
    mut batch: InputBatch,
    file: &Word,
    format: Format,
    text: &str,
) -> Result<Vec<PlayChunk>, Vec<Problem>> {
    let (bytes, shape) = (text.as_bytes(), batch.shape().clone());
    let mut reader = match format {
        Format::JsonLines => RowReader::json_lines(bytes, shape, ExtraColumns::Refuse),
        Format::Csv => {
            RowReader::csv(bytes, shape, ExtraColumns::Refuse).map_err(|error| cannot_open(file, error))?
        }
    };
    let schema = batch.packed().schema();
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk(schema, PLAY_ROWS).map_err(|error| cannot_read(file, error))? {
        let problems = chunk.problems.iter().map(|line| (line.line, line.problem.to_string())).collect();
        let mut rows = batch.clone();
        *rows.packed() = chunk.batch;
        chunks.push(PlayChunk { batch: rows, lines: chunk.lines, problems });
    }
    Ok(chunks)
}

/// The file is not there, or cannot be read.
pub(super) fn cannot_read(file: &Word, error: io::Error) -> Vec<Problem> {
    let help = "the path is relative to the script; the file is CSV (`.csv`) or NDJSON (`.ndjson`, `.jsonl`)";
    vec![Problem::new(file.place, format!("cannot read `{}`: {error}", cut(&file.text)), help)]
}

/// The header line does not fit the input.
fn cannot_open(file: &Word, error: OpenError) -> Vec<Problem> {
    match error {
        OpenError::Read(error) => cannot_read(file, error),
        OpenError::Header(found) => {
            let problem = |line| {
                let message = format!("{}:{line}", cut(&file.text));
                Problem::new(file.place, message, "correct the header line")
            };
            found.iter().map(problem).collect()
        }
    }
}
