//! The way to a node: a connection for calls, with TLS or without, and the token with every request.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use http::header::CONTENT_TYPE;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::client::Grpc;

use super::{MESSAGE_BYTES_MAX, PING_EVERY, PONG_WITHIN, WINDOW_BYTES};
use crate::error::Error;
use crate::net::connect::ConnectOptions;
use crate::net::tls;

/// The first byte of a TLS server that was spoken to in another way: an alert.
const TLS_ALERT: u8 = 21;

/// The first byte of an answer of HTTP/1.
const HTTP_1: u8 = b'H';

type Problem = Box<dyn StdError + Send + Sync>;

/// A connection for calls.
pub(super) async fn caller(options: &ConnectOptions) -> Result<Grpc<Sender>, Error> {
    options.check()?;
    let problem = |why: String| Error::Connect { address: options.address().to_owned(), why };
    let authorization = options.authorization().map_err(problem)?;
    let within = options.within_time();
    let dialed = tokio::time::timeout(within, dial(options)).await;
    let dialed = dialed.unwrap_or_else(|_| Err(format!("no answer within {} s", within.as_secs_f32())));
    let (sender, heard) = dialed.map_err(problem)?;
    let sender = Sender { sender, authorization, heard };
    let origin = http::Uri::builder()
        .scheme(options.scheme())
        .authority(options.address())
        .path_and_query("/")
        .build();
    let origin = origin.map_err(|error| problem(error.to_string()))?;
    Ok(Grpc::with_origin(sender, origin).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

async fn dial(options: &ConnectOptions) -> Result<(SendRequest<Body>, Heard), String> {
    let stream = TcpStream::connect(options.address()).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    if let Some(trust) = options.trust() {
        let stream = tls::dial(trust, options.host(), stream).await?;
        return Ok((shake_hands(stream).await?, Heard::Tls));
    }
    let first = Arc::<OnceLock<u8>>::default();
    let sender = shake_hands(Hearing { stream, first: first.clone() }).await?;
    Ok((sender, Heard::Plain(first)))
}

async fn shake_hands<S>(stream: S) -> Result<SendRequest<Body>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Its end is seen by the streams on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// The first byte that came without TLS, by which something else than a node's gRPC is known.
#[derive(Clone)]
enum Heard {
    Plain(Arc<OnceLock<u8>>),
    Tls,
}

impl Heard {
    /// What went wrong, in words where it is known.
    fn why(&self, error: hyper::Error) -> Problem {
        let Heard::Plain(first) = self else { return error.into() };
        match first.get() {
            Some(&TLS_ALERT) => "the node speaks TLS: go over TLS to it (`--tls`, or `--ca-file FILE`)".into(),
            Some(&HTTP_1) => NO_GRPC.into(),
            Some(_) => error.into(),
            // Where the connection is torn down, what the node said last may be lost.
            None => "the node closed the connection without an answer; if it speaks TLS, go over TLS to it (`--tls`, or \
                     `--ca-file FILE`)"
                .into(),
        }
    }
}

const NO_GRPC: &str = "what answers there speaks HTTP and no gRPC: use the address that was given with `--listen`, not \
                       that of `--http`";

/// A connection without TLS whose first byte is noted.
struct Hearing {
    stream: TcpStream,
    first: Arc<OnceLock<u8>>,
}

impl AsyncRead for Hearing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(first) = buffer.filled().get(before) {
            // Only the first is kept.
            let _ = self.first.set(*first);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Hearing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// An HTTP/2 connection as a service, which adds the token to every request.
pub(super) struct Sender {
    sender: SendRequest<Body>,
    authorization: Option<http::HeaderValue>,
    heard: Heard,
}

impl tower::Service<http::Request<Body>> for Sender {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Problem>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Problem>> {
        self.sender.poll_ready(context).map_err(|error| self.heard.why(error))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(token) = &self.authorization {
            request.headers_mut().insert(http::header::AUTHORIZATION, token.clone());
        }
        let (sent, heard) = (self.sender.send_request(request), self.heard.clone());
        Box::pin(async move {
            let response = sent.await.map_err(|error| heard.why(error))?;
            let kind = response.headers().get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
            match kind.is_none_or(|kind| kind.starts_with(b"application/grpc")) {
                true => Ok(response),
                false => Err(NO_GRPC.into()),
            }
        })
    }
}
