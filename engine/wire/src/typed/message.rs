//! The messages around rows: events, replies, keys, scans, summaries.
//!
//! Those that are the same for every flow are structs of prost; those that hold rows are written and read by hand,
//! because what they hold is known when a flow is installed.

use anabranch_model::plan::{InputId, OutputId, RefusalCode};
use anabranch_model::row::Row;
use anabranch_model::types::Shape;
use anabranch_model::value::Value;
use prost::Message;

use super::describe::stream_number;
use super::field::{Content, Fields, put_bytes, put_nested, put_number};
use super::row::{DecodeError, decode_values, encode_row};

/// From where on to watch.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Watch {
    /// The position of the last event that the caller has; empty is from now on.
    #[prost(string, tag = "1")]
    pub after: String,
}

/// What became of the rows of a bulk call.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// Rows that took effect.
    #[prost(uint64, tag = "1")]
    pub accepted: u64,
    /// Rows that did not.
    #[prost(uint64, tag = "2")]
    pub refused: u64,
    /// The first of those.
    #[prost(message, repeated, tag = "3")]
    pub refusals: Vec<Refused>,
}

/// A refused row of a bulk call.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Refused {
    /// Which row of the call, from 0.
    #[prost(uint64, tag = "1")]
    pub row: u64,
    /// The name of its code.
    #[prost(string, tag = "2")]
    pub code: String,
    /// Why.
    #[prost(string, tag = "3")]
    pub text: String,
    /// The line of the flow file; 0 where no rule refused it.
    #[prost(uint64, tag = "4")]
    pub line: u64,
    /// The column there.
    #[prost(uint64, tag = "5")]
    pub column: u64,
}

/// What a watcher of an output gets.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Where the watcher stands behind this event.
    pub position: &'a str,
    /// Rows before it that are lost to the watcher.
    pub missed: u64,
    /// The packed row; none where only a gap is told.
    pub row: Option<Row<'a>>,
}

/// What a watcher of the errors gets.
#[derive(Clone, Copy, Debug)]
pub struct ErrorEvent<'a> {
    /// Where the watcher stands behind this event.
    pub position: &'a str,
    /// Rows before it that are lost to the watcher.
    pub missed: u64,
    /// The refused row; none where only a gap is told.
    pub refused: Option<RefusedRow<'a>>,
}

/// A refused row for a watcher of the errors.
#[derive(Clone, Copy, Debug)]
pub struct RefusedRow<'a> {
    /// The input that it came in on.
    pub input: InputId,
    /// The packed row.
    pub row: Row<'a>,
    /// What the sender may do about it.
    pub code: RefusalCode,
    /// Why.
    pub text: &'a str,
    /// The line of the flow file; 0 where no rule refused it.
    pub line: u32,
    /// The column there.
    pub column: u32,
}

/// Which rows of a table are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Rows, at most; none is all of them.
    pub limit: Option<u64>,
    /// The values of the key behind which to begin, in the order of the table's key columns.
    pub after: Option<Vec<Value<'static>>>,
}

/// The status of gRPC that a refusal is for its caller.
pub fn grpc_status(code: RefusalCode) -> i32 {
    match code {
        RefusalCode::Invalid => 3,
        RefusalCode::NotFound => 5,
        RefusalCode::Denied => 7,
        RefusalCode::Conflict => 9,
        RefusalCode::Unavailable => 14,
        RefusalCode::Unknown => 2,
    }
}

/// Appends a reply: the packed rows that rules sent back, each as one more of its output.
pub(crate) fn encode_reply<'r>(replies: impl Iterator<Item = (OutputId, Row<'r>)>, out: &mut Vec<u8>) {
    for (output, row) in replies {
        put_nested(stream_number(output.0), out, |out| encode_row(row, out));
    }
}

/// Appends an event of an output. The row may be of another revision than the watcher's `.proto`, see
/// [`readable`](super::readable).
pub fn encode_event(event: &Event<'_>, out: &mut Vec<u8>) {
    put_position(event.position, event.missed, out);
    if let Some(row) = event.row {
        put_nested(3, out, |out| encode_row(row, out));
    }
}

/// Appends an event of the errors; the row as in [`encode_event`].
pub fn encode_error_event(event: &ErrorEvent<'_>, out: &mut Vec<u8>) {
    put_position(event.position, event.missed, out);
    let Some(refused) = &event.refused else { return };
    put_bytes(3, refused.code.name().as_bytes(), out);
    put_bytes(4, refused.text.as_bytes(), out);
    for (number, value) in [(5, refused.line), (6, refused.column)] {
        if value != 0 {
            put_number(number, u64::from(value), out);
        }
    }
    put_nested(stream_number(refused.input.0), out, |out| encode_row(refused.row, out));
}

fn put_position(position: &str, missed: u64, out: &mut Vec<u8>) {
    put_bytes(1, position.as_bytes(), out);
    if missed != 0 {
        put_number(2, missed, out);
    }
}

/// Reads a scan; `key` has the table's key columns.
pub(crate) fn decode_scan(message: &[u8], key: &Shape) -> Result<Scan, DecodeError> {
    let name = |number: u32| match number {
        1 => "limit".to_owned(),
        2 => "after".to_owned(),
        other => other.to_string(),
    };
    let (mut fields, mut limit, mut after) = (Fields::of(message), 0, None);
    let malformed = |error: super::field::Malformed| DecodeError::Malformed {
        field: error.number.map(name),
        why: error.why,
    };
    while let Some((number, content)) = fields.next().map_err(malformed)? {
        let wanted = match (number, content) {
            (1, Content::Varint(number)) => {
                limit = number;
                continue;
            }
            (2, Content::Bytes(bytes)) => {
                after = Some(bytes);
                continue;
            }
            (1, _) => "a number of rows",
            (2, _) => "the key of a row",
            _ => continue,
        };
        return Err(DecodeError::OtherType { field: name(number), wanted: wanted.to_owned() });
    }
    let after = after.map(|bytes| decode_values(bytes, key)).transpose()?;
    Ok(Scan { limit: (limit != 0).then_some(limit), after })
}
