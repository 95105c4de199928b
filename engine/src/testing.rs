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
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::message::WorkerId;
use anabranch_model::stamp::MICROS_MAX;
use anabranch_operators::{Worker, WorkerConfig};
use crossbeam_channel::unbounded;

use crate::catalog::Catalog;
use crate::client::Client;
use crate::driver::{Command, Driver};
use crate::egress::Outlet;
use crate::error::Error;
use crate::flow::Flow;
use crate::link::Here;
use crate::load::NodeLoad;
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
    stage: Rc<RefCell<Stage>>,
    catalog: Arc<Catalog>,
    clients: Cell<u64>,
    load: NodeLoad,
}

impl TestNode {
    /// A node called `name` that runs these flows; `seed` is where `uuid()` takes its chance from.
    ///
    /// # Errors
    /// [`Error::Start`] when two flows have one name.
    pub fn start(name: &str, seed: u64, flows: Vec<Flow>) -> Result<Self, Error> {
        let catalog = Catalog::new(flows.iter().map(|flow| flow.plan().clone()).collect())?;
        let config = WorkerConfig { node: name.into(), seed, started: None };
        let mut driver = Driver::new(Worker::alone(&config));
        for (id, plan) in catalog.flows() {
            driver.handle(Command::Install(id, plan.clone()));
        }
        Ok(TestNode {
            name: name.to_owned(),
            stage: Rc::new(RefCell::new(Stage { driver, now: CLOCK_START })),
            catalog: Arc::new(catalog),
            clients: Cell::new(0),
            load: NodeLoad::default(),
        })
    }

    /// A client of this node.
    pub fn client(&self) -> Client<Here> {
        let id = self.clients.get() + 1;
        self.clients.set(id);
        let (sender, answers) = unbounded();
        self.stage.borrow_mut().handle(Command::Connect(id, Outlet::Channel(sender)));
        let link = Here { stage: self.stage.clone(), answers };
        Client::new(link, self.catalog.clone(), id, WorkerId(0), self.load.clone())
    }

    /// The time on the node's clock, in microseconds since 1970 UTC.
    pub fn now(&self) -> i64 {
        self.stage.borrow().now
    }

    /// Lets time pass; the clock stands still when it has come to the year 2112.
    pub fn advance(&self, by: Duration) {
        let mut stage = self.stage.borrow_mut();
        let then = stage.now.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX));
        stage.now = then.min(MICROS_MAX);
        stage.turn();
    }

    /// A subscription to an output stream, or to a flow's refused rows (`errors` or `flow.errors`).
    ///
    /// # Errors
    /// There is no such output.
    pub fn subscribe(&self, output: &str) -> Result<Subscription, Error> {
        let (publisher, subscription) = self.catalog.subscription(output)?;
        let (sender, _taken) = unbounded();
        self.stage.borrow_mut().handle(Command::Subscribe(publisher, sender));
        Ok(subscription)
    }

    /// Counts and sizes.
    pub fn status(&self) -> NodeStatus {
        let ask = |id| {
            let (sender, answer) = unbounded();
            self.stage.borrow_mut().handle(Command::Status(id, sender));
            answer.try_iter().flatten().collect()
        };
        NodeStatus::collect(&self.name, 1, &self.catalog, ask)
    }
}
