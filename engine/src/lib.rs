//! Anabranch: an active-active streaming dataflow engine, as a library.
//!
//! A *flow file* declares streams, keyed query tables and the rules between them. A [`Node`] runs flows inside your
//! program; a [`Client`] sends rows to their inputs, asks, subscribes to outputs and reads tables.
//!
//! ```
//! use anabranch::{Event, Flow, Node};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize)]
//! struct NameValue<'a> { name: &'a str, value: &'a str }
//! #[derive(Serialize)]
//! struct Name<'a> { name: &'a str }
//! #[derive(Deserialize, Debug, PartialEq)]
//! struct Output { sourcenode: String, name: String, value: Option<String>, found: bool }
//! #[derive(Deserialize)]
//! struct Stored { name: String }
//!
//! // A flow that does not compile gives all that is wrong with it, with places and help.
//! let flow = Flow::parse("names.flow", anabranch::doc::NAMES)?;
//! let node = Node::builder("A").workers(2).flow(flow).start()?;
//! let mut answers = node.subscribe("OutputStream")?;
//! let mut client = node.client();
//!
//! // A request is answered: so many rows accepted, these refused, these replies.
//! let answer = client.send("UpdateStream", &[NameValue { name: "a", value: "1" }])?;
//! assert_eq!((answer.accepted, answer.refused.len()), (1, 0));
//!
//! // `ask` sends one row and gives the replies. A request sent later on the same client sees what earlier ones wrote.
//! let replies = client.ask("ReadStream", &Name { name: "a" })?;
//! let found: Output = replies[0].row.to()?;
//! assert_eq!(found, Output { sourcenode: "A".into(), name: "a".into(), value: Some("1".into()), found: true });
//!
//! // Subscribers of the output stream see the reply, too.
//! let Some(Event::Row(row)) = answers.next() else { panic!("a reply") };
//! assert_eq!(row.to::<Output>()?, found);
//!
//! // Tables are read by key, or in key order.
//! client.send("UpdateStream", &[NameValue { name: "c", value: "3" }, NameValue { name: "b", value: "2" }])?;
//! assert!(client.get("QueryTable", ["b"])?.is_some());
//! let mut names = Vec::new();
//! for row in client.scan("QueryTable")? {
//!     names.push(row?.to::<Stored>()?.name);
//! }
//! assert_eq!(names, ["a", "b", "c"]);
//!
//! node.stop()?;
//! # Ok::<(), anabranch::Error>(())
//! ```
//!
//! # Refusals
//!
//! Whatever a row holds, it cannot stop a flow. A row that a rule's `require` turns down, or whose expressions fail, is
//! refused with a code, a text and the place in the flow file; nothing of its step is written, and it goes to the
//! flow's error stream (`node.subscribe("names.errors")`).
//!
//! # Throughput
//!
//! [`Client::submit`] sends a batch without waiting for the answer of the one before:
//!
//! ```
//! # let flow = anabranch::Flow::parse("names.flow", anabranch::doc::NAMES)?;
//! # let node = anabranch::Node::builder("A").flow(flow).start()?;
//! # let mut client = node.client();
//! for chunk in 0..100 {
//!     let mut batch = client.batch("UpdateStream")?;
//!     for row in 0..256 {
//!         batch.push(&serde_json::json!({ "name": format!("{chunk}/{row}"), "value": "x" }))?;
//!     }
//!     client.submit(batch)?; // waits when too much is under way
//! }
//! let mut accepted = 0;
//! while let Some((_, answer)) = client.next()? {
//!     accepted += answer.accepted;
//! }
//! assert_eq!(accepted, 25_600);
//! # Ok::<(), anabranch::Error>(())
//! ```
//!
//! # Live flows
//!
//! [`Node::deploy`] installs a flow on a running node, or puts a newer revision in the place of an older one; clients,
//! subscriptions and other flows go on, tables keep their rows:
//!
//! ```
//! # let node = anabranch::Node::builder("A").start()?;
//! let greet = |revision: u32, word: &str| anabranch::Flow::parse("greet.flow", &format!("
//!     flow greet revision {revision}
//!     input  Hello: {{ name: text }}
//!     output Greeting: {{ text: text }}
//!     on Hello as h {{ reply Greeting {{ text: '{word} ' || h.name }} }}
//! "));
//! node.deploy(greet(1, "hello")?)?;
//! let mut client = node.client();
//! let ada = serde_json::json!({ "name": "Ada" });
//! assert_eq!(client.ask("Hello", &ada)?[0].row.to_string(), r#"{"text":"hello Ada"}"#);
//! node.deploy(greet(2, "welcome")?)?;
//! assert_eq!(client.ask("Hello", &ada)?[0].row.to_string(), r#"{"text":"welcome Ada"}"#);
//! # Ok::<(), anabranch::Error>(())
//! ```
//!
//! # Testing flows
//!
//! [`testing::TestNode`] is a node in one thread with a clock that you advance: the same requests give the same
//! answers.

