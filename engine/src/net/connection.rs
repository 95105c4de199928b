//! A connection from its first byte to its last: TLS, what the client speaks, requests, and an end for whoever is too
//! slow or idle.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anabranch_wire::peer::PREFACE;
use axum::Router;
use axum::body::Body;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::counted::Counted;
use super::gate::Gate;
use super::guard::{Guard, Turned, share};
use super::limits::NetLimits;
use super::observe::observed;
use super::peer::PeerDoor;
use super::server::Timeouts;
use super::socket::{Socket, Version};
use super::taken::{Requests, Watched};
use super::{grpc, http as http_interface};
use crate::log;

/// Streams of an HTTP/2 connection, at most.
const STREAMS_MAX: u32 = 256;

/// Bytes that a client may send ahead on a stream, and on a connection.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// Streams that a client may open and take back before the node has looked at them, at most; then the connection ends.
const PENDING_RESETS_MAX: usize = 20;

/// Streams that a client may make the node reset by breaking the protocol, at most; then the connection ends.
const ERROR_RESETS_MAX: usize = 256;

/// Bytes of the head of a request, at most; beyond it the answer is 431.
const HEAD_BYTES_MAX: u32 = 64 << 10;

/// Bytes of a response that wait for a client on one stream, at most.
const SEND_BYTES_MAX: usize = 256 << 10;

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Grpc,
    Http,
}

impl Speaks {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Speaks::Grpc => "grpc",
            Speaks::Http => "http",
        }
    }
}

/// What a listener does with its connections.
pub(crate) struct Service {
    pub(crate) speaks: Speaks,
    pub(crate) gate: Gate,
    pub(crate) router: Router,
    pub(crate) guard: Guard,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) limits: NetLimits,
    /// How long the first bytes of a connection may take, and over HTTP/1.1 the head of each request.
    pub(crate) head: Duration,
    /// How long the rest of requests may take.
    pub(crate) timeouts: Timeouts,
    /// The way for other nodes of the zone, where they come here.
    pub(crate) peers: Option<PeerDoor>,
}

/// Tells of a connection that ended in another way than by its end.
fn told(from: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        log::connection_lost(from, &error);
    }
}

/// What has happened on a connection.
#[derive(Default)]
struct Activity {
    begun: AtomicUsize,
    under_way: Arc<AtomicUsize>,
}

