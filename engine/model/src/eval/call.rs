//! Calls of built-in functions.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::arithmetic::instant_text;
use super::{Evaluated, bounded, compare, evaluate, fault, ill_typed, pattern, text};
use crate::convert::{finite, shown, text_of};
use crate::decimal::Decimal;
use crate::expr::{Expr, Place};
use crate::fault::{Fault, FaultCode};
use crate::frame::Frame;
use crate::function::Function;
use crate::json::{member, to_json_text, write_string};
use crate::key;
use crate::time;
use crate::types::Type;
use crate::value::Value;

/// The result of a call. `expr` is the call itself.
pub(super) fn call<'a>(
    function: Function,
    arguments: &'a [Expr],
    expr: &Expr,
    frame: &Frame<'a>,
) -> Evaluated<'a> {
    match function {
        Function::Coalesce => coalesce(arguments, frame),
        Function::Nullif => nullif(arguments, frame, expr.place),
        Function::Least => extreme(arguments, Ordering::Less, frame),
        Function::Greatest => extreme(arguments, Ordering::Greater, frame),
        Function::JsonObject => json_object(arguments, frame, expr.place),
        Function::Hash => hash(arguments, frame),
        _ => fixed(function, arguments, expr, frame),
    }
}

fn coalesce<'a>(arguments: &'a [Expr], frame: &Frame<'a>) -> Evaluated<'a> {
    for argument in arguments {
        let value = evaluate(argument, frame)?;
        if !value.is_null() {
            return Ok(value);
        }
    }
    Ok(Value::Null)
}

fn nullif<'a>(arguments: &'a [Expr], frame: &Frame<'a>, place: Place) -> Evaluated<'a> {
    let [first, second] = arguments else { return Err(ill_typed("nullif", place)) };
    let (first, second) = (evaluate(first, frame)?, evaluate(second, frame)?);
    Ok(if compare(&first, &second) == Some(Ordering::Equal) { Value::Null } else { first })
}

/// The first of the smallest or of the largest; null when one is null.
fn extreme<'a>(arguments: &'a [Expr], wanted: Ordering, frame: &Frame<'a>) -> Evaluated<'a> {
    let mut found: Option<Value<'a>> = None;
    let mut null = false;
    for argument in arguments {
        let value = evaluate(argument, frame)?;
        null |= value.is_null();
        if found.as_ref().is_none_or(|found| compare(&value, found) == Some(wanted)) {
            found = Some(value);
        }
    }
    Ok(if null { Value::Null } else { found.unwrap_or(Value::Null) })
}

fn json_object<'a>(arguments: &'a [Expr], frame: &Frame<'a>, place: Place) -> Evaluated<'a> {
    let mut object = String::from("{");
    for (at, pair) in arguments.chunks(2).enumerate() {
        let [name, value] = pair else { return Err(ill_typed("json_object", place)) };
        let Value::Text(written) = evaluate(name, frame)? else {
            return Err(fault(FaultCode::Argument, place, "a name in json_object is null"));
        };
        if at > 0 {
            object.push(',');
        }
        write_string(&written, &mut object);
        object.push(':');
        to_json_text(&evaluate(value, frame)?, &value.ty, &mut object);
        bounded(object.len(), place, || Value::Null)?;
    }
    object.push('}');
    Ok(Value::Json(Cow::Owned(object)))
}

/// XXH3-64 with seed 0 over the key encoding of the values, each with a byte before it that says it is not null; a
/// decimal without the zeros at its end, followed by its scale. Fixed for ever: rows hold results of it.
fn hash<'a>(arguments: &'a [Expr], frame: &Frame<'a>) -> Evaluated<'a> {
    let mut bytes = Vec::with_capacity(64);
    let mut null = false;
    for argument in arguments {
        match evaluate(argument, frame)? {
            Value::Null => null = true,
            Value::Decimal(number) => {
                let number = number.normalized();
                key::encode(&Value::Decimal(number), true, false, &mut bytes);
                bytes.push(number.scale());
            }
            value => key::encode(&value, true, false, &mut bytes),
        }
    }
    let hash = xxhash_rust::xxh3::xxh3_64(&bytes);
    Ok(if null { Value::Null } else { Value::Int(hash.cast_signed()) })
}

