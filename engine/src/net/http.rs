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
mod pages;
mod problem;
mod query;
mod question;
mod tables;
mod target;

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use self::body::Lingering;
pub(crate) use self::problem::Problem;
use self::question::Questions;
use super::access::Caller;
use super::gate::Gate;
use super::observe;
use super::server::Timeouts;
use super::subscriptions::Subscriptions;

/// Bytes of the path and query of an address, at most: the longest key with every byte as `%XX`, and names.
const ADDRESS_BYTES_MAX: usize = 16 << 10;

/// What handlers share, with the gate for who sent the request: they take it as their argument (`app: App`), because
/// the gate in the router's state lets nobody through.
#[derive(Clone)]
pub(crate) struct App {
    gate: Gate,
    timeouts: Timeouts,
    subscriptions: Subscriptions,
    questions: Questions,
}

impl FromRequestParts<App> for App {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<App, Infallible> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or(Caller::NOBODY);
        Ok(App { gate: app.gate.open(caller), ..app.clone() })
    }
}

/// The routes.
pub(crate) fn router(gate: Gate, timeouts: Timeouts, subscriptions: Subscriptions) -> Router {
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
        .route("/metrics", get(pages::metrics))
        .route("/flows", get(pages::flows))
        .route("/query", post(question::query))
        .route("/openapi.json", get(pages::openapi))
        .route("/flows/{flow}", get(pages::flow).put(flows::put).delete(flows::delete))
        .route("/flows/{flow}/openapi.json", get(pages::flow_openapi));
    below(below(router, ""), "/flows/{flow}")
        .route_layer(from_fn(observe::matched))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn(around))
        .with_state(App { gate, timeouts, subscriptions, questions: Questions::default() })
}

/// A page that is the same for everybody.
fn page(of: fn() -> &'static str) -> MethodRouter<App> {
    get(move || async move { ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], of()) })
}

/// A JSON answer.
fn json(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What every request goes through.
async fn around(request: Request, next: Next) -> Response {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    if address > ADDRESS_BYTES_MAX {
        let text = format!("the address has {address} bytes, the limit is {ADDRESS_BYTES_MAX}");
        return Problem::new(StatusCode::URI_TOO_LONG, "too_long", text, "send less in it").into_response();
    }
    next.run(request.map(Lingering::over)).await
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
