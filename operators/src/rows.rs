//! Rows that rules build: what each column gets, prepared once so that a copied column costs a copy.

use std::sync::Arc;

use anabranch_model::eval::evaluate;
use anabranch_model::expr::{Expr, ExprKind, Operator, Place, RowSlot};
use anabranch_model::frame::Frame;
use anabranch_model::plan::Source;
use anabranch_model::row::{Row, RowWriter, Template, TemplateCell};
use anabranch_model::types::{Column, ColumnId, Shape, Type};
use anabranch_model::value::Value;
use anabranch_model::{Decimal, eval};

use crate::refusal::Reason;

/// What one column of a built row gets.
#[derive(Debug)]
pub(crate) enum Cell {
    /// The same bytes as a column of the same type of a row variable.
    Copy(RowSlot, ColumnId),
    /// The same bytes for every row ([`Row::slot_bytes`]).
    Constant(Box<[u8]>),
    /// The value of an expression.
    Value(Expr),
    /// The value of the row that is there, else the default, else null.
    Keep,
    /// The number that is there (0 without one) plus (or minus) an expression's.
    Change(Operator, Expr),
}

/// The cells of a row to build.
#[derive(Debug)]
pub(crate) struct Cells {
    cells: Vec<Cell>,
    /// For a row that only copies the input row and constants.
    template: Option<Template>,
}

/// What cells are prepared with.
#[derive(Clone, Copy)]
pub(crate) struct CellScope<'p> {
    /// The shapes of the step's row variables.
    pub(crate) shapes: &'p [Arc<Shape>],
    /// The node's name: what `node()` gives here.
    pub(crate) node: &'p str,
}

impl Cells {
    /// The cells of a row to write.
    pub(crate) fn of_sources(sources: &[Source], shape: &Shape, scope: CellScope<'_>) -> Cells {
        let cell = |(source, column): (&Source, &Column)| match source {
            Source::Keep => Cell::Keep,
            Source::Value(expr) => Cell::of(expr, column, scope),
            Source::Add(expr) => Cell::Change(Operator::Add, expr.clone()),
            Source::Subtract(expr) => Cell::Change(Operator::Subtract, expr.clone()),
        };
        Cells::new(sources.iter().zip(shape.columns()).map(cell).collect(), shape, scope)
    }

    /// The cells of a row to send.
    pub(crate) fn of_values(values: &[Expr], shape: &Shape, scope: CellScope<'_>) -> Cells {
        let cell = |(expr, column): (&Expr, &Column)| Cell::of(expr, column, scope);
        Cells::new(values.iter().zip(shape.columns()).map(cell).collect(), shape, scope)
    }

    fn new(cells: Vec<Cell>, shape: &Shape, scope: CellScope<'_>) -> Cells {
        let plain = |cell: &Cell| match cell {
            Cell::Copy(RowSlot(0), column) => Some(TemplateCell::Copy(*column)),
            Cell::Constant(bytes) => Some(TemplateCell::Constant(bytes.clone())),
            _ => None,
        };
        let plain: Option<Vec<TemplateCell>> = cells.iter().map(plain).collect();
        let template = plain.map(|plain| Template::new(&scope.shapes[0], shape, &plain));
        Cells { cells, template }
    }

    /// The template of a row that only copies the input row and constants.
    pub(crate) fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// Whether the row that is there is needed.
    pub(crate) fn needs_old(&self) -> bool {
        self.cells.iter().any(|cell| matches!(cell, Cell::Keep | Cell::Change(..)))
    }
}

impl Cell {
    fn of(expr: &Expr, column: &Column, scope: CellScope<'_>) -> Cell {
        let constant = match &expr.kind {
            ExprKind::Column(slot, id) if scope.shapes[slot.0 as usize].column(*id).ty == column.ty => {
                return Cell::Copy(*slot, *id);
            }
            ExprKind::Literal(value) if !value.is_null() => packed(value, column),
            ExprKind::Node => packed(&Value::from(scope.node), column),
            _ => None,
        };
        constant.map_or_else(|| Cell::Value(expr.clone()), Cell::Constant)
    }
}

/// The bytes of a value in a column; none when it does not fit, which the step then says.
fn packed(value: &Value<'_>, column: &Column) -> Option<Box<[u8]>> {
    let shape = Shape::new(vec![column.clone()]);
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&mut bytes, &shape);
    writer.value(value).and_then(|()| writer.finish()).ok()?;
    Some(Row::new(&bytes, &shape).slot_bytes(ColumnId(0)).into())
}

/// Packs a row at the end of `out`. `old` is the row that is there.
///
/// # Errors
/// An expression failed, or a value does not fit its column; `out` is as it was.
#[inline]
pub(crate) fn build(
    cells: &Cells,
    shape: &Shape,
    frame: &Frame<'_>,
    old: Option<Row<'_>>,
    place: Place,
    out: &mut Vec<u8>,
) -> Result<(), Reason> {
    if let Some(template) = &cells.template {
        return template.write(frame.input, out).map_err(|error| Reason::row(&error, place));
    }
    build_cells(&cells.cells, shape, frame, old, place, out)
}

fn build_cells(
    cells: &[Cell],
    shape: &Shape,
    frame: &Frame<'_>,
    old: Option<Row<'_>>,
    place: Place,
    out: &mut Vec<u8>,
) -> Result<(), Reason> {
    let mut writer = RowWriter::new(out, shape);
    for (at, cell) in cells.iter().enumerate() {
        match cell {
            Cell::Constant(bytes) => {
                writer.packed(bytes);
                continue;
            }
            Cell::Copy(slot, column) => {
                match frame.row(*slot) {
                    Some(row) => writer.copy(&row, *column),
                    None => writer.null(),
                }
                continue;
            }
            Cell::Value(_) | Cell::Keep | Cell::Change(..) => {}
        }
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
        Cell::Copy(..) | Cell::Constant(_) => return Ok(()),
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
