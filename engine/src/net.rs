//! The node on the network: gRPC and HTTP, and the client's end of a session.
//!
//! The only place beside `os` that touches sockets. A server has a runtime of its own, so that a host application needs
//! none; handlers never block it, they wait for workers through [`gate`].
//!
//! A connection goes through `listener` (how many there are), `connection` (TLS, HTTP/1.1 or 2, how long it may take) and
//! `guard` (host, origin, token); a handler behind them reaches the node through a [`gate`] with the rights of its
//! caller, which [`access`] tells. Other nodes of the zone come to the same port; theirs goes from `connection` to [`peer`].

mod access;
mod audit;
mod connect;
mod connection;
mod convert;
mod counted;
mod exposition;
mod gate;
mod grpc;
mod guard;
mod http;
mod limits;
mod listen;
mod listener;
mod metrics;
mod observe;
pub(crate) mod peer;
mod remote;
mod server;
mod session;
mod shares;
mod socket;
mod subscription_id;
mod subscriptions;
mod taken;
mod tls;
mod tokens;
mod traffic;
pub(crate) mod zone;

pub use access::Scope;
pub use connect::ConnectOptions;
pub use limits::NetLimits;
pub use listen::Listen;
pub use remote::Remote;
pub(crate) use remote::RemoteWatch;
pub use server::{Server, Timeouts};
pub use tls::{ServerTls, Trust};
pub use tokens::{NewToken, Tokens};
