//! Rows of an output, or refused rows, as they come: method `Subscribe` of service `anabranch.v1.Node`.

use std::pin::Pin;
use std::task::{Context, Poll};

use anabranch_model::message::FlowId;
use anabranch_model::plan::Plan;
use anabranch_wire::session::{self as wire, Events, SubscribeRequest};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_stream::Stream;
use tonic::Status;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::error::Error;
use crate::net::access::Operation;
use crate::net::gate::Gate;
use crate::net::subscriptions::{Position, Reader};
use crate::subscription::Event;

/// Messages that are made ahead of the client.
const AHEAD: usize = 2;

/// Opens a subscription, or goes on with one that a lost connection left behind.
pub(super) async fn subscribe(gate: Gate, request: Request<Incoming>) -> Response<Body> {
    let subscribe = service_fn(move |request: tonic::Request<SubscribeRequest>| {
        let gate = gate.clone();
        async move { open(gate, request.into_inner()).await.map(tonic::Response::new) }
    });
    Grpc::new(ProstCodec::<Events, SubscribeRequest>::default()).server_streaming(subscribe, request).await
}

async fn open(gate: Gate, request: SubscribeRequest) -> Result<EventStream, Status> {
    let refused = |error: Error| match error {
        Error::Unknown { .. } | Error::Ambiguous { .. } => Status::not_found(error.to_string()),
        Error::Denied(why) => Status::permission_denied(why),
        _ => Status::unavailable(error.to_string()),
    };
    // The name in full, so that it means the same when other flows come.
    let plan = gate.catalog().subscription(&request.output).map_err(refused)?.1.plan().clone();
    gate.caller().check(Operation::Subscribe, &plan.name).map_err(refused)?;
    let local = request.output.rsplit('.').next().unwrap_or_default();
    let topic = format!("{}.{local}", plan.name);
    let resumed = request.after.split_once('-').and_then(|(id, position)| {
        gate.subscriptions.resume(id.parse().ok()?, &topic, position.parse().ok()?)
    });
    let reader = match resumed {
        Some(reader) => reader,
        None if request.after.is_empty() => gate.subscriptions.open(&topic).await.map_err(refused)?,
        None => return Err(Status::out_of_range("the subscription to go on with is not there any more")),
    };
    let (sender, events) = channel(AHEAD);
    tokio::spawn(run(gate, plan.name.clone(), reader, sender));
    Ok(EventStream(events))
}

/// Passes events on until the subscription ends or the client is gone.
async fn run(gate: Gate, flow: String, mut reader: Reader, sender: Sender<Result<Events, Status>>) {
    loop {
        let events = tokio::select! {
            events = reader.next() => events,
            () = sender.closed() => return,
        };
        let Some(events) = events else { return };
        let gone = events.iter().any(|(_, event)| matches!(event, Event::Gone));
        let catalog = gate.core.catalog();
        let plan = catalog.named(&flow).map(|(id, flow)| (id, flow.plan().clone()));
        let message = |(position, event)| {
            message(&reader, position, event, plan.as_ref().map(|(id, plan)| (*id, &**plan)))
        };
        let events: Vec<wire::Event> = events.into_iter().filter_map(message).collect();
        if sender.send(Ok(Events { events })).await.is_err() {
            return;
        }
        if gone {
            let _ = sender.send(Err(Status::not_found("the output is gone: its flow was dropped"))).await;
            return;
        }
    }
}

/// An event as a message. A row of a revision that is replaced by now is told as missed, as its shape is not known any
/// more to who reads it.
fn message(
    reader: &Reader,
    position: Position,
    event: Event,
    plan: Option<(FlowId, &Plan)>,
) -> Option<wire::Event> {
    let mut message =
        wire::Event { position: format!("{}-{position}", reader.id()), missed: 0, ..wire::Event::default() };
    if let Some((id, plan)) = plan {
        (message.flow, message.revision) = (id.0, plan.revision);
    }
    match (event, plan) {
        (Event::Gone, _) => return None,
        (Event::Missed(missed), _) => message.missed = missed,
        (Event::Row(row), Some((_, plan)))
            if plan.outputs.iter().any(|output| output.shape == *row.shape()) =>
        {
            message.row = Some(row.bytes().to_vec());
        }
        (Event::Refused(event), Some((_, plan))) if plan.input(&event.stream).is_some() => {
            let refused = event.refused;
            let (line, column) = refused.place.map_or((0, 0), |(_, place)| (place.line, place.column));
            let (row, code) = (refused.request_row as u32, refused.code.name().to_owned());
            message.row = Some(event.row.bytes().to_vec());
            message.input = plan.input(&event.stream).map(|input| input.0.into());
            message.refusal = Some(wire::Refusal { row, code, text: refused.text, line, column });
        }
        (Event::Row(_) | Event::Refused(_), _) => message.missed = 1,
    }
    Some(message)
}

/// Events on their way out.
struct EventStream(Receiver<Result<Events, Status>>);

impl Stream for EventStream {
    type Item = Result<Events, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
