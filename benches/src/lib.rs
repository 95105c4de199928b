//! What the benchmarks share: the reference workload, its floors, and how a rate is measured.
//!
//! The workload is the one of the peer measurements: names of 12 bytes, values of 24 bytes, names chosen uniformly,
//! all names there before the clock starts. Rows are made before the clock starts or in the measured loop, for the floors
//! as for the engine.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

pub mod floor;
pub mod kill;
pub mod load;
pub mod members;
pub mod process;
pub mod workers;
pub mod workload;
pub mod zone;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The median of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
