//! The total evaluator: an expression and the rows it sees give a value or a [`Fault`], never a panic.
//!
//! - Null is SQL's: `and`, `or`, `in` and `between` are three-valued, everything else that meets a null gives null
//!   unless it says otherwise.
//! - `and`, `or`, `in`, `between`, `case` and `coalesce` go from left to right and stop when the result is known; all
//!   others evaluate every operand. What is not evaluated cannot fail.
//! - Columns, constants, comparisons and arithmetic allocate nothing. Text results have at most
//!   [`MAX_RESULT_BYTES`]. The parser bounds how deep expressions nest, so recursion is bounded, too.
//! - Float results are finite and never -0.0.
//!
//! ```
//! use anabranch_model::{Expr, ExprKind, Frame, Operator, Place, StepContext, Type, Value, eval, frame::Chance};
//! let expr = |kind| Expr { kind, ty: Type::Int, nullable: false, place: Place::default() };
//! let int = |number: i64| Box::new(expr(ExprKind::Literal(Value::Int(number))));
//! let context =
//!     StepContext { node: "A".into(), source: "A".into(), now: 0, revision: 1, chance: Chance::new(1) };
//! let frame = Frame { input: &[], rows: &[], candidate: None, shapes: &[], lets: &[], context: &context };
//! let sum = expr(ExprKind::Binary(Operator::Add, int(2), int(3)));
//! assert_eq!(eval::evaluate(&sum, &frame), Ok(Value::Int(5)));
//! let quotient = expr(ExprKind::Binary(Operator::Divide, int(2), int(0)));
//! assert_eq!(eval::evaluate(&quotient, &frame).unwrap_err().to_string(), "R002: 2 / 0 divides by zero");
//! ```

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::expr::{Comparison, Expr, ExprKind, Operator, Place};
use crate::fault::{Fault, FaultCode};
use crate::frame::{Chance, Frame};
use crate::value::Value;

mod arithmetic;
mod call;
mod cast;
mod pattern;
mod text;

pub use arithmetic::binary;
pub use cast::castable;
pub use pattern::{MAX_PATTERN_BYTES, check_pattern};

/// Bytes of a text or json that an expression makes, at most: well below what a row may have.
pub const MAX_RESULT_BYTES: usize = 1 << 20;

/// The result of an evaluation.
type Evaluated<'a> = Result<Value<'a>, Fault>;

/// The value of an expression over the rows of a frame.
///
/// # Errors
/// The step of this row must be refused with the fault. Nothing was changed.
pub fn evaluate<'a>(expr: &'a Expr, frame: &Frame<'a>) -> Evaluated<'a> {
    match &expr.kind {
        ExprKind::Literal(value) => Ok(value.borrow()),
        ExprKind::Column(row, column) => Ok(frame.row(*row).map_or(Value::Null, |row| row.value(*column))),
        ExprKind::Let(slot) => Ok(frame.value(*slot).borrow()),
        ExprKind::RowIsNull(row) => Ok(Value::Bool(frame.row(*row).is_none())),
        ExprKind::And(parts) => junction(parts, false, frame),
        ExprKind::Or(parts) => junction(parts, true, frame),
        ExprKind::Not(inner) => Ok(truth(evaluated_truth(inner, frame)?.map(|truth| !truth))),
        ExprKind::Compare(comparison, left, right) => comparison_of(*comparison, left, right, frame),
        ExprKind::IsNull(inner) => Ok(Value::Bool(evaluate(inner, frame)?.is_null())),
        ExprKind::In(value, list) => among(value, list, frame),
        ExprKind::Between(value, low, high) => between(value, low, high, frame),
        ExprKind::Like(text, wanted) => {
            pattern::evaluate_like(evaluate(text, frame)?, evaluate(wanted, frame)?, expr.place)
        }
        ExprKind::Binary(operator, left, right) => combination_of(*operator, left, right, expr.place, frame),
        ExprKind::Negate(inner) => arithmetic::negate(evaluate(inner, frame)?, expr.place),
        ExprKind::Case { arms, otherwise } => case(arms, otherwise.as_deref(), frame),
        ExprKind::Cast(inner) => cast::cast(evaluate(inner, frame)?, &inner.ty, &expr.ty, expr.place),
        ExprKind::Call(function, arguments) => call::call(*function, arguments, expr, frame),
        ExprKind::Node => Ok(Value::Text(Cow::Borrowed(&frame.context.node))),
        ExprKind::Source => Ok(Value::Text(Cow::Borrowed(&frame.context.source))),
        ExprKind::Now => Ok(Value::Time(frame.context.now)),
        ExprKind::Revision => Ok(Value::Int(frame.context.revision)),
        ExprKind::Uuid => Ok(Value::Text(Cow::Owned(uuid(&frame.context.chance)))),
    }
}

// Both look at their operands where they were returned: moving a value costs more than adding two ints.

