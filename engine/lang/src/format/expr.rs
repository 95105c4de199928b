//! The layout of expressions: a chain of operators breaks before each of them.

use super::doc::Doc;
use super::tokens::{Docs, Tokens};
use crate::ast::{Expr, ExprKind, Literal, TypeKind, TypeName};
use crate::lexer::Kind;

/// Operators that are printed as one chain.
#[derive(Clone, Copy, PartialEq)]
enum Chain {
    Or,
    And,
    Sum,
    Product,
}

fn chain_of(kind: &ExprKind) -> Option<(Chain, &Expr, &Expr)> {
    use anabranch_model::Operator::{Add, Concat, Subtract};
    Some(match kind {
        ExprKind::Or(left, right) => (Chain::Or, left, right),
        ExprKind::And(left, right) => (Chain::And, left, right),
        ExprKind::Binary(Add | Subtract | Concat, left, right) => (Chain::Sum, left, right),
        ExprKind::Binary(_, left, right) => (Chain::Product, left, right),
        _ => return None,
    })
}

impl<'a> Tokens<'a> {
    pub(super) fn expr(&mut self, expr: &Expr, out: &mut Docs<'a>) {
        if let Some((chain, ..)) = chain_of(&expr.kind) {
            let mut inside = Vec::new();
            self.chain(expr, chain, &mut inside);
            return out.push(Doc::Group(vec![Doc::Indent(inside)]));
        }
        match &expr.kind {
            ExprKind::Literal(Literal::Int(_)) if self.kind(0) == Kind::Minus => {
                self.take(out);
                self.take(out);
            }
            ExprKind::Literal(Literal::Bool(_) | Literal::Null) => self.keyword(out),
            ExprKind::Literal(_) => self.take(out),
            ExprKind::Name(None, _) => self.take(out),
            ExprKind::Name(Some(_), _) => (0..3).for_each(|_| self.take(out)),
            ExprKind::Paren(inside) => {
                self.list(&[inside], 0, out, |tokens, inside, out| tokens.expr(inside, out))
            }
            ExprKind::Not(operand) => {
                self.keywords(1, out);
                self.expr(operand, out);
            }
            ExprKind::Negate(operand) => {
                self.take(out);
                if self.kind(0) == Kind::Minus {
                    out.push(Doc::Spaces(1));
                }
                self.expr(operand, out);
            }
            ExprKind::Case { arms, otherwise } => self.case(arms, otherwise.as_deref(), out),
            ExprKind::Cast(value, ty) => {
                self.keyword(out);
                self.list(&[(value, ty)], 0, out, |tokens, (value, ty), out| {
                    tokens.expr(value, out);
                    out.push(Doc::Spaces(1));
                    tokens.keywords(1, out);
                    tokens.type_name(ty, out);
                });
            }
            ExprKind::Call(_, arguments) => {
                self.keyword(out);
                self.list(arguments, 0, out, |tokens, argument, out| tokens.expr(argument, out));
            }
            compared => self.comparison(compared, out),
        }
    }

    /// `a op b op c`, all of one strength.
    fn chain(&mut self, expr: &Expr, chain: Chain, out: &mut Docs<'a>) {
        match chain_of(&expr.kind) {
            Some((same, left, right)) if same == chain => {
                self.chain(left, chain, out);
                out.push(Doc::Line(1));
                self.keywords(1, out);
                self.expr(right, out);
            }
            _ => self.expr(expr, out),
        }
    }

    fn comparison(&mut self, kind: &ExprKind, out: &mut Docs<'a>) {
        let (left, operators) = match kind {
            ExprKind::IsNull(left, negated) => (left, 1 + usize::from(*negated)),
            ExprKind::In(left, _, negated)
            | ExprKind::Between(left, _, _, negated)
            | ExprKind::Like(left, _, negated) => (left, 1 + usize::from(*negated)),
            ExprKind::Compare(_, left, _) => (left, 1),
            _ => return,
        };
        let mut group = Vec::new();
        self.expr(left, &mut group);
        let mut inside = vec![Doc::Line(1)];
        self.keywords(operators, &mut inside);
        match kind {
            ExprKind::IsNull(..) => self.keyword(&mut inside),
            ExprKind::In(_, values, _) => {
                self.list(values, 0, &mut inside, |tokens, value, out| tokens.expr(value, out));
            }
            ExprKind::Between(_, low, high, _) => {
                self.expr(low, &mut inside);
                inside.push(Doc::Line(1));
                self.keywords(1, &mut inside);
                self.expr(high, &mut inside);
            }
            ExprKind::Like(_, right, _) | ExprKind::Compare(_, _, right) => self.expr(right, &mut inside),
            _ => {}
        }
        group.push(Doc::Indent(inside));
        out.push(Doc::Group(group));
    }

    fn case(&mut self, arms: &[(Expr, Expr)], otherwise: Option<&Expr>, out: &mut Docs<'a>) {
        let mut group = Vec::new();
        self.keyword(&mut group);
        let mut inside = Vec::new();
        for (condition, result) in arms {
            inside.push(Doc::Line(1));
            self.keywords(1, &mut inside);
            self.expr(condition, &mut inside);
            inside.push(Doc::Spaces(1));
            self.keywords(1, &mut inside);
            self.expr(result, &mut inside);
        }
        if let Some(otherwise) = otherwise {
            inside.push(Doc::Line(1));
            self.keywords(1, &mut inside);
            self.expr(otherwise, &mut inside);
        }
        group.extend([Doc::Indent(inside), Doc::Line(1)]);
        self.keyword(&mut group);
        out.push(Doc::Group(group));
    }

    pub(super) fn type_name(&mut self, ty: &TypeName, out: &mut Docs<'a>) {
        match &ty.kind {
            TypeKind::Named(_) => self.take(out),
            _ => self.keyword(out),
        }
        if let TypeKind::Decimal(Some((precision, scale))) = ty.kind {
            self.list(&[precision, scale], 0, out, |tokens, _, out| tokens.take(out));
        }
        if ty.nullable {
            self.take(out);
        }
    }
}
