//! Packed rows: the one encoding that a row has from ingress through exchange and table to the journal and the wire.
//!
//! ```text
//! offset  bytes  what (little-endian)
//! 0       4      length of the whole row, this header included
//! 4       1      flags: bit 0 says that the row is a tombstone
//! 5       1      zero
//! 6       2      site of the stamp
//! 8       8      hybrid-clock stamp; zero until an owner writes the row into a table
//! 16      n      null bits, one a column, rounded up to bytes
//! ..      f      one slot a column: bool 1, enum 2, int, float, time and duration 8, decimal 16 bytes (at the
//!                column's scale); text, bytes and json 4: where the value ends, counted from the end of the slots
//! ..      v      the bytes of text, bytes and json columns, in column order
//! ```
//!
//! A row carries its length, so rows lie behind each other in a batch without a table of offsets. There is one
//! encoding for a row (null slots are zero, -0.0 does not exist), so rows are equal when their bytes after the header
//! are.

mod template;

use std::borrow::Cow;
use std::fmt;

use crate::decimal::Decimal;
use crate::types::{Column, ColumnId, Shape, Type};
use crate::value::Value;

pub use template::{Template, TemplateCell};

/// Bytes of the header of a row.
pub const ROW_HEADER_BYTES: usize = 16;

/// The byte of the header that holds the flags; the one behind it is zero.
const FLAGS_BYTE: usize = 4;

/// The flag of a tombstone.
const TOMBSTONE: u8 = 1;

/// The bytes of the header that hold the stamp.
pub const ROW_STAMP_BYTES: std::ops::Range<usize> = 8..16;

/// Bytes of a row, at most. A batch holds at least four such rows.
pub const MAX_ROW_BYTES: usize = 4 << 20;

/// Where the columns of a shape lie in its packed rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    slots: Vec<Slot>,
    /// A row whose slots are all zero, up to the end of the slots.
    blank: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Slot {
    offset: usize,
    kind: SlotKind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum SlotKind {
    /// The value itself, so many bytes.
    Fixed(usize),
    /// Where the value ends; it begins where the one before it ends.
    Variable { previous: Option<usize> },
}

impl Layout {
    pub(crate) fn of(columns: &[Column]) -> Self {
        let mut offset = ROW_HEADER_BYTES + columns.len().div_ceil(8);
        let mut previous = None;
        let mut slots = Vec::with_capacity(columns.len());
        for column in columns {
            let (kind, bytes) = match column.ty {
                Type::Bool => (SlotKind::Fixed(1), 1),
                Type::Enum(_) => (SlotKind::Fixed(2), 2),
                Type::Int | Type::Float | Type::Time | Type::Duration => (SlotKind::Fixed(8), 8),
                Type::Decimal { .. } => (SlotKind::Fixed(16), 16),
                Type::Text | Type::Bytes | Type::Json => {
                    (SlotKind::Variable { previous: previous.replace(offset) }, 4)
                }
            };
            slots.push(Slot { offset, kind });
            offset += bytes;
        }
        Layout { slots, blank: vec![0; offset].into() }
    }

    /// Bytes of a row whose variable columns are all empty.
    #[inline]
    pub fn fixed_bytes(&self) -> usize {
        self.blank.len()
    }
}

/// A packed row with the shape that explains it.
///
/// ```
/// use anabranch_model::{Column, ColumnId, Row, RowWriter, Shape, Type, Value};
/// let column = |name: &str, ty| Column { name: name.into(), ty, nullable: true, default: None };
/// let shape = Shape::new(vec![column("name", Type::Text), column("value", Type::Int)]);
/// let mut bytes = Vec::new();
/// let mut writer = RowWriter::new(&mut bytes, &shape);
/// writer.value(&Value::from("a")).unwrap();
/// writer.value(&Value::Null).unwrap();
/// writer.finish().unwrap();
/// let row = Row::new(&bytes, &shape);
/// assert_eq!(row.value(ColumnId(0)), Value::from("a"));
/// assert!(row.is_null(ColumnId(1)));
/// ```
#[derive(Clone, Copy)]
pub struct Row<'a> {
    bytes: &'a [u8],
    shape: &'a Shape,
}

impl<'a> Row<'a> {
    /// The row that these bytes hold. They came from a [`RowWriter`] of the same shape, or passed [`Row::check`].
    pub fn new(bytes: &'a [u8], shape: &'a Shape) -> Self {
        Row { bytes, shape }
    }

