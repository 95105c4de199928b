//! What is wrong with a request, as its answer: a status, and `{"code","message","help"}`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::answer::Refused;
use crate::error::{Error, FlowError};
use crate::rows::RowProblem;
use crate::storage_error::StorageError;
use crate::{Plan, RefusalCode};

/// Seconds after which a request that found the node full may be repeated.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request was not carried out, or not to its end.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    code: String,
    message: String,
    help: String,
    /// Members beside `code`, `message` and `help`.
    more: Map<String, Value>,
    /// The methods that there are instead.
    allow: Option<&'static str>,
}

impl Problem {
    /// A problem with a word for programs, what is wrong, and what to do.
    pub(crate) fn new(
        status: StatusCode,
        code: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (code, message, help) = (code.to_owned(), message.into(), help.into());
        Problem(Box::new(Parts { status, code, message, help, more: Map::new(), allow: None }))
    }

    /// A request that is wrong in itself.
    pub(crate) fn invalid(message: impl Into<String>, help: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "invalid", message, help)
    }

    /// A name that nothing has.
    pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> Self {
        let listed = format!("`{}`", known.join("`, `"));
        let help = match anabranch_lang::suggest::closest(name, known.iter().copied()) {
            _ if known.is_empty() => format!("the node has no {what}"),
            Some(near) => format!("did you mean `{near}`? There is {listed}"),
            None => format!("there is {listed}"),
        };
        Problem::new(StatusCode::NOT_FOUND, "unknown", format!("there is no {what} `{name}`"), help)
    }

    /// A method that a path does not have.
    pub(crate) fn method(message: impl Into<String>, allow: &'static str) -> Self {
        let help = format!("use {allow}");
        let mut problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message, help);
        problem.0.allow = Some(allow);
        problem
    }

    /// More than the node takes.
    pub(crate) fn too_large(message: impl Into<String>, help: impl Into<String>) -> Self {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message, help)
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The same problem with a member more.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.0.more.insert(name.to_owned(), value);
        self
    }

    /// The same problem, said of a place.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.0.message = format!("{place}: {}", self.0.message);
        self
    }

    /// A row that the one request consisted of was refused.
    pub(crate) fn refused(refused: &Refused) -> Self {
        let (status, help) = match refused.code {
            RefusalCode::Invalid => {
                (StatusCode::BAD_REQUEST, "correct the row; repeated as it is it is refused again")
            }
            RefusalCode::NotFound => {
                (StatusCode::NOT_FOUND, "what the row needs is not there; create it first")
            }
            RefusalCode::Conflict => (StatusCode::CONFLICT, "read what is there, then decide"),
            RefusalCode::Denied => (StatusCode::FORBIDDEN, "the flow's rules do not allow it"),
            RefusalCode::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "repeat it later"),
            RefusalCode::Unknown => {
                (StatusCode::CONFLICT, "read what is there, then send what is missing with a new key")
            }
        };
        let problem = Problem::new(status, refused.code.name(), &refused.text, help);
        problem.with("place", place(refused))
    }
}

/// Where in its flow file a row was refused: `{"file","line","column"}`, or null.
fn place(refused: &Refused) -> Value {
    refused.place.as_ref().map_or(
        Value::Null,
        |(file, place)| json!({ "file": file, "line": place.line, "column": place.column }),
    )
}

/// A refused row among others: `{"row","code","message","place"}`; `row` counts from 0.
pub(crate) fn refusal(row: u64, refusal: anabranch_model::message::Refusal, plan: &Plan) -> Value {
    let refused = Refused::of(refusal, plan);
    let place = place(&refused);
    json!({ "row": row, "code": refused.code.name(), "message": refused.text, "place": place })
}

/// The members of a refused row that say why: `code`, `message` and `place`, as JSON.
pub(crate) fn why(refused: &Refused) -> Value {
    json!({ "code": refused.code.name(), "message": refused.text, "place": place(refused) })
}

/// All that is wrong with a text, each as `{"code","severity","message","help","labels"}`.
pub(crate) fn diagnostics(wrong: &FlowError) -> Value {
    let told = |one| anabranch_lang::render::to_json(&wrong.file, &wrong.text, one);
    wrong.diagnostics.iter().map(told).collect()
}

