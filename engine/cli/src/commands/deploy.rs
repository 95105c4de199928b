//! `anabranch deploy`: a flow file to a node that runs somewhere.

use anabranch::{Before, Deployed, Error};
use clap::Args;
use serde_json::json;

use crate::client::at::At;
use crate::failure::{Failure, Worst};
use crate::output::Output;
use crate::source::Source;

/// Install flows on a running node, or replace them by newer revisions
#[derive(Args, Debug)]
#[command(after_help = "\
A flow of a new name is installed. One that the node has is replaced when the revision of the file is newer and what
changes is allowed (`anabranch plan NEW --against OLD` tells); its tables keep their rows, and other flows go on. A
refused change leaves everything as it was.

Examples:
  anabranch deploy names.flow
  anabranch deploy flows/*.flow --at db.example:7171

Clients that were built from the older revision's .proto know columns by their places: what they now get wrong is told.

With --json an object a line: {\"flow\":..,\"revision\":..,\"replaced\":..,\"changes\":[..],\"breaks\":[..]}.

Exit codes: 0 deployed, 1 a flow does not compile or may not follow the revision that runs, 3 a file cannot be read or
the node cannot be reached.")]
pub(crate) struct Deploy {
    /// Flow files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    at: At,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl Deploy {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // What does not compile is told before anything is sent.
        let mut worst = Worst::default();
        let mut flows = Vec::new();
        for file in &self.files {
            match Source::read(file).and_then(|source| source.flow()) {
                Ok(flow) => flows.push(flow),
                Err(failure) => worst.tell(failure)?,
            }
        }
        worst.finish()?;
        let mut client = self.at.connect()?;
        let mut out = Output::new();
        let mut worst = Worst::default();
        for flow in flows {
            match client.deploy(flow) {
                Ok(deployed) => self.tell(&mut out, &deployed)?,
                Err(error) => worst.tell(failure(error))?,
            }
        }
        out.flush()?;
        worst.finish()
    }

    fn tell(&self, out: &mut Output, deployed: &Deployed) -> Result<(), Failure> {
        let (flow, revision) = (deployed.flow.name(), deployed.flow.revision());
        let (replaced, changes) = match &deployed.before {
            Before::Nothing => (None, Vec::new()),
            Before::Same => (Some(revision), Vec::new()),
            Before::Older(evolution) => {
                let changes =
                    evolution.changes.iter().map(|change| format!("{}: {}", change.item, change.what));
                (Some(evolution.from), changes.collect())
            }
        };
        if self.json {
            let line = json!({
                "flow": flow, "revision": revision, "replaced": replaced, "changes": changes,
                "breaks": deployed.breaks,
            });
            return out.line(&line.to_string());
        }
        match replaced {
            None => out.line(&format!("deployed {flow} revision {revision}"))?,
            Some(same) if same == revision => out.line(&format!("unchanged: {flow} revision {revision}"))?,
            Some(older) => {
                out.line(&format!("deployed {flow} revision {revision} in the place of {older}"))?
            }
        }
        changes.iter().try_for_each(|change| out.line(&format!("  {change}")))?;
        let breaks = deployed.breaks.iter();
        breaks
            .map(|line| format!("  clients of the older .proto: {line}"))
            .try_for_each(|line| out.line(&line))
    }
}

/// A revision that may not follow is wrong; the node runs on as it was.
fn failure(error: Error) -> Failure {
    match error {
        Error::Problem { code, text } if code == "invalid" => Failure::wrong(text)
            .help("raise the revision and take back what is refused, or deploy it as a flow of another name"),
        other => other.into(),
    }
}
