//! The key of a table as a caller gives it.

use anabranch_model::convert;
use anabranch_model::key::{self, MAX_KEY_BYTES};
use anabranch_model::partition::{PartitionId, partition_hash, partition_of};
use anabranch_model::plan::Table;
use anabranch_model::types::{ColumnId, Type};
use anabranch_model::value::Value;

use crate::error::Error;

/// Key bytes and the partition they belong to.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) bytes: Vec<u8>,
    pub(crate) partition: PartitionId,
}

impl Key {
    /// The key with these values, in the order of the table's key columns. Text stands for a value of any type.
    pub(crate) fn of<'k>(table: &Table, values: impl Iterator<Item = Value<'k>>) -> Result<Key, Error> {
        let given: Vec<Value<'k>> = values.collect();
        let names: Vec<&str> = table.key.iter().map(|&id| table.shape.column(id).name.as_str()).collect();
        let problem = |problem: String| Error::Key { table: table.name.clone(), problem };
        if given.len() != table.key.len() {
            let (names, count) = (names.join("`, `"), given.len());
            return Err(problem(format!("it has the columns `{names}`, {count} values were given")));
        }
        let mut values = Vec::with_capacity(given.len());
        for (value, &id) in given.into_iter().zip(&table.key) {
            let column = table.shape.column(id);
            values
                .push(typed(value, &column.ty).map_err(|why| problem(format!("`{}`: {why}", column.name)))?);
        }
        let encode = |columns: &[ColumnId]| {
            let chosen: Vec<_> = columns
                .iter()
                .filter_map(|id| table.key.iter().position(|of| of == id))
                .map(|at| (values[at].borrow(), &table.shape.column(table.key[at]).ty))
                .collect();
            let mut bytes = Vec::new();
            key::of_values(chosen.into_iter(), &mut bytes).map(|()| bytes)
        };
        let no_row = || problem("no row can have it: a null, or more digits than the column holds".into());
        let bytes = encode(&table.key).ok_or_else(no_row)?;
        if bytes.len() > MAX_KEY_BYTES {
            return Err(problem(format!("it has {} bytes, the limit is {MAX_KEY_BYTES}", bytes.len())));
        }
        let partition = encode(&table.partition_by).ok_or_else(no_row)?;
        Ok(Key { bytes, partition: partition_of(partition_hash(&partition), table.policy.partitions) })
    }
}

/// The value as one of a type; text is read as the type writes it.
fn typed<'k>(value: Value<'k>, ty: &Type) -> Result<Value<'k>, String> {
    match (&value, ty) {
        (Value::Text(_), Type::Text) | (Value::Null, _) => Ok(value),
        (Value::Text(text), _) => convert::parse_text(text, ty).map(Value::into_owned),
        (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Int)
        | (Value::Float(_), Type::Float)
        | (Value::Decimal(_), Type::Decimal { .. })
        | (Value::Bytes(_), Type::Bytes)
        | (Value::Time(_), Type::Time)
        | (Value::Duration(_), Type::Duration)
        | (Value::Enum(_), Type::Enum(_)) => Ok(value),
        (Value::Int(number), Type::Decimal { .. } | Type::Float) => {
            convert::parse_text(&number.to_string(), ty).map(Value::into_owned)
        }
        _ => Err(format!("it takes a value of type {ty}")),
    }
}
