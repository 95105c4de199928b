//! What tools expect of every gRPC server: health and reflection.

use std::sync::Arc;

use anabranch_wire::health::{HealthReply, HealthRequest, SERVING};
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

/// Whether a service is served.
pub(crate) async fn health(gate: Gate, request: Request<Paced>) -> Response<Body> {
    let check = service_fn(move |request: tonic::Request<HealthRequest>| {
        let service = request.into_inner().service;
        let known = service.is_empty() || gate.index().services().any(|known| known == service);
        let reply = match known {
            true => Ok(tonic::Response::new(HealthReply { status: SERVING })),
            false => Err(status(Code::NotFound, &format!("there is no service `{service}`"))),
        };
        async move { reply }
    });
    Grpc::new(Typed::<HealthReply, HealthRequest>::default()).unary(check, request.map(Paced::one)).await
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
            let service = |name: &str| Service { name: name.to_owned() };
            Finding::Services(Services { services: index.services().map(service).collect() })
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
