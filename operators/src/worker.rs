//! A worker: one thread's share of all flows of a node, driven from outside.

mod zone;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::message::{
    Answer, Delivery, FlowId, Origin, Part, Problem, Recorded, Request, WorkerId,
};
use anabranch_model::plan::{Plan, Sync};
use anabranch_model::snapshot::{Item, StateWriter};
use anabranch_model::stamp::Stamp;
use anabranch_model::zone::{Owners, Term, Touched};
use timely::communication::allocator::Thread;
use timely::communication::{Allocator, Config, WorkerGuards, initialize_from};

use crate::clock::Clock;
use crate::counts::FlowCounts;
use crate::dataflow::{Requests, build};
use crate::installed::{Installed, UnderWay};
use crate::machine::{Machine, Measured, TableSize};
use crate::profile::{FlowProfile, Profile};
use crate::recorder::{FlowPartition, Kept, Position, Records};
use crate::restore::RestoreError;
use crate::snapshot::{SnapshotPlace, StatePiece};
use crate::split::Splitter;

/// What workers of a node are told about it.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The node's name: `node()` and `source()`.
    pub node: Arc<str>,
    /// Where hash tables and `uuid()` take their chance from.
    pub seed: u64,
    /// The node's clock. A worker without one measures nothing, and cannot park.
    pub clock: Option<Clock>,
    /// Whether timely's log of operators and channels is counted.
    pub profile: bool,
    /// Whether what requests do is recorded ([`Worker::records`]).
    pub records: bool,
}

/// Runs `drive` with a worker on each of `count` threads; the workers exchange rows with each other.
///
/// timely 0.31 hands out the ends of its in-process channels only on threads of its own, so they are started here and
/// not by the caller.
///
/// # Errors
/// The operating system refuses a thread.
pub fn spawn(
    config: WorkerConfig,
    count: u32,
    drive: impl Fn(Worker) + Send + std::marker::Sync + 'static,
) -> Result<WorkerThreads, String> {
    let channels = if count == 1 { Config::Thread } else { Config::Process(count as usize) };
    let (ends, others) = channels.try_build()?;
    initialize_from(ends, others, move |end| drive(Worker::on(end, &config))).map(WorkerThreads)
}

/// The running threads of workers.
pub struct WorkerThreads(WorkerGuards<()>);

impl WorkerThreads {
    /// Waits until all have ended.
    ///
    /// # Errors
    /// A worker panicked.
    pub fn join(self) -> Result<(), String> {
        self.0.join().into_iter().collect()
    }
}

/// One thread's share of all flows of a node.
///
/// ```
/// use std::sync::Arc;
///
/// use anabranch_model::message::{Answer, Body, Delivery, FlowId, Origin, Request};
/// use anabranch_model::{Batch, SchemaId, Value, row::RowError};
/// use anabranch_operators::{Worker, WorkerConfig};
///
/// let text = "flow f revision 1
///     input  Seen: { id: int }
///     table  Ids: { id: int, times: int } { key id }
///     on Seen as s { upsert Ids { id: s.id, times += 1 } }";
/// let plan = Arc::new(anabranch_lang::compile("f.flow", text).plan.expect("it compiles"));
/// let mut worker = Worker::alone(&WorkerConfig { node: "A".into(), seed: 1, clock: None, profile: false, records: false });
/// worker.install(FlowId(0), &plan);
///
/// let mut batch = Batch::new(SchemaId(0));
/// for id in [7, 8, 7] {
///     batch.push_with::<RowError>(&plan.inputs[0].shape, |row| row.value(&Value::Int(id))).unwrap();
/// }
/// let origin = Origin { worker: worker.id(), client: 1, request: 1, revision: 1, once: None };
/// let input = plan.input("Seen").expect("declared");
/// worker.submit(FlowId(0), Request { origin, body: Body::Rows { input, batch }, partial: None });
/// worker.turn(0);
/// let [Delivery::Part { part, .. }] = &worker.deliveries()[..] else { panic!("one answer") };
/// let Answer::Rows(answer) = &part.answer else { panic!("about rows") };
/// assert_eq!((part.parts, answer.accepted), (1, 3));
/// assert_eq!(worker.status(FlowId(0)).expect("it is installed").tables[0].rows, 2);
/// ```
pub struct Worker {
    id: WorkerId,
    peers: u32,
    timely: timely::worker::Worker,
    config: WorkerConfig,
    flows: BTreeMap<FlowId, Installed>,
    shared: Rc<Shared>,
    profile: Option<Profile>,
    /// Whether what requests change can be kept.
    keeps: bool,
    /// The newest owners.
    owners: Arc<Owners>,
    /// Whether requests are still divided by older ones.
    adopts: bool,
}

