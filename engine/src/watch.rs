//! What a client subscribes to, in the same process or over the network.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::error::Error;
use crate::subscription::{Event, Subscription};

/// The rows of an output, or refused rows: see [`Client::subscribe`](crate::Client::subscribe).
pub struct Watch<'c>(Source<'c>);

/// Where events come from.
pub(crate) enum Source<'c> {
    Here(Box<Subscription>, PhantomData<&'c ()>),
    #[cfg(feature = "net")]
    Remote(Box<crate::net::RemoteSubscription<'c>>),
}

impl<'c> Watch<'c> {
    pub(crate) fn new(source: Source<'c>) -> Self {
        Watch(source)
    }

    /// The next event if one comes within a time.
    ///
    /// # Errors
    /// [`Error::Stopped`]; over the network [`Error::Disconnected`].
    pub fn next_within(&mut self, at_most: Duration) -> Result<Option<Event>, Error> {
        match &mut self.0 {
            Source::Here(subscription, _) => subscription.next_within(at_most),
            #[cfg(feature = "net")]
            Source::Remote(remote) => remote.next_within(at_most),
        }
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
