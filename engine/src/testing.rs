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

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use anabranch_model::message::WorkerId;
use anabranch_model::stamp::MICROS_MAX;
use anabranch_operators::{Worker, WorkerConfig};
use crossbeam_channel::{Sender, TryRecvError, unbounded};

use crate::client::Client;
use crate::deploy::{Deployed, Flows, SharedCatalog, Workers};
use crate::driver::{Command, Driver};
use crate::egress::Outlet;
use crate::error::Error;
use crate::flow::Flow;
use crate::journal::JournalDoor;
use crate::link::Here;
use crate::load::NodeLoad;
use crate::safe::Safe;
use crate::status::NodeStatus;
use crate::subscription::Subscription;

/// Where the clock of a test begins: 2000-01-01T00:00:00Z, in microseconds since 1970 UTC.
pub const CLOCK_START: i64 = 946_684_800_000_000;

/// A worker and its clock.
pub struct Stage {
    driver: Driver,
    now: i64,
}

impl Stage {
    pub(crate) fn handle(&mut self, command: Command) {
        self.driver.handle(command);
    }

    pub(crate) fn turn(&mut self) {
        self.driver.turn(self.now);
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

/// A node in one thread. Same flows, same seed, same requests: same answers.
#[derive(Debug)]
pub struct TestNode {
    name: String,
    stage: OneWorker,
    flows: Flows,
    clients: Cell<u64>,
    load: NodeLoad,
}

impl TestNode {
    /// A node called `name` that runs these flows; `seed` is where `uuid()` takes its chance from.
    ///
    /// # Errors
    /// [`Error::Start`] when two flows have one name.
    pub fn start(name: &str, seed: u64, flows: Vec<Flow>) -> Result<Self, Error> {
        let config = WorkerConfig { node: name.into(), seed, clock: None, profile: false, records: false };
        let driver = Driver::new(Worker::alone(&config), None, Safe::always(1), JournalDoor::default());
        let stage = OneWorker(Rc::new(RefCell::new(Stage { driver, now: CLOCK_START })));
        let installed = Flows::none(JournalDoor::default());
        installed.start(flows, &stage)?;
        let flows = installed;
        Ok(TestNode { name: name.to_owned(), stage, flows, clients: Cell::new(0), load: NodeLoad::default() })
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
        NodeStatus::collect(&self.name, 1, false, &self.flows.catalog().load(), ask)
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
                Err(TryRecvError::Empty) => self.0.borrow_mut().turn(),
                Err(TryRecvError::Disconnected) => return Err(Error::Stopped),
            }
        }
    }

    fn count(&self) -> usize {
        1
    }

    fn tell_one(&self, _: usize, command: Command) {
        self.0.borrow_mut().handle(command);
    }
}
