//! Upserts of the reference flow beside their floors, in batches of 256 over a million names.
//!
//! Criterion tells each rate. Rates drift by a third from minute to minute, so what counts is the last table: floors
//! and workers in turn, and the medians of the ratios run by run.

#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]

use std::time::Duration;

use anabranch_benches::floor::{FixedRows, PackedRows, handover};
use anabranch_benches::workload::{self, Made};
use anabranch_benches::{median, workers};
use anabranch_model::{Batch, Shape};
use criterion::{Criterion, SamplingMode, Throughput};

/// Rows that each worker, or a floor, applies in one pass.
const ROWS: usize = 1_000_000;

/// Rounds of the table of ratios.
const ROUNDS: usize = 7;

/// Passes of a run in a round: about a second, so that how threads are placed at first does not count.
const PASSES: u64 = 10;

struct Floors {
    pairs: Vec<workload::Pair>,
    batches: Vec<Batch>,
    shape: std::sync::Arc<Shape>,
    fixed: FixedRows,
    packed: PackedRows,
}

impl Floors {
    fn new() -> Self {
        let shape = workload::plan().inputs[0].shape.clone();
        let pairs: Vec<_> = workload::random(ROWS, 7).collect();
        let batches = workload::batches(pairs.iter().copied(), &shape).collect();
        let (mut fixed, mut packed) = (FixedRows::default(), PackedRows::default());
        fixed.apply(workload::all_keys());
        packed.apply(workload::batches(workload::all_keys(), &shape), &shape);
        Floors { pairs, batches, shape, fixed, packed }
    }

    fn fixed(&mut self, made: Made, passes: u64) -> Duration {
        let pass = |_| match made {
            Made::Before => self.fixed.apply(self.pairs.iter().copied()),
            Made::Inside => self.fixed.apply(workload::random(ROWS, 7)),
        };
        (0..passes).map(pass).sum()
    }

    fn packed(&mut self, made: Made, passes: u64) -> Duration {
        let shape = &self.shape;
        let pass = |_| match made {
            Made::Before => self.packed.apply(self.batches.iter().cloned(), shape),
            Made::Inside => self.packed.apply(workload::batches(workload::random(ROWS, 7), shape), shape),
        };
        (0..passes).map(pass).sum()
    }
}

fn main() {
    let mut floors = Floors::new();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("upsert");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(ROWS as u64));
    let made = Made::Inside;
    group.bench_function("floor, fixed rows in a hash map", |b| {
        b.iter_custom(|passes| floors.fixed(made, passes))
    });
    group.bench_function("floor, packed rows in a hash map", |b| {
        b.iter_custom(|passes| floors.packed(made, passes))
    });
    group.bench_function("one worker", |b| b.iter_custom(|passes| workers::apply(1, made, ROWS, passes)));
    group.throughput(Throughput::Elements(2 * ROWS as u64));
    group.bench_function("two workers", |b| b.iter_custom(|passes| workers::apply(2, made, ROWS, passes)));
    group.finish();
    criterion.final_summary();
    println!(
        "\nupserts, {} names, batches of {}, medians of {ROUNDS} rounds",
        workload::KEYS,
        workload::BATCH_ROWS
    );
    println!("{:<36} {:>12} {:>12}", "", "rows made", "rows made");
    println!("{:<36} {:>12} {:>12}", "", "inside", "before");
    table(&rounds(&mut floors, Made::Inside), &rounds(&mut floors, Made::Before));
}

/// Above it the processor's two cores do not share a cache, and every exchange of two threads pays for that.
const NEAR: Duration = Duration::from_nanos(100);

/// Million rows a second of the two floors, one worker and two workers, in turn; then what a cache line took from one
/// thread to another, in nanoseconds: the slower of before and after the two workers.
fn rounds(floors: &mut Floors, made: Made) -> Vec<[f64; 5]> {
    let rate = |workers: u32, took: Duration| {
        f64::from(workers) * (ROWS as u64 * PASSES) as f64 / took.as_secs_f64() / 1e6
    };
    let round = |_| {
        let fixed = rate(1, floors.fixed(made, PASSES));
        let packed = rate(1, floors.packed(made, PASSES));
        let one = rate(1, workers::apply(1, made, ROWS, PASSES));
        let before = handover();
        let two = rate(2, workers::apply(2, made, ROWS, PASSES));
        [fixed, packed, one, two, before.max(handover()).as_nanos() as f64]
    };
    (0..ROUNDS).map(round).collect()
}

fn table(inside: &[[f64; 5]], before: &[[f64; 5]]) {
    let line = |what: &str, figure: &dyn Fn(&[f64; 5]) -> f64| {
        let of = |rounds: &[[f64; 5]]| median(rounds.iter().map(figure).collect());
        println!("{what:<36} {:>12.2} {:>12.2}", of(inside), of(before));
    };
    line("floor, fixed rows, M rows/s", &|round| round[0]);
    line("floor, packed rows, M rows/s", &|round| round[1]);
    line("one worker, M rows/s", &|round| round[2]);
    line("two workers, M rows/s", &|round| round[3]);
    line("one worker / floor of fixed rows", &|round| round[2] / round[0]);
    line("one worker / floor of packed rows", &|round| round[2] / round[1]);
    line("two workers / one worker", &|round| round[3] / round[2]);
    line("a cache line to the other core, ns", &|round| round[4]);
    let is_near = |round: &&[f64; 5]| round[4] < NEAR.as_nanos() as f64;
    for (what, near) in [("with a shared cache", true), ("without one", false)] {
        let of = |rounds: &[[f64; 5]]| {
            let ratios: Vec<f64> = rounds
                .iter()
                .filter(|round| is_near(round) == near)
                .map(|round| round[3] / round[2])
                .collect();
            if ratios.is_empty() {
                "-".into()
            } else {
                format!("{:.2} of {}", median(ratios.clone()), ratios.len())
            }
        };
        println!("{:<36} {:>12} {:>12}", format!("  rounds {what}"), of(inside), of(before));
    }
}
