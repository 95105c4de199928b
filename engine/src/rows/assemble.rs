//! Columns in any order to one packed row.
//!
//! A packed row is written in column order. Values that come in that order go straight into the batch; one that comes
//! early is parked until the columns before it are there.

use anabranch_model::row::RowWriter;
use anabranch_model::types::Shape;
use anabranch_model::value::Value;

use super::problem::RowProblem;

/// A row that is being put together.
///
/// INVARIANT: the columns before `next` are written, none behind it is; `parked` holds only columns behind `next`.
pub(super) struct Assembler<'a, 'b, 'c, 's> {
    writer: &'a mut RowWriter<'b, 'c>,
    shape: &'s Shape,
    next: usize,
    /// By column; empty until a value is parked.
    parked: Vec<Option<Value<'static>>>,
}

impl<'a, 'b, 'c, 's> Assembler<'a, 'b, 'c, 's> {
    pub(super) fn new(writer: &'a mut RowWriter<'b, 'c>, shape: &'s Shape) -> Self {
        Assembler { writer, shape, next: 0, parked: Vec::new() }
    }

    pub(super) fn shape(&self) -> &'s Shape {
        self.shape
    }

    /// Where the column called `name` is; at once when it is the next one.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        match self.shape.columns().get(self.next) {
            Some(column) if column.name == name => Some(self.next),
            _ => self.shape.position(name).map(|at| usize::from(at.0)),
        }
    }

    /// Gives the column at `at` its value.
    #[inline]
    pub(super) fn put(&mut self, at: usize, value: Value<'_>) -> Result<(), RowProblem> {
        if at < self.next || self.parked.get(at).is_some_and(Option::is_some) {
            return Err(RowProblem::twice(&self.shape.columns()[at].name));
        }
        if at > self.next {
            self.parked.resize(self.shape.columns().len(), None);
            self.parked[at] = Some(value.into_owned());
            return Ok(());
        }
        self.write(&value)?;
        while let Some(value) = self.parked.get_mut(self.next).and_then(Option::take) {
            self.write(&value)?;
        }
        Ok(())
    }

    /// Writes what is left: parked values, and for columns that nobody gave their default, else null.
    pub(super) fn finish(mut self) -> Result<(), RowProblem> {
        let shape = self.shape;
        while let Some(column) = shape.columns().get(self.next) {
            let parked = self.parked.get_mut(self.next).and_then(Option::take);
            match (parked, &column.default) {
                (Some(value), _) => self.write(&value)?,
                (None, Some(default)) => self.write(default)?,
                (None, None) if column.nullable => self.write(&Value::Null)?,
                (None, None) => return Err(RowProblem::missing(&column.name).help("give it a value")),
            }
        }
        Ok(())
    }

    #[inline]
    fn write(&mut self, value: &Value<'_>) -> Result<(), RowProblem> {
        self.writer.value(value)?;
        self.next += 1;
        Ok(())
    }
}
