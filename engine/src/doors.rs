//! The ways to all workers of a node.

use crossbeam_channel::{Sender, bounded};

use crate::deploy::Workers;
use crate::driver::Command;
use crate::error::Error;
use crate::os::{self, Door};

/// The ways to all workers of a node.
pub(crate) struct Doors(pub(crate) Vec<Door>);

impl Doors {
    /// Sends a command to every worker; one that has ended needs not be told.
    pub(crate) fn tell(&self, command: impl Fn() -> Command) {
        for door in &self.0 {
            door.send(command());
        }
    }
}

impl Workers for Doors {
    fn ask<T>(&self, command: impl Fn(Sender<T>) -> Command) -> Result<Vec<T>, Error> {
        let (sender, answers) = bounded(self.0.len());
        self.tell(|| command(sender.clone()));
        drop(sender);
        // Ends when every worker has answered, or is gone.
        let answers: Vec<T> = answers.iter().collect();
        if answers.len() == self.0.len() { Ok(answers) } else { Err(Error::Stopped) }
    }

    fn now(&self) -> i64 {
        os::now_micros()
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn tell_one(&self, worker: usize, command: Command) {
        self.0[worker].send(command);
    }
}
