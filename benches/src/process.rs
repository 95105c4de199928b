//! A program as a process of its own: started, ready, standing still for a while, killed.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Why a trial ends before its time.
#[derive(Debug)]
pub enum Failure {
    /// The node did what it must not.
    Violation(String),
    /// It could not be tried.
    World(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Violation(what) => write!(f, "the node is wrong: {what}"),
            Failure::World(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}

/// A node that runs. It is killed when this is dropped, also where it stands still.
pub struct Process {
    child: Child,
    /// Its first line on standard output; the end where it ends before.
    line: Receiver<String>,
    is_ready: bool,
}

impl Process {
    /// Starts a command; what it says goes behind what is in the file `said`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command, said: &Path) -> Result<Self, Failure> {
        let failed =
            |what: &str, error: std::io::Error| Failure::World(format!("cannot start `{what}`: {error}"));
        let program = command.get_program().to_string_lossy().into_owned();
        let to = File::options().create(true).append(true).open(said);
        let to = to.map_err(|error| failed(&said.to_string_lossy(), error))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(to);
        let mut child = command.spawn().map_err(|error| failed(&program, error))?;
        let output = child.stdout.take().expect("it has a pipe");
        let (tell, line) = channel();
        std::thread::spawn(move || {
            let mut first = String::new();
            if BufReader::new(output).read_line(&mut first).is_ok_and(|bytes| bytes > 0) {
                // Whoever waited may be gone.
                let _ = tell.send(first);
            }
        });
        Ok(Process { child, line, is_ready: false })
    }

    /// Its `ready` line, once it is ready; none where it is not within a time.
    ///
    /// # Errors
    /// It ended by itself.
    pub fn ready(&mut self, within: Duration) -> Result<Option<Ready>, Failure> {
        match self.line.recv_timeout(within) {
            Ok(line) if line.starts_with("ready ") => {
                self.is_ready = true;
                Ok(Some(Ready(line)))
            }
            Ok(line) => {
                Err(Failure::World(format!("it says `{}` and not that it is ready", line.trim_end())))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    /// Whether it has been heard that it is ready.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Ends it on the spot.
    ///
    /// # Errors
    /// It ended by itself.
    pub fn kill(&mut self) -> Result<(), Failure> {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return Err(self.ended());
        }
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| Failure::World(format!("it cannot be killed: {error}")))
    }

    /// Lets it stand still, as a machine does that swaps or whose host has stopped it.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn pause(&self) -> Result<(), Failure> {
        self.signal("STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn resume(&self) -> Result<(), Failure> {
        self.signal("CONT")
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, name: &str) -> Result<(), Failure> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        match sent {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::World(format!("cannot send SIG{name}: {status}"))),
            Err(error) => Err(Failure::World(format!("cannot send SIG{name}: {error}"))),
        }
    }

    fn ended(&mut self) -> Failure {
        let how = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        Failure::Violation(format!(
            "it ended by itself, with {how}; the text file in the directory has what it said"
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a node says when it is ready.
#[derive(Clone, Debug)]
pub struct Ready(String);

impl Ready {
    /// An address of it: `listen` or `http`.
    ///
    /// # Errors
    /// It names none.
    pub fn address(&self, name: &str) -> Result<String, Failure> {
        let mut words = self.0.split_whitespace();
        let found = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned).ok_or_else(|| {
            Failure::World(format!("its line `{}` has no address `{name}`", self.0.trim_end()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_stands_still_ends_with_what_started_it() {
        let said = std::env::temp_dir().join(format!("anabranch-process-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready listen=1.2.3.4:5; exec sleep 600"]);
        let mut process = Process::start(&mut command, &said).expect("there is a shell");
        let ready = process.ready(Duration::from_secs(10)).expect("it runs").expect("it is ready");
        assert_eq!(ready.address("listen").expect("it says"), "1.2.3.4:5");
        assert!(ready.address("http").is_err());
        process.pause().expect("it gets the signal");
        let id = process.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
        std::fs::remove_file(said).expect("it was made");
    }
}
