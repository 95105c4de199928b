//! Which partition, and so which worker, a row of an input belongs to.

use std::sync::Arc;

use anabranch_model::eval::evaluate;
use anabranch_model::expr::Expr;
use anabranch_model::fault::{Fault, FaultCode};
use anabranch_model::frame::{Frame, StepContext};
use anabranch_model::key::{self, KeyReader};
use anabranch_model::partition::{PartitionId, partition_hash, partition_of};
use anabranch_model::plan::{Plan, Route, Step};
use anabranch_model::types::{ColumnId, Shape, Type};
use anabranch_model::value::Value;

use crate::step::input_column;

/// How the rows of one input find their partition.
#[derive(Debug)]
pub(crate) enum Router {
    /// They stay where they entered.
    Entry,
    /// By columns of the row, as they stand.
    Columns { key: KeyReader, partitions: u32 },
    /// By expressions over the row, with the types of the partition columns.
    Values { by: Vec<(Expr, Type)>, partitions: u32 },
}

impl Router {
    /// The routers of a plan, one per input.
    pub(crate) fn of_plan(plan: &Plan) -> Vec<Router> {
        plan.steps.iter().map(|step| Router::of(step, plan)).collect()
    }

    /// The router of a step.
    pub(crate) fn of(step: &Step, plan: &Plan) -> Router {
        let Route::Hash { by, partitions } = &step.route else { return Router::Entry };
        let types = partition_types(step, plan, by);
        let columns = by
            .iter()
            .zip(&types)
            .map(|(expr, ty)| input_column(expr, ty, &step.rows[0]))
            .collect::<Option<Vec<ColumnId>>>();
        match columns {
            Some(columns) => {
                Router::Columns { key: KeyReader::new(&step.rows[0], &columns), partitions: *partitions }
            }
            None => Router::Values { by: by.iter().cloned().zip(types).collect(), partitions: *partitions },
        }
    }

    /// The partition of a row; `None` for a row that stays where it entered.
    ///
    /// # Errors
    /// A route expression failed.
    #[inline]
    pub(crate) fn partition(
        &self,
        frame: &Frame<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<PartitionId>, Fault> {
        match self {
            Router::Entry => Ok(None),
            Router::Columns { key, partitions } => {
                Ok(Some(partition_of(partition_hash(key.read(frame.input, buffer)), *partitions)))
            }
            Router::Values { by, partitions } => {
                stored_key(by, frame, buffer)?;
                Ok(Some(partition_of(partition_hash(buffer), *partitions)))
            }
        }
    }
}

impl Router {
    /// How many partitions the tables of the step have; none where it has no tables.
    pub(crate) fn partitions(&self) -> Option<u32> {
        match self {
            Router::Entry => None,
            Router::Columns { partitions, .. } | Router::Values { partitions, .. } => Some(*partitions),
        }
    }

    /// Where an input row belongs; `None` where it stays, or where its route fails (the step says why).
    #[inline]
    pub(crate) fn place(
        &self,
        row: &[u8],
        shapes: &[Arc<Shape>],
        context: &StepContext,
        buffer: &mut Vec<u8>,
    ) -> Option<PartitionId> {
        let frame = Frame { input: row, rows: &[], candidate: None, shapes, lets: &[], context };
        self.partition(&frame, buffer).ok().flatten()
    }
}

/// The key bytes of values as their columns store them: a decimal is rounded to its column's scale.
///
/// # Errors
/// An expression failed, is null, or its number does not fit the column.
pub(crate) fn stored_key(values: &[(Expr, Type)], frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.clear();
    for (at, (expr, ty)) in values.iter().enumerate() {
        let value = stored(evaluate(expr, frame)?, ty, expr)?;
        key::encode(&value, false, at + 1 == values.len(), out);
    }
    Ok(())
}

/// The key bytes to look for, or `None` when no row can have them: a null, or digits that the column does not hold.
///
/// # Errors
/// An expression failed.
pub(crate) fn sought_key<'b>(
    values: &[(Expr, Type)],
    frame: &Frame<'_>,
    out: &'b mut Vec<u8>,
) -> Result<Option<&'b [u8]>, Fault> {
    out.clear();
    for (at, (expr, ty)) in values.iter().enumerate() {
        let value = evaluate(expr, frame)?;
        let Some(value) = key::at_scale(value, ty).filter(|value| !value.is_null()) else { return Ok(None) };
        key::encode(&value, false, at + 1 == values.len(), out);
    }
    Ok(Some(out))
}

fn stored<'a>(value: Value<'a>, ty: &Type, expr: &Expr) -> Result<Value<'a>, Fault> {
    let fault = |text: &str| Fault { code: FaultCode::Overflow, place: expr.place, text: text.into() };
    match (&value, ty) {
        (Value::Null, _) => Err(fault("the value that names the partition is null")),
        (Value::Decimal(number), Type::Decimal { precision, scale }) => {
            let number = number.rescale(*scale).filter(|number| number.fits(*precision));
            number
                .map(Value::Decimal)
                .ok_or_else(|| fault("the number has too many digits for the key column"))
        }
        _ => Ok(value),
    }
}

/// Whether the rows of every input that both revisions have find the same partitions: by the same columns, as they stand.
/// Of values that are computed it is not known.
pub(crate) fn same_ways(old: &Plan, new: &Plan) -> bool {
    let both = old.inputs.iter().zip(&old.steps).filter_map(|(stream, step)| {
        let input = new.input(&stream.name)?;
        Some((step, &new.steps[usize::from(input.0)]))
    });
    both.into_iter().all(|(before, after)| match (columns(before, old), columns(after, new)) {
        (Some(before), Some(after)) => before == after,
        _ => matches!((&before.route, &after.route), (Route::Entry, Route::Entry)),
    })
}

/// By which columns of an input its rows are routed, to how many partitions.
fn columns(step: &Step, plan: &Plan) -> Option<(Vec<String>, u32)> {
    let Route::Hash { by, partitions } = &step.route else { return None };
    let types = partition_types(step, plan, by);
    let name = |(expr, ty): (&Expr, &Type)| {
        let column = input_column(expr, ty, &step.rows[0])?;
        Some(step.rows[0].column(column).name.clone())
    };
    let names: Option<Vec<String>> = by.iter().zip(&types).map(name).collect();
    Some((names?, *partitions))
}

/// The types of the partition columns of the tables that the step touches (all tables of a step have the same).
fn partition_types(step: &Step, plan: &Plan, by: &[Expr]) -> Vec<Type> {
    match crate::step::tables_of(step).next() {
        Some(table) => {
            let table = &plan.tables[table.0 as usize];
            table.partition_by.iter().map(|&column| table.shape.column(column).ty.clone()).collect()
        }
        None => by.iter().map(|expr| expr.ty.clone()).collect(),
    }
}
