//! What a run leaves behind: rows in and refused, rows out, rows held, and the rate.

use std::time::Duration;

use anabranch::NodeStatus;
use serde::Serialize;

use super::progress::rate;
use super::session::PlayFile;
use crate::failure::Failure;
use crate::output::Output;
use crate::status_tables;
use crate::text_table::{Align, TextTable, grouped, rows};

/// The summary, as JSON shows it.
#[derive(Serialize)]
pub(crate) struct Summary {
    /// Of the node, where it runs in this process.
    #[serde(flatten)]
    status: Option<NodeStatus>,
    plays: Vec<PlayFile>,
    rows: u64,
    seconds: f64,
    rows_per_second: u64,
}

impl Summary {
    /// Puts together what is known; `played` is how long the files took.
    pub(crate) fn new(status: Option<NodeStatus>, plays: Vec<PlayFile>, played: Duration) -> Self {
        let rows = plays.iter().map(PlayFile::answered).sum();
        let seconds = played.as_secs_f64();
        Summary { status, plays, rows, seconds, rows_per_second: rate(rows, played) }
    }

    /// Prints it: aligned tables, or one JSON object.
    pub(crate) fn print(&self, out: &mut Output, json: bool) -> Result<(), Failure> {
        if json {
            let summary = serde_json::to_string(self)
                .map_err(|error| Failure::world(format!("the summary cannot be written as JSON: {error}")))?;
            return out.line(&format!("{{\"summary\":{summary}}}"));
        }
        let of_node = self.status.iter().flat_map(|status| status_tables::of(status, None));
        for table in of_node.chain([self.files()]).filter(|table| !table.is_empty()) {
            out.line(&table.render())?;
        }
        if self.plays.is_empty() {
            return Ok(());
        }
        let (rows, rate) = (rows(self.rows), grouped(self.rows_per_second));
        out.line(&format!("{rows} in {:.3} s, {rate} rows/s", self.seconds))
    }

    fn files(&self) -> TextTable {
        let heads = ["rows", "refused", "bad lines"].map(|title| (title, Align::Right));
        let words = ["file", "played to"].map(|title| (title, Align::Left));
        let mut table = TextTable::new(words.into_iter().chain(heads));
        for play in &self.plays {
            let numbers = [play.answered(), play.refused, play.bad_lines].map(grouped);
            table.row([play.file.clone(), play.input.clone()].into_iter().chain(numbers));
        }
        table
    }
}
