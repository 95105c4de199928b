//! The results of a question that a client asked, as they come.

use std::fmt;
use std::sync::Arc;

use anabranch_model::message::{Answer, Body};
use anabranch_model::plan::TableId;
use anabranch_model::types::Shape;

use crate::catalog::Named;
use crate::client::Client;
use crate::error::Error;
use crate::link::Link;
use crate::rows::Row;
use crate::scan::Scan;

use super::results::Results;
use super::{Evaluation, Lookup, Prepared};

/// The results of a question, one by one. After an error nothing more comes.
pub struct Rows<'c, L: Link> {
    shape: Arc<Shape>,
    source: Source<'c, L>,
    /// The table of the question, as the question was prepared for it.
    table: Named<TableId>,
    stage: Stage,
}

/// Where rows of the table come from.
enum Source<'c, L: Link> {
    Scan(Scan<'c, L>),
    One(Option<Row>),
}

enum Stage {
    Reading(Box<Evaluation>),
    Giving(Results),
    Ended,
}

impl<'c, L: Link> Rows<'c, L> {
    /// Begins to answer a question; `now` is what `now()` gives.
    pub(crate) fn new(client: &'c mut Client<L>, prepared: &Prepared, now: i64) -> Result<Self, Error> {
        let evaluation = Evaluation::new(prepared, now);
        let table = prepared.table();
        let id = prepared.question.table;
        let named = Named { flow: prepared.flow, plan: prepared.plan.clone(), id };
        let source = match evaluation.lookup(table)? {
            Lookup::All => Source::Scan(Scan::new(client, named.clone())),
            Lookup::Key { partition, key } => {
                let ticket = client.request(
                    prepared.flow,
                    &prepared.plan,
                    Body::Get { table: id, partition, key, reads: client.reading() },
                    0,
                )?;
                match client.collect(ticket)? {
                    (plan, Answer::Row(row)) => {
                        let shape = named.revised(&plan)?.table().shape.clone();
                        Source::One(row.map(|row| Row::new(shape, row.into())))
                    }
                    (_, answer) => unreachable!("a point read is answered with a row, not {answer:?}"),
                }
            }
            Lookup::Nothing => Source::One(None),
        };
        let shape = prepared.question.shape.clone();
        Ok(Rows { shape, source, table: named, stage: Stage::Reading(Box::new(evaluation)) })
    }

    /// The columns of the results.
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Whether a row is still one of the table that the question was prepared for.
    ///
    /// # Errors
    /// [`Error::Changed`].
    fn check(&self, row: &Row) -> Result<(), Error> {
        let shape = &self.table.table().shape;
        match Arc::ptr_eq(row.shape(), shape) || row.shape() == shape {
            true => Ok(()),
            false => Err(Error::Changed { flow: self.table.plan.name.clone(), ticket: None }),
        }
    }

    fn advance(&mut self) -> Result<Option<Row>, Error> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Reading(mut evaluation) => {
                    let row = if evaluation.wants_more() { self.source.next().transpose()? } else { None };
                    let Some(row) = row else {
                        self.stage = Stage::Giving(evaluation.finish()?);
                        continue;
                    };
                    self.check(&row)?;
                    let result = evaluation.push(row.bytes())?;
                    self.stage = Stage::Reading(evaluation);
                    if result.is_some() {
                        return Ok(result);
                    }
                }
                Stage::Giving(mut results) => {
                    let Some(row) = results.next().transpose()? else { return Ok(None) };
                    self.stage = Stage::Giving(results);
                    return Ok(Some(row));
                }
                Stage::Ended => return Ok(None),
            }
        }
    }
}

impl<L: Link> Iterator for Source<'_, L> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Source::Scan(scan) => scan.next(),
            Source::One(row) => row.take().map(Ok),
        }
    }
}

impl<L: Link> Iterator for Rows<'_, L> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

impl<L: Link> fmt::Debug for Rows<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("shape", &self.shape).finish_non_exhaustive()
    }
}
