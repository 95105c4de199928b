//! The program `anabranch`: write, check, run and test flows from the command line.
//!
//! One file per command under `commands`; what is printed goes through [`output`], the world is reached through [`os`].
//! What a command prints as data goes to standard output, messages go to standard error.
//!
//! INVARIANT: every way out has one of the exit codes of [`failure::Exit`].

mod address;
mod client;
mod commands;
mod failure;
mod log;
mod node_file;
mod os;
mod output;
mod row_table;
mod run;
mod source;
mod status_tables;
mod text_table;
mod zone_tables;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::commands::Commands;
use crate::failure::{Exit, Failure};

/// Rows are small and many: the system's allocator costs a fifth of the rate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An active-active streaming dataflow engine: keyed query tables, driven by flow files.
#[derive(Parser, Debug)]
#[command(name = "anabranch", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Commands,
}

const AFTER_HELP: &str = "\
Examples:
  anabranch new first                      a first flow with its test and data
  anabranch check first/names.flow         everything that is wrong with a flow file
  anabranch test first/names.script        run a flow's test
  anabranch run first/names.flow --play UpdateStream=first/names.csv --table QueryTable --exit

  anabranch run first/names.flow --listen :7171      a node that serves; then, from another terminal:
  anabranch send UpdateStream name=apple value=1
  anabranch ask ReadStream name=apple
  anabranch table QueryTable

Commands that talk to a running node find it by --at ADDR, else by the environment variable ANABRANCH_AT, else at
127.0.0.1:7171.

Exit codes:
  0  all is well
  1  a file is wrong, a test failed, a row was refused, or what was looked for is not there
  2  the command line is wrong
  3  the world is in the way: a node that cannot be reached, a file that cannot be read or written";

fn main() -> ExitCode {
    match node_file::arguments(std::env::args_os().collect()).and_then(done) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn done(arguments: Vec<OsString>) -> Result<(), Failure> {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command.run(),
        Err(error) => usage(&error),
    }
}

/// Help and version go to standard output and are no mistake.
fn usage(error: &clap::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => output::print(&error.to_string()),
        _ => {
            output::message(error.to_string().trim_end());
            Err(Failure::told(Exit::Usage))
        }
    }
}
