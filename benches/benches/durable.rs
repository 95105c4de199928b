//! What it costs to keep what was acknowledged: a node with a data directory beside one in memory, and beside the bare
//! disk.
//!
//! One request in flight, on one client in the process: how long it takes beside a bare `pwrite` and `fdatasync` of as many
//! bytes into a file that is as long and as full of zeros; both take turns, 50 each, so that the disk's moods meet both. Rates:
//! batches of 256 updates, 64 of them in flight, on the durable node and on one in memory, in turns of a second; and what
//! a sync that takes long does to the slowest requests. `DATA=/dev/shm` shows what is left where syncs cost nothing.

#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock and makes files")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anabranch::{Flow, Node};
use anabranch_benches::load::{Load, Outcome};
use anabranch_benches::median;
use anabranch_benches::workload::KEYS;
use hdrhistogram::Histogram;
use serde_json::json;

/// Bytes that one update of the reference flow takes in the journal.
const RECORD_BYTES: usize = 176;

const SINGLE_ROUNDS: u64 = 40;
const SINGLE_TURNS: u64 = 50;
const RATE_ROUNDS: usize = 9;

fn main() {
    let root = std::env::var_os("DATA").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    let directory = root.join(format!("durable-{}", std::process::id()));
    single(&directory.join("single"));
    rates(&directory.join("rates"));
    fs::remove_dir_all(&directory).unwrap();
}

fn flow() -> Flow {
    Flow::parse("names.flow", include_str!("../../flows/names.flow")).unwrap()
}

fn durable(data: &Path) -> Node {
    Node::builder("A").data(data).flow(flow()).start().unwrap()
}

fn single(data: &Path) {
    let node = durable(data);
    let bare = zeros(&data.join("bare"));
    let mut client = node.client();
    let (mut ours, mut floor) = (histogram(), histogram());
    for round in 0..SINGLE_ROUNDS {
        for turn in 0..SINGLE_TURNS {
            let row =
                json!({ "name": format!("key{round:05}{turn:04}"), "value": "value-xxxxxxxxxxxxxxxxxx" });
            let began = Instant::now();
            client.ask("UpdateStream", &row).unwrap();
            ours.record(began.elapsed().as_nanos() as u64).unwrap();
        }
        for turn in 0..SINGLE_TURNS {
            let began = Instant::now();
            let at = (round * SINGLE_TURNS + turn) * RECORD_BYTES as u64;
            bare.write_all_at(&[1; RECORD_BYTES], at).unwrap();
            bare.sync_data().unwrap();
            floor.record(began.elapsed().as_nanos() as u64).unwrap();
        }
    }
    println!("one request in flight, microseconds\n");
    println!("                      p50      p99    p99.9");
    let micros = |histogram: &Histogram<u64>| {
        [0.5, 0.99, 0.999].map(|quantile| histogram.value_at_quantile(quantile) as f64 / 1e3)
    };
    let (node, floor) = (micros(&ours), micros(&floor));
    for (name, [p50, p99, p999]) in [("durable node", node), ("pwrite, fdatasync", floor)] {
        println!("{name:<17} {p50:8.1} {p99:8.1} {p999:8.1}");
    }
    println!("node / bare       {:8.3} {:8.3}\n", node[0] / floor[0], node[1] / floor[1]);
}

/// 64 MiB of zeros, durable.
fn zeros(path: &Path) -> File {
    let file = OpenOptions::new().write(true).create_new(true).open(path).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..64).for_each(|mebibyte| file.write_all_at(&zeros, mebibyte << 20).unwrap());
    file.sync_all().unwrap();
    file
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).unwrap()
}

fn rates(data: &Path) {
    let load = Load {
        mix: 100,
        batch: 256,
        connections: 1,
        threads: 1,
        in_flight: 64,
        rate: None,
        keys: KEYS,
        seconds: 1.0,
    };
    let nodes = [Node::builder("A").flow(flow()).start().unwrap(), durable(data)];
    nodes.iter().for_each(|node| load.fill(&mut node.client()).unwrap());
    println!("batches of 256 updates, 64 in flight, rounds of 1 s\n");
    println!("       M rows/s, memory  durable    ratio    durable: p50      p99    p99.9      max us");
    let (mut ratios, mut outcomes) = (Vec::new(), Vec::new());
    for round in 1..=RATE_ROUNDS {
        let [memory, durable] = [0, 1].map(|at| load.run(|| Ok(nodes[at].client())).unwrap());
        ratios.push(durable.ops_per_s / memory.ops_per_s);
        let Outcome { ops_per_s, p50_us, p99_us, p999_us, max_us, .. } = durable;
        println!(
            "{round:6} {:16.2} {:8.2} {:8.3} {p50_us:16.0} {p99_us:8.0} {p999_us:8.0} {max_us:8.0}",
            memory.ops_per_s / 1e6,
            ops_per_s / 1e6,
            ratios[round - 1]
        );
        outcomes.push(ops_per_s);
    }
    println!("durable / memory  {:.3} (median)\n", median(ratios));
}
