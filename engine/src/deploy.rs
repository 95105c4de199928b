//! Flows come, change and go while the node runs: what is checked, and the rounds over the workers.
//!
//! Everything that can turn a change down is checked before anything has changed.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anabranch_lang::evolution::{Change as Step, Evolution, Verdict, evolution};
use anabranch_model::message::FlowId;
use anabranch_model::plan::Plan;
use anabranch_model::row::MAX_ROW_BYTES;
use arc_swap::ArcSwap;
use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::change::Change;
use crate::driver::Command;
use crate::error::Error;
use crate::flow::Flow;
use crate::journal::{FlowChange, FlowFile, JournalDoor};
use crate::log;
use crate::snapshot::Run;
use crate::subscription::Subscription;
use crate::tally::Tally;

/// Flows of a node, at most: each takes part in every turn of every worker.
pub const FLOWS_MAX: usize = 1024;

/// What a deploy did.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// The flow that runs now.
    pub flow: Flow,
    /// What was there before.
    pub before: Before,
    /// What clients that were built from the older revision's `.proto` now get wrong: a line each, with what would have
    /// avoided it. The Rust client and HTTP know columns by name and are not concerned.
    pub breaks: Vec<String>,
}

/// What was there before a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Before {
    /// No flow of this name.
    Nothing,
    /// An older revision; what has changed.
    Older(Evolution),
    /// The same flow, which runs on as it was.
    Same,
}

/// The workers of a node, all asked the same.
pub(crate) trait Workers {
    /// Sends every worker a command, and waits for the answers of all.
    ///
    /// # Errors
    /// [`Error::Stopped`]: a worker has ended.
    fn ask<T>(&self, command: impl Fn(Sender<T>) -> Command) -> Result<Vec<T>, Error>;

    /// How many there are.
    fn count(&self) -> usize;

    /// Sends one of them a command; one that has ended needs not be told.
    fn tell_one(&self, worker: usize, command: Command);

    /// The time, in microseconds since 1970 UTC.
    fn now(&self) -> i64;

    /// Lets the journal keep what it was given, where no thread of its own does.
    fn commit(&self) {}
}

/// The flows of a node as they are now: what clients read, and one at a time changes.
pub(crate) type SharedCatalog = Arc<ArcSwap<Catalog>>;

/// The flows of a node.
#[derive(Debug)]
pub(crate) struct Flows {
    catalog: SharedCatalog,
    changing: Mutex<()>,
    /// The snapshot that a change gives up.
    snapshot: Mutex<Option<Run>>,
    journal: JournalDoor,
    /// What they had counted when the node was started.
    before: OnceLock<Tally>,
}

impl Flows {
    /// The flows of a node that has none yet; changes are kept by a journal.
    pub(crate) fn none(journal: JournalDoor) -> Self {
        let (catalog, changing, snapshot) = (SharedCatalog::default(), Mutex::new(()), Mutex::new(None));
        Flows { catalog, changing, snapshot, journal, before: OnceLock::new() }
    }

    /// Whether what the node does is kept.
    pub(crate) fn keeps(&self) -> bool {
        self.journal.keeps()
    }

    /// Adds the flows that a node is started with. Those that its journal has, too, may be newer revisions; older ones,
    /// which whoever started the node before may still name, are passed over.
    ///
    /// # Errors
    /// Two of them have one name; as [`Flows::deploy`].
    pub(crate) fn start(&self, flows: Vec<Flow>, workers: &impl Workers) -> Result<(), Error> {
        for flow in flows {
            let running = self.catalog.load().named(flow.name()).map(|(_, running)| running.revision());
            match running.filter(|_| self.keeps()) {
                Some(running) if running > flow.revision() => {
                    log::passed_over(&flow, running);
                }
                Some(_) => drop(self.deploy(flow, workers)?),
                None => drop(self.install(flow, workers)?),
            }
        }
        Ok(())
    }

    /// Does a change again that a journal has.
    ///
    /// # Errors
    /// The flow does not compile any more; it is there although it is installed, or is not although it is changed; the
    /// revision may not follow the one before it. The node must not serve.
    pub(crate) fn restore(
        &self,
        id: FlowId,
        change: FlowChange,
        workers: &impl Workers,
    ) -> Result<(), Error> {
        let mut catalog = Catalog::clone(&self.catalog.load());
        let parse = |file: FlowFile| Flow::parse(&file.file, &file.text);
        let old = catalog.plans().find(|(of, _)| *of == id).map(|(_, plan)| plan.clone());
        match (change, old) {
            (FlowChange::Installed(file), None) => {
                let flow = parse(file)?;
                workers.ask(|done| Command::Change(Change::Install(id, flow.plan().clone(), done)))?;
                catalog.put(id, flow);
            }
            (FlowChange::Replaced(file), Some(old)) => {
                let at = file.at;
                let flow = parse(file)?;
                workers.ask(|done| Command::Change(Change::Pause(id, done)))?;
                follows(id, &old, flow.plan(), workers)?;
                workers.ask(|done| Command::Change(Change::Replace(id, flow.plan().clone(), at, done)))?;
                catalog.replace(id, flow);
            }
            (FlowChange::Dropped, Some(_)) => {
                workers.ask(|done| Command::Change(Change::Pause(id, done)))?;
                workers.ask(|done| Command::Change(Change::Drop(id, done)))?;
                catalog.remove(id);
            }
            (FlowChange::Installed(_), Some(_)) => return Err(unknown_change(id, "is installed twice")),
            (_, None) => return Err(unknown_change(id, "is changed and was never installed")),
        }
        self.catalog.store(Arc::new(catalog));
        Ok(())
    }

