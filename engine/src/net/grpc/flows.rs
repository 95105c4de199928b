//! The methods of service `anabranch.v1.Node` that change the flows of a node.

use anabranch_wire::session::{DeployReply, DeployRequest, DropReply, DropRequest};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::MESSAGE_BYTES_MAX;
use crate::deploy::Deployed;
use crate::error::Error;
use crate::flow::Flow;
use crate::net::gate::Gate;

/// Installs a flow, or puts it in the place of its older revision.
pub(super) async fn deploy(gate: Gate, request: Request<Incoming>) -> Response<Body> {
    let deploy = service_fn(move |request: tonic::Request<DeployRequest>| {
        let (gate, DeployRequest { file, text }) = (gate.clone(), request.into_inner());
        async move {
            let deployed = tokio::task::block_in_place(|| gate.deploy(Flow::parse(&file, &text)?));
            reply(&deployed.map_err(|error| refused(&error))?).map(tonic::Response::new)
        }
    });
    let codec = ProstCodec::<DeployReply, DeployRequest>::default();
    Grpc::new(codec).max_decoding_message_size(MESSAGE_BYTES_MAX).unary(deploy, request).await
}

/// Drops a flow with its rows.
pub(super) async fn drop_flow(gate: Gate, request: Request<Incoming>) -> Response<Body> {
    let drop_flow = service_fn(move |request: tonic::Request<DropRequest>| {
        let (gate, DropRequest { flow }) = (gate.clone(), request.into_inner());
        async move {
            let dropped = tokio::task::block_in_place(|| gate.drop_flow(&flow));
            dropped.map(|()| tonic::Response::new(DropReply {})).map_err(|error| refused(&error))
        }
    });
    Grpc::new(ProstCodec::<DropReply, DropRequest>::default()).unary(drop_flow, request).await
}

fn reply(deployed: &Deployed) -> Result<DeployReply, Status> {
    let before =
        serde_json::to_string(&deployed.before).map_err(|error| Status::internal(error.to_string()))?;
    Ok(DeployReply { before, breaks: deployed.breaks.clone() })
}

/// Why a change is refused; an evolution goes along, for the client to say what in it.
fn refused(error: &Error) -> Status {
    let text = error.to_string();
    match error {
        Error::Flow(_) => Status::invalid_argument(text),
        Error::Denied(_) => Status::permission_denied(text),
        Error::Evolution(evolution) => {
            let details = serde_json::to_vec(evolution).unwrap_or_default();
            Status::with_details(Code::FailedPrecondition, text, details.into())
        }
        Error::Unknown { .. } => Status::not_found(text),
        Error::Stopped => Status::unavailable(text),
        _ => Status::failed_precondition(text),
    }
}
