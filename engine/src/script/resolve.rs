//! From commands to what a node is asked: names looked up, values read by the types of their columns. Done for the
//! whole script before its first command runs.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::batch::Batch;
use anabranch_model::convert::parse_text;
use anabranch_model::expr::Place;
use anabranch_model::stamp::MICROS_MAX;
use anabranch_model::types::{Column, Shape};
use anabranch_model::value::Value;

use crate::catalog::Catalog;
use crate::client::Client;
use crate::error::Error;
use crate::input_batch::InputBatch;
use crate::key::Key;
use crate::link::Here;
use crate::rows::RowProblem;
use crate::subscription::Subscription;
use crate::testing::TestNode;

use super::Load;
use super::parse::{Command, RowWords, Script, Verb};
use super::play::{self, Format, PlayChunk};
use super::problem::{Problem, cut};
use super::words::Word;

/// Bytes of the files that a script plays, at most: all are read before its first command runs.
const PLAY_BYTES_MAX: usize = 64 << 20;

/// What a node is asked.
pub(super) enum Order {
    /// One request; what is shown of its answer.
    Rows {
        batch: InputBatch,
        replies: bool,
    },
    /// Requests from a file.
    Play {
        file: String,
        chunks: Vec<PlayChunk>,
    },
    /// All rows of a table.
    Table {
        table: String,
    },
    /// One row of a table.
    Get {
        table: String,
        key: Vec<Value<'static>>,
    },
    /// The subscription with this name.
    Watch {
        output: String,
    },
    Advance {
        by: Duration,
    },
    Status,
}

/// What the names of a script mean.
pub(super) struct Resolver<'a> {
    pub(super) node: &'a TestNode,
    pub(super) client: &'a Client<Here>,
    pub(super) catalog: &'a Catalog,
    pub(super) load: Load<'a>,
    /// What is watched, from before the first command on.
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    /// Bytes of files played so far.
    played_bytes: usize,
    /// The time that the clock will show, in microseconds since 1970 UTC.
    clock: i64,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        node: &'a TestNode,
        client: &'a Client<Here>,
        catalog: &'a Catalog,
        load: Load<'a>,
    ) -> Self {
        let clock = node.now();
        Resolver { node, client, catalog, load, subscriptions: BTreeMap::new(), played_bytes: 0, clock }
    }

    /// Everything the script asks, or all that is wrong with it.
    pub(super) fn orders(&mut self, script: &Script<'_>) -> Result<Vec<Order>, Vec<Problem>> {
        let (mut orders, mut problems) = (Vec::new(), Vec::new());
        for command in &script.commands {
            match self.order(command) {
                Ok(order) => orders.push(order),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(orders) } else { Err(problems) }
    }

    fn order(&mut self, command: &Command) -> Result<Order, Vec<Problem>> {
        match &command.verb {
            Verb::Send { input, rows } => Ok(Order::Rows { batch: self.rows(input, rows)?, replies: false }),
            Verb::Ask { input, rows } => Ok(Order::Rows { batch: self.rows(input, rows)?, replies: true }),
            Verb::Play { input, file } => self.play(input, file),
            Verb::Table { table, key } => self.table(table, key).map_err(|problem| vec![problem]),
            Verb::Watch { output } => self.watch(output).map_err(|problem| vec![problem]),
            Verb::Advance { by } => self.advance(command.place, *by).map_err(|problem| vec![problem]),
            Verb::Status => Ok(Order::Status),
        }
    }

    fn watch(&mut self, output: &Word) -> Result<Order, Problem> {
        if !self.subscriptions.contains_key(&output.text) {
            let subscription = self.node.subscribe(&output.text).map_err(|error| unknown(output, error))?;
            self.subscriptions.insert(output.text.clone(), subscription);
        }
        Ok(Order::Watch { output: output.text.clone() })
    }

    fn advance(&mut self, place: Place, by: Duration) -> Result<Order, Problem> {
        let micros = i64::try_from(by.as_micros()).ok();
        let then = micros.and_then(|micros| self.clock.checked_add(micros)).filter(|&then| then < MICROS_MAX);
        let help = "let less time pass; the clock begins with the year 2000";
        self.clock = then.ok_or_else(|| Problem::new(place, "the clock ends with the year 2111", help))?;
        Ok(Order::Advance { by })
    }

    fn batch(&self, input: &Word) -> Result<InputBatch, Problem> {
        self.client.known_batch(&input.text).map_err(|error| unknown(input, error))
    }

    fn rows(&self, input: &Word, rows: &[RowWords]) -> Result<InputBatch, Vec<Problem>> {
        let mut batch = self.batch(input).map_err(|problem| vec![problem])?;
        let shape = batch.shape().clone();
        let push = |row| push_row(batch.packed(), &shape, row).err();
        let problems: Vec<Problem> = rows.iter().filter_map(push).flatten().collect();
        if problems.is_empty() { Ok(batch) } else { Err(problems) }
    }

    fn play(&mut self, input: &Word, file: &Word) -> Result<Order, Vec<Problem>> {
        let batch = self.batch(input).map_err(|problem| vec![problem])?;
        let format = Format::of(&file.text).ok_or_else(|| {
            play::cannot_read(file, io::Error::other("its name does not say what it holds"))
        })?;
        let text = (self.load)(&file.text).map_err(|error| play::cannot_read(file, error))?;
        self.played_bytes += text.len();
        if self.played_bytes > PLAY_BYTES_MAX {
            let message = format!("the files that the script plays have more than {PLAY_BYTES_MAX} bytes");
            return Err(vec![Problem::new(file.place, message, "play less; a script is read by people")]);
        }
        Ok(Order::Play { file: file.text.clone(), chunks: play::chunks(batch, file, format, &text)? })
    }

    fn table(&self, table: &Word, key: &[Word]) -> Result<Order, Problem> {
        let named = self.catalog.table(&table.text).map_err(|error| unknown(table, error))?;
        let name = table.text.clone();
        let Some(first) = key.first() else { return Ok(Order::Table { table: name }) };
        let value = |word: &Word| match word.is_null() {
            true => Value::Null,
            false => Value::from(word.text.clone()),
        };
        let key: Vec<Value<'static>> = key.iter().map(value).collect();
        let of = &named.plan.tables[named.id.0 as usize];
        Key::of(of, key.iter().cloned()).map_err(|error| {
            let help = "give the key columns in the order of the table's `key`";
            Problem::new(first.place, error.to_string(), help)
        })?;
        Ok(Order::Get { table: name, key })
    }
}

