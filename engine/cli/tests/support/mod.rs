//! Runs the built program in a directory of its own, and gives what came of it.
#![allow(dead_code, reason = "every test file uses its part of it")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make files, and fail where they cannot"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The reference flow, shortened.
pub(crate) const NAMES: &str = "\
flow names revision 1

input  UpdateStream: { name: text, value: text }
input  ReadStream, DeleteStream: { name: text }
output OutputStream: { node: text, name: text, value: text?, found: bool }

table QueryTable: { name: text, value: text } {
  key name
}

on UpdateStream as u {
  require u.name <> '' else invalid 'a name must not be empty'
  upsert QueryTable { ..u }
}

on ReadStream as r {
  read  QueryTable where name = r.name as row or null
  reply OutputStream { node: source(), name: r.name, value: row.value, found: row is not null }
}

on DeleteStream as d {
  delete QueryTable where name = d.name
}
";

/// A directory that goes when the test ends.
pub(crate) struct Directory(PathBuf);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Directory {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    /// A directory with `names.flow`.
    pub(crate) fn with_flow() -> Self {
        Directory::empty().file("names.flow", NAMES)
    }

    /// With one more file.
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.0.join(name), text).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The program, ready to start in this directory; arguments are taken apart at spaces.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anabranch"));
        command.current_dir(&self.0).args(arguments.split_whitespace()).env("NO_COLOR", "1");
        command
    }

    /// The program with arguments that may have spaces in them.
    pub(crate) fn words(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("");
        command.args(arguments);
        command
    }

    /// Starts a node of `names.flow` that listens at free ports, and waits until it is ready.
    pub(crate) fn serve(&self, arguments: &str) -> Serving {
        self.serve_flows(&format!("names.flow {arguments}"))
    }

    /// The same with other flows.
    pub(crate) fn serve_flows(&self, arguments: &str) -> Serving {
        let mut running = self.start(&format!("run --listen 127.0.0.1:0 --http 127.0.0.1:0 {arguments}"));
        let ready = running.line();
        let address =
            |name: &str| ready.split(' ').find_map(|word| word.strip_prefix(name)).expect(&ready).to_owned();
        let (grpc, http) = (address("listen="), address("http="));
        Serving { running, grpc, http }
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &str) -> Came {
        let output = self.command(arguments).stdin(Stdio::null()).output().unwrap();
        Came::of(output)
    }

    /// Runs the program to its end with something on standard input.
    pub(crate) fn run_with(&self, arguments: &str, input: &str) -> Came {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Came::of(child.wait_with_output().unwrap())
    }

    /// Starts the program, with pipes.
    pub(crate) fn start(&self, arguments: &str) -> Running {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child, stdin, stdout }
    }
}

/// A node that serves clients.
pub(crate) struct Serving {
    pub(crate) running: Running,
    /// Where it speaks gRPC.
    pub(crate) grpc: String,
    /// Where it speaks HTTP.
    pub(crate) http: String,
}

impl Serving {
    /// Runs a command against the node, which it finds by the environment.
    pub(crate) fn run(&self, directory: &Directory, arguments: &str) -> Came {
        self.run_command(directory.command(arguments))
    }

    /// Runs a command whose arguments have spaces in them.
    pub(crate) fn run_words(&self, directory: &Directory, arguments: &[&str]) -> Came {
        self.run_command(directory.words(arguments))
    }

    /// Runs a prepared command against the node.
    pub(crate) fn run_command(&self, mut command: Command) -> Came {
        Came::of(command.env("ANABRANCH_AT", &self.grpc).stdin(Stdio::null()).output().unwrap())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Came {
    pub(crate) fn of(output: std::process::Output) -> Self {
        Came {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts the exit code, and shows everything when it is another.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Asserts that standard error says this.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "standard error does not say {text:?}: {self:#?}");
        self
    }

    /// Asserts that standard output has exactly this line.
    #[track_caller]
    pub(crate) fn prints(self, line: &str) -> Self {
        assert!(self.stdout.lines().any(|found| found == line), "there is no line {line:?}: {self:#?}");
        self
    }

    /// Asserts that standard output has this somewhere.
    #[track_caller]
    pub(crate) fn prints_part(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "standard output does not say {text:?}: {self:#?}");
        self
    }

    /// Asserts that standard output is exactly this.
    #[track_caller]
    pub(crate) fn shows(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "{self:#?}");
        self
    }

    /// The lines of standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The summary of a run with `--json`.
    #[track_caller]
    pub(crate) fn summary(&self) -> serde_json::Value {
        self.json().pop().expect("a last line")["summary"].take()
    }
}

/// The program while it runs.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// A node whose test fails goes with it.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// The next line of standard output; waits for it.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for a line on standard error that begins so.
    pub(crate) fn message(&mut self, begin: &str) {
        let stderr = self.child.stderr.as_mut().unwrap();
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            stderr.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        let line = String::from_utf8(line).unwrap();
        assert!(line.starts_with(begin), "{line}");
    }

    /// Writes to its standard input, which stays open.
    pub(crate) fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Sends a signal, `TERM` or `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Ends it on the spot, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end, while its standard input stays open.
    pub(crate) fn end(mut self) -> Came {
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code().expect("it ended by itself");
        Came { code, stdout, stderr }
    }
}
