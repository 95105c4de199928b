//! A node inside a host application.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anabranch_log::{Config, Disk};
use anabranch_model::message::WorkerId;
use anabranch_operators::WorkerThreads;
use crossbeam_channel::{Receiver, bounded, never, unbounded};

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
use crate::measures::TellSlow;
use crate::name::{NAME_BYTES_MAX, check_name};
use crate::os::disk::DirectoryDisk;
use crate::os::journal::{SharedDisk, Ways};
use crate::os::{self, Aside, Door, Start};
use crate::recovery::{Recovered, Recovery, RecoveryProgress, TellProgress, recover};
use crate::safe::Safe;
use crate::snapshot::{Due, Handover, SNAPSHOT_AFTER_BYTES, SnapshotDoor, SnapshotTaken, Snapshots, Told};
use crate::status::NodeStatus;
use crate::subscription::Subscription;
use crate::zone_config::ZoneConfig;
use crate::zone_window::ZoneWindow;

/// Worker threads of a node, at most.
pub const WORKERS_MAX: u32 = 256;

/// Slow requests that wait to be logged, at most; more are not logged.
const SLOW_WAITING_MAX: usize = 1024;

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
}

/// What a node starts with.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    name: String,
    workers: u32,
    seed: Option<u64>,
    profile: bool,
    slow: Option<Duration>,
    data: Data,
    zone: Option<ZoneConfig>,
    flows: Vec<Flow>,
}

/// What a node keeps, and how.
#[derive(Clone, Debug)]
struct Data {
    directory: Option<PathBuf>,
    snapshot_after: u64,
    segment_bytes: Option<u64>,
    tell: TellProgress,
}

impl NodeBuilder {
    /// Worker threads; one where nothing is said. Partitions are spread over them.
    pub fn workers(mut self, count: u32) -> Self {
        self.workers = count;
        self
    }

    /// Where `uuid()` and hash tables take their chance from; another for every run where nothing is said.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether the node counts what each operator of a flow's dataflow does: its activations and time, and what the
    /// channels between them carry. It is in [`Node::status`], and costs 1 to 2 us in every turn of a worker: a
    /// tenth of the rate of pipelined requests of one row, and little where requests have many.
    pub fn profile(mut self, wanted: bool) -> Self {
        self.profile = wanted;
        self
    }

    /// Requests that take at least so long inside the node are logged (through `tracing`, as warnings with target
    /// `anabranch`): what they asked, how many rows, how long they took, their trace; nothing of what is in the rows.
    pub fn slow_requests(mut self, at_least: Duration) -> Self {
        self.slow = Some(at_least);
        self
    }

    /// The directory where the node keeps what it does. What it has acknowledged is there when it starts again, with the
    /// flows that ran. A flow that is added here, too, may be a newer revision; an older one is passed over with a warning
    /// in the log, and a flow that was dropped is there again, without rows. Where nothing is said the node is in memory.
    ///
    /// ```
    /// # let directory = std::env::temp_dir().join(format!("anabranch-doc-{}", std::process::id()));
    /// use anabranch::{Flow, Node};
    /// use serde_json::json;
    ///
    /// let flow = Flow::parse("names.flow", anabranch::doc::NAMES)?;
    /// let node = Node::builder("A").data(&directory).flow(flow).start()?;
    /// node.client().ask("UpdateStream", &json!({ "name": "a", "value": "1" }))?;
    /// drop(node);
    ///
    /// let again = Node::builder("A").data(&directory).start()?;
    /// assert_eq!(again.flows()[0].name(), "names");
    /// let row = again.client().get("QueryTable", ["a"])?.expect("it was acknowledged");
    /// assert_eq!(row.to_string(), r#"{"name":"a","value":"1","createdon":"A"}"#);
    /// # drop(again);
    /// # std::fs::remove_dir_all(&directory).expect("it is there");
    /// # Ok::<(), anabranch::Error>(())
    /// ```
    pub fn data(mut self, directory: impl Into<PathBuf>) -> Self {
        self.data.directory = Some(directory.into());
        self
    }

    /// Bytes of journal after which the node takes a snapshot of itself, counted from the begin of the one before: 256
    /// MiB where nothing is said. Where the snapshot before is larger, its size counts instead. A node that starts reads
    /// the newest snapshot and the journal behind its begin; what lies before the last two is removed.
    pub fn snapshot_after(mut self, bytes: u64) -> Self {
        self.data.snapshot_after = bytes;
        self
    }

    /// Whom to tell how far it is while it starts from its data directory: on the thread that starts it, for every few
    /// MiB that were read.
    pub fn on_recovery(mut self, tell: impl Fn(RecoveryProgress) + Send + Sync + 'static) -> Self {
        self.data.tell = TellProgress::to(tell);
        self
    }

