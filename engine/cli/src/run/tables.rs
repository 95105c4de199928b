//! What `--table` shows at the end: the first rows of a table in key order.

use anabranch::{Client, Node, Row};
use serde_json::json;

use super::options::TableOption;
use crate::failure::{Failure, Worst};
use crate::output::Output;
use crate::row_table::RowTable;
use crate::text_table::{grouped, rows};

/// The first rows of a table.
pub(crate) struct FirstRows {
    table: String,
    rows: Vec<Row>,
    /// Rows that the table has.
    of: u64,
}

/// Tells which tables there are not.
pub(crate) fn check(client: &mut Client, options: &[TableOption], worst: &mut Worst) -> Result<(), Failure> {
    for option in options {
        if let Err(error) = client.scan(&option.table) {
            worst.tell(error.into())?;
        }
    }
    Ok(())
}

/// Reads the first rows of the tables.
pub(crate) fn read(
    client: &mut Client,
    node: &Node,
    options: &[TableOption],
) -> Result<Vec<FirstRows>, Failure> {
    let status = node.status();
    let count = |name: &str| {
        let tables = status.flows.iter().flat_map(|flow| flow.tables.iter().map(move |table| (flow, table)));
        let mut named = tables.filter(|(flow, table)| {
            table.table == name || name.strip_prefix(&flow.flow) == Some(&format!(".{}", table.table))
        });
        named.next().map_or(0, |(_, table)| table.rows)
    };
    let mut tables = Vec::new();
    for option in options {
        let rows: Result<Vec<Row>, _> = client.scan(&option.table)?.take(option.rows).collect();
        tables.push(FirstRows { table: option.table.clone(), rows: rows?, of: count(&option.table) });
    }
    Ok(tables)
}

impl FirstRows {
    /// Prints them: aligned, or a JSON object a row.
    pub(crate) fn print(&self, out: &mut Output, json: bool) -> Result<(), Failure> {
        if json {
            return self.rows.iter().try_for_each(|row| {
                out.line(&format!("{{\"table\":{},\"row\":{}}}", json!(self.table), row.to_json_text()))
            });
        }
        let (shown, of) = (self.rows.len() as u64, self.of);
        match shown < of {
            true => out.line(&format!("{} (the first {} of {})", self.table, grouped(shown), rows(of)))?,
            false => out.line(&format!("{} ({})", self.table, rows(of)))?,
        }
        out.line(&self.text())
    }

    fn text(&self) -> String {
        let Some(first) = self.rows.first() else { return String::new() };
        let mut table = RowTable::new(first.shape());
        self.rows.iter().for_each(|row| table.push(row));
        table.take()
    }
}
