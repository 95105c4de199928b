//! Rows as typed messages: column `n` of a shape, counted from 1, is field `n`.
//!
//! | column | field | not sent |
//! |---|---|---|
//! | text, bytes | `string`, `bytes` | empty |
//! | bool, int | `bool`, `int64` | false, 0 |
//! | float | `double`, finite | 0.0 |
//! | decimal | `string`, the exact digits: `"1.50"` | an error |
//! | time | `google.protobuf.Timestamp`, whole microseconds | an error |
//! | duration | `google.protobuf.Duration`, whole microseconds | an error |
//! | json | `string`, JSON text | an error |
//! | enum | an enum; value `n` of the list, counted from 1, has the number `n`, 0 is no value | an error |
//!
//! A column that is nullable or has a default is `optional`: not sent it takes its default, else null. What is sent
//! is taken exactly or is an error that names the column, never rounded or cut. Fields of other numbers are passed
//! over; of a field that is sent twice the last counts, as everywhere in Protocol Buffers.

use std::fmt;
use std::io::Write;

use anabranch_model::batch::Batch;
use anabranch_model::convert::{parse_text, wanted};
use anabranch_model::row::{MAX_ROW_BYTES, Row, RowError};
use anabranch_model::time::in_range;
use anabranch_model::types::{Column, Shape, Type};
use anabranch_model::value::Value;

use super::field::{Content, Fields, Malformed, put_bytes, put_fixed64, put_nested, put_number};

/// Bytes of a message of one row, at most: twice what its packed row may have, so that no row is too long as a message.
pub const MESSAGE_BYTES_MAX: usize = 2 * MAX_ROW_BYTES;

/// Columns whose fields are gathered without an allocation.
const FEW_COLUMNS: usize = 32;

const MICROS: i64 = 1_000_000;

/// A message that is no row of its shape. Nothing was taken of it.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodeError {
    /// The bytes are no message of Protocol Buffers.
    Malformed {
        /// The field in which they stop making sense; none where not even its number can be read.
        field: Option<String>,
        /// Why.
        why: &'static str,
    },
    /// A field has the encoding of another type: the sender rests on another `.proto`.
    OtherType {
        /// The field.
        field: String,
        /// What it takes.
        wanted: String,
    },
    /// A field holds what its column does not.
    Value {
        /// The field.
        field: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A column without a default and without a zero value was not sent.
    Missing {
        /// The field.
        field: String,
        /// What it takes.
        wanted: String,
    },
    /// The message is longer than [`MESSAGE_BYTES_MAX`].
    Length {
        /// How long.
        bytes: usize,
    },
    /// The values make no row.
    Row(RowError),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Malformed { field: Some(field), why } => {
                write!(f, "the message cannot be read, field `{field}`: {why}")
            }
            DecodeError::Malformed { field: None, why } => write!(f, "the message cannot be read: {why}"),
            DecodeError::OtherType { field, wanted } => write!(
                f,
                "field `{field}` is sent as another type; it takes {wanted}: take the `.proto` of this flow again"
            ),
            DecodeError::Value { field, why } => write!(f, "field `{field}`: {why}"),
            DecodeError::Missing { field, wanted } => {
                write!(f, "field `{field}` is not sent and has no default: give it {wanted}")
            }
            DecodeError::Length { bytes } => {
                write!(f, "the message has {bytes} bytes; a row has at most {MESSAGE_BYTES_MAX}")
            }
            DecodeError::Row(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<RowError> for DecodeError {
    fn from(error: RowError) -> Self {
        DecodeError::Row(error)
    }
}

/// Appends the row that a message holds to a batch of rows of `shape`.
///
/// # Errors
/// What is wrong with which field; the batch is as it was.
pub fn decode_row(message: &[u8], shape: &Shape, batch: &mut Batch) -> Result<(), DecodeError> {
    with_found(message, shape, |found| {
        batch.push_with(shape, |writer| {
            for (column, found) in shape.columns().iter().zip(found) {
                writer.value(&found.value(column)?)?;
            }
            Ok(())
        })
    })
}

/// The values of a message, in the order of the columns.
///
/// # Errors
/// What is wrong with which field.
pub fn decode_values(message: &[u8], shape: &Shape) -> Result<Vec<Value<'static>>, DecodeError> {
    with_found(message, shape, |found| {
        let columns = shape.columns().iter().zip(found);
        columns.map(|(column, found)| found.value(column).map(Value::into_owned)).collect()
    })
}

/// Appends a packed row as a message.
pub fn encode_row(row: Row<'_>, out: &mut Vec<u8>) {
    for (number, (column, value)) in (1..).zip(row.shape().columns().iter().zip(row.values())) {
        encode_value(number, column, &value, out);
    }
}

/// Whether the field of a column tells "not sent" from its zero value.
pub fn is_optional(column: &Column) -> bool {
    column.nullable || column.default.is_some()
}

/// What was found of one column.
#[derive(Clone, Copy, Debug)]
enum Found<'a> {
    Nothing,
    /// Of a varint or of eight bytes.
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a Timestamp or a Duration. Their parts may come in several pieces, which are one message together.
    Parts {
        seconds: i64,
        nanos: i64,
    },
}

