//! A session of a Rust client: requests come in as one stream and are answered on another, many under way at once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anabranch_model::message::{FlowId, Request as EngineRequest};
use anabranch_wire::session::{Answer, Answers, Outcome, Request, Requests};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::convert;
use super::gate::{Gate, send};
use crate::driver::Command;
use crate::egress::{Answered, Outlet};
use crate::load::Unanswered;
use crate::os::Door;

/// Requests of a session without an answer, at most; the node reads no further until some are answered.
const SESSION_REQUESTS_MAX: usize = 4096;

/// Bytes of them, at most (one larger request alone is let through).
const SESSION_BYTES_MAX: usize = 32 << 20;

/// Answers in one message, at most.
const ANSWERS_PER_MESSAGE: usize = 512;

/// What a request holds beside its bytes.
const REQUEST_BYTES: usize = 256;

/// What is under way in a session.
struct Window {
    unanswered: Mutex<Unanswered>,
    /// Something was answered, or the client is gone.
    freed: Notify,
}

impl Window {
    fn with<T>(&self, of: impl FnOnce(&mut Unanswered) -> T) -> T {
        // Nothing in between can panic, so nothing half done is behind a poisoned lock.
        of(&mut self.unanswered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is room for a request of so many bytes.
    async fn room(&self, bytes: usize) {
        loop {
            let freed = self.freed.notified();
            let fits = self.with(|unanswered| {
                unanswered.len() == 0
                    || unanswered.len() < SESSION_REQUESTS_MAX
                        && unanswered.bytes() + bytes <= SESSION_BYTES_MAX
            });
            if fits {
                return;
            }
            freed.await;
        }
    }

    /// Waits until everything is answered.
    async fn empty(&self) {
        loop {
            let freed = self.freed.notified();
            if self.with(|unanswered| unanswered.len() == 0) {
                return;
            }
            freed.await;
        }
    }
}

/// Opens a session: reads requests until the client ends, and gives the stream of answers.
pub(crate) fn open(gate: Gate, requests: Streaming<Requests>) -> AnswerStream {
    let window =
        Arc::new(Window { unanswered: Mutex::new(Unanswered::new(gate.core.load())), freed: Notify::new() });
    let (sender, answers) = unbounded_channel();
    let workers = sender.clone();
    // The stream may be gone before its last answer.
    let call = move |answered: Answered| {
        drop(workers.send(convert::answered_message(answered)));
    };
    let (client, worker, door) = gate.core.connect(Outlet::Call(Box::new(call)));
    let gone = Arc::new(Notify::new());
    let reader = Reader { gate, window: window.clone(), client, worker, door, problems: sender };
    tokio::spawn(reader.run(requests, gone.clone()));
    AnswerStream { answers, gathered: Vec::new(), window, gone }
}

/// The end of a session that reads.
struct Reader {
    gate: Gate,
    window: Arc<Window>,
    client: u64,
    worker: anabranch_model::message::WorkerId,
    door: Door,
    /// Answers that no worker gives.
    problems: UnboundedSender<Answer>,
}

impl Reader {
    async fn run(self, mut requests: Streaming<Requests>, gone: Arc<Notify>) {
        let _counted = self.gate.traffic.sessions().enter();
        let read = async {
            while let Some(Ok(message)) = requests.next().await {
                for request in message.requests {
                    if !self.take(request).await {
                        return;
                    }
                }
            }
            // The client may send no more and still wait for answers.
            self.window.empty().await;
        };
        tokio::select! {
            () = read => {}
            () = gone.notified() => {}
        }
        let left = self.window.with(Unanswered::take);
        send(&self.door, Command::Disconnect(self.client, left));
    }

    /// Passes a request on. False when the session cannot go on.
    async fn take(&self, request: Request) -> bool {
        let number = request.number;
        let bytes = REQUEST_BYTES + prost_bytes(&request);
        self.window.room(bytes).await;
        let flow = FlowId(request.flow);
        let fresh = self.window.with(|unanswered| {
            let fresh = !unanswered.contains(number);
            if fresh {
                unanswered.add(number, None, bytes);
            }
            fresh
        });
        if !fresh {
            return false;
        }
        let catalog = self.gate.core.catalog();
        let body = match catalog.revision(flow, request.revision) {
            Some(plan) => convert::body(request.body, plan).map_err(|text| ("invalid", text)),
            None => Err(("changed", "the flow was replaced or dropped; make the request again".to_owned())),
        };
        match body {
            Ok(body) => {
                let origin = anabranch_model::message::Origin {
                    worker: self.worker,
                    client: self.client,
                    request: number,
                    revision: request.revision,
                };
                send(&self.door, Command::Request(flow, EngineRequest { origin, body }))
            }
            Err((code, text)) => {
                let answer = Answer { number, outcome: Some(Outcome::Problem(convert::problem(code, text))) };
                self.problems.send(answer).is_ok()
            }
        }
    }
}

/// Bytes of what a request carries.
fn prost_bytes(request: &Request) -> usize {
    use anabranch_wire::session::Body;
    match &request.body {
        Some(Body::Rows(rows)) => rows.batch.len(),
        Some(Body::Get(get)) => get.key.len(),
        Some(Body::Page(page)) => page.after.as_ref().map_or(0, Vec::len),
        None => 0,
    }
}

/// The answers of a session, as many in a message as are there.
pub(crate) struct AnswerStream {
    answers: UnboundedReceiver<Answer>,
    gathered: Vec<Answer>,
    window: Arc<Window>,
    gone: Arc<Notify>,
}

impl Stream for AnswerStream {
    type Item = Result<Answers, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match this.answers.poll_recv_many(context, &mut this.gathered, ANSWERS_PER_MESSAGE) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(0) => Poll::Ready(None),
            Poll::Ready(_) => {
                let answers = std::mem::take(&mut this.gathered);
                this.window.with(|unanswered| {
                    for answer in &answers {
                        unanswered.remove(answer.number);
                    }
                });
                this.window.freed.notify_one();
                Poll::Ready(Some(Ok(Answers { answers })))
            }
        }
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        self.gone.notify_one();
    }
}
