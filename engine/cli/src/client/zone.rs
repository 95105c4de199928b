//! The zone of a node, for commands that show it.

use anabranch::ZoneStatus;
use serde::Serialize;
use serde_json::to_string;

use crate::client::at::At;
use crate::failure::Failure;
use crate::output::{self, Output};

/// What the node says of its zone.
///
/// # Errors
/// The node cannot be reached or does not allow it, or is in no zone.
pub(crate) fn of(at: &At) -> Result<ZoneStatus, Failure> {
    let status = at.connect()?.zone()?;
    status.ok_or_else(|| {
        Failure::wrong("the node is in no zone")
            .help("it is a node alone; `anabranch run --zone NAME` makes one of a zone")
    })
}

/// Prints each of these as a line of JSON.
///
/// # Errors
/// Nobody reads.
pub(crate) fn print_json<'s, T: Serialize + 's>(all: impl IntoIterator<Item = &'s T>) -> Result<(), Failure> {
    let mut out = Output::new();
    for one in all {
        let line = to_string(one);
        out.line(&line.map_err(|error| Failure::world(format!("it cannot be written as JSON: {error}")))?)?;
    }
    out.flush()
}

/// What should be put right, and why the node does not serve.
pub(crate) fn tell_trouble(status: &ZoneStatus) {
    status.warnings.iter().for_each(|warning| output::message(&format!("warning: {warning}")));
    if let Some(waits) = &status.waits {
        output::message(&format!("{} serves nothing yet: it waits for {waits}", status.node));
    }
}
