//! Service `anabranch.v1.Node`.

use std::sync::Arc;

use anabranch_model::message::FlowId;
use anabranch_model::plan::Plan;
use anabranch_wire::session::{
    self, CatalogReply, CatalogRequest, Events, FlowText, Requests, StatusReply, StatusRequest,
    SubscribeRequest, ZoneReply, ZoneRequest,
};
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tower::service_fn;

use super::body::Paced;
use super::raw::Typed;
use super::{MESSAGE_BYTES_MAX, flows, watch};
use crate::net::gate::Gate;
use crate::net::session::open;

/// Answers a request to a method.
pub(crate) async fn serve(gate: Gate, method: &str, request: Request<Paced>) -> Response<Body> {
    match method {
        "Session" => session(gate, request).await,
        "Catalog" => catalog(gate, request).await,
        "Status" => status(gate, request).await,
        "Zone" => zone(gate, request).await,
        "Deploy" => flows::deploy(gate, request).await,
        "Drop" => flows::drop_flow(gate, request).await,
        "Subscribe" => subscribe(gate, request).await,
        _ => super::no_method(request.uri().path(), &gate.index()),
    }
}

async fn session(gate: Gate, request: Request<Paced>) -> Response<Body> {
    let open = service_fn(move |request: tonic::Request<Streaming<Requests>>| {
        let answers = open(gate.clone(), request.into_inner());
        async move { Ok::<_, Status>(tonic::Response::new(answers)) }
    });
    let codec = Typed::<session::Answers, Requests>::default();
    let request = request.map(|body| body.at_most(MESSAGE_BYTES_MAX));
    Grpc::new(codec).max_decoding_message_size(MESSAGE_BYTES_MAX).streaming(open, request).await
}

async fn catalog(gate: Gate, request: Request<Paced>) -> Response<Body> {
    let list = service_fn(move |request: tonic::Request<CatalogRequest>| {
        let reply = list(&gate, &request.into_inner());
        async move { reply.map(tonic::Response::new) }
    });
    Grpc::new(Typed::<CatalogReply, CatalogRequest>::default()).unary(list, request.map(Paced::one)).await
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
    let text = |(id, plan): (FlowId, Arc<Plan>)| FlowText {
        flow: id.0,
        revision: plan.revision,
        file: plan.file.clone(),
        text: plan.text.to_string(),
        name: plan.name.clone(),
    };
    let flows = gate.flows().into_iter().map(text).collect();
    Ok(CatalogReply { node: gate.core.name().to_owned(), flows, now: gate.core.time() })
}

async fn status(gate: Gate, request: Request<Paced>) -> Response<Body> {
    let tell = service_fn(move |_: tonic::Request<StatusRequest>| {
        let gate = gate.clone();
        async move {
            let may = gate.may_look();
            may.map_err(|error| Status::permission_denied(error.to_string()))?;
            let status = tokio::task::block_in_place(|| gate.core.status());
            let json = serde_json::to_string(&status).map_err(|error| Status::internal(error.to_string()))?;
            Ok::<_, Status>(tonic::Response::new(StatusReply { json }))
        }
    });
    Grpc::new(Typed::<StatusReply, StatusRequest>::default()).unary(tell, request.map(Paced::one)).await
}

async fn zone(gate: Gate, request: Request<Paced>) -> Response<Body> {
    let tell = service_fn(move |_: tonic::Request<ZoneRequest>| {
        let gate = gate.clone();
        async move {
            let may = gate.may_look();
            may.map_err(|error| Status::permission_denied(error.to_string()))?;
            let status = tokio::task::block_in_place(|| gate.core.zone().status());
            let json = status.map(|status| serde_json::to_string(&status)).transpose();
            let json = json.map_err(|error| Status::internal(error.to_string()))?;
            Ok::<_, Status>(tonic::Response::new(ZoneReply { json }))
        }
    });
    Grpc::new(Typed::<ZoneReply, ZoneRequest>::default()).unary(tell, request.map(Paced::one)).await
}

async fn subscribe(gate: Gate, request: Request<Paced>) -> Response<Body> {
    let subscribe = service_fn(move |request: tonic::Request<SubscribeRequest>| {
        let gate = gate.clone();
        async move {
            let events = watch::subscribe(&gate, request.into_inner()).await?;
            Ok::<_, Status>(tonic::Response::new(events))
        }
    });
    Grpc::new(Typed::<Events, SubscribeRequest>::default())
        .server_streaming(subscribe, request.map(Paced::one))
        .await
}
