//! Subscriptions over gRPC: packed rows for Rust clients, typed messages for the others.

use std::sync::Arc;

use anabranch_model::message::Refusal;
use anabranch_model::row::Row;
use anabranch_model::types::Shape;
use anabranch_wire::session::{self, Events, RefusedEvent, SubscribeRequest};
use anabranch_wire::typed::message::{
    ErrorEvent, Event as TypedEvent, RefusedRow, encode_error_event, encode_event,
};
use anabranch_wire::typed::{FlowApi, Method, readable};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::status::status;
use crate::net::access::Operation;
use crate::net::convert;
use crate::net::gate::Gate;
use crate::net::subscriptions::{Position, Reader, SubscriptionId};
use crate::subscription::{Event, RefusedRowEvent};

/// Messages that wait for a slow client; the rest waits in the subscription.
const MESSAGES_AHEAD: usize = 4;

/// A stream of messages.
type Messages<M> = ReceiverStream<Result<M, Status>>;

/// Subscribes to an output by name, or goes on behind a position.
pub(crate) async fn subscribe(gate: &Gate, request: SubscribeRequest) -> Result<Messages<Events>, Status> {
    let topic =
        gate.catalog().topic(&request.output).map_err(|error| status(Code::NotFound, &error.to_string()))?;
    let found = gate.catalog().subscription(&request.output);
    let flow = found.map_err(|error| status(Code::NotFound, &error.to_string()))?.1.plan().name.clone();
    may_subscribe(gate, &flow)?;
    let (reader, begins) = reader(gate, &flow, &topic, &request.after).await?;
    let hello = session::Event { position: begins, ..session::Event::default() };
    let mut columns = None;
    let write = move |id, events: Vec<(Position, Event)>| {
        let event = |(position, event)| packed(&mut columns, name(id, position), event);
        Ok(vec![Events { events: events.into_iter().map(event).collect() }])
    };
    Ok(pump(reader, vec![Events { events: vec![hello] }], write))
}

/// Watches an output of a flow, or its errors, in typed messages.
pub(crate) async fn watch(
    gate: &Gate,
    api: Arc<FlowApi>,
    method: Method,
    after: &str,
) -> Result<Messages<Vec<u8>>, Status> {
    let plan = api.plan();
    let stream = match method {
        Method::Watch(output) => &plan.outputs[usize::from(output.0)].name,
        _ => "errors",
    };
    may_subscribe(gate, &plan.name)?;
    let (reader, _) = reader(gate, &plan.name, &format!("{}.{stream}", plan.name), after).await?;
    let write = move |id, events: Vec<(Position, Event)>| {
        let mut messages = Vec::with_capacity(events.len());
        for (position, event) in events {
            messages.push(typed(&api, method, &name(id, position), &event)?);
        }
        Ok(messages)
    };
    Ok(pump(reader, Vec::new(), write))
}

fn may_subscribe(gate: &Gate, flow: &str) -> Result<(), Status> {
    let may = gate.caller().check(Operation::Subscribe, flow);
    may.map_err(|error| status(Code::PermissionDenied, &error.to_string()))
}

/// A reader of a topic, and the position where it begins.
async fn reader(gate: &Gate, flow: &str, topic: &str, after: &str) -> Result<(Reader, String), Status> {
    if after.is_empty() {
        let opened = gate.subscriptions.open(flow, topic).await;
        let reader = opened.map_err(|error| status(Code::Unavailable, &error.to_string()))?;
        let begins = name(reader.id(), 0);
        return Ok((reader, begins));
    }
    let (id, position) = SubscriptionId::position(after)
        .ok_or_else(|| status(Code::InvalidArgument, &format!("`{after}` is no position of an event")))?;
    let expired = || {
        Status::out_of_range(
            "the subscription is not there any more: rows since then are lost; subscribe anew",
        )
    };
    let reader = gate.subscriptions.resume(id, topic, position).ok_or_else(expired)?;
    Ok((reader, after.to_owned()))
}

/// The name of a position.
fn name(id: SubscriptionId, position: Position) -> String {
    format!("{id}-{position}")
}

