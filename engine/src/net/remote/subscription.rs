//! A subscription over the network, on the connection of a client that waits for nothing else meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anabranch_model::plan::Plan;
use anabranch_model::row::Row as PackedRow;
use anabranch_model::types::Shape;
use anabranch_wire::session::{self as wire, Events, SubscribeRequest};
use http::uri::PathAndQuery;
use tonic::{Code, Streaming};
use tonic_prost::ProstCodec;

use super::{Remote, convert};
use crate::answer::Refused;
use crate::error::Error;
use crate::rows::Row;
use crate::subscription::{Event, RefusedRowEvent};

/// The events of a subscription.
pub(crate) struct RemoteSubscription<'c> {
    remote: &'c mut Remote,
    events: Streaming<Events>,
    waiting: VecDeque<wire::Event>,
    /// The revision whose shapes rows have.
    plan: Arc<Plan>,
    /// The output, without its flow.
    output: String,
}

impl Remote {
    /// Subscribes to an output or to refused rows, from now on.
    pub(crate) fn subscribe(&mut self, output: &str) -> Result<RemoteSubscription<'_>, Error> {
        self.refresh()?;
        let plan = self.catalog.load().subscription(output)?.1.plan().clone();
        let local = output.rsplit('.').next().unwrap_or_default().to_owned();
        let request = SubscribeRequest { output: format!("{}.{local}", plan.name), after: String::new() };
        let Some(session) = &mut self.session else { return Err(Error::Stopped) };
        let codec = ProstCodec::<SubscribeRequest, Events>::default();
        let path = PathAndQuery::from_static("/anabranch.v1.Node/Subscribe");
        let opened =
            self.runtime.block_on(session.grpc.server_streaming(tonic::Request::new(request), path, codec));
        let events = opened.map_err(|status| self.refused(&status))?.into_inner();
        Ok(RemoteSubscription { remote: self, events, waiting: VecDeque::new(), plan, output: local })
    }
}

impl RemoteSubscription<'_> {
    /// The next event if one comes within a time.
    pub(crate) fn next_within(&mut self, at_most: Duration) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return self.event(event).map(Some);
            }
            let events = &mut self.events;
            let next = async { tokio::time::timeout(at_most, events.message()).await };
            match self.remote.runtime.block_on(next) {
                Err(_) => return Ok(None),
                Ok(Ok(Some(message))) => self.waiting.extend(message.events),
                Ok(Err(status)) if status.code() == Code::NotFound => return Ok(Some(Event::Gone)),
                Ok(Err(status)) => return Err(self.lost(status.message())),
                Ok(Ok(None)) => return Err(self.lost("the node ended the subscription")),
            }
        }
    }

    fn lost(&mut self, why: &str) -> Error {
        self.remote.lost(why);
        Error::Disconnected { address: self.remote.options.address().to_owned(), why: why.to_owned() }
    }

    fn event(&mut self, event: wire::Event) -> Result<Event, Error> {
        let Some(row) = event.row else { return Ok(Event::Missed(event.missed)) };
        if event.revision != self.plan.revision {
            self.remote.refresh()?;
            let topic = format!("{}.{}", self.plan.name, self.output);
            self.plan = self.remote.catalog.load().subscription(&topic)?.1.plan().clone();
        }
        let odd = |text: &str| Error::Problem { code: "protocol".into(), text: text.to_owned() };
        let Some(refusal) = event.refusal else {
            let output = self.plan.outputs.iter().find(|output| output.name == self.output);
            let shape = &output.ok_or_else(|| odd("a row of an output that is not there"))?.shape;
            return Ok(Event::Row(checked(shape, row)?));
        };
        let input = event.input.and_then(|input| self.plan.inputs.get(input as usize));
        let input = input.ok_or_else(|| odd("a refused row of an input that is not there"))?;
        let (stream, row) = (input.name.clone(), checked(&input.shape, row)?);
        let refused = Refused::of(convert::refusal(refusal), &self.plan);
        Ok(Event::Refused(RefusedRowEvent { stream, row, refused }))
    }
}

fn checked(shape: &Arc<Shape>, row: Vec<u8>) -> Result<Row, Error> {
    PackedRow::check(&row, shape)
        .map_err(|error| Error::Problem { code: "protocol".into(), text: error.to_string() })?;
    Ok(Row::new(shape.clone(), row.into()))
}
