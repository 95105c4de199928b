//! Which partition a key belongs to. The function is fixed for ever: rows on disk and on other nodes rest on it.
//!
//! The hash is XXH3-64 with seed 0 (Collet, xxHash specification 0.2) over the key bytes ([`crate::key`]) of the
//! partition columns; the partition is `(upper 32 bits of the hash * partitions) >> 32` (Lemire 2019, "Fast random
//! integer generation in an interval"), so the lower bits stay free for hash tables.

use serde::{Deserialize, Serialize};

/// Partitions of a table, at most. A partition costs memory on its owner even when it is empty.
pub const MAX_PARTITIONS: u32 = 4096;

/// The number of a partition, below its table's number of partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionId(pub u32);

/// The hash of the key bytes of the partition columns.
#[inline]
pub fn partition_hash(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

/// The partition that a hash names among `partitions`.
#[inline]
pub fn partition_of(hash: u64, partitions: u32) -> PartitionId {
    PartitionId((((hash >> 32) * u64::from(partitions)) >> 32) as u32)
}
