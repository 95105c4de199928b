//! The nodes of a zone as processes: started, joined, standing still, killed, started again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anabranch::{Client, ConnectOptions, Error};
use serde_json::Value;

use crate::process::{Failure, Process};

/// How long a node may take to be ready.
pub const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often it is asked how a zone stands.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a node may take to tell: one that stands still is passed over.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has rows.
    Data,
    /// It has a vote.
    Witness,
}

/// A member of a zone.
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its workers, where it has rows.
    pub workers: u64,
    /// Where it listens, in all its lives.
    pub address: String,
    was_started: bool,
    process: Option<Process>,
}

/// The nodes of a zone.
pub struct Members {
    program: PathBuf,
    /// Where they have their files.
    directory: PathBuf,
    /// The file with the flow.
    flow: PathBuf,
    /// Whether they keep what they do.
    data: bool,
    /// More options of nodes with rows.
    options: Vec<String>,
    members: Vec<Member>,
}

impl Members {
    /// No member yet; nodes run `flow`, and keep what they do in `directory` where `data` says so.
    pub fn new(program: &Path, directory: &Path, flow: &Path, data: bool) -> Self {
        Members {
            program: program.to_owned(),
            directory: directory.to_owned(),
            flow: flow.to_owned(),
            data,
            options: Vec::new(),
            members: Vec::new(),
        }
    }

