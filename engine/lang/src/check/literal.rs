//! Literals: what a constant stands for where a type is expected.
//!
//! An INT stands for an int, a decimal or a float, a DECIMAL for a decimal that holds it exactly or for a float, a
//! text for an enum's value of that name. Nothing is rounded on the way, but to the nearest float.

use std::borrow::Cow;

use anabranch_model::{Decimal, Type, Value};

use crate::ast::{Expr, ExprKind, Literal};
use crate::suggest;

/// A literal, with its sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant<'a> {
    Int(i64),
    Decimal(Decimal),
    /// A decimal of more digits than fit.
    LongDecimal,
    Float(f64),
    /// A float beyond the range of a double.
    HugeFloat,
    Text(&'a str),
    Duration(i64),
    Bool(bool),
    Null,
}

/// Why a literal does not stand for a type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Problem {
    /// Another type altogether; which, and what to write.
    Type { is: &'static str, help: String },
    /// The right type, but the value does not fit.
    Value { label: String, help: String },
}

impl Problem {
    /// What to write at the literal.
    pub(super) fn label(&self) -> String {
        match self {
            Problem::Type { is, .. } => format!("this is {is}"),
            Problem::Value { label, .. } => label.clone(),
        }
    }

    /// What to do.
    pub(super) fn help(self) -> String {
        match self {
            Problem::Type { help, .. } | Problem::Value { help, .. } => help,
        }
    }
}

/// The literal that `expr` is, with a `-` before it and parentheses around it.
pub(super) fn constant(expr: &Expr) -> Option<Constant<'_>> {
    match &expr.kind {
        ExprKind::Literal(literal) => Some(Constant::new(literal)),
        ExprKind::Paren(inner) => constant(inner),
        ExprKind::Negate(inner) => constant(inner)?.negated(),
        _ => None,
    }
}

impl<'a> Constant<'a> {
    fn new(literal: &'a Literal) -> Self {
        match literal {
            Literal::Int(value) => Constant::Int(*value),
            Literal::Decimal(text) => decimal(text).map_or(Constant::LongDecimal, Constant::Decimal),
            Literal::Float(text) => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Constant::Float(value + 0.0),
                _ => Constant::HugeFloat,
            },
            Literal::Text(text) => Constant::Text(text),
            Literal::Duration(value, _) => Constant::Duration(*value),
            Literal::Bool(value) => Constant::Bool(*value),
            Literal::Null => Constant::Null,
        }
    }

    fn negated(self) -> Option<Self> {
        Some(match self {
            Constant::Int(value) => Constant::Int(value.checked_neg()?),
            Constant::Decimal(value) => {
                Constant::Decimal(Decimal::from_parts(-value.mantissa(), value.scale()))
            }
            // Adding 0.0 makes -0.0 plain zero.
            Constant::Float(value) => Constant::Float(-value + 0.0),
            Constant::Duration(value) => Constant::Duration(value.checked_neg()?),
            Constant::LongDecimal | Constant::HugeFloat => self,
            Constant::Text(_) | Constant::Bool(_) | Constant::Null => return None,
        })
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Constant::Null)
    }

    /// The type it has where nothing else is expected; none for null and for what no type holds.
    pub(super) fn natural(&self) -> Option<Type> {
        Some(match self {
            Constant::Int(_) => Type::Int,
            Constant::Decimal(value) => {
                let digits = value.mantissa().unsigned_abs().checked_ilog10().map_or(1, |it| it as u8 + 1);
                Type::Decimal { precision: digits.max(value.scale()).max(1), scale: value.scale() }
            }
            Constant::LongDecimal => Type::Decimal { precision: 38, scale: 9 },
            Constant::Float(_) | Constant::HugeFloat => Type::Float,
            Constant::Text(_) => Type::Text,
            Constant::Duration(_) => Type::Duration,
            Constant::Bool(_) => Type::Bool,
            Constant::Null => return None,
        })
    }

    /// The value of type `ty` that it stands for. Null stands for any type.
    pub(super) fn value_of(&self, ty: &Type) -> Result<Value<'static>, Problem> {
        Ok(match (self, ty) {
            (Constant::Null, _) => Value::Null,
            (Constant::LongDecimal, _) => return Err(too_long()),
            (Constant::HugeFloat, _) => return Err(not_finite()),
            (Constant::Int(value), Type::Int) => Value::Int(*value),
            (Constant::Int(value), Type::Float) => Value::Float(*value as f64),
            (Constant::Int(value), Type::Decimal { precision, scale }) => {
                let number = Decimal::from_parts(i128::from(*value), 0);
                Value::Decimal(exact(number, *precision, *scale).ok_or_else(|| too_many_digits(ty))?)
            }
            (Constant::Decimal(value), Type::Decimal { precision, scale }) => {
                Value::Decimal(exact(*value, *precision, *scale).ok_or_else(|| not_exact(ty))?)
            }
            (Constant::Decimal(value), Type::Float) => {
                let written = format!("{}e-{}", value.mantissa(), value.scale());
                Value::Float(written.parse::<f64>().map_err(|_| not_finite())? + 0.0)
            }
            (Constant::Float(value), Type::Float) => Value::Float(*value),
            (Constant::Text(text), Type::Text) => Value::Text(Cow::Owned((*text).to_owned())),
            (Constant::Text(text), Type::Enum(of)) => match of.position(text) {
                Some(at) => Value::Enum(at),
                None => return Err(no_such_value(text, of)),
            },
            (Constant::Duration(value), Type::Duration) => Value::Duration(*value),
            (Constant::Bool(value), Type::Bool) => Value::Bool(*value),
            _ => return Err(self.other_type(ty)),
        })
    }

    fn other_type(&self, ty: &Type) -> Problem {
        let (is, help) = match (self, ty) {
            (Constant::Int(_), Type::Duration) => ("an int", "write the unit: `5s`, `250ms`".to_owned()),
            (Constant::Int(value), Type::Bool) => {
                ("an int", format!("write `{}`", if *value == 0 { "false" } else { "true" }))
            }
            (Constant::Int(value), Type::Text) => ("an int", format!("write `'{value}'`")),
            (Constant::Int(_), _) => ("an int", format!("write {} literal", super::shapes::with_article(ty))),
            (Constant::Decimal(_), Type::Int) => {
                ("a decimal", "an int has no decimals: write a whole number".to_owned())
            }
            (Constant::Decimal(_), _) => ("a decimal", format!("write `cast(... as {ty})`")),
            (Constant::Float(_), Type::Decimal { .. }) => {
                ("a float", "leave the exponent out: `1.5` is a decimal".to_owned())
            }
            (Constant::Float(_), _) => ("a float", format!("write `cast(... as {ty})`")),
            (Constant::Text(text), Type::Int | Type::Float | Type::Decimal { .. })
                if text.parse::<f64>().is_ok_and(f64::is_finite) =>
            {
                ("text", format!("write `{text}` without quotes"))
            }
            (Constant::Text(text), Type::Bool) if *text == "true" || *text == "false" => {
                ("text", format!("write `{text}` without quotes"))
            }
            (Constant::Text(_), _) => ("text", format!("write `cast('...' as {ty})`")),
            (Constant::Duration(_), _) => ("a duration", "write a literal of that type".to_owned()),
            (Constant::Bool(_), _) => ("a bool", "write a literal of that type".to_owned()),
            (Constant::Null, _) => ("null", "write a literal of that type".to_owned()),
            (Constant::LongDecimal, _) => return too_long(),
            (Constant::HugeFloat, _) => return not_finite(),
        };
        Problem::Type { is, help }
    }
}

