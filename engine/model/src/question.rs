//! A compiled question: `select ... from T where ... group by ... order by ... limit ...` over one table, with all
//! names resolved and all types checked. Like the plan it is data: whoever answers it needs no text.
//!
//! Its expressions see the row under test as row variable 0. With a [`Grouping`], `columns`, `having` and `order` see
//! no row but the values of a group: `let` i is the i-th key, and the `let`s behind the keys are the aggregates.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::{Expr, Place};
use crate::plan::TableId;
use crate::types::{Shape, Type};

/// Values that a question groups by, at most.
pub const GROUP_KEYS_MAX: usize = 64;

/// Aggregates of a question, at most; equal ones count once.
pub const AGGREGATES_MAX: usize = 256;

/// Values that a question orders by, at most.
pub const SORTS_MAX: usize = 64;

/// A question over one table of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The table.
    pub table: TableId,
    /// The columns of a result, in the order of `select`.
    pub shape: Arc<Shape>,
    /// What they are; as many as `shape` has.
    pub columns: Vec<Expr>,
    /// Rows for which this is not true do not count.
    pub filter: Option<Expr>,
    /// The whole key, in the order of the table's key, where `filter` fixes it: then no other row can count. The values
    /// look at no row.
    pub key: Option<Vec<Expr>>,
    /// How rows are put together; none when every row is a result.
    pub grouping: Option<Grouping>,
    /// Groups for which this is not true are left out; only with a grouping.
    pub having: Option<Expr>,
    /// In which order results come. Empty: in the order of the table's key, or of the groups' keys.
    pub order: Vec<Sort>,
    /// Results, at most.
    pub limit: Option<u64>,
    /// Results that are passed over first.
    pub offset: u64,
}

/// Rows with equal keys are one group. Without keys all rows are one group, which is there even when no row is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grouping {
    /// What rows of a group have in common. Nulls are equal here.
    pub keys: Vec<Expr>,
    /// What is computed from the rows of a group.
    pub aggregates: Vec<Aggregate>,
}

/// One value from many rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Which.
    pub kind: AggregateKind,
    /// Whether equal values count once.
    pub distinct: bool,
    /// Over what; nulls do not count. None for `count(*)`.
    pub argument: Option<Expr>,
    /// The type of the result.
    pub ty: Type,
    /// Where it stands in the question.
    pub place: Place,
}

/// The aggregates. All but `count` are null when no value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AggregateKind {
    /// How many rows, or values that are not null.
    Count,
    /// The sum, exact for int, decimal and duration, of the type of the values (a decimal with 38 digits).
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The mean: for int and decimal as `/` divides decimals.
    Avg,
}

impl AggregateKind {
    /// All of them.
    pub const ALL: [AggregateKind; 5] = [
        AggregateKind::Count,
        AggregateKind::Sum,
        AggregateKind::Min,
        AggregateKind::Max,
        AggregateKind::Avg,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            AggregateKind::Count => "count",
            AggregateKind::Sum => "sum",
            AggregateKind::Min => "min",
            AggregateKind::Max => "max",
            AggregateKind::Avg => "avg",
        }
    }
}

/// One value to order by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sort {
    /// The value.
    pub value: Expr,
    /// Whether the largest comes first.
    pub descending: bool,
    /// Whether nulls come before all others.
    pub nulls_first: bool,
}
