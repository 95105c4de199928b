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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::access::Caller;
use super::shares::Party;
pub(crate) use super::subscription_id::{Position, SubscriptionId};
use crate::error::Error;
use crate::node::Core;
use crate::subscription::{Event, Subscription};

/// Subscriptions over the network of a node, at most. One more takes the place of the one that was left first, or is
/// refused where all have readers.
const SUBSCRIPTIONS_MAX: usize = 1024;

/// Those of one caller, at most; the same holds for one more of them.
const SUBSCRIPTIONS_PER_CALLER_MAX: usize = SUBSCRIPTIONS_MAX / 4;

/// Rows and bytes that stay of what a subscription has brought, for a client that comes back, at most.
const SENT_ROWS_MAX: usize = 16_384;
const SENT_BYTES_MAX: usize = 8 << 20;

/// Events that a reader gets at once, at most.
const EVENTS_AT_ONCE_MAX: usize = 256;

/// The subscriptions of a node's clients over the network.
#[derive(Clone)]
pub(crate) struct Subscriptions {
    shared: Arc<Shared>,
    /// Whose part new ones count for; none where that does not matter.
    party: Option<Party>,
}

struct Shared {
    core: Arc<Core>,
    /// How long one is kept that nobody reads.
    kept_for: Duration,
    kept: Mutex<HashMap<SubscriptionId, Arc<Kept>>>,
    /// Counts those that were left, so that it is known which was first.
    leaves: AtomicU64,
}

struct Kept {
    id: SubscriptionId,
    /// `flow.output` or `flow.errors`.
    topic: String,
    party: Option<Party>,
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
    /// Where nobody reads, the number of leaves before.
    left: Option<u64>,
    /// Whether nothing comes any more.
    ended: bool,
}

impl Subscriptions {
    pub(crate) fn new(core: Arc<Core>, kept_for: Duration) -> Self {
        let shared = Shared { core, kept_for, kept: Mutex::default(), leaves: AtomicU64::new(0) };
        Subscriptions { shared: Arc::new(shared), party: None }
    }

    /// The same for a caller.
    pub(crate) fn of(&self, caller: &Caller) -> Self {
        Subscriptions { shared: self.shared.clone(), party: caller.party() }
    }

    /// Subscribes to an output (`flow.output`) or the refused rows of a flow (`flow.errors`), from now on; `flow` says
    /// once more which flow is meant, as names may have dots.
    ///
    /// # Errors
    /// There is no such output, there are too many subscriptions, or the node has stopped.
    pub(crate) async fn open(&self, flow: &str, topic: &str) -> Result<Reader, Error> {
        self.make_room(&mut self.shared.kept())?;
        let (core, output) = (self.shared.core.clone(), topic.to_owned());
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
            left: None,
            ended: false,
        };
        let id = SubscriptionId::new()?;
        let party = self.party.clone();
        let kept = Arc::new(Kept { id, topic: topic.to_owned(), party, state: Mutex::new(state), news });
        let mut all = self.shared.kept();
        // Others may have come while this one was opened.
        self.make_room(&mut all)?;
        all.insert(id, kept.clone());
        Ok(Reader { shared: self.shared.clone(), kept, number: 1, again: VecDeque::new() })
    }

    /// Goes on with a subscription behind a position. `None` when there is none of this id and topic any more.
    pub(crate) fn resume(&self, id: SubscriptionId, topic: &str, after: Position) -> Option<Reader> {
        let kept = self.shared.kept().get(&id).filter(|kept| kept.topic == topic).cloned()?;
        let (number, again) = {
            let mut state = kept.state();
            if after > state.position {
                return None;
            }
            state.readers += 1;
            state.left = None;
            (state.readers, state.behind(after))
        };
        // The reader before, if it still waits.
        kept.news.notify_one();
        Some(Reader { shared: self.shared.clone(), kept, number, again })
    }

    /// Subscriptions now, those that wait for their client included.
    pub(crate) fn len(&self) -> usize {
        self.shared.kept().len()
    }

    /// Gives up subscriptions that were left first, if there are too many: of all, or of this caller.
    fn make_room(&self, kept: &mut HashMap<SubscriptionId, Arc<Kept>>) -> Result<(), Error> {
        if let Some(party) = &self.party {
            let own = |one: &Kept| one.party.as_ref() == Some(party);
            if kept.values().filter(|one| own(one)).count() >= SUBSCRIPTIONS_PER_CALLER_MAX {
                give_way(kept, own, SUBSCRIPTIONS_PER_CALLER_MAX)?;
            }
        }
        match kept.len() < SUBSCRIPTIONS_MAX {
            true => Ok(()),
            false => give_way(kept, |_| true, SUBSCRIPTIONS_MAX),
        }
    }
}

/// Takes out the one of some subscriptions that was left first.
fn give_way(
    kept: &mut HashMap<SubscriptionId, Arc<Kept>>,
    of: impl Fn(&Kept) -> bool,
    most: usize,
) -> Result<(), Error> {
    let left = kept.values().filter(|one| of(one));
    let first = left.filter_map(|one| Some((one.state().left?, one.id))).min_by_key(|(number, _)| *number);
    match first {
        Some((_, id)) => drop(kept.remove(&id)),
        None => {
            let text = format!("there are {most} subscriptions, and as many there may be; end one of them");
            return Err(Error::Problem { code: "full".into(), text });
        }
    }
    Ok(())
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
        if state.left.is_some() && state.readers == number {
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
            state.left = Some(self.shared.leaves.fetch_add(1, Ordering::Relaxed));
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
    fn a_caller_has_its_part_however_many_ask_at_once_and_what_was_left_first_gives_way() {
        let node = node();
        run(async {
            let all = Subscriptions::new(node.core(), Duration::from_secs(60));
            let of = |address: [u8; 4]| all.of(&Caller::anyone((address, 1).into()));
            let opening = (0..SUBSCRIPTIONS_PER_CALLER_MAX + 20).map(|_| {
                let own = of([10, 0, 0, 1]);
                tokio::spawn(async move { own.open("names", TOPIC).await })
            });
            let (mut readers, mut refused) = (Vec::new(), Vec::new());
            for opened in opening.collect::<Vec<_>>() {
                match opened.await.expect("joined") {
                    Ok(reader) => readers.push(reader),
                    Err(error) => refused.push(error.to_string()),
                }
            }
            assert_eq!((readers.len(), refused.len()), (SUBSCRIPTIONS_PER_CALLER_MAX, 20));
            assert!(refused[0].contains("256 subscriptions"), "{}", refused[0]);
            of([10, 0, 0, 2]).open("names", TOPIC).await.expect("another has room");
            let left = readers.split_off(readers.len() - 20);
            let ids: Vec<_> = left.iter().map(Reader::id).collect();
            left.into_iter().for_each(drop);
            readers.push(of([10, 0, 0, 1]).open("names", TOPIC).await.expect("one gives way"));
            assert!(all.resume(ids[0], TOPIC, 0).is_none(), "it was left first");
            assert!(ids[1..].iter().all(|id| all.resume(*id, TOPIC, 0).is_some()));
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
