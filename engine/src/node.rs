//! A node inside a host application.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anabranch_model::message::{FlowId, WorkerId};
use anabranch_operators::WorkerThreads;
use crossbeam_channel::{bounded, unbounded};

use crate::catalog::Catalog;
use crate::client::Client;
use crate::driver::Command;
use crate::egress::Outlet;
use crate::error::Error;
use crate::flow::Flow;
use crate::link::{Connection, Threads};
use crate::load::NodeLoad;
use crate::os::{self, Door};
use crate::status::NodeStatus;
use crate::subscription::Subscription;

/// Worker threads of a node, at most.
pub const WORKERS_MAX: u32 = 256;

/// Bytes of the name of a node, at most: it stands in rows (`node()`), in messages and in lists.
pub const NAME_BYTES_MAX: usize = 255;

/// A running node. It stops when it is dropped.
pub struct Node {
    core: Arc<Core>,
    /// Behind a lock because timely's guards may be used from one thread only; taken once, at the end.
    threads: Mutex<Option<WorkerThreads>>,
}

/// What whoever serves clients of a node shares: the ways to its workers, and what it runs.
pub(crate) struct Core {
    name: String,
    doors: Vec<Door>,
    catalog: Arc<Catalog>,
    clients: AtomicU64,
    load: NodeLoad,
}

/// What a node starts with.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    name: String,
    workers: u32,
    seed: Option<u64>,
    flows: Vec<Flow>,
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
        if self.workers == 0 || self.workers > WORKERS_MAX {
            let text = format!("it needs 1 to {WORKERS_MAX} workers, not {}", self.workers);
            return Err(Error::Start(text));
        }
        let odd = |sign: char| sign.is_whitespace() || sign.is_control();
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || self.name.contains(odd) {
            let text =
                format!("its name is a word of at most {NAME_BYTES_MAX} bytes, which {:?} is not", self.name);
            return Err(Error::Start(text.chars().take(NAME_BYTES_MAX).collect()));
        }
        let catalog = Catalog::new(self.flows.iter().map(|flow| flow.plan().clone()).collect())?;
        let seed = self.seed.unwrap_or_else(os::seed);
        let (doors, threads) = os::start(&self.name, seed, self.workers).map_err(Error::Start)?;
        for door in &doors {
            for (id, plan) in catalog.flows() {
                door.send(Command::Install(id, plan.clone()));
            }
        }
        let core = Core {
            name: self.name,
            doors,
            catalog: Arc::new(catalog),
            clients: AtomicU64::new(0),
            load: NodeLoad::default(),
        };
        Ok(Node { core: Arc::new(core), threads: Mutex::new(Some(threads)) })
    }
}

impl Node {
    /// A node to be, called `name`.
    pub fn builder(name: &str) -> NodeBuilder {
        NodeBuilder { name: name.to_owned(), workers: 1, seed: None, flows: Vec::new() }
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
        Client::new(link, self.core.catalog.clone(), id, worker, self.core.load.clone())
    }

    /// A subscription to an output stream (`OutputStream` or `names.OutputStream`), or to a flow's refused rows
    /// (`errors` or `names.errors`), from now on.
    ///
    /// # Errors
    /// There is no such output, or the node has stopped.
    pub fn subscribe(&self, output: &str) -> Result<Subscription, Error> {
        self.core.subscribe(output)
    }

    /// Counts and sizes, as the workers know them now.
    pub fn status(&self) -> NodeStatus {
        self.core.status()
    }

    /// Serves clients over the network until the server is dropped.
    ///
    /// # Errors
    /// [`Error::Listen`]: an address cannot be had.
    #[cfg(feature = "net")]
    pub fn serve(&self, listen: &crate::net::Listen) -> Result<crate::net::Server, Error> {
        crate::net::Server::start(self.core.clone(), listen)
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
        let (sender, drained) = bounded(self.core.doors.len());
        self.core.tell_all(|| Command::Drain(sender.clone()));
        drop(sender);
        // Ends when every worker has said so, or is gone.
        drained.iter().for_each(drop);
        self.core.tell_all(|| Command::Stop);
        threads.join().map_err(|why| Error::Start(format!("a worker panicked: {why}")))
    }
}

impl Core {
    /// The node's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The ways to the workers, by worker.
    pub(crate) fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// The flows as they are now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.clone()
    }

    /// What is under way on the whole node.
    pub(crate) fn load(&self) -> NodeLoad {
        self.load.clone()
    }

    /// A client that is about to ask at a worker: its number, the worker and the way there.
    pub(crate) fn connect(&self, answers: Outlet) -> (u64, WorkerId, Door) {
        let id = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        let worker = (id % self.doors.len() as u64) as usize;
        let door = self.doors[worker].clone();
        door.send(Command::Connect(id, answers));
        (id, WorkerId(worker as u32), door)
    }

    /// A subscription to an output stream (`OutputStream` or `names.OutputStream`), or to a flow's refused rows
    /// (`errors` or `names.errors`), from now on.
    ///
    /// # Errors
    /// There is no such output, or the node has stopped.
    pub(crate) fn subscribe(&self, output: &str) -> Result<Subscription, Error> {
        let (publisher, subscription) = self.catalog.subscription(output)?;
        let (sender, taken) = bounded(self.doors.len());
        self.tell_all(|| Command::Subscribe(publisher.clone(), sender.clone()));
        drop(sender);
        // Only when every worker has it does the subscription bring all that is sent from now on.
        match taken.iter().count() == self.doors.len() {
            true => Ok(subscription),
            false => Err(Error::Stopped),
        }
    }

    /// Counts and sizes, as the workers know them now.
    pub(crate) fn status(&self) -> NodeStatus {
        let ask = |id| {
            let (sender, answers) = bounded(self.doors.len());
            self.tell_all(|| Command::Status(id, sender.clone()));
            drop(sender);
            answers.iter().flatten().collect()
        };
        NodeStatus::collect(&self.name, self.doors.len() as u32, &self.catalog, ask)
    }

    /// Whether every worker answers.
    #[cfg(feature = "net")]
    pub(crate) fn answers(&self) -> bool {
        let (sender, answers) = bounded(self.doors.len());
        self.tell_all(|| Command::Status(FlowId(u32::MAX), sender.clone()));
        drop(sender);
        answers.iter().count() == self.doors.len()
    }

    /// Sends a command to every worker; one that has ended needs not be told.
    fn tell_all(&self, command: impl Fn() -> Command) {
        for door in &self.doors {
            door.send(command());
        }
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
            .field("workers", &self.core.doors.len())
            .finish_non_exhaustive()
    }
}
