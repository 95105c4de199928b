//! The node on the network: gRPC and HTTP, and the client's end of a session.
//!
//! The only place beside `os` that touches sockets. A server has a runtime of its own, so that a host application needs
//! none; handlers never block it, they wait for workers through [`gate`].

mod convert;
mod exposition;
mod gate;
mod grpc;
mod http;
mod listener;
mod metrics;
mod observe;
mod remote;
mod server;
mod session;
mod subscriptions;
mod traffic;

pub use remote::Remote;
pub(crate) use remote::RemoteSubscription;
pub use server::{Listen, Server, Timeouts};
