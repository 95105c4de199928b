//! Which types go into which, and what `cast` can do.

use anabranch_model::{Expr, Type};

/// Whether a value of type `from` may be stored as `to`: the same type, or a decimal of another scale, which is
/// rounded.
pub(super) fn storable(from: &Type, to: &Type) -> bool {
    same_kind(from, to)
}

/// Whether two types are the same but for the scale of decimals.
pub(super) fn same_kind(a: &Type, b: &Type) -> bool {
    a == b || matches!((a, b), (Type::Decimal { .. }, Type::Decimal { .. }))
}

/// The type that holds the values of both: `same_kind` holds.
pub(super) fn union(a: &Type, b: &Type) -> Type {
    match (a, b) {
        (Type::Decimal { precision: p, scale: s }, Type::Decimal { precision: q, scale: t }) => {
            let scale = *s.max(t);
            let whole = (p - s).max(q - t);
            Type::Decimal { precision: (whole + scale).clamp(1, 38), scale }
        }
        _ => a.clone(),
    }
}

/// Whether storing `expr` as `to` can fail or round: a decimal that has more digits before the point.
pub(super) fn store_can_fail(expr: &Expr, to: &Type) -> bool {
    match (&expr.ty, to) {
        (Type::Decimal { precision: p, scale: s }, Type::Decimal { precision: q, scale: t }) => {
            // A rounding can carry into one more digit.
            let carry = u8::from(s > t);
            p - s + carry > q - t
        }
        _ => false,
    }
}

/// Whether `cast` knows a way.
pub(super) fn castable(from: &Type, to: &Type) -> bool {
    let number = |ty: &Type| matches!(ty, Type::Int | Type::Float | Type::Decimal { .. });
    match (from, to) {
        (a, b) if same_kind(a, b) => true,
        (Type::Text, _) | (_, Type::Text) => true,
        (a, b) if number(a) && number(b) => true,
        (Type::Int, Type::Time | Type::Duration) | (Type::Time | Type::Duration, Type::Int) => true,
        _ => false,
    }
}
