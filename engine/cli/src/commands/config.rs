//! `anabranch config`: what a node file comes to, and what can stand in one.

use clap::{Args, Parser, Subcommand};

use crate::failure::{Exit, Failure};
use crate::node_file::settings::{Form, SETTINGS, Setting};
use crate::node_file::{self, NodeFile, page};
use crate::output::{self, Output};
use crate::{Arguments, os};

/// Look at the node file of `run --config`
#[derive(Args, Debug)]
pub(crate) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print what a node file comes to and where each value is from, or all that is wrong with it
    #[command(after_help = "\
Nothing is started, and no file but this one is opened. The page of all fields is engine/CONFIG.md.

Exit codes: 0 a node could start with it, 1 something in it is wrong, 3 it cannot be read.")]
    Check {
        /// The node file
        file: String,
    },
    /// Print all fields with their units, defaults and reasons, as Markdown
    Fields,
}

impl Config {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Fields => output::print(&page::page()),
            What::Check { file } => check(&file),
        }
    }
}

fn check(path: &str) -> Result<(), Failure> {
    let file = node_file::open(path)?;
    let used: Vec<[String; 3]> = SETTINGS.iter().map(|setting| used(&file, setting)).collect();
    let width = |column: usize| used.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (keys, values) = (width(0), width(1));
    let mut out = Output::new();
    for [key, value, from] in &used {
        out.line(&format!("{key:<keys$}  {value:<values$}  {from}"))?;
    }
    out.flush()?;
    // What does not go together is what the command line says of it.
    let options = file.options(is_set);
    let arguments = ["anabranch", "run"].into_iter().map(str::to_owned).chain(options);
    Arguments::try_parse_from(arguments).map(drop).map_err(|error| {
        output::message(error.to_string().trim_end());
        Failure::told(Exit::Wrong)
    })
}

fn is_set(setting: &Setting) -> bool {
    setting.variable.is_some_and(|name| os::variable(name).is_some())
}

/// A setting, what would be used for it, and where that is from.
fn used(file: &NodeFile, setting: &Setting) -> [String; 3] {
    let (value, from) = match (setting.variable, file.given(setting)) {
        (Some(name), _) if os::variable(name).is_some() => {
            (os::variable(name).unwrap_or_default(), format!("environment, {name}"))
        }
        (_, None) => (setting.default.to_owned(), "default".to_owned()),
        (_, Some(given)) => {
            let value = match setting.form {
                Form::One(_) => given.values.concat(),
                Form::Many(_) => format!("[{}]", given.values.join(", ")),
                Form::Flag => (!given.values.is_empty()).to_string(),
            };
            let variables: String = given.variables.iter().map(|name| format!(", ${{{name}}}")).collect();
            (value, format!("line {}{variables}", given.line))
        }
    };
    // A value may have anything in it; it is shown on its line.
    let value = value.chars().map(|sign| if sign.is_control() { '?' } else { sign }).collect();
    [setting.key.to_owned(), value, from]
}
