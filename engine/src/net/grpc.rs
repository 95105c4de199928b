//! The gRPC services of a node, by path.

use anabranch_wire::session::{self, CatalogReply, CatalogRequest, FlowText, Requests};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::gate::Gate;
use super::session::open;

/// Bytes of a message from a client, at most: the largest batch and what is around it.
const MESSAGE_BYTES_MAX: usize = anabranch_model::batch::MAX_BATCH_BYTES + (1 << 20);

/// Answers a gRPC request.
pub(crate) async fn serve(gate: Gate, request: Request<Incoming>) -> Response<Body> {
    let method = request.uri().path().strip_prefix("/anabranch.v1.Node/").map(str::to_owned);
    match method.as_deref() {
        Some("Session") => session(gate, request).await,
        Some("Catalog") => catalog(gate, request).await,
        _ => Status::new(Code::Unimplemented, format!("there is no method `{}`", request.uri().path()))
            .into_http(),
    }
}

async fn session(gate: Gate, request: Request<Incoming>) -> Response<Body> {
    let open = service_fn(move |request: tonic::Request<Streaming<Requests>>| {
        let answers = open(gate.clone(), request.into_inner());
        async move { Ok::<_, Status>(tonic::Response::new(answers)) }
    });
    let codec = ProstCodec::<session::Answers, Requests>::default();
    Grpc::new(codec).max_decoding_message_size(MESSAGE_BYTES_MAX).streaming(open, request).await
}

async fn catalog(gate: Gate, request: Request<Incoming>) -> Response<Body> {
    let list = service_fn(move |request: tonic::Request<CatalogRequest>| {
        let reply = list(&gate, &request.into_inner());
        async move { reply.map(tonic::Response::new) }
    });
    Grpc::new(ProstCodec::<CatalogReply, CatalogRequest>::default()).unary(list, request).await
}

fn list(gate: &Gate, request: &CatalogRequest) -> Result<CatalogReply, Status> {
    if request.version != session::SESSION_VERSION {
        let text = format!(
            "the client speaks version {} of the session, this node version {}: use a client of its release",
            request.version,
            session::SESSION_VERSION
        );
        return Err(Status::failed_precondition(text));
    }
    let text =
        |(id, plan): (anabranch_model::message::FlowId, &std::sync::Arc<anabranch_model::plan::Plan>)| {
            FlowText {
                flow: id.0,
                revision: plan.revision,
                file: plan.file.clone(),
                text: plan.text.to_string(),
                name: plan.name.clone(),
            }
        };
    let catalog = gate.core.catalog();
    Ok(CatalogReply { node: gate.core.name().to_owned(), flows: catalog.flows().map(text).collect() })
}