    /// Bytes of a segment of its journal, for tests.
    #[doc(hidden)]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.data.segment_bytes = Some(bytes);
        self
    }

    /// Makes it a node of a zone.
    pub fn zone(mut self, zone: ZoneConfig) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Adds a flow.
    pub fn flow(mut self, flow: Flow) -> Self {
        self.flows.push(flow);
        self
    }

    /// Starts the node.
    ///
    /// # Errors
    /// [`Error::Start`]: no worker or too many, a name that is empty, two flows of one name, or the operating system
    /// refuses a thread.
    pub fn start(self) -> Result<Node, Error> {
        self.check()?;
        let disk = self.data.directory.as_deref().map(open).transpose()?;
        self.start_over(disk)
    }

    /// Starts the node with its journal on any disk, for tests.
    #[doc(hidden)]
    pub fn start_on<D>(self, disk: D) -> Result<Node, Error>
    where
        D: Disk<File: Send> + Send + Sync + 'static,
    {
        self.check()?;
        self.start_over(Some(disk))
    }

    fn check(&self) -> Result<(), Error> {
        if self.workers == 0 || self.workers > WORKERS_MAX {
            let text = format!("it needs 1 to {WORKERS_MAX} workers, not {}", self.workers);
            return Err(Error::Start(text));
        }
        if check_name(&self.name).is_err() {
            let text =
                format!("its name is a word of at most {NAME_BYTES_MAX} bytes, which {:?} is not", self.name);
            return Err(Error::Start(text.chars().take(NAME_BYTES_MAX).collect()));
        }
        if let Some(zone) = &self.zone {
            zone.check()?;
            return Err(Error::Start("this build does not make zones yet; leave the zone out".to_owned()));
        }
        Ok(())
    }

    fn start_over<D: SharedDisk>(self, disk: Option<D>) -> Result<Node, Error> {
        let (slow, told) = match self.slow {
            Some(at_least) => {
                let (to, told) = bounded(SLOW_WAITING_MAX);
                (Some(TellSlow { micros: at_least.as_micros() as u64, to }), Some(told))
            }
            None => (None, None),
        };
        let (safe, door, entries) = match &disk {
            Some(_) => {
                // What clients may have under way bounds it; a worker never waits for the disk.
                let (to, entries) = unbounded();
                (Safe::none(self.workers), JournalDoor::to(to), entries)
            }
            None => (Safe::always(self.workers), JournalDoor::default(), never()),
        };
        let how = Start {
            node: &self.name,
            seed: self.seed.unwrap_or_else(os::seed),
            workers: self.workers,
            profile: self.profile,
            slow,
            safe: safe.clone(),
            journal: door.clone(),
        };
        let (doors, threads) = os::start(how).map_err(Error::Start)?;
        let core = Core {
            name: self.name,
            doors: Doors(doors),
            flows: Flows::none(door.clone()),
            clients: AtomicU64::new(0),
            latest: AtomicI64::new(0),
            load: NodeLoad::default(),
            journal: JournalWindow::default(),
            zone: ZoneWindow::default(),
        };
        // From here on what fails drops the node, which ends its threads.
        let threads = Mutex::new(Some(threads));
        let snapshots = SnapshotDoor::default();
        let mut node =
            Node { core: Arc::new(core), threads, slow: None, door, snapshots, asides: Vec::new() };
        let core = node.core.clone();
        if let Some(disk) = disk {
            node.recover(Arc::new(disk), &self.data, safe, entries)?;
        }
        core.flows.start(self.flows, &core.doors)?;
        let logs = |told| {
            let catalog = core.flows.catalog().clone();
            os::spawn_aside("anabranch-slow", move || log::slow_requests(&told, &catalog))
        };
        let slow = told.map(logs).transpose();
        node.slow = slow.map_err(|error| Error::Start(format!("no thread for its log: {error}")))?;
        log::started(&core.name, self.workers);
        Ok(node)
    }
}

/// Takes a data directory.
fn open(directory: &Path) -> Result<DirectoryDisk, Error> {
    DirectoryDisk::lock(directory).map_err(|error| Error::Start(error.to_string()))
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
        NodeBuilder {
            name: name.to_owned(),
            workers: 1,
            seed: None,
            profile: false,
            slow: None,
            data: Data {
                directory: None,
                snapshot_after: SNAPSHOT_AFTER_BYTES,
                segment_bytes: None,
                tell: TellProgress::default(),
            },
            zone: None,
            flows: Vec::new(),
        }
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
        crate::net::Server::start(self.core.clone(), listen)
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
        // A worker that is gone has nothing to answer.
        let _ = self.core.doors.ask(Command::Drain);
        self.core.doors.tell(|| Command::Stop);
        let joined = threads.join().map_err(|why| Error::Start(format!("a worker panicked: {why}")));
        self.door.stop();
        self.slow.take().into_iter().chain(self.asides.drain(..)).for_each(Aside::wait);
        log::stopped(&self.core.name);
        joined
    }
}

impl Core {
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
        self.flows.deploy(flow, &self.doors)
    }

    /// Drops a flow with its rows.
    pub(crate) fn drop_flow(&self, name: &str) -> Result<(), Error> {
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

    pub(crate) fn zone(&self) -> &ZoneWindow {
        &self.zone
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
