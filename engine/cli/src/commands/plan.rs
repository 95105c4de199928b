//! `anabranch plan`: what a flow file compiles to, and what a new revision changes.

use clap::Args;
use serde::Serialize;

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
        match &self.against {
            None => self.show(&compiled(&self.file)?),
            Some(old) if old == "-" && self.file == "-" => {
                Err(Failure::usage("standard input, `-`, is named twice").help("name it once"))
            }
            Some(old) => {
                // What is wrong with either is told in one go.
                let (old, new) = (compiled(old), compiled(&self.file));
                self.compare(&old?, &new?)
            }
        }
    }

    fn show(&self, plan: &anabranch::Plan) -> Result<(), Failure> {
        match self.json {
            true => print_json(plan),
            false => output::print(&anabranch_lang::describe(plan)),
        }
    }

    fn compare(&self, old: &anabranch::Plan, new: &anabranch::Plan) -> Result<(), Failure> {
        let evolution = anabranch_lang::evolution(old, new);
        match self.json {
            true => print_json(&evolution)?,
            false => output::print(&format!("{}\n", evolution.to_string().trim_end()))?,
        }
        if evolution.allowed() {
            return Ok(());
        }
        let text = format!("`{}` cannot follow `{}`", self.file, self.against.as_deref().unwrap_or_default());
        Err(Failure::wrong(text).help("take back what is refused, or start it as a flow of another name"))
    }
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::world(format!("the plan cannot be written as JSON: {error}")))?;
    output::print(&format!("{text}\n"))
}

/// The plan of a file; what is wrong with it is told.
fn compiled(file: &str) -> Result<anabranch::Plan, Failure> {
    let source = Source::read(file)?;
    let compiled = source.compile();
    source.tell(&compiled.diagnostics);
    compiled.plan.ok_or(Failure::told(Exit::Wrong))
}
