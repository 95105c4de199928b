//! Why the engine itself refuses a row. Numbers are stable; `anabranch explain` has a page for each.

use anabranch_model::expr::Place;
use anabranch_model::fault::Fault;
use anabranch_model::plan::RefusalCode;
use anabranch_model::row::RowError;

/// The reason of a refusal, before it is known which row of which request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) code: RefusalCode,
    pub(crate) text: String,
    /// Line 0 where no place of the flow file has to do with it.
    pub(crate) place: Place,
}

impl Reason {
    /// R010: `insert` found a row.
    pub(crate) fn conflict(table: &str, place: Place) -> Self {
        let text = format!("R010: `{table}` already has a row with this key");
        Reason { code: RefusalCode::Conflict, text, place }
    }

    /// R011: `route to` names a node that is not there.
    pub(crate) fn no_such_node(node: &str, place: Place) -> Self {
        let text = format!("R011: there is no node `{node}` to route to");
        Reason { code: RefusalCode::Unavailable, text, place }
    }

    /// R012: the partition holds as many rows as it can.
    pub(crate) fn partition_full(table: &str, place: Place) -> Self {
        let text = format!("R012: the partition of `{table}` is full; give the table more partitions");
        Reason { code: RefusalCode::Unavailable, text, place }
    }

    /// R013: the rows sent for one request are too many.
    pub(crate) fn too_much_sent(place: Place) -> Self {
        let limit = anabranch_model::message::MAX_SENT_BYTES >> 20;
        let text = format!(
            "R013: the rows sent for one request have over {limit} MiB; send fewer rows in a request"
        );
        Reason { code: RefusalCode::Unavailable, text, place }
    }

    /// R015: what a request changes and replies in one partition is too much to be recorded.
    #[cold]
    pub(crate) fn too_much_changed() -> Self {
        let limit = anabranch_model::record::CHANGE_BYTES_MAX >> 20;
        let text = format!(
            "R015: what one request changes and replies in a partition comes to over {limit} MiB; send fewer rows in a \
             request"
        );
        Reason { code: RefusalCode::Unavailable, text, place: Place { line: 0, column: 0 } }
    }

    /// R014: the request is a repeat, and what it repeats is forgotten.
    pub(crate) fn forgotten() -> Self {
        let text = "R014: the request was made too long ago: whether it took effect then is not known any more, and \
                    nothing was done now; read what is there";
        Reason { code: RefusalCode::Unknown, text: text.to_owned(), place: Place { line: 0, column: 0 } }
    }

    /// R007: a key beyond its limit.
    pub(crate) fn key_too_long(table: &str, bytes: usize, place: Place) -> Self {
        let limit = anabranch_model::key::MAX_KEY_BYTES;
        let text = format!("R007: the key of `{table}` has {bytes} bytes, the limit is {limit}");
        Reason { code: RefusalCode::Invalid, text, place }
    }

    /// A value that does not fit its column, or a row that is too large.
    pub(crate) fn row(error: &RowError, place: Place) -> Self {
        let number = match error {
            RowError::Length { .. } => "R007",
            _ => "R001",
        };
        Reason { code: RefusalCode::Invalid, text: format!("{number}: {error}"), place }
    }
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        Reason { code: RefusalCode::Invalid, text: fault.to_string(), place: fault.place }
    }
}