/// What the operators of a worker share with it.
pub(crate) struct Shared {
    now: Cell<i64>,
    /// When the requests of the present turn entered, in microseconds of the worker's clock.
    entered: Cell<u64>,
    outbox: RefCell<Vec<Delivery>>,
    recorded: Cell<Recorded>,
    /// By which requests are divided.
    owners: RefCell<Arc<Owners>>,
}

impl Shared {
    fn of(by: WorkerId) -> Self {
        Shared {
            now: Cell::default(),
            entered: Cell::default(),
            outbox: RefCell::default(),
            recorded: Cell::new(Recorded { by, count: 0 }),
            owners: RefCell::default(),
        }
    }

    /// The time of the present turn, in microseconds since 1970 UTC.
    pub(crate) fn now(&self) -> i64 {
        self.now.get()
    }

    /// When the requests of the present turn entered, in microseconds of the worker's clock.
    pub(crate) fn entered(&self) -> u64 {
        self.entered.get()
    }

    /// The records that the worker has made.
    pub(crate) fn recorded(&self) -> Recorded {
        self.recorded.get()
    }

    /// Counts the records of a request; what its answer rests on.
    pub(crate) fn keep(&self, kept: Kept) -> Recorded {
        let before = self.recorded.get();
        self.recorded.set(Recorded { count: before.count + kept.made, ..before });
        Recorded { count: kept.rests_on, ..before }
    }

    /// By which requests are divided.
    pub(crate) fn owners(&self) -> Arc<Owners> {
        self.owners.borrow().clone()
    }

    pub(crate) fn is_in_zone(&self) -> bool {
        !self.owners.borrow().is_alone()
    }

    pub(crate) fn deliver(&self, delivery: Delivery) {
        self.outbox.borrow_mut().push(delivery);
    }
}

/// A flow as one worker sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowStatus {
    /// The revision that runs; the counts and sizes are in its order.
    pub plan: Arc<Plan>,
    /// Rows counted since the flow was installed.
    pub counts: FlowCounts,
    /// The sizes of the worker's partitions, per table.
    pub tables: Vec<TableSize>,
    /// What timely logged of its dataflow, where that is counted.
    pub profile: Option<FlowProfile>,
}

impl Worker {
    /// The only worker of a node, driven by whoever owns it: for tests and simulation.
    pub fn alone(config: &WorkerConfig) -> Self {
        Worker::on(Allocator::Thread(Thread::default()), config)
    }

    fn on(end: Allocator, config: &WorkerConfig) -> Self {
        let started = config.clock.map(|clock| clock.started);
        let timely = timely::worker::Worker::new(timely::WorkerConfig::default(), end, started);
        let profile = config.profile.then(|| Profile::begin(&timely));
        let id = WorkerId(timely.index() as u32);
        Worker {
            id,
            peers: timely.peers() as u32,
            timely,
            config: config.clone(),
            flows: BTreeMap::new(),
            shared: Rc::new(Shared::of(id)),
            profile,
            keeps: true,
            owners: Arc::default(),
            adopts: false,
        }
    }

    /// Its number on the node.
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Starts a flow. All workers of a node install and drop the same flows in the same order.
    pub fn install(&mut self, flow: FlowId, plan: &Arc<Plan>) {
        // Each worker and flow has chance of its own, all from one seed.
        let seed = self.config.seed ^ u64::from(self.id.0) << 32 ^ u64::from(flow.0);
        let node = &self.config.node;
        let clock = self.config.clock;
        let measured = Measured { steps: clock, rules: clock.filter(|_| self.config.profile) };
        let mut machine = Machine::new(plan.clone(), node.clone(), seed, measured);
        if self.config.records {
            machine.record_all();
        }
        machine.adopt(&self.owners);
        let machine = Rc::new(RefCell::new(machine));
        let under_way = UnderWay::default();
        let requests = self.build(flow, plan, &machine, &under_way);
        self.flows.insert(flow, Installed::new(requests, machine, under_way));
    }

    fn build(
        &mut self,
        flow: FlowId,
        plan: &Arc<Plan>,
        machine: &Rc<RefCell<Machine>>,
        under_way: &UnderWay,
    ) -> Requests {
        let shared = self.shared.clone();
        let node = self.config.node.clone();
        let splitter = Splitter::new(flow, plan.clone(), node, self.peers, shared.clone());
        if let Some(profile) = &self.profile {
            profile.build(self.timely.next_dataflow_index(), flow);
        }
        build(&mut self.timely, flow, machine.clone(), splitter, under_way.clone(), shared)
    }

