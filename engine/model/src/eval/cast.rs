//! `cast(a as type)`.
//!
//! | from | to |
//! |---|---|
//! | any type | text, as [`crate::convert`] writes it |
//! | text | any type, as [`crate::convert`] reads it |
//! | int, float, decimal | each other; rounded half-even |
//! | time, duration | int, in microseconds, and back |
//! | json | bool, int, float, decimal, bytes, time, duration, enum: what [`crate::json`] reads; a json null is an error |
//! | decimal | decimal of another scale; rounded half-even |

use std::borrow::Cow;

use super::{Evaluated, bounded, fault, ill_typed};
use crate::convert::{finite, parse_decimal, parse_text, shown, text_of, wanted};
use crate::decimal::Decimal;
use crate::expr::Place;
use crate::fault::FaultCode;
use crate::json::from_json_text;
use crate::time::in_range;
use crate::types::Type;
use crate::value::Value;

/// Whether `cast` knows the way from one type to another, for some of its values at least.
pub fn castable(from: &Type, to: &Type) -> bool {
    use Type::{Decimal, Duration, Enum, Float, Int, Json, Text, Time};
    match (from, to) {
        (_, Text) | (Text, _) | (Json, _) => true,
        (Int | Float | Decimal { .. }, Int | Float | Decimal { .. }) => true,
        (Time | Duration, Int) | (Int, Time | Duration) => true,
        (Enum(from), Enum(to)) => from.name == to.name,
        (from, to) => from == to,
    }
}

/// The value as another type; null stays null.
pub(super) fn cast<'a>(value: Value<'a>, from: &Type, to: &Type, place: Place) -> Evaluated<'a> {
    let result = match (value, to) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::Decimal(number), Type::Decimal { precision, scale }) => fit(number, *precision, *scale),
        (value, to) if has_type(&value, to) => Ok(value),
        (value, Type::Text) => {
            let text = text_of(&value, from);
            return bounded(text.len(), place, || Value::Text(text));
        }
        (Value::Text(text), Type::Decimal { precision, scale }) => {
            parse_decimal(text.trim_ascii()).and_then(|number| fit(number, *precision, *scale))
        }
        (Value::Text(Cow::Borrowed(text)), to) => parse_text(text, to),
        (Value::Text(Cow::Owned(text)), to) => parse_text(&text, to).map(Value::into_owned),
        (Value::Json(text), to) => from_scalar(&text, to),
        (value, to) => match number(&value, to) {
            Some(result) => result,
            None => return Err(ill_typed("cast", place)),
        },
    };
    result.map_err(|text| fault(FaultCode::Cast, place, text))
}

/// Whether a value, not a decimal, is of the type already.
fn has_type(value: &Value<'_>, ty: &Type) -> bool {
    matches!(
        (value, ty),
        (Value::Bool(_), Type::Bool)
            | (Value::Int(_), Type::Int)
            | (Value::Float(_), Type::Float)
            | (Value::Text(_), Type::Text)
            | (Value::Bytes(_), Type::Bytes)
            | (Value::Time(_), Type::Time)
            | (Value::Duration(_), Type::Duration)
            | (Value::Json(_), Type::Json)
            | (Value::Enum(_), Type::Enum(_))
    )
}

/// Casts between numbers, times and durations; `None` when there is no such cast.
fn number<'a>(value: &Value<'_>, to: &Type) -> Option<Result<Value<'a>, String>> {
    Some(match (value, to) {
        (Value::Int(number), Type::Float) => Ok(Value::Float(*number as f64)),
        (Value::Int(number), Type::Decimal { precision, scale }) => {
            fit(Decimal::from_int(*number), *precision, *scale)
        }
        (Value::Float(number), Type::Int) => float_to_int(*number),
        (Value::Float(number), Type::Decimal { precision, scale }) => {
            Decimal::from_float(*number, *scale).filter(|decimal| decimal.fits(*precision)).map_or_else(
                || Err(out_of_range(format!("{number:?}"), to)),
                |decimal| Ok(Value::Decimal(decimal)),
            )
        }
        (Value::Decimal(number), Type::Int) => {
            number.to_int().map(Value::Int).ok_or_else(|| out_of_range(number, to))
        }
        (Value::Decimal(number), Type::Float) => {
            finite(number.to_float()).ok_or_else(|| out_of_range(number, to))
        }
        (Value::Time(micros) | Value::Duration(micros), Type::Int) => Ok(Value::Int(*micros)),
        (Value::Int(micros), Type::Duration) => Ok(Value::Duration(*micros)),
        (Value::Int(micros), Type::Time) if in_range(*micros) => Ok(Value::Time(*micros)),
        (Value::Int(micros), Type::Time) => Err(out_of_range(micros, to)),
        _ => return None,
    })
}

/// The number at a scale, rounded half-even.
fn fit<'a>(number: Decimal, precision: u8, scale: u8) -> Result<Value<'a>, String> {
    let ty = Type::Decimal { precision, scale };
    let stored = number.rescale(scale).filter(|stored| stored.fits(precision));
    stored.map(Value::Decimal).ok_or_else(|| out_of_range(number, &ty))
}

fn float_to_int<'a>(number: f64) -> Result<Value<'a>, String> {
    // 2^63 is the first float that is too large; -2^63 is an int.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let whole = number.round_ties_even();
    match (-LIMIT..LIMIT).contains(&whole) {
        true => Ok(Value::Int(whole as i64)),
        false => Err(out_of_range(format!("{number:?}"), &Type::Int)),
    }
}

/// A json number, bool or string as another type.
fn from_scalar<'a>(text: &str, to: &Type) -> Result<Value<'a>, String> {
    if let Type::Decimal { precision, scale } = to {
        let digits = text.trim_ascii().trim_matches('"');
        return parse_decimal(digits).and_then(|number| fit(number, *precision, *scale));
    }
    match from_json_text(text, to)? {
        Value::Null => Err(format!("{} is a json null, not {}", shown(text), wanted(to))),
        value => Ok(value.into_owned()),
    }
}

fn out_of_range(value: impl ToString, to: &Type) -> String {
    format!("{} is out of range for {to}", shown(&value.to_string()))
}
