//! The dataflow of one flow on one worker.

use std::cell::RefCell;
use std::rc::Rc;

use anabranch_model::message::{Asked, Delivery, FlowId, Origin, Part, Reads, Request, WorkerId};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, Sync, TableId};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;

use crate::installed::UnderWay;
use crate::machine::{Machine, Published};
use crate::split::{Share, Splitter};
use crate::worker::Shared;

/// What a worker is to do for a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) to: WorkerId,
    pub(crate) origin: Origin,
    /// Into how many tasks the request was split.
    pub(crate) parts: u32,
    /// When the request entered, in microseconds of the clock of the worker where it did.
    pub(crate) entered: u64,
    pub(crate) work: Work,
}

/// The work of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// The worker's share of the rows of a request.
    Rows { input: InputId, share: Share },
    /// The row of a key.
    Get { table: TableId, partition: PartitionId, key: Vec<u8>, reads: Reads },
    /// Rows in key order.
    Page { table: TableId, after: Option<Vec<u8>>, limit: u32, reads: Reads },
}

impl Work {
    /// What was asked.
    fn asked(&self) -> Asked {
        match self {
            Work::Rows { input, .. } => Asked::Rows(*input),
            Work::Get { table, .. } => Asked::Get(*table),
            Work::Page { table, .. } => Asked::Page(*table),
        }
    }
}

/// A task's answer on the way to the worker where its request entered.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Done {
    part: Part,
    /// What it has read, to be given back.
    read: Option<Share>,
}

/// The input of a flow's dataflow on one worker.
pub(crate) type Requests = InputHandle<u64, CapacityContainerBuilder<Vec<Request>>>;

/// Builds the dataflow of a flow.
pub(crate) fn build(
    worker: &mut timely::worker::Worker,
    flow: FlowId,
    machine: Rc<RefCell<Machine>>,
    splitter: Splitter,
    under_way: UnderWay,
    shared: Rc<Shared>,
) -> Requests {
    let plan = machine.borrow().plan().clone();
    let (became, turn) = (under_way.clone(), shared.clone());
    let mut requests = Requests::new();
    let name = format!("flow {}", splitter.flow_name());
    worker.dataflow_named::<u64, _, _>(&name, |scope| {
        let steps = shared.clone();
        requests
            .to_stream(scope)
            .unary::<CapacityContainerBuilder<Vec<Task>>, _, _, _>(Pipeline, "route", move |_, _| {
                let mut splitter = splitter;
                move |input, output| {
                    input.for_each(|time, requests| {
                        let mut session = output.session(&time);
                        for request in requests.drain(..) {
                            let mut tasks = 0;
                            splitter.split(request, turn.entered(), |task| {
                                tasks += 1;
                                session.give(task);
                            });
                            became.became(tasks);
                        }
                    });
                }
            })
            .unary::<CapacityContainerBuilder<Vec<Done>>, _, _, _>(
                Exchange::new(|task: &Task| u64::from(task.to.0)),
                "step",
                move |_, _| {
                    move |input, output| {
                        input.for_each(|time, tasks| {
                            let (mut session, mut machine) = (output.session(&time), machine.borrow_mut());
                            for task in tasks.drain(..) {
                                let sync = machine.sync(&task.work);
                                let mut publish = |published| steps.deliver(delivery(flow, published, sync));
                                let (answer, kept) =
                                    machine.work(&task, steps.now(), steps.recorded().count, &mut publish);
                                let rests_on = steps.keep(kept);
                                let asked = Some(task.work.asked());
                                let read =
                                    if let Work::Rows { share, .. } = task.work { Some(share) } else { None };
                                let part = Part {
                                    origin: task.origin,
                                    parts: task.parts,
                                    asked,
                                    entered: task.entered,
                                    rests_on,
                                    sync,
                                    answer,
                                };
                                session.give(Done { part, read });
                            }
                            machine.rest();
                        });
                    }
                },
            )
            .sink(
                Exchange::new(|done: &Done| u64::from(done.part.origin.worker.0)),
                "source",
                move |(input, _)| {
                    input.for_each(|_, done| {
                        for Done { part, .. } in done.drain(..) {
                            under_way.became(0);
                            let revised = (part.origin.revision != plan.revision).then(|| plan.clone());
                            shared.deliver(Delivery::Part { flow, part, revised });
                        }
                    });
                },
            );
    });
    requests
}

fn delivery(flow: FlowId, published: Published, sync: Sync) -> Delivery {
    match published {
        Published::Emitted(output, batch) => Delivery::Emitted(flow, output, batch, sync),
        Published::Refused(row) => Delivery::Refused(flow, row, sync),
    }
}
