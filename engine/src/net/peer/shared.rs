//! What all threads of a node's links share, and a link's life from its handshake to its end.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anabranch_model::zone::MemberId;
use anabranch_wire::peer::PEER_VERSION;
use anabranch_wire::peer::hello::{Hello, Reason, Refused};
use crossbeam_channel::{Receiver, Sender};

use super::accept::Handshakes;
use super::link::{self, Ending, Link};
use super::table::{PeerKey, Table, Taken};
use super::told::Told;
use super::{LinkId, MakeSink, Peer, PeerEvent, PeersConfig, probe, proof};
use crate::log;

/// How long a node that stops waits for its links to end.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Links of a node, and dials on their way to one, at most.
pub(super) const LINKS_MAX: usize = 256;

pub(super) struct Shared {
    pub(super) config: PeersConfig,
    me: Mutex<(Option<MemberId>, String)>,
    events: Sender<PeerEvent>,
    sinks: MakeSink,
    next_link: AtomicU64,
    table: Mutex<Table<Arc<Up>>>,
    /// Links have come or gone, or the node stops.
    changed: Condvar,
    stopping: AtomicBool,
    told: Mutex<Told>,
    pub(super) handshakes: Handshakes,
    targets: Mutex<BTreeMap<String, Arc<AtomicBool>>>,
    /// Where this node has itself reached others.
    reached: Mutex<BTreeMap<String, (u128, SocketAddr)>>,
}

/// A link that is in the table.
pub(super) struct Up {
    pub(super) peer: Arc<Peer>,
    pub(super) link: Arc<Link>,
    pub(super) events: Sender<PeerEvent>,
    told: Mutex<Seen>,
}

/// What was told of a link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Up,
    Lost,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Up {
    fn tell_up(&self) {
        let mut told = locked(&self.told);
        if *told == Seen::Nothing {
            *told = Seen::Up;
            let _ = self.events.send(PeerEvent::Up(self.peer.clone(), self.link.sender()));
        }
    }

    fn tell_lost(&self, refused: bool) {
        let mut told = locked(&self.told);
        if *told == Seen::Up {
            let _ = self.events.send(PeerEvent::Lost { peer: self.peer.clone(), refused });
        }
        *told = Seen::Lost;
    }

    fn key(&self) -> PeerKey {
        key(&self.peer.hello)
    }
}

pub(super) fn key(hello: &Hello) -> PeerKey {
    PeerKey { node: hello.node.clone(), incarnation: hello.incarnation }
}

impl Shared {
    pub(super) fn new(config: PeersConfig, events: Sender<PeerEvent>, sinks: MakeSink) -> Self {
        Shared {
            me: Mutex::new((config.member, config.address.clone())),
            table: Mutex::new(Table::new(&config.node)),
            events,
            sinks,
            next_link: AtomicU64::new(1),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            told: Mutex::default(),
            handshakes: Handshakes::default(),
            targets: Mutex::default(),
            reached: Mutex::default(),
            config,
        }
    }

    pub(super) fn set_member(&self, member: MemberId) {
        locked(&self.me).0 = Some(member);
    }

    pub(super) fn set_address(&self, address: &str) {
        locked(&self.me).1 = address.to_owned();
    }

