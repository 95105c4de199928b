//! A connection's bytes: with TLS or without, with those that were read to see what the client speaks, and with an end
//! for a client that does not read what it asked for.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

/// What an HTTP/2 client sends first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// A connection.
pub(crate) struct Socket {
    kind: Kind,
    /// Bytes that were read ahead: `ahead[at..read]`.
    ahead: [u8; PREFACE.len()],
    at: usize,
    read: usize,
    stalled_after: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

enum Kind {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    pub(crate) fn plain(stream: TcpStream, stalled_after: Duration) -> Self {
        Self::new(Kind::Plain(stream), stalled_after)
    }

    pub(crate) fn tls(stream: TlsStream<TcpStream>, stalled_after: Duration) -> Self {
        Self::new(Kind::Tls(Box::new(stream)), stalled_after)
    }

    fn new(kind: Kind, stalled_after: Duration) -> Self {
        let ahead = [0; PREFACE.len()];
        Socket { kind, ahead, at: 0, read: 0, stalled_after, stalled: None }
    }

    /// Reads until it is clear what the client speaks. Who ends before that speaks HTTP/1.1 as far as it got.
    pub(crate) async fn version(&mut self) -> io::Result<Version> {
        while self.read < PREFACE.len() {
            let into = &mut self.ahead[self.read..];
            let got = match &mut self.kind {
                Kind::Plain(stream) => stream.read(into).await?,
                Kind::Tls(stream) => stream.read(into).await?,
            };
            self.read += got;
            if got == 0 || self.ahead[..self.read] != PREFACE[..self.read] {
                return Ok(Version::Http1);
            }
        }
        Ok(Version::Http2)
    }

    /// Passes on how a write went; one that waits for too long fails.
    fn written<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let after = self.stalled_after;
        let stalled =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + after)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at < this.read {
            let length = buffer.remaining().min(this.read - this.at);
            buffer.put_slice(&this.ahead[this.at..this.at + length]);
            this.at += length;
            return Poll::Ready(Ok(()));
        }
        match &mut this.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        };
        self.written(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, pieces),
        };
        self.written(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Plain(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_flush(context),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        };
        self.written(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Kind::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        };
        self.written(context, poll)
    }
}