    /// More options of nodes with rows.
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    /// A member more, which does not run yet.
    pub fn with(mut self, name: &str, role: Role) -> Self {
        let (name, address) = (name.to_owned(), free_address());
        self.members.push(Member { name, role, workers: 1, address, was_started: false, process: None });
        self
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// One of them.
    pub fn member(&mut self, at: usize) -> &mut Member {
        &mut self.members[at]
    }

    /// Whether it runs.
    pub fn runs(&self, at: usize) -> bool {
        self.members[at].process.is_some()
    }

    /// Whether it has rows.
    pub fn has_rows(&self, at: usize) -> bool {
        self.members[at].role == Role::Data
    }

    /// Where the nodes with rows listen, or would.
    pub fn addresses(&self) -> Vec<String> {
        let data = self.members.iter().filter(|member| member.role == Role::Data);
        data.filter(|member| member.was_started).map(|member| member.address.clone()).collect()
    }

    /// The numbers of the processes that run.
    pub fn ids(&self) -> Vec<u32> {
        self.members.iter().filter_map(|member| Some(member.process.as_ref()?.id())).collect()
    }

    /// Starts a member, which joins the others that have been started once. The first of all founds the zone.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self, at: usize) -> Result<(), Failure> {
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != at);
        let others = others.map(|(_, member)| &member.address).filter(|address| !address.ends_with(":0"));
        let joins: Vec<String> = others.flat_map(|address| ["--join".to_owned(), address.clone()]).collect();
        let member = &self.members[at];
        let mut command = Command::new(&self.program);
        command.current_dir(&self.directory);
        match member.role {
            Role::Data => {
                command.arg("run").arg(&self.flow).args(["--workers", &member.workers.to_string()]);
                command.args(["--http", "127.0.0.1:0"]).args(&self.options);
            }
            Role::Witness => drop(command.arg("witness")),
        }
        command.args(["--node", &member.name, "--zone", "trial", "--listen", &member.address]).args(joins);
        if self.data {
            command.args(["--data", &format!("data-{}", member.name)]);
        }
        let said = self.directory.join(format!("said-{}.txt", member.name));
        let process = Process::start(&mut command, &said).map_err(|failure| self.of(at, failure))?;
        self.members[at].process = Some(process);
        self.members[at].was_started = true;
        Ok(())
    }

    /// Waits until a started member is ready.
    ///
    /// # Errors
    /// It ended by itself, or takes longer than [`READY_WITHIN`].
    pub fn ready(&mut self, at: usize) -> Result<(), Failure> {
        let Some(process) = &mut self.members[at].process else {
            return Err(self.of(at, Failure::World("it does not run".to_owned())));
        };
        let ready = match process.ready(READY_WITHIN) {
            Ok(Some(ready)) => ready.address("listen"),
            Ok(None) => Err(Failure::Violation(format!("it is not ready after {READY_WITHIN:?}"))),
            Err(failure) => Err(failure),
        };
        self.members[at].address = ready.map_err(|failure| self.of(at, failure))?;
        Ok(())
    }

    /// Starts all that do not run, one after the other, and waits until they are ready and rows have all their copies.
    ///
    /// # Errors
    /// One cannot be started, or copies do not come about.
    pub fn all(&mut self, within: Duration) -> Result<(), Failure> {
        for at in 0..self.count() {
            if !self.runs(at) {
                let founds = self.members.iter().all(|member| !member.was_started);
                self.start(at)?;
                // Only the one that founds the zone can be waited for: others may need each other.
                if founds {
                    self.ready(at)?;
                }
            }
        }
        for at in 0..self.count() {
            if self.members[at].process.as_mut().is_some_and(|process| !process.is_ready()) {
                self.ready(at)?;
            }
        }
        self.whole(within)
    }

    /// Ends a member on the spot.
    ///
    /// # Errors
    /// It has ended by itself.
    pub fn kill(&mut self, at: usize) -> Result<(), Failure> {
        match self.members[at].process.take() {
            Some(mut process) => process.kill().map_err(|failure| self.of(at, failure)),
            None => Ok(()),
        }
    }

    /// Lets a member stand still.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn pause(&self, at: usize) -> Result<(), Failure> {
        self.members[at].process.as_ref().map_or(Ok(()), Process::pause)
    }

    /// Lets a member go on.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn resume(&self, at: usize) -> Result<(), Failure> {
        self.members[at].process.as_ref().map_or(Ok(()), Process::resume)
    }

    /// Waits until rows have all their copies, on nodes that run.
    ///
    /// # Errors
    /// They have not after so long.
    pub fn whole(&self, within: Duration) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let standing = self.standing();
            let why = match &standing {
                Ok(standing) => match lacks(standing, self.nodes_with_rows(), self.ids().len()) {
                    None => return Ok(()),
                    Some(why) => why,
                },
                Err(why) => why.clone(),
            };
            if began.elapsed() > within {
                return Err(Failure::Violation(format!("after {within:?} copies are not in sync: {why}")));
            }
            wait(LOOK_EVERY);
        }
    }

    /// How the zone stands, as a node with rows tells.
    ///
    /// # Errors
    /// None tells.
    pub fn standing(&self) -> Result<Value, String> {
        let runs = |member: &&Member| member.role == Role::Data && member.process.is_some();
        let mut why = "no node with rows runs".to_owned();
        for member in self.members.iter().filter(runs) {
            match Self::standing_at(member) {
                Ok(standing) => return Ok(standing),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn standing_at(member: &Member) -> Result<Value, String> {
        let address = [member.address.clone()];
        let told = options(&address).within(LOOK_WITHIN).connect().and_then(|mut client| client.zone());
        let told = told.map_err(|error| error.to_string())?.ok_or("it is in no zone")?;
        serde_json::to_value(told).map_err(|error| error.to_string())
    }

    fn nodes_with_rows(&self) -> usize {
        self.members.iter().filter(|member| member.role == Role::Data && member.process.is_some()).count()
    }

    /// A client that goes to any node with rows, beginning with one.
    ///
    /// # Errors
    /// None can be reached.
    pub fn client(&self, first: usize, reconnect_within: Duration) -> Result<Client, Error> {
        let mut addresses = self.addresses();
        let count = addresses.len().max(1);
        addresses.rotate_left(first % count);
        options(&addresses).reconnect_within(reconnect_within).connect()
    }

    fn of(&self, at: usize, failure: Failure) -> Failure {
        let name = &self.members[at].name;
        match failure {
            Failure::Violation(what) => Failure::Violation(format!("{name}: {what}")),
            Failure::World(what) => Failure::World(format!("{name}: {what}")),
        }
    }
}

/// How to reach one of some nodes.
pub fn options(addresses: &[String]) -> ConnectOptions {
    let (first, others) = addresses.split_first().expect("a zone has a node");
    others.iter().fold(ConnectOptions::new(first), |options, address| options.also(address))
}

/// What a zone lacks of so many nodes with all their copies, and of the votes that so many members can have.
fn lacks(standing: &Value, nodes: usize, members: usize) -> Option<String> {
    let votes = if members < 3 { 1 } else { 3 };
    if standing["votes_up"].as_u64().unwrap_or(0) < votes {
        return Some(format!("it has fewer than {votes} votes"));
    }
    let partitions = standing["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if partitions.is_empty() {
        return Some("it has no partitions".to_owned());
    }
    for partition in partitions {
        let in_sync = partition["replicas"]
            .as_array()
            .map_or(0, |replicas| replicas.iter().filter(|replica| replica["mode"] == "synchronous").count());
        let copies = (partition["copies"].as_u64().unwrap_or(1) as usize).min(nodes);
        if partition["state"] != "active" || in_sync + 1 < copies {
            return Some(format!("{partition}"));
        }
    }
    None
}

/// Ports of nodes: below those that systems give to connections, one of which could take the port of a node that is down.
const PORTS: std::ops::Range<u32> = 12_000..30_000;

/// An address of this machine at which nobody listens.
#[allow(clippy::disallowed_types, reason = "the system knows which are free")]
fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(31).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = format!("127.0.0.1:{}", PORTS.start + number % PORTS.len() as u32);
        if std::net::TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// Waits; nothing ever comes here.
pub fn wait(time: Duration) {
    let (_keeps, nothing) = std::sync::mpsc::channel::<()>();
    let _ = nothing.recv_timeout(time);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_zone_is_whole_when_each_partition_has_its_copies() {
        let partition = |state: &str, mode: &str| json!({ "votes_up": 3, "partitions": [{ "copies": 2, "state": state, "replicas": [{ "node": "B", "mode": mode }] }] });
        assert_eq!(lacks(&partition("active", "synchronous"), 2, 3), None);
        assert!(lacks(&partition("active", "catching_up"), 2, 3).is_some());
        assert!(lacks(&partition("moving", "synchronous"), 2, 3).is_some());
        assert_eq!(lacks(&partition("active", "lost"), 1, 2), None);
        assert!(lacks(&json!({ "votes_up": 3, "partitions": [] }), 2, 3).is_some());
    }
}
