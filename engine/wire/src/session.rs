//! The messages of service `anabranch.v1.Node`: what the Rust client and the program say to a node.
//!
//! A session is one stream each way. The client sends [`Requests`], many in one message where they gather; the node sends
//! [`Answers`] in the order in which requests are done. Flows, inputs and tables go by the numbers of the plan that the
//! client has compiled from the flow's text, so every request says which revision it means.

use bytes::Bytes;
use prost::{Message, Oneof};

/// The version of these messages. A node refuses a session of another one.
pub const SESSION_VERSION: u32 = 2;

/// The full name of the service.
pub const SERVICE: &str = "anabranch.v1.Node";

/// Asks for the flows of a node.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CatalogRequest {
    /// [`SESSION_VERSION`] of the client.
    #[prost(uint32, tag = "1")]
    pub version: u32,
}

/// The flows of a node.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CatalogReply {
    /// The node's name.
    #[prost(string, tag = "1")]
    pub node: String,
    /// Its flows.
    #[prost(message, repeated, tag = "2")]
    pub flows: Vec<FlowText>,
    /// Its time, in microseconds since 1970 UTC.
    #[prost(int64, tag = "3")]
    pub now: i64,
}

/// A flow as its text: both sides compile it to the same plan.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FlowText {
    /// Its number on the node; never given again to another flow.
    #[prost(uint32, tag = "1")]
    pub flow: u32,
    /// Its revision.
    #[prost(int64, tag = "2")]
    pub revision: i64,
    /// The name of its file.
    #[prost(string, tag = "3")]
    pub file: String,
    /// The flow file.
    #[prost(string, tag = "4")]
    pub text: String,
    /// Its name.
    #[prost(string, tag = "5")]
    pub name: String,
}

/// Requests, in the order in which they are to be done.
#[derive(Clone, PartialEq, Message)]
pub struct Requests {
    /// The requests.
    #[prost(message, repeated, tag = "1")]
    pub requests: Vec<Request>,
    /// A number of the client's own, by chance, which it keeps when it connects again: so that a request that it repeats
    /// takes effect once. 0 where it repeats none.
    #[prost(fixed64, tag = "2")]
    pub client: u64,
    /// All of its requests up to this number are answered.
    #[prost(uint64, tag = "3")]
    pub answered: u64,
}

/// A request.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// The client's number for it: it grows, and is about the node's time in microseconds since 1970 UTC.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// The flow.
    #[prost(uint32, tag = "2")]
    pub flow: u32,
    /// The revision of the flow that the client means.
    #[prost(int64, tag = "3")]
    pub revision: i64,
    /// What to do.
    #[prost(oneof = "Body", tags = "4, 5, 6")]
    pub body: Option<Body>,
    /// The `traceparent` (W3C trace context) of the trace that it belongs to; one that is not valid is none.
    #[prost(string, optional, tag = "7")]
    pub trace: Option<String>,
    /// The key by which it takes effect once, whichever client sends it.
    #[prost(message, optional, tag = "8")]
    pub key: Option<Key>,
    /// Whether it was sent before, over a connection that was lost.
    #[prost(bool, tag = "9")]
    pub repeated: bool,
}

/// An idempotency key.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Key {
    /// XXH3-64 of its text.
    #[prost(fixed64, tag = "1")]
    pub hash: u64,
    /// When it was made, in microseconds since 1970 UTC.
    #[prost(uint64, tag = "2")]
    pub micros: u64,
}

/// What to do.
#[derive(Clone, PartialEq, Oneof)]
pub enum Body {
    /// Rows for an input.
    #[prost(message, tag = "4")]
    Rows(Rows),
    /// The row of a key.
    #[prost(message, tag = "5")]
    Get(Get),
    /// Rows in key order.
    #[prost(message, tag = "6")]
    Page(Page),
}

/// Rows for an input.
#[derive(Clone, PartialEq, Message)]
pub struct Rows {
    /// The input, by its place in the flow file.
    #[prost(uint32, tag = "1")]
    pub input: u32,
    /// A packed batch.
    #[prost(bytes = "bytes", tag = "2")]
    pub batch: Bytes,
}

/// The row of a key.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Get {
    /// The table, by its place in the flow file.
    #[prost(uint32, tag = "1")]
    pub table: u32,
    /// The partition of the key.
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    /// Its key bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub key: Vec<u8>,
    /// The answer does not wait until what it shows is safe.
    #[prost(bool, tag = "4")]
    pub stale: bool,
}

/// Rows in key order.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Page {
    /// The table, by its place in the flow file.
    #[prost(uint32, tag = "1")]
    pub table: u32,
    /// The key bytes after which the page begins; none for the first page.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub after: Option<Vec<u8>>,
    /// Rows, at most.
    #[prost(uint32, tag = "3")]
    pub limit: u32,
    /// The answer does not wait until what it shows is safe.
    #[prost(bool, tag = "4")]
    pub stale: bool,
}

/// Answers, in the order in which they came.
#[derive(Clone, PartialEq, Message)]
pub struct Answers {
    /// The answers.
    #[prost(message, repeated, tag = "1")]
    pub answers: Vec<Answer>,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    /// The number of the request.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// What became of it.
    #[prost(oneof = "Outcome", tags = "2, 3, 4, 5")]
    pub outcome: Option<Outcome>,
    /// The revision by whose numbers and shapes it goes, where that is another one than the request's.
    #[prost(int64, optional, tag = "6")]
    pub revision: Option<i64>,
}