impl From<RowProblem> for Problem {
    fn from(problem: RowProblem) -> Self {
        let help = problem.help.clone().unwrap_or_else(|| "correct the row and send it again".to_owned());
        let column = problem.column.clone();
        let message = match &column {
            Some(column) => format!("column `{column}`: {}", problem.message),
            None => problem.message,
        };
        let told = Problem::invalid(message, help);
        match column {
            Some(column) => told.with("column", column.into()),
            None => told,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unknown { what, name, known } => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                Problem::unknown(what, &name, &known)
            }
            Error::Row(problem) => problem.into(),
            Error::Query(error) => error.into(),
            Error::Refused(refused) => Problem::refused(&refused),
            Error::Key { .. } => Problem::invalid(
                error.to_string(),
                "write the values of the key columns in their order, a slash within one as %2F",
            ),
            Error::Flow(wrong) => {
                let text = match wrong.diagnostics.len() {
                    1 => "the flow file has a mistake".to_owned(),
                    mistakes => format!("the flow file has {mistakes} mistakes"),
                };
                let help = "correct what `diagnostics` tells; `anabranch check` shows it with its lines";
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_flow", text, help)
                    .with("diagnostics", diagnostics(&wrong))
            }
            Error::Evolution(ref evolution) => {
                let help =
                    "correct what `changes` refuses, or give the flow another name; nothing has changed";
                Problem::new(StatusCode::CONFLICT, "refused", first_line(&error.to_string()), help)
                    .with("changes", json!(evolution.changes))
            }
            Error::SameService { .. } => Problem::new(
                StatusCode::CONFLICT,
                "same_service",
                error.to_string(),
                "give the flow a name that differs by more than signs",
            ),
            Error::TooManyFlows => Problem::new(
                StatusCode::CONFLICT,
                "too_many",
                error.to_string(),
                "drop a flow: `DELETE /flows/NAME`",
            ),
            Error::Gone { .. } => {
                Problem::new(StatusCode::GONE, "gone", error.to_string(), "see `/flows` for those that run")
            }
            Error::Changed { .. } => {
                Problem::new(StatusCode::CONFLICT, "changed", error.to_string(), "repeat the request")
            }
            Error::Full => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "full",
                "the node holds as many unanswered bytes as it may",
                "repeat the request in a moment",
            ),
            Error::Storage(ref why) => {
                let (status, help) = match why {
                    StorageError::Halted(_) => {
                        (StatusCode::INSUFFICIENT_STORAGE, "make space on the node's disk, and send it again")
                    }
                    StorageError::Broken(_) | StorageError::Lost(_) => (
                        StatusCode::SERVICE_UNAVAILABLE,
                        "see the node's log and its disk; it has to be started again",
                    ),
                    StorageError::Unsafe(_) => (
                        StatusCode::SERVICE_UNAVAILABLE,
                        "see the node's log and its disk; `read=stale` does not wait for it",
                    ),
                };
                Problem::new(status, why.code(), error.to_string(), help)
            }
            Error::Stopped => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopped",
                "the node is stopping",
                "repeat the request when it runs again; this one may or may not have taken effect",
            ),
            Error::Denied(why) => Problem::new(
                StatusCode::FORBIDDEN,
                "denied",
                why,
                "ask whoever runs the node for a token with this scope",
            ),
            Error::Problem { code, text } if code == "full" => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full", text, "repeat the request in a moment")
            }
            Error::TooLarge { .. } => Problem::too_large(error.to_string(), "send it in pieces"),
            other => Problem::invalid(other.to_string(), "see the message"),
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let parts = *self.0;
        let mut body = json!({ "code": parts.code, "message": parts.message, "help": parts.help });
        if let Some(object) = body.as_object_mut() {
            object.extend(parts.more);
        }
        let mut response = super::json(parts.status, format!("{body}\n"));
        let headers = response.headers_mut();
        if parts.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Some(allow) = parts.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}
