//! What a run leaves behind: rows in and refused, rows out, rows held, and the rate.

use std::time::Duration;

use anabranch::{FlowStatus, NodeStatus};
use serde::Serialize;

use super::progress::rate;
use super::session::PlayFile;
use crate::failure::Failure;
use crate::output::Output;
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
        let tables = [self.inputs(), self.outputs(), self.tables(), self.files()];
        for table in tables.iter().filter(|table| !table.is_empty()) {
            out.line(&table.render())?;
        }
        if self.plays.is_empty() {
            return Ok(());
        }
        let (rows, rate) = (rows(self.rows), grouped(self.rows_per_second));
        out.line(&format!("{rows} in {:.3} s, {rate} rows/s", self.seconds))
    }

    fn flows(&self) -> &[FlowStatus] {
        self.status.as_ref().map_or(&[], |status| &status.flows)
    }

    fn inputs(&self) -> TextTable {
        let heads = [("input", Align::Left), ("rows in", Align::Right), ("refused", Align::Right)];
        let mut table = TextTable::new(heads);
        for (flow, input) in
            self.flows().iter().flat_map(|flow| flow.inputs.iter().map(move |one| (flow, one)))
        {
            table.row([self.name(flow, &input.stream), grouped(input.rows_in), grouped(input.rows_refused)]);
        }
        table
    }

    fn outputs(&self) -> TextTable {
        let mut table = TextTable::new([("output", Align::Left), ("rows out", Align::Right)]);
        for (flow, output) in
            self.flows().iter().flat_map(|flow| flow.outputs.iter().map(move |one| (flow, one)))
        {
            table.row([self.name(flow, &output.stream), grouped(output.rows_out)]);
        }
        table
    }

    fn tables(&self) -> TextTable {
        let heads = ["rows", "bytes of rows", "bytes of memory"].map(|title| (title, Align::Right));
        let mut table = TextTable::new([("table", Align::Left)].into_iter().chain(heads));
        for (flow, held) in
            self.flows().iter().flat_map(|flow| flow.tables.iter().map(move |one| (flow, one)))
        {
            let numbers = [held.rows, held.row_bytes, held.memory_bytes].map(grouped);
            table.row([self.name(flow, &held.table)].into_iter().chain(numbers));
        }
        table
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

    /// With its flow where there are several.
    fn name(&self, flow: &FlowStatus, name: &str) -> String {
        match self.flows().len() {
            1 => name.to_owned(),
            _ => format!("{}.{name}", flow.flow),
        }
    }
}
