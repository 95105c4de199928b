//! A node inside a host application.

mod builder;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anabranch_log::{Config, Disk};
use anabranch_model::message::WorkerId;
use anabranch_operators::{Clock, WorkerThreads};
use crossbeam_channel::{Receiver, after, bounded, select, unbounded};

use crate::catalog::Catalog;
use crate::client::Client;
use crate::deploy::{Deployed, Flows, Workers};
use crate::doors::Doors;
use crate::driver::Command;
use crate::egress::Outlet;
use crate::error::Error;
use crate::flow::Flow;
use crate::journal::{Entry, JournalDoor, JournalMeasures, JournalWindow, Keeper};
use crate::link::{Connection, Threads};
use crate::load::NodeLoad;
use crate::log;
#[cfg(feature = "net")]
use crate::net::zone::ZonePart;
use crate::os::journal::{SharedDisk, Ways};
use crate::os::{self, Aside, Door};
use crate::recovery::{Recovered, Recovery, recover};
use crate::safe::Safe;
use crate::snapshot::{Due, Handover, SnapshotDoor, SnapshotTaken, Snapshots, Told};
use crate::status::NodeStatus;
use crate::subscription::Subscription;
use crate::zone_window::ZoneWindow;

use self::builder::Data;
pub use self::builder::NodeBuilder;

/// Worker threads of a node, at most.
pub const WORKERS_MAX: u32 = 256;

/// Slow requests that wait to be logged, at most; more are not logged.
const SLOW_WAITING_MAX: usize = 1024;

/// How long a node of a zone that stops waits for its last answers.
const DRAINED_WITHIN: Duration = Duration::from_secs(1);

/// A running node. It stops when it is dropped.
pub struct Node {
    core: Arc<Core>,
    /// Behind a lock because timely's guards may be used from one thread only; taken once, at the end.
    threads: Mutex<Option<WorkerThreads>>,
    /// Logs slow requests until the workers have ended.
    slow: Option<Aside>,
    door: JournalDoor,
    snapshots: SnapshotDoor,
    /// Keeps what workers do until they have ended, and takes snapshots.
    asides: Vec<Aside>,
}

/// What whoever serves clients of a node shares: the ways to its workers, and what it runs.
pub(crate) struct Core {
    name: String,
    doors: Doors,
    flows: Flows,
    clients: AtomicU64,
    /// The latest time that its clock has shown.
    latest: AtomicI64,
    load: NodeLoad,
    journal: JournalWindow,
    zone: ZoneWindow,
    /// Its part in its zone, where it is in one.
    #[cfg(feature = "net")]
    part: Option<ZonePart>,
    clock: Clock,
}

/// Takes snapshots until the node stops.
fn take_snapshots<D: Disk + Clone>(mut snapshots: Snapshots<D>, told: &Receiver<Told>, core: &Core) {
    while let Ok(next) = told.recv() {
        if !snapshots.handle(next, &core.flows, &core.doors) {
            return;
        }
    }
}

