//! Questions over a table: `select ... from T ...`, answered with a row a line.

use std::sync::{Arc, Weak};
use std::vec::IntoIter;

use anabranch_model::message::{Answer, Body, Reads};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::App;
use super::body::Incoming;
use super::feed::{Feed, feed};
use super::problem::Problem;
use super::query::Query;
use super::tables::{Scan, told};
use super::target::Installed;
use crate::Plan;
use crate::error::Error;
use crate::net::access::Operation;
use crate::net::shares::Shares;
use crate::os;
use crate::query::{Evaluation, Lookup, Prepared, QueryError};
use crate::rows::Row;

/// Questions that are answered at the same time, at most: each may hold up to 256 MiB.
const QUESTIONS_MAX: usize = 8;

/// Bytes of results that are gathered before they are written.
const PIECE_BYTES: usize = 64 << 10;

/// Those of one caller, at most: who is slow to read its answers leaves room for others.
const QUESTIONS_PER_CALLER_MAX: usize = QUESTIONS_MAX / 2;

/// What to do with a question that is too large.
const QUESTION_TOO_LARGE: &str = "a question has at most 64 KiB; shorten it";

/// Room for questions.
#[derive(Clone)]
pub(super) struct Questions {
    room: Arc<Semaphore>,
    shares: Shares,
}

/// Room that a question has taken.
struct Room {
    _share: OwnedSemaphorePermit,
    _room: OwnedSemaphorePermit,
}

impl Default for Questions {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(QUESTIONS_MAX));
        Questions { room, shares: Shares::of_each(QUESTIONS_PER_CALLER_MAX) }
    }
}

impl Questions {
    /// Waits for room; none when there is none in time.
    async fn room(&self, app: &App) -> Option<Room> {
        let share = self.shares.of(app.gate.caller());
        let room = async {
            let _share = share.acquire_owned().await.ok()?;
            Some(Room { _share, _room: self.room.clone().acquire_owned().await.ok()? })
        };
        tokio::time::timeout(app.timeouts.ready, room).await.ok().flatten()
    }
}

/// `POST /query`: the question as text, or as `{"query": ...}`.
pub(super) async fn query(app: App, request: Request) -> Result<Response, Problem> {
    app.gate.caller().check_any(Operation::Read)?;
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_json = kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"application/json"));
    let reads = Query::parse(request.uri().query(), &["read"])?.reads()?;
    let (body, _held) =
        Incoming::of(request, app.timeouts.body)?.whole(&app.gate, QUESTION_TOO_LARGE).await?;
    let question = text(body, is_json)?;
    let Some(room) = app.questions.room(&app).await else {
        let help = "repeat the request in a moment";
        let message = format!(
            "as many questions are being answered as may be: {QUESTIONS_MAX}, of one caller {QUESTIONS_PER_CALLER_MAX}"
        );
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full", message, help));
    };
    let mut answering = Answering::begin(&app, &question, reads, room).await?;
    // What is wrong from the beginning still gets a status of its own.
    let first = answering.next().await?;
    let (feed, body) = feed();
    tokio::spawn(answering.run(first, feed));
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    Ok(told(([(header::CONTENT_TYPE, ndjson)], body).into_response(), reads))
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
    /// Who evaluates sees by it that nobody waits for the answer any more.
    asked: Arc<()>,
    _room: Room,
}

/// Where rows of the table come from.
enum Source {
    Pages(Box<Scan>),
    One(Option<Vec<u8>>),
    End,
}

enum Stage {
    /// Rows that are there are fed to the evaluation; then the next ones are read.
    Reading(Box<Evaluation>, IntoIter<Vec<u8>>),
    /// There are no more rows.
    Read(Box<Evaluation>),
    Giving(Results),
    Ended,
}

type Results = Box<dyn Iterator<Item = Result<Row, QueryError>> + Send>;

