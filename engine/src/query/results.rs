//! What is left of a question when all rows were seen.

use anabranch_model::eval;
use anabranch_model::value::Value;

use crate::rows::Row;

use super::QueryError;
use super::accumulator::Accumulator;
use super::evaluation::Scope;
use super::groups::Groups;
use super::order::Sorter;

/// The results that an evaluation gives at its end, in order.
pub(crate) struct Results(Box<dyn Iterator<Item = Result<Row, QueryError>> + Send>);

impl Results {
    pub(super) fn none() -> Self {
        Results(Box::new(std::iter::empty()))
    }

    pub(super) fn sorted(sorter: Sorter, offset: u64) -> Self {
        let passed = usize::try_from(offset).unwrap_or(usize::MAX);
        Results(Box::new(sorter.into_rows().skip(passed).map(Ok)))
    }

    /// Groups in the order of their keys, or in the order of the question.
    pub(super) fn of_groups(groups: Groups, mut scope: Scope) -> Result<Self, QueryError> {
        let question = scope.question.clone();
        let (limit, offset) = (question.limit.unwrap_or(u64::MAX), question.offset);
        let [limit, offset] = [limit, offset].map(|many| usize::try_from(many).unwrap_or(usize::MAX));
        if question.order.is_empty() {
            let results = groups.into_sorted().filter_map(move |group| scope.group_result(group).transpose());
            // A group that fails comes even where it would be passed over: the question failed.
            return Ok(Results(Box::new(Window { results, offset, limit })));
        }
        let mut sorter = Sorter::new(&question, scope.limits);
        for group in groups.into_sorted() {
            let Some(values) = scope.group_values(group)? else { continue };
            let frame = scope.frame(&[], &values);
            let by = question.order.iter().map(|sort| eval::evaluate(&sort.value, &frame));
            let by = by.collect::<Result<Vec<_>, _>>()?;
            if sorter.takes(&by) {
                let by = by.into_iter().map(Value::into_owned).collect();
                sorter.put(by, scope.result(&[], &values)?)?;
            }
        }
        Ok(Results::sorted(sorter, question.offset))
    }
}

impl Iterator for Results {
    type Item = Result<Row, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl std::fmt::Debug for Results {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Results")
    }
}

/// The results behind the first `offset`, `limit` of them; errors are not passed over.
struct Window<I> {
    results: I,
    offset: usize,
    limit: usize,
}

impl<I: Iterator<Item = Result<Row, QueryError>>> Iterator for Window<I> {
    type Item = Result<Row, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.limit == 0 {
                return None;
            }
            match self.results.next()? {
                Ok(_) if self.offset > 0 => self.offset -= 1,
                Ok(row) => {
                    self.limit -= 1;
                    return Some(Ok(row));
                }
                Err(error) => {
                    self.limit = 0;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Scope {
    /// The values of a group, keys first; none when `having` leaves it out.
    fn group_values(
        &self,
        (mut values, accumulators): (Vec<Value<'static>>, Vec<Accumulator>),
    ) -> Result<Option<Vec<Value<'static>>>, QueryError> {
        let aggregates = self.question.grouping.iter().flat_map(|grouping| &grouping.aggregates);
        for (accumulator, aggregate) in accumulators.into_iter().zip(aggregates) {
            values.push(accumulator.finish(aggregate)?);
        }
        let Some(having) = &self.question.having else { return Ok(Some(values)) };
        let counts = eval::is_true(having, &self.frame(&[], &values))?;
        Ok(counts.then_some(values))
    }

    fn group_result(
        &mut self,
        group: (Vec<Value<'static>>, Vec<Accumulator>),
    ) -> Result<Option<Row>, QueryError> {
        match self.group_values(group)? {
            Some(values) => self.result(&[], &values).map(Some),
            None => Ok(None),
        }
    }
}