/// A name that the catalog does not have, or has several times.
fn unknown(word: &Word, error: Error) -> Problem {
    match error {
        Error::Unknown { what, name, known } => {
            Problem::unknown(word.place, what, &name, known.iter().map(String::as_str))
        }
        Error::Ambiguous { candidates, .. } => {
            let help = format!("write `{}`", candidates.join("` or `"));
            Problem::new(word.place, format!("`{}` is in several flows", cut(&word.text)), help)
        }
        other => Problem::new(word.place, other.to_string(), "correct the name"),
    }
}

/// Appends a row, or tells all that is wrong with it.
fn push_row(batch: &mut Batch, shape: &Arc<Shape>, row: &RowWords) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut values: Vec<Option<Value<'_>>> = vec![None; shape.columns().len()];
    for (name, word) in &row.columns {
        let Some(at) = shape.position(&name.text) else {
            let columns = shape.columns().iter().map(|column| column.name.as_str());
            problems.push(Problem::unknown(name.place, "column", &name.text, columns));
            continue;
        };
        let slot = &mut values[usize::from(at.0)];
        match value(word, shape.column(at)) {
            _ if slot.is_some() => {
                problems.push(Problem::new(
                    name.place,
                    format!("`{}` is given twice", name.text),
                    "give it once",
                ));
            }
            Ok(value) => *slot = Some(value),
            Err(problem) => {
                *slot = Some(Value::Null);
                problems.push(problem);
            }
        }
    }
    let left_out = shape.columns().iter().zip(&mut values).filter(|(_, value)| value.is_none());
    for (column, value) in left_out {
        let default = column.default.as_ref().map(Value::borrow);
        *value = default.or_else(|| column.nullable.then_some(Value::Null));
        if value.is_none() {
            let message = format!("`{}` is missing, and is neither nullable nor has a default", column.name);
            problems.push(Problem::new(row.place, message, format!("write `{}=value`", column.name)));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let pushed: Result<(), RowProblem> = batch
        .push_with(shape, |writer| values.iter().flatten().try_for_each(|value| Ok(writer.value(value)?)));
    pushed.map_err(|problem| vec![Problem::new(row.place, problem.to_string(), "correct the row")])
}

fn value<'w>(word: &'w Word, column: &Column) -> Result<Value<'w>, Problem> {
    if !word.is_null() {
        let help = format!("`{}` is of type {}", column.name, column.ty);
        return parse_text(&word.text, &column.ty).map_err(|message| Problem::new(word.place, message, help));
    }
    if column.nullable {
        return Ok(Value::Null);
    }
    let help = "give it a value; the text `null` stands in quotes: `'null'`";
    Err(Problem::new(word.place, format!("`{}` cannot be null", column.name), help))
}