    /// The flows have counted so much before; said once, when the node starts.
    pub(crate) fn counted_before(&self, tally: Tally) {
        let _ = self.before.set(tally);
    }

    /// What the flows had counted when the node was started.
    pub(crate) fn before(&self) -> &Tally {
        self.before.get_or_init(Tally::default)
    }

    pub(crate) fn catalog(&self) -> &SharedCatalog {
        &self.catalog
    }

    /// Installs a flow, or puts it in the place of its older revision.
    pub(crate) fn deploy(&self, flow: Flow, workers: &impl Workers) -> Result<Deployed, Error> {
        let _changing = self.lock();
        let catalog = self.catalog.load_full();
        let Some((id, old)) = catalog.named(flow.name()) else { return self.install(flow, workers) };
        let evolution = evolution(old.plan(), flow.plan());
        if !evolution.allowed() {
            log::turned_down(flow.name(), flow.revision(), &evolution);
            return Err(Error::Evolution(evolution));
        }
        // The same revision is allowed only where nothing changes.
        if flow.revision() == old.revision() {
            return Ok(Deployed { flow: old.clone(), before: Before::Same, breaks: Vec::new() });
        }
        self.replace(id, flow, evolution, workers)
    }

    /// Runs what a zone has decided: a flow with its number, at a revision that was found to fit. It may run already.
    #[cfg(feature = "net")]
    pub(crate) fn follow(&self, id: FlowId, flow: Flow, workers: &impl Workers) -> Result<(), Error> {
        let _changing = self.lock();
        let catalog = self.catalog.load_full();
        match catalog.named(flow.name()) {
            None => self.install_as(Some(id), flow, workers).map(drop),
            Some((_, old)) if old.revision() == flow.revision() => Ok(()),
            Some((id, old)) => {
                let evolution = evolution(old.plan(), flow.plan());
                if !evolution.allowed() {
                    return Err(Error::Evolution(evolution));
                }
                self.replace(id, flow, evolution, workers).map(drop)
            }
        }
    }

    fn install(&self, flow: Flow, workers: &impl Workers) -> Result<Deployed, Error> {
        self.install_as(None, flow, workers)
    }

    fn install_as(&self, id: Option<FlowId>, flow: Flow, workers: &impl Workers) -> Result<Deployed, Error> {
        let mut catalog = Catalog::clone(&self.catalog.load());
        if let Some(FlowId(id)) = id {
            catalog.reserve(id);
        }
        let id = catalog.add(flow.clone())?;
        self.give_up_snapshot();
        self.keep(id, FlowChange::Installed(FlowFile::of(&flow, workers.now())), workers)?;
        workers.ask(|done| Command::Change(Change::Install(id, flow.plan().clone(), done)))?;
        self.catalog.store(Arc::new(catalog));
        log::deployed(flow.name(), flow.revision());
        Ok(Deployed { flow, before: Before::Nothing, breaks: Vec::new() })
    }

    fn replace(
        &self,
        id: FlowId,
        flow: Flow,
        mut evolution: Evolution,
        workers: &impl Workers,
    ) -> Result<Deployed, Error> {
        let plan = flow.plan();
        workers.ask(|done| Command::Change(Change::Pause(id, done)))?;
        evolution.changes.extend(too_long(id, plan, workers)?);
        if !evolution.allowed() {
            workers.ask(|done| Command::Change(Change::Resume(id, done)))?;
            log::turned_down(flow.name(), flow.revision(), &evolution);
            return Err(Error::Evolution(evolution));
        }
        self.give_up_snapshot();
        // Later than all that was done by the older one.
        let at = workers.now();
        let kept = self.keep(id, FlowChange::Replaced(FlowFile::of(&flow, at)), workers);
        if kept.is_err() {
            workers.ask(|done| Command::Change(Change::Resume(id, done)))?;
        }
        kept?;
        let mut catalog = Catalog::clone(&self.catalog.load());
        let breaks =
            catalog.plans().find(|(of, _)| *of == id).map_or_else(Vec::new, |(_, old)| breaks(old, plan));
        catalog.replace(id, flow.clone());
        // Before the first answer of the new revision: a client that gets one asks for its plan. What comes for the
        // new one meanwhile is held back with the rest.
        self.catalog.store(Arc::new(catalog));
        workers.ask(|done| Command::Change(Change::Replace(id, plan.clone(), at, done)))?;
        log::deployed(flow.name(), flow.revision());
        Ok(Deployed { flow, before: Before::Older(evolution), breaks })
    }

