//! Rows that rules build: what each column gets, prepared once so that a copied column costs a copy.

use anabranch_model::eval::evaluate;
use anabranch_model::expr::{Expr, ExprKind, Operator, Place, RowSlot};
use anabranch_model::frame::Frame;
use anabranch_model::plan::Source;
use anabranch_model::row::{Row, RowWriter};
use anabranch_model::types::{Column, ColumnId, Shape, Type};
use anabranch_model::value::Value;
use anabranch_model::{Decimal, eval};

use crate::refusal::Reason;

/// What one column of a built row gets.
#[derive(Debug)]
pub(crate) enum Cell {
    /// The same bytes as a column of the same type of a row variable.
    Copy(RowSlot, ColumnId),
    /// The value of an expression.
    Value(Expr),
    /// The value of the row that is there, else the default, else null.
    Keep,
    /// The number that is there (0 without one) plus (or minus) an expression's.
    Change(Operator, Expr),
}

impl Cell {
    /// The cells of a row to write.
    pub(crate) fn of_sources(
        sources: &[Source],
        columns: &[Column],
        shapes: &[std::sync::Arc<Shape>],
    ) -> Vec<Cell> {
        let cell = |(source, column): (&Source, &Column)| match source {
            Source::Keep => Cell::Keep,
            Source::Value(expr) => Cell::of(expr, column, shapes),
            Source::Add(expr) => Cell::Change(Operator::Add, expr.clone()),
            Source::Subtract(expr) => Cell::Change(Operator::Subtract, expr.clone()),
        };
        sources.iter().zip(columns).map(cell).collect()
    }

    /// The cells of a row to send.
    pub(crate) fn of_values(
        values: &[Expr],
        columns: &[Column],
        shapes: &[std::sync::Arc<Shape>],
    ) -> Vec<Cell> {
        values.iter().zip(columns).map(|(expr, column)| Cell::of(expr, column, shapes)).collect()
    }

    fn of(expr: &Expr, column: &Column, shapes: &[std::sync::Arc<Shape>]) -> Cell {
        match expr.kind {
            ExprKind::Column(slot, id) if shapes[slot.0 as usize].column(id).ty == column.ty => {
                Cell::Copy(slot, id)
            }
            _ => Cell::Value(expr.clone()),
        }
    }

    /// Whether the row that is there is needed.
    pub(crate) fn needs_old(&self) -> bool {
        matches!(self, Cell::Keep | Cell::Change(..))
    }
}

/// Packs a row at the end of `out`. `old` is the row that is there.
///
/// # Errors
/// An expression failed, or a value does not fit its column; `out` is as it was.
pub(crate) fn build(
    cells: &[Cell],
    shape: &Shape,
    frame: &Frame<'_>,
    old: Option<Row<'_>>,
    place: Place,
    out: &mut Vec<u8>,
) -> Result<(), Reason> {
    let mut writer = RowWriter::new(out, shape);
    for (at, cell) in cells.iter().enumerate() {
        if let Err(reason) = write_cell(cell, ColumnId(at as u16), shape, frame, old, place, &mut writer) {
            writer.cancel();
            return Err(reason);
        }
    }
    writer.finish().map_err(|error| Reason::row(&error, place))
}

#[inline]
fn write_cell(
    cell: &Cell,
    at: ColumnId,
    shape: &Shape,
    frame: &Frame<'_>,
    old: Option<Row<'_>>,
    place: Place,
    writer: &mut RowWriter<'_, '_>,
) -> Result<(), Reason> {
    let (value, place) = match cell {
        Cell::Copy(slot, column) => {
            match frame.row(*slot) {
                Some(row) => writer.copy(&row, *column),
                None => writer.null(),
            }
            return Ok(());
        }
        Cell::Value(expr) => (evaluate(expr, frame)?, expr.place),
        Cell::Keep => match old {
            Some(row) => {
                writer.copy(&row, at);
                return Ok(());
            }
            None => (shape.column(at).default.as_ref().map_or(Value::Null, Value::borrow), place),
        },
        Cell::Change(operator, expr) => {
            let held = old.map_or(Value::Null, |row| row.value(at));
            let held = if held.is_null() { zero(&shape.column(at).ty) } else { held };
            let change = evaluate(expr, frame)?;
            (eval::binary(*operator, held, change, expr.place)?, expr.place)
        }
    };
    writer.value(&value).map_err(|error| Reason::row(&error, place))
}

fn zero(ty: &Type) -> Value<'static> {
    match ty {
        Type::Float => Value::Float(0.0),
        Type::Decimal { scale, .. } => Value::Decimal(Decimal::from_parts(0, *scale)),
        Type::Duration => Value::Duration(0),
        _ => Value::Int(0),
    }
}
