//! A listening socket: takes connections, as many as there may be, and counts them.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::connection::Service;
use super::limits::NetLimits;
use super::traffic::{Count, Counted, Gauge, Protocol};
use crate::log;

/// How long no connection is taken, at most, after one could not be.
const REST: Duration = Duration::from_millis(50);

/// A listening socket.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) service: Service,
    pub(crate) places: Places,
    pub(crate) stopped: watch::Receiver<bool>,
}

impl Listener {
    /// Accepts connections until the server stops.
    pub(crate) async fn run(mut self) {
        let service = Arc::new(self.service);
        loop {
            let Some(room) = self.places.room().await else { return };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ = self.stopped.wait_for(|stopped| *stopped) => return,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.places.rest(&error).await;
                    continue;
                }
            };
            // One that its address has too many of is closed here.
            let Some(place) = self.places.take(room, from.ip()) else { continue };
            tokio::spawn(serve(service.clone(), stream, from, self.stopped.clone(), place));
        }
    }
}

async fn serve(
    service: Arc<Service>,
    stream: TcpStream,
    from: SocketAddr,
    stopped: watch::Receiver<bool>,
    place: Place,
) {
    service.serve(stream, from, stopped).await;
    drop(place);
}

/// The places for connections of a listener.
pub(crate) struct Places {
    room: Arc<Semaphore>,
    limits: NetLimits,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    gauge: Gauge,
    turned_away: Count,
    /// Connections of all listeners.
    open: Arc<watch::Sender<usize>>,
}

/// A place that is taken until it is dropped.
pub(crate) struct Place {
    _room: OwnedSemaphorePermit,
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    open: Arc<watch::Sender<usize>>,
    _counted: Counted,
}

impl Places {
    /// Places for a listener, counted by its protocol; `open` has those of all.
    pub(crate) fn new(limits: &NetLimits, protocol: &Protocol, open: Arc<watch::Sender<usize>>) -> Self {
        Places {
            room: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            limits: limits.clone(),
            by_address: Arc::default(),
            gauge: protocol.connections.clone(),
            turned_away: protocol.turned_away.clone(),
            open,
        }
    }

    /// Waits until there is room for a connection.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.ok()
    }

    /// After a connection could not be taken: one that ended in the queue is nothing to wait for; where file handles are
    /// missing, some come back when a connection ends, or when others of the process give theirs back.
    async fn rest(&self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            log::cannot_accept(error);
            let mut connections = self.open.subscribe();
            let _ = timeout(REST, connections.changed()).await;
        }
    }

    /// A place for an address that does not have too many.
    fn take(&self, room: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let most = self.limits.of_address(address.is_loopback());
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            self.turned_away.add();
            log::connection_refused(address, *count);
            return None;
        }
        *count += 1;
        self.open.send_modify(|open| *open += 1);
        let (by_address, open) = (self.by_address.clone(), self.open.clone());
        Some(Place { _room: room, address, by_address, open, _counted: self.gauge.enter() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
        drop(counts);
        self.open.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::connection::Speaks;
    use crate::net::traffic::Traffic;

    #[test]
    fn another_machine_gets_a_quarter_of_the_connections_and_this_one_all() {
        let limits = NetLimits { connections: 8, ..NetLimits::default() };
        let traffic = Traffic::default();
        let open = Arc::new(watch::channel(0).0);
        let places = Places::new(&limits, traffic.of(Speaks::Http), open);
        let take = |address: [u8; 4]| {
            let room = places.room.clone().try_acquire_owned().ok()?;
            places.take(room, address.into())
        };
        let far: Vec<_> = (0..3).map(|_| take([10, 0, 0, 1])).collect();
        assert_eq!(far.iter().flatten().count(), 2);
        let near: Vec<_> = (0..8).map(|_| take([127, 0, 0, 1])).collect();
        assert_eq!(near.iter().flatten().count(), 6);
    }
}
