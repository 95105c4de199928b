//! Typed expressions: what the checker makes of an expression in a flow file, and what a worker evaluates.
//!
//! Everything that could go wrong with names, types and nulls was refused before an [`Expr`] exists. What is left
//! (overflow, division by zero, a failed cast) is a [`Fault`](crate::fault::Fault), a value: evaluation never panics.
//! The evaluator is in [`crate::eval`].

use serde::{Deserialize, Serialize};

use crate::function::Function;
use crate::types::{ColumnId, Type};
use crate::value::Value;

/// An expression with its type and the place it was written at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// The type of its result.
    pub ty: Type,
    /// Whether the result may be null.
    pub nullable: bool,
    /// Where it stands in the flow file.
    pub place: Place,
}

/// A place in a flow file, counted from 1; the column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// Number of a row variable of a step: 0 is the input row, then one for each `read` and each `where` over a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowSlot(pub u16);

/// Number of a `let` of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetSlot(pub u16);

/// The kinds of expression. Operands have the types that the operator needs: the checker put casts where literals
/// stand for other types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ExprKind {
    /// A constant of type `ty` (or null).
    Literal(Value<'static>),
    /// A column of a row variable; null when the row is null.
    Column(RowSlot, ColumnId),
    /// The value of a `let`.
    Let(LetSlot),
    /// Whether a row variable is null (`row is null`).
    RowIsNull(RowSlot),
    /// `a and b and ...`, three-valued, left to right, stops at false.
    And(Vec<Expr>),
    /// `a or b or ...`, three-valued, left to right, stops at true.
    Or(Vec<Expr>),
    /// `not a`.
    Not(Box<Expr>),
    /// `a = b` and its like; both sides have the same type (decimals may differ in scale). Null when a side is.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `a is null`. (`is not null` is `Not` of it.)
    IsNull(Box<Expr>),
    /// `a in (b, c)`, three-valued, left to right. (`not in` is `Not` of it.)
    In(Box<Expr>, Vec<Expr>),
    /// `a between low and high`: value, low, high.
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a like pattern`: `%` any run, `_` one character, `\` escapes.
    Like(Box<Expr>, Box<Expr>),
    /// A two-sided operator.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// `-a`.
    Negate(Box<Expr>),
    /// `case when ... then ... else ... end`; without `else` the last is null.
    Case {
        /// Conditions with their results, in order.
        arms: Vec<(Expr, Expr)>,
        /// The `else` result.
        otherwise: Option<Box<Expr>>,
    },
    /// `cast(a as ty)` to the type of this expression.
    Cast(Box<Expr>),
    /// A built-in function.
    Call(Function, Vec<Expr>),
    /// `node()`: the name of the node that owns the partition.
    Node,
    /// `source()`: the name of the node where the request entered.
    Source,
    /// `now()`: the time of the step's stamp.
    Now,
    /// `revision()`: the flow's revision.
    Revision,
    /// `uuid()`: a new id, as text; every evaluation gives another one.
    Uuid,
}

/// `=`, `<>`, `<`, `<=`, `>`, `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Two-sided operators. Which types go together is settled by the checker:
/// int op int, float op float, decimal op decimal, time - time, time +- duration, duration +- duration,
/// duration * int, int * duration; `Concat` takes text and text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
    /// `||`
    Concat,
}
