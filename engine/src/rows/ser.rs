//! Structs and maps to packed rows: a serde serializer that takes one row.

use anabranch_model::types::Type;
use anabranch_model::value::Value;
use serde::ser::{Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};

use super::assemble::Assembler;
use super::problem::RowProblem;
use super::ser_value::{ValueSerializer, serialize_column};

/// Takes a struct or a map with string keys and gives its fields to the assembler.
pub(super) struct RowSerializer<'a, 'b, 'c, 's> {
    row: Assembler<'a, 'b, 'c, 's>,
    /// The column of the key that a map gave last.
    key: Option<usize>,
}

impl<'a, 'b, 'c, 's> RowSerializer<'a, 'b, 'c, 's> {
    pub(super) fn new(row: Assembler<'a, 'b, 'c, 's>) -> Self {
        RowSerializer { row, key: None }
    }

    fn column(&self, name: &str) -> Result<usize, RowProblem> {
        self.row.find(name).ok_or_else(|| RowProblem::unknown(name, self.row.shape()))
    }

    fn put<T: Serialize + ?Sized>(&mut self, at: usize, value: &T) -> Result<(), RowProblem> {
        let column = &self.row.shape().columns()[at];
        serialize_column(value, &column.ty, &mut |value| self.row.put(at, value))
            .map_err(|problem| problem.at(&column.name))
    }
}

fn refused<T>(found: &str) -> Result<T, RowProblem> {
    Err(RowProblem::new(format!("{found} is no row")).help("give a struct or a map with string keys"))
}

/// Methods for what cannot be a row.
macro_rules! refuse {
    ($($method:ident($ty:ty) $found:literal)*) => {
        $(fn $method(self, _: $ty) -> Result<(), RowProblem> {
            refused($found)
        })*
    };
}

impl<'a, 'b, 'c, 's> Serializer for RowSerializer<'a, 'b, 'c, 's> {
    type Ok = ();
    type Error = RowProblem;
    type SerializeSeq = Impossible<(), RowProblem>;
    type SerializeTuple = Impossible<(), RowProblem>;
    type SerializeTupleStruct = Impossible<(), RowProblem>;
    type SerializeTupleVariant = Impossible<(), RowProblem>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), RowProblem>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, RowProblem> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, RowProblem> {
        Ok(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), RowProblem> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), RowProblem> {
        value.serialize(self)
    }

    refuse! {
        serialize_bool(bool) "a bool"
        serialize_i8(i8) "a number"
        serialize_i16(i16) "a number"
        serialize_i32(i32) "a number"
        serialize_i64(i64) "a number"
        serialize_u8(u8) "a number"
        serialize_u16(u16) "a number"
        serialize_u32(u32) "a number"
        serialize_u64(u64) "a number"
        serialize_f32(f32) "a number"
        serialize_f64(f64) "a number"
        serialize_char(char) "a text"
        serialize_str(&str) "a text"
        serialize_bytes(&[u8]) "a sequence of bytes"
        serialize_unit_struct(&'static str) "a unit"
    }

    fn serialize_none(self) -> Result<(), RowProblem> {
        refused("nothing")
    }

    fn serialize_unit(self) -> Result<(), RowProblem> {
        refused("a unit")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), RowProblem> {
        refused("an enum")
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), RowProblem> {
        refused("an enum")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, RowProblem> {
        refused("a sequence")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, RowProblem> {
        refused("a tuple")
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, RowProblem> {
        refused("a tuple")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, RowProblem> {
        refused("an enum")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, RowProblem> {
        refused("an enum")
    }
}

impl SerializeStruct for RowSerializer<'_, '_, '_, '_> {
    type Ok = ();
    type Error = RowProblem;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), RowProblem> {
        let at = self.column(name)?;
        self.put(at, value)
    }

    fn end(self) -> Result<(), RowProblem> {
        self.row.finish()
    }
}

impl SerializeMap for RowSerializer<'_, '_, '_, '_> {
    type Ok = ();
    type Error = RowProblem;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), RowProblem> {
        let mut found = None;
        let mut find = |name: Value<'_>| match name {
            Value::Text(name) => {
                found = Some(self.column(&name)?);
                Ok(())
            }
            _ => refused("a map with keys that are null"),
        };
        static NAME: Type = Type::Text;
        key.serialize(ValueSerializer::new(&NAME, &mut find))?;
        self.key = found;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RowProblem> {
        match self.key.take() {
            Some(at) => self.put(at, value),
            None => refused("a map that gives a value before its key"),
        }
    }

    fn end(self) -> Result<(), RowProblem> {
        self.row.finish()
    }
}
