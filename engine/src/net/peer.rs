//! Links between the nodes of a zone: who may have one, one for each pair of nodes, kept up while both are there.
//!
//! A node that dials sends [`PREFACE`](anabranch_wire::peer::PREFACE) to the port where the other one listens for gRPC; what
//! comes then is frames ([`anabranch_wire::peer`]). A socket belongs to two threads, one that reads and one that writes, so
//! that what a worker sends to another node passes a channel and a write and nothing else, and what comes goes from the
//! reading thread straight to a [`PeerSink`].
//!
//! **Who.** Both sides prove that they know the zone's secret (`proof`); without one, only nodes of this machine are let in
//! and dialed, unless the zone says that it is open. What else keeps a node out stands in `handshake`.
//!
//! **One link for a pair.** A node that has a link with another does not dial it. When both dial at once, the link that the
//! node with the smaller name dialed stays: that node turns the other's dial down (`table`).
//!
//! **Gone.** When a link ends because the kernel of the other side has closed it, and a connection to where it listens is
//! refused, then its process is not there any more: [`PeerEvent::Lost`] says so. A link that ends in another way says
//! nothing of the other node.

#![expect(clippy::disallowed_types, reason = "this is the place")]

mod accept;
mod config;
mod dial;
mod frames;
mod handshake;
mod link;
mod probe;
mod proof;
mod shared;
mod table;
mod told;

use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;

use anabranch_model::zone::MemberId;
use anabranch_wire::peer::hello::{Hello, Refused};
use anabranch_wire::peer::{Kind, PeerError};
use crossbeam_channel::Sender;

pub use config::{PeerTimes, PeersConfig};
pub use link::LinkSender;
use shared::Shared;

use crate::error::Error;

/// One link of this node; never given again while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// The other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The link.
    pub link: LinkId,
    /// Who it is, as it said, and proved where the zone has a secret.
    pub hello: Hello,
    /// Whether this node has dialed.
    pub dialed: bool,
}

/// What becomes of links.
#[derive(Debug)]
pub enum PeerEvent {
    /// A link is up. Of one node in one life there is one at a time.
    Up(Arc<Peer>, LinkSender),
    /// It is not any more; comes once behind each [`PeerEvent::Up`]. What was sent and not acknowledged by the other side
    /// may or may not have reached it.
    Lost {
        /// Who it was.
        peer: Arc<Peer>,
        /// Its kernel has closed the connection, and refuses a new one: the process is gone.
        refused: bool,
    },
    /// A frame of the zone's deciding. It may still come when another link has taken the place of its own.
    Control(Arc<Peer>, Vec<u8>),
    /// A node that this one dials does not want it, or the other way round; told when the reason changes.
    Refused {
        /// Where it was dialed.
        address: String,
        /// Why.
        refused: Refused,
    },
}

/// Takes what comes over one link, but for the zone's deciding, on the thread that reads it.
pub trait PeerSink: Send {
    /// A frame has come.
    ///
    /// # Errors
    /// It means nothing: the link ends.
    fn frame(&mut self, kind: Kind, body: &[u8]) -> Result<(), PeerError>;

    /// All frames that have come so far were handed over; the next may take a while.
    fn paused(&mut self) {}
}

/// Makes the sink of a link when it comes up, before [`PeerEvent::Up`] is told.
pub type MakeSink = Arc<dyn Fn(&Arc<Peer>, &LinkSender) -> Box<dyn PeerSink> + Send + Sync>;

/// The links of a node. Dropped, they end.
pub struct Peers {
    shared: Arc<Shared>,
}

impl Peers {
    /// Links of a node. Nobody is dialed yet, and nobody let in before a listener knows the [`PeerDoor`].
    pub fn start(config: PeersConfig, events: Sender<PeerEvent>, sinks: MakeSink) -> Peers {
        Peers { shared: Arc::new(Shared::new(config, events, sinks)) }
    }

    /// Dials whoever is at an address (`host:port`, where a name that leads to several addresses is tried through), and
    /// again whenever there is no link with them, until [`Peers::forget`]. Nothing happens where it is dialed already.
    ///
    /// # Errors
    /// [`Error::Start`]: the operating system refuses a thread.
    pub fn dial(&self, address: &str) -> Result<(), Error> {
        dial::dial(&self.shared, address, None)
    }

    /// As [`Peers::dial`], for a node whose name is known: while there is a link with it, nothing is dialed.
    ///
    /// # Errors
    /// As [`Peers::dial`].
    pub fn connect(&self, node: &str, address: &str) -> Result<(), Error> {
        dial::dial(&self.shared, address, Some(node))
    }

    /// Dials an address no more. A link that is up stays.
    pub fn forget(&self, address: &str) {
        self.shared.forget(address);
    }

    /// Tells the number of this node in the zone to those with whom links are made from now on.
    pub fn set_member(&self, member: MemberId) {
        self.shared.set_member(member);
    }

    /// Tells where this node listens to those with whom links are made from now on.
    pub fn set_address(&self, address: &str) {
        self.shared.set_address(address);
    }

    /// The way for connections that a listener has taken.
    pub fn door(&self) -> PeerDoor {
        PeerDoor { shared: self.shared.clone() }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("node", &self.shared.config.node).finish_non_exhaustive()
    }
}

/// Lets in nodes that dial this one.
#[derive(Clone)]
pub struct PeerDoor {
    shared: Arc<Shared>,
}

impl PeerDoor {
    /// Takes a connection whose first byte is that of the preface, of which nothing was read. Does not wait.
    pub fn take(&self, stream: TcpStream) {
        accept::accept(&self.shared, stream);
    }
}

impl fmt::Debug for PeerDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerDoor").finish_non_exhaustive()
    }
}
