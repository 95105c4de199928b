//! A session of a Rust client: requests come in as one stream and are answered on another, many under way at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anabranch_model::message::{
    Body as EngineBody, FlowId, Once, Origin, Request as EngineRequest, WorkerId,
};
use anabranch_wire::session::{Answers, Request, Requests};
use atomic_waker::AtomicWaker;
use crossbeam_channel::{Receiver, unbounded};
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::convert;

use super::gate::{Gate, send};
use super::traffic::Counted;
use crate::catalog::Catalog;
use crate::driver::Command;
use crate::egress::{Answered, Outlet};
use crate::error::Error;
use crate::idempotency_key::{self, IdempotencyKey, NUMBER_AHEAD_MAX};
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

/// Bytes under way up to which a session lingers for their answers.
const LINGER_BYTES_MAX: usize = 8 << 10;

/// How long a session lingers, which is: waits with its thread in hand. A worker that is awake answers within a few
/// microseconds; to give the thread away and be woken takes several times as long.
const LINGER: Duration = Duration::from_micros(20);

/// A session: read, it takes in what its client asks and gives what workers have answered.
pub(crate) struct Session {
    gate: Gate,
    /// None when nothing more is read: the client sends no more, or the server stops. What was read is answered.
    requests: Option<Streaming<Requests>>,
    /// Why nothing more can be read, where that is no end.
    broken: Option<Status>,
    /// Waits until the server stops.
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Those of a message for which there is no room yet.
    waiting: Option<Requests>,
    client: u64,
    worker: WorkerId,
    door: Door,
    unanswered: Unanswered,
    answers: Receiver<Vec<Answered>>,
    /// Wakes the session when there are answers.
    waker: Arc<AtomicWaker>,
    /// Answers that no worker gives.
    problems: Vec<Answered>,
    _counted: Counted,
}

/// Opens a session, which goes on until the client ends.
pub(crate) fn open(gate: Gate, requests: Streaming<Requests>) -> Session {
    let (sender, answers) = unbounded();
    let waker = Arc::new(AtomicWaker::new());
    let waking = waker.clone();
    let outlet = Outlet::calling(move |answered| {
        // The session may be gone before its last answer.
        if sender.send(answered).is_ok() {
            waking.wake();
        }
    });
    let (client, worker, door) = gate.core.connect(outlet);
    Session {
        requests: Some(requests),
        broken: None,
        stopped: Box::pin(gate.stopped()),
        waiting: None,
        client,
        worker,
        door,
        unanswered: Unanswered::new(gate.core.load()),
        answers,
        waker,
        problems: Vec::new(),
        _counted: gate.traffic.sessions().enter(),
        gate,
    }
}

impl Session {
    /// Passes on what the client has sent, as long as there is room. False when the session cannot go on.
    fn read(&mut self, context: &mut Context<'_>) -> bool {
        loop {
            let Some(next) = self.waiting.take().or_else(|| self.next_message(context)) else {
                return true;
            };
            let bytes = next.requests.iter().map(held_bytes).sum();
            if !self.has_room(next.requests.len(), bytes) {
                self.waiting = Some(next);
                return true;
            }
            if !self.take(next) {
                return false;
            }
        }
    }

    fn next_message(&mut self, context: &mut Context<'_>) -> Option<Requests> {
        match Pin::new(self.requests.as_mut()?).poll_next(context) {
            Poll::Ready(Some(Ok(message))) => Some(message),
            Poll::Ready(ended) => {
                self.requests = None;
                self.broken = ended.and_then(Result::err);
                None
            }
            Poll::Pending => None,
        }
    }

    /// Whether there is room for so many more requests of so many bytes.
    fn has_room(&self, requests: usize, bytes: usize) -> bool {
        let under_way = &self.unanswered;
        under_way.len() == 0
            || under_way.len() + requests <= SESSION_REQUESTS_MAX
                && under_way.bytes() + bytes <= SESSION_BYTES_MAX
    }

    /// Passes the requests of a message on, together: they are done in the same turns and answered in one message.
    /// False when the session cannot go on.
    fn take(&mut self, message: Requests) -> bool {
        let Requests { requests, client, answered } = message;
        let of = Asker { client: idempotency_key::client(self.gate.caller.token_name(), client), answered };
        let of = (client != 0).then_some(of);
        let catalog = self.gate.catalog();
        let mut passed = Vec::with_capacity(requests.len());
        for request in requests {
            let number = request.number;
            if self.unanswered.contains(number) {
                return false;
            }
            self.unanswered.add(number, None, held_bytes(&request));
            let trace = request.trace.as_deref().and_then(Trace::parse);
            let repeated = request.repeated;
            match self.checked(request, of, &catalog) {
                Ok(request) => {
                    passed.push(request);
                    if let Some(trace) = trace {
                        send(&self.door, Command::Trace(self.client, number, trace.child(os::seed())));
                    }
                }
                Err(error) => {
                    let error = if repeated { unknown(&error) } else { error };
                    self.problems.push(Answered {
                        request: number,
                        answer: Err(error),
                        revised: None,
                        touched: anabranch_model::zone::Touched::default(),
                    });
                }
            }
        }
        passed.is_empty() || send(&self.door, Command::Requests(passed))
    }