/// What became of a request.
#[derive(Clone, PartialEq, Oneof)]
pub enum Outcome {
    /// Of rows.
    #[prost(message, tag = "2")]
    Rows(RowsAnswer),
    /// The packed row of a key, or that there is none.
    #[prost(message, tag = "3")]
    Row(FoundRow),
    /// Rows in key order.
    #[prost(message, tag = "4")]
    Page(FoundPage),
    /// The request was not carried out.
    #[prost(message, tag = "5")]
    Problem(Problem),
}

/// What became of rows.
#[derive(Clone, PartialEq, Message)]
pub struct RowsAnswer {
    /// Rows that took effect.
    #[prost(uint32, tag = "1")]
    pub accepted: u32,
    /// Those that did not.
    #[prost(message, repeated, tag = "2")]
    pub refusals: Vec<Refusal>,
    /// Which row of the request each reply answers.
    #[prost(uint32, repeated, tag = "3")]
    pub reply_rows: Vec<u32>,
    /// The output of each reply, by its place in the flow file.
    #[prost(uint32, repeated, tag = "4")]
    pub reply_outputs: Vec<u32>,
    /// The packed rows of the replies, behind each other.
    #[prost(bytes = "vec", tag = "5")]
    pub replies: Vec<u8>,
}

/// A refused row.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Refusal {
    /// Its place in the request.
    #[prost(uint32, tag = "1")]
    pub row: u32,
    /// The name of its code.
    #[prost(string, tag = "2")]
    pub code: String,
    /// Why.
    #[prost(string, tag = "3")]
    pub text: String,
    /// The line in the flow file; 0 where no place refused it.
    #[prost(uint32, tag = "4")]
    pub line: u32,
    /// The column there.
    #[prost(uint32, tag = "5")]
    pub column: u32,
}

/// The row of a key.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FoundRow {
    /// The packed row.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub row: Option<Vec<u8>>,
}

/// Rows in key order.
#[derive(Clone, PartialEq, Message)]
pub struct FoundPage {
    /// Key bytes.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub keys: Vec<Vec<u8>>,
    /// Packed rows, as many as keys.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub rows: Vec<Vec<u8>>,
    /// Whether there may be more.
    #[prost(bool, tag = "3")]
    pub more: bool,
}

/// Why a request was not carried out, or a stream ended.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Problem {
    /// `changed`, `gone`, `unknown`, `invalid`, `full`, `stopped`, `denied`...: what a program may act on.
    #[prost(string, tag = "1")]
    pub code: String,
    /// What was tried, what is wrong, what to do.
    #[prost(string, tag = "2")]
    pub text: String,
}

/// Asks for the rows of an output, or of a flow's error stream.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SubscribeRequest {
    /// `OutputStream`, `names.OutputStream`, `errors`, `names.errors`.
    #[prost(string, tag = "1")]
    pub output: String,
    /// The `position` of the last event that the client has, to go on behind it after a lost connection.
    #[prost(string, tag = "2")]
    pub after: String,
}

/// What a subscription brings.
#[derive(Clone, PartialEq, Message)]
pub struct Events {
    /// The events, in order.
    #[prost(message, repeated, tag = "1")]
    pub events: Vec<Event>,
}

/// One event.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Event {
    /// Where the subscription stands behind this event.
    #[prost(string, tag = "1")]
    pub position: String,
    /// Rows that are lost to this subscriber before this event.
    #[prost(uint64, tag = "2")]
    pub missed: u64,
    /// The columns of the rows from this one on, as JSON: in the first event with a row, and when they change.
    #[prost(string, optional, tag = "3")]
    pub columns: Option<String>,
    /// The packed row; none where only a gap or the end is told.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub row: Option<Vec<u8>>,
    /// Of a refused row: why.
    #[prost(message, optional, tag = "5")]
    pub refused: Option<RefusedEvent>,
    /// The output is no longer there. Nothing comes behind this.
    #[prost(bool, tag = "6")]
    pub gone: bool,
}

/// Why a row on an error stream was refused.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RefusedEvent {
    /// The input that it came in on.
    #[prost(string, tag = "1")]
    pub input: String,
    /// Why.
    #[prost(message, optional, tag = "2")]
    pub refusal: Option<Refusal>,
    /// The flow file that refused it.
    #[prost(string, tag = "3")]
    pub file: String,
}

/// A flow file to install, or to put in the place of its older revision.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DeployRequest {
    /// The name of the file, for messages.
    #[prost(string, tag = "1")]
    pub file: String,
    /// The flow file.
    #[prost(string, tag = "2")]
    pub text: String,
    /// The name of the flow: rights are looked at before the file is.
    #[prost(string, tag = "3")]
    pub flow: String,
}

/// What deploying did.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DeployReply {
    /// What was there before, as JSON.
    #[prost(string, tag = "1")]
    pub before: String,
    /// What clients of the older revision's `.proto` now get wrong.
    #[prost(string, repeated, tag = "2")]
    pub breaks: Vec<String>,
    /// Why the revision may not follow the one that runs, as JSON; then nothing was done, and nothing else is set.
    #[prost(string, optional, tag = "3")]
    pub refused: Option<String>,
}

/// Drops a flow with its rows.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DropRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub flow: String,
}

/// It is dropped.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DropReply {}

/// Asks for the zone of a node.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ZoneRequest {}

/// The zone of a node.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ZoneReply {
    /// As JSON: what `GET /zone` gives; nothing where the node is in none.
    #[prost(string, optional, tag = "1")]
    pub json: Option<String>,
}

/// Asks for counts and sizes.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StatusRequest {}

/// Counts and sizes.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct StatusReply {
    /// As JSON: what `GET /status` gives.
    #[prost(string, tag = "1")]
    pub json: String,
}
