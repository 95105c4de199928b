//! What goes over the network, as bytes and nothing else: no sockets, no threads, no clock.
//!
//! - [`health`], [`reflection`]: the messages of the services that gRPC tools expect.
//! - [`openapi`]: the HTTP interface of flows, described for programs.
//! - [`peer`]: what the nodes of a zone say to each other.
//! - [`session`]: the messages of the Rust client. Rows travel as the packed batches that they are.
//! - [`typed`]: a `.proto` for every flow, and its messages from and to packed rows.

#![forbid(unsafe_code)]

pub mod health;
pub mod openapi;
pub mod peer;
pub mod reflection;
pub mod session;
pub mod typed;
