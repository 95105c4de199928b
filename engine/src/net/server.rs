//! The servers of a node.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use super::connection::{Service, Speaks};
use super::gate::Gate;
use super::guard::Guard;
use super::http as http_interface;
use super::listen::Listen;
use super::listener::{Listener, Places};
use super::subscriptions::Subscriptions;
use crate::error::Error;
use crate::log;
use crate::node::Core;

/// How long a server waits for requests under way when it is dropped. Streams that never end are cut then.
const GRACE: Duration = Duration::from_secs(1);

/// Connections that wait for a listener in the operating system, at most: clients of a node that was restarted come all at
/// once, and one that finds no room tries again only after a second. The system may allow fewer.
const BACKLOG_MAX: u32 = 4096;

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
    connections: watch::Receiver<usize>,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn start(core: Arc<Core>, listen: &Listen) -> Result<Server, Error> {
        listen.check_names()?;
        [listen.grpc, listen.http].into_iter().flatten().try_for_each(|address| listen.check(address))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("anabranch-net")
            .build()
            .map_err(|error| Error::Start(format!("no threads for its servers: {error}")))?;
        let (stop, stopped) = watch::channel(false);
        let subscriptions = Subscriptions::new(core.clone(), listen.timeouts.subscription);
        let peers = core.zone().peers();
        let gate = Gate::new(core, subscriptions, stopped.clone());
        let (open_connections, connections) = watch::channel(0);
        let open_connections = Arc::new(open_connections);
        let open = |address: Option<SocketAddr>, speaks: Speaks| -> Result<Option<SocketAddr>, Error> {
            let Some(address) = address else { return Ok(None) };
            let bound = runtime.block_on(async { bind(address) });
            let (socket, bound) = bound
                .map_err(|error| Error::Listen { address: address.to_string(), why: error.to_string() })?;
            let service = Service {
                speaks,
                gate: gate.clone(),
                router: http_interface::router(gate.clone(), listen.timeouts),
                guard: Guard::new(listen, bound),
                tls: listen.tls.as_ref().map(|tls| tls.acceptor()),
                limits: listen.limits.clone(),
                head: listen.timeouts.head,
                timeouts: listen.timeouts,
                peers: peers.clone().filter(|_| speaks == Speaks::Grpc),
            };
            let places = Places::new(&listen.limits, gate.traffic.of(speaks), open_connections.clone());
            runtime.spawn(Listener { socket, service, places, stopped: stopped.clone() }.run());
            log::listens(speaks.name(), bound, listen.tls.is_some());
            Ok(Some(bound))
        };
        let grpc = open(listen.grpc, Speaks::Grpc)?;
        let http = open(listen.http, Speaks::Http)?;
        Ok(Server { grpc, http, stop, connections, runtime: Some(runtime) })
    }

    /// Where it speaks gRPC.
    pub fn grpc(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// Where it speaks HTTP.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until so many connections are open. Whether that came about in time.
    pub fn wait_for_connections(&self, count: usize, within: Duration) -> bool {
        let mut connections = self.connections.clone();
        let Some(runtime) = &self.runtime else { return false };
        runtime.block_on(async move {
            timeout(within, connections.wait_for(|now| *now == count))
                .await
                .is_ok_and(|waited| waited.is_ok())
        })
    }
}

/// Must be called within the runtime.
fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of a node that ran here a moment ago do not keep the address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let socket = socket.listen(BACKLOG_MAX)?;
    let bound = socket.local_addr()?;
    Ok((socket, bound))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        // In a thread of another runtime waiting is not allowed.
        let may_wait = tokio::runtime::Handle::try_current().is_err();
        if may_wait {
            self.wait_for_connections(0, GRACE);
        }
        if let Some(runtime) = self.runtime.take() {
            match may_wait {
                true => runtime.shutdown_timeout(GRACE),
                false => runtime.shutdown_background(),
            }
        }
    }
}
