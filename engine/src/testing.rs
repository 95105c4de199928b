//! A node in one thread, with a clock that stands still until it is told: for tests of flows.
//!
//! ```
//! use std::time::Duration;
//! use anabranch::{Flow, testing::TestNode};
//!
//! let flow = Flow::parse("clock.flow", "
//!     flow clock revision 1
//!     input  Ask: { name: text }
//!     output Told: { at: time }
//!     on Ask as a { reply Told { at: now() } }
//! ")?;
//! let node = TestNode::start("A", 1, vec![flow])?;
//! let mut client = node.client();
//! let before = client.ask("Ask", &serde_json::json!({ "name": "x" }))?;
//! node.advance(Duration::from_secs(60));
//! let after = client.ask("Ask", &serde_json::json!({ "name": "x" }))?;
//! assert_eq!(before[0].row.to_string(), r#"{"at":"2000-01-01T00:00:00Z"}"#);
//! assert_eq!(after[0].row.to_string(), r#"{"at":"2000-01-01T00:01:00Z"}"#);
//! # Ok::<(), anabranch::Error>(())
//! ```

#[cfg(feature = "net")]
mod zone;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use anabranch_log::{Config, Disk};
use anabranch_model::message::WorkerId;
use anabranch_model::stamp::MICROS_MAX;
use anabranch_operators::{Worker, WorkerConfig};
use crossbeam_channel::{Sender, TryRecvError, unbounded};

#[cfg(feature = "net")]
#[doc(hidden)]
pub use self::zone::{ZoneHello, ZoneNode, ZoneOut, ZoneStart};
use crate::client::Client;
use crate::deploy::{Deployed, Flows, SharedCatalog, Workers};
use crate::driver::{Command, Driver};
use crate::egress::Outlet;
use crate::error::Error;
use crate::flow::Flow;
use crate::journal::{Entry, JournalDoor, Keeper, Keeping};
use crate::link::Here;
use crate::load::NodeLoad;
#[doc(hidden)]
pub use crate::planted::Planted;
use crate::recovery::{Recovery, TellProgress, recover};
use crate::safe::Safe;
use crate::snapshot::{Due, Handover, SnapshotDoor, Snapshots, Told};
use crate::status::NodeStatus;
use crate::subscription::Subscription;

/// Where the clock of a test begins: 2000-01-01T00:00:00Z, in microseconds since 1970 UTC.
pub const CLOCK_START: i64 = 946_684_800_000_000;

/// Turns without an answer after which it is the journal that is waited for: a request passes through the dataflow in
/// one turn, a newer revision takes a few.
const TURNS_ALONE: u32 = 4;

/// Bytes of a piece of a snapshot: few, so that much happens between two of them.
const PIECE_BYTES: usize = 1024;

/// Bytes of journal after which a node that is driven by hand would make a snapshot by itself: it never does.
const SNAPSHOT_AFTER_BYTES: u64 = 1 << 60;

/// A worker with its clock, and its journal if it has one.
pub struct Stage {
    driver: Driver,
    now: i64,
    journal: Option<Journal>,
    /// Turns since something last came out.
    idle: u32,
}

/// A journal that is driven by hand.
struct Journal {
    /// Given the time.
    commit: Box<dyn FnMut(i64) -> Keeping>,
    entries: Sender<Entry>,
}

impl Stage {
    pub(crate) fn handle(&mut self, command: Command) {
        self.driver.handle(command);
    }

    pub(crate) fn turn(&mut self) {
        let busy = self.driver.turn(self.now);
        self.idle = if busy { 0 } else { self.idle.saturating_add(1) };
    }

    /// Does what there is to do for somebody who waits.
    pub(crate) fn go_on(&mut self) {
        self.turn();
        if self.idle >= TURNS_ALONE {
            self.idle = 0;
            self.wait_for_commit();
        }
    }

    fn commit(&mut self) -> Option<Keeping> {
        self.journal.as_mut().map(|journal| (journal.commit)(self.now))
    }

