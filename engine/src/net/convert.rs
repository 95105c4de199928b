//! Between the messages of a session and those of the engine.

use anabranch_model::batch::Batch;
use anabranch_model::expr::Place;
use anabranch_model::message::{Answer, Body, Page, Problem as Unfit, Reads, Refusal, Replies, RowsAnswer};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, OutputId, Plan, RefusalCode, TableId};
use anabranch_model::row::{Row, row_length};
use anabranch_wire::session as wire;

use crate::egress::Answered;
use crate::error::Error;
use crate::storage_error::StorageError;

/// Rows of a page that a client may ask for, at most.
const PAGE_ROWS_MAX: u32 = 65_536;

/// The body of a request, checked against the plan that it means.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn body(body: Option<wire::Body>, plan: &Plan) -> Result<Body, String> {
    match body {
        None => Err("the request asks for nothing".into()),
        Some(wire::Body::Rows(rows)) => {
            let stream = plan.inputs.get(rows.input as usize).ok_or("there is no such input")?;
            let batch =
                Batch::from_bytes(rows.batch.into(), &stream.shape).map_err(|error| error.to_string())?;
            Ok(Body::Rows { input: InputId(rows.input as u16), batch })
        }
        Some(wire::Body::Get(get)) => {
            let table = plan.tables.get(get.table as usize).ok_or("there is no such table")?;
            if get.partition >= table.policy.partitions {
                return Err(format!("table `{}` has no partition {}", table.name, get.partition));
            }
            let (table, partition) = (TableId(get.table as u16), PartitionId(get.partition));
            Ok(Body::Get { table, partition, key: get.key, reads: reads(get.stale) })
        }
        Some(wire::Body::Page(page)) => {
            plan.tables.get(page.table as usize).ok_or("there is no such table")?;
            let limit = page.limit.clamp(1, PAGE_ROWS_MAX);
            let (table, reads) = (TableId(page.table as u16), reads(page.stale));
            Ok(Body::Page { table, after: page.after, limit, reads })
        }
    }
}

fn reads(stale: bool) -> Reads {
    if stale { Reads::Stale } else { Reads::Safe }
}

/// A body as a message.
pub(crate) fn body_message(body: Body) -> wire::Body {
    match body {
        Body::Rows { input, batch } => {
            wire::Body::Rows(wire::Rows { input: input.0.into(), batch: batch.into_bytes().into() })
        }
        Body::Get { table, partition, key, reads } => {
            let stale = reads == Reads::Stale;
            wire::Body::Get(wire::Get { table: table.0.into(), partition: partition.0, key, stale })
        }
        Body::Page { table, after, limit, reads } => {
            let stale = reads == Reads::Stale;
            wire::Body::Page(wire::Page { table: table.0.into(), after, limit, stale })
        }
    }
}

/// What was answered as a message.
pub(crate) fn answered_message(answered: Answered) -> wire::Answer {
    let Answered { request, answer, revised, .. } = answered;
    let unfit = |code: &str| {
        let text = "the flow was replaced or dropped; nothing of the request was done: make it again";
        wire::Outcome::Problem(problem(code, text.into()))
    };
    let outcome = match answer {
        Err(Error::Problem { code, text }) => wire::Outcome::Problem(problem(&code, text)),
        Err(Error::Storage(error)) => wire::Outcome::Problem(problem(error.code(), error.why().to_owned())),
        Err(error) => wire::Outcome::Problem(problem("failed", error.to_string())),
        Ok(Answer::Problem(Unfit::Gone)) => unfit("gone"),
        Ok(Answer::Problem(Unfit::Changed)) => unfit("changed"),
        Ok(Answer::Problem(Unfit::Unkept)) => unreachable!("the egress says why"),
        Ok(Answer::Elsewhere) => unreachable!("the egress sends it where it is served"),
        Ok(Answer::Rows(answer)) => wire::Outcome::Rows(rows_message(answer)),
        Ok(Answer::Row(row)) => wire::Outcome::Row(wire::FoundRow { row }),
        Ok(Answer::Page(page)) => {
            let (keys, rows) = page.rows.into_iter().unzip();
            wire::Outcome::Page(wire::FoundPage { keys, rows, more: page.more })
        }
    };
    let revision = revised.map(|plan| plan.revision);
    wire::Answer { number: request, outcome: Some(outcome), revision }
}

