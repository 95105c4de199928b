//! The client's end of a subscription.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::row::Row as Packed;
use anabranch_model::types::Shape;
use anabranch_wire::session::{self, Events, SubscribeRequest};
use http::uri::PathAndQuery;
use tokio::runtime::Runtime;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{RETRY_EVERY, caller};
use crate::answer::Refused;
use crate::error::Error;
use crate::net::connect::ConnectOptions;
use crate::net::convert;
use crate::rows::Row;
use crate::subscription::{Event, RefusedRowEvent};

/// A subscription over the network. It has a connection of its own and goes on behind the last event when that is lost.
pub(crate) struct RemoteWatch {
    options: ConnectOptions,
    output: String,
    runtime: Runtime,
    events: Option<Streaming<Events>>,
    columns: Option<Arc<Shape>>,
    position: String,
    received: VecDeque<Event>,
}

impl RemoteWatch {
    /// Subscribes; when this returns everything that is sent from now on is brought.
    pub(crate) fn open(options: &ConnectOptions, output: &str) -> Result<Self, Error> {
        let problem = |error: std::io::Error| Error::Connect {
            address: options.address().to_owned(),
            why: error.to_string(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(problem)?;
        let mut watch = RemoteWatch {
            options: options.clone(),
            output: output.to_owned(),
            runtime,
            events: None,
            columns: None,
            position: String::new(),
            received: VecDeque::new(),
        };
        watch.subscribe().map_err(Failed::error)?;
        // The first message says where it begins.
        watch.receive(None)?;
        Ok(watch)
    }

    /// The next event; waits for it, or at most so long. `None` when the time is over, or behind the end.
    pub(crate) fn next(&mut self, at_most: Option<Duration>) -> Result<Option<Event>, Error> {
        while self.received.is_empty() {
            if !self.receive(at_most)? {
                return Ok(None);
            }
        }
        Ok(self.received.pop_front())
    }

    /// Takes a message; false when none came in time, or none comes any more.
    fn receive(&mut self, at_most: Option<Duration>) -> Result<bool, Error> {
        let Some(events) = &mut self.events else { return self.resume().map(|()| true) };
        let message = self.runtime.block_on(async {
            match at_most {
                None => Some(events.message().await),
                Some(at_most) => tokio::time::timeout(at_most, events.message()).await.ok(),
            }
        });
        match message {
            None => Ok(false),
            Some(Ok(Some(events))) => {
                for event in events.events {
                    self.position.clone_from(&event.position);
                    let event = self.event(event)?;
                    self.received.extend(event);
                }
                Ok(true)
            }
            Some(Ok(None)) if self.received.iter().any(|event| matches!(event, Event::Gone)) => Ok(false),
            Some(Ok(None) | Err(_)) => {
                self.events = None;
                self.resume().map(|()| true)
            }
        }
    }

    /// Goes on behind the last event, trying for a while.
    fn resume(&mut self) -> Result<(), Error> {
        let tries = (self.options.reconnect_within_time().as_millis() / RETRY_EVERY.as_millis()).max(1);
        let mut last = None;
        for _ in 0..tries {
            match self.subscribe() {
                Ok(()) => return Ok(()),
                Err(Failed::Said(status)) if status.code() == Code::OutOfRange => {
                    // What comes from now on is brought by the next call.
                    self.position.clear();
                    return Err(Error::Disconnected {
                        address: self.options.address().to_owned(),
                        why: "and the subscription was given up meanwhile: rows in between are lost".into(),
                    });
                }
                Err(failed) => last = Some(failed),
            }
            self.runtime.block_on(async {
                drop(tokio::time::timeout(RETRY_EVERY, std::future::pending::<()>()).await)
            });
        }
        Err(last.map_or(Error::Stopped, Failed::error))
    }

    fn subscribe(&mut self) -> Result<(), Failed> {
        let request = SubscribeRequest { output: self.output.clone(), after: self.position.clone() };
        self.columns = None;
        let events = self.runtime.block_on(async {
            let mut caller = caller(&self.options).await.map_err(Failed::Unreachable)?;
            let codec = ProstCodec::<SubscribeRequest, Events>::default();
            let path = PathAndQuery::from_static("/anabranch.v1.Node/Subscribe");
            caller.server_streaming(tonic::Request::new(request), path, codec).await.map_err(Failed::Said)
        })?;
        self.events = Some(events.into_inner());
        Ok(())
    }

    /// The event of a message; none for one that only tells a position.
    fn event(&mut self, event: session::Event) -> Result<Option<Event>, Error> {
        let odd = |text: String| Error::Problem { code: "protocol".into(), text };
        if let Some(columns) = &event.columns {
            let shape: Shape = serde_json::from_str(columns).map_err(|error| odd(error.to_string()))?;
            self.columns = Some(Arc::new(shape));
        }
        if event.gone {
            return Ok(Some(Event::Gone));
        }
        let Some(bytes) = event.row else {
            return Ok((event.missed > 0).then_some(Event::Missed(event.missed)));
        };
        let shape = self.columns.clone().ok_or_else(|| odd("a row came before its columns".into()))?;
        Packed::check(&bytes, &shape).map_err(|error| odd(error.to_string()))?;
        let row = Row::new(shape, bytes.into());
        let Some(refused) = event.refused else { return Ok(Some(Event::Row(row))) };
        let refusal = convert::refusal(refused.refusal.unwrap_or_default());
        let refused_row = Refused {
            request_row: refusal.row as usize,
            code: refusal.code,
            text: refusal.text,
            place: refusal.place.map(|place| (refused.file, place)),
        };
        Ok(Some(Event::Refused(RefusedRowEvent { stream: refused.input, row, refused: refused_row })))
    }
}

/// Why a subscription did not come about.
enum Failed {
    Unreachable(Error),
    Said(Status),
}

impl Failed {
    fn error(self) -> Error {
        match self {
            Failed::Unreachable(error) => error,
            Failed::Said(status) => {
                let text = status.message().to_owned();
                match status.code() {
                    Code::Unauthenticated | Code::PermissionDenied => Error::Denied(text),
                    Code::NotFound => Error::Problem { code: "unknown".into(), text },
                    _ => Error::Problem { code: "failed".into(), text },
                }
            }
        }
    }
}

impl fmt::Debug for RemoteWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWatch").field("output", &self.output).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Flow, Listen, Node};

    #[test]
    fn what_came_while_the_connection_was_lost_is_brought() {
        let flow = Flow::parse("names.flow", crate::doc::NAMES).expect("it compiles");
        let node = Node::builder("A").flow(flow).start().expect("it starts");
        let listen = Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
        let server = node.serve(&listen).expect("it listens");
        let address = server.grpc().expect("it speaks gRPC").to_string();
        let mut watch = RemoteWatch::open(&ConnectOptions::new(&address), "OutputStream").expect("watched");
        let mut client = node.client();
        let mut ask = |name: &str| drop(client.ask("ReadStream", &json!({ "name": name })).expect("asked"));
        let next = |watch: &mut RemoteWatch| match watch.next(None).expect("an event") {
            Some(Event::Row(row)) => format!("{:?}", row.get("name")),
            other => format!("{other:?}"),
        };
        ask("a");
        assert!(next(&mut watch).contains("\"a\""));
        watch.events = None;
        ask("b");
        ask("c");
        assert!(next(&mut watch).contains("\"b\""));
        assert!(next(&mut watch).contains("\"c\""));
        assert!(watch.next(Some(Duration::ZERO)).expect("no error").is_none());
    }
}
