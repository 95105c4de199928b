//! The client's end of a session.
//!
//! It has no thread: whatever moves, moves while the client is in a call. So a single request costs no switch of
//! threads; requests gather while others are under way and leave together.

mod calls;
mod dial;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anabranch_model::message::{Answer, FlowId, Problem};
use anabranch_model::plan::Plan;
use anabranch_wire::session::{
    self, Answers, CatalogReply, CatalogRequest, Request, Requests, SESSION_VERSION,
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

/// Requests that gather while others are under way, at most, and their bytes; then they leave.
const GATHERED_REQUESTS_MAX: usize = 256;
const GATHERED_BYTES_MAX: usize = 64 << 10;

/// How long a client tries to come back to a node, and how often.
const RECONNECT_WITHIN: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_millis(100);

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
    /// The plans by which the answers of requests under way are read.
    sent: HashMap<u64, (FlowId, Arc<Plan>)>,
    gathered: Vec<Request>,
    gathered_bytes: usize,
    received: VecDeque<Answered>,
    /// Whether the node runs other flows than the catalog says.
    stale: bool,
    /// The trace of the next request.
    trace: Option<String>,
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
        let (session, flows) = runtime.block_on(open(options))?;
        let catalog = SharedCatalog::new(ArcSwap::from_pointee(catalog(flows)?));
        let remote = Remote {
            options: options.clone(),
            runtime,
            session: Some(session),
            catalog: catalog.clone(),
            sent: HashMap::new(),
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
            self.reconnect()?;
        }
        let (number, revision) = (request.origin.request, request.origin.revision);
        let Some(plan) = self.catalog.load().revision(flow, revision).cloned() else {
            let answer = Ok(Answer::Problem(Problem::Changed));
            self.received.push_back(Answered { request: number, answer, revised: None });
            return Ok(());
        };
        let body = convert::body_message(request.body);
        if let session::Body::Rows(rows) = &body {
            self.gathered_bytes += rows.batch.len();
        }
        self.sent.insert(number, (flow, plan));
        self.gathered.push(Request { number, flow: flow.0, revision, body: Some(body), trace });
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
        let sent =
            self.session.as_ref().is_some_and(|session| session.requests.send(Requests { requests }).is_ok());
        if !sent {
            self.lost("the node closed the session");
        }
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
                    let message = self.runtime.block_on(session.answers.message());
                    self.take(message);
                }
                // What was under way is answered already, so nobody waits for more.
                None if self.received.is_empty() => return Err(Error::Stopped),
                None => {}
            }
        }
    }

    /// The next answer if it is here.
    pub(crate) fn try_receive(&mut self) -> Result<Option<Answered>, Error> {
        if self.received.is_empty() && self.sent.len() > self.gathered.len() {
            let Some(session) = &mut self.session else { return Ok(None) };
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

    /// Opens a new session, trying again for a while: a node that restarts is there after a moment.
    fn reconnect(&mut self) -> Result<(), Error> {
        let options = self.options.clone();
        let opened = self.runtime.block_on(async {
            let mut retry = tokio::time::interval(RETRY_EVERY);
            let mut last = Error::Stopped;
            let tries = async {
                loop {
                    retry.tick().await;
                    match open(&options).await {
                        // A token does not get better by trying again.
                        tried @ (Ok(_) | Err(Error::Denied(_))) => return tried,
                        Err(error) => last = error,
                    }
                }
            };
            let opened = tokio::time::timeout(RECONNECT_WITHIN, tries).await;
            opened.unwrap_or(Err(last))
        });
        let (session, flows) = opened?;
        self.catalog.store(Arc::new(catalog(flows)?));
        self.session = Some(session);
        Ok(())
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
            let (Some((flow, plan)), Some(outcome)) = (self.sent.remove(&answer.number), answer.outcome)
            else {
                continue;
            };
            let revised = answer.revision.map(|revision| self.revised(flow, revision));
            let answer_of = match &revised {
                None => convert::answer(outcome, &plan),
                Some(Ok(newer)) => convert::answer(outcome, newer),
                Some(Err(text)) => Err(Error::Problem { code: "revised".into(), text: text.clone() }),
            };
            self.stale |= matches!(answer_of, Ok(Answer::Problem(_)));
            let revised = revised.and_then(Result::ok);
            self.received.push_back(Answered { request: answer.number, answer: answer_of, revised });
        }
        if std::mem::take(&mut self.stale) {
            // Where that fails the next request meets the same and asks again.
            drop(self.refresh());
        }
    }

    /// The plan of a newer revision, by which a request was done.
    fn revised(&mut self, flow: FlowId, revision: i64) -> Result<Arc<Plan>, String> {
        if self.catalog.load().revision(flow, revision).is_none() {
            // Where that fails, the revision is still not known.
            drop(self.refresh());
        }
        let plan = self.catalog.load().revision(flow, revision).cloned();
        plan.ok_or_else(|| {
            format!("the request was done by revision {revision}, which was replaced again meanwhile")
        })
    }

    /// The session is lost, and with it whatever is under way: each request is answered with that.
    fn lost(&mut self, why: &str) {
        log::session_lost(self.options.address(), why);
        self.session = None;
        self.gathered.clear();
        self.gathered_bytes = 0;
        let mut numbers: Vec<u64> = self.sent.drain().map(|(number, _)| number).collect();
        numbers.sort_unstable();
        let lost = |request| Answered {
            request,
            answer: Err(Error::Disconnected {
                address: self.options.address().to_owned(),
                why: why.to_owned(),
            }),
            revised: None,
        };
        self.received.extend(numbers.into_iter().map(lost));
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("address", &self.options.address()).finish_non_exhaustive()
    }
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
    let flows = grpc.unary(request, path, ProstCodec::default()).await.map_err(&said)?.into_inner();
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
