//! `anabranch nodes`: the nodes of a zone.

use clap::Args;

use crate::client::at::At;
use crate::client::zone;
use crate::failure::Failure;
use crate::{output, zone_tables};

/// List the nodes of a zone, as one of them sees it
#[derive(Args, Debug)]
#[command(after_help = "\
A node is `joining`, `up`, `dead` or has `left`. Whoever has a vote takes part in decisions; one of them `leads`. `owned` are
the partitions that a node serves, `copies` those that it would take over.

With --json every node is a line.

Exit codes: 0 printed, 1 the node is in no zone, 3 it cannot be reached or does not allow it.")]
pub(crate) struct Nodes {
    #[command(flatten)]
    at: At,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl Nodes {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let status = zone::of(&self.at)?;
        if self.json {
            return zone::print_json(&status.nodes);
        }
        output::print(&zone_tables::nodes(&status).render())?;
        zone::tell_trouble(&status);
        Ok(())
    }
}
