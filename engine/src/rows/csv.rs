//! CSV records to packed rows, by a header line that names the columns.

use std::io::{self, BufRead};

use anabranch_model::batch::Batch;
use anabranch_model::convert::parse_text;
use anabranch_model::types::{Column, Shape, Type};
use anabranch_model::value::Value;

use super::cells::{Cells, Fed, MAX_CELLS};
use super::lines::{Line, Lines, is_blank};
use super::problem::{LineProblem, RowProblem};
use super::{ExtraColumns, MAX_LINE_BYTES, line_too_long, not_utf8};

/// What other programs put between cells.
const FOREIGN_COMMAS: [char; 3] = [';', '\t', '|'];

/// How the cells of a file meet the columns of a shape.
#[derive(Debug)]
pub(super) struct CsvRecords {
    /// The cells of the header line.
    header: Vec<String>,
    /// By column: the place of its cell in a record.
    cell_of: Vec<Option<usize>>,
    cells: Cells,
}

impl CsvRecords {
    /// Reads the header line.
    ///
    /// # Errors
    /// Everything that is wrong with the header, or the reader's error.
    pub(super) fn open<R: BufRead>(
        lines: &mut Lines<R>,
        shape: &Shape,
        extra: ExtraColumns,
    ) -> io::Result<Result<Self, Vec<LineProblem>>> {
        let mut records = CsvRecords { header: Vec::new(), cell_of: Vec::new(), cells: Cells::default() };
        let line = match records.next_record(lines)? {
            None => {
                let problem = RowProblem::new("the file is empty")
                    .help("its first line names the columns, with commas between them");
                return Ok(Err(vec![LineProblem { line: 1, problem }]));
            }
            Some(Err(problem)) => return Ok(Err(vec![problem])),
            Some(Ok(line)) => line,
        };
        let cells = (0..records.cells.len()).map(|at| records.text(at).to_owned());
        records.header = cells.collect();
        let problems = records.map_columns(shape, extra);
        Ok(match problems.is_empty() {
            true => Ok(records),
            false => Err(problems.into_iter().map(|problem| LineProblem { line, problem }).collect()),
        })
    }

    /// Finds the cell of every column, and all that is wrong with the header.
    fn map_columns(&mut self, shape: &Shape, extra: ExtraColumns) -> Vec<RowProblem> {
        if let [name] = self.header.as_slice()
            && let Some(foreign) = name.chars().find(|sign| FOREIGN_COMMAS.contains(sign))
            && shape.position(name).is_none()
        {
            let message = format!("the header is one cell with {foreign:?} in it");
            return vec![RowProblem::new(message).help("put commas between the cells")];
        }
        let mut problems = Vec::new();
        self.cell_of = vec![None; shape.columns().len()];
        for (at, name) in self.header.iter().enumerate() {
            match shape.position(name).map(|column| &mut self.cell_of[usize::from(column.0)]) {
                Some(Some(_)) => problems.push(RowProblem::twice(name)),
                Some(cell) => *cell = Some(at),
                None if extra == ExtraColumns::Ignore => {}
                None => problems.push(RowProblem::unknown(name, shape)),
            }
        }
        for (column, cell) in shape.columns().iter().zip(&self.cell_of) {
            if cell.is_none() && !column.nullable && column.default.is_none() {
                problems.push(RowProblem::missing(&column.name).help("add it to the header and the lines"));
            }
        }
        problems
    }

    /// Appends the next record to a batch, and gives its line; `None` at the end of the file.
    pub(super) fn push_next<R: BufRead>(
        &mut self,
        lines: &mut Lines<R>,
        shape: &Shape,
        batch: &mut Batch,
    ) -> io::Result<Option<Result<u64, LineProblem>>> {
        let line = match self.next_record(lines)? {
            Some(Ok(line)) => line,
            other => return Ok(other),
        };
        Ok(Some(
            self.push_record(shape, batch).map(|()| line).map_err(|problem| LineProblem { line, problem }),
        ))
    }

    fn push_record(&self, shape: &Shape, batch: &mut Batch) -> Result<(), RowProblem> {
        let (cells, header) = (self.cells.len(), self.header.len());
        if cells != header {
            let help = match cells < header {
                true => "give every column a cell, if only an empty one",
                false => "put a cell that has a comma in it into quotes",
            };
            let noun = if cells == 1 { "cell" } else { "cells" };
            let message = format!("the line has {cells} {noun}, the header has {header}");
            return Err(RowProblem::new(message).help(help));
        }
        batch.push_with(shape, |row| {
            for (column, cell) in shape.columns().iter().zip(&self.cell_of) {
                match (cell, &column.default) {
                    (Some(at), _) => row.value(&value_of(self.text(*at), column)?)?,
                    (None, Some(default)) => row.value(default)?,
                    (None, None) => row.value(&Value::Null)?,
                }
            }
            Ok(())
        })
    }