impl Node {
    /// A node to be, called `name`.
    pub fn builder(name: &str) -> NodeBuilder {
        NodeBuilder::new(name)
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// A new client. Its requests are applied in the order in which it sends them, wherever they touch the same
    /// partition; those of different clients in any order.
    pub fn client(&self) -> Client {
        let (sender, answers) = unbounded();
        let (id, worker, door) = self.core.connect(Outlet::Channel(sender));
        let link = Connection::Threads(Threads { core: self.core.clone(), door, answers });
        Client::new(link, self.core.flows.catalog().clone(), id, worker, self.core.load.clone())
    }

    /// A subscription to an output stream (`OutputStream` or `names.OutputStream`), or to a flow's refused rows
    /// (`errors` or `names.errors`), from now on.
    ///
    /// # Errors
    /// There is no such output, or the node has stopped.
    pub fn subscribe(&self, output: &str) -> Result<Subscription, Error> {
        self.core.subscribe(output)
    }

    /// Installs a flow, or puts it in the place of its older revision, while other flows go on.
    ///
    /// A request that was sent before sees the old revision, one that is sent after this has returned the new one. Tables
    /// keep their rows: a new column gets its default, or null. Clients, subscriptions and scans go on. The very flow that
    /// runs is left as it is.
    ///
    /// ```
    /// use anabranch::{Before, Error, Flow, Node};
    /// use serde_json::json;
    ///
    /// let seen = |revision: u32, columns: &str| {
    ///     let text = format!("flow seen revision {revision}
    ///         input See: {{ name: text }}
    ///         table Names: {{ name: text, {columns} }} {{ key name }}
    ///         on See as s {{ upsert Names {{ name: s.name, times += 1 }} }}");
    ///     Flow::parse("seen.flow", &text)
    /// };
    /// let node = Node::builder("A").start()?;
    /// node.deploy(seen(1, "times: int")?)?;
    /// let mut client = node.client();
    /// client.send("See", &[json!({ "name": "a" })])?;
    ///
    /// let deployed = node.deploy(seen(2, "times: int, kind: text default 'old'")?)?;
    /// assert!(matches!(deployed.before, Before::Older(_)));
    /// client.send("See", &[json!({ "name": "a" })])?;
    /// let row = client.get("Names", ["a"])?.expect("it was seen");
    /// assert_eq!(row.to_string(), r#"{"name":"a","times":2,"kind":"old"}"#);
    ///
    /// // What stored rows could not stand is refused, with all reasons; the flow runs on as it was.
    /// let Err(Error::Evolution(evolution)) = node.deploy(seen(3, "times: int?")?) else { panic!("refused") };
    /// assert!(evolution.to_string().contains("stored rows have the old type"));
    /// assert_eq!(node.flows()[0].revision(), 2);
    ///
    /// node.drop_flow("seen")?;
    /// assert!(node.flows().is_empty());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Evolution`], [`Error::TooManyFlows`]: nothing has changed. [`Error::Stopped`].
    pub fn deploy(&self, flow: Flow) -> Result<Deployed, Error> {
        self.core.deploy(flow)
    }

    /// Drops a flow with its rows. Requests that were sent before are answered, later ones get [`Error::Gone`] or
    /// [`Error::Unknown`]; subscriptions end with [`crate::Event::Gone`].
    ///
    /// # Errors
    /// There is no such flow; [`Error::Stopped`].
    pub fn drop_flow(&self, name: &str) -> Result<(), Error> {
        self.core.drop_flow(name)
    }

    /// The flows that run, in the order in which they were installed.
    pub fn flows(&self) -> Vec<Flow> {
        self.core.flows()
    }

    /// Counts and sizes, as the workers know them now.
    pub fn status(&self) -> NodeStatus {
        self.core.status()
    }

    /// Takes a snapshot of all flows and rows, while the node goes on; returns when it is durable. The node does this by
    /// itself, too ([`NodeBuilder::snapshot_after`]).
    ///
    /// # Errors
    /// [`Error::Snapshot`]: the node keeps nothing, or the disk refuses; what the node has acknowledged is kept as before.
    /// [`Error::Stopped`].
    pub fn snapshot(&self) -> Result<SnapshotTaken, Error> {
        self.snapshots.take()
    }

    /// Brings the node to the state that its data directory has, and goes on with it.
    fn recover<D: SharedDisk>(
        &mut self,
        disk: Arc<D>,
        data: &Data,
        safe: Safe,
        entries: Receiver<Entry>,
    ) -> Result<(), Error> {
        let (began, core) = (os::now(), self.core.clone());
        let config = Config::new(os::identity());
        let config = data.segment_bytes.map_or(config, |bytes| config.segment_bytes(bytes));
        let recovery = Recovery::new(&core.flows, &core.doors, data.tell.clone());
        let (writer, recovered) = recover(&disk, config, recovery)?;
        let Recovered { rows, records, snapshot_bytes, record_bytes } = recovered;
        let due = Due::new(record_bytes, data.snapshot_after.max(snapshot_bytes));
        log::recovered(rows, records, os::now().duration_since(began).as_millis());

        let (to, told) = unbounded();
        self.snapshots = SnapshotDoor::to(to);
        let keeper = Keeper::new(writer, safe.clone(), Handover::new(self.snapshots.clone(), due.clone()))
            .counts_on(core.flows.before());
        let no_thread = |error| Error::Start(format!("no thread for its journal: {error}"));
        let measures = JournalMeasures::default();
        core.journal.open(data.directory.as_deref(), &disk, &self.door, &safe, &measures);
        let ways = Ways { safe, entries, doors: core.doors.0.clone(), measures };
        let keeping = os::journal::keep(keeper, disk.clone(), ways);
        self.asides.extend(keeping.map_err(no_thread)?);
        let snapshots = Snapshots::new(disk, self.door.clone(), due, data.snapshot_after);
        let take = move || take_snapshots(snapshots, &told, &core);
        self.asides.push(os::spawn_vital("anabranch-snapshot", take).map_err(no_thread)?);
        Ok(())
    }

    /// Serves clients over the network until the server is dropped.
    ///
    /// # Errors
    /// [`Error::Listen`]: an address cannot be had. [`Error::Exposed`]: it is one that must not be had like this.
    #[cfg(feature = "net")]
    pub fn serve(&self, listen: &crate::net::Listen) -> Result<crate::net::Server, Error> {
        let server = crate::net::Server::start(self.core.clone(), listen)?;
        self.core.enter_zone(server.grpc())?;
        Ok(server)
    }

    /// What its zone shows.
    #[doc(hidden)]
    pub fn zone_window(&self) -> &ZoneWindow {
        &self.core.zone
    }

    /// What whoever serves clients shares.
    #[cfg(all(test, feature = "net"))]
    pub(crate) fn core(&self) -> Arc<Core> {
        self.core.clone()
    }

    /// Whether it is one of a zone.
    pub fn is_in_zone(&self) -> bool {
        self.core.zone().is_open()
    }

    /// Waits until the node serves, so long at most; whether it does. One of a zone does when it has joined it, runs the
    /// zone's flows, and somebody owns each partition; until then [`Node::zone`] tells what it waits for. One without a zone
    /// serves when it has started.
    ///
    /// # Errors
    /// [`Error::Start`]: the zone does not want it; why.
    #[cfg(feature = "net")]
    pub fn wait_until_ready(&self, within: Duration) -> Result<bool, Error> {
        self.core.part().map_or(Ok(true), |part| part.wait_until_ready(within))
    }

    /// Answers what was sent, then stops.
    ///
    /// # Errors
    /// A worker ended by a panic: that is a bug of the engine.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        let threads = self.threads.get_mut().map_or(None, Option::take);
        let Some(threads) = threads else { return Ok(()) };
        self.snapshots.stop();
        // What waits for a full disk would be answered never.
        self.door.closing();
        self.core.drain();
        #[cfg(feature = "net")]
        self.core.leave_zone();
        self.core.doors.tell(|| Command::Stop);
        let joined = threads.join().map_err(|why| Error::Start(format!("a worker panicked: {why}")));
        self.door.stop();
        self.slow.take().into_iter().chain(self.asides.drain(..)).for_each(Aside::wait);
        log::stopped(&self.core.name);
        joined
    }
}

