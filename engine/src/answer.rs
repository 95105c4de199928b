//! What comes back: answers, replies, refusals.

use std::fmt;

use anabranch_model::expr::Place;
use anabranch_model::message::{Refusal, RowsAnswer};
use anabranch_model::plan::{Plan, RefusalCode};

use crate::rows::Row;

/// What became of the rows of a request.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Rows that took effect.
    pub accepted: usize,
    /// Rows that did not, in the order of the request. Nothing of their steps is written.
    pub refused: Vec<Refused>,
    /// Rows that rules sent back, in the order of the request, and for one of its rows in the order of the rules.
    pub replies: Vec<Reply>,
}

/// A row that a rule sent back to the asker.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Which row of the request it answers, from 0.
    pub request_row: usize,
    /// The output stream.
    pub stream: String,
    /// The row.
    pub row: Row,
}

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which row of the request, from 0.
    pub request_row: usize,
    /// What the asker may do about it.
    pub code: RefusalCode,
    /// Why; begins with a diagnostic number where the engine and not a rule refused.
    pub text: String,
    /// The flow file and the place there that refused it.
    pub place: Option<(String, Place)>,
}

impl Refused {
    pub(crate) fn of(refusal: Refusal, plan: &Plan) -> Self {
        Refused {
            request_row: refusal.row as usize,
            code: refusal.code,
            text: refusal.text,
            place: refusal.place.map(|place| (plan.file.clone(), place)),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.text)?;
        if let Some((file, place)) = &self.place {
            write!(f, " ({file}:{}:{})", place.line, place.column)?;
        }
        Ok(())
    }
}

impl Answer {
    pub(crate) fn of(answer: RowsAnswer, plan: &Plan) -> Self {
        let reply = |(row, output, bytes): (u32, anabranch_model::plan::OutputId, &[u8])| {
            let stream = &plan.outputs[output.0 as usize];
            let row_bytes = Row::new(stream.shape.clone(), bytes.into());
            Reply { request_row: row as usize, stream: stream.name.clone(), row: row_bytes }
        };
        Answer {
            accepted: answer.accepted as usize,
            replies: answer.replies.iter().map(reply).collect(),
            refused: answer.refusals.into_iter().map(|refusal| Refused::of(refusal, plan)).collect(),
        }
    }
}
