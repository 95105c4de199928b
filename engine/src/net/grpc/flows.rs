//! The methods of service `anabranch.v1.Node` that change the flows of a node.

use anabranch_wire::session::{DeployReply, DeployRequest, DropReply, DropRequest};
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status};
use tower::service_fn;

use super::MESSAGE_BYTES_MAX;
use super::body::Paced;
use super::raw::Typed;
use super::status::status;
use crate::deploy::Deployed;
use crate::error::Error;
use crate::flow::Flow;
use crate::net::access::Operation;
use crate::net::gate::Gate;

/// Installs a flow, or puts it in the place of its older revision.
pub(super) async fn deploy(gate: Gate, request: Request<Paced>) -> Response<Body> {
    let deploy = service_fn(move |request: tonic::Request<DeployRequest>| {
        let (gate, request) = (gate.clone(), request.into_inner());
        async move {
            let reply = match tokio::task::block_in_place(|| install(&gate, &request)) {
                Ok(deployed) => {
                    DeployReply { before: json(&deployed.before)?, breaks: deployed.breaks, refused: None }
                }
                // All that changes may be more than fits into a status.
                Err(Error::Evolution(refused)) => {
                    DeployReply { refused: Some(json(&refused)?), ..DeployReply::default() }
                }
                Err(error) => return Err(refused(&error)),
            };
            Ok(tonic::Response::new(reply))
        }
    });
    let codec = Typed::<DeployReply, DeployRequest>::default();
    let request = request.map(|body| body.one().at_most(MESSAGE_BYTES_MAX));
    Grpc::new(codec).max_decoding_message_size(MESSAGE_BYTES_MAX).unary(deploy, request).await
}

/// Installs the flow of a request, where the caller may do so and the file is what it says.
fn install(gate: &Gate, request: &DeployRequest) -> Result<Deployed, Error> {
    let name = &request.flow;
    gate.may_change(Operation::Deploy, name)?;
    // What is wrong with a file is noted here, what comes of a right one by the gate.
    let parsed = parsed(request);
    let flow = parsed.inspect_err(|error| gate.unchanged(Operation::Deploy, name, &error.to_string()))?;
    gate.deploy(flow)
}

fn parsed(request: &DeployRequest) -> Result<Flow, Error> {
    let flow = Flow::parse(&request.file, &request.text)?;
    match flow.name() == request.flow {
        true => Ok(flow),
        false => Err(Error::Problem {
            code: "invalid".into(),
            text: format!("the file is of the flow `{}`, the request says `{}`", flow.name(), request.flow),
        }),
    }
}

/// Drops a flow with its rows.
pub(super) async fn drop_flow(gate: Gate, request: Request<Paced>) -> Response<Body> {
    let drop_flow = service_fn(move |request: tonic::Request<DropRequest>| {
        let (gate, DropRequest { flow }) = (gate.clone(), request.into_inner());
        async move {
            let dropped = tokio::task::block_in_place(|| gate.drop_flow(&flow));
            dropped.map(|()| tonic::Response::new(DropReply {})).map_err(|error| refused(&error))
        }
    });
    Grpc::new(Typed::<DropReply, DropRequest>::default()).unary(drop_flow, request.map(Paced::one)).await
}

fn json(value: &impl serde::Serialize) -> Result<String, Status> {
    serde_json::to_string(value).map_err(|error| Status::internal(error.to_string()))
}

/// Why a change is refused.
fn refused(error: &Error) -> Status {
    let code = match error {
        Error::Flow(_) => Code::InvalidArgument,
        Error::Denied(_) => Code::PermissionDenied,
        Error::Unknown { .. } => Code::NotFound,
        Error::Stopped => Code::Unavailable,
        _ => Code::FailedPrecondition,
    };
    status(code, &error.to_string())
}
