//! `anabranch token`: tokens for clients of a node.

use anabranch::{NewToken, Scope};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::failure::Failure;
use crate::output;

/// Make tokens for the clients of a node
#[derive(Args, Debug)]
pub(crate) struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    New(New),
}

/// Make a token, and the line with its hash for the file of `run --tokens`
#[derive(Args, Debug)]
#[command(after_help = "\
The token is shown this once; nobody can find it from its line. Give the token to its holder, and the line to the node:

  anabranch token new ingest --scope write --flow names
  anabranch token new dashboard --scope read
  anabranch token new ci --scope deploy,read

Clients send it as `Authorization: Bearer TOKEN`, the commands of this program from ANABRANCH_TOKEN or --token-file.

Scopes: read (tables, questions, subscriptions, inputs that only read), write (rows), deploy (install, replace and drop
flows), admin (status and metrics of the node, with a token for all flows).

With --json: {\"token\":..,\"line\":..}.")]
struct New {
    /// The name of its holder, which stands in audit lines
    name: String,
    /// What it allows: read, write, deploy, admin, with `,` in between
    #[arg(long, required = true, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<Scope>,
    /// The flows that it is for; all where none is named
    #[arg(long, value_name = "FLOW", value_delimiter = ',')]
    flow: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Token {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::New(new) => new.run(),
        }
    }
}

impl New {
    fn run(self) -> Result<(), Failure> {
        let flows: Vec<&str> = self.flow.iter().map(String::as_str).collect();
        let token = NewToken::make(&self.name, &self.scope, &flows)
            .map_err(|error| Failure::usage(error.to_string()))?;
        let (text, line) = (token.text(), token.line());
        match self.json {
            true => output::print(&format!("{}\n", json!({ "token": text, "line": line }))),
            false => output::print(&format!("token: {text}\nline:  {line}\n")),
        }
    }
}