/// Functions of one to three arguments that give null for a null.
fn fixed<'a>(function: Function, arguments: &'a [Expr], expr: &Expr, frame: &Frame<'a>) -> Evaluated<'a> {
    let signature = function.signature();
    if !signature.accepts(arguments.len()) || arguments.len() > 3 {
        return Err(ill_typed(signature.name, expr.place));
    }
    let mut values = [const { None }; 3];
    let mut null = false;
    for (argument, value) in arguments.iter().zip(&mut values) {
        let evaluated = evaluate(argument, frame)?;
        null |= evaluated.is_null();
        *value = Some(evaluated);
    }
    if null {
        return Ok(Value::Null);
    }
    let place = expr.place;
    match values {
        [Some(value), None, None] if function == Function::ToText => {
            let text = text_of(&value, arguments.first().map_or(&Type::Text, |argument| &argument.ty));
            bounded(text.len(), place, || Value::Text(text))
        }
        [Some(Value::Text(text)), second, third] => over_text(function, text, second, third, place),
        [Some(Value::Json(object)), Some(Value::Text(name)), None] => Ok(json_get(object, &name)),
        [Some(number), digits, None] => over_number(function, number, digits, place),
        _ => Err(ill_typed(signature.name, place)),
    }
}

fn json_get<'a>(object: Cow<'a, str>, name: &str) -> Value<'a> {
    let found = match object {
        Cow::Borrowed(object) => member(object, name).map(Cow::Borrowed),
        Cow::Owned(object) => member(&object, name).map(|found| Cow::Owned(found.to_owned())),
    };
    found.map_or(Value::Null, Value::Json)
}

/// Functions whose first argument is text.
fn over_text<'a>(
    function: Function,
    first: Cow<'a, str>,
    second: Option<Value<'a>>,
    third: Option<Value<'a>>,
    place: Place,
) -> Evaluated<'a> {
    use Value::{Int, Text, Time};
    Ok(match (function, second, third) {
        (Function::Lower, None, None) => return changed(first.to_lowercase(), place),
        (Function::Upper, None, None) => return changed(first.to_uppercase(), place),
        (Function::Trim, None, None) => Text(text::trim(first)),
        (Function::Length, None, None) => Int(text::count(&first)),
        (Function::Substring, Some(Int(start)), None) => Text(text::substring(first, start, None)),
        (Function::Substring, Some(Int(start)), Some(Int(length))) if length >= 0 => {
            Text(text::substring(first, start, Some(length)))
        }
        (Function::Substring, Some(Int(_)), Some(Int(length))) => {
            return Err(argument(format!("substring cannot take {length} characters"), place));
        }
        (Function::Replace, Some(Text(from)), Some(Text(to))) => return replace(first, &from, &to, place),
        (Function::Position, Some(Text(whole)), None) => Int(text::position(&first, &whole)),
        (Function::StartsWith, Some(Text(start)), None) => Value::Bool(first.starts_with(&*start)),
        (Function::SplitPart, Some(Text(separator)), Some(Int(number))) if number >= 1 => {
            Text(text::split_part(first, &separator, number))
        }
        (Function::SplitPart, Some(Text(_)), Some(Int(number))) => {
            return Err(argument(format!("split_part counts from 1 and cannot give part {number}"), place));
        }
        (Function::RegexpLike, Some(Text(wanted)), None) => {
            Value::Bool(pattern::regexp_like(&first, &wanted).map_err(|why| argument(why, place))?)
        }
        (Function::DateTrunc, Some(Time(at)), None) => Time(time::truncate(&first, at).ok_or_else(|| {
            argument(format!("date_trunc knows no {} of {}", shown(&first), time::format_time(at)), place)
        })?),
        (Function::Extract, Some(Time(at)), None) => Int(time::extract(&first, at)
            .ok_or_else(|| argument(format!("extract knows no {}", shown(&first)), place))?),
        _ => return Err(ill_typed(function.name(), place)),
    })
}

