//! Subscriptions to an output stream or to a flow's error stream.
//!
//! A subscriber that is slower than its stream never slows writers: its queue is bounded, what finds it full is
//! counted, and the subscriber is told how many rows it missed at the place where they would have come.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anabranch_model::message::{FlowId, RefusedRow};
use anabranch_model::plan::{OutputId, Plan};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, unbounded};

use crate::answer::Refused;
use crate::rows::Row;

/// Rows that wait for a subscriber, at most.
pub const SUBSCRIPTION_ROWS_MAX: usize = 65_536;

/// Bytes of rows that wait for a subscriber, at most.
pub const SUBSCRIPTION_BYTES_MAX: usize = 64 << 20;

/// A row on its way to a subscriber.
#[derive(Debug)]
pub(crate) enum Publication {
    Row(Box<[u8]>),
    Refused(RefusedRow),
}

/// What a subscription is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Output(OutputId),
    Errors,
}

/// A worker's end of a subscription.
#[derive(Clone, Debug)]
pub struct Publisher {
    flow: FlowId,
    topic: Topic,
    rows: Sender<Queued>,
    waiting: Arc<Waiting>,
    /// INVARIANT: it stands behind `rows`, so that who is woken last finds the queue without a sender.
    _wakes: WakesAtItsEnd,
}

/// Wakes the subscriber when it is dropped.
#[derive(Clone, Debug)]
struct WakesAtItsEnd(Arc<Waiting>);

impl Drop for WakesAtItsEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// What both ends of a subscription count.
#[derive(Debug, Default)]
struct Waiting {
    /// Of the rows in the queue.
    bytes: AtomicUsize,
    /// Rows that found the queue full since the last one that did not.
    missed: AtomicU64,
    /// Whether the subscriber is gone.
    gone: AtomicBool,
    /// What is called when there is something new, where the subscriber wants to be told instead of waiting.
    alarm: OnceLock<Alarm>,
}

/// Is called by workers: it only wakes somebody.
struct Alarm(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alarm")
    }
}

impl Waiting {
    fn wake(&self) {
        if let Some(Alarm(call)) = self.alarm.get() {
            call();
        }
    }
}

/// A row in the queue.
#[derive(Debug)]
struct Queued {
    /// Rows that found the queue full before it.
    missed_before: u64,
    row: Publication,
}

impl Publication {
    fn bytes(&self) -> usize {
        match self {
            Publication::Row(row) => row.len(),
            Publication::Refused(refused) => refused.row.len() + refused.refusal.text.len(),
        }
    }
}

impl Publisher {
    /// The output whose rows the subscriber wants, if it is one of this flow.
    pub(crate) fn wants_rows_of(&self, flow: FlowId) -> Option<OutputId> {
        match self.topic {
            Topic::Output(output) if self.flow == flow => Some(output),
            _ => None,
        }
    }

    /// Whether the subscriber wants the refused rows of this flow.
    pub(crate) fn wants_errors_of(&self, flow: FlowId) -> bool {
        self.flow == flow && self.topic == Topic::Errors
    }

    /// Hands a row over, or counts it as missed. False when the subscriber is gone.
    pub(crate) fn publish(&mut self, row: Publication) -> bool {
        if self.waiting.gone.load(Ordering::Relaxed) {
            return false;
        }
        let bytes = row.bytes();
        // Several workers may pass the limit together, by a row each.
        let full = self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > SUBSCRIPTION_BYTES_MAX
            || self.rows.len() >= SUBSCRIPTION_ROWS_MAX;
        let missed_before = if full { 0 } else { self.waiting.missed.swap(0, Ordering::Relaxed) };
        let queued = Queued { missed_before, row };
        let sent = if full { Err(TrySendError::Full(queued)) } else { self.rows.try_send(queued) };
        match sent {
            Ok(()) => {
                self.waiting.wake();
                return true;
            }
            Err(TrySendError::Full(_)) => self.waiting.missed.fetch_add(missed_before + 1, Ordering::Relaxed),
            Err(TrySendError::Disconnected(_)) => return false,
        };
        self.waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
        true
    }
}

/// What a subscription brings.
#[derive(Clone, Debug)]
pub enum Event {
    /// A row of the output stream.
    Row(Row),
    /// A refused row, on an error stream.
    Refused(RefusedRowEvent),
    /// So many rows found the queue full and are lost to this subscriber.
    Missed(u64),
}

