//! The dataflow of one flow on one worker.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::frame::{Chance, StepContext};
use anabranch_model::message::{Body, Delivery, FlowId, Origin, Part, Request, WorkerId};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, Plan, TableId};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;

use crate::machine::{Machine, Published};
use crate::route::Router;
use crate::worker::Shared;

/// What a worker is to do for a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    to: WorkerId,
    origin: Origin,
    /// Into how many tasks the request was split.
    parts: u32,
    pub(crate) work: Work,
}

/// The work of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Rows of an input, each with where it belongs; the whole request where that is still to be found out.
    Rows { input: InputId, batch: Batch, routed: Option<Vec<Routed>> },
    /// The row of a key.
    Get { table: TableId, partition: PartitionId, key: Vec<u8> },
    /// Rows in key order.
    Page { table: TableId, after: Option<Vec<u8>>, limit: u32 },
}

/// Where a row of a task came from and belongs to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Routed {
    /// Its place in the request.
    pub(crate) row: u32,
    /// Its partition; `None` when it stays where it entered, or its route failed (the step says why).
    pub(crate) partition: Option<PartitionId>,
}

/// The input of a flow's dataflow on one worker.
pub(crate) type Requests = InputHandle<u64, CapacityContainerBuilder<Vec<Request>>>;

/// Builds the dataflow of a flow.
pub(crate) fn build(
    worker: &mut timely::worker::Worker,
    flow: FlowId,
    machine: Rc<RefCell<Machine>>,
    splitter: Splitter,
    shared: Rc<Shared>,
) -> Requests {
    let mut requests = Requests::new();
    let name = format!("flow {}", splitter.plan.name);
    worker.dataflow_named::<u64, _, _>(&name, |scope| {
        let steps = shared.clone();
        let spent = splitter.spent.clone();
        requests
            .to_stream(scope)
            .unary::<CapacityContainerBuilder<Vec<Task>>, _, _, _>(Pipeline, "route", move |_, _| {
                let mut splitter = splitter;
                move |input, output| {
                    input.for_each(|time, requests| {
                        let mut session = output.session(&time);
                        requests
                            .drain(..)
                            .for_each(|request| splitter.split(request, |task| session.give(task)));
                    });
                }
            })
            .unary::<CapacityContainerBuilder<Vec<Part>>, _, _, _>(
                Exchange::new(|task: &Task| u64::from(task.to.0)),
                "step",
                move |_, _| {
                    move |input, output| {
                        input.for_each(|time, tasks| {
                            let (mut session, mut machine) = (output.session(&time), machine.borrow_mut());
                            for task in tasks.drain(..) {
                                let mut publish = |published| steps.deliver(delivery(flow, published));
                                let answer = machine.work(&task, steps.now(), &mut publish);
                                session.give(Part { origin: task.origin, parts: task.parts, answer });
                                if let Work::Rows { batch, .. } = task.work {
                                    spent.give(batch);
                                }
                            }
                        });
                    }
                },
            )
            .sink(
                Exchange::new(|part: &Part| u64::from(part.origin.worker.0)),
                "source",
                move |(input, _)| {
                    input.for_each(|_, parts| {
                        parts.drain(..).for_each(|part| shared.deliver(Delivery::Part(flow, part)));
                    });
                },
            );
    });
    requests
}

fn delivery(flow: FlowId, published: Published) -> Delivery {
    match published {
        Published::Emitted(output, batch) => Delivery::Emitted(flow, output, batch),
        Published::Refused(row) => Delivery::Refused(flow, row),
    }
}

/// Batches whose rows have been put, for the rows of the next requests: memory that one thread takes and another gives
/// back all the time costs page faults.
#[derive(Clone, Default)]
struct Spent(Rc<RefCell<Vec<Batch>>>);

/// Batches that a worker keeps.
const SPENT_MAX: usize = 64;

/// Bytes of a batch that is kept, at most.
const SPENT_BYTES_MAX: usize = 64 << 10;

impl Spent {
    fn give(&self, batch: Batch) {
        let mut batches = self.0.borrow_mut();
        if batches.len() < SPENT_MAX && batch.capacity() <= SPENT_BYTES_MAX {
            batches.push(batch);
        }
    }

