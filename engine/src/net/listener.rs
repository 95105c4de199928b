//! A listening socket and its connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use super::gate::Gate;
use super::observe::observed;
use super::server::Timeouts;
use super::subscriptions::Subscriptions;
use super::{grpc, http as http_interface};

/// Connections of a listener, at most; the next ones wait in the operating system's queue.
const CONNECTIONS_MAX: usize = 10_000;

/// Bytes of the head of a request, at most; beyond it the answer is 431.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How often an idle HTTP/2 connection is asked whether it lives, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// Streams of an HTTP/2 connection, at most.
const STREAMS_MAX: u32 = 256;

/// Bytes that a client may send ahead on a stream, and on a connection.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Grpc,
    Http,
}

/// A listening socket.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) speaks: Speaks,
    pub(crate) gate: Gate,
    pub(crate) timeouts: Timeouts,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) stopped: watch::Receiver<bool>,
}

impl Listener {
    /// Accepts connections until the server stops.
    pub(crate) async fn run(mut self) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let router = http_interface::router(self.gate.clone(), self.timeouts, self.subscriptions.clone());
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
            };
            // A connection that failed in the queue is not ours; with no file handles left, one must close first.
            let Ok((stream, _)) = accepted else {
                tokio::task::yield_now().await;
                continue;
            };
            let connected = self.gate.traffic.of(self.speaks).connections.enter();
            let (gate, stopped) = (self.gate.clone(), self.stopped.clone());
            let serve = connection(stream, self.speaks, gate, router.clone(), self.timeouts, stopped);
            tokio::spawn(async move {
                serve.await;
                drop((place, connected));
            });
        }
    }
}

/// Serves a connection until it ends or the server stops.
async fn connection(
    stream: TcpStream,
    speaks: Speaks,
    gate: Gate,
    router: Router,
    timeouts: Timeouts,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are small and awaited.
    let _ = stream.set_nodelay(true);
    let asked = Arc::new(AtomicBool::new(false));
    let asks = asked.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        asks.store(true, Ordering::Relaxed);
        let (gate, router) = (gate.clone(), router.clone());
        async move {
            let traffic = gate.traffic.clone();
            let answer = |request| answer(speaks, gate, router, request);
            Ok::<_, Infallible>(observed(&traffic, speaks, request, answer).await)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(timeouts.head).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // What a client does wrong ends its connection and concerns nobody else.
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
        () = silent(&asked, timeouts.head) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Ends when a client has asked for nothing within a time: until it has said which version of HTTP it speaks, nothing
/// else bounds how long it may take.
async fn silent(asked: &AtomicBool, within: Duration) {
    drop(tokio::time::timeout(within, std::future::pending::<()>()).await);
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

async fn answer(speaks: Speaks, gate: Gate, router: Router, request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let is_grpc = kind.is_some_and(|kind| kind.starts_with(b"application/grpc"));
    match speaks {
        Speaks::Grpc if is_grpc => grpc::serve(gate, request).await.map(Body::new),
        Speaks::Grpc => elsewhere(),
        Speaks::Http => router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {}),
    }
}

/// For who speaks HTTP where gRPC is spoken.
fn elsewhere() -> Response<Body> {
    let text = "{\"code\":\"wrong_address\",\"message\":\"this address speaks gRPC\",\
                \"help\":\"send HTTP requests to the address that was given with `--http`\"}\n";
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
