//! What `--print` prints: the rows of output streams, and refused rows, as they come.

use anabranch::{Event, Node, Subscription};
use serde_json::json;

use crate::client::outcome::why;
use crate::failure::{Failure, Worst};
use crate::output::{self, Output};
use crate::text_table::rows as counted;

/// Subscriptions whose rows go to standard output.
pub(crate) struct Prints {
    streams: Vec<(String, Subscription)>,
    /// The longest name, so that rows stand below each other.
    width: usize,
    json: bool,
    out: Output,
}

impl Prints {
    /// Subscribes to outputs, or to refused rows (`errors`, `names.errors`). Unknown ones are told.
    pub(crate) fn subscribe(
        node: &Node,
        names: &[String],
        json: bool,
        worst: &mut Worst,
    ) -> Result<Self, Failure> {
        let mut streams = Vec::new();
        for name in names {
            match node.subscribe(name) {
                Ok(subscription) => streams.push((name.clone(), subscription)),
                Err(error) => worst.tell(error.into())?,
            }
        }
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        Ok(Prints { streams, width, json, out: Output::new() })
    }

    /// Prints nothing.
    pub(crate) fn none() -> Self {
        Prints { streams: Vec::new(), width: 0, json: false, out: Output::new() }
    }

    /// Whether nothing is printed at all.
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Prints what is there.
    pub(super) fn pump(&mut self) -> Result<(), Failure> {
        let Prints { streams, width, json, out } = self;
        for (name, subscription) in streams {
            while let Some(event) = subscription.try_next() {
                print(out, name, *width, *json, &event)?;
            }
        }
        Ok(())
    }

    /// Lets out what is in the buffer.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush()
    }

    /// Prints what is left after the node has stopped.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.pump()?;
        self.flush()
    }
}

/// Prints an event: a line with the stream and the row, or a JSON object.
pub(crate) fn print(
    out: &mut Output,
    name: &str,
    width: usize,
    json: bool,
    event: &Event,
) -> Result<(), Failure> {
    match (event, json) {
        (Event::Row(row), true) => {
            out.line(&format!("{{\"stream\":{},\"row\":{}}}", json!(name), row.to_json_text()))
        }
        (Event::Row(row), false) => out.line(&format!("{name:<width$} {}", row.to_json_text())),
        (Event::Refused(event), true) => {
            let (why, row) = (why(&event.refused), event.row.to_json_text());
            let (name, input) = (json!(name), json!(event.stream));
            out.line(&format!("{{\"stream\":{name},\"input\":{input},\"row\":{row},\"refused\":{why}}}"))
        }
        (Event::Refused(event), false) => {
            let row = event.row.to_json_text();
            out.line(&format!("{name:<width$} {} {row} {}", event.stream, event.refused))
        }
        (Event::Missed(rows), _) => {
            let why = "they came faster than they could be printed";
            output::message(&format!("{name}: {} missing here: {why}", counted(*rows)));
            if json { out.line(&json!({ "stream": name, "missed": rows }).to_string()) } else { Ok(()) }
        }
        // The program drops no flow.
        (Event::Gone, _) => Ok(()),
    }
}