    /// Somebody waits: where the disk refuses they would for ever, so the journal gives up.
    fn wait_for_commit(&mut self) {
        if self.commit() == Some(Keeping::Halted)
            && let Some(journal) = &mut self.journal
        {
            // The journal has the other end.
            let _ = journal.entries.send(Entry::Stop);
            (journal.commit)(self.now);
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.now
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("now", &self.now).finish_non_exhaustive()
    }
}

type GoOn = dyn FnMut(&Flows, &OneWorker);

/// Snapshots that are driven by hand.
struct Hand {
    /// Does what they were told.
    go_on: RefCell<Box<GoOn>>,
    tell: Sender<Told>,
}

/// A node in one thread. Same flows, same seed, same requests: same answers.
pub struct TestNode {
    name: String,
    stage: OneWorker,
    flows: Flows,
    snapshots: Option<Hand>,
    clients: Cell<u64>,
    load: NodeLoad,
}

impl fmt::Debug for TestNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestNode").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TestNode {
    /// A node called `name` that runs these flows; `seed` is where `uuid()` takes its chance from.
    ///
    /// # Errors
    /// [`Error::Start`] when two flows have one name.
    pub fn start(name: &str, seed: u64, flows: Vec<Flow>) -> Result<Self, Error> {
        let config = WorkerConfig { node: name.into(), seed, clock: None, profile: false, records: false };
        let driver = Driver::new(Worker::alone(&config), None, Safe::always(1), JournalDoor::default());
        let node = TestNode::new(name, driver, JournalDoor::default());
        node.flows.start(flows, &node.stage)?;
        Ok(node)
    }

    /// A node over a journal, which is made where there is none: with the flows, rows and answers that the journal has. What
    /// it does from now on is kept by [`TestNode::commit`], and by calls that wait for something to be safe.
    ///
    /// ```
    /// use anabranch::{Flow, testing::TestNode};
    /// use anabranch_log::{Config, MemoryDisk};
    /// use serde_json::json;
    ///
    /// let disk = MemoryDisk::default();
    /// let node = TestNode::durable("A", 1, disk.clone(), Config::new([7; 16]))?;
    /// node.deploy(Flow::parse("names.flow", anabranch::doc::NAMES)?)?;
    /// let mut client = node.client();
    /// let mut batch = client.batch("UpdateStream")?;
    /// batch.push(&json!({ "name": "a", "value": "1" }))?;
    /// let ticket = client.submit(batch)?;
    /// assert!(client.try_next()?.is_none(), "it is done, and not safe");
    /// node.commit();
    /// assert_eq!(client.try_next()?.expect("it is safe").0, ticket);
    /// drop((client, node));
    ///
    /// let again = TestNode::durable("A", 2, disk, Config::new([7; 16]))?;
    /// assert!(again.client().get("QueryTable", ["a"])?.is_some());
    /// # Ok::<(), anabranch::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Start`]: what is wrong with the journal.
    pub fn durable<D>(name: &str, seed: u64, disk: D, config: Config) -> Result<Self, Error>
    where
        D: Disk<File: 'static> + Clone + 'static,
    {
        TestNode::planted(name, seed, disk, config, Planted::None)
    }

    /// As [`TestNode::durable`], with a bug.
    ///
    /// # Errors
    /// As there.
    #[doc(hidden)]
    pub fn planted<D>(name: &str, seed: u64, disk: D, config: Config, planted: Planted) -> Result<Self, Error>
    where
        D: Disk<File: 'static> + Clone + 'static,
    {
        let worker = WorkerConfig { node: name.into(), seed, clock: None, profile: false, records: true };
        let (entries, taken) = unbounded();
        let (safe, door) = (Safe::none(1).with(planted), JournalDoor::to(entries.clone()));
        let driver = Driver::new(Worker::alone(&worker), None, safe.clone(), door.clone());
        let mut node = TestNode::new(name, driver.piece_bytes(PIECE_BYTES), door.clone());
        let recovery = Recovery::new(&node.flows, &node.stage, TellProgress::default());
        let (writer, recovered) = recover(&disk, config, recovery.planted(planted))?;

        let due = Due::new(recovered.record_bytes, SNAPSHOT_AFTER_BYTES);
        let (tell, told) = unbounded();
        let handover = Handover::new(SnapshotDoor::to(tell.clone()), due.clone());
        let mut keeper = Keeper::new(writer, safe, handover).spares_aside().counts_on(node.flows.before());
        let aside = disk.clone();
        let commit = Box::new(move |now| {
            keeper.set_now(now);
            keeper.take(taken.try_iter());
            loop {
                let keeping = keeper.commit();
                if let Some(order) = keeper.order_spare() {
                    keeper.put_spare(order.make(&aside));
                }
                if keeping != Keeping::Lacking {
                    return keeping;
                }
            }
        });
        node.stage.0.borrow_mut().journal = Some(Journal { commit, entries });
        let mut snapshots = Snapshots::new(disk, door, due, SNAPSHOT_AFTER_BYTES);
        let go_on = move |flows: &Flows, worker: &OneWorker| {
            for told in told.try_iter() {
                snapshots.handle(told, flows, worker);
            }
        };
        node.snapshots = Some(Hand { go_on: RefCell::new(Box::new(go_on)), tell });
        Ok(node)
    }

