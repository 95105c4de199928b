//! `anabranch table`: rows of a table of a node that runs somewhere.

use std::str::FromStr;

use anabranch::{Client, Error, Reads};
use clap::Args;
use serde_json::json;

use crate::client::at::At;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::row_table::RowPrinter;
use crate::text_table::rows;

/// Print rows of a table of a running node
#[derive(Args, Debug)]
#[command(after_help = "\
Rows come in key order, while the table may change in between. Cells longer than 40 characters are cut; --json prints
them whole.

Examples:
  anabranch table QueryTable
  anabranch table QueryTable --key apple
  anabranch table shop.Stock --key Madrid --key T-100      a key of two columns
  anabranch table QueryTable --limit all --json > rows.ndjson

With --json every row is a line: the row itself as an object.

Exit codes: 0 printed, 1 no row has that key, 2 there is no such table or the key does not fit it, 3 the node cannot be
reached.")]
pub(crate) struct Table {
    /// The table, with its flow where several flows have one: names.QueryTable
    name: String,
    /// The row of this key alone; once for each column of the table's `key`, in its order
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    key: Vec<String>,
    /// How many rows at most, or `all`
    #[arg(long, value_name = "N", default_value = "100", conflicts_with = "key")]
    limit: Limit,
    /// Do not wait until rows are safe on the node's disk: what is shown may be undone by a crash
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    at: At,
    /// Print JSON, one row a line
    #[arg(long)]
    json: bool,
}

/// How many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit(u64);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Limit(u64::MAX)),
            text => text.parse().map(Limit).map_err(|_| "write a number of rows, or `all`".to_owned()),
        }
    }
}

impl Table {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut client = self.at.connect()?;
        if self.stale {
            client.reads(Reads::Stale);
        }
        match self.key.is_empty() {
            true => self.scan(&mut client),
            false => self.get(&mut client),
        }
    }

    /// The row of the key.
    fn get(&self, client: &mut Client) -> Result<(), Failure> {
        let found = client.get(&self.name, self.key.iter().map(String::as_str));
        let found = found.map_err(|error| match error {
            Error::Key { .. } => {
                Failure::usage(error.to_string()).help("give --key once for each column of the key")
            }
            other => other.into(),
        })?;
        let Some(row) = found else {
            output::message(&format!("{} has no row with the key {}", self.name, json!(self.key)));
            return Err(Failure::told(Exit::Wrong));
        };
        let mut printer = RowPrinter::new(row.shape(), self.json);
        printer.row(&row)?;
        printer.finish()
    }

    /// The first rows.
    fn scan(&self, client: &mut Client) -> Result<(), Failure> {
        let Limit(limit) = self.limit;
        let scan = client.scan(&self.name)?;
        let mut printer = RowPrinter::new(scan.shape(), self.json);
        let mut more = false;
        for (row, number) in scan.zip(1..) {
            let row = row?;
            if number > limit {
                more = true;
                break;
            }
            printer.row(&row)?;
        }
        printer.finish()?;
        if more {
            output::message(&format!(
                "these are the first {}; --limit N shows more, --limit all shows all",
                rows(limit)
            ));
        }
        Ok(())
    }
}
