//! Rows and requests of one revision of a flow as those of another: what stored rows and requests under way become when a
//! newer revision takes the place of an older one.
//!
//! Columns, streams and tables are known by their names. A column that was not there gets its default, else null;
//! a column that is no longer there goes.

use std::sync::Arc;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::message::Body;
use anabranch_model::plan::Plan;
use anabranch_model::row::{ROW_HEADER_BYTES, Row, RowError, RowWriter};
use anabranch_model::types::{Column, ColumnId, Shape, Type};
use anabranch_model::value::Value;

/// How rows of one shape become rows of another.
#[derive(Debug)]
pub(crate) struct Conversion {
    from: Arc<Shape>,
    to: Arc<Shape>,
    cells: Vec<Cell>,
}

/// What a column of the new row gets.
#[derive(Debug)]
enum Cell {
    Copy(ColumnId),
    Value(Value<'static>),
}

/// What rows of one shape are in another.
#[derive(Debug)]
pub(crate) enum Rows {
    /// The same bytes.
    Same,
    /// Other bytes.
    Other(Conversion),
    /// None: a column has another type, or is missing and neither nullable nor has a default.
    Unlike,
}

impl Rows {
    /// What rows of shape `from` are in shape `to`.
    pub(crate) fn between(from: &Arc<Shape>, to: &Arc<Shape>) -> Rows {
        let same = |(old, new): (&Column, &Column)| {
            old.name == new.name && same_bytes(&old.ty, &new.ty) && old.nullable == new.nullable
        };
        let (old, new) = (from.columns(), to.columns());
        if old.len() == new.len() && old.iter().zip(new).all(same) {
            return Rows::Same;
        }
        let cells: Option<Vec<Cell>> = new.iter().map(|column| Cell::of(column, from)).collect();
        match cells {
            Some(cells) => Rows::Other(Conversion { from: from.clone(), to: to.clone(), cells }),
            None => Rows::Unlike,
        }
    }
}

impl Cell {
    fn of(column: &Column, from: &Shape) -> Option<Cell> {
        match from.position(&column.name) {
            Some(at) => {
                let old = from.column(at);
                let fits = same_bytes(&old.ty, &column.ty) && (column.nullable || !old.nullable);
                fits.then_some(Cell::Copy(at))
            }
            None => match &column.default {
                Some(value) => Some(Cell::Value(value.clone())),
                None => column.nullable.then_some(Cell::Value(Value::Null)),
            },
        }
    }
}

/// Whether values of both types have the same bytes. New values of an enum go to its end.
fn same_bytes(old: &Type, new: &Type) -> bool {
    match (old, new) {
        (Type::Enum(old), Type::Enum(new)) => new.values.starts_with(&old.values),
        _ => old == new,
    }
}

impl Conversion {
    /// Bytes that a row may become longer by.
    pub(crate) fn growth_bytes(&self) -> usize {
        let fixed = |shape: &Shape| shape.layout().fixed_bytes();
        let values = self.cells.iter().map(|cell| match cell {
            Cell::Value(Value::Text(text) | Value::Json(text)) => text.len(),
            Cell::Value(Value::Bytes(bytes)) => bytes.len(),
            _ => 0,
        });
        fixed(&self.to).saturating_sub(fixed(&self.from)) + values.sum::<usize>()
    }

    /// Writes the columns of a row.
    fn write(&self, row: &Row<'_>, writer: &mut RowWriter<'_, '_>) -> Result<(), RowError> {
        for cell in &self.cells {
            match cell {
                Cell::Copy(column) => writer.copy(row, *column),
                Cell::Value(value) => writer.value(value)?,
            }
        }
        Ok(())
    }

    /// The stored row in the new shape, with the stamp that it has.
    ///
    /// # Errors
    /// It is too long.
    pub(crate) fn stored(&self, row: &[u8], out: &mut Vec<u8>) -> Result<(), RowError> {
        out.clear();
        let mut writer = RowWriter::new(out, &self.to);
        self.write(&Row::new(row, &self.from), &mut writer)?;
        writer.finish()?;
        let length = size_of::<u32>();
        out[length..ROW_HEADER_BYTES].copy_from_slice(&row[length..ROW_HEADER_BYTES]);
        Ok(())
    }

