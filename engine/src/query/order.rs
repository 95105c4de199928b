//! Results in another order than the key's: the first so many of them, or all within the limits.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use anabranch_model::eval;
use anabranch_model::question::{Question, Sort};
use anabranch_model::value::Value;

use crate::rows::Row;

use super::{Limits, QueryError};

/// Bytes that a held result costs beside its row and the texts that it is ordered by.
const HELD_BYTES: usize = 96;

/// The order of two values of one type; null is the smallest.
pub(super) fn order(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        // Json has no order in the language; groups by json come in the order of its text.
        (Value::Json(a), Value::Json(b)) => a.cmp(b),
        (a, b) => eval::compare(a, b).unwrap_or(Ordering::Equal),
    }
}

/// The bytes that a value holds beside itself.
pub(super) fn bytes_of(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// How one value is ordered.
#[derive(Clone, Copy, Debug)]
struct Direction {
    descending: bool,
    nulls_first: bool,
}

impl Direction {
    fn of(sort: &Sort) -> Self {
        Direction { descending: sort.descending, nulls_first: sort.nulls_first }
    }

    fn order(self, a: &Value<'_>, b: &Value<'_>) -> Ordering {
        match (a.is_null(), b.is_null()) {
            (true, false) if self.nulls_first => Ordering::Less,
            (false, true) if self.nulls_first => Ordering::Greater,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            _ if self.descending => order(b, a),
            _ => order(a, b),
        }
    }
}

/// A result with what it is ordered by; equal ones stay in the order in which they came.
#[derive(Debug)]
struct Held {
    by: Box<[(Direction, Value<'static>)]>,
    number: u64,
    row: Row,
}

impl Held {
    /// How the result compares with one that comes now.
    fn compared(&self, by: &[Value<'_>]) -> Ordering {
        let pairs = self.by.iter().zip(by);
        let mut orders = pairs.map(|((direction, own), other)| direction.order(own, other));
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Less)
    }

    fn bytes(&self) -> usize {
        let by = self.by.iter().map(|(_, value)| size_of::<(Direction, Value<'_>)>() + bytes_of(value));
        HELD_BYTES + self.row.bytes().len() + by.sum::<usize>()
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.by.iter().zip(&other.by);
        let mut orders = pairs.map(|((direction, own), (_, other))| direction.order(own, other));
        orders.find(|order| order.is_ne()).unwrap_or_else(|| self.number.cmp(&other.number))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}

/// Keeps the first results in an order.
#[derive(Debug)]
pub(super) struct Sorter {
    directions: Vec<Direction>,
    /// The last of them on top.
    held: BinaryHeap<Held>,
    /// How many results it keeps.
    keeps: u64,
    bytes: usize,
    pushed: u64,
    limits: Limits,
}

impl Sorter {
    pub(super) fn new(question: &Question, limits: Limits) -> Self {
        let keeps = match question.limit {
            Some(0) => 0,
            Some(limit) => limit.saturating_add(question.offset),
            None => u64::MAX,
        };
        let directions = question.order.iter().map(Direction::of).collect();
        Sorter { directions, held: BinaryHeap::new(), keeps, bytes: 0, pushed: 0, limits }
    }

    /// How many results it keeps, at most.
    pub(super) fn keeps(&self) -> u64 {
        self.keeps
    }

    /// Whether a result that is ordered by these values is among the first so far.
    pub(super) fn takes(&self, by: &[Value<'_>]) -> bool {
        (self.held.len() as u64) < self.keeps
            || self.held.peek().is_some_and(|last| last.compared(by).is_gt())
    }

    /// Takes a result; the last one goes when there are too many.
    ///
    /// # Errors
    /// There are more than a question may hold.
    pub(super) fn put(&mut self, by: Vec<Value<'static>>, row: Row) -> Result<(), QueryError> {
        if self.held.len() as u64 >= self.keeps
            && let Some(last) = self.held.pop()
        {
            self.bytes -= last.bytes();
        }
        let by = self.directions.iter().copied().zip(by).collect();
        let held = Held { by, number: self.pushed, row };
        self.pushed += 1;
        self.bytes += held.bytes();
        self.limits.check_bytes(self.bytes)?;
        if self.held.len() >= self.limits.rows {
            return Err(QueryError::TooMuch { what: "rows", limit: self.limits.rows });
        }
        self.held.push(held);
        Ok(())
    }

    /// The results in order.
    pub(super) fn into_rows(self) -> impl Iterator<Item = Row> {
        self.held.into_sorted_vec().into_iter().map(|held| held.row)
    }
}
