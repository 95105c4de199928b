//! `anabranch zone`: how a zone is as a whole.

use clap::Args;

use crate::client::at::At;
use crate::client::zone;
use crate::failure::Failure;
use crate::output::Output;
use crate::zone_tables;

/// Show a zone as a whole: whether it can decide, who leads, what it has taken over and moved
#[derive(Args, Debug)]
#[command(after_help = "\
The quorum is `active` while more than half of the votes are there, `lost` when they are not, and `single` where there is one
vote: two nodes need a witness to go on without either of them.

With --json it is one object, with all nodes and partitions.

Exit codes: 0 printed, 1 the node is in no zone, 3 it cannot be reached or does not allow it.")]
pub(crate) struct Zone {
    #[command(flatten)]
    at: At,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Zone {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let status = zone::of(&self.at)?;
        if self.json {
            return zone::print_json([&status]);
        }
        let mut out = Output::new();
        for (name, text) in zone_tables::whole(&status) {
            out.line(&format!("{name:<11} {text}"))?;
        }
        out.flush()?;
        zone::tell_trouble(&status);
        Ok(())
    }
}
