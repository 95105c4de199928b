//! How handlers of the network reach the node: with the rights of who sent the request, and without blocking their
//! runtime.
//!
//! A gate as it is made lets nobody through. The listener finds out who sends a request and opens a gate for them; a
//! handler of HTTP takes it as its argument (`gate: Gate`), not from the router's state.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anabranch_model::message::{Answer, Body, FlowId, Problem};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, Plan};
use tokio::sync::{oneshot, watch};

use super::access::{Caller, Operation};
use super::audit;
use super::connection::Speaks;
use super::grpc::{Index, IndexCell};
use super::observe;
use super::subscriptions::Subscriptions;
use super::traffic::Traffic;
use crate::catalog::Catalog;
use crate::client::NODE_BYTES;
use crate::deploy::Deployed;
use crate::driver::{Command, Single};
use crate::egress::Answered;
use crate::error::Error;
use crate::flow::Flow;
use crate::idempotency_key::IdempotencyKey;
use crate::load::Held;
use crate::node::Core;
use crate::os::Door;

/// What a request holds beside its bytes.
const REQUEST_BYTES: usize = 256;

/// The ways to the workers of a node, for one caller.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) core: Arc<Core>,
    pub(crate) traffic: Traffic,
    pub(crate) subscriptions: Subscriptions,
    stopped: watch::Receiver<bool>,
    turn: Arc<AtomicUsize>,
    index: IndexCell,
    pub(crate) caller: Caller,
}

impl Gate {
    /// A gate that lets nobody through.
    pub(crate) fn new(core: Arc<Core>, subscriptions: Subscriptions, stopped: watch::Receiver<bool>) -> Self {
        Gate {
            core,
            subscriptions,
            stopped,
            traffic: Traffic::default(),
            turn: Arc::default(),
            index: IndexCell::default(),
            caller: Caller::NOBODY,
        }
    }

    /// The gate for a caller.
    pub(crate) fn open(&self, caller: Caller) -> Gate {
        Gate { subscriptions: self.subscriptions.of(&caller), caller, ..self.clone() }
    }