fn comparison_of<'a>(
    comparison: Comparison,
    left: &'a Expr,
    right: &'a Expr,
    frame: &Frame<'a>,
) -> Evaluated<'a> {
    let left = evaluate(left, frame);
    let Ok(one) = &left else { return left };
    let right = evaluate(right, frame);
    let Ok(other) = &right else { return right };
    Ok(truth(compared(comparison, one, other)))
}

fn combination_of<'a>(
    operator: Operator,
    left: &'a Expr,
    right: &'a Expr,
    place: Place,
    frame: &Frame<'a>,
) -> Evaluated<'a> {
    let left = evaluate(left, frame);
    let Ok(one) = &left else { return left };
    let right = evaluate(right, frame);
    let Ok(other) = &right else { return right };
    match operator {
        Operator::Concat => arithmetic::binary(operator, left?, right?, place),
        _ => arithmetic::calculate(operator, one, other, place),
    }
}

/// Whether a condition is true; null counts as false.
///
/// # Errors
/// As [`evaluate`].
#[inline]
pub fn is_true(expr: &Expr, frame: &Frame<'_>) -> Result<bool, Fault> {
    Ok(evaluated_truth(expr, frame)? == Some(true))
}

/// Orders two values of one type: text and bytes by their bytes, enums by their place, decimals whatever their scales,
/// false before true. `None` when one is null, for json that is not equal text, and for values of different types.
#[inline]
pub fn compare(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right))
        | (Value::Time(left), Value::Time(right))
        | (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Decimal(left), Value::Decimal(right)) => Some(left.compare(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (Value::Enum(left), Value::Enum(right)) => Some(left.cmp(right)),
        (Value::Json(left), Value::Json(right)) => (left == right).then_some(Ordering::Equal),
        _ => None,
    }
}

/// The result of a comparison; `None` when a side is null.
fn compared(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    if left.is_null() || right.is_null() {
        return None;
    }
    let order = compare(left, right);
    Some(match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// A three-valued truth: `None` is unknown.
fn evaluated_truth(expr: &Expr, frame: &Frame<'_>) -> Result<Option<bool>, Fault> {
    match evaluate(expr, frame) {
        Ok(Value::Bool(truth)) => Ok(Some(truth)),
        Ok(_) => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn truth<'a>(truth: Option<bool>) -> Value<'a> {
    truth.map_or(Value::Null, Value::Bool)
}

/// `and` (decided by false) and `or` (decided by true).
fn junction<'a>(parts: &[Expr], deciding: bool, frame: &Frame<'_>) -> Evaluated<'a> {
    let mut unknown = false;
    for part in parts {
        match evaluated_truth(part, frame)? {
            Some(truth) if truth == deciding => return Ok(Value::Bool(deciding)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(!deciding) })
}

fn among<'a>(value: &Expr, list: &[Expr], frame: &Frame<'_>) -> Evaluated<'a> {
    let value = evaluate(value, frame)?;
    if value.is_null() && !list.is_empty() {
        return Ok(Value::Null);
    }
    let mut unknown = false;
    for candidate in list {
        match compared(Comparison::Equal, &value, &evaluate(candidate, frame)?) {
            Some(true) => return Ok(Value::Bool(true)),
            Some(false) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(false) })
}

/// `value >= low and value <= high`.
fn between<'a>(value: &Expr, low: &Expr, high: &Expr, frame: &Frame<'_>) -> Evaluated<'a> {
    let value = evaluate(value, frame)?;
    let above = compared(Comparison::GreaterOrEqual, &value, &evaluate(low, frame)?);
    if above == Some(false) {
        return Ok(Value::Bool(false));
    }
    let below = compared(Comparison::LessOrEqual, &value, &evaluate(high, frame)?);
    Ok(match (above, below) {
        (_, Some(false)) => Value::Bool(false),
        (Some(true), Some(true)) => Value::Bool(true),
        _ => Value::Null,
    })
}

fn case<'a>(arms: &'a [(Expr, Expr)], otherwise: Option<&'a Expr>, frame: &Frame<'a>) -> Evaluated<'a> {
    for (condition, result) in arms {
        if is_true(condition, frame)? {
            return evaluate(result, frame);
        }
    }
    otherwise.map_or(Ok(Value::Null), |result| evaluate(result, frame))
}

/// A random id (RFC 9562, version 4).
fn uuid(chance: &Chance) -> String {
    let bits = (u128::from(chance.draw()) << 64) | u128::from(chance.draw());
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn fault(code: FaultCode, place: Place, text: impl Into<String>) -> Fault {
    Fault { code, place, text: text.into() }
}

/// A plan whose types do not go together: only a front end other than ours could write one.
fn ill_typed(what: &str, place: Place) -> Fault {
    fault(FaultCode::Argument, place, format!("{what} does not take values of these types"))
}

/// Refuses a text that is too large.
fn bounded<'a>(bytes: usize, place: Place, make: impl FnOnce() -> Value<'a>) -> Evaluated<'a> {
    if bytes <= MAX_RESULT_BYTES {
        return Ok(make());
    }
    let text =
        format!("the result has {bytes} bytes; text that an expression makes has at most {MAX_RESULT_BYTES}");
    Err(fault(FaultCode::TooLarge, place, text))
}