    /// The text of a cell of a record that was checked.
    fn text(&self, at: usize) -> &str {
        std::str::from_utf8(self.cells.get(at)).expect("the record was checked when it was read")
    }

    /// Reads a record into `self.cells`, checks that it is UTF-8, and gives its first line; `None` at the end. When
    /// its quotes make no record, reading goes on in the line after its first.
    fn next_record<R: BufRead>(
        &mut self,
        lines: &mut Lines<R>,
    ) -> io::Result<Option<Result<u64, LineProblem>>> {
        let fed = loop {
            match lines.next()? {
                Line::End => return Ok(None),
                Line::TooLong => {
                    return Ok(Some(Err(LineProblem { line: lines.number(), problem: line_too_long() })));
                }
                Line::Text if is_blank(lines.bytes()) => {}
                Line::Text => {
                    self.cells.clear();
                    break self.cells.feed(lines.bytes());
                }
            }
        };
        let line = lines.number();
        let fed = if fed == Fed::Open { self.continue_record(lines)? } else { fed };
        let checked = match fed {
            Fed::Complete => self.cells.check_utf8().map_err(|at| self.in_cell(at, not_utf8())),
            Fed::Open => Err(self.misquoted(
                "the quote that begins the cell is not closed before a comma or the end of a line",
                "close it, or double a quote that belongs to the text",
            )),
            Fed::TextAfterQuote => Err(self.misquoted(
                "the cell goes on after its closing quote",
                "put the whole cell into quotes, and double the quotes in it",
            )),
            Fed::TooManyCells => Err(RowProblem::new(format!("the line has over {MAX_CELLS} cells"))),
        };
        Ok(Some(checked.map(|()| line).map_err(|problem| LineProblem { line, problem })))
    }

    /// Reads on while a quoted cell is open. A record that comes to nothing gives back all its lines but the first.
    fn continue_record<R: BufRead>(&mut self, lines: &mut Lines<R>) -> io::Result<Fed> {
        let (mut held, mut held_bytes) = (Vec::new(), 0);
        let mut fed = Fed::Open;
        while fed == Fed::Open && held_bytes <= MAX_LINE_BYTES {
            match lines.next()? {
                Line::End => break,
                Line::TooLong => {
                    held.push(None);
                    break;
                }
                Line::Text => {
                    held_bytes += lines.bytes().len();
                    held.push(Some(lines.bytes().to_vec()));
                    fed = self.cells.feed(lines.bytes());
                }
            }
        }
        if fed != Fed::Complete {
            lines.rewind(held);
        }
        // The quote that closes lines later is another cell's: the mistake is where the cell begins.
        Ok(if fed == Fed::TextAfterQuote { Fed::Open } else { fed })
    }

    /// A problem of the cell that is being read.
    fn misquoted(&self, message: &str, help: &str) -> RowProblem {
        self.in_cell(self.cells.len(), RowProblem::new(message).help(help))
    }

    /// Names the cell by its column, or by its place where the header is what is being read.
    fn in_cell(&self, at: usize, problem: RowProblem) -> RowProblem {
        match self.header.get(at) {
            Some(name) => problem.at(name),
            None => RowProblem { message: format!("cell {}: {}", at + 1, problem.message), ..problem },
        }
    }
}

/// An empty cell is null, or an empty text where the column is not nullable; a JSON null is null.
fn value_of<'c>(cell: &'c str, column: &Column) -> Result<Value<'c>, RowProblem> {
    if cell.is_empty() && column.nullable {
        return Ok(Value::Null);
    }
    if cell.is_empty() && !matches!(column.ty, Type::Text | Type::Bytes) {
        let problem = RowProblem::new("the cell is empty, and the column is not nullable");
        return Err(problem.at(&column.name).help("give it a value"));
    }
    match parse_text(cell, &column.ty).map_err(|message| RowProblem::new(message).at(&column.name))? {
        Value::Json(json) if json == "null" => Ok(Value::Null),
        value => Ok(value),
    }
}