    fn new(name: &str, driver: Driver, journal: JournalDoor) -> Self {
        let stage = Stage { driver, now: CLOCK_START, journal: None, idle: 0 };
        TestNode {
            name: name.to_owned(),
            stage: OneWorker(Rc::new(RefCell::new(stage))),
            flows: Flows::none(journal),
            snapshots: None,
            clients: Cell::new(0),
            load: NodeLoad::default(),
        }
    }

    /// Writes and syncs what was done, so that it is safe; nothing on a node without a journal. False where the disk
    /// refuses a segment: call it again when it has space.
    pub fn commit(&self) -> bool {
        let keeping = self.stage.0.borrow_mut().commit();
        if let Some(Hand { go_on, .. }) = &self.snapshots {
            go_on.borrow_mut()(&self.flows, &self.stage);
        }
        keeping != Some(Keeping::Halted)
    }

    /// Begins a snapshot, which goes on with every [`TestNode::commit`]; nothing on a node without a journal.
    pub fn snapshot(&self) {
        if let Some(Hand { tell, .. }) = &self.snapshots {
            // The other end is here, too.
            let _ = tell.send(Told::Wanted(None));
        }
    }

    /// A client of this node.
    pub fn client(&self) -> Client<Here> {
        let id = self.clients.get() + 1;
        self.clients.set(id);
        let (sender, answers) = unbounded();
        self.stage.0.borrow_mut().handle(Command::Connect(id, Outlet::Channel(sender)));
        let link = Here { stage: self.stage.0.clone(), answers };
        Client::new(link, self.flows.catalog().clone(), id, WorkerId(0), self.load.clone())
    }

    /// The time on the node's clock, in microseconds since 1970 UTC.
    pub fn now(&self) -> i64 {
        self.stage.0.borrow().now
    }

    /// Lets time pass; the clock stands still when it has come to the year 2112.
    pub fn advance(&self, by: Duration) {
        let mut stage = self.stage.0.borrow_mut();
        let then = stage.now.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
        stage.now = then.min(MICROS_MAX);
        stage.turn();
    }

    /// A subscription to an output stream, or to a flow's refused rows (`errors` or `flow.errors`).
    ///
    /// # Errors
    /// There is no such output.
    pub fn subscribe(&self, output: &str) -> Result<Subscription, Error> {
        self.flows.subscribe(output, &self.stage)
    }

    /// As [`crate::Node::deploy`].
    ///
    /// # Errors
    /// As there.
    pub fn deploy(&self, flow: Flow) -> Result<Deployed, Error> {
        self.flows.deploy(flow, &self.stage)
    }

    /// As [`crate::Node::drop_flow`].
    ///
    /// # Errors
    /// There is no such flow.
    pub fn drop_flow(&self, name: &str) -> Result<(), Error> {
        self.flows.drop_flow(name, &self.stage)
    }

    /// The flows that run, in the order in which they were installed.
    pub fn flows(&self) -> Vec<Flow> {
        self.flows.catalog().load().flows().map(|(_, flow)| flow.clone()).collect()
    }

    pub(crate) fn catalog(&self) -> &SharedCatalog {
        self.flows.catalog()
    }

    /// Counts and sizes.
    pub fn status(&self) -> NodeStatus {
        let ask = |id| {
            let parts = self.stage.ask(|answer| Command::Status(id, answer));
            parts.unwrap_or_default().into_iter().flatten().collect()
        };
        NodeStatus::collect(&self.name, 1, None, &self.flows, ask)
    }
}

/// The only worker of a node.
#[derive(Debug)]
struct OneWorker(Rc<RefCell<Stage>>);

impl Workers for OneWorker {
    fn ask<T>(&self, command: impl Fn(Sender<T>) -> Command) -> Result<Vec<T>, Error> {
        let (sender, answers) = unbounded();
        self.0.borrow_mut().handle(command(sender));
        loop {
            match answers.try_recv() {
                Ok(answer) => return Ok(vec![answer]),
                Err(TryRecvError::Empty) => self.0.borrow_mut().go_on(),
                Err(TryRecvError::Disconnected) => return Err(Error::Stopped),
            }
        }
    }

    fn now(&self) -> i64 {
        self.0.borrow().now
    }

    fn count(&self) -> usize {
        1
    }

    fn tell_one(&self, _: usize, command: Command) {
        self.0.borrow_mut().handle(command);
    }

    fn commit(&self) {
        self.0.borrow_mut().wait_for_commit();
    }
}