/// Gathers the last field of each column and gives them to `take`.
fn with_found<'a, T>(
    message: &'a [u8],
    shape: &Shape,
    take: impl FnOnce(&[Found<'a>]) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(DecodeError::Length { bytes: message.len() });
    }
    let count = shape.columns().len();
    let (mut few, mut many) = ([Found::Nothing; FEW_COLUMNS], Vec::new());
    let found = match few.get_mut(..count) {
        Some(few) => few,
        None => {
            many.resize(count, Found::Nothing);
            many.as_mut_slice()
        }
    };
    let mut fields = Fields::of(message);
    while let Some((number, content)) = fields.next().map_err(|error| malformed(error, shape))? {
        let at = number as usize - 1;
        if let (Some(column), Some(found)) = (shape.columns().get(at), found.get_mut(at)) {
            found.put(content, column)?;
        }
    }
    take(found)
}

#[cold]
fn malformed(error: Malformed, shape: &Shape) -> DecodeError {
    let name = |number: u32| match shape.columns().get(number as usize - 1) {
        Some(column) => column.name.clone(),
        None => number.to_string(),
    };
    DecodeError::Malformed { field: error.number.map(name), why: error.why }
}

#[cold]
fn other_type(column: &Column) -> DecodeError {
    DecodeError::OtherType { field: column.name.clone(), wanted: wanted_field(&column.ty) }
}

#[cold]
fn wrong(column: &Column, why: impl Into<String>) -> DecodeError {
    DecodeError::Value { field: column.name.clone(), why: why.into() }
}

/// What a field of a type looks like, for messages.
fn wanted_field(ty: &Type) -> String {
    match ty {
        Type::Text => "a string".to_owned(),
        Type::Bytes => "bytes".to_owned(),
        Type::Time => "a google.protobuf.Timestamp".to_owned(),
        Type::Duration => "a google.protobuf.Duration".to_owned(),
        Type::Decimal { .. } | Type::Json => format!("a string: {}", wanted(ty)),
        Type::Bool | Type::Int | Type::Float | Type::Enum(_) => wanted(ty),
    }
}

impl<'a> Found<'a> {
    #[inline]
    fn put(&mut self, content: Content<'a>, column: &Column) -> Result<(), DecodeError> {
        *self = match (content, &column.ty) {
            (Content::Varint(number), Type::Bool | Type::Int | Type::Enum(_)) => Found::Number(number),
            (Content::Fixed64(number), Type::Float) => Found::Number(number),
            (Content::Bytes(bytes), Type::Text | Type::Bytes | Type::Json | Type::Decimal { .. }) => {
                // One that does not count, because another follows, has to be a string all the same.
                if let Found::Bytes(before) = *self
                    && column.ty != Type::Bytes
                {
                    text(before, column)?;
                }
                Found::Bytes(bytes)
            }
            (Content::Bytes(bytes), Type::Time | Type::Duration) => self.parts(bytes, column)?,
            _ => return Err(other_type(column)),
        };
        Ok(())
    }

    fn parts(self, bytes: &[u8], column: &Column) -> Result<Self, DecodeError> {
        let (mut seconds, mut nanos) = match self {
            Found::Parts { seconds, nanos } => (seconds, nanos),
            _ => (0, 0),
        };
        let mut fields = Fields::of(bytes);
        let field = || Some(column.name.clone());
        let malformed = |error: Malformed| DecodeError::Malformed { field: field(), why: error.why };
        while let Some((number, content)) = fields.next().map_err(malformed)? {
            match (number, content) {
                (1, Content::Varint(number)) => seconds = number as i64,
                (2, Content::Varint(number)) => nanos = number as i64,
                (1 | 2, _) => return Err(other_type(column)),
                _ => {}
            }
        }
        Ok(Found::Parts { seconds, nanos })
    }

