//! A flow on one worker, seen from outside its dataflow: which requests it understands, what has entered and is not
//! answered, and what is held back while a newer revision takes its place.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use anabranch_model::message::{Body, Problem, Request};
use anabranch_model::plan::{InputId, Plan, Route};
use anabranch_model::types::Shape;

use crate::convert;
use crate::dataflow::Requests;
use crate::machine::Machine;
use crate::migration::{MIGRATED_ROWS, Migration, too_long};

/// Older revisions of a flow whose requests are still understood: more than anybody deploys while a request is under
/// way.
pub const REVISIONS_KEPT_MAX: usize = 16;

/// Requests that have entered at this worker and parts of them that are not answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay(Rc<Cell<usize>>);

impl UnderWay {
    /// One became so many: a request its tasks, a task none.
    pub(crate) fn became(&self, parts: usize) {
        self.0.set(self.0.get() - 1 + parts);
    }

    fn entered(&self) {
        self.0.set(self.0.get() + 1);
    }

    fn count(&self) -> usize {
        self.0.get()
    }

    fn none(&self) -> bool {
        self.0.get() == 0
    }
}

/// A flow on one worker.
pub(crate) struct Installed {
    /// Kept revisions before the one that runs, oldest first.
    past: VecDeque<Arc<Plan>>,
    requests: Requests,
    pub(crate) machine: Rc<RefCell<Machine>>,
    pending: Vec<Request>,
    /// How many at its front go their ways again.
    again: usize,
    /// Likewise of what is held back.
    again_held: usize,
    under_way: UnderWay,
    /// What came since the flow was paused; `None` while it runs.
    held: Option<Vec<Request>>,
    migration: Option<Migration>,
    /// When the newer revision came, in microseconds since 1970 UTC.
    replaced_at: i64,
}

impl Installed {
    pub(crate) fn new(requests: Requests, machine: Rc<RefCell<Machine>>, under_way: UnderWay) -> Self {
        Installed {
            past: VecDeque::new(),
            requests,
            machine,
            pending: Vec::new(),
            again: 0,
            again_held: 0,
            under_way,
            held: None,
            migration: None,
            replaced_at: 0,
        }
    }

    /// Takes in a request, or holds it back while the flow is paused. `keeps`: whether what it changes can be kept.
    ///
    /// # Errors
    /// It is for a revision that it does not fit any more, or may change something that cannot be kept; nothing of it is
    /// done.
    pub(crate) fn submit(&mut self, request: Request, keeps: bool) -> Result<(), Problem> {
        if let Some(held) = &mut self.held {
            held.push(request);
            return Ok(());
        }
        let request = self.understood(request)?;
        if !keeps && self.may_be_recorded(&request) {
            return Err(Problem::Unkept);
        }
        self.under_way.entered();
        self.pending.push(request);
        Ok(())
    }

    /// Takes in what goes its ways again, before all that waits. It entered before a pause, so it is done before it.
    ///
    /// # Errors
    /// As for others.
    pub(crate) fn submit_again(&mut self, request: Request, keeps: bool) -> Result<(), Problem> {
        if let Some(held) = self.held.as_mut().filter(|_| self.migration.is_some()) {
            held.insert(self.again_held.min(held.len()), request);
            self.again_held += 1;
            return Ok(());
        }
        let request = self.understood(request)?;
        if !keeps && self.may_be_recorded(&request) {
            return Err(Problem::Unkept);
        }
        self.under_way.entered();
        self.pending.insert(self.again.min(self.pending.len()), request);
        self.again += 1;
        Ok(())
    }

    /// The request with the numbers and shapes of the revision that runs.
    fn understood(&self, request: Request) -> Result<Request, Problem> {
        let machine = self.machine.borrow();
        let revision = request.partial.as_ref().map_or(request.origin.revision, |partial| partial.revision);
        if revision == machine.plan().revision {
            return Ok(request);
        }
        let Request { origin, body, mut partial } = request;
        let old = self.past.iter().find(|plan| plan.revision == revision).ok_or(Problem::Changed)?;
        let body = convert::body(body, old, machine.plan()).ok_or(Problem::Changed)?;
        if let Some(partial) = &mut partial {
            partial.revision = machine.plan().revision;
        }
        Ok(Request { origin, body, partial })
    }

