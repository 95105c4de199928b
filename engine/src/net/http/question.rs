//! Questions over a table: `select ... from T ...`, answered with a row a line.

use std::sync::Arc;

use anabranch_model::message::{Answer, Body};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::body::Incoming;
use super::feed::{Feed, feed};
use super::problem::Problem;
use super::tables::Scan;
use super::target::Installed;
use crate::Plan;
use crate::error::Error;
use crate::os;
use crate::query::{Evaluation, Lookup, Prepared, QueryError};
use crate::rows::Row;

/// Questions that are answered at the same time, at most: each may hold up to 256 MiB.
const QUESTIONS_MAX: usize = 8;

/// Bytes of results that are gathered before they are written.
const PIECE_BYTES: usize = 64 << 10;

/// Room for questions.
#[derive(Clone)]
pub(super) struct Questions(Arc<Semaphore>);

impl Default for Questions {
    fn default() -> Self {
        Questions(Arc::new(Semaphore::new(QUESTIONS_MAX)))
    }
}

/// `POST /query`: the question as text, or as `{"query": ...}`.
pub(super) async fn query(app: App, request: Request) -> Result<Response, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_json = kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"application/json"));
    let (body, _held) = Incoming::new(request.into_body(), app.timeouts.body).whole(&app.gate).await?;
    let question = text(body, is_json)?;
    let room = tokio::time::timeout(app.timeouts.ready, app.questions.0.clone().acquire_owned()).await;
    let Ok(Ok(room)) = room else {
        let help = "repeat the request in a moment";
        let message = format!("{QUESTIONS_MAX} questions are being answered, which is the limit");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full", message, help));
    };
    let mut answering = Answering::begin(&app, &question, room).await?;
    // What is wrong from the beginning still gets a status of its own.
    let first = answering.next().await?;
    let (feed, body) = feed();
    tokio::spawn(answering.run(first, feed));
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, ndjson)], body).into_response())
}

fn text(body: Vec<u8>, is_json: bool) -> Result<String, Problem> {
    if !is_json {
        let text = String::from_utf8(body);
        return text.map_err(|_| Problem::invalid("the question is not UTF-8", "encode it as UTF-8"));
    }
    let help = "send {\"query\": \"select ...\"}, or the question itself as text/plain";
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::invalid(format!("the body is no JSON: {error}"), help))?;
    let found = body.get("query").and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| Problem::invalid("the object has no text `query`", help))
}

/// A question that is being answered.
struct Answering {
    source: Source,
    stage: Stage,
    _room: OwnedSemaphorePermit,
}

/// Where rows of the table come from.
enum Source {
    Pages(Box<Scan>),
    One(Option<Vec<u8>>),
    End,
}

enum Stage {
    Reading(Box<Evaluation>),
    Giving(Box<dyn Iterator<Item = Result<Row, QueryError>> + Send>),
    Ended,
}

impl Answering {
    async fn begin(app: &App, question: &str, room: OwnedSemaphorePermit) -> Result<Self, Problem> {
        let prepared = Prepared::new(question, &app.gate.flows())?;
        let evaluation = Evaluation::new(&prepared, os::now_micros());
        let table = prepared.question.table;
        let source = match evaluation.lookup(prepared.table())? {
            Lookup::All => {
                let flow = Installed { id: prepared.flow, plan: prepared.plan.clone() };
                let gate = app.gate.clone();
                Source::Pages(Box::new(Scan { gate, flow, table, after: None, left: u64::MAX }))
            }
            Lookup::Key { partition, key } => {
                let body = Body::Get { table, partition, key };
                let (plan, answer) = app.gate.call(prepared.flow, &prepared.plan, body).await?;
                same(&plan, &prepared.plan)?;
                let Answer::Row(row) = answer else { unreachable!("a key is answered with its row") };
                Source::One(row)
            }
            Lookup::Nothing => Source::One(None),
        };
        Ok(Answering { source, stage: Stage::Reading(Box::new(evaluation)), _room: room })
    }

    /// Writes results until there are no more, or the client is gone.
    async fn run(mut self, first: Option<String>, mut feed: Feed) {
        let mut piece = first;
        while let Some(text) = piece {
            if !text.is_empty() && !feed.send(text).await {
                return;
            }
            match self.next().await {
                Ok(next) => piece = next,
                // The status is sent: a body that breaks off says that it is not whole.
                Err(_) => return feed.fail().await,
            }
        }
    }

    /// The next results, a line each; none at the end.
    async fn next(&mut self) -> Result<Option<String>, Problem> {
        let mut text = String::new();
        loop {
            match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Reading(evaluation) => {
                    self.read(evaluation, &mut text).await?;
                    if !text.is_empty() {
                        return Ok(Some(text));
                    }
                }
                Stage::Giving(mut results) => {
                    // Sorting and grouping gave them; packing and writing a piece is short.
                    for row in results.by_ref() {
                        text.push_str(&row?.to_json_text());
                        text.push('\n');
                        if text.len() >= PIECE_BYTES {
                            self.stage = Stage::Giving(results);
                            return Ok(Some(text));
                        }
                    }
                }
                Stage::Ended => return Ok((!text.is_empty()).then_some(text)),
            }
        }
    }

    /// Feeds the next rows of the table to the evaluation.
    async fn read(&mut self, mut evaluation: Box<Evaluation>, text: &mut String) -> Result<(), Problem> {
        let rows = if evaluation.wants_more() { self.source.rows().await? } else { Vec::new() };
        if rows.is_empty() {
            // To order a million rows takes a while.
            let results = tokio::task::block_in_place(|| evaluation.finish())?;
            self.stage = Stage::Giving(Box::new(results));
            return Ok(());
        }
        for row in rows {
            if !evaluation.wants_more() {
                break;
            }
            if let Some(result) = evaluation.push(&row)? {
                text.push_str(&result.to_json_text());
                text.push('\n');
            }
        }
        self.stage = Stage::Reading(evaluation);
        Ok(())
    }
}

/// A question is asked of one revision: rows of another have other columns.
fn same(asked: &Arc<Plan>, answered: &Arc<Plan>) -> Result<(), Error> {
    match Arc::ptr_eq(asked, answered) {
        true => Ok(()),
        false => Err(Error::Changed { flow: asked.name.clone(), ticket: None }),
    }
}

impl Source {
    /// The next rows of the table; none at its end.
    async fn rows(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        match std::mem::replace(self, Source::End) {
            Source::Pages(mut scan) => {
                let plan = scan.flow.plan.clone();
                let page = scan.page().await?;
                same(&plan, &scan.flow.plan)?;
                if page.more {
                    *self = Source::Pages(scan);
                }
                Ok(page.rows.into_iter().map(|(_, row)| row).collect())
            }
            Source::One(row) => Ok(row.into_iter().collect()),
            Source::End => Ok(Vec::new()),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Wrong(wrong) => {
                let message = wrong.diagnostics.first().map_or("it is no question", |first| &first.message);
                let help = wrong.diagnostics.iter().find_map(|diagnostic| diagnostic.help.clone());
                let problem = Problem::invalid(message, help.unwrap_or_else(|| "see `diagnostics`".into()));
                problem.with("diagnostics", super::problem::diagnostics(&wrong))
            }
            QueryError::Failed { code, text, place } => {
                let place = json!({ "line": place.line, "column": place.column });
                let problem = Problem::invalid(
                    format!("{code}: {text}"),
                    format!("`anabranch explain {code}` tells more; leave such rows out with `where`"),
                );
                problem.with("place", place)
            }
            QueryError::TooMuch { .. } => Problem::too_large(error.to_string(), "narrow the question"),
        }
    }
}
