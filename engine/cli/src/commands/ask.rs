//! `anabranch ask`: a row to an input stream of a node that runs somewhere, and what rules reply to it.

use clap::Args;

use crate::client::at::At;
use crate::client::{outcome, row_words};
use crate::failure::Failure;
use crate::output::{self, Output};

/// Send one row to a running node and print the replies
#[derive(Args, Debug)]
#[command(after_help = "\
The row is given as for `send`: column=value, column:=JSON or column@FILE.

Examples:
  anabranch ask ReadStream name=apple
  anabranch ask names.ReadStream name=apple --json --at db.example:7171

With --json every reply is a line: {\"stream\":\"OutputStream\",\"row\":{..}}. A refused row is {\"refused\":..,\"row\":1}.

Exit codes: 0 the row was accepted, 1 it was refused, 2 there is no such stream or column, or a value does not fit it
(nothing was sent), 3 the node cannot be reached or does not allow it.")]
pub(crate) struct Ask {
    /// The input stream, with its flow where several flows have one: names.ReadStream
    input: String,
    /// The columns of the row: column=value
    #[arg(value_name = "COLUMN=VALUE")]
    row: Vec<String>,
    /// The row takes effect once, however often it is sent with this key:
    /// a UUID of version 7, or the milliseconds since 1970 UTC, `-` and a text
    /// of your own
    #[arg(long, value_name = "KEY", verbatim_doc_comment)]
    key: Option<String>,
    #[command(flatten)]
    at: At,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl Ask {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut client = self.at.connect()?;
        let mut batch = client.batch(&self.input)?;
        if let Some(key) = &self.key {
            batch = batch.once(key)?;
        }
        row_words::push(&self.input, &mut batch, &self.row)?;
        let ticket = client.submit(batch)?;
        let answer = client.wait(ticket)?;
        let mut out = Output::new();
        outcome::replies(&mut out, &answer.replies, self.json)?;
        outcome::refused(&mut out, &answer, self.json)?;
        out.flush()?;
        if answer.replies.is_empty() && answer.refused.is_empty() {
            output::message("accepted; no rule replied to it");
        }
        outcome::exit(&answer)
    }
}
