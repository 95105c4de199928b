//! The reader thread: files to chunks of rows, ahead of the node by a few chunks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anabranch::rows::Chunk;

use super::play::Play;
use crate::failure::Failure;
use crate::os;

/// Chunks that are read ahead, at most.
const CHUNKS_AHEAD: usize = 16;

/// What the session hears of.
pub(super) enum News {
    /// Rows of play number `play`, whose file was read up to `bytes_read`.
    Rows { play: usize, chunk: Chunk, bytes_read: u64 },
    /// The file of this play is read to its end.
    End { play: usize },
    /// The file of this play cannot be read any further.
    Unreadable { play: usize, error: io::Error },
    /// All files are read.
    AllRead,
    /// Ctrl-C or SIGTERM.
    Stop,
}

/// Where the session hears of everything.
pub(crate) struct Feed {
    news: Receiver<News>,
    /// Set by a signal, so that it is heard before what waits in `news`.
    stopping: Arc<AtomicBool>,
    /// The same for who waits for nothing else.
    stop: Receiver<()>,
}

impl Feed {
    /// Starts to listen for signals and to read the files, one after the other.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(crate) fn start(plays: Vec<Play>) -> Result<Self, Failure> {
        let (sender, news) = sync_channel(CHUNKS_AHEAD);
        let (stop_now, stopped) = sync_channel(1);
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, flag) = (sender.clone(), stopping.clone());
        // A full channel has other news, and the flag is seen before they are.
        let heard = move || {
            flag.store(true, Ordering::SeqCst);
            drop(stop.try_send(News::Stop));
            let _ = stop_now.try_send(());
        };
        os::on_stop_signal(heard)
            .map_err(|error| Failure::world(format!("cannot listen for Ctrl-C: {error}")))?;
        os::spawn("reader", move || read_all(plays, &sender))
            .map_err(|error| Failure::world(format!("cannot start a thread to read files: {error}")))?;
        Ok(Feed { news, stopping, stop: stopped })
    }

    /// The next news; waits for them.
    pub(super) fn next(&self) -> News {
        self.first(self.news.recv().ok())
    }

    /// The next news if there are some within a time.
    pub(super) fn next_within(&self, at_most: Duration) -> Option<News> {
        match self.news.recv_timeout(at_most) {
            Err(RecvTimeoutError::Timeout) => None,
            heard => Some(self.first(heard.ok())),
        }
    }

    /// Waits for a time, and hears of nothing but the wish to stop; whether it came.
    pub(super) fn stopped_within(&self, at_most: Duration) -> bool {
        self.stop.recv_timeout(at_most).is_ok()
    }

    /// The wish to stop comes first. Nobody is left to send news when both threads have ended.
    fn first(&self, heard: Option<News>) -> News {
        match self.stopping.load(Ordering::SeqCst) {
            true => News::Stop,
            false => heard.unwrap_or(News::Stop),
        }
    }
}

/// Ends early when the session has ended.
fn read_all(plays: Vec<Play>, news: &SyncSender<News>) {
    for (number, play) in plays.into_iter().enumerate() {
        if !read(number, play, news) {
            return;
        }
    }
    let _ = news.send(News::AllRead);
}

/// Whether the session wants to hear more.
fn read(number: usize, mut play: Play, news: &SyncSender<News>) -> bool {
    loop {
        let (heard, more) = match play.next_chunk() {
            Ok(Some(chunk)) => (News::Rows { play: number, chunk, bytes_read: play.bytes_read() }, true),
            Ok(None) => (News::End { play: number }, false),
            Err(error) => (News::Unreadable { play: number, error }, false),
        };
        if news.send(heard).is_err() {
            return false;
        }
        if !more {
            return true;
        }
    }
}
