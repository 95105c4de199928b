//! Nodes of a zone as processes. Whatever a test started ends with it, also when it fails; then what nodes said is shown.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests make processes and files, and fail where they cannot"
)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anabranch::{Client, ConnectOptions};
use serde_json::Value;

use crate::support::Directory;

/// How long anything may take that a test waits for.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Lines of what a node said that a failing test shows.
const SAID_LINES: usize = 40;

/// The nodes of a zone. The one called `W` is a witness.
pub(crate) struct Zone {
    directory: Directory,
    nodes: Vec<Node>,
}

/// A node, whether it runs or not.
struct Node {
    name: &'static str,
    /// What runs the program, where it is not run as it is; and the address for others.
    within: Vec<String>,
    /// Where it listens, in all its lives.
    grpc: String,
    http: String,
    process: Option<Process>,
}

struct Process {
    child: Child,
    line: Receiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Zone {
    /// A zone of `flow` with these nodes, all started and with all copies; the first has founded it.
    pub(crate) fn of(flow: &'static str, names: &[&'static str]) -> Zone {
        Zone::planned(flow, names).started()
    }

    /// The same before anything is started.
    pub(crate) fn planned(flow: &'static str, names: &[&'static str]) -> Zone {
        let node = |name: &&'static str| Node {
            name,
            within: Vec::new(),
            grpc: free_address(),
            http: "127.0.0.1:0".to_owned(),
            process: None,
        };
        let directory = Directory::empty().file("zone.flow", flow);
        Zone { directory, nodes: names.iter().map(node).collect() }
    }

    /// Lets a node run inside something, as in a network of its own, where it listens at this host.
    pub(crate) fn within(mut self, name: &str, command: &[&str], host: &str) -> Zone {
        let node = self.node_mut(name);
        node.within = command.iter().map(|&word| word.to_owned()).collect();
        node.grpc = format!("{host}:7401");
        node.http = format!("{host}:7402");
        self
    }

    /// Starts all nodes one after the other and waits until every row has its copies.
    pub(crate) fn started(mut self) -> Zone {
        for name in self.names() {
            self.start(name);
        }
        self.until_whole();
        self
    }

    fn names(&self) -> Vec<&'static str> {
        self.nodes.iter().map(|node| node.name).collect()
    }

    fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).unwrap()
    }

    fn node_mut(&mut self, name: &str) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.name == name).unwrap()
    }

    /// Starts a node and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(&mut self, name: &str) {
        self.begin(name);
        self.ready(name);
    }

    /// Starts a node. It joins the others that are known, the first of all founds the zone.
    pub(crate) fn begin(&mut self, name: &str) {
        let known = self.nodes.iter().filter(|node| node.name != name && self.was_started(node.name));
        let joins: Vec<String> = known.flat_map(|node| ["--join".to_owned(), node.grpc.clone()]).collect();
        let command = self.command_of(name, &joins);
        let process = self.spawned(name, command);
        self.node_mut(name).process = Some(process);
    }

    fn was_started(&self, name: &str) -> bool {
        self.directory.path(&format!("{name}.said")).exists()
    }

    fn command_of(&self, name: &str, joins: &[String]) -> Command {
        let node = self.node(name);
        let mut command = self.program_in(name);
        command.current_dir(self.directory.path("")).env("NO_COLOR", "1");
        match name {
            "W" => command.arg("witness"),
            _ => command.args(["run", "zone.flow", "--http", &node.http]),
        };
        command.args(["--node", name, "--zone", "demo", "--listen", &node.grpc]).args(joins);
        if !node.within.is_empty() {
            command.arg("--insecure");
        }
        command
    }

    fn spawned(&self, name: &str, mut command: Command) -> Process {
        let said =
            File::options().create(true).append(true).open(self.directory.path(&format!("{name}.said")));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said.unwrap());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, line) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Process { child, line }
    }

    /// Waits until a node that was started says that it is ready.
    #[track_caller]
    pub(crate) fn ready(&mut self, name: &str) {
        let node = self.node_mut(name);
        let line = node.process.as_ref().unwrap().line.recv_timeout(WITHIN);
        let line = line.unwrap_or_else(|why| unreachable!("{name} is not ready: {why}"));
        assert!(line.starts_with("ready "), "{name} says {line:?}");
        let address = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)).map(str::to_owned);
        assert_eq!(address("listen=").as_deref(), Some(node.grpc.as_str()));
        node.http = address("http=").unwrap_or_default();
    }

    /// Ends a node on the spot.
    pub(crate) fn kill(&mut self, name: &str) {
        drop(self.node_mut(name).process.take().expect("it runs"));
    }

    /// Lets a node stand still (SIGSTOP).
    pub(crate) fn stop(&self, name: &str) {
        self.signal(name, "-STOP");
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn go_on(&self, name: &str) {
        self.signal(name, "-CONT");
    }

    fn signal(&self, name: &str, signal: &str) {
        let id = self.node(name).process.as_ref().expect("it runs").child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// The address of a node for clients.
    pub(crate) fn at(&self, name: &str) -> &str {
        &self.node(name).grpc
    }

    /// The address of a node for HTTP clients.
    pub(crate) fn http(&self, name: &str) -> &str {
        &self.node(name).http
    }

    /// Another file in the directory of commands.
    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path(name), text).unwrap();
    }

    /// A command of the program at a node, to its end. None where it has not ended within the time.
    pub(crate) fn run_within(&self, name: &str, words: &[&str], within: Duration) -> Option<Output> {
        let mut command = self.program_in(name);
        command.args(words).args(["--at", self.at(name)]);
        self.ended(command, within)
    }

    /// The program, where a node runs.
    fn program_in(&self, name: &str) -> Command {
        let program = env!("CARGO_BIN_EXE_anabranch");
        match self.node(name).within.split_first() {
            None => Command::new(program),
            Some((outer, rest)) => {
                let mut command = Command::new(outer);
                command.args(rest).arg(program);
                command
            }
        }
    }

    fn ended(&self, mut command: Command, within: Duration) -> Option<Output> {
        command.current_dir(self.directory.path("")).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if began.elapsed() > within {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            look_later();
        }
        Some(child.wait_with_output().unwrap())
    }

    /// A command at a node, which must end well; what it printed.
    #[track_caller]
    pub(crate) fn run(&self, name: &str, words: &[&str]) -> String {
        let came = self.run_within(name, words, WITHIN);
        let came = came.unwrap_or_else(|| unreachable!("`{words:?}` at {name} has no answer"));
        let told = String::from_utf8_lossy(&came.stderr);
        assert!(came.status.success(), "`{words:?}` at {name}: {told}");
        String::from_utf8(came.stdout).unwrap()
    }

    /// All rows of a table as a node tells them, in key order.
    #[track_caller]
    pub(crate) fn table(&self, name: &str, table: &str) -> Vec<String> {
        self.run(name, &["table", table, "--limit", "all", "--json"]).lines().map(str::to_owned).collect()
    }

    /// What `anabranch zone` tells at a node.
    pub(crate) fn standing(&self, name: &str) -> Option<Value> {
        let came = self.run_within(name, &["zone", "--json"], WITHIN)?;
        serde_json::from_slice(&came.stdout).ok()
    }

    /// Waits until each partition has as many copies in sync, and the zone as many votes, as nodes that run allow.
    #[track_caller]
    pub(crate) fn until_whole(&self) {
        let runs = |node: &&Node| node.process.is_some() && node.name != "W";
        let count = self.nodes.iter().filter(runs).count();
        let running = self.nodes.iter().filter(|node| node.process.is_some()).count() as u64;
        let votes = if running < 3 { 1 } else { 3 };
        for name in self.nodes.iter().filter(runs).map(|node| node.name) {
            let mut lacks = String::new();
            self.until(&format!("{name} knows all copies and {votes} votes"), || {
                lacks = lacking(self.standing(name), count, votes);
                lacks.is_empty()
            });
        }
    }

    /// Waits for something.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is() {
            assert!(began.elapsed() < WITHIN, "this does not come about: {what}");
            look_later();
        }
    }

    /// A client that knows these nodes and begins with the first.
    pub(crate) fn client(&self, names: &[&str]) -> Client {
        let others = names[1..].iter().map(|name| self.at(name));
        let options = others.fold(ConnectOptions::new(self.at(names[0])), ConnectOptions::also);
        options.reconnect_within(WITHIN).connect().expect("one of them is there")
    }
}