    /// Who goes through it.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The flows that the caller may know of.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        let all = self.core.catalog();
        match self.caller.sees_all() {
            true => all,
            false => Arc::new(all.only(|flow| self.caller.sees(flow))),
        }
    }

    /// The plans of the flows that the caller may know of.
    pub(crate) fn flows(&self) -> Vec<(FlowId, Arc<Plan>)> {
        self.catalog().plans().map(|(id, plan)| (id, plan.clone())).collect()
    }

    /// Whether the caller may have this done on a flow; `plan` is the revision that the request means.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub(crate) fn check(&self, flow: FlowId, plan: &Arc<Plan>, body: &Body) -> Result<(), Error> {
        match body {
            Body::Rows { input, .. } => self.check_rows(flow, plan, *input),
            Body::Get { .. } | Body::Page { .. } => self.caller.check(Operation::Read, &plan.name),
        }
    }

    /// Whether the caller may send rows to an input.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub(crate) fn check_rows(&self, flow: FlowId, plan: &Arc<Plan>, input: InputId) -> Result<(), Error> {
        // Who may change something may also read by asking, so it matters only to others which it is.
        match self.caller.check(Operation::Send, &plan.name) {
            Ok(()) => Ok(()),
            Err(_) => self.caller.check(self.rows(flow, plan, input), &plan.name),
        }
    }

    /// What rows for an input do in the revision that the request means or, if it is another, in the one that runs.
    fn rows(&self, flow: FlowId, plan: &Arc<Plan>, input: InputId) -> Operation {
        let of = |plan: &Plan, input: InputId| Operation::rows(&plan.steps[usize::from(input.0)]);
        let catalog = self.core.catalog();
        let running = catalog.plans().find(|(id, running)| *id == flow && !Arc::ptr_eq(running, plan));
        let name = &plan.inputs[usize::from(input.0)].name;
        match running.and_then(|(_, running)| running.input(name).map(|input| of(running, input))) {
            Some(Operation::Send) => Operation::Send,
            _ => of(plan, input),
        }
    }

    /// Waits until the server stops.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopped = self.stopped.clone();
        // A server that is gone has stopped, too.
        async move { drop(stopped.wait_for(|stopped| *stopped).await) }
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> u64 {
        [Speaks::Grpc, Speaks::Http].map(|speaks| self.traffic.of(speaks).connections.now()).iter().sum()
    }

    /// Sends a request by itself, for a plan of its flow, and waits for its answer. Requests that are sent one after the
    /// other may be done in any order; who needs an order waits in between, or sends them on one [`Lane`].
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Full`], and those of [`UnderWay::done`].
    pub(crate) async fn call(
        &self,
        flow: FlowId,
        plan: &Arc<Plan>,
        body: Body,
    ) -> Result<(Arc<Plan>, Answer), Error> {
        self.call_once(flow, plan, body, None).await
    }

    /// As [`Gate::call`], of a request with a key.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn call_once(
        &self,
        flow: FlowId,
        plan: &Arc<Plan>,
        body: Body,
        key: Option<IdempotencyKey>,
    ) -> Result<(Arc<Plan>, Answer), Error> {
        let lane = self.lane_of(&body);
        let held = self.hold(bytes(&body))?;
        self.start(lane, flow, plan, body, key, held)?.done().await
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
    /// [`Error::Denied`], [`Error::Stopped`].
    pub(crate) fn start(
        &self,
        lane: Lane,
        flow: FlowId,
        plan: &Arc<Plan>,
        body: Body,
        key: Option<IdempotencyKey>,
        held: Held,
    ) -> Result<UnderWay, Error> {
        self.check(flow, plan, &body)?;
        let (sender, answer) = oneshot::channel();
        let reply = Box::new(move |answer| {
            drop(held);
            // Who asked may be gone when the answer comes.
            drop(sender.send(answer));
        });
        let once = match (key, &body) {
            (Some(key), Body::Rows { input, .. }) => Some(key.once(self.caller.token_name(), plan, *input)),
            _ => None,
        };
        let trace = observe::trace();
        let single = Single { flow, revision: plan.revision, once, body, reply, trace };
        match send(&self.core.doors()[lane.0], Command::Single(Box::new(single))) {
            true => Ok(UnderWay { plan: plan.clone(), answer }),
            false => Err(Error::Stopped),
        }
    }

    /// The typed services of the flows that run now, as far as the caller may know of them.
    pub(crate) fn index(&self) -> Arc<Index> {
        let index = self.index.of(self.core.catalog());
        match self.caller.sees_all() {
            true => index,
            false => Arc::new(index.of_flows(|flow| self.caller.sees(flow))),
        }
    }

    /// Installs a flow, or puts it in the place of its older revision; who does it is noted.
    ///
    /// # Errors
    /// [`Error::Denied`], and those of a deploy.
    pub(crate) fn deploy(&self, flow: Flow) -> Result<Deployed, Error> {
        let name = flow.name().to_owned();
        self.may_change(Operation::Deploy, &name)?;
        let deployed = self.core.deploy(flow);
        audit::record(&self.caller, Operation::Deploy, &name, &deployed);
        deployed
    }

    /// Drops a flow with its rows; who does it is noted.
    ///
    /// # Errors
    /// [`Error::Denied`], and those of dropping.
    pub(crate) fn drop_flow(&self, name: &str) -> Result<(), Error> {
        self.may_change(Operation::Drop, name)?;
        let dropped = self.core.drop_flow(name);
        audit::record(&self.caller, Operation::Drop, name, &dropped);
        dropped
    }

    /// Whether the caller may change a flow; where not, that is noted.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub(crate) fn may_change(&self, operation: Operation, flow: &str) -> Result<(), Error> {
        let may = self.caller.check(operation, flow);
        if may.is_err() {
            audit::record(&self.caller, operation, flow, &may);
        }
        may
    }

    /// Whether the caller may see counts and sizes of the node; noted where it may not, and where its token is for that.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub(crate) fn may_look(&self) -> Result<(), Error> {
        let may = self.caller.check_node(Operation::Status);
        match &may {
            Err(_) => audit::denied(&self.caller, Operation::Status, None),
            Ok(()) if self.caller.administers() => audit::done(&self.caller, Operation::Status, None),
            Ok(()) => {}
        }
        may
    }

    /// Notes that a flow, which the caller may change, was not changed for what is wrong with the request.
    pub(crate) fn unchanged(&self, operation: Operation, flow: &str, why: &str) {
        audit::failed(&self.caller, operation, flow, why);
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
            Answer::Problem(Problem::Unkept) => unreachable!("the egress says why"),
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
