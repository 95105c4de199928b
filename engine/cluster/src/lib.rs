//! Who is there and who owns what: the members of a zone, the configuration of its partitions, leases. No I/O, no
//! threads, no clock: it is told the time and what came, and says what to send and to keep.
//!
//! A [`Cluster`] is one node's part. It is fed by [`Cluster::handle`] with what comes from the world and by
//! [`Cluster::wish`] with what the node wants decided, and emptied by [`Cluster::turn`], at the latest when it is
//! [due](Cluster::due). What a zone has decided is a [`View`]; what a node owns in its latest view it may serve until its
//! [lease](Output::Lease) ends.
//!
//! Decisions are entries of a Raft log over one, three or five votes. Rows do not pass through it.
//!
//! What holds:
//!
//! - the owner of a group is in its `in_sync`; a new owner comes out of the `in_sync` before it, but for a recorded
//!   [`Wish::ForceServe`]; each change of owner or `in_sync` makes the term grow by one;
//! - of two members of which each believes to own a group, at most one holds a lease: a leader gives one only after a
//!   majority has confirmed that it leads, for what the member has applied, and counts a silent member as dead only after
//!   [`LEASE`] and [`MARGIN`];
//! - nothing that rests on a piece to be kept leaves before it is kept.
//!
//! An owner does its part: it brings [wanting](View::wanting) members up to date and says
//! [`Wish::CaughtUp`]; where a configuration is [moving](Configuration::moving) it stops taking rows, waits until the
//! other one has everything, and says [`Wish::HandOver`]. Wishes name the term that they hold for, and do nothing in
//! another one.
//!
//! A node founds a zone, another joins it, and takes over when the first one's process is gone:
//!
//! ```
//! use anabranch_cluster::{Cluster, Contact, Event, Me, Output, Role, Wish};
//!
//! /// Lets some time pass for those who are there, and owners do their part.
//! fn pass(nodes: &mut [Option<Cluster>], now: &mut u64, time: u64) {
//!     let until = *now + time;
//!     while *now < until {
//!         *now += 1_000;
//!         for at in 0..nodes.len() {
//!             let Some(node) = &mut nodes[at] else { continue };
//!             for output in node.turn(*now) {
//!                 match output {
//!                     Output::Send { to, bytes } => {
//!                         let from = Contact::at(&at.to_string());
//!                         if let Some(to) = &mut nodes[to.address.parse::<usize>().unwrap()] {
//!                             to.handle(*now, Event::Message { from, bytes }).unwrap();
//!                         }
//!                     }
//!                     Output::View(view) => {
//!                         let me = view.me;
//!                         for (group, of) in view.groups.iter().filter(|(_, of)| of.owner.is_some() && of.owner == me) {
//!                             let (group, term) = (*group, of.term);
//!                             let node = nodes[at].as_mut().unwrap();
//!                             for member in view.wanting(group) {
//!                                 node.wish(*now, Wish::CaughtUp { group, term, member });
//!                             }
//!                             if let Some(to) = of.moving {
//!                                 node.wish(*now, Wish::HandOver { group, term, to });
//!                             }
//!                         }
//!                     }
//!                     _ => {}
//!                 }
//!             }
//!         }
//!     }
//! }
//!
//! let me = |at: usize, name: &str, role| Me {
//!     zone: "demo".into(),
//!     name: name.into(),
//!     incarnation: 100 + at as u64, // random in earnest
//!     address: at.to_string(),
//!     role,
//!     workers: 1,
//!     durable: false,
//!     epoch_at: 1_800_000_000_000_000,
//! };
//! let mut now = 0;
//! let mut a = Cluster::found(me(0, "A", Role::Data), now);
//! a.wish(now, Wish::Classes(vec![2])); // there are tables of two copies
//! let b = Cluster::join(me(1, "B", Role::Data), vec!["0".into()], now);
//! let w = Cluster::join(me(2, "W", Role::Witness), vec!["1".into()], now);
//! let mut nodes = [Some(a), Some(b), Some(w)];
//! pass(&mut nodes, &mut now, 3_000_000);
//!
//! let owned = |node: &Cluster| node.view().groups.values().filter(|of| of.owner == node.id()).count();
//! assert_eq!(owned(nodes[0].as_ref().unwrap()), 32);
//! assert_eq!(owned(nodes[1].as_ref().unwrap()), 32);
//!
//! // The process of A is killed: its kernel says so to B and W.
//! let gone = nodes[0].take().unwrap().id().unwrap();
//! for node in nodes.iter_mut().flatten() {
//!     node.handle(now, Event::LinkLost { member: gone, refused: true }).unwrap();
//! }
//! pass(&mut nodes, &mut now, 200_000);
//! assert_eq!(owned(nodes[1].as_ref().unwrap()), 64);
//! ```

mod bytes;
mod cluster;
mod command;
mod configuration;
mod consensus;
mod flow;
mod frame;
mod joining;
mod leading;
mod member;
mod membership;
mod outbox;
mod placement;
mod raft_bytes;
mod shelf;
mod state;
mod view;
mod votes;
mod wish;
mod wishes;

pub use cluster::{Cluster, Contact, Error, Event, Output};
pub use command::Cause;
pub use configuration::Configuration;
pub use flow::{Flow, Refusal, Revision};
pub use frame::Reason;
pub use member::{Me, Member, Role, Standing};
pub use state::{Act, Deed};
pub use view::{Seen, View};
pub use wish::Wish;

/// Microseconds for which a member may serve after it has asked a leader that a majority then confirmed.
pub const LEASE: u64 = 1_000_000;

/// Microseconds by which clocks may differ over a lease: a member is silent for the lease and this before it counts as
/// dead.
pub const MARGIN: u64 = 250_000;

/// Microseconds without a leader after which [`Wish::ForceServe`] goes on without a majority.
pub const FORCE_AFTER: u64 = 5_000_000;
