//! Subscriptions of clients over the network: they outlive their connections.
//!
//! A subscription has an id and counts what it brings: the row at position p is the p-th since it began, missed rows
//! included. When its connection is lost it is kept for a while, and so is what it brought last and may not have
//! arrived. A client that comes back in time with id and position goes on behind that position; what is no longer
//! there it is told to have missed.
//!
//! ```text
//! queue of the subscription ──take──> sent, by position ──> the reader's connection
//!                                       └─ the last of them stay, for who comes back
//! ```
//!
//! It knows nothing of HTTP or gRPC. A subscription has one reader: who comes back with its id takes it over.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::Error;
use crate::node::Core;
use crate::os;
use crate::subscription::{Event, Subscription};

/// Subscriptions over the network of a node, at most. One more takes the place of the one that was left first, or is
/// refused where all have readers.
const SUBSCRIPTIONS_MAX: usize = 1024;

/// Rows and bytes that stay of what a subscription has brought, for a client that comes back, at most.
const SENT_ROWS_MAX: usize = 16_384;
const SENT_BYTES_MAX: usize = 8 << 20;

/// Events that a reader gets at once, at most.
const EVENTS_AT_ONCE_MAX: usize = 256;

/// The id of a subscription; nobody can guess it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SubscriptionId(u128);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SubscriptionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(SubscriptionId)
    }
}

impl SubscriptionId {
    /// The subscription and the position of a name: `id-position`.
    pub(crate) fn position(name: &str) -> Option<(SubscriptionId, Position)> {
        let (id, position) = name.split_once('-')?;
        Some((id.parse().ok()?, position.parse().ok()?))
    }
}

/// Rows of a subscription so far, missed ones included.
pub(crate) type Position = u64;

/// The subscriptions of a node's clients over the network.
#[derive(Clone)]
pub(crate) struct Subscriptions(Arc<Shared>);

struct Shared {
    core: Arc<Core>,
    /// How long one is kept that nobody reads.
    kept_for: Duration,
    kept: Mutex<HashMap<SubscriptionId, Arc<Kept>>>,
}

struct Kept {
    id: SubscriptionId,
    /// `flow.output` or `flow.errors`.
    topic: String,
    state: Mutex<State>,
    /// There is something new, or another reader.
    news: Arc<Notify>,
}

struct State {
    subscription: Subscription,
    /// Of the last event that was taken.
    position: Position,
    /// The last events that were taken.
    sent: VecDeque<(Position, Event)>,
    sent_bytes: usize,
    /// Counts readers; the last one reads.
    readers: u64,
    /// Whether nobody reads.
    left: bool,
    /// Whether nothing comes any more.
    ended: bool,
}

impl Subscriptions {
    pub(crate) fn new(core: Arc<Core>, kept_for: Duration) -> Self {
        Subscriptions(Arc::new(Shared { core, kept_for, kept: Mutex::default() }))
    }

    /// Subscribes to an output (`flow.output`) or the refused rows of a flow (`flow.errors`), from now on; `flow` says
    /// once more which flow is meant, as names may have dots.
    ///
    /// # Errors
    /// There is no such output, there are too many subscriptions, or the node has stopped.
    pub(crate) async fn open(&self, flow: &str, topic: &str) -> Result<Reader, Error> {
        self.make_room()?;
        let (core, output) = (self.0.core.clone(), topic.to_owned());
        let subscribed = tokio::task::spawn_blocking(move || core.subscribe(&output)).await;
        let subscription = subscribed.map_err(|_| Error::Stopped)??;
        if subscription.plan().name != flow {
            return Err(Error::Unknown { what: "output", name: topic.to_owned(), known: Vec::new() });
        }
        let news = Arc::new(Notify::new());
        let alarm = news.clone();
        subscription.alarm(move || alarm.notify_one());
        let state = State {
            subscription,
            position: 0,
            sent: VecDeque::new(),
            sent_bytes: 0,
            readers: 1,
            left: false,
            ended: false,
        };
        let id = SubscriptionId(u128::from(os::seed()) << 64 | u128::from(os::seed()));
        let kept = Arc::new(Kept { id, topic: topic.to_owned(), state: Mutex::new(state), news });
        self.0.kept().insert(id, kept.clone());
        Ok(Reader { shared: self.0.clone(), kept, number: 1, again: VecDeque::new() })
    }

