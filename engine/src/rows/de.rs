//! Packed rows to structs and maps: a serde deserializer over one row.

use anabranch_model::types::{ColumnId, Type};
use anabranch_model::value::Value;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::de_value::ValueDeserializer;
use super::problem::RowProblem;

/// A row as a map from column names to values; texts are borrowed from the row.
pub(super) struct RowDeserializer<'de> {
    row: anabranch_model::Row<'de>,
    next: u16,
}

impl<'de> RowDeserializer<'de> {
    pub(super) fn new(row: anabranch_model::Row<'de>) -> Self {
        RowDeserializer { row, next: 0 }
    }
}

impl<'de> Deserializer<'de> for RowDeserializer<'de> {
    type Error = RowProblem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        visitor.visit_map(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, RowProblem> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, RowProblem> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for RowDeserializer<'de> {
    type Error = RowProblem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, RowProblem> {
        match self.row.shape().columns().get(usize::from(self.next)) {
            Some(column) => seed.deserialize(BorrowedStrDeserializer::new(&column.name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, RowProblem> {
        let at = ColumnId(self.next);
        let column = self.row.shape().column(at);
        self.next += 1;
        let value = self.row.value(at);
        read(value, &column.ty, seed).map_err(|problem| {
            let null = if column.nullable { "?" } else { "" };
            problem.at(&column.name).help(format!("the column is of type {}{null}", column.ty))
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.row.shape().columns().len() - usize::from(self.next))
    }
}

fn read<'de, S: DeserializeSeed<'de>>(
    value: Value<'de>,
    ty: &'de Type,
    seed: S,
) -> Result<S::Value, RowProblem> {
    // Rows hold borrowed text, so this is every json value.
    if let Value::Json(std::borrow::Cow::Borrowed(text)) = value {
        let mut json = serde_json::Deserializer::from_str(text);
        return seed.deserialize(&mut json).map_err(|error| RowProblem::new(error.to_string()));
    }
    seed.deserialize(ValueDeserializer::new(value, ty))
}
