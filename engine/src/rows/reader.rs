//! Files of rows, read in batches: CSV with a header line, or one JSON object a line.

use std::fmt;
use std::io::{self, BufRead};
use std::sync::Arc;

use anabranch_model::batch::{Batch, MAX_BATCH_BYTES, SchemaId};
use anabranch_model::row::MAX_ROW_BYTES;
use anabranch_model::types::Shape;

use super::csv::CsvRecords;
use super::lines::{Line, Lines, is_blank};
use super::problem::{LineProblem, RowProblem};
use super::{ExtraColumns, line_too_long, not_utf8, push_json_text_with};

/// Reads the rows of a file batch by batch, in bounded memory.
///
/// A bad line is reported with its number and reading goes on with the next one. Blank lines do not count, nor does a
/// byte-order mark; lines end with LF or CRLF.
///
/// ```
/// # use anabranch_model::{Column, SchemaId, Shape, Type};
/// # use std::sync::Arc;
/// use anabranch::rows::{ExtraColumns, Row, RowReader};
/// # let column = |name: &str, ty| Column { name: name.into(), ty, nullable: false, default: None };
/// # let shape = Arc::new(Shape::new(vec![column("name", Type::Text), column("size", Type::Int)]));
/// let file = "size,name\n3,\"nut, hex\"\nsix,bolt\n";
/// let mut reader = RowReader::csv(file.as_bytes(), shape.clone(), ExtraColumns::Refuse).unwrap();
/// let chunk = reader.next_chunk(SchemaId::default(), 256).unwrap().unwrap();
/// let rows: Vec<String> = Row::all(&shape, &chunk.batch).map(|row| row.to_string()).collect();
/// assert_eq!(rows, [r#"{"name":"nut, hex","size":3}"#]);
/// assert_eq!(chunk.problems[0].to_string(), "3: column `size`: `six` is not an int such as -17");
/// assert!(reader.next_chunk(SchemaId::default(), 256).unwrap().is_none());
/// ```
pub struct RowReader<R> {
    lines: Lines<R>,
    format: Format,
    shape: Arc<Shape>,
    /// An error that came after rows which were given first.
    failed: Option<io::Error>,
}

enum Format {
    Csv(CsvRecords),
    JsonLines(ExtraColumns),
}

/// Rows that were read, and the lines between them that are none. Never empty.
#[derive(Debug)]
pub struct Chunk {
    /// The rows.
    pub batch: Batch,
    /// The line of every row of the batch.
    pub lines: Vec<u64>,
    /// What is wrong with the lines that are no rows.
    pub problems: Vec<LineProblem>,
}

impl<R: BufRead> RowReader<R> {
    /// Reads CSV whose first line names the columns, in any order. Cells are read as
    /// [`parse_text`](anabranch_model::convert::parse_text) says; an empty cell is null where the column is nullable,
    /// else an empty text.
    ///
    /// # Errors
    /// The header line is missing, or does not fit the shape: everything that is wrong with it; or the reader's error.
    pub fn csv(reader: R, shape: Arc<Shape>, extra: ExtraColumns) -> Result<Self, OpenError> {
        let mut lines = Lines::new(reader);
        let opened = CsvRecords::open(&mut lines, &shape, extra).map_err(OpenError::Read)?;
        let records = opened.map_err(OpenError::Header)?;
        Ok(RowReader { lines, format: Format::Csv(records), shape, failed: None })
    }

    /// Reads one JSON object a line (NDJSON, JSON Lines).
    pub fn json_lines(reader: R, shape: Arc<Shape>, extra: ExtraColumns) -> Self {
        RowReader { lines: Lines::new(reader), format: Format::JsonLines(extra), shape, failed: None }
    }

    /// Reads up to `count` rows and bad lines, fewer when the batch is full before; `None` at the end of the file.
    ///
    /// # Errors
    /// The reader's error, after everything before it was given. Reading cannot go on.
    pub fn next_chunk(&mut self, schema: SchemaId, count: usize) -> io::Result<Option<Chunk>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut chunk = Chunk { batch: Batch::new(schema), lines: Vec::new(), problems: Vec::new() };
        while chunk.len() < count.max(1) && chunk.has_room() {
            match self.push_next(&mut chunk.batch) {
                Ok(Some(Ok(line))) => chunk.lines.push(line),
                Ok(Some(Err(problem))) => chunk.problems.push(problem),
                Ok(None) => break,
                Err(error) if chunk.len() == 0 => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok((chunk.len() > 0).then_some(chunk))
    }

    /// Bytes of the file that were read so far, for showing progress.
    pub fn bytes_read(&self) -> u64 {
        self.lines.bytes_read()
    }

    /// The line of the next row, or what is wrong with it; `None` at the end.
    fn push_next(&mut self, batch: &mut Batch) -> io::Result<Option<Result<u64, LineProblem>>> {
        let extra = match &mut self.format {
            Format::Csv(records) => return records.push_next(&mut self.lines, &self.shape, batch),
            Format::JsonLines(extra) => *extra,
        };
        loop {
            let pushed = match self.lines.next()? {
                Line::End => return Ok(None),
                Line::TooLong => Err(line_too_long()),
                Line::Text if is_blank(self.lines.bytes()) => continue,
                Line::Text => self.push_json_line(batch, extra),
            };
            let line = self.lines.number();
            return Ok(Some(pushed.map(|()| line).map_err(|problem| LineProblem { line, problem })));
        }
    }

    fn push_json_line(&self, batch: &mut Batch, extra: ExtraColumns) -> Result<(), RowProblem> {
        let text = std::str::from_utf8(self.lines.bytes()).map_err(|_| not_utf8())?;
        push_json_text_with(batch, &self.shape, text, extra)
    }
}

impl Chunk {
    fn len(&self) -> usize {
        self.lines.len() + self.problems.len()
    }

    /// Whether any row still fits into the batch.
    fn has_room(&self) -> bool {
        self.batch.bytes().len() <= MAX_BATCH_BYTES - MAX_ROW_BYTES
    }
}

/// Why a CSV file cannot be read at all.
#[derive(Debug)]
pub enum OpenError {
    /// The reader's error.
    Read(io::Error),
    /// Everything that is wrong with the header line.
    Header(Vec<LineProblem>),
}

/// One problem a line.
impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Read(error) => write!(f, "cannot read the file: {error}"),
            OpenError::Header(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for OpenError {}
