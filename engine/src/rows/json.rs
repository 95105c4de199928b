//! JSON objects to packed rows. Values are read from their text, so that no digit is lost on the way.

use std::borrow::Cow;
use std::fmt;

use anabranch_model::convert::shown;
use anabranch_model::json::{from_json, from_json_text};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
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
