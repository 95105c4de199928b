//! A question as written: `select ... from T where ...`.

use super::{Expr, Name};
use crate::span::Span;

/// A question. Parts that could not be read are left out and counted in `broken`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// `distinct`.
    pub distinct: Option<Span>,
    /// What stands between `select` and `from`.
    pub items: Vec<Item>,
    /// `from`.
    pub table: Option<TableName>,
    /// `where`.
    pub filter: Option<Expr>,
    /// `group by`.
    pub group_by: Vec<Expr>,
    /// `having`.
    pub having: Option<Expr>,
    /// `order by`.
    pub order_by: Vec<Sort>,
    /// `limit`.
    pub limit: Option<u64>,
    /// `offset`.
    pub offset: Option<u64>,
    /// The pieces that could not be read.
    pub broken: Vec<Span>,
}

/// One element of the list behind `select`.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `*`
    All(Span),
    /// `expr [as NAME]`
    Value(Expr, Option<Name>),
}

/// `[FLOW.]TABLE [as NAME]`
#[derive(Clone, Debug, PartialEq)]
pub struct TableName {
    /// The flow's name.
    pub flow: Option<Name>,
    /// The table's name.
    pub table: Name,
    /// What its rows are called.
    pub alias: Option<Name>,
}

/// `expr [asc | desc] [nulls first | nulls last]`
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// What is ordered by.
    pub value: Expr,
    /// `desc`
    pub descending: bool,
    /// Whether `nulls first` or `nulls last` is written, and which.
    pub nulls_first: Option<bool>,
}
