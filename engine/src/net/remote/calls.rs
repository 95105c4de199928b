//! Calls beside the session: one request, one answer. They have no order with the session's requests.

use std::error::Error as _;
use std::sync::Arc;

use anabranch_wire::session::{
    CatalogReply, CatalogRequest, DeployReply, DeployRequest, DropReply, DropRequest, SESSION_VERSION,
    StatusReply, StatusRequest, ZoneReply, ZoneRequest,
};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::{Remote, catalog};
use crate::deploy::Deployed;
use crate::error::Error;
use crate::flow::Flow;
use crate::status::NodeStatus;
use crate::zone_status::ZoneStatus;

impl Remote {
    /// What the node knows of itself now.
    pub(crate) fn status(&mut self) -> Result<NodeStatus, Error> {
        let reply: StatusReply = self.call("/anabranch.v1.Node/Status", StatusRequest {})?;
        serde_json::from_str(&reply.json)
            .map_err(|error| Error::Problem { code: "protocol".into(), text: format!("the status: {error}") })
    }

    /// What the node knows of its zone now.
    pub(crate) fn zone(&mut self) -> Result<Option<ZoneStatus>, Error> {
        let reply: ZoneReply = self.call("/anabranch.v1.Node/Zone", ZoneRequest {})?;
        reply.json.as_deref().map(serde_json::from_str).transpose().map_err(|error| Error::Problem {
            code: "protocol".into(),
            text: format!("the status of the zone: {error}"),
        })
    }

    /// Installs a flow at the node, or puts it in the place of its older revision.
    pub(crate) fn deploy(&mut self, flow: Flow) -> Result<Deployed, Error> {
        let (file, text, name) = (flow.plan().file.clone(), flow.text().to_owned(), flow.name().to_owned());
        let request = DeployRequest { file, text, flow: name };
        let reply: DeployReply = self.call("/anabranch.v1.Node/Deploy", request)?;
        let odd = |error: serde_json::Error| Error::Problem {
            code: "protocol".into(),
            text: format!("the deploy: {error}"),
        };
        if let Some(refused) = &reply.refused {
            return Err(Error::Evolution(serde_json::from_str(refused).map_err(odd)?));
        }
        let before = serde_json::from_str(&reply.before).map_err(odd)?;
        self.refresh()?;
        Ok(Deployed { flow, before, breaks: reply.breaks })
    }

    /// Drops a flow of the node with its rows.
    pub(crate) fn drop_flow(&mut self, name: &str) -> Result<(), Error> {
        let DropReply {} = self.call("/anabranch.v1.Node/Drop", DropRequest { flow: name.to_owned() })?;
        self.refresh()
    }

    /// Asks for the flows that the node runs now.
    pub(crate) fn refresh(&mut self) -> Result<(), Error> {
        let request = CatalogRequest { version: SESSION_VERSION };
        let reply: CatalogReply = self.call("/anabranch.v1.Node/Catalog", request)?;
        self.catalog.store(Arc::new(catalog(reply)?));
        Ok(())
    }

    /// Calls a method and waits for its answer.
    fn call<Q, R>(&mut self, path: &'static str, request: Q) -> Result<R, Error>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        if self.session.is_none() {
            match self.sent.is_empty() {
                true => self.reconnect()?,
                // Nobody else would send it on the new session.
                false => self.repeat(),
            }
        }
        let Some(session) = &mut self.session else {
            let (address, why) = (self.options.address().to_owned(), "it does not come back".to_owned());
            return Err(Error::Disconnected { address, why });
        };
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
            return Error::Disconnected { address: self.options.address().to_owned(), why: text };
        }
        let code = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => return Error::Denied(text),
            Code::Unavailable => "stopped",
            Code::NotFound => "unknown",
            Code::InvalidArgument | Code::FailedPrecondition => "invalid",
            _ => "failed",
        };
        Error::Problem { code: code.into(), text }
    }
}
