//! Rows sent to an input stream: read from the body while it comes, packed into batches, several of them under way.
//!
//! Rows take effect in the order of the body, wherever they touch the same partition: all batches of a request enter at
//! one worker. A line that is no row ends the request: rows before it have taken effect, none behind it.

use std::collections::VecDeque;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::message::{Answer, Body, RowsAnswer};
use anabranch_model::plan::{InputId, Plan};
use anabranch_model::types::Shape;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::App;
use super::body::{Format, Incoming, Piece};
use super::key;
use super::problem::{Problem, refusal};
use super::target::{Installed, Target};
use crate::client::NODE_BYTES;
use crate::error::Error;
use crate::idempotency_key::IdempotencyKey;
use crate::load::Held;
use crate::net::gate::{Gate, Lane, UnderWay};
use crate::rows::{self, MAX_LINE_BYTES};

/// Rows of a batch, at most: enough to share the cost of a request to a worker, few enough that the next batch is read
/// while this one is applied.
const BATCH_ROWS_MAX: usize = 256;

/// Bytes of text after which a batch is full.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Batches of a request without an answer, at most; reading waits.
const BATCHES_UNDER_WAY_MAX: usize = 16;

/// Refused rows that an answer tells one by one, at most; the rest is counted.
const REFUSED_TOLD_MAX: usize = 1000;

/// What to do with a body of rows that is too large.
const SEND_LINES: &str =
    "send many rows with `content-type: application/x-ndjson`, one object a line: it has no limit";

/// `POST /flows/{flow}/streams/{input}`.
pub(super) async fn send(app: App, target: Target, request: Request) -> Result<Response, Problem> {
    let flow = target.flow(&app.gate)?;
    let input = flow.input(&target.name)?;
    app.gate.check_rows(flow.id, &flow.plan, input)?;
    let format = Format::of(request.headers())?;
    let key = key::of(request.headers(), app.gate.core.time())?;
    let incoming = Incoming::of(request, app.timeouts.body)?;
    let mut intake = Intake::new(app.gate.clone(), flow, input, key);
    let taken = match format {
        Format::Json => intake.objects(incoming).await,
        Format::Lines => intake.lines(incoming).await,
    };
    let taken = match taken {
        Ok(()) => intake.submit().await,
        // A repeat may have more rows in this batch, and they must not be taken for done.
        Err(problem) if key.is_some() => Err(problem),
        // What was packed before a problem is sent, too.
        Err(problem) => intake.submit().await.and(Err(problem)),
    };
    let finished = intake.finish().await;
    match taken.and(finished) {
        Ok(()) => Ok(super::json(StatusCode::OK, format!("{}\n", intake.told()))),
        Err(problem) => Err(intake.told_with(problem)),
    }
}

/// A request that is taken in.
struct Intake {
    gate: Gate,
    lane: Lane,
    flow: Installed,
    input: InputId,
    key: Option<IdempotencyKey>,
    batch: Batch,
    /// Bytes of the text of its rows.
    text_bytes: usize,
    /// Batches that were sent.
    batches: u64,
    /// Rows in the batches before this one.
    rows_before: u64,
    /// Batches without an answer, each with the rows before it.
    under_way: VecDeque<(u64, UnderWay)>,
    accepted: u64,
    refused: Vec<Value>,
    /// Refused rows that are not in `refused`.
    refused_more: u64,
}

impl Intake {
    fn new(gate: Gate, flow: Installed, input: InputId, key: Option<IdempotencyKey>) -> Self {
        let lane = gate.lane();
        Intake {
            gate,
            lane,
            flow,
            input,
            key,
            batch: Batch::new(SchemaId(input.0.into())),
            text_bytes: 0,
            batches: 0,
            rows_before: 0,
            under_way: VecDeque::new(),
            accepted: 0,
            refused: Vec::new(),
            refused_more: 0,
        }
    }

