//! `anabranch status`: what a node that runs somewhere knows of itself.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anabranch::NodeStatus;
use clap::Args;
use serde_json::to_string;

use crate::client::at::At;
use crate::client::stop::Stop;
use crate::failure::Failure;
use crate::os;
use crate::output::{self, Output};
use crate::status_tables::{self, Before};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Goes to the top of the terminal and clears it.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Show what a running node knows of itself: rows in, refused and out, rows and bytes of tables
#[derive(Args, Debug)]
#[command(after_help = "\
With --watch it is shown again every second, with rows a second, until Ctrl-C. What tables are owed and the node cannot
give is told below.

Examples:
  anabranch status
  anabranch status --watch --at db.example:7171
  anabranch status --json

With --json it is one object a line.

Exit codes: 0 shown, 3 the node cannot be reached or does not allow it or was lost.")]
pub(crate) struct Status {
    /// Show it again every second, with rates
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    at: At,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut client = self.at.connect()?;
        let first = client.status()?;
        if !self.watch {
            self.print(&first, None, "")?;
            tell_degraded(&first);
            tell_trouble(&first);
            return Ok(());
        }
        let stop = Stop::listen()?;
        // Where nobody reads along, one look stands below the other.
        let between = if io::stdout().is_terminal() { CLEAR } else { "" };
        self.print(&first, None, between)?;
        let (mut last, mut looked) = (first, os::now());
        while !stop.within(LOOK_EVERY) {
            let now = os::now();
            let status = client.status()?;
            let before = Before { status: &last, since: now - looked };
            self.print(&status, Some(before), between)?;
            (last, looked) = (status, now);
        }
        Ok(())
    }

    fn print(&self, status: &NodeStatus, before: Option<Before<'_>>, between: &str) -> Result<(), Failure> {
        let mut out = Output::new();
        if self.json {
            let text = to_string(status)
                .map_err(|error| Failure::world(format!("the status cannot be written as JSON: {error}")))?;
            out.line(&text)?;
            return out.flush();
        }
        let (workers, flows) = (status.workers, status.flows.len());
        out.text(between)?;
        out.line(&format!(
            "node {}: {}, {}\n",
            status.node,
            crate::source::counted(workers as usize, "worker"),
            crate::source::counted(flows, "flow")
        ))?;
        let tables = status_tables::of(status, before);
        tables.iter().filter(|table| !table.is_empty()).try_for_each(|table| out.line(&table.render()))?;
        out.flush()
    }
}

/// Why the node keeps nothing now.
fn tell_trouble(status: &NodeStatus) {
    if let Some((state, why)) = status.journal.as_ref().and_then(|of| Some((of.state, of.why.as_ref()?))) {
        output::message(&format!("the journal is {}: {why}", state.name()));
    }
}

/// What tables are owed and the node cannot give.
pub(crate) fn tell_degraded(status: &NodeStatus) {
    for flow in &status.flows {
        for table in &flow.tables {
            if let Some(missing) = &table.degraded {
                output::message(&format!("degraded: {}.{} has {missing}", flow.flow, table.table));
            }
        }
    }
}
