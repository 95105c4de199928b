//! Rows put together by what they have in common.

use std::collections::HashMap;

use anabranch_model::frame::Frame;
use anabranch_model::question::{Grouping, Question};
use anabranch_model::value::Value;
use anabranch_model::{eval, key};

use super::accumulator::Accumulator;
use super::order::{bytes_of, order};
use super::{Limits, QueryError};

/// Bytes that a group costs beside its keys and aggregates.
const GROUP_BYTES: usize = 128;

/// The groups so far.
#[derive(Debug)]
pub(super) struct Groups {
    /// By the encoded keys.
    groups: HashMap<Box<[u8]>, Group>,
    bytes: usize,
    limits: Limits,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Group {
    keys: Vec<Value<'static>>,
    accumulators: Vec<Accumulator>,
}

impl Group {
    fn new(keys: Vec<Value<'static>>, grouping: &Grouping) -> Self {
        Group { keys, accumulators: grouping.aggregates.iter().map(Accumulator::new).collect() }
    }

    fn bytes(&self) -> usize {
        let keys = self.keys.iter().map(|value| size_of::<Value<'_>>() + 2 * bytes_of(value));
        GROUP_BYTES + keys.sum::<usize>() + self.accumulators.len() * size_of::<Accumulator>()
    }
}

impl Groups {
    pub(super) fn new(grouping: &Grouping, limits: Limits) -> Self {
        let mut groups = HashMap::new();
        if grouping.keys.is_empty() {
            groups.insert(Box::default(), Group::new(Vec::new(), grouping));
        }
        Groups { groups, bytes: 0, limits, buffer: Vec::new() }
    }

    /// Takes the row of a frame.
    ///
    /// # Errors
    /// A value cannot be computed, or there is more than a question may hold.
    pub(super) fn push(&mut self, question: &Question, frame: &Frame<'_>) -> Result<(), QueryError> {
        let Some(grouping) = &question.grouping else { return Ok(()) };
        let keys = grouping.keys.iter().map(|key| eval::evaluate(key, frame));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        self.buffer.clear();
        keys.iter().for_each(|key| identity(key, &mut self.buffer));
        if !self.groups.contains_key(self.buffer.as_slice()) {
            if self.groups.len() == self.limits.groups {
                return Err(QueryError::TooMuch { what: "groups", limit: self.limits.groups });
            }
            let keys = keys.into_iter().map(Value::into_owned).collect();
            let group = Group::new(keys, grouping);
            self.bytes += group.bytes();
            self.groups.insert(self.buffer.as_slice().into(), group);
        }
        let group = self.groups.get_mut(self.buffer.as_slice()).expect("it was put there above");
        for (accumulator, aggregate) in group.accumulators.iter_mut().zip(&grouping.aggregates) {
            let value = match &aggregate.argument {
                Some(argument) => eval::evaluate(argument, frame)?,
                None => Value::Bool(true),
            };
            self.bytes = self.bytes.saturating_add_signed(accumulator.push(&value));
        }
        self.limits.check_bytes(self.bytes)
    }

    /// The values of every group, keys first, in the order of the keys.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = (Vec<Value<'static>>, Vec<Accumulator>)> + use<> {
        let mut groups: Vec<Group> = self.groups.into_values().collect();
        groups.sort_unstable_by(|a, b| {
            let mut orders = a.keys.iter().zip(&b.keys).map(|(a, b)| order(a, b));
            orders.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
        groups.into_iter().map(|group| (group.keys, group.accumulators))
    }
}

/// Appends bytes that are equal for equal values of one type, and for nulls; no encoding is the beginning of another.
pub(super) fn identity(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Decimal(number) => {
            let number = number.normalized();
            key::encode(&Value::Decimal(number), true, false, out);
            out.push(number.scale());
        }
        value => key::encode(value, true, false, out),
    }
}
