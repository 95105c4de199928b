//! The flows of a node by name: what `names.UpdateStream`, or `UpdateStream` where only one flow has it, means.

use std::sync::Arc;

use anabranch_model::message::FlowId;
use anabranch_model::plan::{InputId, OutputId, Plan, TableId};

use crate::error::Error;
use crate::subscription::{Publisher, Subscription, Topic, subscription};

/// The flows of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    flows: Vec<Arc<Plan>>,
}

/// A stream or table of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    pub(crate) flow: FlowId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) id: T,
}

impl Catalog {
    pub(crate) fn new(flows: Vec<Arc<Plan>>) -> Result<Self, Error> {
        for (at, flow) in flows.iter().enumerate() {
            if flows[..at].iter().any(|other| other.name == flow.name) {
                return Err(Error::Start(format!(
                    "two flows are called `{}`; give one another name",
                    flow.name
                )));
            }
        }
        Ok(Catalog { flows })
    }

    /// The flows with their numbers.
    pub(crate) fn flows(&self) -> impl Iterator<Item = (FlowId, &Arc<Plan>)> {
        (0..).map(FlowId).zip(&self.flows)
    }

    pub(crate) fn plan(&self, flow: FlowId) -> &Arc<Plan> {
        &self.flows[flow.0 as usize]
    }

    /// The plan of a flow, if it runs in this revision.
    pub(crate) fn revision(&self, flow: FlowId, revision: i64) -> Option<&Arc<Plan>> {
        self.flows.get(flow.0 as usize).filter(|plan| plan.revision == revision)
    }

    /// Whether the flow of an id is this one: ids of another node mean other flows.
    pub(crate) fn has(&self, flow: FlowId, plan: &Arc<Plan>) -> bool {
        self.flows.get(flow.0 as usize).is_some_and(|own| Arc::ptr_eq(own, plan))
    }

    pub(crate) fn flow(&self, name: &str) -> Result<FlowId, Error> {
        let known = || self.flows.iter().map(|plan| plan.name.clone()).collect();
        let found = self.flows().find(|(_, plan)| plan.name == name).map(|(id, _)| id);
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

    /// Both ends of a subscription to an output, or to the refused rows of a flow (`errors`, `flow.errors`).
    pub(crate) fn subscription(&self, name: &str) -> Result<(Publisher, Subscription), Error> {
        let of_all = name == "errors" && self.flows.iter().all(|plan| plan.output(name).is_none());
        let flow = match (name.strip_suffix(".errors"), self.flows.as_slice()) {
            (Some(flow), _) => Some(self.flow(flow)?),
            (None, [_]) if of_all => Some(FlowId(0)),
            (None, [_, _, ..]) if of_all => {
                let candidates = self.flows.iter().map(|plan| format!("{}.errors", plan.name)).collect();
                return Err(Error::Ambiguous { name: name.to_owned(), candidates });
            }
            _ => None,
        };
        if let Some(flow) = flow {
            return Ok(subscription(flow, self.plan(flow).clone(), Topic::Errors));
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
        for (flow, plan) in self.flows() {
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
                    [only] => names(only),
                    flows => flows.iter().flat_map(|plan| full(plan)).collect(),
                };
                Err(Error::Unknown { what, name: name.to_owned(), known })
            }
        }
    }
}
