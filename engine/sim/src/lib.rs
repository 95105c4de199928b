//! A simulated world for tests: everything that can go wrong outside, by a seed.
//!
//! It is a disk that loses what was not synced ([`SimDisk`]), and many nodes with links, clocks and clients, in one thread
//! ([`simulate`]). The same seed and the same calls give the same run, byte for byte.
//!
//! A node is what [`Node`] says: it hears what happens ([`Input`]), has turns, and says what is to happen ([`Output`]). The
//! world is driven by events, nothing polls: five minutes pass as fast as what happens in them can be computed. When a run
//! has ended it is judged by what clients were told ([`History`]) and by what nodes hold; the files of `invariant` say what
//! must hold.

mod chance;
mod client;
mod clock;
mod disk;
mod event;
mod fault;
mod history;
mod invariant;
mod network;
mod node;
mod run;
mod scenario;
mod trace;
mod world;

pub use chance::Chance;
pub use clock::Now;
pub use disk::{Fault, Lost, SimDisk, SimFile};
pub use history::{History, Request};
pub use node::{Answer, Ask, Configured, Held, Host, Input, Member, Node, Operation, Output, Start};
pub use run::{Outcome, RUN_SECONDS, simulate};
pub use scenario::{SCENARIOS, Scenario};
pub use world::Factory;
