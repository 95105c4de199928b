//! The typed services of flows.

use std::sync::Arc;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::message::{Answer, Body as EngineBody, FlowId, Refusal, RowsAnswer};
use anabranch_model::plan::{InputId, TableId};
use anabranch_model::value::Value;
use anabranch_wire::typed::message::{Refused, Summary, Watch, grpc_status};
use anabranch_wire::typed::row::DecodeError;
use anabranch_wire::typed::{FlowApi, Method};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tower::service_fn;

use super::MESSAGE_BYTES_MAX;
use super::raw::Raw;
use super::watch;
use crate::error::Error;
use crate::key::Key;
use crate::net::gate::Gate;

/// Rows of a bulk call that go to the workers together.
const BULK_ROWS: usize = 256;

/// Refusals that a bulk call tells one by one.
const REFUSALS_TOLD: usize = 100;

/// Rows of a table that are asked for at a time.
const PAGE_ROWS: u32 = 512;

/// Messages of a scan that wait for a slow reader.
const SCAN_AHEAD: usize = 64;

/// A flow with the ways to it.
#[derive(Clone)]
struct Served {
    gate: Gate,
    id: FlowId,
    api: Arc<FlowApi>,
}

/// Answers a request to a flow's service.
pub(crate) async fn serve(gate: Gate, path: &str, request: Request<Incoming>) -> Response<Body> {
    let index = gate.index();
    let Some((id, api, method)) = index.method(path) else { return super::no_method(path, &index) };
    let flow = Served { gate, id, api };
    let mut grpc = Grpc::new(Raw).max_decoding_message_size(MESSAGE_BYTES_MAX);
    match method {
        Method::Ask(input) => {
            let ask = service_fn(move |request: tonic::Request<Bytes>| {
                let flow = flow.clone();
                async move { flow.ask(input, &request.into_inner()).await.map(tonic::Response::new) }
            });
            grpc.unary(ask, request).await
        }
        Method::SendMany(input) => {
            let send = service_fn(move |request: tonic::Request<Streaming<Bytes>>| {
                let flow = flow.clone();
                async move { flow.send_many(input, request.into_inner()).await.map(tonic::Response::new) }
            });
            grpc.client_streaming(send, request).await
        }
        Method::Get(table) => {
            let get = service_fn(move |request: tonic::Request<Bytes>| {
                let flow = flow.clone();
                async move { flow.get(table, &request.into_inner()).await.map(tonic::Response::new) }
            });
            grpc.unary(get, request).await
        }
        Method::Scan(table) => {
            let scan = service_fn(move |request: tonic::Request<Bytes>| {
                let flow = flow.clone();
                async move { flow.scan(table, &request.into_inner()).map(tonic::Response::new) }
            });
            grpc.server_streaming(scan, request).await
        }
        Method::Watch(_) | Method::WatchErrors => {
            let watch = service_fn(move |request: tonic::Request<Bytes>| {
                let flow = flow.clone();
                async move {
                    let from = Watch::decode(request.into_inner())
                        .map_err(|error| Status::invalid_argument(error.to_string()))?;
                    let events = watch::watch(&flow.gate, flow.api.clone(), method, &from.after).await?;
                    Ok::<_, Status>(tonic::Response::new(events))
                }
            });
            grpc.server_streaming(watch, request).await
        }
    }
}

impl Served {
    /// Sends one row; gives its replies.
    async fn ask(&self, input: InputId, message: &[u8]) -> Result<Vec<u8>, Status> {
        let mut batch = Batch::new(SchemaId(input.0.into()));
        self.api.decode_input(input, message, &mut batch).map_err(|error| invalid(&error))?;
        let (api, mut answer) = self.rows(input, batch).await?;
        if let Some(refusal) = answer.refusals.pop() {
            return Err(refused(&api, &refusal));
        }
        let mut reply = Vec::new();
        api.encode_reply(answer.replies.iter().map(|(_, output, row)| (output, row)), &mut reply);
        Ok(reply)
    }

    /// Sends rows as they come; gives what became of them.
    async fn send_many(&self, input: InputId, mut rows: Streaming<Bytes>) -> Result<Vec<u8>, Status> {
        let mut summary = Summary::default();
        let mut batch = Batch::new(SchemaId(input.0.into()));
        let mut taken = 0;
        loop {
            let message = rows.next().await.transpose()?;
            if let Some(message) = &message {
                let decoded = self.api.decode_input(input, message, &mut batch);
                decoded.map_err(|error| {
                    let text =
                        format!("row {}: {error}; the {taken} rows before it were sent", taken + batch.len());
                    Status::invalid_argument(text)
                })?;
            }
            if batch.len() == BULK_ROWS || message.is_none() && !batch.is_empty() {
                let full = std::mem::take(&mut batch);
                let count = full.len();
                let (_, answer) = self.rows(input, full).await?;
                add(&mut summary, answer, taken);
                taken += count;
                batch = Batch::new(SchemaId(input.0.into()));
            }
            if message.is_none() {
                return Ok(summary.encode_to_vec());
            }
        }
    }

