//! The evaluation of a question: rows in, results out.

use std::sync::Arc;

use anabranch_model::expr::{Expr, ExprKind, RowSlot};
use anabranch_model::frame::{Chance, Frame, StepContext};
use anabranch_model::key::{self, MAX_KEY_BYTES};
use anabranch_model::partition::{PartitionId, partition_hash, partition_of};
use anabranch_model::plan::Table;
use anabranch_model::question::Question;
use anabranch_model::row::{RowError, RowWriter};
use anabranch_model::types::{ColumnId, Shape};
use anabranch_model::value::Value;
use anabranch_model::{Place, eval};

use crate::rows::Row;

use super::groups::Groups;
use super::order::Sorter;
use super::results::Results;
use super::{LIMITS, Limits, Prepared, QueryError};

/// Which rows a question must be fed.
#[derive(Debug, PartialEq)]
pub(crate) enum Lookup {
    /// All rows of the table, in the order of the key.
    All,
    /// The row of this key, if there is one.
    Key {
        /// The partition of the key.
        partition: PartitionId,
        /// The bytes of the key.
        key: Vec<u8>,
    },
    /// None at all.
    Nothing,
}

/// Answers one question. Rows are pushed until [`Evaluation::wants_more`] says no or there are no more; then
/// [`Evaluation::finish`] gives what is left.
#[derive(Debug)]
pub(crate) struct Evaluation {
    scope: Scope,
    work: Work,
}

/// What the expressions of a question see beside a row.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) question: Arc<Question>,
    /// The shape of the table's rows.
    shapes: [Arc<Shape>; 1],
    context: StepContext,
    pub(super) limits: Limits,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Work {
    /// Rows are results as they come: so many were passed over, so many given.
    Stream {
        skipped: u64,
        given: u64,
    },
    Sort(Sorter),
    Group(Groups),
}

impl Evaluation {
    /// Begins to answer; `now` is the time that `now()` gives, in microseconds since 1970 UTC.
    pub(crate) fn new(prepared: &Prepared, now: i64) -> Self {
        Evaluation::within(prepared, now, LIMITS)
    }

    pub(super) fn within(prepared: &Prepared, now: i64, limits: Limits) -> Self {
        let question = prepared.question.clone();
        let work = match &question.grouping {
            Some(grouping) => Work::Group(Groups::new(grouping, limits)),
            None if !question.order.is_empty() => Work::Sort(Sorter::new(&question, limits)),
            None => Work::Stream { skipped: 0, given: 0 },
        };
        let nobody: Arc<str> = Arc::from("");
        let mut context = StepContext::new(nobody.clone(), nobody, prepared.plan.revision, Chance::new(0));
        context.now = now;
        let shapes = [prepared.table().shape.clone()];
        Evaluation { scope: Scope { question, shapes, context, limits, buffer: Vec::new() }, work }
    }

    /// Which rows of `table` it must be fed.
    ///
    /// # Errors
    /// A value that fixes the key cannot be computed.
    pub(crate) fn lookup(&self, table: &Table) -> Result<Lookup, QueryError> {
        if !self.wants_more() {
            return Ok(Lookup::Nothing);
        }
        let Some(values) = &self.scope.question.key else { return Ok(Lookup::All) };
        let frame = self.scope.frame(&[], &[]);
        let values =
            values.iter().map(|value| eval::evaluate(value, &frame)).collect::<Result<Vec<_>, _>>()?;
        let encode = |columns: &[ColumnId]| {
            let chosen: Vec<_> = columns
                .iter()
                .filter_map(|id| table.key.iter().position(|of| of == id))
                .map(|at| (values[at].borrow(), &table.shape.column(table.key[at]).ty))
                .collect();
            let mut bytes = Vec::new();
            key::of_values(chosen.into_iter(), &mut bytes).map(|()| bytes)
        };
        let (Some(key), Some(partition)) = (encode(&table.key), encode(&table.partition_by)) else {
            return Ok(Lookup::Nothing);
        };
        if key.len() > MAX_KEY_BYTES {
            return Ok(Lookup::Nothing);
        }
        let partition = partition_of(partition_hash(&partition), table.policy.partitions);
        Ok(Lookup::Key { partition, key })
    }