    /// Goes on with a subscription behind a position. `None` when there is none of this id and topic any more.
    pub(crate) fn resume(&self, id: SubscriptionId, topic: &str, after: Position) -> Option<Reader> {
        let kept = self.0.kept().get(&id).filter(|kept| kept.topic == topic).cloned()?;
        let (number, again) = {
            let mut state = kept.state();
            if after > state.position {
                return None;
            }
            state.readers += 1;
            state.left = false;
            (state.readers, state.behind(after))
        };
        // The reader before, if it still waits.
        kept.news.notify_one();
        Some(Reader { shared: self.0.clone(), kept, number, again })
    }

    /// Subscriptions now, those that wait for their client included.
    pub(crate) fn len(&self) -> usize {
        self.0.kept().len()
    }

    /// Gives up the subscription that was left first, if there are too many.
    fn make_room(&self) -> Result<(), Error> {
        let mut kept = self.0.kept();
        if kept.len() < SUBSCRIPTIONS_MAX {
            return Ok(());
        }
        let left = kept.values().find(|kept| kept.state().left).map(|kept| kept.id);
        match left {
            Some(id) => drop(kept.remove(&id)),
            None => return Err(Error::Full),
        }
        Ok(())
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Arc<Kept>>> {
        // Nothing in between can panic, so nothing half done is behind a poisoned lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a subscription that nobody has read since its reader `number`.
    fn forget(&self, kept: &Kept, number: u64) {
        let mut all = self.kept();
        let state = kept.state();
        if state.left && state.readers == number {
            all.remove(&kept.id);
        }
    }
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was taken behind a position, with a gap where some of it is no longer there.
    fn behind(&self, after: Position) -> VecDeque<(Position, Event)> {
        let mut again: VecDeque<_> =
            self.sent.iter().filter(|(position, _)| *position > after).cloned().collect();
        let before = again.front().map_or(self.position, |(position, event)| position - rows(event));
        if before > after {
            again.push_front((before, Event::Missed(before - after)));
        }
        again
    }

    /// Takes what is there now.
    fn take(&mut self) -> Vec<(Position, Event)> {
        let mut taken = Vec::new();
        while taken.len() < EVENTS_AT_ONCE_MAX && !self.ended {
            match self.subscription.next_within(Duration::ZERO) {
                Ok(Some(event)) => {
                    self.position += rows(&event);
                    taken.push((self.position, event.clone()));
                    self.keep(event);
                }
                Ok(None) => break,
                Err(_) => self.ended = true,
            }
        }
        taken
    }

    fn keep(&mut self, event: Event) {
        self.sent_bytes += bytes(&event);
        self.sent.push_back((self.position, event));
        while self.sent.len() > SENT_ROWS_MAX || self.sent_bytes > SENT_BYTES_MAX {
            let Some((_, event)) = self.sent.pop_front() else { return };
            self.sent_bytes -= bytes(&event);
        }
    }
}

/// By how many rows an event moves the position on.
fn rows(event: &Event) -> u64 {
    match event {
        Event::Row(_) | Event::Refused(_) => 1,
        Event::Missed(missed) => *missed,
        Event::Gone => 0,
    }
}

fn bytes(event: &Event) -> usize {
    match event {
        Event::Row(row) => row.bytes().len(),
        Event::Refused(refused) => refused.row.bytes().len() + refused.refused.text.len(),
        Event::Missed(_) | Event::Gone => 0,
    }
}

/// The end of a subscription that a connection reads; when it is dropped the subscription waits for another.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    kept: Arc<Kept>,
    number: u64,
    /// What was taken before and may not have arrived.
    again: VecDeque<(Position, Event)>,
}

impl Reader {
    /// To come back with.
    pub(crate) fn id(&self) -> SubscriptionId {
        self.kept.id
    }

