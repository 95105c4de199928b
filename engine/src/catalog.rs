//! The flows of a node by name: what `names.UpdateStream`, or `UpdateStream` where only one flow has it, means.

use std::collections::VecDeque;
use std::sync::Arc;

use anabranch_model::message::FlowId;
use anabranch_model::plan::{InputId, OutputId, Plan, Table, TableId};
use anabranch_operators::REVISIONS_KEPT_MAX;

use crate::deploy::FLOWS_MAX;
use crate::error::Error;
use crate::flow::Flow;
use crate::subscription::{Publisher, Subscription, Topic, subscription};

/// The flows of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    /// By number.
    flows: Vec<Running>,
    next: u32,
}

/// A flow that runs.
#[derive(Clone, Debug)]
struct Running {
    id: FlowId,
    flow: Flow,
    /// The revisions before it whose requests are still understood, oldest first.
    past: VecDeque<Flow>,
}

/// A stream or table of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    pub(crate) flow: FlowId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) id: T,
}

impl Running {
    fn plan(&self) -> &Arc<Plan> {
        self.flow.plan()
    }
}

impl Named<TableId> {
    /// The table as a plan declares it.
    pub(crate) fn table(&self) -> &Table {
        &self.plan.tables[self.id.0 as usize]
    }

    /// The same table in another revision of its flow.
    ///
    /// # Errors
    /// It does not have it.
    pub(crate) fn revised(&self, plan: &Arc<Plan>) -> Result<Named<TableId>, Error> {
        let id = if Arc::ptr_eq(plan, &self.plan) { Some(self.id) } else { plan.table(&self.table().name) };
        let changed = || Error::Changed { flow: plan.name.clone(), ticket: None };
        Ok(Named { flow: self.flow, plan: plan.clone(), id: id.ok_or_else(changed)? })
    }
}

/// By what requests over the network tell the flow of a name from others.
#[cfg(feature = "net")]
fn service(flow: &str) -> String {
    anabranch_wire::typed::package(flow)
}

/// Without a network a name is enough.
#[cfg(not(feature = "net"))]
fn service(flow: &str) -> &str {
    flow
}

impl Catalog {
    /// Flows with the numbers that their node gave them.
    #[cfg(feature = "net")]
    pub(crate) fn of(flows: impl Iterator<Item = (FlowId, Flow)>) -> Self {
        let flows: Vec<_> = flows.map(|(id, flow)| Running { id, flow, past: VecDeque::new() }).collect();
        let next = flows.iter().map(|running| running.id.0.saturating_add(1)).max().unwrap_or_default();
        Catalog { flows, next }
    }

    /// The part of it that is of some flows, by their names.
    #[cfg(feature = "net")]
    pub(crate) fn only(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let flows = self.flows.iter().filter(|running| wanted(running.flow.name()));
        Catalog { flows: flows.cloned().collect(), next: self.next }
    }

    /// Adds a flow of a new name.
    ///
    /// # Errors
    /// There is one of this name, or of one that gRPC and OpenAPI cannot tell from it, or there are [`FLOWS_MAX`].
    pub(crate) fn add(&mut self, flow: Flow) -> Result<FlowId, Error> {
        if self.named(flow.name()).is_some() {
            let text = format!("two flows are called `{}`; give one another name", flow.name());
            return Err(Error::Start(text));
        }
        let service = service(flow.name());
        if let Some((_, other)) = self.flows().find(|(_, other)| self::service(other.name()) == service) {
            let other = other.name();
            return Err(Error::SameService { flow: flow.name().to_owned(), other: other.to_owned() });
        }
        if self.flows.len() == FLOWS_MAX {
            return Err(Error::TooManyFlows);
        }
        let id = FlowId(self.next);
        self.next += 1;
        self.flows.push(Running { id, flow, past: VecDeque::new() });
        Ok(id)
    }

    /// Adds a flow with the number that it was given before.
    pub(crate) fn put(&mut self, id: FlowId, flow: Flow) {
        self.next = self.next.max(id.0.saturating_add(1));
        self.flows.push(Running { id, flow, past: VecDeque::new() });
    }

    /// Puts a newer revision in the place of a flow.
    pub(crate) fn replace(&mut self, id: FlowId, flow: Flow) {
        let Some(running) = self.flows.iter_mut().find(|running| running.id == id) else { return };
        if running.past.len() == REVISIONS_KEPT_MAX {
            running.past.pop_front();
        }
        running.past.push_back(std::mem::replace(&mut running.flow, flow));
    }

    /// Removes a flow.
    pub(crate) fn remove(&mut self, id: FlowId) {
        self.flows.retain(|running| running.id != id);
    }

    /// The plan of a revision of a flow whose requests are still understood.
    pub(crate) fn revision(&self, flow: FlowId, revision: i64) -> Option<&Arc<Plan>> {
        let running = self.flows.iter().find(|running| running.id == flow)?;
        let mut plans = running.past.iter().chain([&running.flow]).map(Flow::plan);
        plans.find(|plan| plan.revision == revision)
    }

    /// The plans of the flows with their numbers.
    pub(crate) fn plans(&self) -> impl Iterator<Item = (FlowId, &Arc<Plan>)> {
        self.flows.iter().map(|running| (running.id, running.plan()))
    }

    /// The flows.
    pub(crate) fn flows(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        self.flows.iter().map(|running| (running.id, &running.flow))
    }