    /// The rows of a batch in the new shape.
    ///
    /// # Errors
    /// One is too long.
    fn batch(&self, rows: &Batch, schema: SchemaId) -> Result<Batch, RowError> {
        let mut converted = Batch::with_capacity(schema, rows.row_bytes() + rows.len() * self.growth_bytes());
        for row in rows.rows() {
            converted.push_with(&self.to, |writer| self.write(&Row::new(row, &self.from), writer))?;
        }
        Ok(converted)
    }
}

/// A request for revision `old` as one for `new`; `None` when there is no such request.
pub(crate) fn body(body: Body, old: &Plan, new: &Plan) -> Option<Body> {
    let table = |table: anabranch_model::plan::TableId| new.table(&old.tables.get(table.0 as usize)?.name);
    match body {
        Body::Rows { input, batch } => {
            let at = input.0 as usize;
            let from = old.inputs.get(at)?;
            let input = new.input(&from.name)?;
            let (before, now) = (old.steps.get(at)?, &new.steps[input.0 as usize]);
            // Who sent it may have been asked for less than it would now take.
            if now.leaves_traces() && !before.leaves_traces() {
                return None;
            }
            let batch = match Rows::between(&from.shape, &new.inputs[input.0 as usize].shape) {
                Rows::Same => batch,
                Rows::Other(conversion) => conversion.batch(&batch, SchemaId(u32::from(input.0))).ok()?,
                Rows::Unlike => return None,
            };
            Some(Body::Rows { input, batch })
        }
        Body::Get { table: of, partition, key, reads } => {
            Some(Body::Get { table: table(of)?, partition, key, reads })
        }
        Body::Page { table: of, after, limit, reads } => {
            Some(Body::Page { table: table(of)?, after, limit, reads })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, nullable: bool, default: Option<Value<'static>>) -> Column {
        Column { name: name.into(), ty: Type::Text, nullable, default }
    }

    fn packed(shape: &Shape, values: &[Value<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = RowWriter::new(&mut bytes, shape);
        values.iter().try_for_each(|value| writer.value(value)).expect("values of the shape");
        writer.finish().expect("a row");
        bytes
    }

    #[test]
    fn a_stored_row_keeps_its_stamp_and_its_columns_by_name() {
        let from = Arc::new(Shape::new(vec![column("a", false, None), column("b", true, None)]));
        let added = column("new", false, Some(Value::from("d")));
        let to = Arc::new(Shape::new(vec![
            column("b", true, None),
            added,
            column("n", true, None),
            column("a", false, None),
        ]));
        let Rows::Other(conversion) = Rows::between(&from, &to) else { panic!("another layout") };
        let mut row = packed(&from, &[Value::from("x"), Value::Null]);
        row[4..16].copy_from_slice(&[1, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let mut converted = vec![9];
        conversion.stored(&row, &mut converted).expect("it is short");
        assert_eq!(converted[4..16], row[4..16]);
        Row::check(&converted, &to).expect("a row of the new shape");
        let values = [Value::Null, Value::from("d"), Value::Null, Value::from("x")];
        assert_eq!(Row::new(&converted, &to).values().collect::<Vec<_>>(), values);
        assert!(converted.len() <= row.len() + conversion.growth_bytes());
    }

    #[test]
    fn rows_that_lack_a_required_column_are_unlike() {
        let old = Arc::new(Shape::new(vec![column("a", true, None)]));
        let required = Arc::new(Shape::new(vec![column("a", true, None), column("b", false, None)]));
        assert!(matches!(Rows::between(&old, &required), Rows::Unlike));
        let not_null = Arc::new(Shape::new(vec![column("a", false, None)]));
        assert!(matches!(Rows::between(&old, &not_null), Rows::Unlike));
        assert!(matches!(Rows::between(&old, &old.clone()), Rows::Same));
    }
}