    /// Takes in a request. It moves at the next [`Worker::turn`]; one that the flow does not understand, or to a flow
    /// that is not there, is answered with what is wrong.
    pub fn submit(&mut self, flow: FlowId, request: Request) {
        let origin = request.origin;
        let taken = match self.flows.get_mut(&flow) {
            Some(installed) => installed.submit(request, self.keeps),
            None => Err(Problem::Gone),
        };
        if let Err(problem) = taken {
            self.turn_down(flow, origin, problem);
        }
    }

    /// Whether requests that may change something are taken from now on; else they are answered with
    /// [`Problem::Unkept`], and nothing of them is done.
    pub fn set_keeps(&mut self, keeps: bool) {
        self.keeps = keeps;
    }

    fn turn_down(&mut self, flow: FlowId, origin: Origin, problem: Problem) {
        let part = Part {
            origin,
            parts: 1,
            answer: Answer::Problem(problem),
            asked: None,
            entered: self.micros(),
            rests_on: Recorded { by: self.id, count: 0 },
            sync: Sync::Memory,
            touched: Touched::default(),
        };
        self.shared.deliver(Delivery::Part { flow, part, revised: None, given: None });
    }

    /// Holds back further requests to a flow, until it is resumed, replaced or dropped.
    pub fn pause(&mut self, flow: FlowId) {
        if let Some(installed) = self.flows.get_mut(&flow) {
            installed.pause();
        }
    }

    /// Whether all requests to a flow that entered here are answered, but for those held back. When this is so on all
    /// workers nothing of the flow is under way.
    pub fn is_idle(&self, flow: FlowId) -> bool {
        self.flows.get(&flow).is_none_or(Installed::is_idle)
    }

    /// The tables whose rows here may be too long in a newer revision, with the bytes that the longest may come to.
    pub fn too_long(&self, flow: FlowId, plan: &Plan) -> Vec<(String, usize)> {
        self.flows.get(&flow).map(|installed| installed.too_long(plan)).unwrap_or_default()
    }

    /// Lets a paused flow go on as it was.
    pub fn resume(&mut self, flow: FlowId) {
        let held = self.flows.get_mut(&flow).map(Installed::resume).unwrap_or_default();
        held.into_iter().for_each(|request| self.submit(flow, request));
    }

    /// Begins to put a newer revision in the place of a flow, at this time in microseconds since 1970 UTC: its tables, counts and clock go on. The flow is paused,
    /// and idle on all workers; the evolution is allowed; no row is [`Worker::too_long`].
    ///
    /// The change goes on with every [`Worker::turn`], so that other flows do, too. All workers have ended it
    /// ([`Worker::is_changing`]) before another flow is installed, replaced or dropped.
    pub fn replace(&mut self, flow: FlowId, plan: &Arc<Plan>, at: i64) {
        if let Some(installed) = self.flows.get_mut(&flow) {
            installed.migrate(plan.clone(), at);
        }
    }

    /// Whether a newer revision is taking the place of a flow.
    pub fn is_changing(&self, flow: FlowId) -> bool {
        self.flows.get(&flow).is_some_and(Installed::is_migrating)
    }

    /// Ends a flow. What is under way is still answered; what is held back, or comes later, is told that it is gone.
    pub fn drop_flow(&mut self, flow: FlowId) {
        let Some(mut installed) = self.flows.remove(&flow) else { return };
        installed.send();
        for request in installed.resume() {
            self.turn_down(flow, request.origin, Problem::Gone);
        }
    }

    /// Dataflows that have not ended: one a flow, and those of old revisions and dropped flows until all workers have
    /// closed them.
    pub fn dataflows(&self) -> usize {
        self.timely.installed_dataflows().len()
    }

    /// Goes on with changes of revisions.
    fn advance(&mut self) {
        let changing = |(flow, of): (&FlowId, &Installed)| of.is_migrating().then_some(*flow);
        let Some(flow) = self.flows.iter().find_map(changing) else { return };
        let Some(installed) = self.flows.get_mut(&flow) else { return };
        let Some(machine) = installed.advance() else { return };
        let (plan, under_way) = (machine.plan().clone(), installed.under_way());
        let machine = Rc::new(RefCell::new(machine));
        let requests = self.build(flow, &plan, &machine, &under_way);
        if let Some(installed) = self.flows.get_mut(&flow) {
            installed.restart(requests, machine);
        }
        self.resume(flow);
    }

    /// Moves everything as far as it goes without waiting for another worker. `now` is the time in microseconds since
    /// 1970 UTC.
    pub fn turn(&mut self, now: i64) {
        self.shared.now.set(now);
        self.advance();
        if self.flows.values().any(Installed::has_pending) {
            self.shared.entered.set(self.micros());
        }
        match self.adopt() {
            true => self.flows.values_mut().for_each(Installed::send_again),
            false => self.flows.values_mut().for_each(Installed::send),
        }
        self.timely.step();
    }