impl Service {
    /// Serves a connection until it ends or the server stops.
    pub(crate) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        from: SocketAddr,
        stopped: watch::Receiver<bool>,
    ) {
        // Answers are small and awaited.
        let _ = stream.set_nodelay(true);
        let mut stopping = stopped.clone();
        let Some(stream) = Box::pin(self.of_client(stream, &mut stopping)).await else { return };
        let begun = tokio::select! {
            begun = Box::pin(self.begun(stream)) => begun,
            _ = stopping.wait_for(|stopped| *stopped) => None,
        };
        // Each part has memory of its own, so that a connection holds only what it is about.
        match begun {
            Some((socket, Version::Http1)) => Box::pin(self.http1(socket, from, stopped)).await,
            Some((socket, Version::Http2)) => Box::pin(self.http2(socket, from, stopped)).await,
            None => {}
        }
    }

    /// The connection, unless it is of another node of the zone, or ends before that is clear.
    async fn of_client(&self, stream: TcpStream, stopping: &mut watch::Receiver<bool>) -> Option<TcpStream> {
        let Some(peers) = &self.peers else { return Some(stream) };
        let mut first = [0];
        let peeked = tokio::select! {
            peeked = timeout(self.head, stream.peek(&mut first)) => peeked.ok()?.ok()?,
            _ = stopping.wait_for(|stopped| *stopped) => return None,
        };
        // No TLS, HTTP/1.1 or HTTP/2 begins with that byte.
        if peeked == 0 || first[0] != PREFACE[0] {
            return Some(stream);
        }
        if let Ok(stream) = stream.into_std() {
            peers.take(stream);
        }
        None
    }

    /// The connection with what its client speaks; none where it did not come that far in time.
    async fn begun(&self, stream: TcpStream) -> Option<(Socket, Version)> {
        let mut socket = self.secured(stream).await?;
        let version = timeout(self.head, socket.version()).await.ok()?.ok()?;
        Some((socket, version))
    }

    async fn secured(&self, stream: TcpStream) -> Option<Socket> {
        let Some(tls) = &self.tls else { return Some(Socket::plain(stream, self.limits.stalled)) };
        let stream = timeout(self.limits.handshake, tls.accept(stream)).await.ok()?.ok()?;
        Some(Socket::tls(stream, self.limits.stalled))
    }

    async fn http1(self: Arc<Self>, socket: Socket, from: SocketAddr, mut stopped: watch::Receiver<bool>) {
        // hyper keeps room for the answer of one request; a box needs little of it.
        let service = service_fn(|request| {
            let whole = self.clone();
            Box::pin(async move { Ok::<_, Infallible>(whole.observed(from, request).await) })
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.head).max_buf_size(HEAD_BYTES_MAX as usize);
        let connection = builder.serve_connection(TokioIo::new(socket), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            // What a client does wrong ends its connection and concerns nobody else.
            ended = connection.as_mut() => return told(from, ended),
            _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    async fn http2(self: Arc<Self>, socket: Socket, from: SocketAddr, mut stopped: watch::Receiver<bool>) {
        let activity = Arc::new(Activity::default());
        let service = service_fn(|request| self.clone().counted(activity.clone(), from, request));
        let mut builder = http2::Builder::new(Requests { stalled: self.limits.stalled });
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.limits.ping_every)
            .keep_alive_timeout(self.limits.pong_within)
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(ERROR_RESETS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX)
            .max_send_buf_size(SEND_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let connection = builder.serve_connection(TokioIo::new(socket), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return told(from, ended),
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = activity.idle(self.limits.idle) => {}
        }
        connection.as_mut().graceful_shutdown();
        // A client that keeps nothing open has as long to say goodbye as it had to say hello.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = activity.idle(self.head) => {}
        }
    }

    /// Answers a request and keeps count of it until its response is sent.
    async fn counted(
        self: Arc<Self>,
        activity: Arc<Activity>,
        from: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let counted = activity.begin();
        let response = self.observed(from, request).await;
        Ok(response.map(|body| Body::new(counted.around(Watched::new(body)))))
    }

    async fn observed(&self, from: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let answer = |request| self.answer(from, request);
        observed(&self.gate.traffic, self.speaks, request, answer).await
    }

    async fn answer(&self, from: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        match self.speaks {
            Speaks::Grpc => self.grpc(from, request).await,
            Speaks::Http => self.http(from, request).await,
        }
    }

    async fn grpc(&self, from: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let kind = request.headers().get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let is_grpc = kind.is_some_and(|kind| kind.starts_with(b"application/grpc"));
        // A browser can be made to speak HTTP/1.1 to here, and never HTTP/2.
        if !is_grpc || request.version() != http::Version::HTTP_2 {
            return Turned::elsewhere().http();
        }
        let (head, body) = request.into_parts();
        let open = head.uri.path().starts_with("/grpc.health.v1.Health/");
        match self.guard.admit(&head, from, open) {
            Ok(caller) => {
                let gate = self.gate.open(caller);
                grpc::serve(gate, self.timeouts, Request::from_parts(head, body)).await.map(Body::new)
            }
            Err(turned) => turned.grpc(),
        }
    }

    async fn http(&self, from: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if let Some(response) = self.guard.preflight(&head) {
            return response;
        }
        let foreign = self.guard.foreign(&head.headers);
        let open = matches!(head.uri.path(), "/live" | "/ready");
        let mut response = match self.guard.admit(&head, from, open) {
            Ok(caller) => http_interface::answer(&self.router, caller, head, body).await,
            Err(turned) => turned.http(),
        };
        if let Some(origin) = foreign {
            share(response.headers_mut(), origin);
        }
        response
    }
}

impl Activity {
    fn begin(&self) -> Counted<()> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Counted::new(self.under_way.clone())
    }

    /// Waits until nothing was under way from one look to the next.
    async fn idle(&self, every: Duration) {
        let mut looks = tokio::time::interval(every);
        looks.tick().await;
        let mut begun = self.begun.load(Ordering::Relaxed);
        loop {
            looks.tick().await;
            let now = self.begun.load(Ordering::Relaxed);
            if now == begun && self.under_way.load(Ordering::Relaxed) == 0 {
                return;
            }
            begun = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_bytes<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Every open connection holds one of each, whatever it does.
    #[test]
    fn a_connection_is_small() {
        let (whole, http1) = (future_bytes(Service::serve), future_bytes(Service::http1));
        let (http2, answer) = (future_bytes(Service::http2), future_bytes(Service::counted));
        assert!(
            whole <= 1024 && http1 <= 2048 && http2 <= 4096 && answer <= 8192,
            "{whole} {http1} {http2} {answer}"
        );
    }
}
