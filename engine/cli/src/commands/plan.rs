//! `anabranch plan`: what a flow file compiles to, and what a new revision changes.

use clap::Args;

use crate::failure::{Exit, Failure};
use crate::output;
use crate::source::Source;

/// Show what a flow file compiles to, or what it changes
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  anabranch plan names.flow
  anabranch plan --json names.flow > names.plan.json
  anabranch plan names.flow --against names.1.flow

Exit codes: 0 it compiles (and may follow the old revision), 1 it does not, 3 a file cannot be read.")]
pub(crate) struct Plan {
    /// The flow file; `-` is standard input
    file: String,
    /// Print JSON: the plan, or the changes
    #[arg(long)]
    json: bool,
    /// Tell what changes from this older flow file, and what is not allowed
    #[arg(long, value_name = "OLD")]
    against: Option<String>,
}

impl Plan {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let _plan = compiled(&self.file)?;
        output::print("")
    }
}

/// The plan of a file; what is wrong with it is told.
fn compiled(file: &str) -> Result<anabranch::Plan, Failure> {
    let source = Source::read(file)?;
    let compiled = source.compile();
    source.tell(&compiled.diagnostics);
    compiled.plan.ok_or(Failure::told(Exit::Wrong))
}