    /// The packed bytes, header included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the row says, without stamp and flags: equal for equal rows.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[ROW_HEADER_BYTES..]
    }

    /// The row's shape.
    pub fn shape(&self) -> &'a Shape {
        self.shape
    }

    /// Whether a column is null.
    #[inline]
    pub fn is_null(&self, column: ColumnId) -> bool {
        let at = column.0 as usize;
        self.bytes[ROW_HEADER_BYTES + at / 8] & (1 << (at % 8)) != 0
    }

    /// The value of a column.
    #[inline]
    pub fn value(&self, column: ColumnId) -> Value<'a> {
        if self.is_null(column) {
            return Value::Null;
        }
        let slot = self.slot_bytes(column);
        match &self.shape.column(column).ty {
            Type::Bool => Value::Bool(slot[0] != 0),
            Type::Int => Value::Int(i64::from_le_bytes(array(slot))),
            Type::Float => Value::Float(f64::from_le_bytes(array(slot))),
            Type::Decimal { scale, .. } => {
                Value::Decimal(Decimal::from_parts(i128::from_le_bytes(array(slot)), *scale))
            }
            Type::Text => Value::Text(Cow::Borrowed(text(slot))),
            Type::Bytes => Value::Bytes(Cow::Borrowed(slot)),
            Type::Time => Value::Time(i64::from_le_bytes(array(slot))),
            Type::Duration => Value::Duration(i64::from_le_bytes(array(slot))),
            Type::Json => Value::Json(Cow::Borrowed(text(slot))),
            Type::Enum(_) => Value::Enum(u16::from_le_bytes(array(slot))),
        }
    }

    /// All values in column order.
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let row = *self;
        (0..self.shape.columns().len()).map(move |at| row.value(ColumnId(at as u16)))
    }

    /// The bytes of a column as they are stored: the slot, or the value of a variable column.
    #[inline]
    pub fn slot_bytes(&self, column: ColumnId) -> &'a [u8] {
        let layout = self.shape.layout();
        let slot = layout.slots[column.0 as usize];
        match slot.kind {
            SlotKind::Fixed(bytes) => &self.bytes[slot.offset..slot.offset + bytes],
            SlotKind::Variable { previous } => {
                let start = previous.map_or(0, |offset| self.end_at(offset));
                let end = self.end_at(slot.offset);
                &self.bytes[layout.fixed_bytes()..][start..end]
            }
        }
    }

    #[inline]
    fn end_at(&self, offset: usize) -> usize {
        u32::from_le_bytes(array(&self.bytes[offset..offset + 4])) as usize
    }

    /// Checks bytes that came from outside: everything that [`Row::value`] rests on, and that the row is the one
    /// encoding of its values.
    ///
    /// # Errors
    /// What is wrong, at which column.
    pub fn check(bytes: &[u8], shape: &Shape) -> Result<(), RowError> {
        let fixed = shape.layout().fixed_bytes();
        if bytes.len() < fixed || bytes.len() > MAX_ROW_BYTES || row_length(bytes) != Some(bytes.len()) {
            return Err(RowError::Length { bytes: bytes.len() });
        }
        let columns = shape.columns().len();
        let unused = if columns.is_multiple_of(8) {
            0
        } else {
            bytes[ROW_HEADER_BYTES + columns / 8] >> (columns % 8)
        };
        if bytes[FLAGS_BYTE] & !TOMBSTONE != 0 || bytes[FLAGS_BYTE + 1] != 0 || unused != 0 {
            return Err(RowError::Header);
        }
        let row = Row::new(bytes, shape);
        let mut end = 0;
        for (at, (column, slot)) in shape.columns().iter().zip(&shape.layout().slots).enumerate() {
            if let SlotKind::Variable { .. } = slot.kind {
                let next = row.end_at(slot.offset);
                if next < end || next > bytes.len() - fixed {
                    return Err(RowError::damaged(column));
                }
                end = next;
            }
            row.check_column(ColumnId(at as u16), column)?;
        }
        match end == bytes.len() - fixed {
            true => Ok(()),
            false => Err(RowError::Length { bytes: bytes.len() }),
        }
    }

    fn check_column(&self, at: ColumnId, column: &Column) -> Result<(), RowError> {
        let slot = self.slot_bytes(at);
        if self.is_null(at) {
            let zero = slot.iter().all(|&byte| byte == 0);
            let empty = !is_variable(&column.ty) || slot.is_empty();
            return match column.nullable && zero && empty {
                true => Ok(()),
                false => Err(RowError::damaged(column)),
            };
        }
        let sound = match &column.ty {
            Type::Bool => slot[0] <= 1,
            Type::Int | Type::Time | Type::Duration | Type::Bytes => true,
            Type::Float => {
                let number = f64::from_le_bytes(array(slot));
                number.is_finite() && !(number == 0.0 && number.is_sign_negative())
            }
            Type::Decimal { precision, scale } => {
                Decimal::from_parts(i128::from_le_bytes(array(slot)), *scale).fits(*precision)
            }
            Type::Text => std::str::from_utf8(slot).is_ok(),
            Type::Json => serde_json::from_slice::<serde::de::IgnoredAny>(slot).is_ok(),
            Type::Enum(of) => usize::from(u16::from_le_bytes(array(slot))) < of.values.len(),
        };
        if sound { Ok(()) } else { Err(RowError::damaged(column)) }
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.shape.columns().iter().map(|column| &column.name).zip(self.values());
        f.debug_map().entries(named).finish()
    }
}

