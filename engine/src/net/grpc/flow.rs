//! The typed services of flows.

use std::sync::Arc;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::message::{Answer, Body as EngineBody, FlowId, Page, Reads, Refusal, RowsAnswer};
use anabranch_model::plan::{InputId, TableId};
use anabranch_model::value::Value;
use anabranch_wire::typed::message::{Watch, grpc_status};
use anabranch_wire::typed::row::{DecodeError, MESSAGE_BYTES_MAX};
use anabranch_wire::typed::{FlowApi, Method};
use bytes::Bytes;
use http::{Request, Response};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tower::service_fn;

use super::body::Paced;
use super::bulk::Bulk;
use super::raw::Raw;
use super::status::status;
use super::{stream, watch};
use crate::error::Error;
use crate::idempotency_key::IdempotencyKey;
use crate::key::Key;
use crate::net::gate::Gate;
use crate::storage_error::StorageError;

/// Rows of a table that are asked for at a time.
const PAGE_ROWS: u32 = 512;

/// Messages of a scan that wait for a slow reader.
const SCAN_AHEAD: usize = 64;

/// The metadata that says what a reader is content with.
const READ: &str = "anabranch-read";

/// A flow with the ways to it.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) gate: Gate,
    pub(super) id: FlowId,
    pub(super) api: Arc<FlowApi>,
}

/// Answers a request to a flow's service.
pub(crate) async fn serve(gate: Gate, path: &str, request: Request<Paced>) -> Response<Body> {
    let index = gate.index();
    let Some((id, api, method)) = index.method(path) else { return super::no_method(path, &index) };
    let flow = Served { gate, id, api };
    let mut grpc = Grpc::new(Raw).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let request = request.map(|body| body.at_most(MESSAGE_BYTES_MAX));
    match method {
        Method::Ask(input) => {
            let ask = service_fn(move |request: tonic::Request<Bytes>| {
                let flow = flow.clone();
                async move {
                    let key = key(request.metadata(), flow.gate.core.time())?;
                    flow.ask(input, &request.into_inner(), key).await.map(tonic::Response::new)
                }
            });
            grpc.unary(ask, request.map(Paced::one)).await
        }
        Method::SendMany(input) => {
            let send = service_fn(move |request: tonic::Request<Streaming<Bytes>>| {
                let flow = flow.clone();
                async move {
                    let key = key(request.metadata(), flow.gate.core.time())?;
                    let summary = Bulk::new(flow, input, key).run(request.into_inner()).await?;
                    Ok::<_, Status>(tonic::Response::new(summary.encode_to_vec()))
                }
            });
            grpc.client_streaming(send, request).await
        }
        Method::Get(table) => {
            let get = service_fn(move |request: tonic::Request<Bytes>| {
                let flow = flow.clone();
                async move {
                    let reads = reads(request.metadata())?;
                    flow.get(table, &request.into_inner(), reads).await.map(|row| told(row, reads))
                }
            });
            grpc.unary(get, request.map(Paced::one)).await
        }
        Method::Scan(table) => {
            let scan = service_fn(move |request: tonic::Request<Bytes>| {
                let flow = flow.clone();
                async move {
                    let reads = reads(request.metadata())?;
                    flow.scan(table, &request.into_inner(), reads).map(|rows| told(rows, reads))
                }
            });
            grpc.server_streaming(scan, request.map(Paced::one)).await
        }
        Method::Watch(_) | Method::WatchErrors => {
            let watch = service_fn(move |request: tonic::Request<Bytes>| {
                let flow = flow.clone();
                async move {
                    let from = Watch::decode(request.into_inner())
                        .map_err(|error| status(Code::InvalidArgument, &error.to_string()))?;
                    let events = watch::watch(&flow.gate, flow.api.clone(), method, &from.after).await?;
                    Ok::<_, Status>(tonic::Response::new(events))
                }
            });
            grpc.server_streaming(watch, request.map(Paced::one)).await
        }
    }
}

