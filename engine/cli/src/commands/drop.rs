//! `anabranch drop`: a flow off a node that runs somewhere, with its rows.

use clap::Args;
use serde_json::json;

use crate::client::at::At;
use crate::failure::Failure;
use crate::output;

/// Drop a flow of a running node, with all rows of its tables
#[derive(Args, Debug)]
#[command(after_help = "\
The rows cannot be had back. Other flows go on. What is under way is answered first, later requests are told that the
flow is gone.

Examples:
  anabranch drop names --yes

With --json: {\"dropped\":\"names\"}.

Exit codes: 0 dropped, 2 there is no such flow, or `--yes` is missing, 3 the node cannot be reached or does not allow it.")]
pub(crate) struct Drop {
    /// The flow
    flow: String,
    /// Yes, with all its rows
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    at: At,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Drop {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if !self.yes {
            let text = format!("dropping `{}` deletes all rows of its tables; nothing was done", self.flow);
            return Err(Failure::usage(text).help("say that you mean it: `--yes`"));
        }
        let mut client = self.at.connect()?;
        client.drop_flow(&self.flow)?;
        match self.json {
            true => output::print(&format!("{}\n", json!({ "dropped": self.flow }))),
            false => output::print(&format!("dropped {}\n", self.flow)),
        }
    }
}
