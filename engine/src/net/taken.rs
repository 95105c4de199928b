//! An end for a response over HTTP/2 that its client does not take.
//!
//! Over HTTP/1.1 such a client is seen by writes that wait (`socket`). Over HTTP/2 it says how much it has room for, and
//! who says nothing lets no write wait: its requests would stay for as long as the connection lives. hyper asks a body
//! for its next frame when the client has room for some of it, so the time from a frame to the next question is what the
//! client takes. When that is too long the task of the request ends, and with it the stream: it is reset.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep};

/// Bytes of a frame, at most: what a client has to take in time. A slow one gets a large row in pieces.
const FRAME_BYTES_MAX: usize = 64 << 10;

tokio::task_local! {
    static TAKEN: Taken;
}

/// How far the client of a request has taken its response: what was given to it, counted, and in the lowest bit whether
/// that was the last that happened.
#[derive(Clone, Default)]
struct Taken(Arc<AtomicU64>);

impl Taken {
    fn given(&self) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store((before | 1) + 2, Ordering::Relaxed);
    }

    fn asked(&self) {
        self.0.fetch_and(!1, Ordering::Relaxed);
    }

    /// What was given and waits for the client.
    fn waits(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|state| state & 1 == 1)
    }
}

/// Runs the requests of an HTTP/2 connection, each until its end or until its client has not taken anything for so long.
#[derive(Clone)]
pub(crate) struct Requests {
    pub(crate) stalled: Duration,
}

impl<F> Executor<F> for Requests
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        tokio::spawn(unless_stalled(request, self.stalled));
    }
}

async fn unless_stalled(request: impl Future<Output = ()>, stalled: Duration) {
    let taken = Taken::default();
    let mut request = pin!(TAKEN.scope(taken.clone(), request));
    // Most responses are taken at once and need no clock.
    let mut patience: Option<(u64, Pin<Box<Sleep>>)> = None;
    poll_fn(|context| {
        if request.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let Some(waits) = taken.waits() else {
            patience = None;
            return Poll::Pending;
        };
        let (_, sleep) = match patience.take() {
            Some(same) if same.0 == waits => patience.insert(same),
            _ => {
                let sleep = tokio::time::sleep_until(Instant::now() + stalled);
                patience.insert((waits, Box::pin(sleep)))
            }
        };
        sleep.as_mut().poll(context)
    })
    .await;
}

/// The body of a response that notes what its client takes of it.
pub(crate) struct Watched {
    body: Body,
    /// Of the last frame, what is still to be given.
    rest: Bytes,
    taken: Taken,
}

impl Watched {
    /// A body that is about to be sent by the task of its request.
    pub(crate) fn new(body: Body) -> Self {
        let taken = TAKEN.try_with(Taken::clone).unwrap_or_default();
        // A client may have no room for the first byte.
        taken.given();
        Watched { body, rest: Bytes::new(), taken }
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) if data.len() > FRAME_BYTES_MAX => self.rest = data,
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(FRAME_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.taken.asked();
        let frame = std::task::ready!(self.next(context));
        self.taken.given();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest.is_empty() {
            true => self.body.size_hint(),
            false => SizeHint::default(),
        }
    }
}