/// A refused row.
#[derive(Clone, Debug)]
pub struct RefusedRowEvent {
    /// The input stream it came in on.
    pub stream: String,
    /// The row.
    pub row: Row,
    /// Why.
    pub refused: Refused,
}

/// The subscriber's end.
#[derive(Debug)]
pub struct Subscription {
    plan: Arc<Plan>,
    topic: Topic,
    rows: Receiver<Queued>,
    /// A row that was taken, before which a gap had to be told.
    taken: Option<Publication>,
    waiting: Arc<Waiting>,
}

/// Both ends of a subscription.
pub(crate) fn subscription(flow: FlowId, plan: Arc<Plan>, topic: Topic) -> (Publisher, Subscription) {
    // Its bound is kept by `publish`: a queue with a bound of its own takes memory for all of it at once.
    let (sender, receiver) = unbounded();
    let waiting = Arc::new(Waiting::default());
    let _wakes = WakesAtItsEnd(waiting.clone());
    let publisher = Publisher { flow, topic, rows: sender, waiting: waiting.clone(), _wakes };
    (publisher, Subscription { plan, topic, rows: receiver, taken: None, waiting })
}

impl Subscription {
    /// Has something called, by workers, whenever there is something new: a row, or the end. It is set once, and what
    /// came before it is not told.
    #[cfg(feature = "net")]
    pub(crate) fn alarm(&self, call: impl Fn() + Send + Sync + 'static) {
        drop(self.waiting.alarm.set(Alarm(Box::new(call))));
    }

    /// The next event; waits for it. `None` when the node has stopped.
    #[expect(clippy::should_implement_trait, reason = "`try_next` and `next_within` stand beside it")]
    pub fn next(&mut self) -> Option<Event> {
        self.waiting().or_else(|| match self.rows.recv() {
            Ok(queued) => Some(self.take(queued)),
            Err(_) => self.gap(),
        })
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        self.waiting().or_else(|| self.rows.try_recv().ok().map(|queued| self.take(queued)))
    }

    /// The next event if one comes within a time.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn next_within(&mut self, at_most: Duration) -> Result<Option<Event>, crate::Error> {
        if let Some(event) = self.waiting() {
            return Ok(Some(event));
        }
        match self.rows.recv_timeout(at_most) {
            Ok(queued) => Ok(Some(self.take(queued))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => self.gap().map(Some).ok_or(crate::Error::Stopped),
        }
    }

    /// What is there without a look into the queue.
    fn waiting(&mut self) -> Option<Event> {
        match self.taken.take() {
            Some(row) => Some(self.event(row)),
            None => self.gap(),
        }
    }

    /// The event of what came out of the queue; a gap before a row is told first.
    fn take(&mut self, queued: Queued) -> Event {
        self.waiting.bytes.fetch_sub(queued.row.bytes(), Ordering::Relaxed);
        match queued.missed_before {
            0 => self.event(queued.row),
            missed => {
                self.taken = Some(queued.row);
                Event::Missed(missed)
            }
        }
    }

    /// What was missed at the end of the queue, once all rows before it are taken.
    fn gap(&self) -> Option<Event> {
        if !self.rows.is_empty() {
            return None;
        }
        let missed = self.waiting.missed.swap(0, Ordering::Relaxed);
        (missed > 0).then_some(Event::Missed(missed))
    }

    fn event(&self, row: Publication) -> Event {
        match (row, self.topic) {
            (Publication::Row(bytes), Topic::Output(output)) => {
                Event::Row(Row::new(self.plan.outputs[output.0 as usize].shape.clone(), bytes))
            }
            (Publication::Row(_), Topic::Errors) => unreachable!("an error stream carries refused rows"),
            (Publication::Refused(refused), _) => {
                let input = &self.plan.inputs[refused.input.0 as usize];
                Event::Refused(RefusedRowEvent {
                    stream: input.name.clone(),
                    row: Row::new(input.shape.clone(), refused.row.into()),
                    refused: Refused::of(refused.refusal, &self.plan),
                })
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // A full queue would not tell it.
        self.waiting.gone.store(true, Ordering::Relaxed);
    }
}
