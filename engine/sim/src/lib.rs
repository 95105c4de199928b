//! A simulated world for tests: everything that can go wrong outside, by a seed.
//!
//! Today it is a disk ([`SimDisk`]). The same seed and the same calls give the same run, byte for byte.

mod chance;
mod disk;

pub use chance::Chance;
pub use disk::{Fault, Lost, SimDisk, SimFile};