impl Served {
    /// Sends one row; gives its replies.
    async fn ask(
        &self,
        input: InputId,
        message: &[u8],
        key: Option<IdempotencyKey>,
    ) -> Result<Vec<u8>, Status> {
        let mut batch = Batch::new(SchemaId(input.0.into()));
        self.api.decode_input(input, message, &mut batch).map_err(|error| invalid(&error))?;
        let (api, mut answer) = self.rows(input, batch, key).await?;
        if let Some(refusal) = answer.refusals.pop() {
            return Err(refused(&api, &refusal));
        }
        let mut reply = Vec::new();
        api.encode_reply(answer.replies.iter().map(|(_, output, row)| (output, row)), &mut reply);
        Ok(reply)
    }

    /// The row of a key.
    async fn get(&self, table: TableId, message: &[u8], reads: Reads) -> Result<Vec<u8>, Status> {
        let values = self.api.decode_key(table, message).map_err(|error| invalid(&error))?;
        let key = self.key(table, values)?;
        let body = EngineBody::Get { table, partition: key.partition, key: key.bytes, reads };
        match self.call(body).await? {
            (api, Answer::Row(Some(row))) => {
                let mut message = Vec::new();
                api.encode_table_row(self.table(table, &api)?, &row, &mut message);
                Ok(message)
            }
            _ => {
                let name = &self.api.plan().tables[usize::from(table.0)].name;
                Err(status(Code::NotFound, &format!("table `{name}` has no row with this key")))
            }
        }
    }

    /// The rows of a table in key order.
    fn scan(
        &self,
        table: TableId,
        message: &[u8],
        reads: Reads,
    ) -> Result<ReceiverStream<Result<Vec<u8>, Status>>, Status> {
        let scan = self.api.decode_scan(table, message).map_err(|error| invalid(&error))?;
        let after = scan.after.map(|values| self.key(table, values)).transpose()?.map(|key| key.bytes);
        let (sender, rows) = mpsc::channel(SCAN_AHEAD);
        let (flow, limit) = (self.clone(), scan.limit.unwrap_or(u64::MAX));
        let writer = sender.clone();
        stream::spawn(sender, async move { flow.pages(table, after, limit, reads, &writer).await });
        Ok(ReceiverStream::new(rows))
    }

