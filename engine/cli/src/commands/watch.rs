//! `anabranch watch`: the rows of an output of a node that runs somewhere, as they come.

use std::time::Duration;

use anabranch::Event;
use clap::Args;

use crate::client::at::At;
use crate::client::stop::Stop;
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::run::prints::print;

/// How long it is listened for rows before the wish to stop is looked for.
const LISTEN_FOR: Duration = Duration::from_millis(50);

/// Print the rows of an output of a running node as they come
#[derive(Args, Debug)]
#[command(after_help = "\
Rows come from now on, until Ctrl-C, or until there were --count of them. Who reads too slowly never slows the node: rows
that do not fit into the queue are lost, and how many is told at their place.

Examples:
  anabranch watch OutputStream
  anabranch watch names.errors                    rows that the flow refused, with the reason
  anabranch watch OutputStream --count 1 --json

With --json every row is a line: {\"stream\":..,\"row\":..}; a refused row has \"input\" and \"refused\", too.

Exit codes: 0 stopped, or all rows came, 1 the output is gone: its flow was dropped, 2 there is no such output, 3 the
node cannot be reached or was lost.")]
pub(crate) struct Watch {
    /// The output, with its flow where several flows have one; `errors` are refused rows
    output: String,
    /// End after so many rows
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    at: At,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl Watch {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut client = self.at.connect()?;
        let mut events = client.subscribe(&self.output)?;
        let stop = Stop::listen()?;
        output::message(&format!("watching {}", self.output));
        let mut out = Output::new();
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 && !stop.asked() {
            let Some(event) = events.next_within(LISTEN_FOR)? else {
                out.flush()?;
                continue;
            };
            if matches!(event, Event::Gone) {
                out.flush()?;
                return Err(Failure::wrong(format!("{} is gone: its flow was dropped", self.output)));
            }
            left -= u64::from(matches!(event, Event::Row(_) | Event::Refused(_)));
            print(&mut out, &self.output, 0, self.json, &event)?;
        }
        out.flush()
    }
}
