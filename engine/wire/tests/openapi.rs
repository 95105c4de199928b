//! The OpenAPI document: whole in itself, and true of how values are written and read as JSON.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]

mod support;

use std::collections::HashSet;

use anabranch_model::decimal::Decimal;
use anabranch_model::json::{from_json_text, to_json_text};
use anabranch_model::time::{MAX_TIME, MIN_TIME};
use anabranch_model::types::{Column, Shape, Type};
use anabranch_model::value::Value;
use anabranch_wire::openapi::{openapi, schema};
use serde_json::{Value as Json, json};
use support::{plan, shape, types};

/// Whether a value is what a schema says; as much of JSON Schema as the document uses.
fn valid(value: &Json, schema: &Json) -> bool {
    let is = |ty: &Json| match ty.as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("object") => value.is_object(),
        other => panic!("{other:?}"),
    };
    let typed = match &schema["type"] {
        Json::Null => true,
        Json::Array(types) => types.iter().any(is),
        one => is(one),
    };
    let listed = schema["enum"].as_array().is_none_or(|values| values.contains(value));
    let matched = match (value.as_str(), schema["pattern"].as_str()) {
        (Some(text), Some(pattern)) => regex_lite::Regex::new(pattern).expect("a pattern").is_match(text),
        _ => true,
    };
    typed && listed && matched
}

fn samples(ty: &Type) -> Vec<Value<'static>> {
    match ty {
        Type::Bool => vec![Value::Bool(true)],
        Type::Int => vec![Value::Int(i64::MIN), Value::Int(i64::MAX)],
        Type::Float => vec![Value::Float(-1.5e300), Value::Float(0.0)],
        Type::Decimal { .. } => {
            [-150, 0, 999_999_999_999].map(|m| Value::Decimal(Decimal::from_parts(m, 2))).into()
        }
        Type::Text => vec![Value::from(""), Value::from("\"\n")],
        Type::Bytes => vec![Value::Bytes(vec![0, 255].into())],
        Type::Time => [MIN_TIME, 0, 1, MAX_TIME].map(Value::Time).into(),
        Type::Duration => [i64::MIN, 0, 1, 86_400_000_000].map(Value::Duration).into(),
        Type::Json => vec![Value::Json("[1]".into()), Value::Json("null".into())],
        Type::Enum(_) => vec![Value::Enum(0), Value::Enum(1)],
    }
}

#[test]
fn values_are_written_as_their_schemas_say() {
    for nullable in [false, true] {
        let shape = shape(&types(), nullable);
        let (read, written) = (schema::of_input(&shape), schema::of_row(&shape));
        for column in shape.columns() {
            let values = samples(&column.ty).into_iter().chain(nullable.then_some(Value::Null));
            for value in values {
                let mut text = String::new();
                to_json_text(&value, &column.ty, &mut text);
                let json: Json = serde_json::from_str(&text).expect("it is JSON");
                for schema in [&read, &written] {
                    assert!(
                        valid(&json, &schema["properties"][&column.name]),
                        "{}: {text}: {schema}",
                        column.name
                    );
                }
            }
        }
    }
}

#[test]
fn what_the_schema_of_an_input_refuses_is_refused() {
    let shape = shape(&types(), false);
    let (read, written) = (schema::of_input(&shape), schema::of_row(&shape));
    let texts = [
        "true",
        "1",
        "1.5",
        "\"1.50\"",
        "\"a\"",
        "\"YWI=\"",
        "\"5s\"",
        "\"placed\"",
        "\"x\"",
        "[]",
        "{}",
        "null",
    ];
    for column in shape.columns() {
        for text in texts {
            let json: Json = serde_json::from_str(text).expect("it is JSON");
            let (by_schema, by_us) =
                (valid(&json, &read["properties"][&column.name]), from_json_text(text, &column.ty));
            // A schema of a string does not know base64 or a calendar, and no schema knows how json treats null.
            let blind = matches!(column.ty, Type::Bytes | Type::Time) && json.is_string() || json.is_null();
            assert!(blind || by_schema == by_us.is_ok(), "{}: {text}: {by_us:?}", column.name);
        }
    }
    // Numbers for decimals and durations are read, and never written.
    for name in ["amount", "took"] {
        assert!(
            valid(&json!(1), &read["properties"][name]) && !valid(&json!(1), &written["properties"][name])
        );
    }
}

#[test]
fn what_has_a_default_may_be_left_out_of_a_row_that_is_sent() {
    let column =
        |name: &str, nullable, default| Column { name: name.into(), ty: Type::Int, nullable, default };
    let shape = Shape::new(vec![
        column("a", false, None),
        column("b", true, None),
        column("c", false, Some(Value::Int(7))),
    ]);
    let (read, written) = (schema::of_input(&shape), schema::of_row(&shape));
    assert_eq!(read["required"], json!(["a"]));
    assert_eq!(read["additionalProperties"], json!(false));
    assert_eq!(read["properties"]["c"], json!({ "type": "integer", "format": "int64", "default": 7 }));
    assert_eq!(written["required"], json!(["a", "b", "c"]));
    assert_eq!(written["properties"]["b"]["type"], json!(["integer", "null"]));
}

/// Calls `see` with every object in a document.
fn walk<'j>(json: &'j Json, see: &mut impl FnMut(&'j Json)) {
    match json {
        Json::Object(members) => {
            see(json);
            members.values().for_each(|member| walk(member, see));
        }
        Json::Array(items) => items.iter().for_each(|item| walk(item, see)),
        _ => {}
    }
}

#[test]
fn the_document_names_only_what_it_has() {
    let mut other = plan();
    other.name = "my flow".into();
    other.inputs[0].name = "a/b {c}".into();
    let document = openapi(&[&plan(), &other]);
    let mut references = 0;
    let mut operations = HashSet::new();
    walk(&document, &mut |object| {
        if let Some(reference) = object["$ref"].as_str() {
            references += 1;
            assert!(!document.pointer(&reference[1..]).unwrap_or(&Json::Null).is_null(), "{reference}");
        }
        if let Some(id) = object["operationId"].as_str() {
            assert!(operations.insert(id), "{id} twice");
        }
    });
    assert!(references > 20 && operations.len() > 15, "{references} {}", operations.len());
    for (path, item) in document["paths"].as_object().expect("it has paths") {
        let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let item = item["get"].as_object().or(item["post"].as_object()).expect("it has a method");
        let declared = item.get("parameters").and_then(Json::as_array).into_iter().flatten();
        let declared: Vec<_> =
            declared.filter(|of| of["in"] == "path").map(|of| of["name"].as_str().expect("a name")).collect();
        assert_eq!(in_path.collect::<Vec<_>>(), declared, "{path}");
    }
}

#[test]
fn every_stream_and_table_has_its_paths() {
    let mut plan = plan();
    plan.inputs[0].name = "a/b {c}".into();
    let document = openapi(&[&plan]);
    let key = "/flows/all/tables/Kept/{state}/{took}/{at}/{raw}/{name}/{amount}/{float}/{number}/{truth}";
    for (path, method, id) in [
        ("/flows/all/streams/a%2Fb%20%7Bc%7D", "post", "all.SendABC"),
        ("/flows/all/ask/Nullable", "post", "all.AskNullable"),
        ("/flows/all/streams/Out", "get", "all.WatchOut"),
        ("/flows/all/tables/Kept", "get", "all.ScanKeptRow"),
        (key, "get", "all.GetKeptRow"),
        ("/flows", "get", "listFlows"),
    ] {
        assert_eq!(document["paths"][path][method]["operationId"], id, "{path}: {document:#}");
    }
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "Flow all");
}
