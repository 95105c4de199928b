//! `anabranch test`: runs golden scripts, and shows what differs.

use anabranch::script::{self, Outcome, ScriptError};
use clap::Args;
use serde_json::json;

use crate::failure::{Exit, Failure, Worst};
use crate::os;
use crate::output::{self, Output};
use crate::source::counted;

/// Run the scripts that test flows
#[derive(Args, Debug)]
#[command(after_help = "\
A script names a flow and then says commands; below each command stands what it gives:

  flow names.flow

  > send UpdateStream name=a value=1
  accepted

  > ask ReadStream name=a
  OutputStream sourcenode=A name=a value=1 found=true

Commands: send, ask, play, table, watch, advance, status. Every script runs on a node of its own, in one thread, with a
seed and a clock that only `advance` moves.

Examples:
  anabranch test flows/*.script
  anabranch test --update names.script     write what the flow did into the script; read it before you keep it

Exit codes: 0 all passed (or were updated), 1 a script failed or is wrong, 3 a script cannot be read or written.")]
pub(crate) struct Test {
    /// Script files
    #[arg(required = true, value_name = "FILE.script")]
    files: Vec<String>,
    /// Write what the flow did into the scripts
    #[arg(long)]
    update: bool,
    /// Print results as JSON, one object a script
    #[arg(long)]
    json: bool,
}

/// What became of a script.
enum Verdict {
    Passed,
    Updated,
    Failed(Outcome),
    Wrong(ScriptError),
}

impl Test {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut worst = Worst::default();
        let mut out = Output::new();
        let mut passed = 0;
        for file in &self.files {
            let verdict = match self.one(file) {
                Ok(verdict) => verdict,
                Err(failure) => {
                    worst.tell(failure)?;
                    continue;
                }
            };
            match &verdict {
                Verdict::Passed | Verdict::Updated => passed += 1,
                Verdict::Failed(_) | Verdict::Wrong(_) => worst.note(Exit::Wrong),
            }
            match self.json {
                true => out.line(&json_line(file, &verdict))?,
                false => out.text(&lines(file, &verdict))?,
            }
            out.flush()?;
        }
        let failed = self.files.len() - passed;
        output::message(&format!(
            "{}: {passed} passed, {failed} failed",
            counted(self.files.len(), "script")
        ));
        worst.finish()
    }

    fn one(&self, file: &str) -> Result<Verdict, Failure> {
        let outcome = match script::run(file) {
            Ok(outcome) => outcome,
            Err(ScriptError::File { error, path }) => return Err(Failure::file("read", &path, &error)),
            Err(error) => return Ok(Verdict::Wrong(error)),
        };
        if outcome.passed() {
            return Ok(Verdict::Passed);
        }
        if !self.update {
            return Ok(Verdict::Failed(outcome));
        }
        os::replace(file, &outcome.actual).map_err(|error| Failure::file("write", file, &error))?;
        Ok(Verdict::Updated)
    }
}

fn lines(file: &str, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => format!("passed   {file}\n"),
        Verdict::Updated => format!("updated  {file}\n"),
        Verdict::Failed(outcome) => {
            let update = "if the flow is right, write this into the script: anabranch test --update";
            format!("failed   {file}\n\n{}\n{update} {file}\n\n", outcome.diff())
        }
        Verdict::Wrong(error) => format!("wrong    {file}\n\n{error}\n\n"),
    }
}

fn json_line(file: &str, verdict: &Verdict) -> String {
    let (result, detail) = match verdict {
        Verdict::Passed => ("passed", None),
        Verdict::Updated => ("updated", None),
        Verdict::Failed(outcome) => ("failed", Some(("diff", outcome.diff()))),
        Verdict::Wrong(error) => ("wrong", Some(("error", error.to_string()))),
    };
    let mut line = json!({ "script": file, "result": result });
    if let Some((name, text)) = detail {
        line[name] = text.into();
    }
    line.to_string()
}