/// Where a variable column lies, prepared: reading it costs two loads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VariableColumn {
    before: Option<usize>,
    end: usize,
    values: usize,
}

impl VariableColumn {
    /// Where a column of text, bytes or json lies; `None` for others.
    pub(crate) fn of(shape: &Shape, column: ColumnId) -> Option<Self> {
        let slot = shape.layout().slots[column.0 as usize];
        match slot.kind {
            SlotKind::Fixed(_) => None,
            SlotKind::Variable { previous } => Some(VariableColumn {
                before: previous,
                end: slot.offset,
                values: shape.layout().fixed_bytes(),
            }),
        }
    }

    #[inline]
    pub(crate) fn read<'a>(&self, row: &'a [u8]) -> &'a [u8] {
        let number = |at: usize| u32::from_le_bytes(array(&row[at..at + 4])) as usize;
        &row[self.values..][self.before.map_or(0, number)..number(self.end)]
    }
}

/// The length that a packed row says it has, or `None` when the bytes end before that is said.
#[inline]
pub fn row_length(bytes: &[u8]) -> Option<usize> {
    bytes.get(..4).map(|length| u32::from_le_bytes(array(length)) as usize)
}

fn is_variable(ty: &Type) -> bool {
    matches!(ty, Type::Text | Type::Bytes | Type::Json)
}

#[inline]
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("a slot is as wide as its type")
}

#[inline]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("rows are checked where they enter")
}

/// Writes one packed row to the end of a buffer, column by column.
#[derive(Debug)]
pub struct RowWriter<'b, 's> {
    buffer: &'b mut Vec<u8>,
    shape: &'s Shape,
    start: usize,
    next: usize,
}

impl<'b, 's> RowWriter<'b, 's> {
    /// Begins a row at the end of `buffer`.
    #[inline]
    pub fn new(buffer: &'b mut Vec<u8>, shape: &'s Shape) -> Self {
        let start = buffer.len();
        buffer.extend_from_slice(&shape.layout().blank);
        RowWriter { buffer, shape, start, next: 0 }
    }

    /// Writes the next column.
    ///
    /// # Errors
    /// The value does not fit the column; the row is unusable and must be dropped ([`RowWriter::cancel`]).
    pub fn value(&mut self, value: &Value<'_>) -> Result<(), RowError> {
        let shape = self.shape;
        let column = shape.columns().get(self.next).ok_or(RowError::Columns)?;
        match (value, &column.ty) {
            (Value::Null, _) if column.nullable => self.null(),
            (Value::Null, _) => return Err(RowError::Null { column: column.name.clone() }),
            (Value::Bool(v), Type::Bool) => self.fixed(&[u8::from(*v)]),
            (Value::Int(v), Type::Int) => self.fixed(&v.to_le_bytes()),
            (Value::Time(v), Type::Time) => self.fixed(&v.to_le_bytes()),
            (Value::Duration(v), Type::Duration) => self.fixed(&v.to_le_bytes()),
            (Value::Float(v), Type::Float) if v.is_finite() => self.fixed(&(v + 0.0).to_le_bytes()),
            (Value::Decimal(v), Type::Decimal { precision, scale }) => {
                let stored = v.rescale(*scale).filter(|stored| stored.fits(*precision));
                let stored = stored.ok_or_else(|| RowError::Overflow { column: column.name.clone() })?;
                self.fixed(&stored.mantissa().to_le_bytes());
            }
            (Value::Text(v), Type::Text) | (Value::Json(v), Type::Json) => self.variable(v.as_bytes()),
            (Value::Bytes(v), Type::Bytes) => self.variable(v),
            (Value::Enum(v), Type::Enum(of)) if usize::from(*v) < of.values.len() => {
                self.fixed(&v.to_le_bytes());
            }
            _ => return Err(RowError::Type { column: column.name.clone(), ty: column.ty.clone() }),
        }
        Ok(())
    }

