//! Many rows in one call: taken in as they come, in order, and sent to the workers as soon as no more are there.
//!
//! A row that takes no effect by a rule is told and does not end the call. A message that is no row ends it: the rows
//! before it have taken effect, none behind it, and the status says how many.

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::message::{Answer, Body, RowsAnswer};
use anabranch_model::plan::InputId;
use anabranch_wire::typed::message::{Refused, Summary};
use bytes::Bytes;
use tokio_stream::StreamExt;
use tonic::{Code, Status, Streaming};

use super::flow::{Served, failed};
use super::status::{cut, status};
use crate::client::NODE_BYTES;
use crate::error::Error;
use crate::idempotency_key::IdempotencyKey;
use crate::load::Held;
use crate::net::gate::Lane;

/// Rows of a batch, at most: enough to share the cost of a request to a worker.
const BATCH_ROWS_MAX: usize = 256;

/// Bytes of messages after which a batch is full.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Refusals that a call tells one by one, at most; the rest is counted.
const REFUSALS_TOLD_MAX: usize = 100;

/// A call with many rows.
pub(super) struct Bulk {
    flow: Served,
    input: InputId,
    key: Option<IdempotencyKey>,
    /// All batches enter at one worker, so that their order is kept.
    lane: Lane,
    batch: Batch,
    /// Bytes of the messages of its rows.
    message_bytes: usize,
    /// Batches that were sent.
    batches: u64,
    /// What counts the batch as held by the node.
    held: Option<Held>,
    summary: Summary,
}

impl Bulk {
    pub(super) fn new(flow: Served, input: InputId, key: Option<IdempotencyKey>) -> Self {
        let (lane, batch) = (flow.gate.lane(), Batch::new(schema(input)));
        let summary = Summary::default();
        Bulk { flow, input, key, lane, batch, message_bytes: 0, batches: 0, held: None, summary }
    }

    /// Takes all rows; tells what became of them.
    ///
    /// # Errors
    /// Not all could be taken: what is wrong, and how many were.
    pub(super) async fn run(mut self, mut rows: Streaming<Bytes>) -> Result<Summary, Status> {
        let read = self.read(&mut rows).await;
        // What was taken before a problem is sent, too; but not under a key: a repeat may have more rows in this batch,
        // and they must not be taken for done.
        let sent = if read.is_err() && self.key.is_some() { Ok(()) } else { self.submit().await };
        match read.and(sent) {
            Ok(()) => Ok(self.summary),
            Err(problem) => Err(self.told_with(&problem)),
        }
    }

    async fn read(&mut self, rows: &mut Streaming<Bytes>) -> Result<(), Status> {
        loop {
            let mut message = now(rows).await;
            if message.is_none() {
                // Rows do not wait for others that may come much later; but a repeat must make the same batches.
                if self.key.is_none() {
                    self.submit().await?;
                }
                message = Some(rows.next().await);
            }
            match message.flatten() {
                Some(message) => self.take(&message?)?,
                None => return Ok(()),
            }
            if self.batch.len() >= BATCH_ROWS_MAX || self.message_bytes >= BATCH_BYTES_MAX {
                self.submit().await?;
            }
        }
    }

    /// Puts the row of a message into the batch.
    fn take(&mut self, message: &[u8]) -> Result<(), Status> {
        self.message_bytes += message.len();
        let before = self.batch.row_bytes();
        let decoded = self.flow.api.decode_input(self.input, message, &mut self.batch);
        decoded.map_err(|error| status(Code::InvalidArgument, &format!("row {}: {error}", self.taken())))?;
        let bytes = self.batch.row_bytes() - before;
        let Some(held) = &mut self.held else {
            self.held = Some(self.flow.gate.hold(bytes).map_err(|error| failed(&error))?);
            return Ok(());
        };
        match held.grow(bytes, NODE_BYTES) {
            true => Ok(()),
            false => Err(failed(&Error::Full)),
        }
    }

    /// Sends the batch and waits for what becomes of it.
    async fn submit(&mut self) -> Result<(), Status> {
        let batch = std::mem::replace(&mut self.batch, Batch::new(schema(self.input)));
        let Some(held) = self.held.take() else { return Ok(()) };
        self.message_bytes = 0;
        let key = self.key.map(|key| key.part(self.batches));
        self.batches += 1;
        let (flow, body) = (&self.flow, Body::Rows { input: self.input, batch });
        let under_way = flow.gate.start(self.lane, flow.id, flow.api.plan(), body, key, held);
        let done = under_way.map_err(|error| failed(&error))?.done().await;
        match done.map_err(|error| failed(&error))? {
            (_, Answer::Rows(answer)) => self.add(answer),
            _ => return Err(Status::internal("rows were answered with something else")),
        }
        Ok(())
    }

    /// Adds what became of a batch.
    fn add(&mut self, answer: RowsAnswer) {
        let before = self.summary.accepted + self.summary.refused;
        self.summary.accepted += u64::from(answer.accepted);
        self.summary.refused += answer.refusals.len() as u64;
        let told = answer.refusals.into_iter().take(REFUSALS_TOLD_MAX - self.summary.refusals.len());
        self.summary.refusals.extend(told.map(|refusal| Refused {
            row: before + u64::from(refusal.row),
            code: refusal.code.name().to_owned(),
            text: cut(&refusal.text),
            line: refusal.place.map_or(0, |place| place.line.into()),
            column: refusal.place.map_or(0, |place| place.column.into()),
        }));
    }

    /// Rows that were taken, those of the batch included.
    fn taken(&self) -> u64 {
        self.summary.accepted + self.summary.refused + self.batch.len() as u64
    }

    /// A problem with what became of the rows before it.
    fn told_with(&self, problem: &Status) -> Status {
        let (Summary { accepted, refused, .. }, why) = (&self.summary, problem.message());
        status(problem.code(), &format!("after {accepted} accepted and {refused} refused rows: {why}"))
    }
}

fn schema(input: InputId) -> SchemaId {
    SchemaId(input.0.into())
}

/// The next message if it is there now, or the end; `None` where neither has come.
async fn now(rows: &mut Streaming<Bytes>) -> Option<Option<Result<Bytes, Status>>> {
    tokio::select! {
        biased;
        message = rows.next() => Some(message),
        () = std::future::ready(()) => None,
    }
}
