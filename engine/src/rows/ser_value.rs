//! One serde value to the value of a column, by the column's type. Nothing is rounded: what does not fit exactly is
//! refused.

use anabranch_model::convert::{exact_decimal, finite, parse_text, shown, wanted};
use anabranch_model::decimal::{Decimal, MAX_DIGITS};
use anabranch_model::time::in_range;
use anabranch_model::types::Type;
use anabranch_model::value::Value;
use serde::ser::{Impossible, Serialize, SerializeSeq, SerializeTuple, Serializer};

use super::instant::{Instant, InstantKind};
use super::problem::RowProblem;

/// Where the value goes. It may borrow from the serialised value, so it cannot be returned.
pub(super) type Sink<'k> = dyn FnMut(Value<'_>) -> Result<(), RowProblem> + 'k;

/// Serialises the value of a column of type `ty`. A json column takes whatever serde can write as JSON.
pub(super) fn serialize_column<T: Serialize + ?Sized>(
    value: &T,
    ty: &Type,
    sink: &mut Sink<'_>,
) -> Result<(), RowProblem> {
    if *ty != Type::Json {
        return value.serialize(ValueSerializer::new(ty, sink));
    }
    let text = serde_json::to_string(value).map_err(|error| RowProblem::new(error.to_string()))?;
    match text.as_str() {
        "null" => sink(Value::Null),
        _ => sink(Value::Json(text.into())),
    }
}

/// Takes one value of a type that is not json.
pub(super) struct ValueSerializer<'t, 'k, 'f> {
    ty: &'t Type,
    sink: &'k mut Sink<'f>,
}

impl<'t, 'k, 'f> ValueSerializer<'t, 'k, 'f> {
    pub(super) fn new(ty: &'t Type, sink: &'k mut Sink<'f>) -> Self {
        ValueSerializer { ty, sink }
    }

    fn refused<T>(&self, found: &str) -> Result<T, RowProblem> {
        Err(RowProblem::new(format!("{found} is not {}", wanted(self.ty))))
    }

    /// An integer of any width.
    #[inline]
    fn integer(self, number: i128) -> Result<(), RowProblem> {
        let narrow = i64::try_from(number).ok();
        let value = match self.ty {
            Type::Int => narrow.map(Value::Int),
            Type::Duration => narrow.map(Value::Duration),
            Type::Time => narrow.filter(|time| in_range(*time)).map(Value::Time),
            Type::Float => exact_float(number).map(Value::Float),
            Type::Decimal { precision, scale } => {
                let whole = Decimal::from_parts(number, 0);
                if !whole.fits(MAX_DIGITS) {
                    return self.refused(&format!("the number {number}"));
                }
                Some(Value::Decimal(exact_decimal(whole, *precision, *scale).map_err(RowProblem::new)?))
            }
            Type::Bool | Type::Text | Type::Bytes | Type::Json | Type::Enum(_) => None,
        };
        match (value, self.ty) {
            (Some(value), _) => (self.sink)(value),
            (None, Type::Int | Type::Duration | Type::Time) => {
                Err(RowProblem::new(format!("the number {number} is out of the range of {}", self.ty)))
            }
            (None, Type::Float) => {
                Err(RowProblem::new(format!("the number {number} would have to be rounded to be a float")))
            }
            (None, _) => self.refused(&format!("the number {number}")),
        }
    }

    fn float(self, number: f64) -> Result<(), RowProblem> {
        match (self.ty, finite(number)) {
            (Type::Float, Some(value)) => (self.sink)(value),
            (Type::Float, None) => {
                Err(RowProblem::new(format!("{number} is not finite")).help("give null or a number"))
            }
            (Type::Decimal { .. }, _) => self
                .refused(&format!("the float {number:?}"))
                .map_err(|problem| problem.help("give it as text, so that nothing is rounded")),
            _ => self.refused(&format!("the float {number:?}")),
        }
    }
}

/// The float that is exactly this number.
fn exact_float(number: i128) -> Option<f64> {
    let float = number as f64;
    // The largest i128 rounds to 2^127, which saturates back to it.
    (float as i128 == number && number != i128::MAX).then_some(float)
}

macro_rules! integers {
    ($($method:ident($ty:ty))*) => {
        $(#[inline]
        fn $method(self, number: $ty) -> Result<(), RowProblem> {
            self.integer(i128::from(number))
        })*
    };
}

