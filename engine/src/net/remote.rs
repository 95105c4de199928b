//! The client's end of a session.
//!
//! It has no thread: whatever moves, moves while the client is in a call. So a single request costs no switch of
//! threads; requests gather while others are under way and leave together.

mod calls;
mod dial;
mod silence;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use anabranch_model::message::{Answer, FlowId, Problem};
use anabranch_model::plan::Plan;
use anabranch_model::zone::Touched;
use anabranch_wire::session::{
    self, Answers, CatalogReply, CatalogRequest, Key, Request, Requests, SESSION_VERSION,
};
use arc_swap::ArcSwap;
use http::uri::PathAndQuery;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::Stream;
use tonic::client::Grpc;
use tonic::{Code, Streaming};
use tonic_prost::ProstCodec;

use self::dial::{Sender, caller};
pub(crate) use self::watch::RemoteWatch;
use super::connect::ConnectOptions;
use super::convert;
use crate::catalog::Catalog;
use crate::deploy::SharedCatalog;
use crate::driver::Command;
use crate::egress::Answered;
use crate::error::Error;
use crate::log;
use crate::os;

/// Requests that gather while others are under way, at most, and their bytes; then they leave.
const GATHERED_REQUESTS_MAX: usize = 256;
const GATHERED_BYTES_MAX: usize = 64 << 10;

/// How often a client tries to come back to a node.
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// How often a request is sent again over a new connection, at most: the node may be going down by it.
const REPEATS_MAX: u32 = 8;

/// How often a waiting client asks whether the node lives, and how long that may take to answer.
const PING_EVERY: Duration = Duration::from_secs(10);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Bytes that the node may send ahead.
const WINDOW_BYTES: u32 = 8 << 20;

/// Bytes of a message of the node, at most: the longest answer and what is around it.
const MESSAGE_BYTES_MAX: usize = anabranch_model::message::MAX_SENT_BYTES + (16 << 20);

/// A connection over the network, with what is under way on it.
pub struct Remote {
    options: ConnectOptions,
    runtime: Runtime,
    session: Option<Session>,
    catalog: SharedCatalog,
    /// The node's time when the last session began, in microseconds since 1970 UTC, and when that was here.
    clock: (i64, Instant),
    /// A number of its own, by which partitions know its requests again.
    client: u64,
    /// What is under way, by number.
    sent: BTreeMap<u64, Sent>,
    gathered: Vec<Request>,
    gathered_bytes: usize,
    received: VecDeque<Answered>,
    /// Whether the node runs other flows than the catalog says.
    stale: bool,
    /// The trace of the next request.
    trace: Option<String>,
}

/// A request under way.
struct Sent {
    flow: FlowId,
    /// The plan by which its answer is read.
    plan: Arc<Plan>,
    /// To be sent again over the next connection.
    request: Request,
    repeats: u32,
}

/// A live session.
struct Session {
    /// For calls beside it.
    grpc: Grpc<Sender>,
    requests: UnboundedSender<Requests>,
    answers: Streaming<Answers>,
}