    /// Keeps a change; returns when it is safe.
    fn keep(&self, id: FlowId, change: FlowChange, workers: &impl Workers) -> Result<(), Error> {
        let promised = self.journal.flow(id, change)?;
        workers.commit();
        promised.wait()
    }

    /// Drops a flow with its rows.
    pub(crate) fn drop_flow(&self, name: &str, workers: &impl Workers) -> Result<(), Error> {
        let _changing = self.lock();
        let id = self.catalog.load().flow(name)?;
        workers.ask(|done| Command::Change(Change::Pause(id, done)))?;
        self.give_up_snapshot();
        let kept = self.keep(id, FlowChange::Dropped, workers);
        if kept.is_err() {
            workers.ask(|done| Command::Change(Change::Resume(id, done)))?;
        }
        kept?;
        workers.ask(|done| Command::Change(Change::Drop(id, done)))?;
        let mut catalog = Catalog::clone(&self.catalog.load());
        catalog.remove(id);
        self.catalog.store(Arc::new(catalog));
        log::dropped(name);
        Ok(())
    }

    /// A subscription that every worker has.
    pub(crate) fn subscribe(&self, output: &str, workers: &impl Workers) -> Result<Subscription, Error> {
        // All workers get it while they run the same revision.
        let _changing = self.lock();
        let (publisher, subscription) = self.catalog.load().subscription(output)?;
        workers.ask(|taken| Command::Subscribe(publisher.clone(), taken))?;
        Ok(subscription)
    }

    /// The next flow gets this number, or a higher one.
    pub(crate) fn reserve(&self, next: u32) {
        let mut catalog = Catalog::clone(&self.catalog.load());
        catalog.reserve(next);
        self.catalog.store(Arc::new(catalog));
    }

    /// A snapshot of this number begins; the next change gives it up. Waits until the change that is under way has ended.
    pub(crate) fn snapshot(&self, number: u64) -> Run {
        let (_changing, run) = (self.lock(), Run::new(number));
        *lock(&self.snapshot) = Some(run.clone());
        run
    }

    /// The flows, which do not change until what comes with them is dropped.
    pub(crate) fn hold(&self) -> (MutexGuard<'_, ()>, Arc<Catalog>) {
        let changing = self.lock();
        (changing, self.catalog.load_full())
    }

    /// Flows are about to change, here and in the journal.
    fn give_up_snapshot(&self) {
        lock(&self.snapshot).take().inspect(Run::give_up);
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        lock(&self.changing)
    }
}

/// No panic can leave half changed what our locks guard.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a revision that a journal has may follow the one before it; the flow is paused.
fn follows(id: FlowId, old: &Plan, new: &Arc<Plan>, workers: &impl Workers) -> Result<(), Error> {
    let mut evolution = evolution(old, new);
    if evolution.allowed() {
        evolution.changes.extend(too_long(id, new, workers)?);
    }
    if evolution.allowed() {
        return Ok(());
    }
    let text = format!(
        "the journal has a revision that may not follow the one before it; start the release of the engine that wrote it, \
         or take a copy of the directory from before:\n{evolution}"
    );
    Err(Error::Start(text.trim_end().to_owned()))
}

/// A journal has a change that no node makes.
fn unknown_change(id: FlowId, what: &str) -> Error {
    let text = format!(
        "the journal cannot be done again: flow number {} {what}; take a copy of the directory from before",
        id.0
    );
    Error::Start(text)
}

/// What keeps stored rows from following their flow, which is paused, to a newer revision: they may become too long.
fn too_long(id: FlowId, plan: &Arc<Plan>, workers: &impl Workers) -> Result<Vec<Step>, Error> {
    let found = workers.ask(|found| Command::Change(Change::Check(id, plan.clone(), found)))?;
    Ok(found.concat().iter().map(|(table, bytes)| refused(table, *bytes)).collect())
}

fn refused(table: &str, bytes: usize) -> Step {
    Step {
        verdict: Verdict::Refused,
        item: format!("table {table}"),
        what: format!("a stored row may come to {bytes} bytes"),
        why: Some(format!("a row has at most {MAX_ROW_BYTES}; give new columns shorter defaults, or none")),
    }
}

/// What a newer revision breaks for clients of generated `.proto` files.
#[cfg(feature = "net")]
fn breaks(old: &Arc<Plan>, new: &Arc<Plan>) -> Vec<String> {
    use anabranch_wire::typed::FlowApi;
    FlowApi::new(new.clone()).breaks(&FlowApi::new(old.clone()))
}

/// Without a network there are no such clients.
#[cfg(not(feature = "net"))]
fn breaks(_: &Arc<Plan>, _: &Arc<Plan>) -> Vec<String> {
    Vec::new()
}
