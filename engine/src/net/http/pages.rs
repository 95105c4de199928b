//! What a node says of itself.

use anabranch_model::plan::Stream;
use anabranch_wire::openapi::openapi as wire_openapi;
use anabranch_wire::typed::FlowApi;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::App;
use super::problem::Problem;
use super::target::Target;
use crate::Plan;
use crate::error::Error;
use crate::net::metrics;

/// Where to look for what there is.
pub(super) const HELP: &str =
    "`GET /` tells what there is, `GET /flows` which flows with their streams and tables";

/// `GET /`.
pub(super) fn overview() -> &'static str {
    include_str!("overview.txt")
}

/// `GET /live`: the process runs.
pub(super) fn live() -> &'static str {
    "live\n"
}

/// `GET /ready`: every worker answers.
pub(super) async fn ready(app: App) -> Result<Response, Problem> {
    let core = app.gate.core.clone();
    let answered = tokio::task::spawn_blocking(move || core.answers());
    match tokio::time::timeout(app.timeouts.ready, answered).await {
        Ok(Ok(true)) => Ok(super::json(StatusCode::OK, "{\"ready\":true}\n".to_owned())),
        Ok(_) => Err(Error::Stopped.into()),
        Err(_) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "a worker did not answer in time",
            "send requests elsewhere until it does",
        )),
    }
}

/// `GET /status`.
pub(super) async fn status(app: App) -> Result<Response, Problem> {
    app.gate.may_look()?;
    let core = app.gate.core.clone();
    let status = tokio::task::spawn_blocking(move || core.status()).await.map_err(|_| Error::Stopped)?;
    let mut status = json!(status);
    if let Some(object) = status.as_object_mut() {
        object.insert("unanswered_bytes".to_owned(), app.gate.core.load().bytes().into());
        object.insert("connections".to_owned(), app.gate.connections().into());
        object.insert("subscriptions".to_owned(), app.gate.subscriptions.len().into());
    }
    Ok(super::json(StatusCode::OK, format!("{status}\n")))
}

/// `GET /zone`.
pub(super) async fn zone(app: App) -> Result<Response, Problem> {
    app.gate.may_look()?;
    let core = app.gate.core.clone();
    let status = tokio::task::spawn_blocking(move || core.zone().status());
    match status.await.map_err(|_| Error::Stopped)? {
        Some(status) => Ok(super::json(StatusCode::OK, format!("{}\n", json!(status)))),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "the node is in no zone",
            "it is a node alone; `anabranch run --zone NAME` makes one of a zone",
        )),
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(app: App) -> Result<Response, Problem> {
    app.gate.may_look()?;
    Ok(metrics::answer(app.gate).await)
}

/// `GET /flows`.
pub(super) async fn flows(app: App) -> Response {
    let flows: Vec<Value> = app.gate.flows().iter().map(|(_, plan)| described(plan)).collect();
    super::json(StatusCode::OK, format!("{}\n", json!({ "flows": flows })))
}

/// `GET /openapi.json`: the interface of all flows.
pub(super) async fn openapi(app: App) -> Response {
    let flows = app.gate.flows();
    let plans: Vec<&Plan> = flows.iter().map(|(_, plan)| &**plan).collect();
    described_for(&app, wire_openapi(&plans))
}

/// A document, which says that a token is to be sent where the node asks for one.
fn described_for(app: &App, mut document: Value) -> Response {
    if app.gate.caller().has_token() {
        document["components"]["securitySchemes"] =
            json!({ "token": { "type": "http", "scheme": "bearer" } });
        document["security"] = json!([{ "token": [] }]);
        for open in ["/live", "/ready"] {
            if let Some(get) = document["paths"].get_mut(open).and_then(|path| path.get_mut("get")) {
                get["security"] = json!([]);
            }
        }
    }
    super::json(StatusCode::OK, format!("{document}\n"))
}

/// `GET /flows/{flow}/openapi.json`.
pub(super) async fn flow_openapi(app: App, target: Target) -> Result<Response, Problem> {
    let flow = target.flow(&app.gate)?;
    Ok(described_for(&app, wire_openapi(&[&flow.plan])))
}

fn described(plan: &Plan) -> Value {
    let streams = |streams: &[Stream]| streams.iter().map(|stream| stream.name.clone()).collect::<Vec<_>>();
    let tables: Vec<&str> = plan.tables.iter().map(|table| table.name.as_str()).collect();
    json!({
        "flow": plan.name,
        "revision": plan.revision,
        "inputs": streams(&plan.inputs),
        "outputs": streams(&plan.outputs),
        "tables": tables,
    })
}

/// `GET /flows/{flow}/proto`: its typed service.
pub(super) async fn proto(app: App, target: Target) -> Result<Response, Problem> {
    let flow = target.flow(&app.gate)?;
    Ok(plain(FlowApi::new(flow.plan).text().to_owned()))
}

/// `GET /flows/{flow}`: its file.
pub(super) async fn flow(app: App, target: Target) -> Result<Response, Problem> {
    let flow = target.flow(&app.gate)?;
    Ok(plain(flow.plan.text.to_string()))
}

fn plain(text: String) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