    /// Whether another row can change the answer.
    pub(crate) fn wants_more(&self) -> bool {
        match &self.work {
            Work::Stream { given, .. } => self.scope.question.limit.is_none_or(|limit| *given < limit),
            Work::Sort(sorter) => sorter.keeps() > 0,
            Work::Group(_) => self.scope.question.limit != Some(0),
        }
    }

    /// Takes a packed row of the table; gives a result where one is known at once.
    ///
    /// # Errors
    /// The question cannot be answered; the evaluation is of no more use.
    pub(crate) fn push(&mut self, row: &[u8]) -> Result<Option<Row>, QueryError> {
        if !self.scope.counts(row)? {
            return Ok(None);
        }
        let question = self.scope.question.clone();
        match &mut self.work {
            Work::Stream { skipped, .. } if *skipped < question.offset => {
                *skipped += 1;
                Ok(None)
            }
            Work::Stream { given, .. } => {
                *given += 1;
                self.scope.result(row, &[]).map(Some)
            }
            Work::Sort(sorter) => {
                let scope = &mut self.scope;
                let frame = scope.frame(row, &[]);
                let by = question.order.iter().map(|sort| eval::evaluate(&sort.value, &frame));
                let by = by.collect::<Result<Vec<_>, _>>()?;
                if sorter.takes(&by) {
                    let by = by.into_iter().map(Value::into_owned).collect();
                    sorter.put(by, scope.result(row, &[])?)?;
                }
                Ok(None)
            }
            Work::Group(groups) => {
                let frame = self.scope.frame(row, &[]);
                groups.push(&question, &frame)?;
                Ok(None)
            }
        }
    }

    /// What is left when there are no more rows.
    ///
    /// # Errors
    /// The question cannot be answered.
    pub(crate) fn finish(self) -> Result<Results, QueryError> {
        match self.work {
            Work::Stream { .. } => Ok(Results::none()),
            Work::Sort(sorter) => Ok(Results::sorted(sorter, self.scope.question.offset)),
            Work::Group(groups) => Results::of_groups(groups, self.scope),
        }
    }
}

impl Scope {
    /// What an expression sees: a row of the table, or the values of a group.
    pub(super) fn frame<'a>(&'a self, row: &'a [u8], values: &'a [Value<'static>]) -> Frame<'a> {
        Frame {
            input: row,
            rows: &[],
            candidate: None,
            shapes: &self.shapes,
            lets: values,
            context: &self.context,
        }
    }

    fn counts(&self, row: &[u8]) -> Result<bool, QueryError> {
        let Some(filter) = &self.question.filter else { return Ok(true) };
        Ok(eval::is_true(filter, &self.frame(row, &[]))?)
    }

    /// The result for a row, or for the values of a group.
    pub(super) fn result(&mut self, row: &[u8], values: &[Value<'static>]) -> Result<Row, QueryError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.write(row, values, &mut buffer)?;
        let result = Row::new(self.question.shape.clone(), buffer.as_slice().into());
        self.buffer = buffer;
        Ok(result)
    }

    fn write(&self, row: &[u8], values: &[Value<'static>], buffer: &mut Vec<u8>) -> Result<(), QueryError> {
        let frame = self.frame(row, values);
        let mut writer = RowWriter::new(buffer, &self.question.shape);
        for column in &self.question.columns {
            match (&column.kind, frame.row(RowSlot(0))) {
                (ExprKind::Column(RowSlot(0), id), Some(row)) => writer.copy(&row, *id),
                _ => {
                    let value = eval::evaluate(column, &frame)?;
                    writer.value(&value).map_err(|error| does_not_fit(&error, column))?;
                }
            }
        }
        let place = self.question.columns.first().map_or_else(Place::default, |column| column.place);
        writer.finish().map_err(|error| failed("R007", error.to_string(), place))
    }
}

/// A value that is no value of the type that its expression has: a decimal with too many digits.
fn does_not_fit(error: &RowError, column: &Expr) -> QueryError {
    failed("R001", error.to_string(), column.place)
}

fn failed(code: &'static str, text: String, place: Place) -> QueryError {
    QueryError::Failed { code, text, place }
}
