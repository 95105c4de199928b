//! `anabranch query`: a question over a table of a node that runs somewhere, in SQL's words.

use anabranch::query::QueryError;
use anabranch::{Error, Reads};
use clap::Args;

use crate::client::at::At;
use crate::failure::{Exit, Failure};
use crate::row_table::RowPrinter;
use crate::{os, output};

/// Ask a running node a question: `select ... from T ...`
#[derive(Args, Debug)]
#[command(after_help = "\
A question reads one table: select, distinct, where, group by, having, order by, limit and offset, with the functions of
the flow language. It changes nothing, and sees rows page by page, while the table may change in between.

Examples:
  anabranch query 'select * from QueryTable limit 5'
  anabranch query \"select value, count(*) as names from QueryTable where name like 'a%' group by value\"
  anabranch query - --json < question.sql

With --json every row is a line: the row as an object.

Exit codes: 0 answered, 1 an expression failed on the way or the question needs too much memory, 2 the question is
wrong, 3 the node cannot be reached or does not allow it.")]
pub(crate) struct Query {
    /// The question; `-` is standard input
    #[arg(value_name = "QUESTION")]
    question: String,
    /// Do not wait until rows are safe on the node's disk: what is shown may be undone by a crash
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    at: At,
    /// Print JSON, one row a line
    #[arg(long)]
    json: bool,
}

impl Query {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let question = self.question()?;
        let mut client = self.at.connect()?;
        if self.stale {
            client.reads(Reads::Stale);
        }
        let rows = client.query(&question).map_err(failure)?;
        let mut printer = RowPrinter::new(rows.shape(), self.json);
        for row in rows {
            match row {
                Ok(row) => printer.row(&row)?,
                Err(error) => {
                    // What came before is right, and is shown.
                    if !printer.is_empty() {
                        printer.finish()?;
                    }
                    return Err(failure(error));
                }
            }
        }
        printer.finish()
    }

    fn question(&self) -> Result<String, Failure> {
        if self.question != "-" {
            return Ok(self.question.clone());
        }
        let bytes = os::read("-").map_err(|error| Failure::file("read", "<stdin>", &error))?;
        String::from_utf8(bytes).map_err(|_| Failure::wrong("the question on standard input is not UTF-8"))
    }
}

/// What is wrong with a question is shown with its place, as what is wrong with a flow is.
fn failure(error: Error) -> Failure {
    match error {
        Error::Query(QueryError::Wrong(wrong)) => {
            let text = anabranch_lang::render(&wrong.file, &wrong.text, &wrong.diagnostics, output::colour());
            output::message(&text);
            Failure::told(Exit::Usage)
        }
        Error::Query(error) => Failure::wrong(error.to_string()),
        other => other.into(),
    }
}
