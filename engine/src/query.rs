//! Questions: `select ... from T where ... group by ... order by ... limit ...` over one table.
//!
//! [`Prepared`] is a question that compiles against the flows of a node. [`Evaluation`] answers it: it is fed the rows of
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