    /// The row of a key.
    async fn get(&self, table: TableId, message: &[u8]) -> Result<Vec<u8>, Status> {
        let values = self.api.decode_key(table, message).map_err(|error| invalid(&error))?;
        let key = self.key(table, values)?;
        let body = EngineBody::Get { table, partition: key.partition, key: key.bytes };
        match self.call(body).await? {
            (api, Answer::Row(Some(row))) => {
                let mut message = Vec::new();
                api.encode_table_row(self.table(table, &api)?, &row, &mut message);
                Ok(message)
            }
            _ => {
                let name = &self.api.plan().tables[usize::from(table.0)].name;
                Err(Status::not_found(format!("table `{name}` has no row with this key")))
            }
        }
    }

    /// The rows of a table in key order.
    fn scan(
        &self,
        table: TableId,
        message: &[u8],
    ) -> Result<ReceiverStream<Result<Vec<u8>, Status>>, Status> {
        let scan = self.api.decode_scan(table, message).map_err(|error| invalid(&error))?;
        let after = scan.after.map(|values| self.key(table, values)).transpose()?.map(|key| key.bytes);
        let (sender, rows) = mpsc::channel(SCAN_AHEAD);
        let flow = self.clone();
        tokio::spawn(async move {
            let sent = flow.pages(table, after, scan.limit.unwrap_or(u64::MAX), &sender).await;
            if let Err(status) = sent {
                // Nobody reads any more, or is told.
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(ReceiverStream::new(rows))
    }

    async fn pages(
        &self,
        table: TableId,
        mut after: Option<Vec<u8>>,
        mut limit: u64,
        sender: &mpsc::Sender<Result<Vec<u8>, Status>>,
    ) -> Result<(), Status> {
        while limit > 0 {
            let rows = u32::try_from(limit).unwrap_or(PAGE_ROWS).min(PAGE_ROWS);
            let body = EngineBody::Page { table, after: after.take(), limit: rows };
            let (api, Answer::Page(page)) = self.call(body).await? else { return Ok(()) };
            let as_now = self.table(table, &api)?;
            limit -= page.rows.len() as u64;
            after = page.rows.last().map(|(key, _)| key.clone());
            for (_, row) in page.rows {
                let mut message = Vec::new();
                api.encode_table_row(as_now, &row, &mut message);
                if sender.send(Ok(message)).await.is_err() {
                    return Ok(());
                }
            }
            if !page.more {
                return Ok(());
            }
        }
        Ok(())
    }

    fn key(&self, table: TableId, values: Vec<Value<'static>>) -> Result<Key, Status> {
        Key::of(&self.api.plan().tables[usize::from(table.0)], values.into_iter())
            .map_err(|error| Status::invalid_argument(error.to_string()))
    }

    async fn rows(&self, input: InputId, batch: Batch) -> Result<(Arc<FlowApi>, RowsAnswer), Status> {
        match self.call(EngineBody::Rows { input, batch }).await? {
            (api, Answer::Rows(answer)) => Ok((api, answer)),
            _ => Err(Status::internal("rows were answered with something else")),
        }
    }

    /// The answer to a request, with the interface of the revision that gave it.
    async fn call(&self, body: EngineBody) -> Result<(Arc<FlowApi>, Answer), Status> {
        let (plan, answer) = self.gate.call(self.id, self.api.plan(), body).await.map_err(failed)?;
        let api = match Arc::ptr_eq(&plan, self.api.plan()) {
            true => self.api.clone(),
            false => Arc::new(FlowApi::new(plan)),
        };
        Ok((api, answer))
    }

    /// A table of this interface in that of another revision.
    fn table(&self, table: TableId, api: &FlowApi) -> Result<TableId, Status> {
        let name = &self.api.plan().tables[usize::from(table.0)].name;
        let gone = || Status::failed_precondition(format!("table `{name}` is not there any more"));
        api.plan().table(name).ok_or_else(gone)
    }
}

fn refused(api: &FlowApi, refusal: &Refusal) -> Status {
    let place = refusal.place.map(|place| format!(" ({}:{}:{})", api.plan().file, place.line, place.column));
    let text = format!("{}: {}{}", refusal.code.name(), refusal.text, place.unwrap_or_default());
    Status::new(Code::from_i32(grpc_status(refusal.code)), text)
}

/// Adds what became of rows, of which `before` went before.
fn add(summary: &mut Summary, answer: RowsAnswer, before: usize) {
    summary.accepted += u64::from(answer.accepted);
    summary.refused += answer.refusals.len() as u64;
    let told = answer.refusals.into_iter().take(REFUSALS_TOLD - summary.refusals.len());
    summary.refusals.extend(told.map(|refusal| Refused {
        row: before as u64 + u64::from(refusal.row),
        code: refusal.code.name().to_owned(),
        text: refusal.text,
        line: refusal.place.map_or(0, |place| place.line.into()),
        column: refusal.place.map_or(0, |place| place.column.into()),
    }));
}

fn invalid(error: &DecodeError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn failed(error: Error) -> Status {
    match error {
        Error::Stopped | Error::Full | Error::Storage(_) => Status::unavailable(error.to_string()),
        Error::Denied(why) => Status::permission_denied(why),
        _ => Status::failed_precondition(error.to_string()),
    }
}
