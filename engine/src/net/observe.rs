//! What is seen of every request that comes over the network: how many there are of a route, how they end, and to which
//! trace they belong.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request as RoutedRequest};
use axum::middleware::Next;
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

tokio::task_local! {
    static TRACE: Option<Trace>;
}

/// The trace of the request that the present task answers.
pub(crate) fn trace() -> Option<Trace> {
    TRACE.try_with(|trace| *trace).ok().flatten()
}

/// Answers a request by `answer`, within the trace that it names, and counts it.
pub(crate) async fn observed<B, F: Future<Output = Response<Body>>>(
    traffic: &Traffic,
    speaks: Speaks,
    request: Request<B>,
    answer: impl FnOnce(Request<B>) -> F,
) -> Response<Body> {
    let began = os::now();
    let (method, path) = (traffic::method(request.method()), request.uri().path().to_owned());
    let trace = named(request.headers()).map(|trace| trace.child(os::seed()));
    let mut response = TRACE.scope(trace, answer(request)).await;
    if let Some(span) = trace.and_then(|trace| HeaderValue::try_from(trace.to_string()).ok()) {
        response.headers_mut().insert(TRACERESPONSE.clone(), span);
    }
    count(traffic, speaks, method, &path, &response, os::now().duration_since(began));
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

fn count(
    traffic: &Traffic,
    speaks: Speaks,
    method: &'static str,
    path: &str,
    response: &Response<Body>,
    took: Duration,
) {
    match speaks {
        Speaks::Http => {
            let matched = response.extensions().get::<MatchedPath>();
            let route = matched.map_or(OTHER, MatchedPath::as_str);
            traffic.of(speaks).answered(route, method, response.status().as_u16(), took);
        }
        Speaks::Grpc => {
            let code = grpc_code(response);
            let protocol = traffic.of(speaks);
            let is_method = began_well(response, code) || protocol.knows(path);
            let route = if is_method { path } else { OTHER };
            protocol.answered(route, "", code as u16, took);
        }
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

/// Leaves the pattern of the route that matched where [`observed`] finds it.
pub(crate) async fn matched(request: RoutedRequest, next: Next) -> Response<Body> {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}