    /// The next events with their positions, as many as are there; waits for one. `None` when another reader has taken
    /// over, or nothing comes any more. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Vec<(Position, Event)>> {
        if !self.again.is_empty() {
            let count = self.again.len().min(EVENTS_AT_ONCE_MAX);
            return Some(self.again.drain(..count).collect());
        }
        loop {
            {
                let mut state = self.kept.state();
                if state.readers != self.number {
                    // What woke this reader is for the other.
                    self.kept.news.notify_one();
                    return None;
                }
                let taken = state.take();
                if !taken.is_empty() {
                    return Some(taken);
                }
                if state.ended {
                    return None;
                }
            }
            self.kept.news.notified().await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let ended = {
            let mut state = self.kept.state();
            if state.readers != self.number {
                return;
            }
            state.left = true;
            state.ended
        };
        let runtime = tokio::runtime::Handle::try_current();
        let (Ok(runtime), false) = (runtime, ended) else {
            return self.shared.forget(&self.kept, self.number);
        };
        let (shared, kept, number) = (self.shared.clone(), self.kept.clone(), self.number);
        runtime.spawn(async move {
            drop(tokio::time::timeout(shared.kept_for, std::future::pending::<()>()).await);
            shared.forget(&kept, number);
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Flow, Node};

    const TOPIC: &str = "names.OutputStream";

    fn node() -> Node {
        let flow = Flow::parse("names.flow", crate::doc::NAMES).expect("it compiles");
        Node::builder("A").flow(flow).start().expect("it starts")
    }

    /// So many replies to the output.
    fn publish(node: &Node, rows: u64) {
        let asks: Vec<_> = (0..rows).map(|_| json!({ "name": "a" })).collect();
        node.client().send("ReadStream", &asks).expect("sent");
    }

    /// Reads until so many rows came or were missed: the last position, rows, and missed ones.
    async fn read(reader: &mut Reader, wanted: u64) -> (Position, u64, u64) {
        let (mut last, mut got, mut missed) = (0, 0, 0);
        while got + missed < wanted {
            for (position, event) in reader.next().await.expect("it goes on") {
                last = position;
                match event {
                    Event::Missed(rows) => missed += rows,
                    Event::Row(_) | Event::Refused(_) => got += 1,
                    Event::Gone => {}
                }
            }
        }
        (last, got, missed)
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(test);
    }

    #[test]
    fn who_comes_back_goes_on_behind_its_position_without_loss() {
        let node = node();
        run(async {
            let all = Subscriptions::new(node.core(), Duration::from_secs(60));
            let mut reader = all.open("names", TOPIC).await.expect("it opens");
            publish(&node, 10);
            assert_eq!(read(&mut reader, 10).await, (10, 10, 0));
            let id = reader.id();
            drop(reader);
            publish(&node, 5);
            let mut again = all.resume(id, TOPIC, 7).expect("it is kept");
            assert_eq!(read(&mut again, 8).await, (15, 8, 0));
            assert!(all.resume(id, "names.errors", 7).is_none(), "another topic");
            assert!(all.resume(id, TOPIC, 16).is_none(), "a position that never was");
        });
    }

    #[test]
    fn what_is_no_longer_there_is_told_as_missed() {
        let node = node();
        run(async {
            let all = Subscriptions::new(node.core(), Duration::from_secs(60));
            let mut reader = all.open("names", TOPIC).await.expect("it opens");
            let rows = SENT_ROWS_MAX as u64 + 100;
            for _ in 0..rows / 100 {
                publish(&node, 100);
                read(&mut reader, 100).await;
            }
            let rows = rows / 100 * 100;
            let (id, missed) = (reader.id(), rows - SENT_ROWS_MAX as u64 - 3);
            let mut again = all.resume(id, TOPIC, 3).expect("it is kept");
            assert_eq!(read(&mut again, rows - 3).await, (rows, SENT_ROWS_MAX as u64, missed));
        });
    }

    #[test]
    fn a_second_reader_takes_over() {
        let node = node();
        run(async {
            let all = Subscriptions::new(node.core(), Duration::from_secs(60));
            let mut first = all.open("names", TOPIC).await.expect("it opens");
            let id = first.id();
            let waits = tokio::spawn(async move { first.next().await.is_none() });
            let mut second = all.resume(id, TOPIC, 0).expect("it is there");
            assert!(waits.await.expect("it ends"));
            publish(&node, 1);
            assert_eq!(read(&mut second, 1).await, (1, 1, 0));
            assert_eq!(all.len(), 1);
        });
    }

    #[test]
    fn one_that_nobody_comes_back_for_is_forgotten_and_one_whose_node_stops_ends() {
        let node = node();
        run(async {
            let all = Subscriptions::new(node.core(), Duration::from_millis(1));
            let reader = all.open("names", TOPIC).await.expect("it opens");
            let id = reader.id();
            drop(reader);
            while all.len() > 0 {
                tokio::task::yield_now().await;
            }
            assert!(all.resume(id, TOPIC, 0).is_none());
            let mut reader = all.open("names", TOPIC).await.expect("it opens");
            let waits = tokio::spawn(async move { reader.next().await.is_none() });
            tokio::task::spawn_blocking(move || node.stop()).await.expect("joined").expect("stopped");
            assert!(waits.await.expect("it ends"));
        });
    }
}
