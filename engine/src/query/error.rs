//! Why a question has no answer, or none to its end.

use std::fmt;

use anabranch_model::expr::Place;
use anabranch_model::fault::Fault;

use crate::error::FlowError;

/// Why a question has no answer. Questions change nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum QueryError {
    /// It is not right: all that is wrong with it.
    Wrong(FlowError),
    /// An expression of it failed for a row or a group, as `1 / 0` does. Results that came before are right.
    Failed {
        /// The number of the fault, `R002`; `anabranch explain` has a page for it.
        code: &'static str,
        /// What happened, with the values.
        text: String,
        /// Where in the question.
        place: Place,
    },
    /// It needs more memory than a question may have.
    TooMuch {
        /// What there is too much of: `rows`, `groups`, `bytes`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueryError::Wrong(error) => error.fmt(f),
            QueryError::Failed { code, text, place } => {
                let Place { line, column } = place;
                write!(f, "the question failed at {line}:{column}: {code}: {text}")
            }
            QueryError::TooMuch { what, limit } => write!(
                f,
                "the question holds more than {limit} {what} at once: narrow it with `where`, order with a smaller \
                 `limit` or in the order of the key, or group by fewer values"
            ),
        }
    }
}

impl std::error::Error for QueryError {}

impl From<Fault> for QueryError {
    fn from(fault: Fault) -> Self {
        QueryError::Failed { code: fault.code.number(), text: fault.text, place: fault.place }
    }
}
