//! Which node a command talks to, and the way there.

use std::env;

use anabranch::{Client, ConnectOptions, Trust};
use clap::Args;

use crate::address::{self, Address, DEFAULT_AT};
use crate::failure::Failure;

/// The environment variable with the token. There is no argument with it: everybody on a machine sees arguments.
const TOKEN: &str = "ANABRANCH_TOKEN";

/// Which node a command talks to.
#[derive(Args, Debug)]
pub(crate) struct At {
    /// The node: HOST:PORT of its --listen; several of a zone with commas
    /// between them: the first that answers
    #[arg(
        long,
        value_name = "ADDR",
        value_delimiter = ',',
        verbatim_doc_comment,
        env = "ANABRANCH_AT",
        default_value = DEFAULT_AT,
        hide_env_values = true,
        value_parser = address::at
    )]
    at: Vec<Address>,
    /// Go over TLS; the system knows who vouches for the node
    #[arg(long)]
    tls: bool,
    /// Go over TLS; who vouches for the node is in this PEM file
    #[arg(long, value_name = "FILE", env = "ANABRANCH_CA_FILE", hide_env_values = true)]
    ca_file: Option<String>,
    /// Send the token in this file; else that in ANABRANCH_TOKEN, if any
    #[arg(long, value_name = "FILE", env = "ANABRANCH_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<String>,
    /// Send the token without TLS, too, where everybody on the way can read it
    #[arg(long)]
    insecure: bool,
}

impl At {
    /// A client of the node.
    ///
    /// # Errors
    /// It cannot be reached, or not with this token.
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        let mut addresses = self.at.iter().map(Address::to_string);
        let first = ConnectOptions::new(&addresses.next().unwrap_or_else(|| DEFAULT_AT.to_owned()));
        let options = addresses.fold(first, |options, address| options.also(&address));
        let options = match (&self.ca_file, self.tls) {
            (Some(file), _) => options.ca_file(file),
            (None, true) => options.tls(Trust::System),
            (None, false) => options,
        };
        let options = if self.insecure { options.insecure() } else { options };
        let options = match (&self.token_file, env::var(TOKEN)) {
            (Some(file), _) => options.token_file(file)?,
            (None, Ok(token)) if !token.is_empty() => options.token(&token),
            (None, _) => options,
        };
        Ok(options.connect()?)
    }
}
