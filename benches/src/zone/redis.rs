//! Redis with one replica, and its load generator.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::members::wait;
use crate::process::Failure;
use crate::zone::Kept;

/// How long a server may take.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A master and its replica; they end when this is dropped.
pub(super) struct Redis {
    servers: Vec<Child>,
    address: String,
    generator: PathBuf,
}

/// What its clients measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Came {
    pub(super) ops_per_s: f64,
    pub(super) p50_us: f64,
}

impl Drop for Redis {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Redis {
    /// Starts both, without a file, or with one that is synced always.
    pub(super) fn pair(
        server: &Path,
        generator: &Path,
        directory: &Path,
        kept: Kept,
    ) -> Result<Self, Failure> {
        let ports = free_ports()?;
        let address = format!("127.0.0.1:{}", ports[0]);
        let mut redis = Redis { servers: Vec::new(), address, generator: generator.to_owned() };
        for port in ports {
            let world = |error: std::io::Error| Failure::World(format!("cannot start Redis: {error}"));
            let place = directory.join(format!("redis-{port}"));
            std::fs::create_dir_all(&place).map_err(world)?;
            let mut command = Command::new(server);
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
            command.args(["--daemonize", "no"]).arg("--dir").arg(&place);
            match kept {
                Kept::Memory => command.args(["--appendonly", "no"]),
                Kept::Disk => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
            };
            if port != ports[0] {
                command.args(["--replicaof", "127.0.0.1", &ports[0].to_string()]);
                command.args(["--repl-diskless-sync-delay", "0"]);
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            redis.servers.push(command.spawn().map_err(world)?);
        }
        redis.warm_up()?;
        Ok(redis)
    }

    /// Writes all names; the first try that a replica acknowledges in time ends it.
    fn warm_up(&self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            match self.load(1, 1, 0.2, &["--preload"]) {
                Ok(_) => return Ok(()),
                Err(failure) if began.elapsed() > READY_WITHIN => return Err(failure),
                Err(_) => wait(Duration::from_millis(200)),
            }
        }
    }

    /// Updates with WAIT 1 at the end of each batch of `depth`.
    pub(super) fn updates(&self, connections: usize, depth: usize, seconds: f64) -> Result<Came, Failure> {
        self.load(connections, depth, seconds, &[])
    }

    fn load(&self, connections: usize, depth: usize, seconds: f64, more: &[&str]) -> Result<Came, Failure> {
        let ms = format!("{:.0}", seconds * 1e3);
        let mut command = Command::new(&self.generator);
        command.args(["redis", "--addr", &self.address, "--reps", "1", "--ms", &ms, "--keys", "1000000"]);
        command.args(["--conns", &connections.to_string(), "--depth", &depth.to_string()]);
        command.args(["--mix", "100:0:0", "--wait", "1", "--peer", "redis", "--workload", "w"]).args(more);
        let output = command.output();
        let output = output.map_err(|error| Failure::World(format!("cannot load Redis: {error}")))?;
        let line = String::from_utf8_lossy(&output.stdout).into_owned();
        let told: serde_json::Value =
            serde_json::from_str(line.lines().last().unwrap_or_default()).map_err(|_| {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                Failure::World(format!("the load generator of Redis says {line:?} {said:?}"))
            })?;
        // Where no replica answers, the rest means nothing.
        if let Some(notes) = told["notes"].as_str().filter(|notes| notes.contains("errors=")) {
            return Err(Failure::World(format!("Redis does not answer: {notes}")));
        }
        let figure = |name: &str| told[name].as_f64().unwrap_or(0.0);
        Ok(Came { ops_per_s: figure("ops_per_s"), p50_us: figure("p50_us") })
    }
}

/// Two ports that nobody listens at.
#[allow(clippy::disallowed_types, reason = "the system knows which are free")]
fn free_ports() -> Result<[u16; 2], Failure> {
    let free = || {
        let (one, other) =
            (std::net::TcpListener::bind("127.0.0.1:0")?, std::net::TcpListener::bind("127.0.0.1:0")?);
        Ok([one.local_addr()?.port(), other.local_addr()?.port()])
    };
    free().map_err(|error: std::io::Error| Failure::World(format!("there is no free port: {error}")))
}
