//! Rows of a stream, a table or a question as an aligned table, or as JSON.

use std::sync::Arc;

use anabranch::{Row, Shape, Type};
use anabranch_model::convert::text_of;

use crate::failure::Failure;
use crate::output::Output;
use crate::text_table::{Align, TextTable};

/// Rows that are aligned and printed at once.
const ROWS_AT_ONCE: u64 = 1_000;

/// Rows of one shape as an aligned table, printed piece by piece.
pub(crate) struct RowTable {
    shape: Arc<Shape>,
    text: TextTable,
}

impl RowTable {
    /// A table without rows.
    pub(crate) fn new(shape: &Arc<Shape>) -> Self {
        let header = shape.columns().iter().map(|column| (column.name.as_str(), align(&column.ty)));
        RowTable { shape: shape.clone(), text: TextTable::new(header) }
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, row: &Row) {
        let cells = self.shape.columns().iter().zip(row.columns());
        self.text.row(cells.map(|(column, (_, value))| match value.is_null() {
            true => "null".to_owned(),
            false => text_of(&value, &column.ty).into_owned(),
        }));
    }

    /// The rows since the last call as lines, the first time below the header. So a table of any length is printed
    /// in little memory; a later row that is wider makes its column wider from there on.
    pub(crate) fn take(&mut self) -> String {
        self.text.take()
    }
}

/// Prints rows as they come: aligned, or a JSON object a line.
pub(crate) struct RowPrinter {
    out: Output,
    table: RowTable,
    json: bool,
    printed: u64,
}

impl RowPrinter {
    /// For rows of this shape.
    pub(crate) fn new(shape: &Arc<Shape>, json: bool) -> Self {
        RowPrinter { out: Output::new(), table: RowTable::new(shape), json, printed: 0 }
    }

    /// Prints a row, now or with those that follow.
    pub(crate) fn row(&mut self, row: &Row) -> Result<(), Failure> {
        self.printed += 1;
        if self.json {
            return self.out.line(&row.to_json_text());
        }
        self.table.push(row);
        match self.printed.is_multiple_of(ROWS_AT_ONCE) {
            true => self.out.text(&self.table.take()),
            false => Ok(()),
        }
    }

    /// Whether there was no row so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.printed == 0
    }

    /// Prints what is left.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        if !self.json {
            self.out.text(&self.table.take())?;
        }
        self.out.flush()
    }
}

fn align(ty: &Type) -> Align {
    match ty {
        Type::Int | Type::Float | Type::Decimal { .. } | Type::Duration => Align::Right,
        Type::Bool | Type::Text | Type::Bytes | Type::Time | Type::Json | Type::Enum(_) => Align::Left,
    }
}
