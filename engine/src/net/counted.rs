//! What counts as under way as long as it is there: a request until its response is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

/// Something that counts as under way as long as it is there.
pub(crate) struct Counted<T> {
    of: T,
    count: Count,
}

struct Count(Arc<AtomicUsize>);

impl Counted<()> {
    pub(crate) fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Counted { of: (), count: Count(count) }
    }

    /// Counts until the body has gone.
    pub(crate) fn around<B>(self, body: B) -> Counted<B> {
        Counted { of: body, count: self.count }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.of).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.of.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.of.size_hint()
    }
}
