//! Random values and expressions of every type.

use std::borrow::Cow;
use std::sync::Arc;

use anabranch_model::frame::Chance;
use anabranch_model::time::{EXTRACT_FIELDS, MAX_TIME, MIN_TIME, TRUNC_UNITS};
use anabranch_model::{
    ColumnId, Comparison, Decimal, EnumType, Expr, ExprKind, Function, LetSlot, Operator, RowSlot, Type,
    Value, eval,
};

use super::{DECIMAL, expr, literal};

/// One type of each kind; columns of row 0 and `let` values stand in this order.
pub(crate) fn types() -> Vec<Type> {
    let values = ["new", "paid", " shipped, or not "].map(str::to_owned).to_vec();
    vec![
        Type::Bool,
        Type::Int,
        Type::Float,
        DECIMAL,
        Type::Decimal { precision: 12, scale: 2 },
        Type::Text,
        Type::Bytes,
        Type::Time,
        Type::Duration,
        Type::Json,
        Type::Enum(Arc::new(EnumType { name: "State".to_owned(), values })),
    ]
}

/// Makes values and expressions from a seed.
pub(crate) struct Maker {
    chance: Chance,
    pub(crate) types: Vec<Type>,
    /// Whether operands have the types that their operator wants.
    well_typed: bool,
}

impl Maker {
    pub(crate) fn new(seed: u64, well_typed: bool) -> Self {
        Maker { chance: Chance::new(seed), types: types(), well_typed }
    }

    fn below(&self, count: usize) -> usize {
        (self.chance.draw() % count as u64) as usize
    }

    fn one<'t, T: ?Sized>(&self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }

    pub(crate) fn any_type(&self) -> Type {
        self.types[self.below(self.types.len())].clone()
    }

    fn int(&self) -> i64 {
        match self.below(9) {
            0 => 0,
            1 => 1,
            2 => -1,
            3 => i64::MAX,
            4 => i64::MIN,
            5 => self.below(41) as i64 - 20,
            6 => self.below(1 << 40) as i64,
            _ => self.chance.draw() as i64,
        }
    }

