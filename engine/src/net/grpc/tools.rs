//! What tools expect of every gRPC server: health and reflection.

use std::sync::Arc;
use std::time::Duration;

use anabranch_wire::health::{HealthReply, HealthRequest, NOT_SERVING, SERVING};
use anabranch_wire::reflection::{
    Files, Finding, Nothing, Question, ReflectionReply, ReflectionRequest, Service, Services,
};
use http::{Request, Response};
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tower::service_fn;

use super::body::Paced;
use super::index::Index;
use super::raw::Typed;
use super::status::status;
use crate::net::gate::Gate;

/// The name of a caller without a token.
const NO_NAME: &str = "-";

/// Whether a service is served: the workers are asked, as for `/ready`. Whoever shows no token is told of the node only.
pub(crate) async fn health(gate: Gate, within: Duration, request: Request<Paced>) -> Response<Body> {
    let check = service_fn(move |request: tonic::Request<HealthRequest>| {
        let (gate, service) = (gate.clone(), request.into_inner().service);
        async move {
            may_know(&gate, &service)?;
            let status = if ready(&gate, within).await { SERVING } else { NOT_SERVING };
            Ok::<_, Status>(tonic::Response::new(HealthReply { status }))
        }
    });
    let request = request.map(Paced::one);
    Grpc::new(Typed::<HealthReply, HealthRequest>::default()).unary(check, request).await
}

/// Whether there is a service that the caller may know of.
fn may_know(gate: &Gate, service: &str) -> Result<(), Status> {
    let caller = gate.caller();
    if service.is_empty() || gate.index().services().any(|known| known == service) {
        return Ok(());
    }
    if caller.name() == NO_NAME && !caller.sees_all() {
        let text =
            "services of flows are told to who shows a token; leave the service out to ask for the node";
        return Err(status(Code::Unauthenticated, text));
    }
    Err(status(Code::NotFound, &format!("there is no service `{service}`")))
}

/// Whether every worker answers in time.
async fn ready(gate: &Gate, within: Duration) -> bool {
    let core = gate.core.clone();
    let answered = tokio::task::spawn_blocking(move || core.answers());
    matches!(tokio::time::timeout(within, answered).await, Ok(Ok(true)))
}

/// What is served.
pub(crate) async fn reflection(gate: Gate, request: Request<Paced>) -> Response<Body> {
    let tell = service_fn(move |request: tonic::Request<Streaming<ReflectionRequest>>| {
        let gate = gate.clone();
        let replies =
            request.into_inner().map(move |request| request.map(|request| reply(&gate.index(), request)));
        async move { Ok::<_, Status>(tonic::Response::new(replies)) }
    });
    Grpc::new(Typed::<ReflectionReply, ReflectionRequest>::default()).streaming(tell, request).await
}

fn reply(index: &Arc<Index>, request: ReflectionRequest) -> ReflectionReply {
    let finding = match &request.question {
        Some(Question::Services(_)) => {
            // Those that can be described.
            let services = index.apis().map(|api| Service { name: api.service() });
            Finding::Services(Services { services: services.collect() })
        }
        Some(Question::FileByName(name)) => {
            let files = index.apis().flat_map(anabranch_wire::typed::FlowApi::files);
            found(
                files.into_iter().filter(|(of, _)| of == name).map(|(_, file)| file).take(1).collect(),
                name,
            )
        }
        Some(Question::FileWithSymbol(symbol)) => {
            let declares = |package: &str| {
                symbol.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let api = index.apis().find(|api| declares(api.descriptor().package()));
            let files = api.map(|api| api.files().into_iter().rev().map(|(_, file)| file).collect());
            found(files.unwrap_or_default(), symbol)
        }
        Some(Question::FileWithExtension(_) | Question::ExtensionsOf(_)) => found(Vec::new(), "an extension"),
        None => found(Vec::new(), "nothing"),
    };
    ReflectionReply { host: request.host.clone(), request: Some(request), finding: Some(finding) }
}

fn found(files: Vec<Vec<u8>>, what: &str) -> Finding {
    match files.is_empty() {
        true => Finding::Nothing(Nothing {
            code: Code::NotFound as i32,
            text: format!("{what} is not declared here"),
        }),
        false => Finding::Files(Files { files }),
    }
}
