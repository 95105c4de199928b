//! What snapshots cost a durable node that is under load: rounds without and with a snapshot under way, in turns.
//!
//! At `max` batches of 256 updates, 64 in flight; then as many requests a second as half of that, which is an open loop:
//! what a stop of a worker or of the disk holds up is seen in the latency of all requests behind it. `DATA=/dev/shm` shows
//! what is left where syncs cost nothing.
//!
//! And how long a worker stops for a piece: each piece is made five times and the fastest counts, so that what the machine
//! did meanwhile is not told as ours.

#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![allow(clippy::disallowed_methods, reason = "a benchmark makes files and threads")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anabranch::{Flow, Node, SnapshotTaken};
use anabranch_benches::load::{Load, Outcome};
use anabranch_benches::{median, workload};
use anabranch_model::message::{Body, FlowId, Origin, Request};
use anabranch_model::plan::InputId;
use anabranch_model::row::RowError;
use anabranch_operators::{Worker, WorkerConfig};

/// Rows of the table, where `SNAPSHOT_ROWS` says nothing else.
const ROWS: u64 = 4_000_000;
/// As the node's.
const PIECE_BYTES: usize = 128 << 10;
const ROUNDS: usize = 5;
const SECONDS: f64 = 4.0;

fn main() {
    let keys = std::env::var("SNAPSHOT_ROWS").map_or(ROWS, |rows| rows.parse().unwrap());
    pieces(keys);
    let root = std::env::var_os("DATA").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    let directory = root.join(format!("snapshot-{}", std::process::id()));
    for workers in [1, 2] {
        let data = directory.join(workers.to_string());
        let flow = Flow::parse("names.flow", include_str!("../../flows/names.flow")).unwrap();
        let node = Node::builder("A").workers(workers).data(&data).snapshot_after(u64::MAX).flow(flow);
        let node = node.start().unwrap();
        let max = Load {
            mix: 100,
            batch: 256,
            connections: 1,
            threads: 1,
            in_flight: 64,
            rate: None,
            keys,
            seconds: SECONDS,
        };
        fill(&node, keys);
        println!("{workers} workers, {keys} rows\n");
        let rate = compare(&node, &max);
        compare(&node, &Load { rate: Some(rate / 2.0 / max.batch as f64), ..max });
        drop(node);
        std::fs::remove_dir_all(&data).unwrap();
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The pieces of one worker.
fn pieces(keys: u64) {
    let (plan, flow) = (workload::plan(), FlowId(0));
    let config = WorkerConfig { node: "A".into(), seed: 1, clock: None, profile: false, records: true };
    let mut worker = Worker::alone(&config);
    worker.install(flow, &plan);
    let pairs = (0..keys).map(|key| workload::pair(key, key));
    for (request, batch) in (1..).zip(workload::batches(pairs, &plan.inputs[0].shape)) {
        let origin = Origin { worker: worker.id(), client: 1, request, revision: 1, once: None };
        worker.submit(flow, Request { origin, body: Body::Rows { input: InputId(0), batch }, partial: None });
        worker.turn(0);
        drop((worker.records(), worker.deliveries()));
    }
    let mut fastest: Vec<Duration> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for _ in 0..ROUNDS {
        let mut place = worker.snapshot();
        (rows, bytes) = (0, 0);
        for at in 0.. {
            let began = Instant::now();
            let piece = worker.snapshot_piece(&mut place, PIECE_BYTES);
            let took = began.elapsed();
            let Some(piece) = piece else { break };
            (rows, bytes) = (rows + piece.rows, bytes + piece.body.len());
            match fastest.get_mut(at) {
                Some(before) => *before = took.min(*before),
                None => fastest.push(took),
            }
        }
    }
    fastest.sort_unstable();
    let at = |part: usize| fastest[(fastest.len() * part / 1000).min(fastest.len() - 1)];
    println!(
        "a piece of {} KiB, {} of them, {rows} rows, {} MiB\n",
        PIECE_BYTES >> 10,
        fastest.len(),
        bytes >> 20
    );
    println!("p50 {:?}, p99 {:?}, max {:?}\n", at(500), at(990), at(1000));
}

fn fill(node: &Node, keys: u64) {
    let mut client = node.client();
    let mut pairs = (0..keys).map(|key| workload::pair(key, key)).peekable();
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
}

/// Rows a second without a snapshot.
fn compare(node: &Node, load: &Load) -> f64 {
    match load.rate {
        None => println!("64 requests in flight"),
        Some(rate) => println!("{rate:.0} requests a second"),
    }
    println!("                 M rows/s       p50       p99     p99.9       max us");
    let (mut rates, mut p99s, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let mut taken: Vec<SnapshotTaken> = Vec::new();
    for _ in 0..ROUNDS {
        let without = load.run(|| Ok(node.client())).unwrap();
        let with = under_snapshots(node, load, &mut taken);
        tell("without", &without);
        tell("with snapshots", &with);
        rates.push(with.ops_per_s / without.ops_per_s);
        p99s.push(with.p99_us / without.p99_us);
        all.push(without.ops_per_s);
    }
    let longest = taken.iter().map(|taken| taken.longest_stop).max().unwrap_or_default();
    let bytes = taken.iter().map(|taken| taken.bytes).max().unwrap_or_default();
    println!("with / without   {:.3} of the rate, {:.2} of p99 (medians)", median(rates), median(p99s));
    println!("{} snapshots of {} MiB; a worker stopped for at most {longest:?}\n", taken.len(), bytes >> 20);
    median(all)
}

/// One snapshot after the other while there is load.
fn under_snapshots(node: &Node, load: &Load, all: &mut Vec<SnapshotTaken>) -> Outcome {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let snapshots = scope.spawn(|| {
            let mut taken = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                taken.push(node.snapshot().unwrap());
            }
            taken
        });
        let outcome = load.run(|| Ok(node.client())).unwrap();
        ended.store(true, Ordering::Relaxed);
        all.extend(snapshots.join().unwrap());
        outcome
    })
}

fn tell(name: &str, of: &Outcome) {
    let Outcome { ops_per_s, p50_us, p99_us, p999_us, max_us, .. } = of;
    println!("{name:<16} {:8.2} {p50_us:9.0} {p99_us:9.0} {p999_us:9.0} {max_us:12.0}", ops_per_s / 1e6);
}
