//! Types, columns and shapes: what a row may hold.
//!
//! A [`Shape`] is the list of columns that a stream or a table has. Two streams may share one. It knows the
//! byte layout of its packed rows (see [`crate::row`]), so nobody else computes an offset.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// The type of a column or of an expression, without its nullability.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Type {
    /// `true` or `false`; false sorts first.
    Bool,
    /// 64 bits, signed.
    Int,
    /// IEEE double, finite; -0.0 is stored as 0.0.
    Float,
    /// A decimal number with at most `precision` digits, `scale` of them after the point.
    Decimal {
        /// 1 to 38.
        precision: u8,
        /// 0 to `precision`.
        scale: u8,
    },
    /// UTF-8 text, compared by its bytes.
    Text,
    /// Bytes.
    Bytes,
    /// Microseconds since 1970 UTC.
    Time,
    /// Microseconds.
    Duration,
    /// JSON text, checked once, opaque afterwards.
    Json,
    /// One of a list of names, sorted by its place in the list.
    Enum(Arc<EnumType>),
}

/// A declared enum: its name and its values in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnumType {
    /// The declared name.
    pub name: String,
    /// The values; a value's number is its place here. At most 65,535.
    pub values: Vec<String>,
}

impl EnumType {
    /// The number of the value called `name`.
    pub fn position(&self, name: &str) -> Option<u16> {
        self.values.iter().position(|value| value == name).and_then(|at| u16::try_from(at).ok())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Float => f.write_str("float"),
            Type::Decimal { precision: 38, scale: 9 } => f.write_str("decimal"),
            Type::Decimal { precision, scale } => write!(f, "decimal({precision}, {scale})"),
            Type::Text => f.write_str("text"),
            Type::Bytes => f.write_str("bytes"),
            Type::Time => f.write_str("time"),
            Type::Duration => f.write_str("duration"),
            Type::Json => f.write_str("json"),
            Type::Enum(of) => f.write_str(&of.name),
        }
    }
}

/// One column of a shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, case-sensitive.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Whether it may be null.
    pub nullable: bool,
    /// What a row gets that does not name the column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value<'static>>,
}

/// The columns of a stream or a table, with the byte layout of its packed rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Column>", into = "Vec<Column>")]
pub struct Shape {
    columns: Vec<Column>,
    layout: crate::row::Layout,
}

impl Shape {
    /// The shape with these columns, in this order.
    pub fn new(columns: Vec<Column>) -> Self {
        let layout = crate::row::Layout::of(&columns);
        Shape { columns, layout }
    }

    /// The columns in declared order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column at place `at`.
    pub fn column(&self, at: ColumnId) -> &Column {
        &self.columns[at.0 as usize]
    }

    /// Where the column called `name` is.
    pub fn position(&self, name: &str) -> Option<ColumnId> {
        self.columns.iter().position(|column| column.name == name).map(|at| ColumnId(at as u16))
    }

    /// The byte layout of packed rows of this shape.
    pub fn layout(&self) -> &crate::row::Layout {
        &self.layout
    }
}

impl From<Vec<Column>> for Shape {
    fn from(columns: Vec<Column>) -> Self {
        Shape::new(columns)
    }
}

impl From<Shape> for Vec<Column> {
    fn from(shape: Shape) -> Self {
        shape.columns
    }
}

/// The place of a column in its shape. A shape has at most [`MAX_COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ColumnId(pub u16);

/// Columns per shape: enough for any table people write, and small enough that a row's fixed part stays in a page.
pub const MAX_COLUMNS: usize = 1024;