impl Core {
    /// Lets the workers answer what has entered. In a zone what waits for other nodes may wait for ever, and is asked again
    /// elsewhere.
    fn drain(&self) {
        let (answer, answers) = bounded(self.doors.0.len());
        self.doors.tell(|| Command::Drain(answer.clone()));
        drop(answer);
        let within = if self.zone.is_open() { DRAINED_WITHIN } else { Duration::MAX };
        let late = after(within);
        for _ in &self.doors.0 {
            select! {
                // A worker that is gone has nothing to answer.
                recv(answers) -> _ => {}
                recv(late) -> _ => return,
            }
        }
    }

    /// The node's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The time by which requests are numbered, in microseconds since 1970 UTC: it stands still where the clock was set
    /// back, so that requests with numbers of before are not of the future.
    #[cfg(feature = "net")]
    pub(crate) fn time(&self) -> i64 {
        let now = os::now_micros();
        self.latest.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// The ways to the workers, by worker.
    pub(crate) fn doors(&self) -> &[Door] {
        &self.doors.0
    }

    /// The flows as they are now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.flows.catalog().load_full()
    }

    /// What is under way on the whole node.
    pub(crate) fn load(&self) -> NodeLoad {
        self.load.clone()
    }

    /// A client that is about to ask at a worker: its number, the worker and the way there.
    pub(crate) fn connect(&self, answers: Outlet) -> (u64, WorkerId, Door) {
        let id = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        let worker = (id % self.doors.0.len() as u64) as usize;
        let door = self.doors.0[worker].clone();
        door.send(Command::Connect(id, answers));
        (id, WorkerId(worker as u32), door)
    }

