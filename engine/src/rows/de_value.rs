//! The value of a column to one serde value, by what is asked for.

use std::borrow::Cow;

use anabranch_model::convert::text_of;
use anabranch_model::decimal::Decimal;
use anabranch_model::types::Type;
use anabranch_model::value::Value;
use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Visitor};

use super::instant::InstantKind;
use super::problem::RowProblem;

/// One value of a type that is not json.
pub(super) struct ValueDeserializer<'de> {
    value: Value<'de>,
    ty: &'de Type,
}

impl<'de> ValueDeserializer<'de> {
    pub(super) fn new(value: Value<'de>, ty: &'de Type) -> Self {
        ValueDeserializer { value, ty }
    }

    /// The whole number that it is: of microseconds for times and durations.
    fn whole(&self) -> Option<i128> {
        match self.value {
            Value::Int(number) | Value::Time(number) | Value::Duration(number) => Some(i128::from(number)),
            Value::Decimal(number) => whole_decimal(number),
            // Beyond 2^120 nothing of ours is asked for, and below it the cast is exact for whole numbers.
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e36 => Some(number as i128),
            _ => None,
        }
    }

    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        let Some(number) = self.whole() else {
            return self.deserialize_any(visitor);
        };
        if let Ok(number) = i64::try_from(number) {
            return visitor.visit_i64(number);
        }
        match u64::try_from(number) {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => visitor.visit_i128(number),
        }
    }

    fn float<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        match self.value {
            Value::Decimal(number) => visitor.visit_f64(number.to_float()),
            Value::Int(number) if (number as f64) as i128 != i128::from(number) => {
                Err(RowProblem::new(format!("{number} would have to be rounded to be a float")))
            }
            Value::Int(number) => visitor.visit_f64(number as f64),
            _ => self.deserialize_any(visitor),
        }
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        match (&self.value, self.ty) {
            (Value::Enum(at), Type::Enum(of)) => visitor.visit_borrowed_str(&of.values[usize::from(*at)]),
            _ => match text_of(&self.value, self.ty) {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
        }
    }

    fn bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        match self.value {
            Value::Bytes(Cow::Borrowed(bytes)) => visitor.visit_borrowed_bytes(bytes),
            Value::Bytes(Cow::Owned(bytes)) => visitor.visit_byte_buf(bytes),
            _ => self.deserialize_any(visitor),
        }
    }

    fn sequence<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        let Value::Bytes(bytes) = &self.value else {
            return self.deserialize_any(visitor);
        };
        let mut sequence = SeqDeserializer::<_, RowProblem>::new(bytes.iter().copied());
        let value = visitor.visit_seq(&mut sequence)?;
        sequence.end()?;
        Ok(value)
    }
}

fn whole_decimal(number: Decimal) -> Option<i128> {
    let whole = number.floor();
    (whole == number).then_some(whole.mantissa())
}

macro_rules! forward {
    ($($to:ident: $($method:ident)*;)*) => {
        $($(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
            self.$to(visitor)
        })*)*
    };
}

impl<'de> Deserializer<'de> for ValueDeserializer<'de> {
    type Error = RowProblem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(truth),
            Value::Int(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            _ => self.text(visitor),
        }
    }

    forward! {
        integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128;
        float: deserialize_f32 deserialize_f64;
        bytes: deserialize_bytes deserialize_byte_buf;
        sequence: deserialize_seq;
        deserialize_any: deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_unit
            deserialize_map deserialize_identifier;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, RowProblem> {
        self.sequence(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, RowProblem> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, RowProblem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, RowProblem> {
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowProblem> {
        match (InstantKind::named(name, self.ty), &self.value) {
            (Some(kind), Value::Time(micros) | Value::Duration(micros)) => {
                visitor.visit_map(kind.read(*micros)?)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, RowProblem> {
        match (&self.value, self.ty) {
            (Value::Enum(at), Type::Enum(of)) => BorrowedStrDeserializer::new(&of.values[usize::from(*at)])
                .deserialize_enum(name, variants, visitor),
            (Value::Text(Cow::Borrowed(text)), _) => {
                BorrowedStrDeserializer::new(text).deserialize_enum(name, variants, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        visitor.visit_unit()
    }
}
