//! `anabranch check`: everything that is wrong with flow files, at once.

use clap::Args;

use crate::failure::{Exit, Failure, Worst};
use crate::output::{self, Output};
use crate::source::{Source, counted, errors};

/// Tell everything that is wrong with flow files
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  anabranch check flows/names.flow
  anabranch check flows/*.flow
  cat names.flow | anabranch check -
  anabranch check --json names.flow | jq .message

Exit codes: 0 no errors (there may be warnings), 1 errors, 3 a file cannot be read.")]
pub(crate) struct Check {
    /// Flow files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Print diagnostics as JSON on standard output, one object a line
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut worst = Worst::default();
        let mut out = Output::new();
        let (mut checked, mut errors_found, mut warnings_found) = (0, 0, 0);
        for file in &self.files {
            let source = match Source::read(file) {
                Ok(source) => source,
                Err(failure) => {
                    worst.tell(failure)?;
                    continue;
                }
            };
            checked += 1;
            let diagnostics = source.compile().diagnostics;
            let wrong = errors(&diagnostics);
            errors_found += wrong;
            warnings_found += diagnostics.len() - wrong;
            if wrong > 0 {
                worst.note(Exit::Wrong);
            }
            if !self.json {
                source.tell(&diagnostics);
                continue;
            }
            for diagnostic in &diagnostics {
                out.line(&anabranch_lang::to_json(&source.name, &source.text, diagnostic).to_string())?;
            }
        }
        out.flush()?;
        if !self.json {
            let files = counted(checked, "file");
            let (errors, warnings) = (counted(errors_found, "error"), counted(warnings_found, "warning"));
            output::message(&format!("{files} checked: {errors}, {warnings}"));
        }
        worst.finish()
    }
}
