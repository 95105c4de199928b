//! The only place that touches clock, files and threads.

pub(crate) mod disk;
pub(crate) mod journal;
#[cfg(feature = "net")]
pub(crate) mod process;

use std::io;
use std::path::Path;
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anabranch_operators::{Clock, Worker, WorkerConfig, WorkerThreads, spawn};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::driver::{Command, Driver, Flowing};
use crate::journal::JournalDoor;
use crate::measures::TellSlow;
use crate::safe::Safe;
#[cfg(feature = "net")]
use crate::zone::Says;

/// Commands that wait for a worker, at most; who sends more waits.
const COMMANDS_MAX: usize = 1024;

/// Commands that a worker takes in one turn: enough to share the cost of a turn, few enough to keep answers moving.
const COMMANDS_PER_TURN: usize = 64;

/// Turns without work before a worker parks. A parked worker takes some 5 us to wake, a turn without work 0.1 us.
const IDLE_TURNS_MAX: u32 = 200;

/// As many where something waits for the journal: longer than most syncs take.
const IDLE_TURNS_WAITING_MAX: u32 = 3000;

/// How long a worker parks at most; it is woken when there is work.
const PARK_AT_MOST: Duration = Duration::from_secs(1);

/// Bytes of a flow file, script or the like, at most.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// A way to send commands to a worker and wake it.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    commands: Sender<Command>,
    thread: Thread,
}

impl Door {
    /// Sends a command; waits while the worker's queue is full. False when the worker has ended.
    pub(crate) fn send(&self, command: Command) -> bool {
        let sent = self.commands.send(command).is_ok();
        self.thread.unpark();
        sent
    }
}

impl Door {
    /// Commands that wait.
    #[cfg(feature = "net")]
    pub(crate) fn waiting(&self) -> usize {
        self.commands.len()
    }

    /// Sends a command if there is room for it.
    ///
    /// # Errors
    /// The command, where the queue is full; nothing, where the worker has ended.
    #[cfg(feature = "net")]
    pub(crate) fn try_send(&self, command: Command) -> Result<(), Option<Command>> {
        use crossbeam_channel::TrySendError;
        let sent = self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(command) => Some(command),
            TrySendError::Disconnected(_) => None,
        });
        self.thread.unpark();
        sent
    }
}

/// How workers are started.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) node: &'a str,
    pub(crate) seed: u64,
    pub(crate) workers: u32,
    pub(crate) profile: bool,
    pub(crate) slow: Option<TellSlow>,
    /// Which records are safe, and where they go.
    pub(crate) safe: Safe,
    pub(crate) journal: JournalDoor,
    pub(crate) clock: Clock,
    /// Of a node in a zone: where its workers say what concerns the zone, and what makes this life of it differ.
    #[cfg(feature = "net")]
    pub(crate) zone: Option<(Sender<Says>, u64)>,
}

/// A clock that starts now and only goes forward.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn clock() -> Clock {
    Clock::new(Instant::now)
}

/// Starts the threads of a node's workers.
///
/// # Errors
/// The operating system refuses a thread.
pub(crate) fn start(how: Start<'_>) -> Result<(Vec<Door>, WorkerThreads), String> {
    let Start { node, seed, workers: count, profile, slow, safe, journal, clock, .. } = how;
    #[cfg(feature = "net")]
    let zone = how.zone;
    #[cfg(feature = "net")]
    let in_zone = zone.is_some();
    #[cfg(not(feature = "net"))]
    let in_zone = false;
    let config = WorkerConfig {
        node: node.into(),
        seed,
        clock: Some(clock),
        profile,
        records: journal.keeps() || in_zone,
    };
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (sender, receiver) = bounded(COMMANDS_MAX);
        senders.push(sender);
        receivers.push(receiver);
    }
    let (report, started) = bounded(count as usize);
    let drive = move |worker: Worker| {
        let at = worker.id().0 as usize;
        let _ = report.send((at, std::thread::current()));
        let driver = Driver::new(worker, slow.clone(), safe.clone(), journal.clone());
        #[cfg(feature = "net")]
        let driver = match &zone {
            Some((says, salt)) => driver.in_zone(says.clone(), *salt),
            None => driver,
        };
        drive(driver, &receivers[at]);
    };
    let threads = spawn(config, count, drive)?;
    let mut doors: Vec<Option<Door>> = vec![None; count as usize];
    for (at, thread) in started.iter().take(count as usize) {
        doors[at] = Some(Door { commands: senders[at].clone(), thread });
    }
    Ok((doors.into_iter().flatten().collect(), threads))
}