#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "net"), expect(dead_code, reason = "what only servers use"))]

mod answer;
mod catalog;
mod change;
mod client;
mod deploy;
mod doors;
mod driver;
mod egress;
mod error;
mod flow;
mod held;
mod idempotency_key;
mod input_batch;
mod journal;
mod key;
mod link;
mod load;
mod log;
mod measures;
mod name;
#[cfg(feature = "net")]
mod net;
mod node;
mod os;
mod planted;
pub mod query;
mod recovery;
pub mod rows;
mod safe;
mod scan;
pub mod script;
mod snapshot;
mod status;
mod storage_error;
mod subscription;
mod tally;
pub mod testing;
mod trace;
mod watch;
mod zone;
mod zone_config;
mod zone_status;
mod zone_window;

pub use anabranch_model::message::Reads;
pub use anabranch_model::plan::{Plan, RefusalCode};
pub use anabranch_model::types::{Column, Shape, Type};
pub use anabranch_model::{Batch, Decimal, Place, Value};

pub use anabranch_lang::evolution::{Change, Evolution, Verdict};

pub use answer::{Answer, Refused, Reply};
pub use client::{Client, NODE_BYTES, Ticket, UNCOLLECTED_MAX, WINDOW_BYTES, WINDOW_REQUESTS};
pub use deploy::{Before, Deployed, FLOWS_MAX};
pub use error::{Error, FlowError};
pub use flow::Flow;
pub use idempotency_key::{IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, NUMBER_AHEAD_MAX};
pub use input_batch::InputBatch;
pub use link::{Connection, Here, Link, Threads};
pub use name::NAME_BYTES_MAX;
#[cfg(feature = "net")]
pub use net::{
    ConnectOptions, Listen, NetLimits, NewToken, Remote, Scope, Server, ServerTls, Timeouts, Tokens, Trust,
};
pub use node::{Node, NodeBuilder, WORKERS_MAX};
#[cfg(unix)]
pub use os::disk::{DirectoryDisk, DirectoryFile};
pub use recovery::RecoveryProgress;
pub use rows::{Row, RowProblem};
pub use scan::Scan;
pub use snapshot::SnapshotTaken;
pub use status::{
    ChannelStatus, FlowStatus, InputStatus, JournalState, JournalStatus, NodeStatus, OperatorStatus,
    OutputStatus, RequestStatus, RuleStatus, SubscriptionStatus, TableStatus,
};
pub use storage_error::StorageError;
pub use subscription::{Event, RefusedRowEvent, SUBSCRIPTION_BYTES_MAX, SUBSCRIPTION_ROWS_MAX, Subscription};
pub use watch::Watch;
pub use zone_config::{JOIN_MAX, SECRET_BYTES_LEAST, SECRET_BYTES_MAX, ZoneConfig, ZoneSecret};
pub use zone_status::{
    NodeState, PartitionState, QuorumState, ReplicaMode, ReplicaStatus, ZoneAct, ZoneNodeStatus,
    ZonePartitionStatus, ZoneRole, ZoneStatus,
};

#[doc(hidden)]
pub mod doc {
    //! The reference flow, for examples.
    /// `flows/names.flow`.
    pub const NAMES: &str = include_str!("../../flows/names.flow");
}

/// Links between nodes, for tests and measurements.
#[cfg(feature = "net")]
#[doc(hidden)]
pub mod peers {
    pub use crate::net::peer::*;
    pub use crate::zone_window::{TellZone, ZoneWindow};
    pub use anabranch_wire::peer as wire;
}

/// The README's Rust code is compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