    /// Writes the next column as it stands in another row, where the column has the same type.
    #[inline]
    pub fn copy(&mut self, row: &Row<'_>, column: ColumnId) {
        if row.is_null(column) {
            return self.null();
        }
        self.packed(row.slot_bytes(column));
    }

    /// Writes the next column from bytes as [`Row::slot_bytes`] gives them for a column of the same type.
    #[inline]
    pub fn packed(&mut self, bytes: &[u8]) {
        match self.shape.layout().slots[self.next].kind {
            SlotKind::Fixed(_) => self.fixed(bytes),
            SlotKind::Variable { .. } => self.variable(bytes),
        }
    }

    /// Writes null to the next column.
    pub fn null(&mut self) {
        self.buffer[self.start + ROW_HEADER_BYTES + self.next / 8] |= 1 << (self.next % 8);
        match self.shape.layout().slots[self.next].kind {
            SlotKind::Fixed(_) => self.next += 1,
            SlotKind::Variable { .. } => self.variable(&[]),
        }
    }

    #[inline]
    fn fixed(&mut self, bytes: &[u8]) {
        let offset = self.start + self.shape.layout().slots[self.next].offset;
        self.buffer[offset..][..bytes.len()].copy_from_slice(bytes);
        self.next += 1;
    }

    #[inline]
    fn variable(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        let layout = self.shape.layout();
        let end = (self.buffer.len() - self.start - layout.fixed_bytes()) as u32;
        let offset = self.start + layout.slots[self.next].offset;
        self.buffer[offset..][..4].copy_from_slice(&end.to_le_bytes());
        self.next += 1;
    }

    /// Ends the row.
    ///
    /// # Errors
    /// Columns are missing, or the row is larger than [`MAX_ROW_BYTES`]; the buffer is as it was before the row.
    #[inline]
    pub fn finish(self) -> Result<(), RowError> {
        let bytes = self.buffer.len() - self.start;
        if self.next != self.shape.layout().slots.len() || bytes > MAX_ROW_BYTES {
            return Err(self.unfinished(bytes));
        }
        self.buffer[self.start..][..4].copy_from_slice(&(bytes as u32).to_le_bytes());
        Ok(())
    }

    #[cold]
    fn unfinished(self, bytes: usize) -> RowError {
        let missing = self.next != self.shape.columns().len();
        self.cancel();
        if missing { RowError::Columns } else { RowError::Length { bytes } }
    }

    /// Drops the row; the buffer is as it was before it.
    pub fn cancel(self) {
        self.buffer.truncate(self.start);
    }
}

/// A row that cannot be: what is wrong with which column.
#[derive(Clone, Debug, PartialEq)]
pub enum RowError {
    /// A null where none may be.
    Null {
        /// The column.
        column: String,
    },
    /// A value of another type.
    Type {
        /// The column.
        column: String,
        /// What it takes.
        ty: Type,
    },
    /// A decimal with more digits before the point than the column has.
    Overflow {
        /// The column.
        column: String,
    },
    /// Too few or too many columns.
    Columns,
    /// The row is too long, or its bytes do not end where they say.
    Length {
        /// How long it is.
        bytes: usize,
    },
    /// Flags or null bits that no row has.
    Header,
    /// Bytes that are no value of the column.
    Damaged {
        /// The column.
        column: String,
    },
}

impl RowError {
    fn damaged(column: &Column) -> Self {
        RowError::Damaged { column: column.name.clone() }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowError::Null { column } => write!(f, "`{column}` may not be null: give it a value"),
            RowError::Type { column, ty } => write!(f, "`{column}` takes a value of type {ty}"),
            RowError::Overflow { column } => write!(f, "the number has too many digits for `{column}`"),
            RowError::Columns => f.write_str("the row does not have the columns of its shape"),
            RowError::Length { bytes } if *bytes > MAX_ROW_BYTES => {
                write!(f, "the row has {bytes} bytes; a row has at most {MAX_ROW_BYTES}")
            }
            RowError::Length { bytes } => write!(f, "the row's {bytes} bytes are not those of its shape"),
            RowError::Header => f.write_str("the row's flags or null bits are not those of a row"),
            RowError::Damaged { column } => write!(f, "the bytes of `{column}` are no value of its type"),
        }
    }
}

impl std::error::Error for RowError {}
