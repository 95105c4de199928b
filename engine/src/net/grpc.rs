//! The gRPC services of a node, by path: `anabranch.v1.Node` for Rust clients and the program, a typed service for every
//! flow, and what tools expect of a server (health, reflection).

mod body;
mod bulk;
mod flow;
mod flows;
mod index;
mod node;
mod raw;
mod status;
mod stream;
mod tools;
mod watch;

use anabranch_wire::session::SERVICE;
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::Code;
use tonic::body::Body;

use super::gate::Gate;
use super::server::Timeouts;
use body::Paced;

pub(crate) use index::{Index, IndexCell};

/// Bytes of a message from a client, at most: the largest batch and what is around it.
const MESSAGE_BYTES_MAX: usize = anabranch_model::batch::MAX_BATCH_BYTES + (1 << 20);

/// Answers a gRPC request.
pub(crate) async fn serve(gate: Gate, timeouts: Timeouts, request: Request<Incoming>) -> Response<Body> {
    let request = request.map(|body| Paced::new(body, gate.clone(), timeouts.body));
    let path = request.uri().path().to_owned();
    let service = path.strip_prefix('/').and_then(|path| path.rsplit_once('/'));
    match service {
        Some((SERVICE, method)) => node::serve(gate, method, request).await,
        Some(("grpc.health.v1.Health", "Check")) => tools::health(gate, timeouts.ready, request).await,
        Some((
            "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection",
            "ServerReflectionInfo",
        )) => tools::reflection(gate, request).await,
        _ => flow::serve(gate, &path, request).await,
    }
}

/// For who asks for what is not there.
fn no_method(path: &str, index: &Index) -> Response<Body> {
    let services: Vec<&str> = index.services().collect();
    let text = format!("there is no method `{path}`; there are the services `{}`", services.join("`, `"));
    status::status(Code::Unimplemented, &text).into_http()
}
