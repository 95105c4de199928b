//! A plan on timely dataflow.
//!
//! ```text
//!            one dataflow per flow, one instance of it per worker
//!   submit -> input -> route ==exchange==> step ==exchange==> source -> outbox -> deliveries
//!                      which worker        the rules over     the worker where
//!                      owns each row       the tables         the request entered
//! ```
//!
//! [`Worker`] is the face: requests go in by [`Worker::submit`], [`Worker::turn`] moves them, [`Worker::deliveries`]
//! hands out answers and emitted rows. Nothing here sleeps or reads a clock; who drives the worker
//! does. This is the only crate that names timely.
//!
//! In a zone ([`Worker::set_owners`]) `route` hands out what belongs to other nodes as
//! [`Forward`](anabranch_model::message::Forward), `step` does what is served here and says what is not, and copies of what
//! others own follow them by [`Worker::copy`] and [`Worker::copy_state`].
//!
//! One timely input carries the requests of all streams of a flow, and an exchange keeps the order between two
//! workers, so the requests of one client that touch one partition are applied in the order in which they were sent.

#![forbid(unsafe_code)]

mod clock;
mod convert;
mod copies;
mod counts;
mod dataflow;
mod direct;
mod effects;
mod groups;
mod installed;
mod machine;
mod migration;
mod ownership;
mod profile;
mod recorder;
mod refusal;
mod remembered;
mod restore;
mod route;
mod rows;
mod run;
mod snapshot;
mod split;
mod step;
mod tables;
mod worker;

pub use clock::Clock;
pub use counts::{BATCH_SIZES, FlowCounts, InputCounts, RuleCounts};
pub use groups::{GroupPiece, GroupPlace};
pub use installed::REVISIONS_KEPT_MAX;
pub use machine::TableSize;
pub use profile::{ChannelCounts, FlowProfile, OperatorCounts};
pub use recorder::{FlowPartition, Made, Records, What};
pub use remembered::{ANSWERS_REMEMBERED_BYTES_MAX, ANSWERS_REMEMBERED_MAX};
pub use restore::RestoreError;
pub use snapshot::{SnapshotPlace, StatePiece};
pub use worker::{FlowStatus, Worker, WorkerConfig, WorkerThreads, spawn};