/// Sends what a reader brings until nothing comes any more or the client is gone.
fn pump<M: Send + 'static>(
    mut reader: Reader,
    first: Vec<M>,
    mut write: impl FnMut(SubscriptionId, Vec<(Position, Event)>) -> Result<Vec<M>, Status> + Send + 'static,
) -> Messages<M> {
    let (sender, messages) = mpsc::channel(MESSAGES_AHEAD);
    tokio::spawn(async move {
        for message in first {
            if sender.send(Ok(message)).await.is_err() {
                return;
            }
        }
        loop {
            let events = tokio::select! {
                events = reader.next() => events,
                () = sender.closed() => return,
            };
            let Some(events) = events else { return };
            match write(reader.id(), events) {
                Ok(messages) => {
                    for message in messages {
                        if sender.send(Ok(message)).await.is_err() {
                            return;
                        }
                    }
                }
                Err(status) => return drop(sender.send(Err(status)).await),
            }
        }
    });
    ReceiverStream::new(messages)
}

/// An event as the Rust client takes it; its columns go along when they are others than before.
fn packed(columns: &mut Option<Arc<Shape>>, position: String, event: Event) -> session::Event {
    let mut message = session::Event { position, ..session::Event::default() };
    let mut row = |row: &crate::rows::Row, message: &mut session::Event| {
        if columns.as_ref().is_none_or(|columns| !Arc::ptr_eq(columns, row.shape())) {
            *columns = Some(row.shape().clone());
            message.columns = serde_json::to_string(&**row.shape()).ok();
        }
        message.row = Some(row.bytes().to_vec());
    };
    match event {
        Event::Row(of) => row(&of, &mut message),
        Event::Refused(refused) => {
            row(&refused.row, &mut message);
            let file = refused.refused.place.as_ref().map(|(file, _)| file.clone()).unwrap_or_default();
            let refusal = Some(convert::refusal_message(refusal(&refused)));
            message.refused = Some(RefusedEvent { input: refused.stream, refusal, file });
        }
        Event::Missed(missed) => message.missed = missed,
        Event::Gone => message.gone = true,
    }
    message
}

fn refusal(event: &RefusedRowEvent) -> Refusal {
    let refused = &event.refused;
    Refusal {
        row: refused.request_row as u32,
        code: refused.code,
        text: refused.text.clone(),
        place: refused.place.as_ref().map(|(_, place)| *place),
    }
}

/// An event as a message of the flow's service.
fn typed(api: &FlowApi, method: Method, position: &str, event: &Event) -> Result<Vec<u8>, Status> {
    let newer = || Status::aborted("the flow has another revision now; watch it again by its new `.proto`");
    let plan = api.plan();
    let mut message = Vec::new();
    let missed = if let Event::Missed(missed) = event { *missed } else { 0 };
    match (method, event) {
        (_, Event::Gone) => return Err(Status::not_found("the flow was dropped")),
        (Method::Watch(output), Event::Row(row)) => {
            if !readable(&plan.outputs[usize::from(output.0)].shape, row.shape()) {
                return Err(newer());
            }
            let row = Row::new(row.bytes(), row.shape());
            encode_event(&TypedEvent { position, missed, row: Some(row) }, &mut message);
        }
        (Method::Watch(_), _) => {
            encode_event(&TypedEvent { position, missed, row: None }, &mut message);
        }
        (_, Event::Refused(event)) => {
            let input = plan.input(&event.stream).ok_or_else(newer)?;
            if !readable(&plan.inputs[usize::from(input.0)].shape, event.row.shape()) {
                return Err(newer());
            }
            let place = event.refused.place.as_ref().map(|(_, place)| *place);
            let refused = RefusedRow {
                input,
                row: Row::new(event.row.bytes(), event.row.shape()),
                code: event.refused.code,
                text: &event.refused.text,
                line: place.map_or(0, |place| place.line),
                column: place.map_or(0, |place| place.column),
            };
            encode_error_event(&ErrorEvent { position, missed, refused: Some(refused) }, &mut message);
        }
        _ => encode_error_event(&ErrorEvent { position, missed, refused: None }, &mut message),
    }
    Ok(message)
}