impl Remote {
    /// Connects to a node and asks for its flows.
    pub(crate) fn connect(options: &ConnectOptions) -> Result<(Self, SharedCatalog), Error> {
        let address = options.address();
        let problem = |why: String| Error::Connect { address: address.to_owned(), why };
        if tokio::runtime::Handle::try_current().is_ok() {
            let why = "this thread belongs to an async runtime, which a client would block; give the client a thread \
                       of its own";
            return Err(problem(why.into()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| problem(error.to_string()))?;
        let (options, session, flows) = runtime.block_on(open_any(options))?;
        let clock = (flows.now, os::now());
        let catalog = SharedCatalog::new(ArcSwap::from_pointee(catalog(flows)?));
        let remote = Remote {
            options,
            runtime,
            session: Some(session),
            catalog: catalog.clone(),
            clock,
            client: os::seed().max(1),
            sent: BTreeMap::new(),
            gathered: Vec::new(),
            gathered_bytes: 0,
            received: VecDeque::new(),
            stale: false,
            trace: None,
        };
        Ok((remote, catalog))
    }

    /// Sends a command: requests travel, the rest concerns only clients in the node's own process.
    pub(crate) fn send(&mut self, command: Command) -> Result<(), Error> {
        let (flow, request) = match command {
            Command::Request(flow, request) => (flow, request),
            Command::Trace(_, _, trace) => {
                self.trace = Some(trace.to_string());
                return Ok(());
            }
            _ => return Ok(()),
        };
        let trace = self.trace.take();
        if self.session.is_none() {
            match self.sent.is_empty() {
                true => self.reconnect()?,
                // What was sent before goes first.
                false => self.repeat(),
            }
        }
        let (number, revision) = (request.origin.request, request.origin.revision);
        let Some(plan) = self.catalog.load().revision(flow, revision).cloned() else {
            let answer = Ok(Answer::Problem(Problem::Changed));
            self.received.push_back(Answered {
                request: number,
                answer,
                revised: None,
                touched: Touched::default(),
            });
            return Ok(());
        };
        let body = convert::body_message(request.body);
        if let session::Body::Rows(rows) = &body {
            self.gathered_bytes += rows.batch.len();
        }
        let key = request.origin.once.map(|once| Key { hash: once.client, micros: once.number });
        let request =
            Request { number, flow: flow.0, revision, body: Some(body), trace, repeated: false, key };
        self.sent.insert(number, Sent { flow, plan, request: request.clone(), repeats: 0 });
        self.gathered.push(request);
        let alone = self.sent.len() == self.gathered.len();
        if alone || self.gathered.len() >= GATHERED_REQUESTS_MAX || self.gathered_bytes >= GATHERED_BYTES_MAX
        {
            self.flush();
        }
        Ok(())
    }

    /// Lets go what has gathered, as far as the socket.
    pub(crate) fn flush(&mut self) {
        self.hand_over();
        // Before it comes back here, the runtime runs all tasks that can run: down to the one that writes.
        self.runtime.block_on(tokio::task::yield_now());
    }

    /// Hands what has gathered to the connection, which sends it when the runtime turns next.
    fn hand_over(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let requests = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        let message = self.message(requests);
        let sent = self.session.as_ref().is_some_and(|session| session.requests.send(message).is_ok());
        if !sent {
            self.lost("the node closed the session");
        }
    }

    fn message(&self, requests: Vec<Request>) -> Requests {
        let first = self.sent.first_key_value().map_or(0, |(number, _)| *number);
        Requests { requests, client: self.client, answered: first.saturating_sub(1) }
    }

    /// The number of the request after number `last`: about the node's time.
    pub(crate) fn number(&self, last: u64) -> u64 {
        let (then, began) = self.clock;
        let now = then.max(0) as u64 + os::now().duration_since(began).as_micros() as u64;
        now.max(last + 1)
    }

    /// The next answer; waits for it.
    pub(crate) fn receive(&mut self) -> Result<Answered, Error> {
        loop {
            if let Some(answered) = self.received.pop_front() {
                return Ok(answered);
            }
            self.hand_over();
            match &mut self.session {
                Some(session) => {
                    let message = match self.options.is_alone() {
                        true => self.runtime.block_on(session.answers.message()),
                        false => self.runtime.block_on(session.next_or_sign()),
                    };
                    self.take(message);
                }
                None if self.sent.is_empty() => return Err(Error::Stopped),
                None => self.repeat(),
            }
        }
    }

    /// The next answer if it is here.
    pub(crate) fn try_receive(&mut self) -> Result<Option<Answered>, Error> {
        if self.received.is_empty() && self.sent.len() > self.gathered.len() {
            if self.session.is_none() {
                self.repeat();
            }
            let Some(session) = &mut self.session else { return Ok(self.received.pop_front()) };
            let message = self.runtime.block_on(async {
                tokio::task::yield_now().await;
                let mut next = std::pin::pin!(session.answers.message());
                std::future::poll_fn(|context| match next.as_mut().poll(context) {
                    Poll::Ready(message) => Poll::Ready(Some(message)),
                    Poll::Pending => Poll::Ready(None),
                })
                .await
            });
            if let Some(message) = message {
                self.take(message);
            }
        }
        Ok(self.received.pop_front())
    }

    /// Opens a new session, trying again for a while: a node that restarts is there after a moment, another of its zone at
    /// once.
    fn reconnect(&mut self) -> Result<(), Error> {
        let options = self.options.clone();
        let opened = self.runtime.block_on(async {
            let mut retry = tokio::time::interval(RETRY_EVERY);
            let mut last = Error::Stopped;
            let tries = async {
                loop {
                    retry.tick().await;
                    match open_any(&options).await {
                        // A token does not get better by trying again.
                        tried @ (Ok(_) | Err(Error::Denied(_))) => return tried,
                        Err(error) => last = error,
                    }
                }
            };
            let opened = tokio::time::timeout(options.reconnect_within_time(), tries).await;
            opened.unwrap_or(Err(last))
        });
        let (options, session, flows) = opened?;
        self.options = options;
        self.clock = (flows.now, os::now());
        self.catalog.store(Arc::new(catalog(flows)?));
        self.session = Some(session);
        Ok(())
    }

    /// Opens a new session and sends there what is under way: what the node has done it does not do again, and gives its
    /// answer. Where there is no coming back, or it was tried too often, that is the answer.
    fn repeat(&mut self) {
        if let Err(error) = self.reconnect() {
            let gone = std::mem::take(&mut self.sent);
            let why = match error {
                Error::Connect { why, .. } => why,
                error => error.to_string(),
            };
            gone.into_keys().for_each(|number| self.give_up(number, &why));
            return;
        }
        let catalog = self.catalog.load_full();
        let unfit = |sent: &Sent| {
            let there = catalog.plans().any(|(flow, plan)| flow == sent.flow && plan.name == sent.plan.name);
            match (there, sent.repeats < REPEATS_MAX) {
                (true, true) => None,
                (false, _) => Some("its flow is not there any more"),
                (true, false) => Some("the connection was lost whenever the request was sent"),
            }
        };
        let given_up: Vec<_> =
            self.sent.iter().filter_map(|(number, sent)| Some((*number, unfit(sent)?))).collect();
        for (number, why) in given_up {
            self.sent.remove(&number);
            self.give_up(number, why);
        }
        let again = self.sent.values_mut().map(|sent| {
            sent.repeats += 1;
            sent.request.repeated = true;
            sent.request.clone()
        });
        let again: Vec<Request> = again.collect();
        for requests in again.chunks(GATHERED_REQUESTS_MAX) {
            let message = self.message(requests.to_vec());
            if let Some(session) = &self.session {
                // Where it is lost again, that is seen when answers are read.
                let _ = session.requests.send(message);
            }
        }
    }

    fn give_up(&mut self, request: u64, why: &str) {
        let (address, why) = (self.options.address().to_owned(), why.to_owned());
        let answer = Err(Error::Disconnected { address, why });
        self.received.push_back(Answered { request, answer, revised: None, touched: Touched::default() });
    }

    /// Rows of an output from now on, on a connection of their own.
    pub(crate) fn subscribe(&mut self, output: &str) -> Result<RemoteWatch, Error> {
        let known = self.catalog.load().topic(output);
        if let Err(Error::Unknown { .. }) = known {
            self.refresh()?;
            self.catalog.load().topic(output)?;
        }
        RemoteWatch::open(&self.options, output)
    }

    fn take(&mut self, message: Result<Option<Answers>, tonic::Status>) {
        let answers = match message {
            Ok(Some(answers)) => answers.answers,
            Ok(None) => return self.lost("the node closed the session"),
            Err(status) => return self.lost(status.message()),
        };
        for answer in answers {
            let (Some(sent), Some(outcome)) = (self.sent.remove(&answer.number), answer.outcome) else {
                continue;
            };
            let revised = match answer.revision.map(|revision| (revision, self.revised(sent.flow, revision)))
            {
                None => Ok(None),
                Some((_, Ok(Some(newer)))) => Ok(Some(newer)),
                Some((revision, Ok(None))) => Err(format!(
                    "the request was done by revision {revision}, which was replaced again meanwhile"
                )),
                // Without the revision the answer cannot be read: the next session gives it again.
                Some((_, Err(error))) => {
                    self.sent.insert(answer.number, sent);
                    self.lost(&error.to_string());
                    continue;
                }
            };
            let answer_of = match &revised {
                Ok(newer) => convert::answer(outcome, newer.as_ref().unwrap_or(&sent.plan)),
                Err(text) => Err(Error::Problem { code: "revised".into(), text: text.clone() }),
            };
            self.stale |= matches!(answer_of, Ok(Answer::Problem(_)));
            let revised = revised.ok().flatten();
            self.received.push_back(Answered {
                request: answer.number,
                answer: answer_of,
                revised,
                touched: Touched::default(),
            });
        }
        if std::mem::take(&mut self.stale) {
            // Where that fails the next request meets the same and asks again.
            drop(self.refresh());
        }
    }

    /// The plan of a newer revision, by which a request was done; none where the node has it no more.
    ///
    /// # Errors
    /// The node cannot be asked.
    fn revised(&mut self, flow: FlowId, revision: i64) -> Result<Option<Arc<Plan>>, Error> {
        if self.catalog.load().revision(flow, revision).is_none() {
            self.refresh()?;
        }
        Ok(self.catalog.load().revision(flow, revision).cloned())
    }

    /// The session is lost; what is under way waits for the next one.
    fn lost(&mut self, why: &str) {
        log::session_lost(self.options.address(), why);
        self.session = None;
        // One that stands still takes connections, and would be waited for.
        self.options.turn();
        self.gathered.clear();
        self.gathered_bytes = 0;
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("address", &self.options.address()).finish_non_exhaustive()
    }
}

/// Opens a session at the first node that gives one; the options that it comes with begin with that node.
async fn open_any(options: &ConnectOptions) -> Result<(ConnectOptions, Session, CatalogReply), Error> {
    let mut why = None;
    for options in options.each() {
        // A node that stands still takes connections and never answers.
        let opened = match tokio::time::timeout(options.within_time(), open(&options)).await {
            Ok(opened) => opened,
            Err(_) => Err(silent(&options)),
        };
        match opened {
            Ok((session, flows)) => return Ok((options, session, flows)),
            Err(error @ Error::Denied(_)) => return Err(error),
            // The first is the one that was asked for.
            Err(error) => drop(why.get_or_insert(error)),
        }
    }
    Err(why.unwrap_or(Error::Stopped))
}

fn silent(options: &ConnectOptions) -> Error {
    let why = format!("no answer within {} s", options.within_time().as_secs_f32());
    Error::Connect { address: options.address().to_owned(), why }
}

/// Opens a session: the connection, the flows of the node, both streams.
async fn open(options: &ConnectOptions) -> Result<(Session, CatalogReply), Error> {
    let mut grpc = caller(options).await?;
    let said = |status: tonic::Status| match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Error::Denied(status.message().to_owned()),
        _ => Error::Connect { address: options.address().to_owned(), why: status.message().to_owned() },
    };
    let request = tonic::Request::new(CatalogRequest { version: SESSION_VERSION });
    let path = PathAndQuery::from_static("/anabranch.v1.Node/Catalog");
    let flows: CatalogReply =
        grpc.unary(request, path, ProstCodec::default()).await.map_err(&said)?.into_inner();
    let (requests, outgoing) = unbounded_channel();
    let path = PathAndQuery::from_static("/anabranch.v1.Node/Session");
    let codec = ProstCodec::<Requests, Answers>::default();
    let answers = grpc.streaming(tonic::Request::new(Outgoing(outgoing)), path, codec).await.map_err(said)?;
    Ok((Session { grpc, requests, answers: answers.into_inner() }, flows))
}

/// The flows of a node, compiled here as there.
fn catalog(reply: CatalogReply) -> Result<Catalog, Error> {
    let mut flows = Vec::new();
    for flow in reply.flows {
        let compiled = crate::flow::Flow::parse(&flow.file, &flow.text)?;
        flows.push((FlowId(flow.flow), compiled));
    }
    Ok(Catalog::of(flows.into_iter()))
}

/// Messages on their way out.
struct Outgoing(UnboundedReceiver<Requests>);

impl Stream for Outgoing {
    type Item = Requests;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Requests>> {
        self.0.poll_recv(context)
    }
}
