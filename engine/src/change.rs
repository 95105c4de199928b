//! How the flows of a running node change, as its workers see it.
//!
//! A newer revision takes the place of an older one in three rounds over all workers. Each round has ended everywhere
//! before the next one begins:
//!
//! 1. *Pause*: further requests to the flow are held back where they enter. A worker is done when all that entered there
//!    before are answered.
//! 2. *Check*: nothing of the flow is under way on any worker, and each has let out what rules emitted. It says whether
//!    its rows fit the new revision; if they do not, the flow *resumes* as it was.
//! 3. *Replace*: the rows become those of the new revision, a bounded number at every turn; the dataflow of the old one
//!    ends and that of the new one begins; subscribers are told; what was held back goes on.
//!
//! Requests to other flows are not held back at any time. `INVARIANT: one change at a time on a node`, so that all
//! workers build the same dataflows in the same order: who sends these holds the lock in [`crate::deploy`].

use std::sync::Arc;

use anabranch_model::message::FlowId;
use anabranch_model::plan::Plan;
use anabranch_operators::Worker;
use crossbeam_channel::Sender;

use crate::egress::Egress;

/// What a worker is told about a flow.
pub enum Change {
    /// A flow to start, before any request to it.
    Install(FlowId, Arc<Plan>, Sender<()>),
    /// Holds back requests to the flow; tells when nothing that entered here is unanswered.
    Pause(FlowId, Sender<()>),
    /// Asks for the tables of a paused flow that have rows which may be too long in a newer revision, and how long.
    Check(FlowId, Arc<Plan>, Sender<Vec<(String, usize)>>),
    /// Lets a paused flow go on as it was.
    Resume(FlowId, Sender<()>),
    /// Puts a newer revision in the place of a paused flow, at this time in microseconds since 1970 UTC; tells when it
    /// runs.
    Replace(FlowId, Arc<Plan>, i64, Sender<()>),
    /// Ends a paused flow, with its rows.
    Drop(FlowId, Sender<()>),
}

/// The changes that a worker has begun and has to tell the end of.
#[derive(Default)]
pub(crate) struct Changes {
    pausing: Vec<(FlowId, Sender<()>)>,
    replacing: Vec<(FlowId, Sender<()>)>,
}

// Who waits for an end may be gone; it is nobody's then.
impl Changes {
    /// Begins a change.
    pub(crate) fn begin(&mut self, change: Change, worker: &mut Worker, egress: &mut Egress) {
        match change {
            Change::Install(flow, plan, done) => {
                worker.install(flow, &plan);
                let _ = done.send(());
            }
            Change::Pause(flow, done) => {
                worker.pause(flow);
                self.pausing.push((flow, done));
            }
            Change::Check(flow, plan, answer) => drop(answer.send(worker.too_long(flow, &plan))),
            Change::Resume(flow, done) => {
                worker.resume(flow);
                let _ = done.send(());
            }
            Change::Replace(flow, plan, at, done) => {
                egress.revised(flow, &plan);
                worker.replace(flow, &plan, at);
                self.replacing.push((flow, done));
            }
            Change::Drop(flow, done) => {
                worker.drop_flow(flow);
                egress.dropped(flow);
                let _ = done.send(());
            }
        }
    }

    /// Tells the end of the changes that have ended. Whether one goes on that needs further turns.
    pub(crate) fn end(&mut self, worker: &Worker, egress: &Egress) -> bool {
        let end = |changes: &mut Vec<(FlowId, Sender<()>)>, ended: &dyn Fn(FlowId) -> bool| {
            for (_, done) in changes.extract_if(.., |(flow, _)| ended(*flow)) {
                let _ = done.send(());
            }
        };
        end(&mut self.pausing, &|flow| worker.is_idle(flow) && !egress.holds(flow));
        end(&mut self.replacing, &|flow| !worker.is_changing(flow));
        !self.replacing.is_empty()
    }
}
