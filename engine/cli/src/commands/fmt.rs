//! `anabranch fmt`: flow files in their one layout.

use clap::Args;

use crate::failure::{Exit, Failure, Worst};
use crate::os;
use crate::output::{self, Output};
use crate::source::Source;

/// Put flow files into their one layout
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  anabranch fmt flows/*.flow               rewrite the files that differ
  anabranch fmt --check flows/*.flow       only name them, for continuous integration
  anabranch fmt --stdout names.flow        print the layout, leave the file
  anabranch fmt - < names.flow             the same, from standard input

A file that cannot be read as a flow is left as it is.

Exit codes: 0 all files have the layout (now), 1 a file is wrong, or with --check not in the layout, 3 a file cannot
be read or written.")]
pub(crate) struct Fmt {
    /// Flow files; `-` is standard input, whose layout is printed
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Change nothing; print the names of the files that would change
    #[arg(long, conflicts_with = "stdout")]
    check: bool,
    /// Change nothing; print the text
    #[arg(long)]
    stdout: bool,
}

impl Fmt {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut worst = Worst::default();
        for file in &self.files {
            match self.one(file) {
                Ok(()) => {}
                Err(failure) => worst.tell(failure)?,
            }
        }
        worst.finish()
    }

    fn one(&self, file: &str) -> Result<(), Failure> {
        let source = Source::read(file)?;
        let formatted = source.format().map_err(|diagnostics| {
            source.tell(&diagnostics);
            Failure::told(Exit::Wrong)
        })?;
        let differs = formatted != source.text;
        if self.check {
            return if differs { self.name(&source) } else { Ok(()) };
        }
        if self.stdout || file == "-" {
            return output::print(&formatted);
        }
        if differs {
            os::replace(file, &formatted).map_err(|error| Failure::file("write", file, &error))?;
            output::message(&format!("formatted {file}"));
        }
        Ok(())
    }

    fn name(&self, source: &Source) -> Result<(), Failure> {
        let mut out = Output::new();
        out.line(&source.name)?;
        out.flush()?;
        Err(Failure::told(Exit::Wrong))
    }
}
