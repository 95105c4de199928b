//! What no node can be faster than: a message there and back over the loopback, a sync of a file, bytes through a connection.
#![allow(clippy::disallowed_types, reason = "bare sockets are what is measured")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use crate::process::Failure;

/// Bytes of a message: about those of a request with one row.
const MESSAGE_BYTES: usize = 128;

/// Messages that are measured.
const MESSAGES: usize = 20_000;

/// Syncs that are measured.
const SYNCS: usize = 1000;

/// Bytes of the file that is synced; they are there before.
const FILE_BYTES: usize = 4 << 20;

/// Bytes that are written at once.
const PIECE_BYTES: usize = 64 << 10;

/// Bytes through a connection.
const BYTES: usize = 512 << 20;

fn world(error: std::io::Error) -> Failure {
    Failure::World(format!("a bare measurement fails: {error}"))
}

/// The median of a message there and back between two threads, in microseconds.
pub(super) fn hop_us() -> Result<f64, Failure> {
    hop().map_err(world)
}

fn hop() -> std::io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut there = TcpStream::connect(listener.local_addr()?)?;
    let (mut back, _) = listener.accept()?;
    there.set_nodelay(true)?;
    back.set_nodelay(true)?;
    let echo = std::thread::spawn(move || {
        let mut message = [0; MESSAGE_BYTES];
        while back.read_exact(&mut message).is_ok() && back.write_all(&message).is_ok() {}
    });
    let mut took = Vec::with_capacity(MESSAGES);
    let mut message = [1; MESSAGE_BYTES];
    for _ in 0..MESSAGES {
        let began = Instant::now();
        there.write_all(&message)?;
        there.read_exact(&mut message)?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    drop(there);
    echo.join().expect("an echo does not panic");
    Ok(crate::median(took))
}

/// The median of a small write with its sync while another file of the same disk is written and synced, too, as two nodes on
/// one machine do; in microseconds.
pub(super) fn sync_us(directory: &Path) -> Result<f64, Failure> {
    let [one, other] = std::thread::scope(|scope| {
        let sync = |name| scope.spawn(move || syncs(&directory.join(name)));
        let threads = ["bare-1", "bare-2"].map(sync);
        threads.map(|thread| thread.join().expect("it does not panic"))
    });
    Ok((one.map_err(world)? + other.map_err(world)?) / 2.0)
}

fn syncs(path: &Path) -> std::io::Result<f64> {
    let file = File::options().create(true).truncate(true).write(true).open(path)?;
    file.write_all_at(&vec![0; FILE_BYTES], 0)?;
    file.sync_all()?;
    let mut took = Vec::with_capacity(SYNCS);
    for number in 0..SYNCS {
        let began = Instant::now();
        file.write_all_at(&[1; MESSAGE_BYTES], (number * MESSAGE_BYTES) as u64)?;
        file.sync_data()?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(crate::median(took))
}

/// Megabytes (10^6) a second through one connection of the loopback.
pub(super) fn transport_mb_s() -> Result<f64, Failure> {
    transport().map_err(world)
}

fn transport() -> std::io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut there = TcpStream::connect(listener.local_addr()?)?;
    let (mut back, _) = listener.accept()?;
    let read = std::thread::spawn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        let mut all = 0;
        while let Ok(bytes @ 1..) = back.read(&mut piece) {
            all += bytes;
        }
        all
    });
    let piece = vec![1; PIECE_BYTES];
    let began = Instant::now();
    for _ in 0..BYTES / PIECE_BYTES {
        there.write_all(&piece)?;
    }
    drop(there);
    let bytes = read.join().expect("a reader does not panic");
    Ok(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
}
