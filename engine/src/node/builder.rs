//! What a node starts with, and how it comes to run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anabranch_log::Disk;
use crossbeam_channel::{bounded, never, unbounded};

use super::{Core, Node, SLOW_WAITING_MAX, WORKERS_MAX};
use crate::deploy::Flows;
use crate::doors::Doors;
use crate::error::Error;
use crate::flow::Flow;
use crate::journal::{JournalDoor, JournalWindow};
use crate::load::NodeLoad;
use crate::log;
use crate::measures::TellSlow;
use crate::name::{NAME_BYTES_MAX, check_name};
#[cfg(feature = "net")]
use crate::net::zone::ZonePart;
use crate::os::disk::DirectoryDisk;
use crate::os::journal::SharedDisk;
use crate::os::{self, Start};
use crate::recovery::{RecoveryProgress, TellProgress};
use crate::safe::Safe;
use crate::snapshot::{SNAPSHOT_AFTER_BYTES, SnapshotDoor};
use crate::zone_config::ZoneConfig;
use crate::zone_window::ZoneWindow;

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
pub(super) struct Data {
    pub(super) directory: Option<PathBuf>,
    pub(super) snapshot_after: u64,
    pub(super) segment_bytes: Option<u64>,
    pub(super) tell: TellProgress,
}

impl NodeBuilder {
    pub(super) fn new(name: &str) -> Self {
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
            if self.data.directory.is_some() {
                let text = "a node of a zone keeps nothing on its disk yet; leave the data directory out, other nodes have copies";
                return Err(Error::Start(text.to_owned()));
            }
            #[cfg(not(feature = "net"))]
            return Err(Error::Start(
                "this build has no network, so no zones; leave the zone out".to_owned(),
            ));
        }
        Ok(())
    }

    fn start_over<D: SharedDisk>(mut self, disk: Option<D>) -> Result<Node, Error> {
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
        #[cfg(feature = "net")]
        let (part, in_zone) =
            self.zone.take().map(|zone| ZonePart::new(zone, &self.name, self.workers)).unzip();
        let clock = os::clock();
        let how = Start {
            node: &self.name,
            seed: self.seed.unwrap_or_else(os::seed),
            workers: self.workers,
            profile: self.profile,
            slow,
            safe: safe.clone(),
            journal: door.clone(),
            clock,
            #[cfg(feature = "net")]
            zone: in_zone,
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
            #[cfg(feature = "net")]
            part,
            clock,
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
        #[cfg(feature = "net")]
        let flows = core.begin_zone(self.flows);
        #[cfg(not(feature = "net"))]
        let flows = self.flows;
        core.flows.start(flows, &core.doors)?;
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
