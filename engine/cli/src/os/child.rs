//! This program once more, as a process of its own.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A process of this program. It ends on the spot when this is dropped.
pub(crate) struct ChildProcess {
    child: Child,
    /// Its lines on standard output.
    lines: Receiver<String>,
}

impl ChildProcess {
    /// Starts this program with other arguments in a directory; its messages go into a file there.
    ///
    /// # Errors
    /// The operating system refuses it.
    pub(crate) fn start(arguments: &[String], directory: &Path, messages: &str) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let messages = File::options().create(true).append(true).open(directory.join(messages))?;
        command.args(arguments).current_dir(directory).env("NO_COLOR", "1");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(messages).spawn()?;
        let (tell, lines) = channel();
        if let Some(output) = child.stdout.take() {
            super::spawn("child output", move || {
                // Whoever listened may be gone; the process must not wait for that.
                BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
            })?;
        }
        Ok(ChildProcess { child, lines })
    }

    /// Its next line on standard output; none where none comes within the time, or at its end.
    pub(crate) fn line(&mut self, within: Duration) -> Option<String> {
        self.lines.recv_timeout(within).ok()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it on the spot (SIGKILL): it gets to say nothing, and to write nothing.
    ///
    /// # Errors
    /// The operating system refuses it.
    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
