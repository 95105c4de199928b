//! Walks over typed expressions.

use anabranch_model::{Expr, ExprKind, Place, RowSlot};

/// The expressions directly under `expr`, in the order of evaluation.
pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) | ExprKind::Call(_, parts) => parts.iter().collect(),
        ExprKind::Not(a) | ExprKind::IsNull(a) | ExprKind::Negate(a) | ExprKind::Cast(a) => vec![a],
        ExprKind::Compare(_, a, b) | ExprKind::Like(a, b) | ExprKind::Binary(_, a, b) => vec![a, b],
        ExprKind::Between(a, b, c) => vec![a, b, c],
        ExprKind::In(a, list) => std::iter::once(&**a).chain(list).collect(),
        ExprKind::Case { arms, otherwise } => {
            arms.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect()
        }
        ExprKind::Literal(_)
        | ExprKind::Column(..)
        | ExprKind::Let(_)
        | ExprKind::RowIsNull(_)
        | ExprKind::Node
        | ExprKind::Source
        | ExprKind::Now
        | ExprKind::Revision
        | ExprKind::Uuid => Vec::new(),
    }
}

/// As [`children`], to change them.
pub(crate) fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match &mut expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) | ExprKind::Call(_, parts) => parts.iter_mut().collect(),
        ExprKind::Not(a) | ExprKind::IsNull(a) | ExprKind::Negate(a) | ExprKind::Cast(a) => vec![a],
        ExprKind::Compare(_, a, b) | ExprKind::Like(a, b) | ExprKind::Binary(_, a, b) => vec![a, b],
        ExprKind::Between(a, b, c) => vec![a, b, c],
        ExprKind::In(a, list) => std::iter::once(&mut **a).chain(list).collect(),
        ExprKind::Case { arms, otherwise } => {
            arms.iter_mut().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref_mut()).collect()
        }
        ExprKind::Literal(_)
        | ExprKind::Column(..)
        | ExprKind::Let(_)
        | ExprKind::RowIsNull(_)
        | ExprKind::Node
        | ExprKind::Source
        | ExprKind::Now
        | ExprKind::Revision
        | ExprKind::Uuid => Vec::new(),
    }
}

/// Every expression in `expr`, itself first.
pub(crate) fn all(expr: &Expr) -> impl Iterator<Item = &Expr> {
    let mut stack = vec![expr];
    std::iter::from_fn(move || {
        let next = stack.pop()?;
        stack.extend(children(next).into_iter().rev());
        Some(next)
    })
}

/// Whether `expr` looks at the row variable `slot`.
pub(crate) fn mentions(expr: &Expr, slot: RowSlot) -> bool {
    all(expr).any(|one| match &one.kind {
        ExprKind::Column(of, _) | ExprKind::RowIsNull(of) => *of == slot,
        _ => false,
    })
}

/// Whether two expressions compute the same: equal but for the places they were written at.
pub(crate) fn same(a: &Expr, b: &Expr) -> bool {
    a.ty == b.ty && without_places(a.clone()) == without_places(b.clone())
}

/// `expr` with all places the same.
pub(crate) fn without_places(mut expr: Expr) -> Expr {
    let mut stack = vec![&mut expr];
    while let Some(one) = stack.pop() {
        one.place = Place::default();
        stack.extend(children_mut(one));
    }
    expr
}
