//! `anabranch new`: a first flow, its test and a little data.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::{os, output};

/// Make a directory with a first flow, its test and data
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  anabranch new first
  anabranch new .                          the current directory, when it is empty

Exit codes: 0 made, 2 the directory is not empty, 3 it cannot be written.")]
pub(crate) struct New {
    /// The directory; it is made where it is not there, and must be empty where it is
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// What a new directory gets.
const FILES: [(&str, &str); 3] = [
    ("names.flow", include_str!("../template/names.flow")),
    ("names.script", include_str!("../template/names.script")),
    ("names.csv", include_str!("../template/names.csv")),
];

impl New {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let shown = self.directory.display().to_string();
        let empty = os::make_directory(&self.directory)
            .map_err(|error| Failure::world(format!("cannot make the directory `{shown}`: {error}")))?;
        if !empty {
            let failure =
                Failure::usage(format!("the directory `{shown}` is not empty; nothing was written"));
            return Err(failure.help("name a directory that is empty or not there yet"));
        }
        for (name, text) in FILES {
            let path = self.directory.join(name);
            os::create(&path, text)
                .map_err(|error| Failure::file("write", &path.display().to_string(), &error))?;
        }
        output::print(&self.next_steps())
    }

    /// What to do next, with paths that can be copied into a shell.
    fn next_steps(&self) -> String {
        let quoted = |name: &str| quote(&self.directory.join(name).display().to_string());
        let (flow, script, data) = (quoted("names.flow"), quoted("names.script"), quoted("names.csv"));
        format!(
            "Made {flow} with its test and data. Next:\n\n  \
             anabranch check {flow}\n  \
             anabranch test {script}\n  \
             anabranch run {flow} --play UpdateStream={data} --table QueryTable --exit\n"
        )
    }
}

/// The path as a shell takes it.
fn quote(path: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "/._-+,:@%".contains(character);
    match !path.is_empty() && path.chars().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}
