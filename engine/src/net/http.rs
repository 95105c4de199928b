//! The HTTP interface: JSON over HTTP/1.1 and HTTP/2. `engine/HTTP.md` has the routes and their answers.
//!
//! Every error is `{"code","message","help"}` with the status that fits, those of paths and methods that are not there,
//! too. Bodies are read in pieces and answers written page by page, so that no request holds more than a few batches;
//! what it holds counts for the node (`load`). Nothing here waits for a worker other than by `await`.

mod ask;
mod body;
mod events;
mod feed;
mod flows;
mod intake;
mod key;
mod pages;
mod problem;
mod query;
mod question;
mod tables;
mod target;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tower::ServiceExt;

use self::body::Lingering;
pub(crate) use self::problem::Problem;
use self::query::Query;
use self::question::Questions;
use super::access::Caller;
use super::gate::Gate;
use super::observe;
use super::server::Timeouts;

/// Bytes of the path and query of an address, at most: the longest key with every byte as `%XX`, and names.
const ADDRESS_BYTES_MAX: usize = 16 << 10;

/// The ends of the routes whose handlers read parameters: those of reads.
const WITH_PARAMETERS: [&str; 4] =
    ["/tables/{table}", "/tables/{table}/", "/tables/{table}/{*key}", "/query"];

/// What handlers share, with the gate for who sent the request: they take it as their argument (`app: App`), because
/// the gate in the router's state lets nobody through.
#[derive(Clone)]
pub(crate) struct App {
    gate: Gate,
    timeouts: Timeouts,
    questions: Questions,
}

impl FromRequestParts<App> for App {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<App, Problem> {
        let route = parts.extensions.get::<MatchedPath>();
        if let Some(route) = route {
            observe::matched(route);
        }
        let ends = |route: &MatchedPath| WITH_PARAMETERS.iter().any(|end| route.as_str().ends_with(end));
        if !route.is_some_and(ends) {
            Query::parse(parts.uri.query(), &[])?;
        }
        let caller = parts.extensions.remove::<Caller>().unwrap_or(Caller::NOBODY);
        let App { timeouts, questions, .. } = app;
        Ok(App { gate: app.gate.open(caller), timeouts: *timeouts, questions: questions.clone() })
    }
}

/// The routes.
pub(crate) fn router(gate: Gate, timeouts: Timeouts) -> Router {
    let stream = || post(intake::send).get(events::subscribe);
    let below = |router: Router<App>, flow: &str| {
        router
            .route(&format!("{flow}/streams/{{stream}}"), stream())
            .route(&format!("{flow}/ask/{{input}}"), post(ask::ask))
            .route(&format!("{flow}/tables/{{table}}"), get(tables::list))
            .route(&format!("{flow}/tables/{{table}}/"), get(tables::row))
            .route(&format!("{flow}/tables/{{table}}/{{*key}}"), get(tables::row))
    };
    let router = Router::new()
        .route("/", page(pages::overview))
        .route("/live", page(pages::live))
        .route("/ready", get(pages::ready))
        .route("/status", get(pages::status))
        .route("/zone", get(pages::zone))
        .route("/metrics", get(pages::metrics))
        .route("/flows", get(pages::flows))
        .route("/query", post(question::query))
        .route("/openapi.json", get(pages::openapi))
        .route("/flows/{flow}", get(pages::flow).put(flows::put).delete(flows::delete))
        .route("/flows/{flow}/openapi.json", get(pages::flow_openapi))
        .route("/flows/{flow}/proto", get(pages::proto));
    below(below(router, ""), "/flows/{flow}")
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(App { gate, timeouts, questions: Questions::default() })
}

/// A page that is the same for everybody.
fn page(of: fn() -> &'static str) -> MethodRouter<App> {
    get(move |_: App| async move { ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], of()) })
}

/// A JSON answer.
fn json(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Answers a request of a caller.
pub(crate) async fn answer(
    router: &Router,
    caller: Caller,
    mut head: Parts,
    body: hyper::body::Incoming,
) -> Response {
    let address = head.uri.path_and_query().map_or(0, |address| address.as_str().len());
    if address > ADDRESS_BYTES_MAX {
        let text = format!("the address has {address} bytes, the limit is {ADDRESS_BYTES_MAX}");
        return Problem::new(StatusCode::URI_TOO_LONG, "too_long", text, "send less in it").into_response();
    }
    head.extensions.insert(caller);
    let request = Request::from_parts(head, Lingering::over(body));
    router.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
}

async fn no_route(uri: Uri) -> Problem {
    let path = anabranch_model::convert::shown(uri.path());
    Problem::new(StatusCode::NOT_FOUND, "unknown", format!("there is nothing at {path}"), pages::HELP)
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    let path = anabranch_model::convert::shown(uri.path());
    let text = format!("{method} is nothing to do with {path}");
    let help = "the header `allow` of this answer says what is; `GET /` tells of all";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", text, help)
}
