//! The servers of a node.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::gate::Gate;
use super::listener::{Listener, Speaks};
use super::subscriptions::Subscriptions;
use crate::error::Error;
use crate::node::Core;

/// How long a server waits for requests under way when it is dropped.
const GRACE: Duration = Duration::from_secs(5);

/// Where a node listens.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// For gRPC; port 0 takes a free one.
    pub grpc: Option<SocketAddr>,
    /// For HTTP; port 0 takes a free one.
    pub http: Option<SocketAddr>,
    /// How long a server waits for its clients.
    pub timeouts: Timeouts,
}

/// How long a server waits for its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the head of an HTTP/1.1 request, an idle connection's next one included: 30 s.
    pub head: Duration,
    /// For the next piece of a body: 30 s.
    pub body: Duration,
    /// For its workers to say that they are ready: 1 s.
    pub ready: Duration,
    /// How often an HTTP subscription without rows gets a sign of life: 15 s.
    pub heartbeat: Duration,
    /// How long a subscription is kept after its connection is lost: 60 s.
    pub subscription: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            ready: Duration::from_secs(1),
            heartbeat: Duration::from_secs(15),
            subscription: Duration::from_secs(60),
        }
    }
}

/// The servers of a node; dropped, they finish what is under way and stop.
#[derive(Debug)]
pub struct Server {
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn start(core: Arc<Core>, listen: &Listen) -> Result<Server, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("anabranch-net")
            .build()
            .map_err(|error| Error::Start(format!("no threads for its servers: {error}")))?;
        let (stop, stopped) = watch::channel(false);
        let subscriptions = Subscriptions::new(core.clone(), listen.timeouts.subscription);
        let gate = Gate::new(core, subscriptions.clone());
        let open = |address: Option<SocketAddr>, speaks: Speaks| -> Result<Option<SocketAddr>, Error> {
            let Some(address) = address else { return Ok(None) };
            let bound = runtime.block_on(bind(address));
            let (socket, bound) = bound
                .map_err(|error| Error::Listen { address: address.to_string(), why: error.to_string() })?;
            let (gate, subscriptions) = (gate.clone(), subscriptions.clone());
            let (timeouts, stopped) = (listen.timeouts, stopped.clone());
            let listener = Listener { socket, speaks, gate, timeouts, subscriptions, stopped };
            runtime.spawn(listener.run());
            Ok(Some(bound))
        };
        let grpc = open(listen.grpc, Speaks::Grpc)?;
        let http = open(listen.http, Speaks::Http)?;
        Ok(Server { grpc, http, stop, runtime: Some(runtime) })
    }

    /// Where it speaks gRPC.
    pub fn grpc(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// Where it speaks HTTP.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }
}

async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind(address).await?;
    let bound = socket.local_addr()?;
    Ok((socket, bound))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(runtime) = self.runtime.take() {
            // In a thread of another runtime waiting is not allowed.
            match tokio::runtime::Handle::try_current() {
                Ok(_) => runtime.shutdown_background(),
                Err(_) => runtime.shutdown_timeout(GRACE),
            }
        }
    }
}
