//! `anabranch send`: rows to an input stream of a node that runs somewhere.

use std::io;

use anabranch::InputBatch;
use clap::Args;
use serde_json::json;

use crate::client::at::At;
use crate::client::{outcome, row_words};
use crate::failure::Failure;
use crate::os;
use crate::output::{Output, error};

/// Send rows to an input stream of a running node
#[derive(Args, Debug)]
#[command(after_help = "\
A row is given column by column, in any order:

  column=value     the value as it stands, read as a CSV cell: empty is null where the column may be null
  column:=JSON     a JSON value: null, true, 1.5, '\"text\"', '[1, 2]'
  column@FILE      what is in a file: its bytes, its text, or a value written in it

With --json-rows every word is a whole row as a JSON object; without a word they come from standard input, an object a
line, and are sent as one batch (`play` sends files of any length).

Examples:
  anabranch send UpdateStream name=apple value=1
  anabranch send names.UpdateStream name='two words' note:=null photo@apple.jpg --at db.example:7171
  anabranch send UpdateStream name=apple value=2 --key \"$(date +%s%3N)-order-17\"
  anabranch send UpdateStream --json-rows '{\"name\":\"a\",\"value\":\"1\"}' '{\"name\":\"b\",\"value\":\"2\"}'

With --json: {\"stream\":..,\"row\":..} for each reply, {\"refused\":..,\"row\":N} for each refused row, and at the end
{\"accepted\":N,\"refused\":N}.

Exit codes: 0 every row was accepted, 1 a row was refused or a file is wrong, 2 there is no such stream or column, or a
value does not fit it (nothing was sent), 3 the node cannot be reached or does not allow it or a file cannot be read.")]
pub(crate) struct Send {
    /// The input stream, with its flow where several flows have one: names.UpdateStream
    input: String,
    /// The columns of the row: column=value
    #[arg(value_name = "COLUMN=VALUE")]
    row: Vec<String>,
    /// The words are whole rows as JSON objects; without a word, standard input has one a line
    #[arg(long)]
    json_rows: bool,
    /// The rows take effect once, however often they are sent with this key:
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

impl Send {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut client = self.at.connect()?;
        let mut batch = client.batch(&self.input)?;
        if let Some(key) = &self.key {
            batch = batch.once(key)?;
        }
        match self.json_rows {
            false => row_words::push(&self.input, &mut batch, &self.row)?,
            true if self.row.is_empty() => self.lines(&mut batch)?,
            true => self.row.iter().try_for_each(|row| row_words::push_json(&self.input, &mut batch, row))?,
        }
        let ticket = client.submit(batch)?;
        let answer = client.wait(ticket)?;
        let mut out = Output::new();
        outcome::replies(&mut out, &answer.replies, self.json)?;
        outcome::refused(&mut out, &answer, self.json)?;
        let (accepted, refused) = (answer.accepted, answer.refused.len());
        match (self.json, refused) {
            (true, _) => out.line(&json!({ "accepted": accepted, "refused": refused }).to_string())?,
            (false, 0) => out.line(&format!("accepted {accepted}"))?,
            (false, _) => out.line(&format!("accepted {accepted}, refused {refused}"))?,
        }
        out.flush()?;
        outcome::exit(&answer)
    }

    /// The rows of standard input; every line that is none is told.
    fn lines(&self, batch: &mut InputBatch) -> Result<(), Failure> {
        let bytes = os::read("-").map_err(|error| Failure::file("read", "<stdin>", &error))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            let error = io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
            Failure::file("read", "<stdin>", &error)
        })?;
        let mut worst = crate::failure::Worst::default();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            if let Err(Failure::Says { exit, message, help }) = row_words::push_json(&self.input, batch, line)
            {
                error(&format!("<stdin>:{number}: {message}"), help.as_deref());
                worst.note(exit);
            }
        }
        worst.finish()
    }
}
