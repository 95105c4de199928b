//! How long a node takes to start from its data directory, and how much memory, beside a plain program that reads and
//! checks the same files and fills a hash map: 10^7 rows, from the journal alone and from a snapshot.
//!
//! Every figure is of a process of its own, so that memory is what it took. Node and plain program take turns.

#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock and files")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anabranch::{Flow, Node};
use anabranch_benches::{median, workload};
use anabranch_model::Row;
use anabranch_model::plan::Plan;
use anabranch_model::record::{Change, Record};
use anabranch_model::row::RowError;
use anabranch_model::snapshot::{Item, Piece, rows};
use anabranch_model::types::ColumnId;
use crc32c::{crc32c, crc32c_append};

/// Rows, where `RECOVERY_ROWS` says nothing else.
const ROWS: u64 = 10_000_000;
const ROUNDS: usize = 5;

/// What a process is to do.
const PART: &str = "RECOVERY_PART";

fn main() {
    if let Ok(part) = std::env::var(PART) {
        let words: Vec<&str> = part.split(' ').collect();
        let (directory, workers) = (Path::new(words[1]), words[2].parse().unwrap());
        return match words[0] {
            "fill" => fill(directory, workers),
            "snapshot" => drop(start(directory, workers).snapshot().unwrap()),
            "node" => node(directory, workers),
            _ => plain(directory),
        };
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recovery-{}", std::process::id()));
    let running = run("fill", &directory, 2).0[1];
    println!("{} rows; the running node holds {running:.0} MiB\n", row_count());
    compare("the journal alone", &directory, running);
    run("snapshot", &directory, 2);
    compare("a snapshot", &directory, running);
    fs::remove_dir_all(&directory).unwrap();
}

fn row_count() -> u64 {
    std::env::var("RECOVERY_ROWS").map_or(ROWS, |rows| rows.parse().unwrap())
}

/// Seconds and MiB of a part that a process of its own does.
fn run(part: &str, directory: &Path, workers: usize) -> ([f64; 2], String) {
    let program = std::env::current_exe().unwrap();
    let order = format!("{part} {} {workers}", directory.display());
    let output = Command::new(program).env(PART, order).output().unwrap();
    assert!(output.status.success(), "{part}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut figures = text.split_whitespace().map(|figure| figure.parse().unwrap_or_default());
    ([figures.next().unwrap_or_default(), figures.next().unwrap_or_default()], text)
}

fn compare(what: &str, directory: &Path, running: f64) {
    let bytes: u64 =
        fs::read_dir(directory).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("from {what}, {} MiB of files, medians of {ROUNDS} rounds\n", bytes >> 20);
    let mut seconds: [Vec<f64>; 3] = Default::default();
    let mut ratios: [Vec<f64>; 2] = Default::default();
    let mut memory = [0.0_f64; 3];
    for _ in 0..ROUNDS {
        let figures =
            [("plain", 1), ("node", 1), ("node", 2)].map(|(part, workers)| run(part, directory, workers).0);
        for (at, [took, mib]) in figures.iter().enumerate() {
            seconds[at].push(*took);
            memory[at] = memory[at].max(*mib);
        }
        (0..2).for_each(|at| ratios[at].push(figures[0][0] / figures[at + 1][0]));
    }
    let told = ["plain program", "node, 1 worker", "node, 2 workers"];
    for ((name, seconds), mib) in told.iter().zip(seconds).zip(memory) {
        let seconds = median(seconds);
        let rate = row_count() as f64 / seconds / 1e6;
        println!("{name:<16} {seconds:6.2} s  {rate:5.2} M rows/s  at most {mib:5.0} MiB");
    }
    for (name, ratios) in told[1..].iter().zip(ratios) {
        println!("{name} / plain  {:5.2} of its speed", median(ratios));
    }
    println!("memory of a start / of the running node  {:4.2}\n", memory[1].max(memory[2]) / running);
}

/// Memory of this process in MiB: at most so far, or now.
fn mib(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn flow() -> Flow {
    Flow::parse("names.flow", anabranch::doc::NAMES).unwrap()
}

fn start(directory: &Path, workers: u32) -> Node {
    Node::builder("A").workers(workers).data(directory).snapshot_after(u64::MAX).start().unwrap()
}

/// A node that gets all rows.
fn fill(directory: &Path, workers: u32) {
    let began = Instant::now();
    let node = start(directory, workers);
    node.deploy(flow()).unwrap();
    let mut client = node.client();
    let mut pairs = (0..row_count()).map(|key| workload::pair(key, key)).peekable();
    while pairs.peek().is_some() {
        let mut batch = client.batch("UpdateStream").unwrap();
        let shape = batch.shape().clone();
        for (name, value) in pairs.by_ref().take(workload::BATCH_ROWS) {
            let write = batch.packed().push_with::<RowError>(&shape, |row| {
                row.packed(&name);
                row.packed(&value);
                Ok(())
            });
            write.unwrap();
        }
        client.submit(batch).unwrap();
    }
    while client.next().unwrap().is_some() {}
    println!("{} {}", began.elapsed().as_secs_f64(), mib("VmRSS"));
}

fn node(directory: &Path, workers: u32) {
    let began = Instant::now();
    let node = start(directory, workers);
    println!("{} {}", began.elapsed().as_secs_f64(), mib("VmHWM"));
    let found: u64 = node.status().flows.iter().flat_map(|flow| &flow.tables).map(|table| table.rows).sum();
    assert_eq!(found, row_count());
}

/// The rows of a program that knows where they are.
struct Plain {
    plan: std::sync::Arc<Plan>,
    rows: HashMap<Box<[u8]>, Box<[u8]>, foldhash::fast::RandomState>,
}

impl Plain {
    fn put(&mut self, row: &[u8]) {
        let name = Row::new(row, &self.plan.tables[0].shape).slot_bytes(ColumnId(0));
        match self.rows.get_mut(name) {
            Some(stored) if stored.len() == row.len() => stored.copy_from_slice(row),
            Some(stored) => *stored = row.into(),
            None => drop(self.rows.insert(name.into(), row.into())),
        }
    }

    fn chunk(&mut self, body: &[u8]) {
        let Piece::State(state) = Piece::parse(body).unwrap() else { return };
        for item in state.items() {
            if let Item::Rows(_, _, bytes) = item.unwrap() {
                rows(bytes).for_each(|row| self.put(row.unwrap()));
            }
        }
    }

    fn record(&mut self, body: &[u8]) {
        for change in Record::parse(body).unwrap().changes() {
            if let Change::Put(_, row) = change.unwrap() {
                self.put(row);
            }
        }
    }
}

fn plain(directory: &Path) {
    let began = Instant::now();
    let mut plain = Plain { plan: flow().plan().clone(), rows: HashMap::default() };
    let mut begin = 0;
    for file in files(directory, "snap") {
        begin = file_number(&file);
        read(&file, 64, 32, |head, body| {
            if head[12] == 1 {
                plain.chunk(body);
            }
        });
    }
    for file in files(directory, "log") {
        read(&file, 4096, 56, |head, body| {
            if head[12] == 1 && u64::from_le_bytes(head[16..24].try_into().unwrap()) > begin {
                plain.record(body);
            }
        });
    }
    println!("{} {}", began.elapsed().as_secs_f64(), mib("VmHWM"));
    assert_eq!(plain.rows.len() as u64, row_count());
    // Giving the memory back is no part of it.
    std::process::exit(0);
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|of| of == extension));
    files.sort();
    files
}

fn file_number(file: &Path) -> u64 {
    let name = file.file_stem().unwrap().to_str().unwrap();
    name.rsplit('-').next().unwrap().parse().unwrap()
}

/// Reads what lies behind each other in a file in pieces of 1 MiB, each with a head of so many bytes; looks at all
/// checksums.
fn read(path: &Path, start: u64, head_bytes: usize, mut take: impl FnMut(&[u8], &[u8])) {
    let file = fs::File::open(path).unwrap();
    let mut first = [0; 64];
    file.read_exact_at(&mut first, 0).unwrap();
    let identity = crc32c(&first[16..32]);
    let (mut buffer, mut at) = (Vec::new(), start);
    loop {
        let kept = buffer.len();
        buffer.resize(kept + (1 << 20), 0);
        let count = file.read_at(&mut buffer[kept..], at).unwrap();
        buffer.truncate(kept + count);
        at += count as u64;
        let mut from = 0;
        while let Some(head) = buffer.get(from..from + head_bytes) {
            let body_bytes = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
            let sum = u32::from_le_bytes(head[..4].try_into().unwrap());
            if sum == 0 && body_bytes == 0 {
                return;
            }
            assert_eq!(sum, crc32c_append(identity, &head[4..]));
            let end = from + head_bytes + body_bytes.next_multiple_of(8);
            let Some(body) = buffer.get(from + head_bytes..end) else { break };
            assert_eq!(u32::from_le_bytes(head[4..8].try_into().unwrap()), crc32c(body));
            take(head, &body[..body_bytes]);
            from = end;
        }
        buffer.drain(..from);
        if count == 0 {
            return;
        }
    }
}