    /// A subscription to an output stream (`OutputStream` or `names.OutputStream`), or to a flow's refused rows
    /// (`errors` or `names.errors`), from now on.
    ///
    /// # Errors
    /// There is no such output, or the node has stopped.
    pub(crate) fn subscribe(&self, output: &str) -> Result<Subscription, Error> {
        self.flows.subscribe(output, &self.doors)
    }

    /// Installs a flow, or puts it in the place of its older revision.
    pub(crate) fn deploy(&self, flow: Flow) -> Result<Deployed, Error> {
        #[cfg(feature = "net")]
        if let Some(zone) = &self.part {
            return zone.deploy(flow, &self.flows);
        }
        self.flows.deploy(flow, &self.doors)
    }

    /// Drops a flow with its rows.
    pub(crate) fn drop_flow(&self, name: &str) -> Result<(), Error> {
        #[cfg(feature = "net")]
        if let Some(zone) = &self.part {
            return zone.drop_flow(name, &self.flows);
        }
        self.flows.drop_flow(name, &self.doors)
    }

    /// The flows that run, in the order in which they were installed.
    pub(crate) fn flows(&self) -> Vec<Flow> {
        self.flows.catalog().load().flows().map(|(_, flow)| flow.clone()).collect()
    }

    /// Counts and sizes, as the workers know them now.
    pub(crate) fn status(&self) -> NodeStatus {
        let ask = |id| {
            let parts = self.doors.ask(|answer| Command::Status(id, answer));
            parts.unwrap_or_default().into_iter().flatten().collect()
        };
        let workers = self.doors.0.len() as u32;
        NodeStatus::collect(&self.name, workers, self.journal.status(), &self.flows, ask)
    }

    /// What its zone shows.
    pub(crate) fn zone(&self) -> &ZoneWindow {
        &self.zone
    }

    /// Its part in its zone, where it is in one.
    #[cfg(feature = "net")]
    pub(crate) fn part(&self) -> Option<&ZonePart> {
        self.part.as_ref()
    }

    /// The ways to its workers.
    #[cfg(feature = "net")]
    pub(crate) fn zone_doors(&self) -> &Doors {
        &self.doors
    }

    /// Its flows.
    #[cfg(feature = "net")]
    pub(crate) fn all_flows(&self) -> &Flows {
        &self.flows
    }

    /// The clock that its workers measure by.
    #[cfg(feature = "net")]
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Whether every worker answers.
    #[cfg(feature = "net")]
    pub(crate) fn answers(&self) -> bool {
        self.doors.ask(|answer| Command::Status(anabranch_model::message::FlowId(u32::MAX), answer)).is_ok()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.core.name)
            .field("workers", &self.core.doors.0.len())
            .finish_non_exhaustive()
    }
}
