//! What the program says of a data directory that it cannot use, and what it does while the disk is full.
#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests look at files, and say what they skip"
)]

mod support;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use anabranch::{Client, Error, JournalState, StorageError};
use serde_json::json;
use support::{Directory, Serving};

/// Starts a node that cannot, and says why.
#[track_caller]
fn refused(directory: &Directory, data: &str, says: &[&str]) {
    let came = directory.run(&format!("run names.flow --data {data}"));
    assert_ne!(came.code, 0, "{came:?}");
    for text in says {
        assert!(came.stderr.contains(text), "{text}: {came:?}");
    }
}

fn client(node: &Serving) -> Client {
    Client::connect(&node.grpc).expect("it connects")
}

/// A journal with a row, in `data`.
fn with_row(directory: &Directory) {
    let node = directory.serve("--data data");
    client(&node).send("UpdateStream", &[json!({ "name": "a", "value": "1" })]).expect("sent");
}

#[track_caller]
fn has_row(directory: &Directory) {
    let node = directory.serve("--data data");
    assert!(client(&node).get("QueryTable", ["a"]).expect("read").is_some());
}

/// A file system in memory of so many MiB, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// None, with a message, where this machine does not allow it.
    fn new(at: PathBuf, mebibytes: u32) -> Option<Self> {
        fs::create_dir_all(&at).expect("a directory");
        if mount(&["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"], &at) {
            return Some(Mounted(at));
        }
        eprintln!("skipped: this user may not mount a file system");
        None
    }

    fn again(&self, options: &str) {
        assert!(mount(&["-o", &format!("remount,{options}")], &self.0), "{options}");
    }
}

fn mount(arguments: &[&str], at: &PathBuf) -> bool {
    let mount = Command::new("mount").args(arguments).arg(at).output();
    mount.is_ok_and(|output| output.status.success())
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_directory_that_is_a_file_or_in_use_is_told() {
    let directory = Directory::with_flow().file("file", "text");
    refused(&directory, "file", &["`file`", "it is no directory", "name a directory"]);
    assert_eq!(directory.read("file"), "text");
    let _first = directory.serve("--data data");
    refused(&directory, "data", &["`data`", "another node uses it", "stop that node"]);
}

#[test]
fn a_directory_without_permission_is_told() {
    let directory = Directory::with_flow();
    with_row(&directory);
    let path = directory.path("data");
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its owner may");
    mode(0o000);
    let root = fs::read_dir(&path).is_ok();
    if root {
        eprintln!("skipped: who runs this test may do everything");
    } else {
        refused(&directory, "data", &["permission denied", "give the user of this program the right"]);
    }
    mode(0o700);
    has_row(&directory);
}

#[test]
fn a_file_system_that_is_read_only_is_told() {
    let directory = Directory::with_flow();
    let Some(disk) = Mounted::new(directory.path("data"), 150) else { return };
    with_row(&directory);
    disk.again("ro");
    refused(&directory, "data", &["the file system is read-only", "mount it to be written"]);
    disk.again("rw");
    has_row(&directory);
}

#[test]
fn a_newer_format_is_told_and_left_as_it_is() {
    let directory = Directory::with_flow();
    with_row(&directory);
    let data = fs::read_dir(directory.path("data")).expect("a directory");
    let segment = data.map(|entry| entry.expect("an entry").path()).find(|path| path.extension().is_some());
    let segment = segment.expect("a segment");
    let file = OpenOptions::new().read(true).write(true).open(&segment).expect("it opens");
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).expect("it has a header");
    let mut newer = header;
    newer[8] = 2;
    let checksum = crc32c(&newer[..60]);
    newer[60..].copy_from_slice(&checksum.to_le_bytes());
    file.write_all_at(&newer, 0).expect("written");
    let before = fs::read(&segment).expect("read");
    refused(&directory, "data", &["format 2", "a newer version of anabranch wrote", "run that version"]);
    assert_eq!(fs::read(&segment).expect("read"), before);
    file.write_all_at(&header, 0).expect("written");
    has_row(&directory);
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |state, byte| {
        (0..8).fold(state ^ u32::from(*byte), |state, _| {
            (state >> 1) ^ if state & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

#[test]
fn a_disk_that_is_full_at_the_start_is_told_and_nothing_is_left() {
    let directory = Directory::with_flow();
    let Some(disk) = Mounted::new(directory.path("data"), 10) else { return };
    refused(&directory, "data", &["the disk is full", "make space"]);
    disk.again("size=150m");
    with_row(&directory);
    has_row(&directory);
}

#[test]
fn a_disk_that_gets_full_turns_writers_down_and_goes_on_when_there_is_space() {
    let directory = Directory::with_flow();
    let Some(disk) = Mounted::new(directory.path("data"), 100) else { return };
    let node = directory.serve("--data data");
    let (mut writer, mut other, mut looker) = (client(&node), client(&node), client(&node));
    let value = "x".repeat(1 << 20);
    let submit = |writer: &mut Client, number: u32| {
        let mut batch = writer.batch("UpdateStream").expect("there is such an input");
        batch.push(&json!({ "name": format!("n{number}"), "value": value })).expect("it fits");
        writer.submit(batch).expect("sent")
    };
    // The first segment takes 64 MiB, and there is no space for another.
    for number in 0..58 {
        let ticket = submit(&mut writer, number);
        writer.wait(ticket).expect("there is space");
    }
    // A request leaves when its client looks for answers.
    let send = |number| {
        let mut writer = client(&node);
        submit(&mut writer, number);
        (writer, 0)
    };
    let mut sent: Vec<_> = (58..64).map(send).collect();
    let look = |sent: &mut Vec<(Client, usize)>| {
        for (writer, accepted) in sent {
            *accepted += writer.try_next().expect("it runs").map_or(0, |(_, answer)| answer.accepted);
        }
    };
    let mut state = || looker.status().expect("it runs").journal.expect("it keeps what it does").state;
    while state() == JournalState::Ok {
        look(&mut sent);
    }
    let turned_down = other.send("UpdateStream", &[json!({ "name": "more", "value": "1" })]);
    assert!(
        matches!(&turned_down, Err(Error::Storage(StorageError::Halted(why))) if why.contains("the disk is full")),
        "{turned_down:?}"
    );
    node.run(&directory, "status").exits(0).says("the journal is halted").says("make space");
    let came = node.run(&directory, "table QueryTable --key n63 --stale").exits(0);
    assert!(came.stdout.contains("n63"), "{came:?}");

    disk.again("size=300m");
    while sent.iter().any(|(_, accepted)| *accepted == 0) {
        look(&mut sent);
    }
    while state() != JournalState::Ok {}
    other.send("UpdateStream", &[json!({ "name": "more", "value": "1" })]).expect("a repeat works");
    drop((writer, other, looker, sent, node));
    let again = directory.serve("--data data");
    assert_eq!(client(&again).scan("QueryTable").expect("begun").count(), 65);
}
