//! `anabranch log`: a node's journal, looked at without a node. Nothing is changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch::DirectoryDisk;
use anabranch_log::{Config, Entry, Error, LogNumber, Reader, Report, check, first};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::text_table::{Align, TextTable, grouped};

/// Rows of the table that are printed together, so that their columns stand under each other.
const TABLE_ROWS: u64 = 1000;

/// Look at a node's journal without a node
#[derive(Args, Debug)]
pub(crate) struct Log {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    Check(Check),
    Dump(Dump),
}

/// Read all segments and snapshots, and tell what is wrong with them
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  anabranch log check /var/lib/anabranch
  anabranch log check --json /var/lib/anabranch | jq 'select(.problem)'

`torn` is what a crash has left behind the last record: nobody was told that it is safe, and the next start cuts it.
The journal of a node that runs may be looked at; what it is writing then looks torn.

Exit codes: 0 all is as it was written, 1 something is damaged or missing, or there is no journal, 3 the directory or a
file cannot be read.")]
struct Check {
    /// The directory of the node's data
    directory: PathBuf,
    /// Print JSON, a line for each file
    #[arg(long)]
    json: bool,
}

/// Print the records
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  anabranch log dump /var/lib/anabranch --limit 20
  anabranch log dump /var/lib/anabranch --from 1000000 --json --bodies

Partition 3/64 is number 3 of 64. Where a record is damaged it ends there; `--from` with a number of a later segment
(`anabranch log check` tells them) reads on behind it.

Exit codes: 0 all was printed, 1 something is damaged or missing, or there is no journal, 3 the directory or a file cannot
be read.")]
struct Dump {
    /// The directory of the node's data
    directory: PathBuf,
    /// The first record to print; the first that is there where nothing is said
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// How many records, at most
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Print the bodies, too, in hexadecimal digits
    #[arg(long)]
    bodies: bool,
    /// Print JSON, a line for each record
    #[arg(long)]
    json: bool,
}

impl Log {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Check(check) => check.run(),
            What::Dump(dump) => dump.run(),
        }
    }
}

impl Check {
    fn run(self) -> Result<(), Failure> {
        let disk = open(&self.directory)?;
        let report = check(&disk).map_err(failure)?;
        if report.segments.is_empty() && report.snapshots.is_empty() {
            return Err(nothing(&self.directory));
        }
        let files = files(&report);
        match self.json {
            true => {
                output::print(&files.iter().map(|file| format!("{}\n", file.json())).collect::<String>())?
            }
            false => output::print(&table(&files))?,
        }
        if report.is_sound() {
            return Ok(());
        }
        report.problems().for_each(|problem| output::error(&problem.to_string(), None));
        Err(Failure::told(report.problems().map(exit).max().unwrap_or(Exit::Wrong)))
    }
}

/// What is told of a file.
struct File<'r> {
    name: &'r str,
    kind: &'static str,
    /// Its first record and its last; of a snapshot, begin and end.
    records: Option<(LogNumber, LogNumber)>,
    /// Records, or chunks.
    count: u64,
    used_bytes: u64,
    bytes: u64,
    state: &'static str,
    torn_bytes: u64,
    problem: Option<&'r Error>,
}

fn files(report: &Report) -> Vec<File<'_>> {
    let torn = report.torn.as_ref();
    let segments = report.segments.iter().map(|segment| {
        let torn_bytes = torn.filter(|torn| torn.file == segment.file).map_or(0, |torn| torn.bytes);
        let last = LogNumber(segment.first.0 + segment.records).before();
        File {
            name: &segment.file,
            kind: "segment",
            records: (segment.records > 0).then_some((segment.first, last)),
            count: segment.records,
            used_bytes: segment.used_bytes,
            bytes: segment.bytes,
            state: state(segment.problem.as_ref(), torn_bytes),
            torn_bytes,
            problem: segment.problem.as_ref(),
        }
    });
    let snapshots = report.snapshots.iter().map(|snapshot| {
        let (summary, problem) = (snapshot.found.as_ref().ok(), snapshot.found.as_ref().err());
        let bytes = summary.map_or(0, |summary| summary.bytes);
        File {
            name: &snapshot.file,
            kind: "snapshot",
            records: summary.map(|summary| (summary.begin, summary.end)),
            count: summary.map_or(0, |summary| summary.chunks),
            used_bytes: bytes,
            bytes,
            state: state(problem, 0),
            torn_bytes: 0,
            problem,
        }
    });
    segments.chain(snapshots).collect()
}

fn state(problem: Option<&Error>, torn_bytes: u64) -> &'static str {
    match problem {
        None if torn_bytes > 0 => "torn",
        None => "whole",
        Some(Error::Damaged(_)) => "damaged",
        Some(Error::Newer { .. }) => "newer",
        Some(Error::Missing { .. }) => "a gap before it",
        Some(_) => "unreadable",
    }
}

