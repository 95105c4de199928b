//! JSON objects to packed rows. Values are read from their text, so that no digit is lost on the way.

use std::borrow::Cow;
use std::fmt;

use anabranch_model::convert::shown;
use anabranch_model::json::{from_json, from_json_text};
use anabranch_model::row::RowError;
use anabranch_model::types::Type;
use anabranch_model::value::Value;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ExtraColumns;
use super::assemble::Assembler;
use super::problem::RowProblem;

/// Gives the members of a parsed object to the assembler.
pub(super) fn assemble_value(
    mut row: Assembler<'_, '_, '_, '_>,
    object: &serde_json::Value,
) -> Result<(), RowProblem> {
    let Some(object) = object.as_object() else {
        return Err(no_object("the JSON value is no object"));
    };
    for (name, value) in object {
        let at = row.find(name).ok_or_else(|| RowProblem::unknown(name, row.shape()))?;
        let ty = &row.shape().columns()[at].ty;
        let value = from_json(value, ty).map_err(|message| RowProblem::new(message).at(name))?;
        row.put(at, value)?;
    }
    row.finish()
}

/// Gives the members of the text of an object to the assembler.
pub(super) fn assemble_text(
    mut row: Assembler<'_, '_, '_, '_>,
    text: &str,
    extra: ExtraColumns,
) -> Result<(), RowProblem> {
    let text = text.trim_ascii();
    if !text.starts_with('{') {
        return Err(no_object(format!("{} is no JSON object", shown(text))));
    }
    let Members(members) = serde_json::from_str(text).map_err(|error| syntax(&error))?;
    for (name, value) in members {
        let Some(at) = row.find(&name) else {
            match extra {
                ExtraColumns::Ignore => continue,
                ExtraColumns::Refuse => return Err(RowProblem::unknown(&name, row.shape())),
            }
        };
        let ty = &row.shape().columns()[at].ty;
        let value = from_json_text(value.get(), ty).map_err(|message| RowProblem::new(message).at(&name))?;
        row.put(at, value)?;
    }
    row.finish()
}

/// Why the short way does not take a row. [`assemble_text`] does, or says what is wrong.
#[derive(Debug)]
pub(super) struct Unusual;

impl From<RowError> for Unusual {
    fn from(_: RowError) -> Self {
        Unusual
    }
}

impl From<RowProblem> for Unusual {
    fn from(_: RowProblem) -> Self {
        Unusual
    }
}

/// Gives the members of the text of an object to the assembler while they are parsed: the short way, for rows that are
/// right. It takes nothing that [`assemble_text`] would not take, and writes the same row.
pub(super) fn assemble_usual(
    row: Assembler<'_, '_, '_, '_>,
    text: &str,
    extra: ExtraColumns,
) -> Result<(), Unusual> {
    let mut source = serde_json::Deserializer::from_str(text);
    let row = source.deserialize_map(Usual { row, extra }).map_err(|_| Unusual)?;
    source.end().map_err(|_| Unusual)?;
    Ok(row.finish()?)
}

struct Usual<'a, 'b, 'c, 's> {
    row: Assembler<'a, 'b, 'c, 's>,
    extra: ExtraColumns,
}

impl<'de, 'a, 'b, 'c, 's> Visitor<'de> for Usual<'a, 'b, 'c, 's> {
    type Value = Assembler<'a, 'b, 'c, 's>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(at) = map.next_key_seed(Find(&self.row))? {
            match at {
                Some(at) => {
                    let value = map.next_value_seed(Cell(&self.row.shape().columns()[at].ty))?;
                    self.row.put(at, value).map_err(A::Error::custom)?;
                }
                None if self.extra == ExtraColumns::Ignore => drop(map.next_value::<IgnoredAny>()?),
                None => return Err(A::Error::custom("another column")),
            }
        }
        Ok(self.row)
    }
}

/// The column that a name means.
struct Find<'r, 'a, 'b, 'c, 's>(&'r Assembler<'a, 'b, 'c, 's>);

impl<'de> DeserializeSeed<'de> for Find<'_, '_, '_, '_, '_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Find<'_, '_, '_, '_, '_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.find(name))
    }
}

