//! A node that says nothing: it has nothing to say yet, or stands still, and then another of its zone is asked.
//!
//! A connection to a machine that stands still, or is cut off, looks like one on which nothing happens. A client that knows
//! another node therefore asks beside the session whether the node is there.

use std::time::Duration;

use anabranch_wire::health::{HealthReply, HealthRequest};
use anabranch_wire::session::Answers;
use http::uri::PathAndQuery;
use tonic::Status;
use tonic_prost::ProstCodec;

use super::Session;

/// How long a node may say nothing while a client waits for an answer.
const SILENT_FOR: Duration = Duration::from_secs(2);

/// How long it may then take to say that it is there.
const SIGN_WITHIN: Duration = Duration::from_secs(1);

impl Session {
    /// The next message of a node that is not the only one known.
    ///
    /// # Errors
    /// The session is lost, or the node gives no sign of life.
    pub(super) async fn next_or_sign(&mut self) -> Result<Option<Answers>, Status> {
        loop {
            // What has come of a message stays where it is while the sign is asked for.
            match tokio::time::timeout(SILENT_FOR, self.answers.message()).await {
                Ok(message) => return message,
                Err(_) => self.sign().await?,
            }
        }
    }

    /// Any answer is a sign: also that of a node which does not serve.
    async fn sign(&mut self) -> Result<(), Status> {
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        let codec = ProstCodec::<HealthRequest, HealthReply>::default();
        let request = tonic::Request::new(HealthRequest::default());
        let asked = tokio::time::timeout(SIGN_WITHIN, self.grpc.unary(request, path, codec)).await;
        match asked {
            Ok(Err(status)) if std::error::Error::source(&status).is_some() => Err(status),
            Ok(_) => Ok(()),
            Err(_) => Err(Status::unavailable("the node gives no sign of life")),
        }
    }
}
