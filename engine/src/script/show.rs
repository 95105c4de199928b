//! Rows, tables and answers as lines of a script.

use crate::answer::Refused;
use crate::rows::Row;
use crate::status::NodeStatus;
use crate::subscription::Event;

use super::words::{write, write_word};

/// `OutputStream sourcenode=A name=a value=1 found=true`.
pub(super) fn row(stream: &str, row: &Row) -> String {
    let mut line = String::new();
    write_word(stream, &mut line);
    for (column, (_, value)) in row.shape().columns().iter().zip(row.columns()) {
        line.push(' ');
        write_word(&column.name, &mut line);
        line.push('=');
        write(&value, &column.ty, &mut line);
    }
    line
}

/// `refused conflict: the order is paid (orders.flow:31:3)`.
pub(super) fn refused(refused: &Refused) -> String {
    one_line(&format!("refused {refused}"))
}

/// A text whose line breaks and other control characters are written out.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

/// What a subscription to `stream` brought.
pub(super) fn event(stream: &str, event: &Event) -> String {
    match event {
        Event::Row(published) => row(stream, published),
        Event::Refused(event) => format!("{} {}", row(&event.stream, &event.row), refused(&event.refused)),
        Event::Missed(rows) => format!("missed {rows} rows"),
        Event::Gone => "gone".to_owned(),
    }
}

/// Rows under the names of their columns.
pub(super) fn table(rows: &[Row]) -> Vec<String> {
    let Some(first) = rows.first() else { return vec!["no rows".to_owned()] };
    let columns = first.shape().columns();
    let heads = columns.iter().map(|column| {
        let mut cell = String::new();
        write_word(&column.name, &mut cell);
        cell
    });
    let mut lines = vec![heads.collect::<Vec<_>>()];
    for row in rows {
        let cells = columns.iter().zip(row.columns()).map(|(column, (_, value))| {
            let mut cell = String::new();
            write(&value, &column.ty, &mut cell);
            cell
        });
        lines.push(cells.collect());
    }
    aligned(&lines)
}

/// Rows in and refused, rows out, rows held.
pub(super) fn status(status: &NodeStatus) -> Vec<String> {
    let one = status.flows.len() == 1;
    let mut lines = Vec::new();
    for flow in &status.flows {
        let mut push = |kind: &str, name: &str, count: String| {
            let mut cell = String::new();
            let full = if one { name.to_owned() } else { format!("{}.{name}", flow.flow) };
            write_word(&full, &mut cell);
            lines.push(vec![kind.to_owned(), cell, count]);
        };
        for input in &flow.inputs {
            push("input", &input.stream, format!("{} in, {} refused", input.rows_in, input.rows_refused));
        }
        for output in &flow.outputs {
            push("output", &output.stream, format!("{} out", output.rows_out));
        }
        for table in &flow.tables {
            push("table", &table.table, format!("{} rows", table.rows));
        }
    }
    aligned(&lines)
}

/// Cells under each other, two spaces apart, none at the end of a line.
fn aligned(lines: &[Vec<String>]) -> Vec<String> {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let line = |cells: &Vec<String>| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            line.push_str(cell);
            // Padding counts characters: `format!` would, too, but not for a width of more than 65,535.
            line.extend(std::iter::repeat_n(' ', 2 + width - cell.chars().count()));
        }
        line.truncate(line.trim_end().len());
        line
    };
    lines.iter().map(line).collect()
}
