//! The rows of one partition of one table.
//!
//! A [`Table`] maps key bytes to packed rows ([`anabranch_model::row`]). Rows lie in slots of fixed classes of size
//! (`heap`); a hash index (`index`) holds their handles, so a key is compared where it lies and a row is updated in
//! place. Between [`Table::begin`] and [`Table::commit`] every change can be undone. Key order is kept only for those
//! who ask for it (`order`).
//!
//! No I/O, no threads, no clock.

mod heap;
mod index;
mod order;
mod prefetch;
mod table;

pub use prefetch::prefetch;
pub use table::{Chunk, ChunkCursor, KeyHash, MAX_ROWS, Table};