impl<'t, 'k, 'f> Serializer for ValueSerializer<'t, 'k, 'f> {
    type Ok = ();
    type Error = RowProblem;
    type SerializeSeq = ByteSequence<'k, 'f>;
    type SerializeTuple = ByteSequence<'k, 'f>;
    type SerializeTupleStruct = Impossible<(), RowProblem>;
    type SerializeTupleVariant = Impossible<(), RowProblem>;
    type SerializeMap = Impossible<(), RowProblem>;
    type SerializeStruct = Instant<'k, 'f>;
    type SerializeStructVariant = Impossible<(), RowProblem>;

    integers! {
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
    }

    fn serialize_u128(self, number: u128) -> Result<(), RowProblem> {
        match i128::try_from(number) {
            Ok(number) => self.integer(number),
            Err(_) => self.refused(&format!("the number {number}")),
        }
    }

    fn serialize_bool(self, truth: bool) -> Result<(), RowProblem> {
        match self.ty {
            Type::Bool => (self.sink)(Value::Bool(truth)),
            _ => self.refused(&format!("the bool {truth}")),
        }
    }

    fn serialize_f32(self, number: f32) -> Result<(), RowProblem> {
        self.float(f64::from(number))
    }

    fn serialize_f64(self, number: f64) -> Result<(), RowProblem> {
        self.float(number)
    }

    fn serialize_char(self, letter: char) -> Result<(), RowProblem> {
        self.serialize_str(letter.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), RowProblem> {
        match self.ty {
            Type::Text => (self.sink)(Value::from(text)),
            Type::Bool | Type::Int | Type::Float | Type::Json => {
                self.refused(&format!("the text {}", shown(text)))
            }
            Type::Decimal { .. } | Type::Bytes | Type::Time | Type::Duration | Type::Enum(_) => {
                (self.sink)(parse_text(text, self.ty).map_err(RowProblem::new)?)
            }
        }
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), RowProblem> {
        match self.ty {
            Type::Bytes => (self.sink)(Value::Bytes(bytes.into())),
            _ => self.refused("a sequence of bytes"),
        }
    }

    fn serialize_none(self) -> Result<(), RowProblem> {
        (self.sink)(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), RowProblem> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), RowProblem> {
        (self.sink)(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), RowProblem> {
        (self.sink)(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), RowProblem> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), RowProblem> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<(), RowProblem> {
        self.refused(&format!("the enum value `{variant}` with its content"))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<ByteSequence<'k, 'f>, RowProblem> {
        match self.ty {
            // A length from outside is a hint, not a reason to take that much memory.
            Type::Bytes => {
                Ok(ByteSequence { bytes: Vec::with_capacity(length.unwrap_or(0).min(4096)), sink: self.sink })
            }
            _ => self.refused("a sequence"),
        }
    }

    fn serialize_tuple(self, length: usize) -> Result<ByteSequence<'k, 'f>, RowProblem> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, RowProblem> {
        self.refused(&format!("the tuple `{name}`"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, RowProblem> {
        self.refused(&format!("the enum value `{variant}` with its content"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, RowProblem> {
        self.refused("a map")
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Instant<'k, 'f>, RowProblem> {
        match InstantKind::named(name, self.ty) {
            Some(kind) => Ok(Instant::new(kind, self.sink)),
            None => self.refused(&format!("the struct `{name}`")),
        }
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, RowProblem> {
        self.refused(&format!("the enum value `{variant}` with its content"))
    }
}

/// A sequence of numbers from 0 to 255 that becomes bytes.
pub(super) struct ByteSequence<'k, 'f> {
    bytes: Vec<u8>,
    sink: &'k mut Sink<'f>,
}

impl SerializeSeq for ByteSequence<'_, '_> {
    type Ok = ();
    type Error = RowProblem;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RowProblem> {
        static NUMBER: Type = Type::Int;
        let mut take = |number: Value<'_>| match number {
            Value::Int(number) if u8::try_from(number).is_ok() => {
                self.bytes.push(number as u8);
                Ok(())
            }
            _ => Err(RowProblem::new("a byte is a number from 0 to 255")),
        };
        value.serialize(ValueSerializer::new(&NUMBER, &mut take))
    }

    fn end(self) -> Result<(), RowProblem> {
        (self.sink)(Value::Bytes(self.bytes.into()))
    }
}

impl SerializeTuple for ByteSequence<'_, '_> {
    type Ok = ();
    type Error = RowProblem;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RowProblem> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<(), RowProblem> {
        SerializeSeq::end(self)
    }
}
