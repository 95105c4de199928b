//! What is seen of every request that comes over the network: how many there are of a route, how they end, and to which
//! trace they belong.

use std::cell::OnceCell;

use axum::body::Body;
use axum::extract::MatchedPath;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tonic::Code;

use super::connection::Speaks;
use super::traffic::{self, OTHER, Traffic};
use crate::os;
use crate::trace::Trace;

/// The header that says to which trace a request belongs (W3C trace context).
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header that says in an answer within which span of the trace the request was done.
static TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// What is known of a request while it is answered.
struct Seen {
    trace: Option<Trace>,
    route: OnceCell<MatchedPath>,
}

tokio::task_local! {
    static SEEN: Seen;
}

/// The trace of the request that the present task answers.
pub(crate) fn trace() -> Option<Trace> {
    SEEN.try_with(|seen| seen.trace).ok().flatten()
}

/// Notes the pattern of the route by which the present task answers.
pub(crate) fn matched(route: &MatchedPath) {
    // Outside of a request nobody counts routes; the first that a request matched is its route.
    let _ = SEEN.try_with(|seen| seen.route.set(route.clone()));
}

/// Answers a request by `answer`, within the trace that it names, and counts it.
pub(crate) async fn observed<B, F: Future<Output = Response<Body>>>(
    traffic: &Traffic,
    speaks: Speaks,
    request: Request<B>,
    answer: impl FnOnce(Request<B>) -> F,
) -> Response<Body> {
    let began = os::now();
    let method = traffic::method(request.method());
    // Over HTTP the pattern of the route stands for it.
    let path = (speaks == Speaks::Grpc).then(|| request.uri().path().to_owned());
    let trace = named(request.headers()).map(|trace| trace.child(os::seed()));
    let mut answering = std::pin::pin!(SEEN.scope(Seen { trace, route: OnceCell::new() }, answer(request)));
    let mut response = answering.as_mut().await;
    let matched = answering.take_value().and_then(|seen| seen.route.into_inner());
    if let Some(span) = trace.and_then(|trace| HeaderValue::try_from(trace.to_string()).ok()) {
        response.headers_mut().insert(TRACERESPONSE.clone(), span);
    }
    let took = os::now().duration_since(began);
    let protocol = traffic.of(speaks);
    match &path {
        None => {
            let route = matched.as_ref().map_or(OTHER, MatchedPath::as_str);
            protocol.answered(route, method, response.status().as_u16(), took);
        }
        Some(path) => {
            let code = grpc_code(&response);
            let is_method = began_well(&response, code) || protocol.knows(path);
            let route = if is_method { path } else { OTHER };
            protocol.answered(route, "", code as u16, took);
        }
    }
    response
}

/// The trace that a request names; of several none is right.
fn named(headers: &HeaderMap) -> Option<Trace> {
    let mut all = headers.get_all(&TRACEPARENT).iter();
    match (all.next(), all.next()) {
        (Some(only), None) => Trace::parse(only.to_str().ok()?),
        _ => None,
    }
}

/// Whether a call was answered, so that its path is surely that of a method.
fn began_well(response: &Response<Body>, code: Code) -> bool {
    response.status().is_success() && code == Code::Ok
}

/// The status of a call that ended before its answer began; others have begun well.
fn grpc_code(response: &Response<Body>) -> Code {
    let status = response.headers().get("grpc-status");
    status.map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
}
