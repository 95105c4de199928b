//! The dataflow of one flow on one worker.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use anabranch_model::message::{Delivery, FlowId, Origin, Part, Request, WorkerId};
use anabranch_model::plan::Sync;
use anabranch_model::share::Work;
use anabranch_model::zone::{Owners, Touched};
use serde::{Deserialize, Serialize};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::Operator;

use crate::installed::UnderWay;
use crate::machine::{Done as Outcome, Machine, Published};
use crate::split::{Split, Splitter};
use crate::worker::Shared;

/// What a worker is to do for a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) to: WorkerId,
    pub(crate) origin: Origin,
    /// Into how many parts the request was split.
    pub(crate) parts: u32,
    /// When the request entered, in microseconds of the clock of the worker where it did.
    pub(crate) entered: u64,
    /// The version of the owners by which it was split.
    pub(crate) divided: u64,
    /// The node where it entered, where that is another one.
    pub(crate) source: Option<Arc<str>>,
    pub(crate) work: Work,
}

/// What a worker is told by the one where a request entered.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Order {
    /// Do this.
    Task(Task),
    /// What comes behind was split by these owners.
    Owners(WorkerId, Box<Owners>),
}

impl Order {
    fn to(&self) -> WorkerId {
        match self {
            Order::Task(task) => task.to,
            Order::Owners(to, _) => *to,
        }
    }
}

/// A task's answer on the way to the worker where its request entered.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Done {
    part: Part,
    /// What it had to do, to be given back.
    given: Work,
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
            .unary::<CapacityContainerBuilder<Vec<Order>>, _, _, _>(Pipeline, "route", move |_, _| {
                let mut splitter = splitter;
                move |input, output| {
                    input.for_each(|time, requests| {
                        let mut session = output.session(&time);
                        if let Some(owners) = splitter.adopt().cloned() {
                            for other in splitter.others() {
                                session.give(Order::Owners(other, Box::new(Owners::clone(&owners))));
                            }
                        }
                        for request in requests.drain(..) {
                            let mut tasks = 0;
                            splitter.split(request, turn.entered(), |split| match split {
                                Split::Task(task) => {
                                    tasks += 1;
                                    session.give(Order::Task(task));
                                }
                                Split::Forward(forward) => turn.deliver(Delivery::Forward(Box::new(forward))),
                            });
                            became.became(tasks);
                        }
                    });
                }
            })
            .unary::<CapacityContainerBuilder<Vec<Done>>, _, _, _>(
                Exchange::new(|order: &Order| u64::from(order.to().0)),
                "step",
                move |_, _| {
                    move |input, output| {
                        input.for_each(|time, orders| {
                            let (mut session, mut machine) = (output.session(&time), machine.borrow_mut());
                            for order in orders.drain(..) {
                                match order {
                                    Order::Task(task) => {
                                        session.give(do_task(flow, task, &mut machine, &steps))
                                    }
                                    Order::Owners(_, owners) => machine.adopt(&Arc::new(*owners)),
                                }
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
                        for Done { part, given } in done.drain(..) {
                            under_way.became(0);
                            let revised = (part.origin.revision != plan.revision).then(|| plan.clone());
                            let given = shared.is_in_zone().then(|| Box::new(given));
                            shared.deliver(Delivery::Part { flow, part, revised, given });
                        }
                    });
                },
            );
    });
    requests
}

fn do_task(flow: FlowId, task: Task, machine: &mut Machine, shared: &Shared) -> Done {
    let sync = machine.sync(&task.work);
    let Outcome { answer, kept, touched, published } =
        machine.work(&task, shared.now(), shared.recorded().count);
    for published in published {
        shared.deliver(delivery(flow, published, sync, touched));
    }
    let Task { origin, parts, entered, work, .. } = task;
    let (asked, rests_on) = (Some(work.asked()), shared.keep(kept));
    let part = Part { origin, parts, asked, entered, rests_on, sync, touched, answer };
    Done { part, given: work }
}

fn delivery(flow: FlowId, published: Published, sync: Sync, touched: Touched) -> Delivery {
    match published {
        Published::Emitted(output, batch) => Delivery::Emitted(flow, output, batch, sync, touched),
        Published::Refused(row) => Delivery::Refused(flow, row, sync, touched),
    }
}
