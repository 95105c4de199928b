//! Questions: `select ... from T where ... group by ... order by ... limit ...` over one table.
//!
//! `Prepared` is a question that compiles against the flows of a node. `Evaluation` answers it: it is fed the rows of
//! the table in the order of the key and gives results, as soon as it can or at the end. It waits for nothing, so
//! whoever has the rows drives it; [`Rows`] does, over the pages of a scan.
//!
//! INVARIANT: what an evaluation holds is bounded by [`HELD_ROWS_MAX`], [`GROUPS_MAX`] and [`HELD_BYTES_MAX`]. Without
//! groups, and with no order or that of the key, it holds nothing.

mod accumulator;
mod error;
mod evaluation;
mod groups;
mod order;
mod results;
mod rows;
mod wide;

use std::sync::Arc;

use anabranch_lang::diagnostic::Diagnostic;
use anabranch_model::message::FlowId;
use anabranch_model::plan::{Plan, Table};
use anabranch_model::question::Question;

use crate::error::FlowError;

pub use error::QueryError;
pub use rows::Rows;

pub(crate) use evaluation::{Evaluation, Lookup};

/// Rows that a question with an order holds, at most: with a `limit` that many, and all that are passed over.
pub const HELD_ROWS_MAX: usize = 1_000_000;

/// Groups of a question, at most.
pub const GROUPS_MAX: usize = 1_000_000;

/// Bytes of rows or groups that a question holds, at most.
pub const HELD_BYTES_MAX: usize = 256 << 20;

/// How much an evaluation may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    rows: usize,
    groups: usize,
    bytes: usize,
}

/// What every question may hold.
const LIMITS: Limits = Limits { rows: HELD_ROWS_MAX, groups: GROUPS_MAX, bytes: HELD_BYTES_MAX };

impl Limits {
    /// # Errors
    /// There are more bytes than may be held.
    fn check_bytes(self, bytes: usize) -> Result<(), QueryError> {
        match bytes > self.bytes {
            true => Err(QueryError::TooMuch { what: "bytes", limit: self.bytes }),
            false => Ok(()),
        }
    }
}

/// What the text of a question is called in messages.
const FILE: &str = "question";

/// A question that compiles, with the flow that it is asked of.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) flow: FlowId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) question: Arc<Question>,
    #[expect(dead_code, reason = "the command line and the network tell warnings")]
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Prepared {
    /// Compiles a question over one of these flows.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn new(text: &str, flows: &[(FlowId, Arc<Plan>)]) -> Result<Self, QueryError> {
        let plans: Vec<&Plan> = flows.iter().map(|(_, plan)| plan.as_ref()).collect();
        let compiled = anabranch_lang::compile_question(text, &plans);
        let found = compiled.question.and_then(|(at, question)| Some((flows.get(at)?, question)));
        let Some(((flow, plan), question)) = found else {
            let (file, text) = (FILE.to_owned(), text.to_owned());
            return Err(QueryError::Wrong(FlowError { file, text, diagnostics: compiled.diagnostics }));
        };
        let (plan, question) = (plan.clone(), Arc::new(question));
        Ok(Prepared { flow: *flow, plan, question, warnings: compiled.diagnostics })
    }

    /// The table.
    pub(crate) fn table(&self) -> &Table {
        &self.plan.tables[self.question.table.0 as usize]
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::rows::Row;

    const FLOW: &str = "
        flow f revision 1
        table T: { id: int, name: text } { key id }
    ";

    /// Feeds rows with ids from 0 to an evaluation within limits; results as text.
    fn answer(text: &str, rows: i64, limits: Limits) -> Result<Vec<String>, QueryError> {
        let plan = Arc::new(anabranch_lang::compile("f.flow", FLOW).plan.expect("it compiles"));
        let prepared = Prepared::new(text, &[(FlowId(0), plan)])?;
        let shape = &prepared.table().shape;
        let mut evaluation = Evaluation::within(&prepared, 0, limits);
        let mut results = Vec::new();
        for id in 0..rows {
            if !evaluation.wants_more() {
                break;
            }
            let row = serde_json::json!({ "id": id, "name": format!("n{:03}", id * 7 % 100) });
            let row = Row::of(shape, &row).expect("a row");
            results.extend(evaluation.push(row.bytes())?);
        }
        let rest = evaluation.finish()?.collect::<Result<Vec<_>, _>>()?;
        Ok(results.iter().chain(&rest).map(Row::to_string).collect())
    }

    fn too_much(text: &str, limits: Limits) -> &'static str {
        match answer(text, 100, limits) {
            Err(QueryError::TooMuch { what, .. }) => what,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_is_held_is_bounded() {
        let few = |rows, groups, bytes| Limits { rows, groups, bytes };
        let much = 1 << 20;
        assert_eq!(too_much("select id from T order by name", few(99, much, much)), "rows");
        assert_eq!(too_much("select id from T order by name", few(much, much, 5000)), "bytes");
        assert_eq!(too_much("select name, count(*) from T group by name", few(much, 99, much)), "groups");
        assert_eq!(too_much("select name, count(*) from T group by name", few(much, much, 5000)), "bytes");
        assert_eq!(too_much("select count(distinct name) from T", few(much, much, 5000)), "bytes");
        assert_eq!(too_much("select distinct name from T order by name desc", few(99, much, much)), "rows");
        assert!(answer("select id from T order by name", 100, few(100, 0, much)).is_ok());
    }

    #[test]
    fn streams_and_small_limits_hold_little() {
        let little = Limits { rows: 3, groups: 1, bytes: 2000 };
        assert_eq!(answer("select id from T where id % 2 = 0", 100, little).expect("a stream").len(), 50);
        assert_eq!(answer("select id from T order by id limit 60", 100, little).expect("a stream").len(), 60);
        assert_eq!(
            answer("select id from T order by name desc limit 2 offset 1", 100, little).expect("three rows"),
            [r#"{"id":14}"#, r#"{"id":71}"#]
        );
        // The largest text grows row by row and is held once.
        assert_eq!(
            answer("select max(name) as m, count(*) as n from T", 100, little).expect("one group"),
            [r#"{"m":"n099","n":100}"#]
        );
    }

    #[test]
    fn no_more_rows_are_wanted_when_the_answer_is_known() {
        let plan = Arc::new(anabranch_lang::compile("f.flow", FLOW).plan.expect("it compiles"));
        for (text, lookup) in [
            ("select id from T limit 0", Lookup::Nothing),
            ("select count(*) from T limit 0", Lookup::Nothing),
            ("select id from T order by name limit 0 offset 5", Lookup::Nothing),
            ("select id from T where id = cast(null as int)", Lookup::Nothing),
            ("select id from T limit 1", Lookup::All),
        ] {
            let prepared = Prepared::new(text, &[(FlowId(0), plan.clone())]).expect("it compiles");
            assert_eq!(
                Evaluation::new(&prepared, 0).lookup(prepared.table()).expect("no fault"),
                lookup,
                "{text}"
            );
        }
        let one = Limits { rows: 0, groups: 0, bytes: 0 };
        assert_eq!(
            answer("select 1 / (1 - id) as x from T limit 1", 100, one).expect("one row"),
            [r#"{"x":1}"#]
        );
    }
}