    /// Takes a body of one object a line.
    async fn lines(&mut self, mut incoming: Incoming) -> Result<(), Problem> {
        let mut lines = Lines::new(self.gate.hold(0)?);
        loop {
            let mut piece = incoming.now().await?;
            if matches!(piece, Piece::Later) {
                // Rows do not wait for others that may come much later; but a repeat must make the same batches.
                if self.key.is_none() {
                    self.submit().await?;
                }
                piece = incoming.next().await?;
            }
            match piece {
                Piece::Later => {}
                Piece::Bytes(bytes) => self.chunk(&mut lines, &bytes).await?,
                Piece::End => return lines.last(|line, number| self.line(line, number)),
            }
        }
    }

    /// Takes the lines that end in a piece of the body.
    async fn chunk(&mut self, lines: &mut Lines, mut bytes: &[u8]) -> Result<(), Problem> {
        while let Some(at) = bytes.iter().position(|&byte| byte == b'\n') {
            lines.next(&bytes[..at], |line, number| self.line(line, number))?;
            bytes = &bytes[at + 1..];
            if self.is_full() {
                self.submit().await?;
            }
        }
        lines.keep(bytes)
    }

    /// Whether the batch is to be sent; which rows a batch has depends on their text alone.
    fn is_full(&self) -> bool {
        self.batch.len() >= BATCH_ROWS_MAX || self.text_bytes >= BATCH_BYTES_MAX
    }

    fn line(&mut self, line: &[u8], number: u64) -> Result<(), Problem> {
        self.text_bytes += line.len();
        let text = std::str::from_utf8(line)
            .map_err(|_| Problem::invalid("the bytes are not UTF-8", "encode JSON as UTF-8"));
        let pushed = text.and_then(|text| {
            let shape = &self.flow.plan.inputs[self.input.0 as usize].shape;
            Ok(rows::push_json_text(&mut self.batch, shape, text)?)
        });
        pushed.map_err(|problem| problem.at(&format!("line {number}")).with("line", number.into()))
    }

    /// Takes a body of one object or several, or an array of them. It is checked whole before anything takes effect.
    async fn objects(&mut self, incoming: Incoming) -> Result<(), Problem> {
        let (body, _held) = incoming.whole(&self.gate, SEND_LINES).await?;
        let objects = objects(&body)?;
        let shape = self.flow.plan.inputs[self.input.0 as usize].shape.clone();
        let mut batches = Vec::new();
        for (at, object) in objects.iter().enumerate() {
            push(&mut self.batch, &shape, object).map_err(|problem| {
                let several = if objects.len() > 1 { problem.at(&format!("row {at}")) } else { problem };
                self.batch.reset(SchemaId(self.input.0.into()));
                several.with("row", at.into())
            })?;
            self.text_bytes += object.get().len();
            if self.is_full() {
                self.text_bytes = 0;
                batches.push(std::mem::replace(&mut self.batch, Batch::new(SchemaId(self.input.0.into()))));
            }
        }
        let last = std::mem::replace(&mut self.batch, Batch::new(SchemaId(self.input.0.into())));
        for batch in batches.into_iter().chain([last]) {
            self.batch = batch;
            self.submit().await?;
        }
        Ok(())
    }

    /// Sends what was packed; waits while too much is under way.
    async fn submit(&mut self) -> Result<(), Problem> {
        if self.batch.is_empty() {
            return Ok(());
        }
        while self.under_way.len() >= BATCHES_UNDER_WAY_MAX {
            self.collect().await?;
        }
        let held = loop {
            match self.gate.hold(self.batch.bytes().len()) {
                Ok(held) => break held,
                Err(_) if !self.under_way.is_empty() => self.collect().await?,
                Err(full) => {
                    self.batch.reset(SchemaId(self.input.0.into()));
                    return Err(full.into());
                }
            }
        };
        let rows = self.batch.len() as u64;
        let next = Batch::with_capacity(self.batch.schema(), self.batch.row_bytes());
        let body = Body::Rows { input: self.input, batch: std::mem::replace(&mut self.batch, next) };
        self.text_bytes = 0;
        let key = self.key.map(|key| key.part(self.batches));
        self.batches += 1;
        let answer = self.gate.start(self.lane, self.flow.id, &self.flow.plan, body, key, held)?;
        self.under_way.push_back((self.rows_before, answer));
        self.rows_before += rows;
        Ok(())
    }

