//! Subscriptions to an output stream or to a flow's error stream.
//!
//! A subscriber that is slower than its stream never slows writers: its queue is bounded, what finds it full is
//! counted, and the subscriber is told how many rows it missed at the place where they would have come.
//!
//! A subscription goes on when a newer revision takes the place of its flow. Each worker says so in the queue before its
//! first row of that revision; while the queue has no room for that, rows count as missed. Nothing of the old revision
//! is under way by then, so no row of it comes behind.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anabranch_model::message::{FlowId, RefusedRow};
use anabranch_model::plan::{OutputId, Plan};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, unbounded};

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
    /// What comes behind has the numbers and shapes of this revision.
    Revised(Arc<Plan>),
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
    plan: Arc<Plan>,
    /// Whether the queue has yet to be told of the plan.
    owes_plan: bool,
    topic: Topic,
    rows: Sender<Queued>,
    waiting: Arc<Waiting>,
    /// Rows that it missed at this worker and that are not counted elsewhere yet.
    missed_here: u64,
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
    /// Whether the output is no longer there.
    ended: AtomicBool,
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
            Publication::Revised(_) => 0,
        }
    }
}

impl Publisher {
    /// Whether it is to an output or the refused rows of a flow.
    pub(crate) fn is_of(&self, flow: FlowId) -> bool {
        self.flow == flow
    }

    /// A newer revision takes the place of the flow. False when it does not have the output, and the subscription ends.
    pub(crate) fn revise(&mut self, plan: &Arc<Plan>) -> bool {
        if let Topic::Output(output) = self.topic {
            let Some(output) = plan.output(&self.plan.outputs[output.0 as usize].name) else {
                self.waiting.ended.store(true, Ordering::Release);
                return false;
            };
            self.topic = Topic::Output(output);
        }
        self.plan = plan.clone();
        self.owes_plan = true;
        self.tell_plan();
        true
    }

    /// The flow is dropped.
    pub(crate) fn end(self) {
        self.waiting.ended.store(true, Ordering::Release);
    }