fn changed<'a>(text: String, place: Place) -> Evaluated<'a> {
    bounded(text.len(), place, || Value::Text(Cow::Owned(text)))
}

fn replace<'a>(text: Cow<'a, str>, from: &str, to: &str, place: Place) -> Evaluated<'a> {
    if from.is_empty() || !text.contains(from) {
        return Ok(Value::Text(text));
    }
    bounded(text::replaced_bytes(&text, from, to), place, || Value::Text(Cow::Owned(text.replace(from, to))))
}

/// Functions whose first argument is a number; `more` is the digits of `round` or the exponent of `power`.
fn over_number<'a>(
    function: Function,
    number: Value<'a>,
    more: Option<Value<'a>>,
    place: Place,
) -> Evaluated<'a> {
    use Value::{Float, Int};
    let result = match (function, &number, &more) {
        (Function::Power, Float(base), Some(Float(exponent))) => finite(base.powf(*exponent)),
        (Function::Sqrt, Float(number), None) => finite(number.sqrt()),
        (Function::Ln, Float(number), None) => finite(number.ln()),
        (Function::Abs, _, None) => absolute(&number),
        (Function::Floor, Int(_), None) | (Function::Ceil, Int(_), None) => return Ok(number),
        (Function::Floor, Float(number), None) => finite(number.floor()),
        (Function::Ceil, Float(number), None) => finite(number.ceil()),
        (Function::Floor, Value::Decimal(number), None) => Some(Value::Decimal(number.floor())),
        (Function::Ceil, Value::Decimal(number), None) => Some(Value::Decimal(number.ceil())),
        (Function::Round, _, None) => round(&number, 0),
        (Function::Round, _, Some(Int(digits))) => round(&number, *digits),
        _ => return Err(ill_typed(function.name(), place)),
    };
    result.ok_or_else(|| {
        let name = function.name();
        let more = more.map_or(String::new(), |more| format!(", {}", instant_text(&more)));
        let code = if matches!(number, Float(_)) { FaultCode::NotFinite } else { FaultCode::Overflow };
        fault(code, place, format!("{name}({}{more}) is out of range", instant_text(&number)))
    })
}

fn absolute<'a>(number: &Value<'_>) -> Option<Value<'a>> {
    match number {
        Value::Int(number) => number.checked_abs().map(Value::Int),
        Value::Float(number) => finite(number.abs()),
        Value::Decimal(number) => Some(Value::Decimal(number.abs())),
        _ => None,
    }
}

fn round<'a>(number: &Value<'_>, digits: i64) -> Option<Value<'a>> {
    match number {
        Value::Int(number) => Decimal::from_int(*number).round(digits)?.to_int().map(Value::Int),
        Value::Float(number) => finite(round_float(*number, digits)),
        Value::Decimal(number) => number.round(digits).map(Value::Decimal),
        _ => None,
    }
}

/// Rounded half-even by the exact binary value. A float that is too large, or rounded to more digits than a decimal
/// has, has no such digits and stays as it is.
fn round_float(number: f64, digits: i64) -> f64 {
    if digits >= 0 {
        let scale = u8::try_from(digits).unwrap_or(u8::MAX);
        return Decimal::from_float(number, scale).map_or(number, Decimal::to_float);
    }
    match i32::try_from(-digits.max(-i64::from(i32::MAX))) {
        Ok(tens) if tens <= f64::MAX_10_EXP => {
            let unit = 10f64.powi(tens);
            (number / unit).round_ties_even() * unit
        }
        _ => 0.0,
    }
}

fn argument(text: String, place: Place) -> Fault {
    fault(FaultCode::Argument, place, text)
}
