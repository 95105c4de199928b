//! The HTTP interface: JSON over HTTP/1.1 and HTTP/2.

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::message::{Answer, Body};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::gate::Gate;
use crate::error::Error;
use crate::rows;

/// The routes.
pub(crate) fn router(gate: Gate) -> Router {
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/flows/{flow}/ask/{input}", post(ask))
        .with_state(gate)
}

/// Sends one row and gives what rules replied to it.
async fn ask(
    State(gate): State<Gate>,
    Path((flow, input)): Path<(String, String)>,
    body: String,
) -> Result<Response, Problem> {
    let named = gate.core.catalog().input(&format!("{flow}.{input}"))?;
    let row: Value =
        serde_json::from_str(&body).map_err(|error| Problem(StatusCode::BAD_REQUEST, error.to_string()))?;
    let stream = &named.plan.inputs[named.id.0 as usize];
    let mut batch = Batch::new(SchemaId(named.id.0.into()));
    rows::push(&mut batch, &stream.shape, &row).map_err(Error::from)?;
    let answer = gate.call(named.flow, Body::Rows { input: named.id, batch }).await?;
    let Answer::Rows(answer) = answer else { unreachable!("rows are answered with what became of them") };
    let answer = crate::answer::Answer::of(answer, &named.plan);
    let replies: Vec<Value> =
        answer.replies.iter().map(|reply| json!({ "stream": reply.stream, "row": reply.row })).collect();
    let text = json!({ "replies": replies }).to_string();
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// What is wrong with a request.
struct Problem(StatusCode, String);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Unknown { .. } | Error::Ambiguous { .. } => StatusCode::NOT_FOUND,
            Error::Stopped | Error::Full => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Problem(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = json!({ "code": "invalid", "message": self.1 }).to_string();
        (self.0, [(header::CONTENT_TYPE, "application/json")], text).into_response()
    }
}
