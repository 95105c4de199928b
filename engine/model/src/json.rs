//! Values as JSON, for everything outside the flow file: NDJSON, scripts, HTTP.
//!
//! | type | JSON |
//! |---|---|
//! | bool | `true`, `false` |
//! | int | a number, all 64 bits |
//! | float | a number |
//! | decimal | a string, `"1.50"`; a number is read, too, where its digits are at hand |
//! | text, enum | a string |
//! | bytes | a string, base64 |
//! | time | a string, ISO 8601 |
//! | duration | a string, `"5s"`; a number of microseconds is read, too |
//! | json | itself |
//!
//! ```
//! use anabranch_model::json::{from_json_text, to_json_text};
//! use anabranch_model::Type;
//! let ty = Type::Decimal { precision: 10, scale: 2 };
//! let mut text = String::new();
//! to_json_text(&from_json_text("\"2.5\"", &ty).unwrap(), &ty, &mut text);
//! assert_eq!(text, "\"2.50\"");
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::convert::{append, exact_decimal, finite, parse_decimal, parse_text, shown, wanted, write_text};
use crate::types::Type;
use crate::value::Value;

/// Whether a text is one JSON value.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Appends a value as JSON. `ty` is the value's type. The result stays on one line.
pub fn to_json_text(value: &Value<'_>, ty: &Type, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => append(out, truth),
        Value::Int(number) => append(out, number),
        Value::Float(number) => append(out, format_args!("{number:?}")),
        // A line break in JSON text is white space: inside a string it is written `\n`.
        Value::Json(text) => out.extend(text.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c })),
        Value::Text(text) => write_string(text, out),
        Value::Enum(_) => {
            let mut name = String::new();
            write_text(value, ty, &mut name);
            write_string(&name, out);
        }
        Value::Decimal(_) | Value::Bytes(_) | Value::Time(_) | Value::Duration(_) => {
            // None of these has a character that must be escaped.
            out.push('"');
            write_text(value, ty, out);
            out.push('"');
        }
    }
}

/// Appends a text as a JSON string.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => append(out, format_args!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Reads a value from the text of one JSON value, digits as they are written. `null` is null.
///
/// # Errors
/// What was expected, with the text; nothing is rounded to fit.
pub fn from_json_text<'a>(text: &'a str, ty: &Type) -> Result<Value<'a>, String> {
    let bare = text.trim_ascii();
    let refused = || format!("{} is not {}", shown(bare), wanted(ty));
    if bare == "null" {
        return Ok(Value::Null);
    }
    if *ty == Type::Json {
        return parse_text(bare, ty);
    }
    match bare.as_bytes().first() {
        Some(b'"') => {
            let string: Borrowed<'a> = serde_json::from_str(bare).map_err(|_| refused())?;
            from_string(string.0, ty).ok_or_else(refused)?
        }
        Some(b'-' | b'0'..=b'9') if is_json(bare) => from_number(bare, ty).ok_or_else(refused)?,
        Some(b't' | b'f') if *ty == Type::Bool && matches!(bare, "true" | "false") => {
            Ok(Value::Bool(bare == "true"))
        }
        _ => Err(refused()),
    }
}

/// Reads a value from a parsed JSON value. A number with decimals is refused for a decimal: its digits may be lost.
///
/// # Errors
/// What was expected, with the value; nothing is rounded to fit.
pub fn from_json(value: &serde_json::Value, ty: &Type) -> Result<Value<'static>, String> {
    let text = value.to_string();
    if let (serde_json::Value::Number(number), Type::Decimal { .. }) = (value, ty)
        && number.is_f64()
    {
        return Err(format!("`{text}` is not {}: write it as a string", wanted(ty)));
    }
    from_json_text(&text, ty).map(Value::into_owned)
}

#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// `None` for a type that is not written as a string.
fn from_string<'a>(string: Cow<'a, str>, ty: &Type) -> Option<Result<Value<'a>, String>> {
    match ty {
        Type::Bool | Type::Int | Type::Float | Type::Json => None,
        Type::Text => Some(Ok(Value::Text(string))),
        Type::Decimal { .. } | Type::Bytes | Type::Time | Type::Duration | Type::Enum(_) => {
            Some(parse_text(&string, ty).map(Value::into_owned))
        }
    }
}

/// `None` for a type that is not written as a number, or a number that the type does not have.
fn from_number<'a>(digits: &str, ty: &Type) -> Option<Result<Value<'a>, String>> {
    match ty {
        Type::Int => digits.parse().ok().map(|number| Ok(Value::Int(number))),
        Type::Duration => digits.parse().ok().map(|micros| Ok(Value::Duration(micros))),
        Type::Float => digits.parse().ok().filter(|float| holds_int(digits, *float)).and_then(finite).map(Ok),
        Type::Decimal { precision, scale } => {
            let number = parse_decimal(digits);
            Some(number.and_then(|n| exact_decimal(n, *precision, *scale)).map(Value::Decimal))
        }
        Type::Bool | Type::Text | Type::Bytes | Type::Time | Type::Json | Type::Enum(_) => None,
    }
}

/// Whether digits that are a whole number are exactly this float; decimals always count as the nearest float.
fn holds_int(digits: &str, float: f64) -> bool {
    if digits.contains(['.', 'e', 'E']) {
        return true;
    }
    digits.parse::<i128>().is_ok_and(|whole| float as i128 == whole)
}

/// The text of a member of the top object of a JSON text; the last of that name. `None` when there is none, it is
/// null, or the text is no object.
pub fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut source = serde_json::Deserializer::from_str(object);
    let found = source.deserialize_map(MemberOf(name)).ok().flatten()?.get();
    (found != "null").then_some(found)
}

struct MemberOf<'n>(&'n str);

impl<'de> Visitor<'de> for MemberOf<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Borrowed<'de>>()? {
            if name.0 == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_json_wants() {
        for text in ["", "a", "\"\\\n\r\t\u{0}\u{1f}\u{7f}é\u{10ffff}", "tail\\"] {
            let mut out = String::new();
            write_string(text, &mut out);
            assert_eq!(serde_json::from_str::<String>(&out).ok().as_deref(), Some(text), "{out}");
        }
    }

    #[test]
    fn member_is_found_as_it_is_written() {
        let object = r#" {"a": 1.10, "b\n": [1, {"a": 2}], "n": null, "a": "last"} "#;
        assert_eq!(member(object, "a"), Some("\"last\""));
        assert_eq!(member(object, "b\n"), Some(r#"[1, {"a": 2}]"#));
        assert_eq!(member(object, "n"), None);
        assert_eq!(member(object, "c"), None);
        for other in ["[1]", "1", "\"a\"", "null", "", "{\"a\": 1", "nonsense"] {
            assert_eq!(member(other, "a"), None, "{other}");
        }
    }

    #[test]
    fn deep_json_is_read_without_deep_recursion() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(is_json(&deep));
        assert_eq!(member(&deep, "a").map(str::len), Some(400_001));
        assert!(!is_json(&deep[1..]));
    }

    #[test]
    fn json_text_keeps_to_one_line() {
        let mut out = String::new();
        to_json_text(&Value::Json("{\n\"a\":\r\n1}".into()), &Type::Json, &mut out);
        assert_eq!(out, "{ \"a\":  1}");
    }
}