    /// Tells the queue of the plan, if it has room.
    fn tell_plan(&mut self) {
        let told = self.send(Publication::Revised(self.plan.clone()));
        self.owes_plan = told.is_err();
    }

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
        if self.owes_plan {
            self.tell_plan();
        }
        let sent = if self.owes_plan { Err(TrySendError::Full(())) } else { self.send(row) };
        match sent {
            Ok(()) => true,
            Err(TrySendError::Full(())) => {
                self.waiting.missed.fetch_add(1, Ordering::Relaxed);
                self.missed_here += 1;
                true
            }
            Err(TrySendError::Disconnected(())) => false,
        }
    }

    /// The name of the stream.
    pub(crate) fn stream(&self) -> &str {
        match self.topic {
            Topic::Output(output) => &self.plan.outputs[output.0 as usize].name,
            Topic::Errors => "errors",
        }
    }

    /// Rows in the queue.
    pub(crate) fn waiting(&self) -> usize {
        self.rows.len()
    }

    /// Takes the count of the rows that it missed here since this was last asked.
    pub(crate) fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed_here)
    }

    /// Puts it into the queue.
    fn send(&self, row: Publication) -> Result<(), TrySendError<()>> {
        let bytes = row.bytes();
        // Several workers may pass the limit together, by a row each.
        let full = self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > SUBSCRIPTION_BYTES_MAX
            || self.rows.len() >= SUBSCRIPTION_ROWS_MAX;
        let missed_before = if full { 0 } else { self.waiting.missed.swap(0, Ordering::Relaxed) };
        let queued = Queued { missed_before, row };
        let sent = if full { Err(TrySendError::Full(queued)) } else { self.rows.try_send(queued) };
        let problem = match sent {
            Ok(()) => {
                self.waiting.wake();
                return Ok(());
            }
            Err(TrySendError::Full(_)) => TrySendError::Full(()),
            Err(TrySendError::Disconnected(_)) => TrySendError::Disconnected(()),
        };
        self.waiting.missed.fetch_add(missed_before, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Err(problem)
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
    /// The output is no longer there: its flow was dropped. Nothing comes behind this.
    Gone,
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
    /// A row that was taken, and not yet told.
    taken: Option<Publication>,
    /// That gap, until it is told.
    missed_before: Option<u64>,
    waiting: Arc<Waiting>,
    /// Whether the end was told.
    ended: bool,
}

/// Both ends of a subscription.
pub(crate) fn subscription(flow: FlowId, plan: Arc<Plan>, topic: Topic) -> (Publisher, Subscription) {
    // Its bound is kept by `publish`: a queue with a bound of its own takes memory for all of it at once.
    let (sender, receiver) = unbounded();
    let waiting = Arc::new(Waiting::default());
    let publisher = Publisher {
        flow,
        plan: plan.clone(),
        owes_plan: false,
        topic,
        rows: sender,
        waiting: waiting.clone(),
        missed_here: 0,
        _wakes: WakesAtItsEnd(waiting.clone()),
    };
    (
        publisher,
        Subscription { plan, topic, rows: receiver, taken: None, missed_before: None, waiting, ended: false },
    )
}

impl Subscription {
    /// Has something called, by workers, whenever there is something new: a row, or the end. It is set once, and what
    /// came before it is not told.
    #[cfg(feature = "net")]
    pub(crate) fn alarm(&self, call: impl Fn() + Send + Sync + 'static) {
        drop(self.waiting.alarm.set(Alarm(Box::new(call))));
    }

    /// The plan that the last event goes by: of the revision whose shape its row has.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The next event; waits for it. `None` when the node has stopped, or behind [`Event::Gone`].
    #[expect(clippy::should_implement_trait, reason = "`try_next` and `next_within` stand beside it")]
    pub fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting() {
                return Some(event);
            }
            match self.rows.recv() {
                Ok(queued) => self.take(queued),
                Err(_) => return self.end(),
            }
        }
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting() {
                return Some(event);
            }
            match self.rows.try_recv() {
                Ok(queued) => self.take(queued),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return self.end(),
            }
        }
    }

    /// The next event if one comes within a time.
    ///
    /// # Errors
    /// The node has stopped, or [`Event::Gone`] was told.
    pub fn next_within(&mut self, at_most: Duration) -> Result<Option<Event>, crate::Error> {
        loop {
            if let Some(event) = self.waiting() {
                return Ok(Some(event));
            }
            match self.rows.recv_timeout(at_most) {
                Ok(queued) => self.take(queued),
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) if self.ended => return Err(self.gone()),
                Err(RecvTimeoutError::Disconnected) => {
                    return self.end().map(Some).ok_or(crate::Error::Stopped);
                }
            }
        }
    }

    /// What is there without a look into the queue.
    fn waiting(&mut self) -> Option<Event> {
        if let Some(missed) = self.missed_before.take() {
            return Some(Event::Missed(missed));
        }
        let event = self.taken.take().and_then(|row| self.event(row));
        event.or_else(|| self.gap())
    }

    /// Takes what came out of the queue; a gap before it is told first.
    fn take(&mut self, queued: Queued) {
        self.waiting.bytes.fetch_sub(queued.row.bytes(), Ordering::Relaxed);
        self.missed_before = (queued.missed_before > 0).then_some(queued.missed_before);
        self.taken = Some(queued.row);
    }

    /// What was missed at the end of the queue, once all rows before it are taken.
    fn gap(&self) -> Option<Event> {
        if !self.rows.is_empty() {
            return None;
        }
        let missed = self.waiting.missed.swap(0, Ordering::Relaxed);
        (missed > 0).then_some(Event::Missed(missed))
    }

    /// The last events, when all workers have let go of the queue.
    fn end(&mut self) -> Option<Event> {
        self.gap().or_else(|| {
            let gone = self.waiting.ended.load(Ordering::Acquire) && !self.ended;
            self.ended |= gone;
            gone.then_some(Event::Gone)
        })
    }

    fn gone(&self) -> crate::Error {
        crate::Error::Gone { flow: self.plan.name.clone(), ticket: None }
    }

    /// The event of a row; none of a mark between rows.
    fn event(&mut self, row: Publication) -> Option<Event> {
        match (row, self.topic) {
            (Publication::Row(bytes), Topic::Output(output)) => {
                let shape = self.plan.outputs[output.0 as usize].shape.clone();
                Some(Event::Row(Row::new(shape, bytes)))
            }
            (Publication::Row(_), Topic::Errors) => unreachable!("an error stream carries refused rows"),
            (Publication::Refused(refused), _) => {
                let input = &self.plan.inputs[refused.input.0 as usize];
                Some(Event::Refused(RefusedRowEvent {
                    stream: input.name.clone(),
                    row: Row::new(input.shape.clone(), refused.row.into()),
                    refused: Refused::of(refused.refusal, &self.plan),
                }))
            }
            (Publication::Revised(plan), topic) => {
                if let Topic::Output(output) = topic {
                    let kept = plan.output(&self.plan.outputs[output.0 as usize].name);
                    self.topic = Topic::Output(kept.expect("a worker that does not find it ends instead"));
                }
                self.plan = plan;
                None
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
