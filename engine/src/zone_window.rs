//! What the zone of a node shows those who serve its clients: its state, and the way in for other nodes.

use std::fmt;
use std::sync::OnceLock;

#[cfg(feature = "net")]
use crate::net::peer::{PeerDoor, Peers};
use crate::node::Node;
use crate::zone_status::ZoneStatus;

/// Tells what a zone is like now.
pub type TellZone = Box<dyn Fn() -> ZoneStatus + Send + Sync>;

/// What the zone of a node shows; nothing where there is none.
#[derive(Default)]
pub struct ZoneWindow {
    status: OnceLock<TellZone>,
    #[cfg(feature = "net")]
    peers: OnceLock<PeerDoor>,
}

impl ZoneWindow {
    /// From now on there is a zone, of which `tell` tells. A node has one.
    pub fn open(&self, tell: TellZone) {
        let _ = self.status.set(tell);
    }

    /// Whether there is a zone.
    pub(crate) fn is_open(&self) -> bool {
        self.status.get().is_some()
    }

    /// What it is like now.
    pub fn status(&self) -> Option<ZoneStatus> {
        self.status.get().map(|tell| tell())
    }

    /// Servers that start from now on let other nodes in.
    #[cfg(feature = "net")]
    pub fn let_in(&self, peers: &Peers) {
        let _ = self.peers.set(peers.door());
    }

    /// The way for other nodes.
    #[cfg(feature = "net")]
    pub(crate) fn peers(&self) -> Option<PeerDoor> {
        self.peers.get().cloned()
    }
}

impl fmt::Debug for ZoneWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoneWindow").finish_non_exhaustive()
    }
}

impl Node {
    /// What the node knows of its zone now; `None` where it is in none.
    pub fn zone(&self) -> Option<ZoneStatus> {
        self.zone_window().status()
    }
}
