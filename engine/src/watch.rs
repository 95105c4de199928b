//! What a client sees of an output stream, in the process or over the network.

use std::time::Duration;

use crate::error::Error;
use crate::subscription::{Event, Subscription};

/// Rows of an output stream, or refused rows, as they come: see [`crate::Client::subscribe`].
#[derive(Debug)]
pub struct Watch(Source);

#[derive(Debug)]
enum Source {
    Here(Subscription),
    #[cfg(feature = "net")]
    Remote(Box<crate::net::RemoteWatch>),
}

impl Watch {
    pub(crate) fn here(subscription: Subscription) -> Self {
        Watch(Source::Here(subscription))
    }

    #[cfg(feature = "net")]
    pub(crate) fn remote(watch: crate::net::RemoteWatch) -> Self {
        Watch(Source::Remote(Box::new(watch)))
    }

    /// The next event; waits for it. Over the network a lost connection is opened again, and what came meanwhile is
    /// brought.
    ///
    /// # Errors
    /// The node has stopped or cannot be reached, or was away for so long that rows are lost: the next call goes on.
    #[expect(clippy::should_implement_trait, reason = "`next_within` stands beside it")]
    pub fn next(&mut self) -> Result<Option<Event>, Error> {
        match &mut self.0 {
            Source::Here(subscription) => Ok(subscription.next()),
            #[cfg(feature = "net")]
            Source::Remote(watch) => watch.next(None),
        }
    }

    /// The next event if one comes within a time.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub fn next_within(&mut self, at_most: Duration) -> Result<Option<Event>, Error> {
        match &mut self.0 {
            Source::Here(subscription) => subscription.next_within(at_most),
            #[cfg(feature = "net")]
            Source::Remote(watch) => watch.next(Some(at_most)),
        }
    }
}
