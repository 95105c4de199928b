//! Which node a command talks to, and the way there.

use anabranch::Client;
use clap::Args;

use crate::address::{self, Address, DEFAULT_AT};
use crate::failure::Failure;

/// Which node a command talks to.
#[derive(Args, Debug)]
pub(crate) struct At {
    /// The node: HOST:PORT of its --listen
    #[arg(
        long,
        value_name = "ADDR",
        env = "ANABRANCH_AT",
        default_value = DEFAULT_AT,
        hide_env_values = true,
        value_parser = address::at
    )]
    at: Address,
}

impl At {
    /// A client of the node.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.at.to_string())?)
    }
}
