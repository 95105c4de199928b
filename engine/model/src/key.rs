//! Key bytes: an encoding of key columns that sorts like their values, column by column.
//!
//! Numbers, times and enums are fixed-width, big-endian, the sign bit turned. Text and bytes in any place but the
//! last have each zero byte written as `00 ff` and end with `00 00`; in the last place they stand as they are, so
//! the key of a table that is keyed by one text is that text.
//!
//! Nulls sort first: where a column is nullable (never in a primary key) a byte 0 stands for null and a byte 1
//! precedes a value.

use std::sync::Arc;

use crate::row::{Row, VariableColumn};
use crate::types::{ColumnId, Shape, Type};
use crate::value::Value;

/// Bytes of a key, at most: a longer one is refused.
pub const MAX_KEY_BYTES: usize = 4096;

/// Reads the key bytes of some columns from packed rows of a shape.
#[derive(Clone, Debug)]
pub struct KeyReader {
    shape: Arc<Shape>,
    columns: Vec<ColumnId>,
    /// The only column, when it is text or bytes: its bytes are the key.
    plain: Option<VariableColumn>,
}

impl KeyReader {
    /// Reads these columns, none of which may be null.
    pub fn new(shape: &Arc<Shape>, columns: &[ColumnId]) -> Self {
        let plain = match columns {
            [only] if matches!(shape.column(*only).ty, Type::Text | Type::Bytes) => {
                VariableColumn::of(shape, *only)
            }
            _ => None,
        };
        KeyReader { shape: shape.clone(), columns: columns.to_vec(), plain }
    }

    /// The key bytes of a row: borrowed from it where they stand there, else written to `buffer`.
    #[inline]
    pub fn read<'a>(&self, row: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
        match &self.plain {
            Some(column) => column.read(row),
            None => self.encode(row, buffer),
        }
    }

    fn encode<'a>(&self, row: &[u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
        buffer.clear();
        let row = Row::new(row, &self.shape);
        for (at, &column) in self.columns.iter().enumerate() {
            encode(&row.value(column), false, at + 1 == self.columns.len(), buffer);
        }
        buffer
    }
}

/// Appends the encoding of one value. Decimals are at their column's scale ([`at_scale`]); `last` says that no column
/// follows in the key.
pub fn encode(value: &Value<'_>, nullable: bool, last: bool, out: &mut Vec<u8>) {
    if nullable {
        out.push(u8::from(!value.is_null()));
    }
    match value {
        Value::Null => {}
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::Int(v) | Value::Time(v) | Value::Duration(v) => {
            out.extend_from_slice(&((*v as u64) ^ (1 << 63)).to_be_bytes());
        }
        Value::Float(v) => out.extend_from_slice(&float_bits(*v).to_be_bytes()),
        Value::Decimal(v) => out.extend_from_slice(&((v.mantissa() as u128) ^ (1 << 127)).to_be_bytes()),
        Value::Enum(v) => out.extend_from_slice(&v.to_be_bytes()),
        Value::Text(v) | Value::Json(v) => encode_bytes(v.as_bytes(), last, out),
        Value::Bytes(v) => encode_bytes(v, last, out),
    }
}

/// The value with its decimal at exactly the scale of `ty`; `None` when that would round it away, so that no row of
/// such a column can equal it. Values of other types are as they are.
pub fn at_scale<'a>(value: Value<'a>, ty: &Type) -> Option<Value<'a>> {
    match (&value, ty) {
        (Value::Decimal(number), Type::Decimal { precision, scale }) => {
            let stored = number.rescale(*scale).filter(|stored| stored.fits(*precision))?;
            (stored.compare(number) == std::cmp::Ordering::Equal).then_some(Value::Decimal(stored))
        }
        _ => Some(value),
    }
}

/// The key of these values, or `None` when no row can have it: a null, or a decimal beyond its column's scale.
pub fn of_values<'v>(
    values: impl ExactSizeIterator<Item = (Value<'v>, &'v Type)>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let count = values.len();
    for (at, (value, ty)) in values.enumerate() {
        let value = at_scale(value, ty).filter(|value| !value.is_null())?;
        encode(&value, false, at + 1 == count, out);
    }
    Some(())
}

/// Total order of finite doubles as unsigned numbers: negative ones have all bits turned, others the sign bit.
fn float_bits(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

fn encode_bytes(bytes: &[u8], last: bool, out: &mut Vec<u8>) {
    if last {
        return out.extend_from_slice(bytes);
    }
    for piece in bytes.split_inclusive(|&byte| byte == 0) {
        out.extend_from_slice(piece);
        if piece.last() == Some(&0) {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}
