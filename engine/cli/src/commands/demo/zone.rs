//! The two nodes and the witness: processes of this program.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use anabranch::{Client, ConnectOptions, NodeState, PartitionState, ReplicaMode, ZoneStatus};

use super::lines::FLOW;
use crate::failure::Failure;
use crate::os::child::ChildProcess;
use crate::{os, output};

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(30);

/// How often it is asked how the zone stands.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Lines of what nodes said that are shown when something went wrong.
const SAID_LINES: usize = 20;

/// The processes.
pub(super) struct Zone {
    directory: PathBuf,
    members: [Member; 3],
    stopped: Arc<AtomicBool>,
}

struct Member {
    name: &'static str,
    /// Where it listens, once it has been started.
    address: Option<String>,
    process: Option<ChildProcess>,
}

impl Zone {
    /// Nothing is started yet.
    ///
    /// # Errors
    /// There is no place for its files.
    pub(super) fn new() -> Result<Zone, Failure> {
        let directory = std::env::temp_dir().join(format!("anabranch-demo-{}", std::process::id()));
        let failed = |error| Failure::file("write", &directory.display().to_string(), &error);
        os::make_directory(&directory).map_err(failed)?;
        os::create(&directory.join("inventory.flow"), FLOW).map_err(failed)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let asked = stopped.clone();
        os::on_stop_signal(move || asked.store(true, Ordering::Relaxed)).map_err(failed)?;
        let member = |name| Member { name, address: None, process: None };
        Ok(Zone { directory, members: ["A", "B", "W"].map(member), stopped })
    }

    /// Starts a member and waits until it is ready. The first founds the zone, the others join those that are known.
    ///
    /// # Errors
    /// It does not get ready.
    pub(super) fn start(&mut self, name: &str) -> Result<(), Failure> {
        let known = self.members.iter().filter(|member| member.name != name);
        let joins: Vec<String> = known
            .filter_map(|member| member.address.clone())
            .flat_map(|address| ["--join".to_owned(), address])
            .collect();
        let listen = self.member(name).address.clone().unwrap_or_else(|| "127.0.0.1:0".to_owned());
        let kind: &[&str] = if name == "W" { &["witness"] } else { &["run", "inventory.flow"] };
        let words = kind.iter().copied().chain(["--node", name, "--zone", "demo", "--listen", &listen]);
        let words: Vec<String> = words.map(str::to_owned).chain(joins).collect();
        let started = ChildProcess::start(&words, &self.directory, &format!("{name}.said"));
        let mut process =
            started.map_err(|error| Failure::world(format!("cannot start {name} as a process: {error}")))?;
        let line = process.line(WITHIN).unwrap_or_default();
        let address = line.split(' ').find_map(|word| word.strip_prefix("listen="));
        let Some(address) = address.filter(|_| line.starts_with("ready ")) else {
            return Err(Failure::world(format!("{name} does not get ready; it says {line:?}")));
        };
        let member = self.member(name);
        member.address = Some(address.to_owned());
        member.process = Some(process);
        Ok(())
    }

    /// Kills a member.
    ///
    /// # Errors
    /// It has ended by itself.
    pub(super) fn kill(&mut self, name: &str) -> Result<(), Failure> {
        self.check()?;
        match self.member(name).process.take() {
            Some(process) => process
                .kill()
                .map_err(|error| Failure::world(format!("cannot kill the process of {name}: {error}"))),
            None => Ok(()),
        }
    }

    fn member(&mut self, name: &str) -> &mut Member {
        let at = self.members.iter().position(|member| member.name == name).unwrap_or_default();
        &mut self.members[at]
    }

    /// A client that begins at a node and goes to the other where it loses that.
    ///
    /// # Errors
    /// Neither can be reached.
    pub(super) fn client(&self, name: &str) -> Result<Client, Failure> {
        let (own, others): (Vec<&Member>, Vec<&Member>) =
            self.members.iter().filter(|member| member.name != "W").partition(|member| member.name == name);
        let mut addresses = own.into_iter().chain(others).filter_map(|member| member.address.as_deref());
        let first = ConnectOptions::new(addresses.next().unwrap_or_default()).reconnect_within(WITHIN);
        Ok(addresses.fold(first, ConnectOptions::also).connect()?)
    }

