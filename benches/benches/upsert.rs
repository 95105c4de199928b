//! Upserts of the reference flow beside their floors, in batches of 256 over a million names.
//!
//! Criterion tells each rate. Rates here drift by a third from minute to minute, so what counts is the last table: each
//! engine run is paired with floor runs right before it, and the medians of the ratios are told.

use std::time::Duration;

use anabranch_benches::floor::{FixedRows, PackedRows};
use anabranch_benches::{median, workers, workload};
use criterion::{Criterion, SamplingMode, Throughput};

/// Rows that each worker, or a floor, applies in one pass.
const ROWS: usize = 1_000_000;

/// Paired runs for the table of ratios.
const PAIRS: usize = 7;

/// Passes of a paired run: about a second.
const PASSES: u64 = 6;

struct Floors {
    pairs: Vec<workload::Pair>,
    batches: Vec<anabranch_model::Batch>,
    shape: std::sync::Arc<anabranch_model::Shape>,
    fixed: FixedRows,
    packed: PackedRows,
}

impl Floors {
    fn new() -> Self {
        let shape = workload::plan().inputs[0].shape.clone();
        let (all, pairs): (Vec<_>, Vec<_>) =
            (workload::all_keys().collect(), workload::random(ROWS, 7).collect());
        let batches = workload::batches(pairs.iter().copied(), &shape);
        let (mut fixed, mut packed) = (FixedRows::default(), PackedRows::default());
        fixed.apply(&all);
        packed.apply(&workload::batches(all.into_iter(), &shape), &shape);
        Floors { pairs, batches, shape, fixed, packed }
    }

    fn fixed(&mut self, passes: u64) -> Duration {
        (0..passes).map(|_| self.fixed.apply(&self.pairs)).sum()
    }

    fn packed(&mut self, passes: u64) -> Duration {
        (0..passes).map(|_| self.packed.apply(&self.batches, &self.shape)).sum()
    }
}

fn main() {
    let mut floors = Floors::new();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("upsert");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("floor, fixed rows in a hash map", |b| b.iter_custom(|passes| floors.fixed(passes)));
    group.bench_function("floor, packed rows in a hash map", |b| {
        b.iter_custom(|passes| floors.packed(passes))
    });
    group.bench_function("one worker", |b| b.iter_custom(|passes| workers::apply(1, ROWS, passes)));
    group.throughput(Throughput::Elements(2 * ROWS as u64));
    group.bench_function("two workers", |b| b.iter_custom(|passes| workers::apply(2, ROWS, passes)));
    group.finish();
    criterion.final_summary();
    ratios(&mut floors);
}

/// Floors and workers in turn, and their ratios.
fn ratios(floors: &mut Floors) {
    let rate = |workers: u32, took: Duration| {
        f64::from(workers) * (ROWS as u64 * PASSES) as f64 / took.as_secs_f64() / 1e6
    };
    let runs: Vec<[f64; 4]> = (0..PAIRS)
        .map(|_| {
            [
                rate(1, floors.fixed(PASSES)),
                rate(1, floors.packed(PASSES)),
                rate(1, workers::apply(1, ROWS, PASSES)),
                rate(2, workers::apply(2, ROWS, PASSES)),
            ]
        })
        .collect();
    let column = |figure: &dyn Fn(&[f64; 4]) -> f64| median(runs.iter().map(figure).collect());
    let lines = [
        ("floor, fixed rows", column(&|run| run[0]), "M rows/s"),
        ("floor, packed rows", column(&|run| run[1]), "M rows/s"),
        ("one worker", column(&|run| run[2]), "M rows/s"),
        ("two workers", column(&|run| run[3]), "M rows/s"),
        ("one worker / floor of fixed rows", column(&|run| run[2] / run[0]), ""),
        ("one worker / floor of packed rows", column(&|run| run[2] / run[1]), ""),
        ("two workers / one worker", column(&|run| run[3] / run[2]), ""),
    ];
    println!(
        "upserts, {} names, batches of {}, median of {PAIRS} paired runs",
        workload::KEYS,
        workload::BATCH_ROWS
    );
    for (what, figure, unit) in lines {
        println!("{what:<36} {figure:>7.2} {unit}");
    }
}
