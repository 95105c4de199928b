//! The options of `run` and `play`: `INPUT=FILE`, `TABLE=N`, names of nodes, what lines do that do not fit.

use std::str::FromStr;

use anabranch::WORKERS_MAX;
use anabranch::rows::ExtraColumns;
use clap::{Args, ValueEnum};

/// Rows of a table that are shown where nothing is said.
const TABLE_ROWS: usize = 10;

/// What `--play INPUT=FILE` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlayOption {
    /// The input stream, with or without its flow.
    pub(crate) input: String,
    /// The path; `-` is standard input.
    pub(crate) file: String,
    /// How the file is read.
    pub(crate) format: Format,
}

/// How a file of rows is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Cells under a header line.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl FromStr for PlayOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (input, file) = match text.split_once('=') {
            Some((input, file)) if !input.is_empty() && !file.is_empty() => (input, file),
            _ => return Err("write INPUT=FILE, for example UpdateStream=names.csv".to_owned()),
        };
        let format = Format::of(file)?;
        Ok(PlayOption { input: input.to_owned(), file: file.to_owned(), format })
    }
}

impl Format {
    /// What the ending of a file's name says.
    ///
    /// # Errors
    /// Nothing: what endings there are.
    pub(crate) fn of(file: &str) -> Result<Self, String> {
        let name = file.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".csv"]) {
            return Ok(Format::Csv);
        }
        if file == "-" || ends(&[".ndjson", ".jsonl", ".json"]) {
            return Ok(Format::JsonLines);
        }
        let forms =
            "the ending says how a file is read: .csv, or .ndjson, .jsonl or .json for a JSON object a line";
        Err(format!("{forms}; `-` is standard input, a JSON object a line"))
    }
}

/// What lines of files do that do not fit.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LineOptions {
    /// What a line does that is no row; it is reported, and `stop` sends
    /// nothing after it, so that nothing is lost by oversight
    #[arg(
        long,
        value_enum,
        default_value = "stop",
        value_name = "stop|skip",
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    pub(crate) on_bad_line: OnBadLine,
    /// What a column does that the stream lacks; `refuse` makes the line,
    /// or the file with that header, a bad one
    #[arg(
        long,
        value_enum,
        default_value = "refuse",
        value_name = "refuse|ignore",
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    on_extra_column: OnExtraColumn,
}

/// What a bad line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnBadLine {
    Skip,
    // The rows before it were sent, nothing after it is.
    Stop,
}

/// What a column does that the stream does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnExtraColumn {
    Refuse,
    Ignore,
}

impl LineOptions {
    /// What columns do that the stream lacks.
    pub(crate) fn extra_columns(self) -> ExtraColumns {
        match self.on_extra_column {
            OnExtraColumn::Refuse => ExtraColumns::Refuse,
            OnExtraColumn::Ignore => ExtraColumns::Ignore,
        }
    }
}

/// What `--table TABLE[=N]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableOption {
    /// The table, with or without its flow.
    pub(crate) table: String,
    /// How many rows to show.
    pub(crate) rows: usize,
}

impl FromStr for TableOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (table, rows) = match text.split_once('=') {
            None => (text, TABLE_ROWS),
            Some((table, rows)) => match rows.parse() {
                Ok(rows) => (table, rows),
                Err(_) => return Err("write TABLE=ROWS with a number, for example QueryTable=20".to_owned()),
            },
        };
        if table.is_empty() {
            return Err("write TABLE or TABLE=ROWS, for example QueryTable=20".to_owned());
        }
        Ok(TableOption { table: table.to_owned(), rows })
    }
}

/// A node's name: one word, so that the `ready` line can be taken apart at its spaces.
///
/// # Errors
/// It is empty, or has white space in it.
pub(crate) fn node_name(text: &str) -> Result<String, String> {
    match !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Ok(text.to_owned()),
        false => Err("a node's name is one word".to_owned()),
    }
}

/// How many workers a node has.
///
/// # Errors
/// It is no number, or no node has so many.
pub(crate) fn workers(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=WORKERS_MAX).contains(count));
    count.ok_or_else(|| format!("write a number from 1 to {WORKERS_MAX}"))
}

/// So many bytes.
///
/// # Errors
/// It is no whole number with a unit.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|sign: char| sign.is_ascii_digit()).len();
    let shift = match &text[digits..] {
        "B" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        _ => None,
    };
    let number: Option<u64> = text[..digits].parse().ok();
    let bytes = number.zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "write a whole number with its unit: 64KiB, 256MiB, 2GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit() {
        assert_eq!(bytes("12B"), Ok(12));
        assert_eq!(bytes("256MiB"), Ok(256 << 20));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        for wrong in ["", "12", "MiB", "1.5GiB", "-1B", "1 MiB", "1MB", "99999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_ending_says_how_a_file_is_read() {
        let format = |text: &str| text.parse::<PlayOption>().map(|play| play.format);
        assert_eq!(format("A=x.csv"), Ok(Format::Csv));
        assert_eq!(format("A=x.CSV"), Ok(Format::Csv));
        for file in ["x.ndjson", "x.jsonl", "x.json", "-"] {
            assert_eq!(format(&format!("A={file}")), Ok(Format::JsonLines), "{file}");
        }
        assert!(format("A=x.txt").is_err());
    }

    #[test]
    fn a_file_name_may_have_an_equals_sign() {
        let play: PlayOption = "A=b=c.csv".parse().unwrap();
        assert_eq!((play.input.as_str(), play.file.as_str()), ("A", "b=c.csv"));
    }

    #[test]
    fn a_table_shows_ten_rows_where_nothing_is_said() {
        assert_eq!("T".parse(), Ok(TableOption { table: "T".into(), rows: 10 }));
        assert_eq!("T=3".parse(), Ok(TableOption { table: "T".into(), rows: 3 }));
        for wrong in ["", "=3", "T=", "T=x", "T=-1"] {
            assert!(wrong.parse::<TableOption>().is_err(), "{wrong}");
        }
    }
}