    /// How the zone stands, as a node that runs tells.
    pub(super) fn standing(&self) -> Option<ZoneStatus> {
        let runs = |member: &&Member| member.process.is_some() && member.name != "W";
        let member = self.members.iter().find(runs)?;
        ConnectOptions::new(member.address.as_deref()?).connect().ok()?.zone().ok()?
    }

    /// Waits until each row is on both nodes.
    ///
    /// # Errors
    /// It does not come about.
    pub(super) fn whole(&mut self) -> Result<ZoneStatus, Failure> {
        self.until("that all rows are on both nodes", is_whole)
    }

    /// Waits until, besides, both nodes own as much.
    ///
    /// # Errors
    /// It does not come about.
    pub(super) fn shared_evenly(&mut self) -> Result<ZoneStatus, Failure> {
        let even = |standing: &ZoneStatus| is_whole(standing) && owned(standing, "A") == owned(standing, "B");
        self.until("that both nodes own as much", even)
    }

    fn until(&mut self, what: &str, is: impl Fn(&ZoneStatus) -> bool) -> Result<ZoneStatus, Failure> {
        let began = os::now();
        loop {
            match self.standing() {
                Some(standing) if is(&standing) => return Ok(standing),
                _ if os::now() - began > WITHIN => {
                    let text = format!("this does not come about within {} s: {what}", WITHIN.as_secs());
                    return Err(Failure::wrong(text));
                }
                _ => self.wait(LOOK_EVERY)?,
            }
        }
    }

    /// Waits some time.
    ///
    /// # Errors
    /// A process has ended by itself meanwhile, or Ctrl-C was pressed.
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), Failure> {
        let (_keeps, nothing) = channel::<()>();
        let _ = nothing.recv_timeout(time);
        self.check()
    }

    fn check(&mut self) -> Result<(), Failure> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Failure::world("stopped before its end"));
        }
        for member in &mut self.members {
            if member.process.as_mut().is_some_and(ChildProcess::has_ended) {
                return Err(Failure::wrong(format!("the process of {} ended by itself", member.name)));
            }
        }
        Ok(())
    }

    /// Shows what nodes said, and where all of it is.
    pub(super) fn show(&self) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        for member in &self.members {
            let file = self.directory.join(format!("{}.said", member.name)).display().to_string();
            let said = os::read(&file).unwrap_or_default();
            let said = String::from_utf8_lossy(&said).into_owned();
            let lines: Vec<&str> = said.lines().collect();
            output::message(&format!("--- {} said ({file}):", member.name));
            lines[lines.len().saturating_sub(SAID_LINES)..].iter().for_each(|line| output::message(line));
        }
    }

    /// Ends all and takes the files away.
    ///
    /// # Errors
    /// They cannot be taken away.
    pub(super) fn clean(mut self) -> Result<(), Failure> {
        self.members.iter_mut().for_each(|member| drop(member.process.take()));
        os::remove_directory(&self.directory)
            .map_err(|error| Failure::file("remove", &self.directory.display().to_string(), &error))
    }
}

/// Partitions that a node owns.
pub(super) fn owned(standing: &ZoneStatus, name: &str) -> usize {
    let owns = |owner: &Option<String>| owner.as_deref() == Some(name);
    standing.partitions.iter().filter(|partition| owns(&partition.active_node)).count()
}

/// Whether three members are there with their votes, and each partition is served by one node and in sync on the other.
fn is_whole(standing: &ZoneStatus) -> bool {
    let up = standing.nodes.iter().filter(|node| node.state == NodeState::Up).count();
    let in_sync = standing.partitions.iter().all(|partition| {
        let copies = partition.replicas.iter().filter(|copy| copy.mode == ReplicaMode::Synchronous).count();
        partition.state == PartitionState::Active && copies == 1
    });
    up == 3 && standing.votes_up == 3 && in_sync && !standing.partitions.is_empty()
}
