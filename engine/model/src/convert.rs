//! Values as text, for `cast`, `to_text` and CSV cells.
//!
//! Every value that is not null has one text, and that text read as its type gives the value back. Reading from
//! outside never rounds; `cast` does, and says so in its own place.
//!
//! ```
//! use anabranch_model::convert::{parse_text, text_of};
//! use anabranch_model::{Type, Value};
//! let value = parse_text(" 90s ", &Type::Duration).unwrap();
//! assert_eq!(value, Value::Duration(90_000_000));
//! assert_eq!(text_of(&value, &Type::Duration), "90s");
//! assert_eq!(parse_text("soon", &Type::Int).unwrap_err(), "`soon` is not an int such as -17");
//! ```

use std::borrow::Cow;
use std::fmt::{self, Write};

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::decimal::{Decimal, DecimalError};
use crate::json;
use crate::time::{format_duration, format_time, parse_duration, parse_time};
use crate::types::{EnumType, Type};
use crate::value::Value;

/// Characters of a value that a message shows.
const SHOWN_CHARACTERS: usize = 40;

/// A value in a message: in backticks, on one line, cut after 40 characters.
pub fn shown(text: &str) -> String {
    let mut shown = String::from("`");
    for character in text.chars().take(SHOWN_CHARACTERS) {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    let cut = text.chars().nth(SHOWN_CHARACTERS).is_some();
    shown.push_str(if cut { "...`" } else { "`" });
    shown
}

/// Reads a value of a type. White space around it does not count, except for text and enums.
///
/// # Errors
/// What was expected, with the text; nothing is rounded to fit.
pub fn parse_text<'a>(text: &'a str, ty: &Type) -> Result<Value<'a>, String> {
    let bare = text.trim_ascii();
    let value = match ty {
        Type::Bool if bare.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
        Type::Bool if bare.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
        Type::Bool => None,
        Type::Int => bare.parse().ok().map(Value::Int),
        Type::Float => bare.parse().ok().and_then(finite),
        Type::Decimal { precision, scale } => {
            let number = parse_decimal(bare)?;
            return exact_decimal(number, *precision, *scale).map(Value::Decimal);
        }
        Type::Text => Some(Value::Text(Cow::Borrowed(text))),
        Type::Bytes => BASE64_STANDARD.decode(bare).ok().map(|bytes| Value::Bytes(Cow::Owned(bytes))),
        Type::Time => parse_time(bare).map(Value::Time),
        Type::Duration => parse_duration(bare).map(Value::Duration),
        Type::Json => json::is_json(bare).then_some(Value::Json(Cow::Borrowed(bare))),
        Type::Enum(of) => of.position(text).map(Value::Enum),
    };
    value.ok_or_else(|| format!("{} is not {}", shown(text), wanted(ty)))
}

/// Reads a decimal of any scale.
///
/// # Errors
/// What was expected, with the text.
pub fn parse_decimal(text: &str) -> Result<Decimal, String> {
    text.parse().map_err(|wanted: DecimalError| format!("{} is not {wanted}", shown(text)))
}

/// The number with exactly `scale` decimals.
///
/// # Errors
/// It would have to be rounded, or has too many digits before the point.
pub fn exact_decimal(number: Decimal, precision: u8, scale: u8) -> Result<Decimal, String> {
    let ty = Type::Decimal { precision, scale };
    match number.rescale(scale).filter(|stored| stored.fits(precision)) {
        None => Err(format!("`{number}` has too many digits for {ty}")),
        Some(stored) if stored != number => {
            Err(format!("`{number}` has too many decimals for {ty} and would have to be rounded"))
        }
        Some(stored) => Ok(stored),
    }
}

/// A float value, if the number is finite; -0.0 becomes 0.0.
pub fn finite<'a>(number: f64) -> Option<Value<'a>> {
    number.is_finite().then_some(Value::Float(number + 0.0))
}

/// What a type looks like, for messages: `an int such as -17`.
pub fn wanted(ty: &Type) -> String {
    match ty {
        Type::Bool => "a bool: true or false".to_owned(),
        Type::Int => "an int such as -17".to_owned(),
        Type::Float => "a float such as 1.5e3".to_owned(),
        Type::Decimal { .. } => format!("a {ty} such as -1.50"),
        Type::Text => "text".to_owned(),
        Type::Bytes => "bytes in base64".to_owned(),
        Type::Time => "a time such as 2010-12-01T08:26:00Z".to_owned(),
        Type::Duration => "a duration such as 250ms, 5s, 5m, 3h or 7d".to_owned(),
        Type::Json => "json".to_owned(),
        Type::Enum(of) => format!("a value of {}: {}", of.name, list(of)),
    }
}

/// The first values of an enum.
fn list(of: &EnumType) -> String {
    const LISTED: usize = 8;
    let mut names = of.values.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if of.values.len() > LISTED {
        names.push_str(", ...");
    }
    names
}

/// The text of a value, empty for null. `ty` is the value's type.
pub fn text_of<'a>(value: &Value<'a>, ty: &Type) -> Cow<'a, str> {
    match value {
        Value::Text(text) | Value::Json(text) => text.clone(),
        other => {
            let mut text = String::new();
            write_text(other, ty, &mut text);
            Cow::Owned(text)
        }
    }
}

/// Appends the text of a value; nothing for null. `ty` is the value's type.
pub fn write_text(value: &Value<'_>, ty: &Type, out: &mut String) {
    match value {
        Value::Null => {}
        Value::Text(text) | Value::Json(text) => out.push_str(text),
        Value::Bytes(bytes) => BASE64_STANDARD.encode_string(bytes, out),
        Value::Enum(at) => match ty {
            Type::Enum(of) if usize::from(*at) < of.values.len() => {
                out.push_str(&of.values[usize::from(*at)])
            }
            _ => append(out, at),
        },
        Value::Bool(truth) => append(out, truth),
        Value::Int(number) => append(out, number),
        Value::Float(number) => append(out, format_args!("{number:?}")),
        Value::Decimal(number) => append(out, number),
        Value::Time(time) => append(out, format_time(*time)),
        Value::Duration(duration) => append(out, format_duration(*duration)),
    }
}

pub(crate) fn append(out: &mut String, part: impl fmt::Display) {
    write!(out, "{part}").expect("writing to a String cannot fail");
}
