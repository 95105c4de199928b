//! A worker: one thread's share of all flows of a node, driven from outside.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_model::message::{Delivery, FlowId, Request, WorkerId};
use anabranch_model::plan::Plan;
use timely::communication::allocator::Thread;
use timely::communication::{Allocator, Config, WorkerGuards, initialize_from};

use crate::dataflow::{Requests, build};
use crate::machine::{FlowCounts, Machine, TableSize};
use crate::split::Splitter;

/// What workers of a node are told about it.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The node's name: `node()` and `source()`.
    pub node: Arc<str>,
    /// Where hash tables and `uuid()` take their chance from.
    pub seed: u64,
    /// When the node started. A worker that is not told cannot park: timely reads its own clock from there.
    pub started: Option<Instant>,
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
/// let mut worker = Worker::alone(&WorkerConfig { node: "A".into(), seed: 1, started: None });
/// worker.install(FlowId(0), &plan);
///
/// let mut batch = Batch::new(SchemaId(0));
/// for id in [7, 8, 7] {
///     batch.push_with::<RowError>(&plan.inputs[0].shape, |row| row.value(&Value::Int(id))).unwrap();
/// }
/// let origin = Origin { worker: worker.id(), client: 1, request: 1 };
/// let input = plan.input("Seen").expect("declared");
/// worker.submit(FlowId(0), Request { origin, body: Body::Rows { input, batch } });
/// worker.turn(0);
/// let [Delivery::Part(_, part)] = &worker.deliveries()[..] else { panic!("one answer") };
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
}

struct Installed {
    requests: Requests,
    machine: Rc<RefCell<Machine>>,
    pending: Vec<Request>,
}

/// What the operators of a worker share with it.
#[derive(Default)]
pub(crate) struct Shared {
    now: Cell<i64>,
    outbox: RefCell<Vec<Delivery>>,
}

impl Shared {
    /// The time of the present turn, in microseconds since 1970 UTC.
    pub(crate) fn now(&self) -> i64 {
        self.now.get()
    }

    pub(crate) fn deliver(&self, delivery: Delivery) {
        self.outbox.borrow_mut().push(delivery);
    }
}

/// A flow as one worker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStatus {
    /// Rows counted since the flow was installed.
    pub counts: FlowCounts,
    /// The sizes of the worker's partitions, per table.
    pub tables: Vec<TableSize>,
}

impl Worker {
    /// The only worker of a node, driven by whoever owns it: for tests and simulation.
    pub fn alone(config: &WorkerConfig) -> Self {
        Worker::on(Allocator::Thread(Thread::default()), config)
    }

    fn on(end: Allocator, config: &WorkerConfig) -> Self {
        let timely = timely::worker::Worker::new(timely::WorkerConfig::default(), end, config.started);
        Worker {
            id: WorkerId(timely.index() as u32),
            peers: timely.peers() as u32,
            timely,
            config: config.clone(),
            flows: BTreeMap::new(),
            shared: Rc::default(),
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
        let machine = Rc::new(RefCell::new(Machine::new(plan.clone(), node.clone(), seed)));
        let splitter = Splitter::new(plan.clone(), node.clone(), self.peers);
        let requests = build(&mut self.timely, flow, machine.clone(), splitter, self.shared.clone());
        self.flows.insert(flow, Installed { requests, machine, pending: Vec::new() });
    }

    /// Takes in a request to an installed flow. It moves at the next [`Worker::turn`].
    ///
    /// # Panics
    /// The flow is not installed: who submits knows which flows are.
    pub fn submit(&mut self, flow: FlowId, request: Request) {
        let flow = self.flows.get_mut(&flow).expect("requests go to installed flows");
        flow.pending.push(request);
    }

    /// Moves everything as far as it goes without waiting for another worker. `now` is the time in microseconds since
    /// 1970 UTC.
    pub fn turn(&mut self, now: i64) {
        self.shared.now.set(now);
        for flow in self.flows.values_mut() {
            if !flow.pending.is_empty() {
                flow.requests.send_batch(&mut flow.pending);
                flow.pending.clear();
                // Only a new time makes the exchange hand over what it has gathered.
                let next = flow.requests.time() + 1;
                flow.requests.advance_to(next);
            }
        }
        self.timely.step();
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

    /// Counts and sizes of a flow on this worker.
    pub fn status(&self, flow: FlowId) -> Option<FlowStatus> {
        let machine = self.flows.get(&flow)?.machine.borrow();
        Some(FlowStatus { counts: machine.counts(), tables: machine.sizes() })
    }
}
