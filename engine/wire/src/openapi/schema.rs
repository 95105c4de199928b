//! Rows and values as JSON Schema (2020-12): what is written, and for inputs what is read beside it.
//!
//! | type | schema |
//! |---|---|
//! | bool, text | `boolean`, `string` |
//! | int | `integer` of 64 bits |
//! | float | `number` |
//! | decimal | `string` of digits; an input takes a `number`, too |
//! | bytes | `string`, base64 |
//! | time | `string`, `date-time` |
//! | duration | `string` such as `"5s"`; an input takes an `integer` of microseconds, too |
//! | json | anything |
//! | enum | `string`, one of its values |

use anabranch_model::json::to_json_text;
use anabranch_model::types::{Column, Shape, Type};
use serde_json::{Map, Value, json};

/// The schema of rows that a caller sends: columns that are nullable or have a default may be left out.
pub fn of_input(shape: &Shape) -> Value {
    let required = |column: &Column| !column.nullable && column.default.is_none();
    object(shape, true, required)
}

/// The schema of rows that a caller gets: every column is there.
pub fn of_row(shape: &Shape) -> Value {
    object(shape, false, |_| true)
}

/// The schema of a column of a key, as a part of a path: the text of its value.
pub fn of_key(column: &Column) -> Value {
    value(&column.ty, false)
}

fn object(shape: &Shape, read: bool, required: impl Fn(&Column) -> bool) -> Value {
    let required: Vec<&str> =
        shape.columns().iter().filter(|column| required(column)).map(|column| column.name.as_str()).collect();
    let properties: Map<String, Value> =
        shape.columns().iter().map(|column| (column.name.clone(), property(column, read))).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "required": required });
    if read {
        schema["additionalProperties"] = false.into();
    }
    schema
}

fn property(column: &Column, read: bool) -> Value {
    let mut schema = value(&column.ty, read);
    if column.nullable {
        or_null(&mut schema);
    }
    if let (true, Some(default)) = (read, &column.default) {
        let mut text = String::new();
        to_json_text(default, &column.ty, &mut text);
        // A json column has no default, so this is a bool, a number or a string.
        schema["default"] = serde_json::from_str(&text).unwrap_or(Value::Null);
    }
    schema
}

/// The schema of a value; `read` adds what is taken, but never written.
fn value(ty: &Type, read: bool) -> Value {
    match ty {
        Type::Bool => json!({ "type": "boolean" }),
        Type::Int => json!({ "type": "integer", "format": "int64" }),
        Type::Float => json!({ "type": "number", "format": "double" }),
        Type::Text => json!({ "type": "string" }),
        Type::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Type::Time => json!({ "type": "string", "format": "date-time" }),
        Type::Json => json!({}),
        Type::Enum(of) => json!({ "type": "string", "enum": of.values }),
        Type::Decimal { .. } => json!({
            "type": if read { json!(["string", "number"]) } else { json!("string") },
            "pattern": "^[+-]?[0-9]+(\\.[0-9]+)?$",
            "description": ty.to_string(),
        }),
        Type::Duration => json!({
            "type": if read { json!(["string", "integer"]) } else { json!("string") },
            "pattern": "^[+-]?[0-9]+(us|ms|s|m|h|d)$",
        }),
    }
}

/// Lets a schema take null, too.
fn or_null(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    match schema.get_mut("type") {
        Some(Value::Array(types)) => types.push("null".into()),
        Some(one) => *one = json!([one.take(), "null"]),
        // Anything is null, too.
        None => {}
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}
