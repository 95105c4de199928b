//! Which types go into which, and what `cast` can do.

pub(super) use anabranch_model::eval::castable;
use anabranch_model::{Expr, ExprKind, Type};

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

/// Whether storing `expr` as `to` can fail: a decimal that may have more digits before the point.
pub(super) fn store_can_fail(expr: &Expr, to: &Type) -> bool {
    match (&expr.ty, to) {
        (from, to) if from == to && matches!(expr.kind, ExprKind::Column(..) | ExprKind::Literal(_)) => false,
        // A product of 38 digits gives decimals up where its digits before the point need the room.
        (Type::Decimal { precision: 38, .. }, Type::Decimal { .. }) => true,
        (Type::Decimal { precision: p, scale: s }, Type::Decimal { precision: q, scale: t }) => {
            // A rounding can carry into one more digit.
            let carry = u8::from(s > t);
            p - s + carry > q - t
        }
        _ => false,
    }
}
