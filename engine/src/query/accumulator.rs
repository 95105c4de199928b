//! One value from many: `count`, `sum`, `min`, `max`, `avg`. Nulls do not count.

use std::cmp::Ordering;
use std::collections::HashSet;

use anabranch_model::decimal::Decimal;
use anabranch_model::expr::{Operator, Place};
use anabranch_model::fault::{Fault, FaultCode};
use anabranch_model::question::{Aggregate, AggregateKind};
use anabranch_model::value::Value;
use anabranch_model::{Type, eval};

use super::groups::identity;
use super::order::{bytes_of, order};
use super::wide::Wide;

/// Bytes that a value costs which is kept to be counted once, beside its own.
const SEEN_BYTES: usize = 64;

/// An aggregate over the rows so far of a group.
#[derive(Debug)]
pub(super) struct Accumulator {
    /// The values that counted already, where equal ones count once.
    seen: Option<HashSet<Box<[u8]>>>,
    /// How many counted.
    count: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Count,
    /// A sum of ints or durations.
    Whole(Wide),
    /// Sums of decimals, one for each scale that occurs.
    Decimals(Vec<(u8, Wide)>),
    Float(f64),
    /// The value that comes first in this order.
    First(Ordering, Value<'static>),
}

impl Accumulator {
    pub(super) fn new(aggregate: &Aggregate) -> Self {
        let state = match (aggregate.kind, aggregate.argument.as_ref().map(|argument| &argument.ty)) {
            (AggregateKind::Count, _) => State::Count,
            (AggregateKind::Min, _) => State::First(Ordering::Less, Value::Null),
            (AggregateKind::Max, _) => State::First(Ordering::Greater, Value::Null),
            (_, Some(Type::Decimal { .. })) => State::Decimals(Vec::new()),
            (_, Some(Type::Float)) => State::Float(0.0),
            _ => State::Whole(Wide::default()),
        };
        Accumulator { seen: aggregate.distinct.then(HashSet::new), count: 0, state }
    }

    /// Takes a value; by how many bytes more it holds.
    pub(super) fn push(&mut self, value: &Value<'_>) -> isize {
        if value.is_null() {
            return 0;
        }
        let mut grown = 0;
        if let Some(seen) = &mut self.seen {
            let mut bytes = Vec::new();
            identity(value, &mut bytes);
            grown = (SEEN_BYTES + bytes.len()) as isize;
            if !seen.insert(bytes.into()) {
                return 0;
            }
        }
        self.count += 1;
        grown + self.state.push(value)
    }

    /// The value of the aggregate.
    ///
    /// # Errors
    /// It is out of the range of its type.
    pub(super) fn finish(self, aggregate: &Aggregate) -> Result<Value<'static>, Fault> {
        if matches!(self.state, State::Count) {
            return Ok(Value::Int(i64::try_from(self.count).unwrap_or(i64::MAX)));
        }
        if self.count == 0 {
            return Ok(Value::Null);
        }
        let overflow = |place: Place| {
            let text = format!("the {} is out of range for {}", aggregate.kind.name(), aggregate.ty);
            Fault { code: FaultCode::Overflow, place, text }
        };
        let place = aggregate.place;
        let mean = aggregate.kind == AggregateKind::Avg;
        let number = match self.state {
            State::Count => None,
            State::First(_, value) => Some(value),
            State::Float(sum) => return float(sum, self.count, mean, place),
            State::Whole(sum) => whole(sum, self.count, mean, &aggregate.ty),
            State::Decimals(sums) => decimal(&sums).and_then(|sum| match mean {
                true => sum.checked_div(counted(self.count)).map(Value::Decimal),
                false => Some(Value::Decimal(sum)),
            }),
        };
        number.ok_or_else(|| overflow(place))
    }
}

impl State {
    /// Takes a value that is not null; by how many bytes more it holds.
    fn push(&mut self, value: &Value<'_>) -> isize {
        match (self, value) {
            (State::Whole(sum), Value::Int(number) | Value::Duration(number)) => sum.add(i128::from(*number)),
            (State::Float(sum), Value::Float(number)) => *sum += number,
            (State::Decimals(sums), Value::Decimal(number)) => {
                let scale = number.scale();
                let at = sums.iter().position(|(of, _)| *of == scale).unwrap_or_else(|| {
                    sums.push((scale, Wide::default()));
                    sums.len() - 1
                });
                sums[at].1.add(number.mantissa());
            }
            (State::First(wanted, first), value) if first.is_null() || order(value, first) == *wanted => {
                let grown = bytes_of(value) as isize - bytes_of(first) as isize;
                *first = value.clone().into_owned();
                return grown;
            }
            _ => {}
        }
        0
    }
}

/// A count as a number to divide by.
fn counted(count: u64) -> Decimal {
    Decimal::from_parts(i128::from(count), 0)
}

fn float(sum: f64, count: u64, mean: bool, place: Place) -> Result<Value<'static>, Fault> {
    let sum = Value::Float(sum + 0.0);
    let by = Value::Float(if mean { count as f64 } else { 1.0 });
    eval::binary(Operator::Divide, sum, by, place)
        .map_err(|fault| Fault { text: "the sum is out of range for float".to_owned(), ..fault })
}

/// A sum of ints or durations, or their mean; `None` when it is out of range.
fn whole(sum: Wide, count: u64, mean: bool, ty: &Type) -> Option<Value<'static>> {
    let total = sum.total()?;
    let duration = *ty == Type::Duration;
    if !mean {
        let total = i64::try_from(total).ok()?;
        return Some(if duration { Value::Duration(total) } else { Value::Int(total) });
    }
    let quotient = Decimal::from_parts(total, 0).checked_div(counted(count))?;
    Some(if duration { Value::Duration(quotient.to_int()?) } else { Value::Decimal(quotient) })
}

/// The sum of sums of several scales, exact where 38 digits hold it.
fn decimal(sums: &[(u8, Wide)]) -> Option<Decimal> {
    sums.iter().try_fold(Decimal::ZERO, |sum, (scale, wide)| {
        sum.checked_add(Decimal::from_parts(wide.total()?, *scale))
    })
}
