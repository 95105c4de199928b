//! What goes over the network, as bytes and nothing else: no sockets, no threads, no clock.
//!
//! - [`session`]: the messages of the Rust client. Rows travel as the packed batches that they are.

#![forbid(unsafe_code)]

pub mod session;