/// The value of a column of a type.
struct Cell<'t>(&'t Type);

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        match self.0 {
            Type::Text | Type::Int | Type::Bool => deserializer.deserialize_any(self),
            ty => {
                let raw: &'de RawValue = Deserialize::deserialize(deserializer)?;
                from_json_text(raw.get(), ty).map_err(D::Error::custom)
            }
        }
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of type {}", self.0)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<Value<'de>, E> {
        if *self.0 == Type::Bool { Ok(Value::Bool(truth)) } else { Err(E::custom("a bool")) }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value<'de>, E> {
        if *self.0 == Type::Int { Ok(Value::Int(number)) } else { Err(E::custom("a number")) }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value<'de>, E> {
        self.visit_i64(i64::try_from(number).map_err(E::custom)?)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        if *self.0 == Type::Text { Ok(Value::Text(Cow::Borrowed(text))) } else { Err(E::custom("a text")) }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value<'de>, E> {
        if *self.0 == Type::Text { Ok(Value::Text(text.to_owned().into())) } else { Err(E::custom("a text")) }
    }
}

fn no_object(message: impl Into<String>) -> RowProblem {
    RowProblem::new(message).help("a row is an object such as {\"column\": value}")
}

/// `serde_json` counts lines of its text; in a file of lines that would be a second line number.
fn syntax(error: &serde_json::Error) -> RowProblem {
    let text = error.to_string();
    match text.rsplit_once(" at line 1 column ") {
        Some((what, at)) => no_object(format!("no JSON object: {what}, at byte {at}")),
        None => no_object(format!("no JSON object: {text}")),
    }
}

/// The members of an object in order, values unparsed.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(Members(members))
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use anabranch_model::batch::{Batch, SchemaId};
    use anabranch_model::types::{Column, Shape};
    use proptest::prelude::*;

    use super::*;

    fn shape() -> Shape {
        let column = |name: &str, ty, nullable| Column { name: name.into(), ty, nullable, default: None };
        Shape::new(vec![
            column("text", Type::Text, false),
            column("int", Type::Int, true),
            column("bool", Type::Bool, true),
            column("float", Type::Float, true),
            column("decimal", Type::Decimal { precision: 10, scale: 2 }, true),
            column("json", Type::Json, true),
        ])
    }

    fn pushed<E: From<RowError>>(
        push: impl Fn(Assembler<'_, '_, '_, '_>) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let (mut batch, shape) = (Batch::new(SchemaId::default()), shape());
        batch.push_with(&shape, |writer| push(Assembler::new(writer, &shape)))?;
        Ok(batch.into_bytes())
    }

    fn value() -> impl Strategy<Value = String> {
        let values = prop::sample::select(vec![
            "\"a\"",
            "\"\\u00e9\\n\"",
            "\"\\ud800\"",
            "\"\"",
            "1",
            "-0",
            "-17",
            "1.5",
            "1e2",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775809",
            "true",
            "false",
            "null",
            "{}",
            "[1, 2]",
            "\"1.50\"",
            "01",
            "tru",
            "nul",
            "\"",
            "1.005",
            " 2 ",
        ]);
        values.prop_map(str::to_owned)
    }

    fn object() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec![
            "text",
            "int",
            "bool",
            "float",
            "decimal",
            "json",
            "\\u0074ext",
            "other",
            "",
        ]);
        let members = prop::collection::vec((name, value()), 0..5);
        let end = prop::sample::select(vec!["}", "} ", "}x", "}{}", "", ",}"]);
        (members, end).prop_map(|(members, end)| {
            let members: Vec<String> =
                members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{\"text\":\"always\",{}{end}", members.join(","))
                .replace(",}", if end == ",}" { ",}" } else { "}" })
        })
    }

    proptest! {
        #[test]
        fn the_short_way_takes_no_more_and_writes_the_same(text in object(), ignore: bool) {
            let extra = if ignore { ExtraColumns::Ignore } else { ExtraColumns::Refuse };
            let long = pushed(|row| assemble_text(row, &text, extra));
            if let Ok(short) = pushed(|row| assemble_usual(row, &text, extra)) {
                prop_assert_eq!(long.ok(), Some(short));
            }
        }
    }

    #[test]
    fn the_short_way_takes_rows_that_are_right() {
        for text in [
            r#"{"text":"a","int":1,"bool":true,"float":1.5,"decimal":"1.50","json":{"a":[1]}}"#,
            r#" { "json" : 1 , "decimal" : 1.5, "int" : null, "text" : "\u00e9" } "#,
            r#"{"text":"a"}"#,
        ] {
            let extra = ExtraColumns::Refuse;
            let short = pushed(|row| assemble_usual(row, text, extra)).expect("the short way");
            assert_eq!(pushed(|row| assemble_text(row, text, extra)).ok(), Some(short), "{text}");
        }
    }
}