    async fn pages(
        &self,
        table: TableId,
        mut after: Option<Vec<u8>>,
        mut left: u64,
        reads: Reads,
        sender: &mpsc::Sender<Result<Vec<u8>, Status>>,
    ) -> Result<(), Status> {
        while left > 0 {
            let (api, page) = self.page(table, after.take(), left, reads).await?;
            let as_now = self.table(table, &api)?;
            left -= page.rows.len() as u64;
            after = page.rows.last().map(|(key, _)| key.clone());
            for (_, row) in page.rows {
                let mut message = Vec::new();
                api.encode_table_row(as_now, &row, &mut message);
                if sender.send(Ok(message)).await.is_err() {
                    return Ok(());
                }
            }
            if !page.more || after.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The next page of a scan, at most `left` rows.
    async fn page(
        &self,
        table: TableId,
        after: Option<Vec<u8>>,
        left: u64,
        reads: Reads,
    ) -> Result<(Arc<FlowApi>, Page), Status> {
        let limit = u32::try_from(left).unwrap_or(PAGE_ROWS).min(PAGE_ROWS);
        match self.call(EngineBody::Page { table, after, limit, reads }).await? {
            (api, Answer::Page(mut page)) => {
                // Every worker gave so many.
                if page.rows.len() > limit as usize {
                    page.rows.truncate(limit as usize);
                    page.more = true;
                }
                Ok((api, page))
            }
            _ => Err(Status::internal("a page was answered with something else")),
        }
    }

    fn key(&self, table: TableId, values: Vec<Value<'static>>) -> Result<Key, Status> {
        Key::of(&self.api.plan().tables[usize::from(table.0)], values.into_iter())
            .map_err(|error| status(Code::InvalidArgument, &error.to_string()))
    }

    async fn rows(
        &self,
        input: InputId,
        batch: Batch,
        key: Option<IdempotencyKey>,
    ) -> Result<(Arc<FlowApi>, RowsAnswer), Status> {
        match self.call_once(EngineBody::Rows { input, batch }, key).await? {
            (api, Answer::Rows(answer)) => Ok((api, answer)),
            _ => Err(Status::internal("rows were answered with something else")),
        }
    }

    /// The answer to a request, with the interface of the revision that gave it.
    async fn call(&self, body: EngineBody) -> Result<(Arc<FlowApi>, Answer), Status> {
        self.call_once(body, None).await
    }

    async fn call_once(
        &self,
        body: EngineBody,
        key: Option<IdempotencyKey>,
    ) -> Result<(Arc<FlowApi>, Answer), Status> {
        let called = self.gate.call_once(self.id, self.api.plan(), body, key).await;
        let (plan, answer) = called.map_err(|error| failed(&error))?;
        let api = match Arc::ptr_eq(&plan, self.api.plan()) {
            true => self.api.clone(),
            false => Arc::new(FlowApi::new(plan)),
        };
        Ok((api, answer))
    }

    /// A table of this interface in that of another revision.
    fn table(&self, table: TableId, api: &FlowApi) -> Result<TableId, Status> {
        let name = &self.api.plan().tables[usize::from(table.0)].name;
        let gone = || status(Code::FailedPrecondition, &format!("table `{name}` is not there any more"));
        api.plan().table(name).ok_or_else(gone)
    }
}

/// The key of a call that is to take effect once: `idempotency-key` in its metadata.
fn key(metadata: &MetadataMap, now: i64) -> Result<Option<IdempotencyKey>, Status> {
    let Some(key) = metadata.get("idempotency-key") else { return Ok(None) };
    let key = IdempotencyKey::parse(key.to_str().unwrap_or_default(), now);
    key.map(Some).map_err(|error| status(Code::InvalidArgument, &error.to_string()))
}

fn refused(api: &FlowApi, refusal: &Refusal) -> Status {
    let place = refusal.place.map(|place| format!(" ({}:{}:{})", api.plan().file, place.line, place.column));
    let text = format!("{}: {}{}", refusal.code.name(), refusal.text, place.unwrap_or_default());
    status(Code::from_i32(grpc_status(refusal.code)), &text)
}

fn invalid(error: &DecodeError) -> Status {
    status(Code::InvalidArgument, &error.to_string())
}

/// What a reader is content with: metadata `anabranch-read: stale`.
fn reads(metadata: &MetadataMap) -> Result<Reads, Status> {
    match metadata.get(READ).map(|value| value.to_str()) {
        None | Some(Ok("safe")) => Ok(Reads::Safe),
        Some(Ok("stale")) => Ok(Reads::Stale),
        Some(_) => Err(status(
            Code::InvalidArgument,
            "`anabranch-read` is `safe` or `stale`; leave it out for `safe`",
        )),
    }
}

/// An answer that says where it did not wait for what it shows to be safe.
fn told<T>(answer: T, reads: Reads) -> tonic::Response<T> {
    let mut response = tonic::Response::new(answer);
    if reads == Reads::Stale {
        response.metadata_mut().insert(READ, MetadataValue::from_static("stale"));
    }
    response
}

pub(super) fn failed(error: &Error) -> Status {
    let code = match error {
        Error::Storage(StorageError::Halted(_)) => Code::ResourceExhausted,
        Error::Stopped | Error::Full | Error::Storage(_) => Code::Unavailable,
        Error::Denied(_) => Code::PermissionDenied,
        _ => Code::FailedPrecondition,
    };
    status(code, &error.to_string())
}