    /// The value of the column.
    #[inline]
    fn value<'v>(&self, column: &'v Column) -> Result<Value<'v>, DecodeError>
    where
        'a: 'v,
    {
        match (*self, &column.ty) {
            (Found::Nothing, _) | (Found::Number(0), Type::Enum(_)) => absent(column),
            (Found::Number(number), Type::Bool) => Ok(Value::Bool(number != 0)),
            (Found::Number(number), Type::Int) => Ok(Value::Int(number as i64)),
            (Found::Number(number), Type::Enum(of)) => match usize::try_from(number - 1) {
                Ok(at) if at < of.values.len() => Ok(Value::Enum(at as u16)),
                _ => Err(wrong(column, format!("{} is not {}", number as i64, wanted(&column.ty)))),
            },
            (Found::Number(bits), _) => match f64::from_bits(bits) {
                number if number.is_finite() => Ok(Value::Float(number + 0.0)),
                number => Err(wrong(column, format!("{number} is not a finite number"))),
            },
            (Found::Bytes(bytes), Type::Bytes) => Ok(Value::Bytes(bytes.into())),
            (Found::Bytes(bytes), ty) => {
                let text = text(bytes, column)?;
                match ty {
                    Type::Text => Ok(Value::Text(text.into())),
                    _ => parse_text(text, ty).map_err(|why| wrong(column, why)),
                }
            }
            (Found::Parts { seconds, nanos }, ty) => parts_value(seconds, nanos, *ty == Type::Time, column),
        }
    }
}

/// A string of a message.
fn text<'a>(bytes: &'a [u8], column: &Column) -> Result<&'a str, DecodeError> {
    let why =
        |error: std::str::Utf8Error| format!("the text is not UTF-8 from byte {} on", error.valid_up_to());
    std::str::from_utf8(bytes).map_err(|error| wrong(column, why(error)))
}

/// What a column that was not sent takes.
fn absent(column: &Column) -> Result<Value<'_>, DecodeError> {
    match &column.default {
        Some(default) => return Ok(default.borrow()),
        None if column.nullable => return Ok(Value::Null),
        None => {}
    }
    Ok(match &column.ty {
        Type::Bool => Value::Bool(false),
        Type::Int => Value::Int(0),
        Type::Float => Value::Float(0.0),
        Type::Text => Value::Text("".into()),
        Type::Bytes => Value::Bytes((&[][..]).into()),
        ty @ (Type::Decimal { .. } | Type::Time | Type::Duration | Type::Json | Type::Enum(_)) => {
            return Err(DecodeError::Missing { field: column.name.clone(), wanted: wanted_field(ty) });
        }
    })
}

/// Microseconds of a Timestamp or a Duration.
fn parts_value<'v>(
    seconds: i64,
    nanos: i64,
    is_time: bool,
    column: &Column,
) -> Result<Value<'v>, DecodeError> {
    let same_sign = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    if !(-999_999_999..=999_999_999).contains(&nanos) || is_time && nanos < 0 || !is_time && !same_sign {
        return Err(wrong(column, format!("{nanos} nanos do not go with {seconds} seconds")));
    }
    if nanos % 1000 != 0 {
        let why = format!("{nanos} nanos would be rounded: the column holds microseconds; cut them there");
        return Err(wrong(column, why));
    }
    let micros = seconds.checked_mul(MICROS).and_then(|micros| micros.checked_add(nanos / 1000));
    match micros {
        Some(micros) if !is_time => Ok(Value::Duration(micros)),
        Some(micros) if in_range(micros) => Ok(Value::Time(micros)),
        _ if is_time => {
            Err(wrong(column, format!("{seconds} seconds from 1970 lie outside the years 1 to 9999")))
        }
        _ => Err(wrong(column, format!("{seconds} seconds are longer than 64 bits of microseconds"))),
    }
}

#[inline]
fn encode_value(number: u32, column: &Column, value: &Value<'_>, out: &mut Vec<u8>) {
    let always = is_optional(column);
    match value {
        Value::Null => {}
        Value::Bool(truth) if *truth || always => put_number(number, u64::from(*truth), out),
        Value::Int(value) if *value != 0 || always => put_number(number, *value as u64, out),
        Value::Float(value) if *value != 0.0 || always => put_fixed64(number, value.to_bits(), out),
        Value::Text(text) if !text.is_empty() || always => put_bytes(number, text.as_bytes(), out),
        Value::Bytes(bytes) if !bytes.is_empty() || always => put_bytes(number, bytes, out),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Bytes(_) => {}
        Value::Json(text) => put_bytes(number, text.as_bytes(), out),
        Value::Enum(at) => put_number(number, u64::from(*at) + 1, out),
        Value::Decimal(decimal) => put_nested(number, out, |out| {
            write!(out, "{decimal}").expect("writing to a buffer in memory cannot fail");
        }),
        Value::Time(micros) => {
            put_parts(number, micros.div_euclid(MICROS), micros.rem_euclid(MICROS) * 1000, out);
        }
        Value::Duration(micros) => put_parts(number, micros / MICROS, micros % MICROS * 1000, out),
    }
}

/// Appends a Timestamp or a Duration.
fn put_parts(number: u32, seconds: i64, nanos: i64, out: &mut Vec<u8>) {
    put_nested(number, out, |out| {
        if seconds != 0 {
            put_number(1, seconds as u64, out);
        }
        if nanos != 0 {
            put_number(2, nanos as u64, out);
        }
    });
}
