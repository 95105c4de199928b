//! The node as a process: started, ready, killed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::kill::{Failure, Kill};

/// A node that runs. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Its first line on standard output; the end where it ends before.
    line: Receiver<String>,
}

impl Process {
    /// Starts a node with so many workers in a directory that has its flow.
    pub(crate) fn start(kill: &Kill, address: &str, workers: u64) -> Result<Self, Failure> {
        let Kill { program, directory, .. } = kill;
        let failed = |what: &Path, error: std::io::Error| {
            Failure::World(format!("cannot start `{}`: {error}", what.display()))
        };
        let said = directory.join("said.txt");
        let said =
            File::options().create(true).append(true).open(&said).map_err(|error| failed(&said, error))?;
        let mut child = Command::new(program)
            .current_dir(directory)
            .args(["run", "kill.flow", "--data", "data", "--listen", address])
            .args(["--workers", &workers.to_string(), "--snapshot-after", &kill.snapshot_after])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .map_err(|error| failed(program, error))?;
        let output = child.stdout.take().expect("it has a pipe");
        let (tell, line) = channel();
        std::thread::spawn(move || {
            let mut first = String::new();
            if BufReader::new(output).read_line(&mut first).is_ok_and(|bytes| bytes > 0) {
                // Whoever waited may be gone.
                let _ = tell.send(first);
            }
        });
        Ok(Process { child, line })
    }

    /// Where it listens, once it is ready; none where it is not within a time.
    pub(crate) fn ready(&mut self, within: Duration) -> Result<Option<String>, Failure> {
        match self.line.recv_timeout(within) {
            Ok(line) => match line.split_whitespace().find_map(|word| word.strip_prefix("listen=")) {
                Some(address) => Ok(Some(address.to_owned())),
                None => {
                    Err(Failure::World(format!("it says `{}` and not that it is ready", line.trim_end())))
                }
            },
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    /// Ends it on the spot.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return Err(self.ended());
        }
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| Failure::World(format!("it cannot be killed: {error}")))
    }

    fn ended(&mut self) -> Failure {
        let how = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        Failure::Violation(format!(
            "it ended by itself, with {how}; `said.txt` in the directory has what it said"
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

/// Makes the directory, without data.
pub(crate) fn make_directory(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    match directory.join("data").exists() {
        false => Ok(()),
        true => {
            let text = format!("`{}` has data already; name another directory", directory.display());
            Err(Failure::World(text))
        }
    }
}

/// Writes the flow that the next start has.
pub(crate) fn write_flow(directory: &Path, flow: &str) -> Result<(), Failure> {
    fs::write(directory.join("kill.flow"), flow).map_err(|error| unwritable(directory, &error))
}

fn unwritable(directory: &Path, error: &std::io::Error) -> Failure {
    Failure::World(format!("cannot write to `{}`: {error}", directory.display()))
}

/// Bytes of the node's files.
pub(crate) fn data_bytes(directory: &Path) -> u64 {
    let files = fs::read_dir(directory.join("data")).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}
