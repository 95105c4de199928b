//! A dynamic value. It exists inside expression evaluation and at the edges (JSON, CSV, serde); rows travel packed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;

/// One value of any type. Text, bytes and json may be borrowed from the row that they were read from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value<'a> {
    /// SQL's null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A finite double, never -0.0.
    Float(f64),
    /// A decimal with its own scale.
    Decimal(Decimal),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Microseconds since 1970 UTC.
    Time(i64),
    /// Microseconds.
    Duration(i64),
    /// JSON text, already checked.
    Json(Cow<'a, str>),
    /// The place of an enum value in its list.
    Enum(u16),
}

impl<'a> Value<'a> {
    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The same value, owning what it borrowed.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(v) => Value::Bool(v),
            Value::Int(v) => Value::Int(v),
            Value::Float(v) => Value::Float(v),
            Value::Decimal(v) => Value::Decimal(v),
            Value::Text(v) => Value::Text(Cow::Owned(v.into_owned())),
            Value::Bytes(v) => Value::Bytes(Cow::Owned(v.into_owned())),
            Value::Time(v) => Value::Time(v),
            Value::Duration(v) => Value::Duration(v),
            Value::Json(v) => Value::Json(Cow::Owned(v.into_owned())),
            Value::Enum(v) => Value::Enum(v),
        }
    }

    /// The same value, borrowing from `self`.
    pub fn borrow(&self) -> Value<'_> {
        match self {
            Value::Text(v) => Value::Text(Cow::Borrowed(v)),
            Value::Bytes(v) => Value::Bytes(Cow::Borrowed(v)),
            Value::Json(v) => Value::Json(Cow::Borrowed(v)),
            Value::Null => Value::Null,
            Value::Bool(v) => Value::Bool(*v),
            Value::Int(v) => Value::Int(*v),
            Value::Float(v) => Value::Float(*v),
            Value::Decimal(v) => Value::Decimal(*v),
            Value::Time(v) => Value::Time(*v),
            Value::Duration(v) => Value::Duration(*v),
            Value::Enum(v) => Value::Enum(*v),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Value::Bool(truth)
    }
}