    /// A request as the workers take it.
    fn checked(
        &self,
        request: Request,
        of: Option<Asker>,
        catalog: &Catalog,
    ) -> Result<(FlowId, EngineRequest), Error> {
        let problem = |code: &str, text: String| Error::Problem { code: code.to_owned(), text };
        let flow = FlowId(request.flow);
        let plan = catalog.revision(flow, request.revision).ok_or_else(|| {
            problem("changed", "the flow was replaced or dropped; make the request again".to_owned())
        })?;
        let body = convert::body(request.body, plan).map_err(|text| problem("invalid", text))?;
        self.gate.check(flow, plan, &body).map_err(|error| problem("denied", error.to_string()))?;
        let once = match (request.key, of) {
            (Some(key), _) => {
                let EngineBody::Rows { input, .. } = &body else {
                    return Err(problem("invalid", "a key is for rows".to_owned()));
                };
                let key = IdempotencyKey::of(key.hash, key.micros);
                Some(key.once(self.gate.caller.token_name(), plan, *input))
            }
            (None, of) => of.map(|of| of.once(request.number, request.repeated)),
        };
        let most = (self.gate.core.time().max(0) as u64).saturating_add(NUMBER_AHEAD_MAX);
        if once.is_some_and(|once| once.number > most) {
            let text = "the number of the request is a time more than 5 s ahead of the node's clock";
            return Err(problem("ahead", text.to_owned()));
        }
        let origin = Origin {
            worker: self.worker,
            client: self.client,
            request: request.number,
            revision: request.revision,
            once,
        };
        Ok((flow, EngineRequest { origin, body, partial: None }))
    }
}

/// What a request that is sent again is told where it cannot be taken: the first time it may have been.
fn unknown(error: &Error) -> Error {
    let text = format!("whether the request took effect is not known: when it was sent again, {error}");
    Error::Problem { code: "outcome_unknown".to_owned(), text }
}

/// Who asks on a session.
#[derive(Clone, Copy)]
struct Asker {
    client: u64,
    /// It has the answers to its requests up to this number.
    answered: u64,
}

impl Asker {
    /// By what a repeat of its request of this number is recognised.
    fn once(self, number: u64, repeated: bool) -> Once {
        let answered = self.answered.min(number.saturating_sub(1));
        Once { client: self.client, number, answered, repeated }
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

impl Session {
    /// The answers that are here, as many as a message holds.
    fn answered(&mut self) -> Option<Answers> {
        let mut answers = std::mem::take(&mut self.problems);
        while answers.len() < ANSWERS_PER_MESSAGE
            && let Ok(more) = self.answers.try_recv()
        {
            answers.extend(more);
        }
        for answer in &answers {
            self.unanswered.remove(answer.request);
        }
        let answers: Vec<_> = answers.into_iter().map(convert::answered_message).collect();
        (!answers.is_empty()).then_some(Answers { answers })
    }

    /// Whether nothing more is read, and all that was read is answered.
    fn is_over(&self) -> bool {
        self.requests.is_none() && self.waiting.is_none() && self.unanswered.len() == 0
    }

    /// Whether what was just passed on is little, and nobody else has anything under way who could use this thread.
    fn may_linger(&self) -> bool {
        let bytes = self.unanswered.bytes();
        bytes <= LINGER_BYTES_MAX && bytes == self.unanswered.node_bytes()
    }

    /// Waits a moment for answers.
    fn linger(&self) {
        let until = os::now() + LINGER;
        while self.answers.is_empty() && os::now() < until {
            // The worker may need this processor.
            std::thread::yield_now();
        }
    }
}

impl Stream for Session {
    type Item = Result<Answers, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        // Who answers from here on need not wake what is awake.
        drop(this.waker.take());
        if let Some(answers) = this.answered() {
            return Poll::Ready(Some(Ok(answers)));
        }
        let before = this.unanswered.len();
        if !this.read(context) {
            return Poll::Ready(None);
        }
        if this.unanswered.len() > before && this.may_linger() {
            this.linger();
        }
        if this.requests.is_some() && this.stopped.as_mut().poll(context).is_ready() {
            this.requests = None;
        }
        this.waker.register(context.waker());
        match this.answered() {
            Some(answers) => Poll::Ready(Some(Ok(answers))),
            None if this.is_over() => Poll::Ready(this.broken.take().map(Err)),
            None => Poll::Pending,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        send(&self.door, Command::Disconnect(self.client, self.unanswered.take()));
    }
}