    /// The plan of a revision that is still understood.
    pub(crate) fn plan_of(&self, revision: i64) -> Option<Arc<Plan>> {
        let machine = self.machine.borrow();
        let all = self.past.iter().chain([machine.plan()]);
        all.into_iter().find(|plan| plan.revision == revision).cloned()
    }

    /// The shape of the rows of an input, in a revision that is still understood.
    pub(crate) fn input_shape(&self, revision: i64, input: InputId) -> Option<Arc<Shape>> {
        let plan = self.plan_of(revision)?;
        plan.inputs.get(usize::from(input.0)).map(|input| input.shape.clone())
    }

    /// Whether there may be something to keep of a request.
    fn may_be_recorded(&self, request: &Request) -> bool {
        let Body::Rows { input, .. } = &request.body else { return false };
        let machine = self.machine.borrow();
        let step = &machine.plan().steps[input.0 as usize];
        let remembered = request.origin.once.is_some() && step.leaves_traces();
        matches!(step.route, Route::Hash { .. }) && (step.writes() || remembered)
    }

    /// Whether something has come that the dataflow has not been given.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Gives what has come to the dataflow.
    pub(crate) fn send(&mut self) {
        self.again = 0;
        if !self.pending.is_empty() {
            self.requests.send_batch(&mut self.pending);
            self.pending.clear();
            self.hand_over();
        }
    }

    /// Gives what goes its ways again to the dataflow.
    pub(crate) fn send_again(&mut self) {
        if self.again > 0 {
            let mut first: Vec<Request> = self.pending.drain(..std::mem::take(&mut self.again)).collect();
            self.requests.send_batch(&mut first);
            self.hand_over();
        }
    }

    /// Only a new time makes the exchange hand over what it has gathered.
    fn hand_over(&mut self) {
        let next = self.requests.time() + 1;
        self.requests.advance_to(next);
    }

    /// Holds back what comes from now on.
    pub(crate) fn pause(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Ends the pause; gives what was held back, to be submitted again.
    pub(crate) fn resume(&mut self) -> Vec<Request> {
        self.again_held = 0;
        self.held.take().unwrap_or_default()
    }

    /// Whether everything that has entered here is answered, but for what is held back.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.none()
    }

    /// Whether nothing of it is in its dataflow, or goes there next.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.again == 0 && self.under_way.count() == self.pending.len()
    }

    /// The tables whose rows may be too long in a newer revision, with the bytes that they may come to.
    pub(crate) fn too_long(&self, plan: &Plan) -> Vec<(String, usize)> {
        let mut machine = self.machine.borrow_mut();
        let old = machine.plan().clone();
        too_long(&old, plan, machine.tables())
    }

    /// Begins the change to a newer revision of a flow that is paused everywhere.
    pub(crate) fn migrate(&mut self, plan: Arc<Plan>, at: i64) {
        self.replaced_at = at;
        let old = self.machine.borrow().plan().clone();
        self.migration = Some(Migration::new(&old, plan));
    }

    pub(crate) fn is_migrating(&self) -> bool {
        self.migration.is_some()
    }

    /// Goes on with the change; the flow at its new revision once all rows have followed.
    pub(crate) fn advance(&mut self) -> Option<Machine> {
        let migration = self.migration.as_mut()?;
        let mut machine = self.machine.borrow_mut();
        if !migration.advance(machine.tables(), MIGRATED_ROWS) {
            return None;
        }
        let plan = migration.plan.clone();
        self.migration = None;
        if self.past.len() == REVISIONS_KEPT_MAX {
            self.past.pop_front();
        }
        self.past.push_back(machine.plan().clone());
        Some(machine.revised(plan, self.replaced_at))
    }

    /// Goes on with the dataflow of the new revision; the old one ends, as its input does.
    pub(crate) fn restart(&mut self, requests: Requests, machine: Rc<RefCell<Machine>>) {
        self.requests = requests;
        self.machine = machine;
    }

    pub(crate) fn under_way(&self) -> UnderWay {
        self.under_way.clone()
    }
}
