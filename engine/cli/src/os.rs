//! The only place of the program that touches clock, files, threads and signals.

pub(crate) mod child;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Bytes of a flow file or script, at most: the limit that the library has.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// The exit code after a second Ctrl-C: what shells give for a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Now, for rates.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The value of an environment variable, where it has one that is a text.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The bytes of a flow file or script; `-` is standard input.
///
/// # Errors
/// It cannot be read, or is longer than 16 MiB.
pub(crate) fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match path {
        "-" => io::stdin().lock().take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes)?,
        _ => open(path)?.0.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes)?,
    };
    if read as u64 > TEXT_BYTES_MAX {
        let text = format!("it is longer than {TEXT_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Opens a file to read, and tells its length where it has one that stands (not a pipe).
///
/// # Errors
/// It cannot be opened, or is a directory.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn open(path: &str) -> io::Result<(File, Option<u64>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((file, metadata.is_file().then_some(metadata.len())))
}

/// Writes a file that must not be there yet.
///
/// # Errors
/// It is there, or cannot be written.
pub(crate) fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Replaces the text of a file: after a crash it has the old text or the new one, never half of it.
///
/// # Errors
/// It cannot be written; it is as it was.
pub(crate) fn replace(path: &str, text: &str) -> io::Result<()> {
    // Through a link its target is replaced, not the link.
    let path = fs::canonicalize(path)?;
    let beside = beside(&path);
    let written = write_beside(&path, &beside, text);
    if written.is_err() {
        // Whatever went wrong is told; a part that stays behind is not worth a second complaint.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_beside(path: &Path, beside: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(beside)?;
    file.set_permissions(fs::metadata(path)?.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(beside, path)
}

/// A name in the same directory that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// Makes a directory with those above it. Whether it is empty.
///
/// # Errors
/// It cannot be made or read.
pub(crate) fn make_directory(path: &Path) -> io::Result<bool> {
    fs::create_dir_all(path)?;
    Ok(fs::read_dir(path)?.next().is_none())
}

/// Removes a directory with all that is in it.
///
/// # Errors
/// It cannot be removed.
pub(crate) fn remove_directory(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)
}

/// The address of a host to listen at; of several the first of the fourth version, which clients try without asking.
///
/// # Errors
/// Nobody knows the host.
pub(crate) fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
    chosen.copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// Runs `work` on a thread that nobody waits for.
///
/// # Errors
/// The operating system refuses it.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Calls `stop` at the first Ctrl-C, SIGTERM or SIGHUP; at the second the process ends on the spot.
///
/// # Errors
/// The operating system refuses it.
pub(crate) fn on_stop_signal(stop: impl Fn() + Send + 'static) -> io::Result<()> {
    let asked = AtomicBool::new(false);
    let handler = move || match asked.swap(true, Ordering::Relaxed) {
        false => stop(),
        true => std::process::exit(INTERRUPTED),
    };
    ctrlc::set_handler(handler).map_err(io::Error::other)
}