    /// Microseconds of the worker's clock; 0 where it has none.
    pub fn micros(&self) -> u64 {
        self.config.clock.map_or(0, |clock| clock.now().as_micros() as u64)
    }

    /// Parks the thread until another worker sends something, somebody unparks it, or the time has passed; returns at
    /// once when there is work.
    pub fn park(&mut self, at_most: Duration) {
        self.timely.step_or_park(Some(at_most));
    }

    /// Takes what the last turns produced, in order.
    pub fn deliveries(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut *self.shared.outbox.borrow_mut())
    }

    /// Takes the records that were made since the last time, in order within each partition; none where
    /// [`WorkerConfig::records`] is not set.
    pub fn records(&mut self) -> Vec<(FlowId, Records)> {
        let taken = self.flows.iter().map(|(flow, of)| (*flow, of.machine.borrow_mut().records()));
        taken.filter(|(_, records)| !records.made.is_empty()).collect()
    }

    /// How many records it has made since the node started.
    pub fn recorded(&self) -> Recorded {
        self.shared.recorded()
    }

    /// Does again what a record says was done, before the first request. The flow has the revision that the record
    /// has; records of a partition come in their order.
    ///
    /// # Errors
    /// What is wrong with the record; some of it may have been done, so the worker must not serve.
    pub fn restore(
        &mut self,
        flow: FlowId,
        part: FlowPartition,
        term: Term,
        seq: u64,
        body: &[u8],
    ) -> Result<(), RestoreError> {
        let installed = self.flows.get(&flow).ok_or(RestoreError::NoFlow(flow))?;
        installed.machine.borrow_mut().restore(part, Position { term, seq }, body)
    }

    /// Takes an item of a snapshot, before records that lie behind it; how many rows.
    ///
    /// # Errors
    /// What is wrong with it; some of it may have been taken, so the worker must not serve.
    pub fn load(&mut self, flow: FlowId, item: Item<'_>) -> Result<u64, RestoreError> {
        let installed = self.flows.get(&flow).ok_or(RestoreError::NoFlow(flow))?;
        installed.machine.borrow_mut().load(item)
    }

    /// Later stamps of a flow are larger than this one, and its rows last found other partitions at this time, in
    /// microseconds since 1970 UTC.
    pub fn observe(&mut self, flow: FlowId, stamp: Stamp, rerouted: u64) {
        if let Some(installed) = self.flows.get(&flow) {
            installed.machine.borrow_mut().observe(stamp, rerouted);
        }
    }

    /// Where its part of a snapshot begins.
    pub fn snapshot(&self) -> SnapshotPlace {
        SnapshotPlace { flows: self.flows.keys().rev().copied().collect(), flow: None }
    }

    /// The next piece of its part of a snapshot, of `most` bytes and what goes beyond them with one row or with what one
    /// partition remembers; `None` behind the last. It has the effects of all records that [`Worker::records`] has given
    /// or would give now, on what it tells of.
    pub fn snapshot_piece(&self, place: &mut SnapshotPlace, most: usize) -> Option<StatePiece> {
        let begun = place.flow.take();
        let (flow, begun) =
            begun.map_or_else(|| Some((place.flows.pop()?, None)), |(flow, at)| Some((flow, Some(at))))?;
        let machine =
            self.flows.get(&flow).expect("flows do not go while a snapshot is made").machine.borrow();
        let mut from = begun.unwrap_or_else(|| machine.place());
        let mut out = StateWriter::new(flow, machine.plan().revision, machine.stamp(), machine.rerouted());
        out.reserve(most);
        let (rows, done) = machine.write(&mut from, most, &mut out);
        place.flow = (!done).then_some((flow, from));
        Some(StatePiece { body: out.finish(), rows })
    }

    /// All is restored.
    pub fn restored(&mut self) {
        self.flows.values().for_each(|of| of.machine.borrow_mut().restored());
    }

    /// The flows that run here.
    pub fn flows(&self) -> impl Iterator<Item = FlowId> {
        self.flows.keys().copied()
    }

    /// Counts and sizes of a flow on this worker.
    pub fn status(&self, flow: FlowId) -> Option<FlowStatus> {
        let machine = self.flows.get(&flow)?.machine.borrow();
        Some(FlowStatus {
            plan: machine.plan().clone(),
            counts: machine.counts(),
            tables: machine.sizes(),
            profile: self.profile.as_ref().map(|profile| profile.of(flow)),
        })
    }
}
