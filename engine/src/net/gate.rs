//! How handlers of the network reach the workers without blocking their runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anabranch_model::message::{Answer, Body, FlowId, Problem};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::Plan;
use tokio::sync::oneshot;

use super::grpc::{Index, IndexCell};
use super::listener::Speaks;
use super::subscriptions::Subscriptions;
use super::traffic::Traffic;
use crate::client::NODE_BYTES;
use crate::driver::Command;
use crate::egress::Answered;
use crate::error::Error;
use crate::load::Held;
use crate::node::Core;
use crate::os::Door;

/// What a request holds beside its bytes.
const REQUEST_BYTES: usize = 256;

/// The ways to the workers of a node.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) core: Arc<Core>,
    pub(crate) traffic: Traffic,
    pub(crate) subscriptions: Subscriptions,
    turn: Arc<AtomicUsize>,
    index: IndexCell,
}

impl Gate {
    pub(crate) fn new(core: Arc<Core>, subscriptions: Subscriptions) -> Self {
        Gate {
            core,
            subscriptions,
            traffic: Traffic::default(),
            turn: Arc::default(),
            index: IndexCell::default(),
        }
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> u64 {
        [Speaks::Grpc, Speaks::Http].map(|speaks| self.traffic.of(speaks).connections.now()).iter().sum()
    }

    /// Sends a request by itself, for a plan of its flow, and waits for its answer. Requests that are sent one after the other may be done in
    /// any order; who needs an order waits in between, or sends them on one [`Lane`].
    ///
    /// # Errors
    /// [`Error::Full`], and those of [`UnderWay::done`].
    pub(crate) async fn call(
        &self,
        flow: FlowId,
        plan: &Arc<Plan>,
        body: Body,
    ) -> Result<(Arc<Plan>, Answer), Error> {
        let lane = self.lane_of(&body);
        let held = self.hold(bytes(&body))?;
        self.start(lane, flow, plan, body, held)?.done().await
    }

    /// A way for requests whose order matters.
    pub(crate) fn lane(&self) -> Lane {
        Lane(self.turn.fetch_add(1, Ordering::Relaxed) % self.core.doors().len())
    }

    /// Counts bytes as under way until what is returned is dropped.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(crate) fn hold(&self, bytes: usize) -> Result<Held, Error> {
        self.core.load().hold(bytes + REQUEST_BYTES, NODE_BYTES).ok_or(Error::Full)
    }

    /// Sends a request without waiting for its answer; what is held counts until it comes. Requests of one lane are
    /// applied in the order in which they are sent, wherever they touch the same partition.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub(crate) fn start(
        &self,
        lane: Lane,
        flow: FlowId,
        plan: &Arc<Plan>,
        body: Body,
        held: Held,
    ) -> Result<UnderWay, Error> {
        let (sender, answer) = oneshot::channel();
        let reply = Box::new(move |answer| {
            drop(held);
            // Who asked may be gone when the answer comes.
            drop(sender.send(answer));
        });
        match send(&self.core.doors()[lane.0], Command::Single(flow, plan.revision, body, reply)) {
            true => Ok(UnderWay { plan: plan.clone(), answer }),
            false => Err(Error::Stopped),
        }
    }

    /// The typed services of the flows that run now.
    pub(crate) fn index(&self) -> Arc<Index> {
        self.index.of(self.core.catalog())
    }

    /// Where a request enters: at the worker that has the row, where that is known, else at each in turn.
    fn lane_of(&self, body: &Body) -> Lane {
        match body {
            Body::Get { partition: PartitionId(partition), .. } => {
                Lane(*partition as usize % self.core.doors().len())
            }
            Body::Rows { .. } | Body::Page { .. } => self.lane(),
        }
    }
}

/// A request that was sent and not answered.
pub(crate) struct UnderWay {
    plan: Arc<Plan>,
    answer: oneshot::Receiver<Answered>,
}

impl UnderWay {
    /// The answer, with the plan that its numbers and shapes go by.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Changed`]: nothing of it was done. [`Error::Stopped`].
    pub(crate) async fn done(self) -> Result<(Arc<Plan>, Answer), Error> {
        let answered = self.answer.await.map_err(|_| Error::Stopped)?;
        let plan = answered.revised.unwrap_or(self.plan);
        let flow = || plan.name.clone();
        match answered.answer? {
            Answer::Problem(Problem::Gone) => Err(Error::Gone { flow: flow(), ticket: None }),
            Answer::Problem(Problem::Changed) => Err(Error::Changed { flow: flow(), ticket: None }),
            answer => Ok((plan, answer)),
        }
    }
}

/// The worker at which requests enter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane(usize);

/// Bytes that a request carries.
fn bytes(body: &Body) -> usize {
    match body {
        Body::Rows { batch, .. } => batch.bytes().len(),
        Body::Get { key, .. } => key.len(),
        Body::Page { after, .. } => after.as_ref().map_or(0, Vec::len),
    }
}

/// Sends a command to a worker; where its queue is full this thread waits and the runtime's other work moves to another.
/// False when the worker has ended.
pub(crate) fn send(door: &Door, command: Command) -> bool {
    match door.try_send(command) {
        Ok(()) => true,
        Err(Some(command)) => tokio::task::block_in_place(|| door.send(command)),
        Err(None) => false,
    }
}