impl Answering {
    async fn begin(app: &App, question: &str, reads: Reads, room: Room) -> Result<Self, Problem> {
        let prepared = Prepared::new(question, &app.gate.flows())?;
        app.gate.caller().check(Operation::Read, &prepared.plan.name)?;
        let evaluation = Evaluation::new(&prepared, os::now_micros());
        let table = prepared.question.table;
        let source = match evaluation.lookup(prepared.table())? {
            Lookup::All => {
                let flow = Installed { id: prepared.flow, plan: prepared.plan.clone() };
                let gate = app.gate.clone();
                Source::Pages(Box::new(Scan { gate, flow, table, after: None, left: u64::MAX, reads }))
            }
            Lookup::Key { partition, key } => {
                let body = Body::Get { table, partition, key, reads };
                let (plan, answer) = app.gate.call(prepared.flow, &prepared.plan, body).await?;
                same(&plan, &prepared.plan)?;
                let Answer::Row(row) = answer else { unreachable!("a key is answered with its row") };
                Source::One(row)
            }
            Lookup::Nothing => Source::One(None),
        };
        let stage = Stage::Reading(Box::new(evaluation), Vec::new().into_iter());
        Ok(Answering { source, stage, asked: Arc::new(()), _room: room })
    }

    /// Writes results until there are no more, or the client is gone.
    async fn run(mut self, first: Option<String>, mut feed: Feed) {
        let mut piece = first;
        while let Some(text) = piece {
            if !text.is_empty() && !feed.send(text).await {
                return;
            }
            let next = tokio::select! {
                next = self.next() => next,
                () = feed.gone() => return,
            };
            match next {
                Ok(next) => piece = next,
                // The status is sent: a body that breaks off says that it is not whole.
                Err(_) => return feed.fail().await,
            }
        }
    }

    /// The next results, a line each; none at the end.
    async fn next(&mut self) -> Result<Option<String>, Problem> {
        loop {
            let mut stage = std::mem::replace(&mut self.stage, Stage::Ended);
            if let Stage::Ended = stage {
                return Ok(None);
            }
            if let Stage::Reading(evaluation, rows) = stage {
                stage = self.fed(evaluation, rows).await?;
            }
            // A page of rows may take long to evaluate, a million to order: others are answered meanwhile.
            let asked = Arc::downgrade(&self.asked);
            let worked = tokio::task::spawn_blocking(move || work(stage, &asked)).await;
            let (stage, text) = worked.map_err(|_| Error::Stopped)??;
            self.stage = stage;
            if !text.is_empty() {
                return Ok(Some(text));
            }
        }
    }

    /// The evaluation with rows to be fed, if there are more.
    async fn fed(&mut self, evaluation: Box<Evaluation>, rows: IntoIter<Vec<u8>>) -> Result<Stage, Error> {
        if !evaluation.wants_more() {
            return Ok(Stage::Read(evaluation));
        }
        if rows.len() > 0 {
            return Ok(Stage::Reading(evaluation, rows));
        }
        let rows = self.source.rows().await?;
        Ok(match rows.is_empty() {
            true => Stage::Read(evaluation),
            false => Stage::Reading(evaluation, rows.into_iter()),
        })
    }
}

/// Does what a stage has to do, up to a piece of results; the stage behind it, and the results. Ends early when nobody
/// waits for them any more.
fn work(stage: Stage, asked: &Weak<()>) -> Result<(Stage, String), QueryError> {
    let mut text = String::new();
    let more = |text: &String| text.len() < PIECE_BYTES && asked.strong_count() > 0;
    let write = |text: &mut String, row: Row| {
        text.push_str(&row.to_json_text());
        text.push('\n');
    };
    match stage {
        Stage::Reading(mut evaluation, mut rows) => {
            while evaluation.wants_more() && more(&text) {
                let Some(row) = rows.next() else { break };
                if let Some(result) = evaluation.push(&row)? {
                    write(&mut text, result);
                }
            }
            Ok((Stage::Reading(evaluation, rows), text))
        }
        Stage::Read(evaluation) => Ok((Stage::Giving(Box::new(evaluation.finish()?)), text)),
        Stage::Giving(mut results) => {
            while more(&text) {
                let Some(row) = results.next() else { return Ok((Stage::Ended, text)) };
                write(&mut text, row?);
            }
            Ok((Stage::Giving(results), text))
        }
        Stage::Ended => Ok((Stage::Ended, text)),
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
