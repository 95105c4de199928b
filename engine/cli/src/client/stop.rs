//! The wish to stop, for commands that go on until somebody has it.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crate::failure::Failure;
use crate::os;

/// Hears of the first Ctrl-C or SIGTERM; at the second the program ends on the spot.
pub(crate) struct Stop(Receiver<()>);

impl Stop {
    /// Begins to listen.
    ///
    /// # Errors
    /// The operating system refuses it.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (asked, stop) = sync_channel(1);
        // A full channel has the wish already.
        let heard = move || {
            let _ = asked.try_send(());
        };
        os::on_stop_signal(heard)
            .map_err(|error| Failure::world(format!("cannot listen for Ctrl-C: {error}")))?;
        Ok(Stop(stop))
    }

    /// Waits for a time; whether the wish came.
    pub(crate) fn within(&self, at_most: Duration) -> bool {
        self.0.recv_timeout(at_most).is_ok()
    }

    /// Waits for it.
    pub(crate) fn wait(&self) {
        // Ends when nobody could tell of it any more.
        let _ = self.0.recv();
    }

    /// Whether the wish has come.
    pub(crate) fn asked(&self) -> bool {
        self.0.try_recv().is_ok()
    }
}
