//! What a connection may cost before anybody has asked for anything.

use std::time::Duration;

/// Connections of a listener where nothing is said.
const CONNECTIONS_MAX: usize = 10_000;

/// What connections may cost a node: how many there are, and how long they may take.
///
/// ```
/// use std::time::Duration;
///
/// let limits = anabranch::NetLimits {
///     connections: 1_000,
///     handshake: Duration::from_secs(3),
///     ..anabranch::NetLimits::default()
/// };
/// assert_eq!(limits.of_address(false), 250);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetLimits {
    /// Connections of a listener; the next ones wait in the operating system's queue.
    pub connections: usize,
    /// Connections of a listener from one address; the next ones are closed at once. Where nothing is said a quarter of
    /// `connections`, and all of them for this machine.
    pub connections_per_address: Option<usize>,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a client may read nothing while there is something for it.
    pub stalled: Duration,
    /// An HTTP/2 connection without requests is closed after this time, and before twice of it.
    pub idle: Duration,
    /// How often an HTTP/2 client is asked whether it lives.
    pub ping_every: Duration,
    /// How long it may take to say so.
    pub pong_within: Duration,
}

impl Default for NetLimits {
    fn default() -> Self {
        NetLimits {
            connections: CONNECTIONS_MAX,
            connections_per_address: None,
            handshake: Duration::from_secs(10),
            stalled: Duration::from_secs(60),
            idle: Duration::from_secs(300),
            ping_every: Duration::from_secs(30),
            pong_within: Duration::from_secs(20),
        }
    }
}

impl NetLimits {
    /// Connections of a listener from one address, which may be of this machine.
    pub fn of_address(&self, here: bool) -> usize {
        let unsaid = if here { self.connections } else { self.connections.div_ceil(4) };
        self.connections_per_address.unwrap_or(unsaid)
    }
}
