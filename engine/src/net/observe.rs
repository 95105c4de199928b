//! What is seen of every request that comes over the network: how many there are of a route, and how they end.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request as RoutedRequest};
use axum::middleware::Next;
use http::{Request, Response};
use tonic::Code;

use super::connection::Speaks;
use super::traffic::{self, OTHER, Traffic};
use crate::os;

/// Answers a request by `answer`, and counts it.
pub(crate) async fn observed<B, F: Future<Output = Response<Body>>>(
    traffic: &Traffic,
    speaks: Speaks,
    request: Request<B>,
    answer: impl FnOnce(Request<B>) -> F,
) -> Response<Body> {
    let began = os::now();
    let (method, path) = (traffic::method(request.method()), request.uri().path().to_owned());
    let response = answer(request).await;
    count(traffic, speaks, method, &path, &response, os::now().duration_since(began));
    response
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
            let route = if known(response, code) { path } else { OTHER };
            traffic.of(speaks).answered(route, "", code as u16, took);
        }
    }
}

/// Whether the path of a request is that of a method: what has none is told so.
fn known(response: &Response<Body>, code: Code) -> bool {
    response.status().is_success() && code != Code::Unimplemented
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
