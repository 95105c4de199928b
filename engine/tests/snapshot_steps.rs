//! Snapshots of a node in one thread, step by step: what a full disk, a change of flows and a stop in between leave.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use anabranch::Flow;
use anabranch::testing::TestNode;
use anabranch_log::{Access, Config, Disk, DiskFile, MemoryDisk, MemoryFile};
use serde_json::json;

/// A disk that has no space for snapshots while it is told so.
#[derive(Clone, Default)]
struct Narrow {
    disk: MemoryDisk,
    full: Rc<Cell<bool>>,
}

struct NarrowFile {
    file: MemoryFile,
    full: Option<Rc<Cell<bool>>>,
}

impl Narrow {
    fn file(&self, name: &str, file: MemoryFile) -> NarrowFile {
        NarrowFile { file, full: name.starts_with("snapshot").then(|| self.full.clone()) }
    }

    fn names(&self, part: &str) -> Vec<String> {
        let mut names = self.disk.list().expect("it lists");
        names.retain(|name| name.contains(part));
        names
    }
}

impl Disk for Narrow {
    type File = NarrowFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<NarrowFile> {
        self.disk.create(name, bytes).map(|file| self.file(name, file))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<NarrowFile> {
        self.disk.open(name, access).map(|file| self.file(name, file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
}

impl DiskFile for NarrowFile {
    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.full.as_ref().is_some_and(|full| full.get()) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.file.write_at(bytes, offset),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn node(disk: &Narrow) -> TestNode {
    TestNode::durable("A", 1, disk.clone(), Config::new([7; 16])).expect("it starts")
}

/// Every revision has another shape of rows.
fn names(revision: u32) -> Flow {
    let columns: String = (2..=revision).map(|n| format!(", c{n}: text default 'c{n}'")).collect();
    let text = format!(
        "flow names revision {revision}
         input UpdateStream: {{ name: text, value: text }}
         input DeleteStream: {{ name: text }}
         table QueryTable: {{ name: text, value: text{columns} }} {{ key name }}
         on UpdateStream as u {{ upsert QueryTable {{ ..u }} }}
         on DeleteStream as d {{ delete QueryTable where name = d.name }}"
    );
    Flow::parse("names.flow", &text).expect("it compiles")
}

fn send(node: &TestNode, numbers: std::ops::Range<u32>) {
    let mut client = node.client();
    for number in numbers {
        let row = json!({ "name": format!("n{number}"), "value": format!("v{number}") });
        client.ask("UpdateStream", &row).expect("asked");
    }
}

fn rows(node: &TestNode) -> Vec<String> {
    let mut client = node.client();
    client.scan("QueryTable").expect("it begins").map(|row| row.expect("a row").to_string()).collect()
}

/// A turn of the worker, and what it did is kept.
fn step(node: &TestNode) -> bool {
    node.advance(Duration::ZERO);
    node.commit()
}

/// Goes on until there are so many snapshots.
fn until(node: &TestNode, disk: &Narrow, snapshots: usize) {
    let done = (0..1000).any(|_| {
        step(node);
        disk.names(".snap").len() == snapshots
    });
    assert!(done, "{:?}", disk.names("snap"));
}

#[test]
fn a_snapshot_that_finds_no_space_leaves_nothing_and_the_next_is_whole() {
    let disk = Narrow::default();
    let first = node(&disk);
    first.deploy(names(1)).expect("deployed");
    send(&first, 0..200);
    disk.full.set(true);
    first.snapshot();
    (0..1000).for_each(|_| assert!(step(&first)));
    assert!(disk.names("snap").is_empty(), "{:?}", disk.names("snap"));
    send(&first, 200..210);

    disk.full.set(false);
    first.snapshot();
    until(&first, &disk, 1);
    let before = rows(&first);
    assert_eq!(before.len(), 210);
    drop(first);
    assert_eq!(rows(&node(&disk)), before);
}

#[test]
fn a_change_of_flows_gives_up_the_snapshot_which_begins_again() {
    // After so many steps the flow changes: before, while and after the snapshot is made.
    for steps in [0, 1, 2, 3, 5, 8, 13, 40, 200] {
        let disk = Narrow::default();
        let first = node(&disk);
        first.deploy(names(1)).expect("deployed");
        send(&first, 0..100);
        first.snapshot();
        (0..steps).for_each(|_| assert!(step(&first)));
        let early = disk.names(".snap").len();
        first.deploy(names(2)).expect("deployed");
        send(&first, 50..150);
        until(&first, &disk, 1);
        assert!(
            disk.names(".tmp").iter().all(|name| !name.starts_with("snap")),
            "{early} {:?}",
            disk.names("")
        );
        let before = rows(&first);
        drop(first);
        let again = node(&disk);
        assert_eq!((again.flows()[0].revision(), rows(&again)), (2, before), "after {steps} steps");
    }
}

#[test]
fn rows_that_come_go_and_change_between_any_two_pieces_are_as_they_were_last() {
    let disk = Narrow::default();
    let first = node(&disk);
    first.deploy(names(1)).expect("deployed");
    send(&first, 0..600);
    first.snapshot();
    let mut client = first.client();
    for at in 0_u32.. {
        if disk.names(".snap").len() == 1 {
            assert!(at > 20, "few pieces: {at}");
            break;
        }
        step(&first);
        client.ask("DeleteStream", &json!({ "name": format!("n{}", (at * 37) % 600) })).expect("asked");
        let row = json!({ "name": format!("n{}", (at * 53) % 700), "value": "x".repeat(at as usize % 200) });
        client.ask("UpdateStream", &row).expect("asked");
    }
    let before = rows(&first);
    drop((client, first));
    assert_eq!(rows(&node(&disk)), before);
}