/// What a thread does, if it is done in time: a request that is never answered fails its test, and does not hold it.
#[track_caller]
pub(crate) fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, done) = channel();
    std::thread::spawn(move || drop(tell.send(work())));
    match done.recv_timeout(WITHIN) {
        Ok(done) => done,
        Err(why) => unreachable!("this does not come about: {what}: {why}"),
    }
}

/// Ports of nodes: below those that systems give to connections, one of which could take the port of a node that is down.
const PORTS: std::ops::Range<u32> = 12_000..30_000;

/// An address of this machine at which nobody listens.
#[expect(clippy::disallowed_types, reason = "the system knows which are free")]
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

/// Waits a moment; nothing ever comes.
fn look_later() {
    let (_keeps, nothing) = channel::<()>();
    let _ = nothing.recv_timeout(LOOK_EVERY);
}

/// What a zone lacks of so many nodes, all partitions served and copied.
fn lacking(standing: Option<Value>, nodes: usize, votes: u64) -> String {
    let Some(standing) = standing else { return "it is not told".to_owned() };
    if standing["votes_up"].as_u64().unwrap_or(0) < votes {
        return "votes".to_owned();
    }
    let partitions = standing["partitions"].as_array().cloned().unwrap_or_default();
    let lacks = |partition: &&Value| {
        let modes = partition["replicas"].as_array().cloned().unwrap_or_default();
        let in_sync = modes.iter().filter(|replica| replica["mode"] == "synchronous").count();
        let copies = (partition["copies"].as_u64().unwrap_or(1) as usize).min(nodes);
        partition["state"] != "active" || in_sync + 1 < copies
    };
    match partitions.iter().find(lacks) {
        Some(partition) => partition.to_string(),
        None if partitions.is_empty() => "it has no partitions".to_owned(),
        None => String::new(),
    }
}

/// What nodes said is shown where a test fails.
impl Drop for Zone {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for node in &self.nodes {
            let said = std::fs::read_to_string(self.directory.path(&format!("{}.said", node.name)));
            let said = said.unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            eprintln!("--- {} said:", node.name);
            lines[lines.len().saturating_sub(SAID_LINES)..].iter().for_each(|line| eprintln!("{line}"));
            if let Some(standing) = node.process.is_some().then(|| self.standing(node.name)).flatten() {
                let short: String = standing.to_string().chars().take(2000).collect();
                eprintln!("--- {} tells of the zone: {short}", node.name);
            }
        }
    }
}
