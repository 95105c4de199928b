//! `+ - * / % ||` and the sign.

use std::borrow::Cow;

use super::{Evaluated, bounded, fault, ill_typed};
use crate::convert::{finite, shown};
use crate::decimal::Decimal;
use crate::expr::{Operator, Place};
use crate::fault::{Fault, FaultCode};
use crate::time::{format_duration, format_time, in_range};
use crate::value::Value;

/// A two-sided operator over two values; null when a side is. `+=` uses it, too.
///
/// # Errors
/// The result is out of range, or the divisor is zero; the fault names `place`.
#[inline]
pub fn binary<'a>(operator: Operator, left: Value<'a>, right: Value<'a>, place: Place) -> Evaluated<'a> {
    match (operator, left, right) {
        (Operator::Concat, Value::Text(left), Value::Text(right)) => concat(left, right, place),
        (operator, left, right) => calculate(operator, &left, &right, place),
    }
}

/// As [`binary`], but for `||`, which takes the texts.
#[inline]
pub(super) fn calculate<'a>(
    operator: Operator,
    left: &Value<'_>,
    right: &Value<'_>,
    place: Place,
) -> Evaluated<'a> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::Int(left), Value::Int(right)) => ints(operator, *left, *right, place),
        (Value::Float(left), Value::Float(right)) => floats(operator, *left, *right, place),
        (Value::Decimal(left), Value::Decimal(right)) => decimals(operator, *left, *right, place),
        (left, right) => instants(operator, left, right, place),
    }
}

fn ints<'a>(operator: Operator, left: i64, right: i64, place: Place) -> Evaluated<'a> {
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide | Operator::Remainder if right == 0 => {
            return Err(by_zero(operator, left, right, place));
        }
        Operator::Divide => left.checked_div(right),
        // Only the smallest int by -1 overflows, and its remainder is 0.
        Operator::Remainder => Some(left.wrapping_rem(right)),
        Operator::Concat => return Err(ill_typed(symbol(operator), place)),
    };
    result.map(Value::Int).ok_or_else(|| overflow(operator, left, right, "int", place))
}

fn floats<'a>(operator: Operator, left: f64, right: f64, place: Place) -> Evaluated<'a> {
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide | Operator::Remainder if right == 0.0 => {
            return Err(by_zero(operator, format!("{left:?}"), format!("{right:?}"), place));
        }
        Operator::Divide => left / right,
        Operator::Remainder => left % right,
        Operator::Concat => return Err(ill_typed(symbol(operator), place)),
    };
    finite(result).ok_or_else(|| {
        let text = format!("{left:?} {} {right:?} is out of range for float", symbol(operator));
        fault(FaultCode::NotFinite, place, text)
    })
}

fn decimals<'a>(operator: Operator, left: Decimal, right: Decimal, place: Place) -> Evaluated<'a> {
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide | Operator::Remainder if right.is_zero() => {
            return Err(by_zero(operator, left, right, place));
        }
        Operator::Divide => left.checked_div(right),
        Operator::Remainder => left.checked_rem(right),
        Operator::Concat => return Err(ill_typed(symbol(operator), place)),
    };
    result.map(Value::Decimal).ok_or_else(|| overflow(operator, left, right, "decimal", place))
}

/// Times and durations.
fn instants<'a>(operator: Operator, left: &Value<'_>, right: &Value<'_>, place: Place) -> Evaluated<'a> {
    let (result, kind) = match (operator, left, right) {
        (Operator::Subtract, Value::Time(left), Value::Time(right)) => {
            (left.checked_sub(*right).map(Value::Duration), "duration")
        }
        (Operator::Add, Value::Time(time), Value::Duration(by)) => {
            (time.checked_add(*by).filter(|time| in_range(*time)).map(Value::Time), "time")
        }
        (Operator::Subtract, Value::Time(time), Value::Duration(by)) => {
            (time.checked_sub(*by).filter(|time| in_range(*time)).map(Value::Time), "time")
        }
        (Operator::Add, Value::Duration(left), Value::Duration(right)) => {
            (left.checked_add(*right).map(Value::Duration), "duration")
        }
        (Operator::Subtract, Value::Duration(left), Value::Duration(right)) => {
            (left.checked_sub(*right).map(Value::Duration), "duration")
        }
        (Operator::Multiply, Value::Duration(left), Value::Int(right))
        | (Operator::Multiply, Value::Int(left), Value::Duration(right)) => {
            (left.checked_mul(*right).map(Value::Duration), "duration")
        }
        _ => return Err(ill_typed(symbol(operator), place)),
    };
    result.ok_or_else(|| overflow(operator, instant_text(left), instant_text(right), kind, place))
}

fn concat<'a>(left: Cow<'a, str>, right: Cow<'a, str>, place: Place) -> Evaluated<'a> {
    if right.is_empty() {
        return Ok(Value::Text(left));
    }
    bounded(left.len() + right.len(), place, || {
        let mut text = left.into_owned();
        text.push_str(&right);
        Value::Text(Cow::Owned(text))
    })
}

/// `-value`.
pub(super) fn negate<'a>(value: Value<'a>, place: Place) -> Evaluated<'a> {
    let (result, kind) = match &value {
        Value::Null => return Ok(Value::Null),
        Value::Int(number) => (number.checked_neg().map(Value::Int), "int"),
        Value::Duration(duration) => (duration.checked_neg().map(Value::Duration), "duration"),
        Value::Float(number) => (finite(-number), "float"),
        Value::Decimal(number) => (Some(Value::Decimal(number.negate())), "decimal"),
        _ => return Err(ill_typed("-", place)),
    };
    result.ok_or_else(|| {
        fault(FaultCode::Overflow, place, format!("-({}) is out of range for {kind}", instant_text(&value)))
    })
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::Remainder => "%",
        Operator::Concat => "||",
    }
}

/// A number, time or duration in a message.
pub(super) fn instant_text(value: &Value<'_>) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::Decimal(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Time(time) => format_time(*time).to_string(),
        Value::Duration(duration) => format_duration(*duration).to_string(),
        Value::Text(text) | Value::Json(text) => shown(text),
        other => format!("{other:?}"),
    }
}

fn by_zero(operator: Operator, left: impl ToString, right: impl ToString, place: Place) -> Fault {
    let text = format!("{} {} {} divides by zero", left.to_string(), symbol(operator), right.to_string());
    fault(FaultCode::DivisionByZero, place, text)
}

fn overflow(
    operator: Operator,
    left: impl ToString,
    right: impl ToString,
    kind: &str,
    place: Place,
) -> Fault {
    let (left, right) = (left.to_string(), right.to_string());
    let text = format!("{left} {} {right} is out of range for {kind}", symbol(operator));
    fault(FaultCode::Overflow, place, text)
}
