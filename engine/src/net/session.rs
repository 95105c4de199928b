//! A session of a Rust client: requests come in as one stream and are answered on another, many under way at once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anabranch_model::message::{FlowId, Origin, Request as EngineRequest, WorkerId};
use anabranch_wire::session::{Answers, Request, Requests};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::convert;
use super::gate::{Gate, send};
use crate::catalog::Catalog;
use crate::driver::Command;
use crate::egress::{Answered, Outlet};
use crate::error::Error;
use crate::load::Unanswered;
use crate::os::{self, Door};
use crate::trace::Trace;

/// Requests of a session without an answer, at most; the node reads no further until some are answered.
const SESSION_REQUESTS_MAX: usize = 4096;

/// Bytes of them, at most (one larger request alone is let through).
const SESSION_BYTES_MAX: usize = 32 << 20;

/// Answers after which a message is full; those of one turn are never parted.
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

    /// Waits until there is room for so many requests of so many bytes.
    async fn room(&self, requests: usize, bytes: usize) {
        loop {
            let freed = self.freed.notified();
            let fits = self.with(|unanswered| {
                unanswered.len() == 0
                    || unanswered.len() + requests <= SESSION_REQUESTS_MAX
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
    let (client, worker, door) =
        gate.core.connect(Outlet::calling(move |answered| drop(workers.send(answered))));
    let gone = Arc::new(Notify::new());
    let reader = Reader { gate, window: window.clone(), client, worker, door, problems: sender };
    tokio::spawn(reader.run(requests, gone.clone()));
    AnswerStream { answers, window, gone }
}

/// The end of a session that reads.
struct Reader {
    gate: Gate,
    window: Arc<Window>,
    client: u64,
    worker: WorkerId,
    door: Door,
    /// Answers that no worker gives.
    problems: UnboundedSender<Vec<Answered>>,
}

impl Reader {
    async fn run(self, mut requests: Streaming<Requests>, gone: Arc<Notify>) {
        let _counted = self.gate.traffic.sessions().enter();
        let read = async {
            while let Some(Ok(message)) = requests.next().await {
                if !self.take(message.requests).await {
                    return;
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

    /// Passes the requests of a message on, together: they are done in the same turns and answered in one message.
    /// False when the session cannot go on.
    async fn take(&self, requests: Vec<Request>) -> bool {
        self.window.room(requests.len(), requests.iter().map(held_bytes).sum()).await;
        let fresh = self.window.with(|unanswered| {
            requests.iter().all(|request| {
                let fresh = !unanswered.contains(request.number);
                if fresh {
                    unanswered.add(request.number, None, held_bytes(request));
                }
                fresh
            })
        });
        if !fresh {
            return false;
        }
        let catalog = self.gate.catalog();
        let mut passed = Vec::with_capacity(requests.len());
        let mut problems = Vec::new();
        for request in requests {
            let number = request.number;
            let trace = request.trace.as_deref().and_then(Trace::parse);
            match self.checked(request, &catalog) {
                Ok(request) => {
                    passed.push(request);
                    if let Some(trace) = trace {
                        send(&self.door, Command::Trace(self.client, number, trace.child(os::seed())));
                    }
                }
                Err(error) => problems.push(Answered { request: number, answer: Err(error), revised: None }),
            }
        }
        let told = problems.is_empty() || self.problems.send(problems).is_ok();
        told && send(&self.door, Command::Requests(passed))
    }

    /// A request as the workers take it.
    fn checked(&self, request: Request, catalog: &Catalog) -> Result<(FlowId, EngineRequest), Error> {
        let problem = |code: &str, text: String| Error::Problem { code: code.to_owned(), text };
        let flow = FlowId(request.flow);
        let plan = catalog.revision(flow, request.revision).ok_or_else(|| {
            problem("changed", "the flow was replaced or dropped; make the request again".to_owned())
        })?;
        let body = convert::body(request.body, plan).map_err(|text| problem("invalid", text))?;
        self.gate.check(flow, plan, &body).map_err(|error| problem("denied", error.to_string()))?;
        let origin = Origin {
            worker: self.worker,
            client: self.client,
            request: request.number,
            revision: request.revision,
        };
        Ok((flow, EngineRequest { origin, body }))
    }
}

/// What a request holds until it is answered, in bytes.
fn held_bytes(request: &Request) -> usize {
    use anabranch_wire::session::Body;
    let carried = match &request.body {
        Some(Body::Rows(rows)) => rows.batch.len(),
        Some(Body::Get(get)) => get.key.len(),
        Some(Body::Page(page)) => page.after.as_ref().map_or(0, Vec::len),
        None => 0,
    };
    REQUEST_BYTES + carried
}

/// The answers of a session, as many in a message as are there.
pub(crate) struct AnswerStream {
    answers: UnboundedReceiver<Vec<Answered>>,
    window: Arc<Window>,
    gone: Arc<Notify>,
}

impl Stream for AnswerStream {
    type Item = Result<Answers, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(mut answers) = std::task::ready!(self.answers.poll_recv(context)) else {
            return Poll::Ready(None);
        };
        while answers.len() < ANSWERS_PER_MESSAGE
            && let Ok(more) = self.answers.try_recv()
        {
            answers.extend(more);
        }
        self.window.with(|unanswered| {
            for answer in &answers {
                unanswered.remove(answer.request);
            }
        });
        self.window.freed.notify_one();
        Poll::Ready(Some(Ok(Answers {
            answers: answers.into_iter().map(convert::answered_message).collect(),
        })))
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        self.gone.notify_one();
    }
}
