//! A body that is written while it is read: as fast as the client takes it, and no further ahead than a few pieces.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_stream::Stream;

/// Pieces that are written ahead of the client.
const PIECES_AHEAD_MAX: usize = 2;

/// The end that writes. Dropped, it ends the body.
pub(super) struct Feed(Sender<io::Result<Bytes>>);

/// Both ends of a body.
pub(super) fn feed() -> (Feed, Body) {
    let (sender, receiver) = channel(PIECES_AHEAD_MAX);
    (Feed(sender), Body::from_stream(Pieces(receiver)))
}

impl Feed {
    /// Writes a piece; waits for room. False when the client is gone.
    pub(super) async fn send(&mut self, piece: impl Into<Bytes>) -> bool {
        self.0.send(Ok(piece.into())).await.is_ok()
    }

    /// Waits until the client is gone.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }

    /// Breaks the body off, so that nobody takes it for whole.
    pub(super) async fn fail(self) {
        let _ = self.0.send(Err(io::Error::other("the node could not read on"))).await;
    }
}

struct Pieces(Receiver<io::Result<Bytes>>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