    /// An empty batch.
    fn take(&self, schema: SchemaId, row_bytes: usize) -> Batch {
        match self.0.borrow_mut().pop() {
            Some(mut batch) => {
                batch.reset(schema);
                batch
            }
            None => Batch::with_capacity(schema, row_bytes),
        }
    }
}

/// Splits requests into the tasks of workers.
pub(crate) struct Splitter {
    spent: Spent,
    plan: Arc<Plan>,
    routers: Vec<Router>,
    peers: u32,
    context: StepContext,
    buffer: Vec<u8>,
}

impl Splitter {
    pub(crate) fn new(plan: Arc<Plan>, node: Arc<str>, peers: u32) -> Self {
        let context = StepContext::new(node.clone(), node, plan.revision, Chance::new(0));
        Splitter {
            spent: Spent::default(),
            routers: Router::of_plan(&plan),
            plan,
            peers,
            context,
            buffer: Vec::new(),
        }
    }

    fn split(&mut self, request: Request, mut give: impl FnMut(Task)) {
        let origin = request.origin;
        let task = |to, parts, work| Task { to, origin, parts, work };
        match request.body {
            Body::Rows { input, batch } => self.split_rows(origin, input, batch, give),
            Body::Get { table, partition, key } => {
                give(task(owner(partition, self.peers), 1, Work::Get { table, partition, key }));
            }
            Body::Page { table, after, limit } => {
                for to in 0..self.peers {
                    give(task(WorkerId(to), self.peers, Work::Page { table, after: after.clone(), limit }));
                }
            }
        }
    }

    /// A batch for one worker travels as it is; else its rows are copied to a batch for each.
    fn split_rows(&mut self, origin: Origin, input: InputId, batch: Batch, mut give: impl FnMut(Task)) {
        let whole =
            |to, batch, routed| Task { to, origin, parts: 1, work: Work::Rows { input, batch, routed } };
        if self.peers == 1 {
            return give(whole(origin.worker, batch, None));
        }
        let (routed, only) = self.route(origin, input, &batch);
        if let Some(to) = only {
            return give(whole(to, batch, Some(routed)));
        }
        let mut parts: Vec<Option<(Batch, Vec<Routed>)>> = vec![None; self.peers as usize];
        let share = batch.bytes().len() / self.peers as usize;
        for (row, routed) in batch.rows().zip(routed) {
            let to = routed.partition.map_or(origin.worker, |partition| owner(partition, self.peers));
            let part = parts[to.0 as usize].get_or_insert_with(|| {
                (self.spent.take(batch.schema(), share + share / 4), Vec::with_capacity(batch.len()))
            });
            part.0.push(row);
            part.1.push(routed);
        }
        self.spent.give(batch);
        let count = parts.iter().flatten().count() as u32;
        for (to, part) in (0..).map(WorkerId).zip(parts) {
            if let Some((batch, routed)) = part {
                let routed = Some(routed);
                give(Task { to, origin, parts: count, work: Work::Rows { input, batch, routed } });
            }
        }
    }

    /// Where each row belongs, and the worker of all of them when there is only one.
    fn route(&mut self, origin: Origin, input: InputId, batch: &Batch) -> (Vec<Routed>, Option<WorkerId>) {
        let shapes = &self.plan.steps[input.0 as usize].rows;
        let router = &self.routers[input.0 as usize];
        let (mut first, mut same) = (None, true);
        let mut routed = Vec::with_capacity(batch.len());
        for (at, row) in (0..).zip(batch.rows()) {
            let partition = router.place(row, shapes, &self.context, &mut self.buffer);
            let to = partition.map_or(origin.worker, |partition| owner(partition, self.peers));
            same &= *first.get_or_insert(to) == to;
            routed.push(Routed { row: at, partition });
        }
        (routed, same.then(|| first.unwrap_or(origin.worker)))
    }
}

/// The worker that owns a partition: p lives on p mod W.
#[inline]
fn owner(partition: PartitionId, peers: u32) -> WorkerId {
    // A division costs more than the rest of a row's way here.
    match peers.is_power_of_two() {
        true => WorkerId(partition.0 & (peers - 1)),
        false => WorkerId(partition.0 % peers),
    }
}