impl File<'_> {
    fn json(&self) -> Value {
        json!({
            "file": self.name,
            "kind": self.kind,
            "first": self.records.map(|(first, _)| first.0),
            "last": self.records.map(|(_, last)| last.0),
            "count": self.count,
            "used_bytes": self.used_bytes,
            "bytes": self.bytes,
            "state": self.state,
            "torn_bytes": self.torn_bytes,
            "problem": self.problem.map(ToString::to_string),
        })
    }
}

fn table(files: &[File<'_>]) -> String {
    let mut table = TextTable::new([
        ("file", Align::Left),
        ("first", Align::Right),
        ("last", Align::Right),
        ("records or chunks", Align::Right),
        ("bytes used", Align::Right),
        ("of", Align::Right),
        ("state", Align::Left),
    ]);
    for file in files {
        let (first, last) =
            file.records.map_or(Default::default(), |(first, last)| (first.to_string(), last.to_string()));
        let numbers = [file.count, file.used_bytes, file.bytes].map(grouped);
        let cells = [file.name.to_owned(), first, last].into_iter().chain(numbers);
        table.row(cells.chain([file.state.to_owned()]));
    }
    table.render()
}

impl Dump {
    fn run(self) -> Result<(), Failure> {
        let disk = open(&self.directory)?;
        let first = first(&disk).map_err(failure)?.ok_or_else(|| nothing(&self.directory))?;
        let from = self.from.map_or(first, LogNumber);
        let mut reader = Reader::open(disk, Config::new([0; 16]), from).map_err(failure)?;
        let mut out = Output::new();
        let printed = self.print(&mut reader, &mut out);
        out.flush()?;
        printed
    }

    fn print(&self, reader: &mut Reader<Arc<DirectoryDisk>>, out: &mut Output) -> Result<(), Failure> {
        let mut table = header(self.bodies);
        for count in 1..=self.limit.unwrap_or(u64::MAX) {
            match reader.next() {
                Ok(Some(entry)) if self.json => out.line(&self.json(&entry).to_string())?,
                Ok(Some(entry)) => table.row(self.cells(&entry)),
                ended => {
                    out.text(&self.rest(&mut table))?;
                    out.flush()?;
                    return ended.map(drop).map_err(failure);
                }
            }
            if count % TABLE_ROWS == 0 && !self.json {
                out.text(&table.take())?;
            }
        }
        out.text(&self.rest(&mut table))
    }

    /// The rows that were not printed yet, as text.
    fn rest(&self, table: &mut TextTable) -> String {
        if self.json { String::new() } else { table.take() }
    }

    fn json(&self, entry: &Entry<'_>) -> Value {
        let (position, body) = (entry.record.position, entry.record.body);
        let mut line = json!({
            "number": entry.number.0,
            "kind": entry.record.kind.name(),
            "flow": position.flow,
            "partition": position.number,
            "of": position.of,
            "term": position.term,
            "seq": position.seq,
            "bytes": body.len(),
        });
        if self.bodies {
            line["body"] = hexadecimal(body).into();
        }
        line
    }

    fn cells(&self, entry: &Entry<'_>) -> Vec<String> {
        let (position, body) = (entry.record.position, entry.record.body);
        let mut cells = vec![
            entry.number.to_string(),
            entry.record.kind.name().to_owned(),
            position.flow.to_string(),
            format!("{}/{}", position.number, position.of),
            position.term.to_string(),
            position.seq.to_string(),
            grouped(body.len() as u64),
        ];
        if self.bodies {
            cells.push(hexadecimal(body));
        }
        cells
    }
}

fn header(bodies: bool) -> TextTable {
    let titles = ["number", "kind", "flow", "partition", "term", "seq", "bytes", "body"];
    let aligned = titles.into_iter().map(|title| match title {
        "kind" | "body" => (title, Align::Left),
        _ => (title, Align::Right),
    });
    TextTable::new(aligned.take(if bodies { 8 } else { 7 }))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn open(directory: &Path) -> Result<Arc<DirectoryDisk>, Failure> {
    DirectoryDisk::read_only(directory).map(Arc::new).map_err(|error| Failure::world(error.to_string()))
}

fn nothing(directory: &Path) -> Failure {
    Failure::wrong(format!("there is no journal in `{}`", directory.display()))
        .help("name the directory that the node was started with")
}

fn exit(error: &Error) -> Exit {
    match error {
        Error::Disk { .. } | Error::Full { .. } | Error::Poisoned { .. } => Exit::World,
        Error::Damaged(_) | Error::Missing { .. } | Error::Newer { .. } | Error::TooLarge { .. } => {
            Exit::Wrong
        }
    }
}

fn failure(error: Error) -> Failure {
    match exit(&error) {
        Exit::World => Failure::world(error.to_string()),
        _ => Failure::wrong(error.to_string()),
    }
}