    /// Waits for the oldest answer.
    async fn collect(&mut self) -> Result<(), Problem> {
        let Some((rows_before, answer)) = self.under_way.pop_front() else { return Ok(()) };
        match answer.done().await? {
            (plan, Answer::Rows(answer)) => self.answered(rows_before, answer, &plan),
            (_, other) => unreachable!("rows are answered with what became of them, not {other:?}"),
        }
        Ok(())
    }

    fn answered(&mut self, rows_before: u64, answer: RowsAnswer, plan: &Plan) {
        self.accepted += u64::from(answer.accepted);
        for refused in answer.refusals {
            if self.refused.len() < REFUSED_TOLD_MAX {
                let row = rows_before + u64::from(refused.row);
                self.refused.push(refusal(row, refused, plan));
            } else {
                self.refused_more += 1;
            }
        }
    }

    /// Waits for all answers.
    async fn finish(&mut self) -> Result<(), Problem> {
        let mut finished = Ok(());
        while !self.under_way.is_empty() {
            finished = finished.and(self.collect().await);
        }
        finished
    }

    /// What became of the rows.
    fn told(&mut self) -> Value {
        let refused = std::mem::take(&mut self.refused);
        match self.refused_more {
            0 => json!({ "accepted": self.accepted, "refused": refused }),
            more => json!({ "accepted": self.accepted, "refused": refused, "refused_not_told": more }),
        }
    }

    /// A problem with what became of the rows before it.
    fn told_with(&mut self, problem: Problem) -> Problem {
        let Value::Object(told) = self.told() else { unreachable!("it is an object") };
        told.into_iter().fold(problem, |problem, (name, value)| problem.with(&name, value))
    }
}

fn push(batch: &mut Batch, shape: &Shape, object: &RawValue) -> Result<(), Problem> {
    Ok(rows::push_json_text(batch, shape, object.get())?)
}

/// The objects of a body: one behind the other, or in an array.
pub(super) fn objects(body: &[u8]) -> Result<Vec<&RawValue>, Problem> {
    let malformed = |error: serde_json::Error| {
        Problem::invalid(
            format!("the body is no JSON: {error}"),
            "send an object such as {\"column\": value}, or an array of them",
        )
    };
    let objects: Result<Vec<&RawValue>, _> = match body.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(body),
        _ => serde_json::Deserializer::from_slice(body).into_iter().collect(),
    };
    objects.map_err(malformed)
}

/// The lines of a body that comes in pieces.
struct Lines {
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    number: u64,
    held: Held,
}

impl Lines {
    fn new(held: Held) -> Self {
        Lines { begun: Vec::new(), number: 0, held }
    }

    /// The next line ends with these bytes. Lines with nothing but white space do not count as rows.
    fn next(
        &mut self,
        end: &[u8],
        take: impl FnOnce(&[u8], u64) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.number += 1;
        if self.begun.is_empty() {
            return row_of(end).map_or(Ok(()), |line| take(line, self.number));
        }
        self.keep(end)?;
        let taken = row_of(&self.begun).map_or(Ok(()), |line| take(line, self.number));
        self.begun.clear();
        taken
    }

    /// The line goes on in the next piece.
    fn keep(&mut self, beginning: &[u8]) -> Result<(), Problem> {
        let (bytes, room) = (self.begun.len() + beginning.len(), self.begun.capacity());
        if bytes > MAX_LINE_BYTES {
            let line = self.number + 1;
            let text = format!("line {line} has over {MAX_LINE_BYTES} bytes");
            return Err(
                Problem::too_large(text, "see whether a line break is missing").with("line", line.into())
            );
        }
        self.begun.extend_from_slice(beginning);
        // Memory that the line took stays taken until the request ends.
        match self.held.grow(self.begun.capacity() - room, NODE_BYTES) {
            true => Ok(()),
            false => Err(Error::Full.into()),
        }
    }

    /// The last line may go without its line break.
    fn last(mut self, take: impl FnOnce(&[u8], u64) -> Result<(), Problem>) -> Result<(), Problem> {
        self.next(&[], take)
    }
}

/// The line without the white space around it, if there is more.
fn row_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    (!line.is_empty()).then_some(line)
}
