//! The node that is killed, in its directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::kill::{Failure, Kill};
use crate::process::Process;

/// Starts the node with so many workers in a directory that has its flow.
pub(crate) fn start(kill: &Kill, address: &str, workers: u64) -> Result<Process, Failure> {
    let Kill { program, directory, .. } = kill;
    let mut command = Command::new(program);
    command.current_dir(directory).args(["run", "kill.flow", "--data", "data", "--listen", address]).args([
        "--workers",
        &workers.to_string(),
        "--snapshot-after",
        &kill.snapshot_after,
    ]);
    Process::start(&mut command, &directory.join("said.txt"))
}

/// Makes the directory, without data.
pub(crate) fn make_directory(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    match directory.join("data").exists() {
        false => Ok(()),
        true => {
            let text = format!("`{}` has data already; name another directory", directory.display());
            Err(Failure::World(text))
        }
    }
}

/// Writes the flow that the next start has.
pub(crate) fn write_flow(directory: &Path, flow: &str) -> Result<(), Failure> {
    fs::write(directory.join("kill.flow"), flow).map_err(|error| unwritable(directory, &error))
}

fn unwritable(directory: &Path, error: &std::io::Error) -> Failure {
    Failure::World(format!("cannot write to `{}`: {error}", directory.display()))
}

/// Bytes of the node's files.
pub(crate) fn data_bytes(directory: &Path) -> u64 {
    let files = fs::read_dir(directory.join("data")).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}