    fn float(&self) -> f64 {
        let edges = [0.0, 1.0, -1.0, 0.5, 2.5, 1e308, -1e308, 5e-324, 9_007_199_254_740_993.0];
        match self.below(3) {
            0 => edges[self.below(edges.len())],
            1 => self.int() as f64 / 64.0,
            _ => {
                let number = f64::from_bits(self.chance.draw());
                if number.is_finite() { number + 0.0 } else { 1.5 }
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let pieces = [
            "",
            "a",
            "ä",
            "%",
            "_",
            "\\",
            "(",
            "[a-",
            ".*",
            "17",
            "-1.50",
            "1e5",
            "true",
            "5s",
            "\"",
            "\n",
            "null",
            "2010-12-01",
            "T08:26:00Z",
            "{\"a\":1}",
            "paid",
            " ",
            "AAEC",
            "\u{0}",
            "day",
            "\u{10ffff}",
        ];
        (0..self.below(4)).map(|_| self.one(&pieces)).collect()
    }

    pub(crate) fn json(&self) -> String {
        self.one(&[
            "null",
            "true",
            "0",
            "-1.50",
            "1e400",
            "\"a\\n\\u0000\"",
            "[]",
            "[1, [2, {}]]",
            "{\"a\":1,\"b\":null}",
            "{\"a\": {\"a\": \"x\"}, \"a\": 2}",
            "\"5s\"",
            "\"2010-12-01\"",
            "9223372036854775808",
        ])
        .to_owned()
    }

    fn decimal(&self, precision: u8, scale: u8) -> Decimal {
        let digits = self.below(usize::from(precision) + 1) as u32;
        let mantissa = match self.below(3) {
            0 => 10i128.pow(digits) - 1,
            1 => 0,
            _ => {
                (i128::from(self.chance.draw()) << 62 | i128::from(self.chance.draw() >> 2))
                    % 10i128.pow(digits)
            }
        };
        Decimal::from_parts(if self.below(2) == 0 { -mantissa } else { mantissa }, scale)
    }

    /// A value of the type, never null.
    pub(crate) fn value(&self, ty: &Type) -> Value<'static> {
        match ty {
            Type::Bool => Value::Bool(self.below(2) == 0),
            Type::Int => Value::Int(self.int()),
            Type::Float => Value::Float(self.float()),
            Type::Decimal { precision, scale } => Value::Decimal(self.decimal(*precision, *scale)),
            Type::Text => Value::Text(Cow::Owned(self.text())),
            Type::Bytes => Value::Bytes(Cow::Owned(self.text().into_bytes().into_iter().rev().collect())),
            Type::Time => Value::Time(match self.below(4) {
                0 => MIN_TIME,
                1 => MAX_TIME,
                _ => MIN_TIME + (self.chance.draw() % (MAX_TIME - MIN_TIME) as u64) as i64,
            }),
            Type::Duration => Value::Duration(self.int()),
            Type::Json => Value::Json(Cow::Owned(self.json())),
            Type::Enum(of) => Value::Enum(self.below(of.values.len()) as u16),
        }
    }

    /// The type that an operand gets: the wanted one, or any.
    fn operand(&self, ty: &Type, depth: u32) -> Expr {
        if self.well_typed || self.below(3) > 0 {
            self.expr(ty, depth)
        } else {
            self.expr(&self.any_type(), depth)
        }
    }

    fn boxed(&self, ty: &Type, depth: u32) -> Box<Expr> {
        Box::new(self.operand(ty, depth))
    }

    fn several(&self, ty: &Type, depth: u32) -> Vec<Expr> {
        (0..2 + self.below(2)).map(|_| self.operand(ty, depth)).collect()
    }

    pub(crate) fn expr(&self, ty: &Type, depth: u32) -> Expr {
        if depth == 0 {
            return self.leaf(ty);
        }
        let depth = depth - 1;
        let kind = match self.below(8) {
            0 => return self.leaf(ty),
            1 => ExprKind::Case {
                arms: vec![(self.operand(&Type::Bool, depth), self.operand(ty, depth))],
                otherwise: (self.below(2) == 0).then(|| self.boxed(ty, depth)),
            },
            2 => self.generic_call(ty, depth),
            3 => {
                let from = self.any_type();
                if !eval::castable(&from, ty) && self.well_typed {
                    return self.leaf(ty);
                }
                ExprKind::Cast(self.boxed(&from, depth))
            }
            _ => self.own(ty, depth),
        };
        expr(kind, ty.clone())
    }

    fn leaf(&self, ty: &Type) -> Expr {
        let at = self.types.iter().position(|known| known == ty).unwrap_or(0) as u16;
        let kind = match self.below(8) {
            0 => ExprKind::Literal(Value::Null),
            1 => ExprKind::Column(RowSlot(0), ColumnId(at)),
            2 => ExprKind::Column(RowSlot(1), ColumnId(at)),
            3 => ExprKind::Let(LetSlot(at)),
            _ => ExprKind::Literal(self.value(ty)),
        };
        expr(kind, ty.clone())
    }

    fn generic_call(&self, ty: &Type, depth: u32) -> ExprKind {
        let function = match self.below(4) {
            0 => Function::Coalesce,
            1 => {
                return ExprKind::Call(
                    Function::Nullif,
                    vec![self.operand(ty, depth), self.operand(ty, depth)],
                );
            }
            _ if *ty == Type::Json => Function::Coalesce,
            2 => Function::Least,
            _ => Function::Greatest,
        };
        ExprKind::Call(function, self.several(ty, depth))
    }

    /// What gives a value of just this type.
    fn own(&self, ty: &Type, depth: u32) -> ExprKind {
        let binary = |operator, left: &Type, right: &Type| {
            ExprKind::Binary(operator, self.boxed(left, depth), self.boxed(right, depth))
        };
        let call = |function, of: &[&Type]| {
            ExprKind::Call(function, of.iter().map(|ty| self.operand(ty, depth)).collect())
        };
        let operators =
            [Operator::Add, Operator::Subtract, Operator::Multiply, Operator::Divide, Operator::Remainder];
        let operator = operators[self.below(operators.len())];
        let instant = if self.below(2) == 0 { Operator::Add } else { Operator::Subtract };
        match ty {
            Type::Bool => self.condition(depth),
            Type::Int => match self.below(6) {
                0 => ExprKind::Negate(self.boxed(ty, depth)),
                1 => call(Function::Length, &[&Type::Text]),
                2 => call(Function::Position, &[&Type::Text, &Type::Text]),
                3 => call(Function::Hash, &[&self.any_type(), &self.any_type()]),
                4 => self.with_word(Function::Extract, EXTRACT_FIELDS, depth),
                _ => binary(operator, ty, ty),
            },
            Type::Float => match self.below(5) {
                0 => call(Function::Power, &[ty, ty]),
                1 => call(Function::Sqrt, &[ty]),
                2 => call(Function::Ln, &[ty]),
                3 => self.number(ty, depth),
                _ => binary(operator, ty, ty),
            },
            Type::Decimal { .. } if self.below(2) == 0 => {
                binary(operator, ty, &self.types[3 + self.below(2)])
            }
            Type::Decimal { .. } => self.number(ty, depth),
            Type::Text => self.text_call(depth),
            Type::Time if self.below(2) == 0 => self.with_word(Function::DateTrunc, TRUNC_UNITS, depth),
            Type::Time => binary(instant, ty, &Type::Duration),
            Type::Duration => match self.below(4) {
                0 => binary(Operator::Subtract, &Type::Time, &Type::Time),
                1 => binary(Operator::Multiply, ty, &Type::Int),
                2 => binary(Operator::Multiply, &Type::Int, ty),
                _ => binary(instant, ty, ty),
            },
            Type::Json if self.below(2) == 0 => call(Function::JsonGet, &[ty, &Type::Text]),
            Type::Json => {
                let name = literal(Value::from(self.text()), Type::Text);
                ExprKind::Call(Function::JsonObject, vec![name, self.operand(&self.any_type(), depth)])
            }
            Type::Bytes | Type::Enum(_) => ExprKind::Cast(self.boxed(&Type::Text, depth)),
        }
    }

    fn condition(&self, depth: u32) -> ExprKind {
        let comparisons =
            [Comparison::Equal, Comparison::NotEqual, Comparison::Less, Comparison::GreaterOrEqual];
        let ty = self.any_type();
        match self.below(9) {
            0 => ExprKind::And(self.several(&Type::Bool, depth)),
            1 => ExprKind::Or(self.several(&Type::Bool, depth)),
            2 => ExprKind::Not(self.boxed(&Type::Bool, depth)),
            3 => ExprKind::IsNull(self.boxed(&ty, depth)),
            4 => ExprKind::In(self.boxed(&ty, depth), self.several(&ty, depth)),
            5 => ExprKind::Between(self.boxed(&ty, depth), self.boxed(&ty, depth), self.boxed(&ty, depth)),
            6 => ExprKind::Like(self.boxed(&Type::Text, depth), self.boxed(&Type::Text, depth)),
            7 => ExprKind::Call(Function::RegexpLike, self.several(&Type::Text, depth)[..2].to_vec()),
            _ => {
                let comparison = comparisons[self.below(comparisons.len())];
                ExprKind::Compare(comparison, self.boxed(&ty, depth), self.boxed(&ty, depth))
            }
        }
    }

    fn number(&self, ty: &Type, depth: u32) -> ExprKind {
        let functions = [Function::Abs, Function::Floor, Function::Ceil];
        match self.below(4) {
            0 => ExprKind::Negate(self.boxed(ty, depth)),
            1 => ExprKind::Call(
                Function::Round,
                vec![self.operand(ty, depth), self.operand(&Type::Int, depth)],
            ),
            _ => ExprKind::Call(functions[self.below(3)], vec![self.operand(ty, depth)]),
        }
    }

    fn text_call(&self, depth: u32) -> ExprKind {
        let (text, int) = (Type::Text, Type::Int);
        let (function, of): (_, &[&Type]) = match self.below(8) {
            0 => (Function::Lower, &[&text]),
            1 => (Function::Upper, &[&text]),
            2 => (Function::Trim, &[&text]),
            3 => (Function::Substring, &[&text, &int, &int]),
            4 => (Function::Replace, &[&text, &text, &text]),
            5 => (Function::SplitPart, &[&text, &text, &int]),
            6 => (Function::ToText, &[&self.any_type()]),
            _ => {
                return ExprKind::Binary(
                    Operator::Concat,
                    self.boxed(&text, depth),
                    self.boxed(&text, depth),
                );
            }
        };
        ExprKind::Call(function, of.iter().map(|ty| self.operand(ty, depth)).collect())
    }

    fn with_word(&self, function: Function, words: &[&'static str], depth: u32) -> ExprKind {
        let word = literal(Value::from(self.one(words)), Type::Text);
        ExprKind::Call(function, vec![word, self.operand(&Type::Time, depth)])
    }
}
