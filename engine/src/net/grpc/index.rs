//! The typed interfaces of the flows that run now, by the names of their services.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_model::message::FlowId;
use anabranch_wire::session::SERVICE;
use anabranch_wire::typed::{FlowApi, Method};

use crate::catalog::Catalog;

/// The services of a catalog.
#[derive(Debug)]
pub(crate) struct Index {
    flows: BTreeMap<String, (FlowId, Arc<FlowApi>)>,
}

impl Index {
    fn new(catalog: &Catalog) -> Self {
        let api = |(id, plan): (FlowId, &Arc<anabranch_model::plan::Plan>)| {
            let api = FlowApi::new(plan.clone());
            (api.service(), (id, Arc::new(api)))
        };
        Index { flows: catalog.plans().map(api).collect() }
    }

    /// The part of it that is of some flows.
    pub(crate) fn of_flows(&self, wanted: impl Fn(&str) -> bool) -> Index {
        let flows = self.flows.iter().filter(|(_, (_, api))| wanted(&api.plan().name));
        Index { flows: flows.map(|(service, flow)| (service.clone(), flow.clone())).collect() }
    }

    /// The flow and method of a path.
    pub(crate) fn method(&self, path: &str) -> Option<(FlowId, Arc<FlowApi>, Method)> {
        let (service, _) = path.strip_prefix('/')?.rsplit_once('/')?;
        let (id, api) = self.flows.get(service)?;
        Some((*id, api.clone(), api.method(path)?))
    }

    /// The interfaces of all flows.
    pub(crate) fn apis(&self) -> impl Iterator<Item = &FlowApi> {
        self.flows.values().map(|(_, api)| &**api)
    }

    /// The names of all services.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        [SERVICE].into_iter().chain(self.flows.keys().map(String::as_str))
    }
}

/// The index of the catalog that was asked for last, with that catalog.
type Cached = Option<(Arc<Catalog>, Arc<Index>)>;

/// Keeps the index of the present catalog.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexCell(Arc<Mutex<Cached>>);

impl IndexCell {
    /// The index of a catalog, made when it is a new one.
    pub(crate) fn of(&self, catalog: Arc<Catalog>) -> Arc<Index> {
        // Nothing in between panics with half an index.
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((of, index)) if Arc::ptr_eq(of, &catalog) => index.clone(),
            _ => {
                let index = Arc::new(Index::new(&catalog));
                *cached = Some((catalog, index.clone()));
                index
            }
        }
    }
}