/// Ends the process when its thread panics. That is a bug of the engine. A worker has left its tables in a state that
/// nobody knows: no answer may rest on them. Of a journal nobody knows what it has kept. And nobody may wait for either
/// for ever.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

fn drive(mut driver: Driver, commands: &Receiver<Command>) {
    let _abort = AbortOnPanic;
    let mut idle_turns = 0;
    loop {
        let mut busy = false;
        for command in commands.try_iter().take(COMMANDS_PER_TURN) {
            busy = true;
            if driver.handle(command) == Flowing::Ended {
                // What waking up has brought still goes out.
                driver.turn(now_micros());
                return;
            }
        }
        busy |= driver.turn(now_micros());
        idle_turns = if busy { 0 } else { idle_turns + 1 };
        if idle_turns > if driver.waits() { IDLE_TURNS_WAITING_MAX } else { IDLE_TURNS_MAX } {
            driver.park(PARK_AT_MOST);
        } else if !busy {
            // Another worker may need this processor to have something for us.
            std::thread::yield_now();
        }
    }
}

/// A thread with work of its own.
#[derive(Debug)]
pub(crate) struct Aside(JoinHandle<()>);

impl Aside {
    /// Waits until its work is done.
    pub(crate) fn wait(self) {
        // What made it panic has told so.
        let _ = self.0.join();
    }
}

/// Runs `work`, which nobody may wait for in vain, on a thread of its own: where it panics the process ends.
///
/// # Errors
/// The operating system refuses it.
pub(crate) fn spawn_vital(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Aside> {
    spawn_aside(name, move || {
        let _abort = AbortOnPanic;
        work();
    })
}

/// Runs `work` on a thread of its own.
///
/// # Errors
/// The operating system refuses it.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn spawn_aside(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Aside> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(Aside)
}

/// The time in microseconds since 1970 UTC.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn now_micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// Now, to measure how long something takes.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A seed that differs from run to run.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// An identity that no other has.
pub(crate) fn identity() -> [u8; 16] {
    (u128::from(seed()) << 64 | u128::from(seed())).to_le_bytes()
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, is not UTF-8, or is longer than 16 MiB.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path).map_err(plain)?.len() > TEXT_BYTES_MAX {
        let text = format!("it is longer than {TEXT_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    std::fs::read_to_string(path).map_err(plain)
}

/// The text of a file that only its owner, or a group of theirs, may read: keys and tokens.
///
/// # Errors
/// As [`read_text`], or everybody may read it.
#[cfg(feature = "net")]
pub(crate) fn read_secret(path: &Path) -> io::Result<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map_err(plain)?.permissions().mode();
        if mode & 0o007 != 0 {
            let text = format!(
                "every user of this machine may open it (its mode is {:03o}); run `chmod o= {}`",
                mode & 0o777,
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    read_text(path)
}

/// An error of the operating system in our words; its kind stays.
fn plain(error: io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file",
        io::ErrorKind::IsADirectory => "it is a directory; name a file in it",
        io::ErrorKind::PermissionDenied => "permission denied",
        io::ErrorKind::InvalidData => "it is not UTF-8; save the file as UTF-8",
        _ => return error,
    };
    io::Error::new(error.kind(), why)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Says to this test that it runs in the process that is to end.
    const TO_END: &str = "ANABRANCH_TEST_TO_END";

    #[test]
    fn a_panic_where_nobody_may_wait_in_vain_ends_the_process() {
        if std::env::var_os(TO_END).is_some() {
            let panics = spawn_vital("panics", || std::panic::resume_unwind(Box::new("a bug")));
            panics.expect("a thread").wait();
            return;
        }
        let test = std::env::current_exe().expect("this program");
        let name = "os::tests::a_panic_where_nobody_may_wait_in_vain_ends_the_process";
        let mut process = Command::new(test);
        process.args([name, "--exact"]).env(TO_END, "1").stdout(Stdio::null()).stderr(Stdio::null());
        assert!(!process.status().expect("it runs").success(), "it went on");
    }
}
