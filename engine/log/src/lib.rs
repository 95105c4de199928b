//! The journal of a node: what it has acknowledged, in order, on its disk.
//!
//! A journal is a directory of *segments* with *records* ([`record`](Record)) and of *snapshots*. A [`Writer`] appends;
//! a [`Reader`] gives the longest whole prefix back and becomes the next writer; a [`SnapshotWriter`] keeps the state at
//! some record, so that [`retain`] may drop what lies before. Everything works over a [`Disk`], so that the simulator
//! runs the same code over a disk that crashes. No file system, no thread, no clock here.
//!
//! Bytes are told in `FORMAT.md`, and are promises.
//!
//! INVARIANTS: `safe <= written < next`; what was said to be safe comes back after any crash, in order, once; what comes
//! back was appended, and nothing before it is missing.

mod check;
mod config;
mod disk;
mod error;
mod memory;
mod planted;
mod record;
mod recover;
mod recovery;
mod retention;
mod segment;
mod snapshot;
mod tail;
mod window;
mod writer;

pub use check::{Report, SegmentReport, SnapshotReport, check, files, first};
pub use config::{Config, SEGMENT_BYTES_MAX};
pub use disk::{Access, Disk, DiskFile};
pub use error::{Damage, Error};
pub use memory::{MemoryDisk, MemoryFile};
#[doc(hidden)]
pub use planted::Planted;
pub use record::{BODY_BYTES_MAX, Entry, Kind, LogNumber, Position, Record, record_bytes};
pub use recover::{Recovery, recover, recover_telling, set_aside};
pub use recovery::{Reader, Torn};
pub use retention::{Dropped, retain};
pub use segment::{Spare, fill_with_zeros};
pub use snapshot::{Chunk, SnapshotReader, SnapshotStart, SnapshotWriter, Summary};
pub use writer::{GATHERED_BYTES_MAX, SpareOrder, Writer};
