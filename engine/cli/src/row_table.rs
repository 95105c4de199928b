//! Rows of a stream or table as an aligned table.

use std::sync::Arc;

use anabranch::{Row, Shape, Type};
use anabranch_model::convert::text_of;

use crate::text_table::{Align, TextTable};

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

fn align(ty: &Type) -> Align {
    match ty {
        Type::Int | Type::Float | Type::Decimal { .. } | Type::Duration => Align::Right,
        Type::Bool | Type::Text | Type::Bytes | Type::Time | Type::Json | Type::Enum(_) => Align::Left,
    }
}
