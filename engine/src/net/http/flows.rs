//! Flows that are installed, replaced and dropped while the node runs.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::App;
use super::body::Incoming;
use super::problem::Problem;
use super::target::Target;
use crate::deploy::Before;
use crate::error::Error;
use crate::flow::Flow;
use crate::net::access::Operation;

/// `PUT /flows/{flow}`: its file.
pub(super) async fn put(app: App, target: Target, request: Request) -> Result<Response, Problem> {
    let name = target.flow.unwrap_or_default();
    app.gate.may_change(Operation::Deploy, &name)?;
    let body = Incoming::of(request, app.timeouts.body)?;
    let (body, _held) =
        body.whole(&app.gate, "a flow file has at most 4 MiB; part it into several flows").await?;
    let (gate, of) = (app.gate.clone(), name.clone());
    let deployed = tokio::task::spawn_blocking(move || {
        // What is wrong with a file is noted here, what comes of a right one by the gate.
        let flow = parsed(&of, body).inspect_err(|problem| {
            gate.unchanged(Operation::Deploy, &of, problem.message());
        })?;
        Ok::<_, Problem>(gate.deploy(flow)?)
    });
    let deployed = deployed.await.map_err(|_| Error::Stopped)??;
    let (status, changes) = match &deployed.before {
        Before::Nothing => (StatusCode::CREATED, json!([])),
        Before::Same => (StatusCode::OK, json!([])),
        Before::Older(evolution) => (StatusCode::OK, json!(evolution.changes)),
    };
    let told: Vec<Value> = deployed.flow.warnings().iter().map(|one| warning(&deployed.flow, one)).collect();
    let (flow, revision) = (deployed.flow.name(), deployed.flow.revision());
    let answer = json!({
        "flow": flow, "revision": revision, "changes": changes, "warnings": told, "breaks": deployed.breaks,
    });
    Ok(super::json(status, format!("{answer}\n")))
}

/// The flow of a file that is sent as `name`.
fn parsed(name: &str, body: Vec<u8>) -> Result<Flow, Problem> {
    let text = String::from_utf8(body)
        .map_err(|_| Problem::invalid("the flow file is not UTF-8", "save the file as UTF-8"))?;
    let flow = Flow::parse(&format!("{name}.flow"), &text)?;
    match flow.name() == name {
        true => Ok(flow),
        false => Err(Problem::invalid(
            format!("the file is of the flow `{}`, the path says `{name}`", flow.name()),
            format!("send it to `/flows/{}`", flow.name()),
        )),
    }
}

fn warning(flow: &Flow, warning: &anabranch_lang::Diagnostic) -> Value {
    anabranch_lang::to_json(&flow.plan().file, flow.text(), warning)
}

/// `DELETE /flows/{flow}`: with its rows.
pub(super) async fn delete(app: App, target: Target) -> Result<Response, Problem> {
    let name = target.flow.as_deref().unwrap_or_default();
    let flow = target.flow(&app.gate).inspect_err(|problem| {
        // A flow that the caller may not see is, to it, not there.
        match app.gate.caller().check(Operation::Drop, name) {
            Err(_) => drop(app.gate.may_change(Operation::Drop, name)),
            Ok(()) => app.gate.unchanged(Operation::Drop, name, problem.message()),
        }
    })?;
    let (gate, name) = (app.gate.clone(), flow.plan.name.clone());
    tokio::task::spawn_blocking(move || gate.drop_flow(&name)).await.map_err(|_| Error::Stopped)??;
    Ok(super::json(StatusCode::OK, format!("{}\n", json!({ "dropped": flow.plan.name }))))
}
