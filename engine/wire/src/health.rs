//! The messages of `grpc.health.v1.Health`: whether a server serves.
//!
//! After `grpc/health/v1/health.proto` of the gRPC project.

use prost::Message;

/// It serves.
pub const SERVING: i32 = 1;

/// It does not, or not now.
pub const NOT_SERVING: i32 = 2;

/// Asks whether a service is served.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HealthRequest {
    /// Its full name; empty for the server as a whole.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// Whether it is.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HealthReply {
    /// [`SERVING`] or [`NOT_SERVING`].
    #[prost(int32, tag = "1")]
    pub status: i32,
}
