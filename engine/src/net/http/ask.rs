//! One row sent, and what rules replied to it.

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::json::write_string;
use anabranch_model::message::{Answer, Body, RowsAnswer};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;

use super::App;
use super::body::{Format, Incoming};
use super::intake::objects;
use super::key;
use super::problem::Problem;
use super::target::Target;
use crate::Plan;
use crate::answer::Refused;
use crate::rows;

/// `POST /flows/{flow}/ask/{input}`.
pub(super) async fn ask(app: App, target: Target, request: Request) -> Result<Response, Problem> {
    let flow = target.flow(&app.gate)?;
    let input = flow.asked(&target.name)?;
    app.gate.check_rows(flow.id, &flow.plan, input)?;
    Format::of(request.headers())?;
    let key = key::of(request.headers(), app.gate.core.time())?;
    let body = Incoming::of(request, app.timeouts.body)?;
    let (body, held) =
        body.whole(&app.gate, "one row is asked with; leave out what it does not need").await?;
    let objects = objects(&body)?;
    let [object] = objects.as_slice() else {
        return Err(Problem::invalid(
            format!("one row is asked with, the body has {}", objects.len()),
            "ask once for every row, or send rows without replies to `streams/`",
        ));
    };
    let mut batch = Batch::new(SchemaId(input.0.into()));
    rows::push_json_text(&mut batch, &flow.plan.inputs[input.0 as usize].shape, object.get())?;
    drop((body, held));
    let body = Body::Rows { input, batch };
    let (plan, answer) = app.gate.call_once(flow.id, &flow.plan, body, key).await?;
    let Answer::Rows(mut answer) = answer else { unreachable!("rows are answered with what became of them") };
    match answer.refusals.pop() {
        Some(refusal) => Err(Problem::refused(&Refused::of(refusal, &plan))),
        None => Ok(super::json(StatusCode::OK, replies(&answer, &plan))),
    }
}

/// `{"replies":[{"stream","row"}...]}`.
fn replies(answer: &RowsAnswer, plan: &Plan) -> String {
    let mut text = String::with_capacity(64 + 2 * answer.replies.row_bytes());
    text.push_str("{\"replies\":[");
    for (at, (_, output, bytes)) in answer.replies.iter().enumerate() {
        let stream = &plan.outputs[output.0 as usize];
        text.push_str(if at == 0 { "{\"stream\":" } else { ",{\"stream\":" });
        write_string(&stream.name, &mut text);
        text.push_str(",\"row\":");
        rows::write_json(&stream.shape, bytes, &mut text);
        text.push('}');
    }
    text.push_str("]}\n");
    text
}
