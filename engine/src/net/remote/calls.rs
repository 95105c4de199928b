//! Calls beside the session: one request, one answer. They have no order with the session's requests.

use std::error::Error as _;

use anabranch_wire::session::{StatusReply, StatusRequest};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::Remote;
use crate::error::Error;
use crate::status::NodeStatus;

impl Remote {
    /// What the node knows of itself now.
    pub(crate) fn status(&mut self) -> Result<NodeStatus, Error> {
        let reply: StatusReply = self.call("/anabranch.v1.Node/Status", StatusRequest {})?;
        serde_json::from_str(&reply.json)
            .map_err(|error| Error::Problem { code: "protocol".into(), text: format!("the status: {error}") })
    }

    /// Calls a method and waits for its answer.
    fn call<Q, R>(&mut self, path: &'static str, request: Q) -> Result<R, Error>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        if self.session.is_none() {
            self.reconnect()?;
        }
        let Some(session) = &mut self.session else { return Err(Error::Stopped) };
        let (request, path) = (tonic::Request::new(request), PathAndQuery::from_static(path));
        let codec = ProstCodec::<Q, R>::default();
        let answered = self.runtime.block_on(session.grpc.unary(request, path, codec));
        answered.map(tonic::Response::into_inner).map_err(|status| self.refused(&status))
    }

    /// Why a call has no answer. One that did not come from the node is the end of the connection.
    fn refused(&mut self, status: &Status) -> Error {
        let text = status.message().to_owned();
        if status.source().is_some() {
            self.lost(&text);
            return Error::Disconnected { address: self.address.clone(), why: text };
        }
        let code = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => "denied",
            Code::Unavailable => "stopped",
            Code::NotFound => "unknown",
            Code::InvalidArgument | Code::FailedPrecondition => "invalid",
            _ => "failed",
        };
        Error::Problem { code: code.into(), text }
    }
}
