//! A row that a host application holds: packed bytes that own their memory, with the shape that explains them.

use std::fmt;
use std::sync::Arc;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::json::{to_json_text, write_string};
use anabranch_model::types::{ColumnId, Shape, Type};
use anabranch_model::value::Value;
use serde::de::Deserialize;
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::de::RowDeserializer;
use super::problem::RowProblem;
use super::{push, push_json};

/// A row of a stream or a table.
///
/// It shows as compact JSON with its columns in their declared order, and is equal to a row of the same shape that
/// says the same.
#[derive(Clone)]
pub struct Row {
    bytes: Box<[u8]>,
    shape: Arc<Shape>,
}

impl Row {
    /// The row that packed bytes hold. They came out of a batch or a table of this shape, where rows are checked on
    /// their way in.
    pub(crate) fn new(shape: Arc<Shape>, bytes: Box<[u8]>) -> Self {
        debug_assert_eq!(anabranch_model::Row::check(&bytes, &shape), Ok(()));
        Row { bytes, shape }
    }

    /// The row that a struct or a map with string keys is (see [`rows`](super) for how types meet columns).
    ///
    /// # Errors
    /// Which column does not fit, and why.
    pub fn of(shape: &Arc<Shape>, value: &(impl Serialize + ?Sized)) -> Result<Row, RowProblem> {
        Row::pushed(shape, |batch| push(batch, shape, value))
    }

    /// The row that a JSON object is. Numbers with decimals do not stand for a decimal here, because their digits are
    /// lost already: write them as strings.
    ///
    /// # Errors
    /// Which column does not fit, and why.
    pub fn from_json(shape: &Arc<Shape>, object: &serde_json::Value) -> Result<Row, RowProblem> {
        Row::pushed(shape, |batch| push_json(batch, shape, object))
    }

    /// The rows of a batch of this shape.
    pub fn all<'b>(shape: &'b Arc<Shape>, batch: &'b Batch) -> impl Iterator<Item = Row> + use<'b> {
        batch.rows().map(|bytes| Row::new(shape.clone(), bytes.into()))
    }

    fn pushed(
        shape: &Arc<Shape>,
        push: impl FnOnce(&mut Batch) -> Result<(), RowProblem>,
    ) -> Result<Row, RowProblem> {
        let mut batch = Batch::new(SchemaId::default());
        push(&mut batch)?;
        let bytes = batch.rows().next().expect("one row was pushed");
        Ok(Row::new(shape.clone(), bytes.into()))
    }

    /// The columns that the row has.
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// The packed bytes, header included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value of a column by its name; `None` when there is no such column.
    pub fn get(&self, column: &str) -> Option<Value<'_>> {
        self.shape.position(column).map(|at| self.packed().value(at))
    }

    /// The value of a column by its place from 0; `None` when the row has fewer.
    pub fn value(&self, at: usize) -> Option<Value<'_>> {
        let there = at < self.shape.columns().len();
        there.then(|| self.packed().value(ColumnId(at as u16)))
    }

    /// Names and values in declared order.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.shape.columns().iter().map(|column| column.name.as_str()).zip(self.packed().values())
    }

    /// The row as a struct or a map (see [`rows`](super) for how columns meet types). Fields of type `&str` borrow
    /// from the row.
    ///
    /// # Errors
    /// Which column does not fit its field, and why.
    pub fn to<'a, T: Deserialize<'a>>(&'a self) -> Result<T, RowProblem> {
        T::deserialize(RowDeserializer::new(self.packed()))
    }

    /// The row as a JSON object in memory, whose keys are sorted. [`Row::to_json_text`] keeps the declared order.
    ///
    /// # Errors
    /// A json column holds what `serde_json` cannot hold: a number beyond a float, or over 128 levels.
    pub fn to_json(&self) -> Result<serde_json::Value, RowProblem> {
        self.to()
    }

    /// The row as JSON on one line, columns in declared order, every digit as it is.
    pub fn to_json_text(&self) -> String {
        let mut text = String::with_capacity(2 * self.bytes.len());
        write_json(&self.shape, &self.bytes, &mut text);
        text
    }

    pub(crate) fn packed(&self) -> anabranch_model::Row<'_> {
        anabranch_model::Row::new(&self.bytes, &self.shape)
    }
}

/// Appends a packed row of `shape` as JSON on one line, as [`Row::to_json_text`] does.
pub(crate) fn write_json(shape: &Shape, bytes: &[u8], text: &mut String) {
    let row = anabranch_model::Row::new(bytes, shape);
    for (at, (column, value)) in shape.columns().iter().zip(row.values()).enumerate() {
        text.push(if at == 0 { '{' } else { ',' });
        write_string(&column.name, text);
        text.push(':');
        to_json_text(&value, &column.ty, text);
    }
    if shape.columns().is_empty() {
        text.push('{');
    }
    text.push('}');
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json_text())
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row{self}")
    }
}

/// Stamps and flags do not count.
impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        let same_shape = Arc::ptr_eq(&self.shape, &other.shape) || self.shape == other.shape;
        same_shape && self.packed().body() == other.packed().body()
    }
}

/// As a map in declared order, with the values that JSON has: decimals, times, durations and bytes as strings. Json
/// columns are themselves in `serde_json` and in rows.
impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.shape.columns().len()))?;
        for (column, value) in self.shape.columns().iter().zip(self.packed().values()) {
            map.serialize_entry(&column.name, &Shown { value, ty: &column.ty })?;
        }
        map.end()
    }
}

struct Shown<'a> {
    value: Value<'a>,
    ty: &'a Type,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Json(_) => {
                let mut line = String::new();
                to_json_text(&self.value, self.ty, &mut line);
                let raw: &RawValue = serde_json::from_str(&line).map_err(S::Error::custom)?;
                raw.serialize(serializer)
            }
            value => serializer.serialize_str(&anabranch_model::convert::text_of(value, self.ty)),
        }
    }
}