    /// All kept revisions of all flows, those of a flow oldest first.
    pub(crate) fn revisions(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        self.flows
            .iter()
            .flat_map(|running| running.past.iter().chain([&running.flow]).map(|flow| (running.id, flow)))
    }

    /// The number that the next flow gets.
    pub(crate) fn next_flow(&self) -> u32 {
        self.next
    }

    /// The next flow gets this number, or a higher one.
    pub(crate) fn reserve(&mut self, next: u32) {
        self.next = self.next.max(next);
    }

    /// The flow of a name.
    pub(crate) fn named(&self, name: &str) -> Option<(FlowId, &Flow)> {
        self.flows().find(|(_, flow)| flow.name() == name)
    }

    /// Whether a batch that was made for a plan can be sent to a flow. Ids of another node mean other flows.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Changed`], [`Error::OtherNode`].
    pub(crate) fn check(&self, id: FlowId, plan: &Arc<Plan>) -> Result<(), Error> {
        let flow = plan.name.clone();
        match self.flows.iter().find(|running| running.id == id) {
            Some(running) if Arc::ptr_eq(running.plan(), plan) => Ok(()),
            Some(running) if running.past.iter().any(|past| Arc::ptr_eq(past.plan(), plan)) => Ok(()),
            Some(running) if running.flow.name() == flow && plan.revision < running.plan().revision => {
                Err(Error::Changed { flow, ticket: None })
            }
            None if id.0 < self.next => Err(Error::Gone { flow, ticket: None }),
            _ => Err(Error::OtherNode),
        }
    }

    pub(crate) fn flow(&self, name: &str) -> Result<FlowId, Error> {
        let known = || self.flows().map(|(_, flow)| flow.name().to_owned()).collect();
        let found = self.named(name).map(|(id, _)| id);
        found.ok_or_else(|| Error::Unknown { what: "flow", name: name.to_owned(), known: known() })
    }

    pub(crate) fn input(&self, name: &str) -> Result<Named<InputId>, Error> {
        let names = |plan: &Plan| plan.inputs.iter().map(|stream| stream.name.clone()).collect();
        self.find("input", name, Plan::input, names)
    }

    pub(crate) fn output(&self, name: &str) -> Result<Named<OutputId>, Error> {
        let names = |plan: &Plan| plan.outputs.iter().map(|stream| stream.name.clone()).collect();
        self.find("output", name, Plan::output, names)
    }

    pub(crate) fn table(&self, name: &str) -> Result<Named<TableId>, Error> {
        let names = |plan: &Plan| plan.tables.iter().map(|table| table.name.clone()).collect();
        self.find("table", name, Plan::table, names)
    }

    /// The full name of an output, or of a flow's error stream.
    ///
    /// # Errors
    /// There is none of this name, or several.
    #[cfg(feature = "net")]
    pub(crate) fn topic(&self, name: &str) -> Result<String, Error> {
        let (_, subscription) = self.subscription(name)?;
        let local = name.rsplit_once('.').map_or(name, |(_, local)| local);
        Ok(format!("{}.{local}", subscription.plan().name))
    }

    /// Both ends of a subscription to an output, or to the refused rows of a flow (`errors`, `flow.errors`).
    pub(crate) fn subscription(&self, name: &str) -> Result<(Publisher, Subscription), Error> {
        let of_all = name == "errors" && self.plans().all(|(_, plan)| plan.output(name).is_none());
        let flow = match (name.strip_suffix(".errors"), self.flows.as_slice()) {
            (Some(flow), _) => {
                let id = self.flow(flow)?;
                self.flows.iter().find(|running| running.id == id)
            }
            (None, [only]) if of_all => Some(only),
            (None, [_, _, ..]) if of_all => {
                let candidates = self.plans().map(|(_, plan)| format!("{}.errors", plan.name)).collect();
                return Err(Error::Ambiguous { name: name.to_owned(), candidates });
            }
            _ => None,
        };
        if let Some(flow) = flow {
            return Ok(subscription(flow.id, flow.plan().clone(), Topic::Errors));
        }
        let named = self.output(name)?;
        Ok(subscription(named.flow, named.plan, Topic::Output(named.id)))
    }

    fn find<T>(
        &self,
        what: &'static str,
        name: &str,
        position: impl Fn(&Plan, &str) -> Option<T>,
        names: impl Fn(&Plan) -> Vec<String>,
    ) -> Result<Named<T>, Error> {
        let mut found = Vec::new();
        for (flow, plan) in self.plans() {
            let local = name.strip_prefix(plan.name.as_str()).and_then(|rest| rest.strip_prefix('.'));
            if let Some(id) = local.and_then(|local| position(plan, local)) {
                return Ok(Named { flow, plan: plan.clone(), id });
            }
            found.extend(position(plan, name).map(|id| Named { flow, plan: plan.clone(), id }));
        }
        let full = |plan: &Plan| -> Vec<String> {
            names(plan).into_iter().map(|local| format!("{}.{local}", plan.name)).collect()
        };
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                let all = found.iter().chain([&last]);
                let candidates = all.map(|named| format!("{}.{name}", named.plan.name)).collect();
                Err(Error::Ambiguous { name: name.to_owned(), candidates })
            }
            (None, _) => {
                let known = match self.flows.as_slice() {
                    [only] => names(only.plan()),
                    flows => flows.iter().flat_map(|running| full(running.plan())).collect(),
                };
                Err(Error::Unknown { what, name: name.to_owned(), known })
            }
        }
    }
}
