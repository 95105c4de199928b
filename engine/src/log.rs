//! What a node says of itself while it runs, through `tracing`: who embeds it, or the program, decides where that goes.
//!
//! All of it has the target `anabranch`. Nothing of what is in rows is ever in it.

use std::sync::Arc;

use anabranch_lang::evolution::Evolution;
use crossbeam_channel::Receiver;

use crate::deploy::SharedCatalog;
use crate::measures::SlowRequest;
use crate::status::named;

const TARGET: &str = "anabranch";

/// A node has started.
pub(crate) fn started(node: &str, workers: u32) {
    tracing::info!(target: TARGET, node, workers, "the node has started");
}

/// A node has stopped.
pub(crate) fn stopped(node: &str) {
    tracing::info!(target: TARGET, node, "the node has stopped");
}

/// A flow was installed, or put in the place of an older revision.
pub(crate) fn deployed(flow: &str, revision: i64) {
    tracing::info!(target: TARGET, flow, revision, "the flow was deployed");
}

/// A deploy was turned down.
pub(crate) fn turned_down(flow: &str, revision: i64, evolution: &Evolution) {
    tracing::warn!(target: TARGET, flow, revision, why = %evolution, "the flow was not deployed");
}

/// A flow was dropped.
pub(crate) fn dropped(flow: &str) {
    tracing::info!(target: TARGET, flow, "the flow was dropped");
}

/// Logs slow requests until the workers have ended.
pub(crate) fn slow_requests(told: &Receiver<SlowRequest>, catalog: &SharedCatalog) {
    told.iter().for_each(|slow| slow_request(&slow, catalog));
}

fn slow_request(slow: &SlowRequest, catalog: &SharedCatalog) {
    let catalog = catalog.load();
    // The flow may be gone by now.
    let plan = catalog.plans().find(|(id, _)| *id == slow.flow).map(|(_, plan)| Arc::clone(plan));
    let (request, of) = plan.as_ref().map_or(("", ""), |plan| named(plan, slow.asked));
    tracing::warn!(
        target: TARGET,
        request,
        flow = plan.as_ref().map_or("", |plan| plan.name.as_str()),
        of,
        rows = slow.rows,
        refused = slow.refused,
        took_us = slow.micros,
        trace_id = slow.trace.map(|trace| trace.id()),
        span_id = slow.trace.map(|trace| trace.span()),
        "slow request"
    );
}