fn too_long() -> Problem {
    Problem::Value {
        label: "more than 38 digits".to_owned(),
        help: "write at most 38 digits, or a float: `1.5e0`".to_owned(),
    }
}

fn not_finite() -> Problem {
    Problem::Value {
        label: "larger than any float".to_owned(),
        help: "a float reaches about 1.8e308".to_owned(),
    }
}

fn too_many_digits(ty: &Type) -> Problem {
    Problem::Value {
        label: format!("`{ty}` has no room for so many digits before the point"),
        help: "write a smaller number, or declare more digits".to_owned(),
    }
}

fn not_exact(ty: &Type) -> Problem {
    Problem::Value {
        label: format!("`{ty}` does not hold it exactly"),
        help: format!("write fewer digits, or `cast(... as {ty})` to round"),
    }
}

fn no_such_value(text: &str, of: &anabranch_model::EnumType) -> Problem {
    let values = of.values.iter().map(String::as_str);
    let help = match suggest::closest(text, values) {
        Some(close) => format!("did you mean `'{close}'`?"),
        None => {
            let values: Vec<_> = of.values.iter().take(12).map(|value| format!("`'{value}'`")).collect();
            format!("its values: {}", values.join(", "))
        }
    };
    Problem::Value { label: format!("`{}` has no value '{text}'", of.name), help }
}

/// A decimal literal; none when it has more than 38 digits.
fn decimal(text: &str) -> Option<Decimal> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let mut mantissa: i128 = 0;
    for digit in whole.chars().chain(part.chars()) {
        let digit = digit.to_digit(10)?;
        mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let scale = u8::try_from(part.len()).ok().filter(|scale| *scale <= 38)?;
    let number = Decimal::from_parts(mantissa, scale);
    number.fits(38).then_some(number)
}

/// The same number with `scale` digits after the point, if that takes no rounding and it has `precision` digits.
fn exact(number: Decimal, precision: u8, scale: u8) -> Option<Decimal> {
    let (mut mantissa, mut digits) = (number.mantissa(), number.scale());
    while digits > scale {
        if mantissa % 10 != 0 {
            return None;
        }
        mantissa /= 10;
        digits -= 1;
    }
    while digits < scale {
        mantissa = mantissa.checked_mul(10)?;
        digits += 1;
    }
    let exact = Decimal::from_parts(mantissa, scale);
    exact.fits(precision).then_some(exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_literal_fits_only_where_nothing_is_lost() {
        let literal = Constant::Decimal(decimal("1.50").unwrap());
        let one = Type::Decimal { precision: 3, scale: 1 };
        assert_eq!(literal.value_of(&one), Ok(Value::Decimal(Decimal::from_parts(15, 1))));
        assert!(literal.value_of(&Type::Decimal { precision: 3, scale: 0 }).is_err());
        assert!(literal.value_of(&Type::Int).is_err());
        assert_eq!(literal.value_of(&Type::Float), Ok(Value::Float(1.5)));
    }

    #[test]
    fn decimals_of_more_than_38_digits_are_no_decimals() {
        assert_eq!(decimal("12345678901234567890123456789012345678.9"), None);
        assert!(decimal("0.00000000000000000000000000000000000001").is_some());
        assert_eq!(decimal("0.000000000000000000000000000000000000001"), None);
    }
}