    /// What this node says of itself, once.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub(super) fn hello(&self) -> Result<Hello, &'static str> {
        let (member, address) = locked(&self.me).clone();
        let config = &self.config;
        Ok(Hello {
            versions: (PEER_VERSION, PEER_VERSION),
            zone: config.zone.clone(),
            node: config.node.clone(),
            incarnation: config.incarnation,
            member,
            workers: config.workers,
            role: config.role,
            clock: (config.clock)(),
            address,
            nonce: proof::nonce()?,
        })
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Ends all links, and dials nobody any more.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let table = locked(&self.table);
        table.links().for_each(|up| up.link.end());
        self.changed.notify_all();
        let _ = self.changed.wait_timeout_while(table, STOP_WITHIN, |table| table.links().next().is_some());
    }

    /// A new address to dial, with the sign that it is to be dialed no more; none where it is dialed already.
    pub(super) fn target(&self, address: &str) -> Option<Arc<AtomicBool>> {
        let mut targets = locked(&self.targets);
        if targets.contains_key(address) {
            return None;
        }
        let forgotten = Arc::new(AtomicBool::new(false));
        targets.insert(address.to_owned(), forgotten.clone());
        Some(forgotten)
    }

    pub(super) fn forget(&self, address: &str) {
        if let Some(forgotten) = locked(&self.targets).remove(address) {
            forgotten.store(true, Ordering::Release);
            let _table = locked(&self.table);
            self.changed.notify_all();
        }
    }

    /// This node reaches another one at an address.
    pub(super) fn reaches(&self, hello: &Hello, at: SocketAddr) {
        locked(&self.reached).insert(hello.node.clone(), (hello.incarnation, at));
    }

    fn reached(&self, key: &PeerKey) -> Option<SocketAddr> {
        let reached = locked(&self.reached);
        reached.get(&key.node).filter(|(incarnation, _)| *incarnation == key.incarnation).map(|(_, at)| *at)
    }

    /// Waits while there is a link with a node of this name that this node has reached itself, unless `over`.
    pub(super) fn wait_while_linked(&self, node: &str, over: impl Fn() -> bool) {
        let linked = |table: &mut Table<Arc<Up>>| {
            let known = |up: &&Arc<Up>| up.peer.hello.node == node && self.reached(&up.key()).is_some();
            !over() && !self.is_stopping() && table.links().any(|up| known(&up))
        };
        drop(self.changed.wait_while(locked(&self.table), linked));
    }

    /// Whether there is a link with a node of this name.
    pub(super) fn has_link_with(&self, node: &str) -> bool {
        locked(&self.table).has_link_with(node)
    }

    /// Waits for so long, unless something changes that matters to `over`.
    pub(super) fn wait(&self, time: Duration, over: impl Fn() -> bool) {
        let table = locked(&self.table);
        drop(self.changed.wait_timeout_while(table, time, |_| !over() && !self.is_stopping()));
    }

    /// This node is about to prove to another that it belongs to the zone; until the claim is dropped.
    ///
    /// # Errors
    /// There is a link, or another thread makes one.
    pub(super) fn claim(&self, hello: &Hello) -> Result<Claim<'_>, Taken> {
        let key = key(hello);
        locked(&self.table).claim(&key)?;
        Ok(Claim { shared: self, key })
    }

    /// Makes a link, where it may be.
    ///
    /// # Errors
    /// There is another one that stays, or there are too many, or the node stops.
    pub(super) fn enter(
        &self,
        stream: &TcpStream,
        hello: Hello,
        dialed: bool,
    ) -> Result<(Arc<Up>, Receiver<Vec<u8>>), Refused> {
        let refused = |reason, text: &str| Refused { reason, text: text.to_owned() };
        let socket = stream.try_clone();
        let socket = socket.map_err(|error| refused(Reason::Busy, &format!("no file handle: {error}")))?;
        let id = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
        let (link, pieces) = Link::over(socket, id);
        let peer = Arc::new(Peer { link: id, hello, dialed });
        let told = Mutex::new(Seen::Nothing);
        let up = Arc::new(Up { peer, link, events: self.events.clone(), told });
        let mut table = locked(&self.table);
        if self.is_stopping() {
            return Err(refused(Reason::Stopping, "this node stops"));
        }
        if !dialed {
            let linked = "there is a link between both nodes, or the one with the smaller name makes it";
            table.may_accept(&up.key()).map_err(|Taken| {
                // If the other node has lost that link, its kernel says so now.
                if let Some(up) = table.link(&up.key()) {
                    up.link.say_something();
                }
                refused(Reason::Linked, linked)
            })?;
            if table.len() >= LINKS_MAX {
                return Err(refused(Reason::Busy, &format!("this node has {LINKS_MAX} links")));
            }
        }
        let before = table.put(up.key(), id, dialed, up.clone());
        drop(table);
        if let Some(before) = before {
            before.link.end();
            before.tell_lost(false);
        }
        Ok((up, pieces))
    }

    /// A link that was entered came to nothing.
    pub(super) fn leave(&self, up: &Up) {
        up.link.end();
        let mut table = locked(&self.table);
        table.remove(&up.key(), up.peer.link);
        self.changed.notify_all();
    }

    /// Runs a link on this thread, from its first frame to its end.
    pub(super) fn run(&self, up: Arc<Up>, pieces: Receiver<Vec<u8>>, socket: &TcpStream, ahead: Vec<u8>) {
        // Whatever happens here, also a bug in what takes frames, the link is told to be lost.
        let mut running = Running { shared: self, up, refused: false };
        let (up, times) = (running.up.clone(), self.config.times);
        let set = socket.set_read_timeout(Some(times.silent));
        let set = set.and_then(|()| socket.set_write_timeout(Some(times.stalled)));
        let started = set.and_then(|()| link::start_writer(up.link.clone(), pieces, times.quiet));
        if let Err(error) = started {
            return log::peer_lost(&up.peer.hello.node, Ending::Broken(error));
        }
        locked(&self.told).forget(&up.peer.hello.node);
        let mut sink = (self.sinks)(&up.peer, &up.link.sender());
        log::peer_up(&up.peer.hello.node, up.peer.dialed);
        up.tell_up();
        let ending = link::read(&up, socket, ahead, &mut *sink);
        log::peer_lost(&up.peer.hello.node, &ending);
        up.link.end();
        if matches!(ending, Ending::Closed) && !self.is_stopping() {
            let at = self.reached(&up.key());
            running.refused = at.is_some_and(|at| probe::is_refused(at, times.probe));
        }
    }

    /// Tells once that something is wrong with whoever is at an address, or comes from there.
    pub(super) fn tell_trouble(&self, whom: &str, why: &str) -> bool {
        locked(&self.told).is_new(whom, why)
    }

    /// All is well with whoever is at an address.
    pub(super) fn tell_well(&self, whom: &str) {
        locked(&self.told).forget(whom);
    }

    /// Tells that this node and one that it dials do not want each other.
    pub(super) fn tell_refused(&self, address: &str, refused: Refused) {
        let _ = self.events.send(PeerEvent::Refused { address: address.to_owned(), refused });
    }
}

/// A link on its way from up to lost.
struct Running<'s> {
    shared: &'s Shared,
    up: Arc<Up>,
    refused: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // First told, then gone: who dials again because it is gone comes behind it.
        self.up.tell_lost(self.refused);
        self.shared.leave(&self.up);
    }
}

/// That this node is about to make a link with another.
pub(super) struct Claim<'s> {
    shared: &'s Shared,
    key: PeerKey,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        locked(&self.shared.table).release(&self.key);
    }
}