/// A problem as a message.
pub(crate) fn problem(code: &str, text: String) -> wire::Problem {
    wire::Problem { code: code.to_owned(), text }
}

fn rows_message(answer: RowsAnswer) -> wire::RowsAnswer {
    let mut message = wire::RowsAnswer {
        accepted: answer.accepted,
        refusals: answer.refusals.into_iter().map(refusal_message).collect(),
        ..wire::RowsAnswer::default()
    };
    for (row, output, bytes) in answer.replies.iter() {
        message.reply_rows.push(row);
        message.reply_outputs.push(output.0.into());
        message.replies.extend_from_slice(bytes);
    }
    message
}

/// A refusal as a message.
pub(crate) fn refusal_message(refusal: Refusal) -> wire::Refusal {
    let (line, column) = refusal.place.map_or((0, 0), |place| (place.line, place.column));
    let code = refusal.code.name().to_owned();
    wire::Refusal { row: refusal.row, code, text: refusal.text, line, column }
}

/// A refusal of a message.
pub(crate) fn refusal(message: wire::Refusal) -> Refusal {
    let code = RefusalCode::ALL.into_iter().find(|code| code.name() == message.code);
    let place = (message.line > 0).then_some(Place { line: message.line, column: message.column });
    Refusal { row: message.row, code: code.unwrap_or(RefusalCode::Unavailable), text: message.text, place }
}

/// The answer in a message of a node; `plan` is that of the request.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn answer(outcome: wire::Outcome, plan: &Plan) -> Result<Answer, Error> {
    let odd = |text: String| Error::Problem { code: "protocol".into(), text };
    match outcome {
        wire::Outcome::Rows(rows) => rows_answer(rows, plan).map(Answer::Rows).map_err(odd),
        wire::Outcome::Row(found) => Ok(Answer::Row(found.row)),
        wire::Outcome::Page(page) => {
            if page.keys.len() != page.rows.len() {
                return Err(odd("a page has as many keys as rows".into()));
            }
            Ok(Answer::Page(Page { rows: page.keys.into_iter().zip(page.rows).collect(), more: page.more }))
        }
        wire::Outcome::Problem(problem) if problem.code == "changed" => Ok(Answer::Problem(Unfit::Changed)),
        wire::Outcome::Problem(problem) if problem.code == "gone" => Ok(Answer::Problem(Unfit::Gone)),
        wire::Outcome::Problem(problem) if problem.code == "denied" => Err(Error::Denied(problem.text)),
        wire::Outcome::Problem(problem) => Err(match StorageError::of(&problem.code, &problem.text) {
            Some(error) => Error::Storage(error),
            None => Error::Problem { code: problem.code, text: problem.text },
        }),
    }
}

fn rows_answer(message: wire::RowsAnswer, plan: &Plan) -> Result<RowsAnswer, String> {
    let mut replies = Replies::default();
    let mut rest = message.replies.as_slice();
    for (&row, &output) in message.reply_rows.iter().zip(&message.reply_outputs) {
        let stream = plan.outputs.get(output as usize).ok_or("a reply of an output that is not there")?;
        let length = row_length(rest).filter(|&length| length <= rest.len()).ok_or("half a reply")?;
        let (bytes, behind) = rest.split_at(length);
        Row::check(bytes, &stream.shape).map_err(|error| error.to_string())?;
        replies.push(row, OutputId(output as u16), bytes);
        rest = behind;
    }
    let refusals = message.refusals.into_iter().map(refusal).collect();
    Ok(RowsAnswer { accepted: message.accepted, refusals, replies, ..RowsAnswer::default() })
}
