//! Nodes as far as their links are concerned, each with a port of its own, and bare sockets that behave badly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anabranch::peers::wire::hello::{Hello, Refused, Role};
use anabranch::peers::wire::{Found, FrameWriter, Kind, PREFACE, PeerError, find};
use anabranch::peers::{
    LinkSender, MakeSink, Peer, PeerDoor, PeerEvent, PeerSink, PeerTimes, Peers, PeersConfig,
};
use anabranch::{ZoneConfig, ZoneSecret};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

/// Longer than anything takes that is to happen.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Something that came over a link.
pub(crate) type Came = (Arc<Peer>, Kind, Vec<u8>);

/// A port whose connections go to a node's links, until it is closed.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    door: Arc<OnceLock<PeerDoor>>,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    pub(crate) fn open() -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it listens");
        let (door, closed) = (Arc::<OnceLock<PeerDoor>>::default(), Arc::<AtomicBool>::default());
        let (way, ends) = (door.clone(), closed.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                if let (Ok(stream), Some(door)) = (stream, way.get()) {
                    door.take(stream);
                }
            }
        });
        Port { address, door, closed, thread: Some(thread) }
    }

    /// Nothing listens there any more.
    pub(crate) fn close(&mut self) {
        self.closed.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            drop(TcpStream::connect(self.address));
            thread.join().expect("it ends");
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.close();
    }
}

/// A node's links, with what is told of them.
pub(crate) struct Side {
    pub(crate) peers: Peers,
    pub(crate) events: Receiver<PeerEvent>,
    pub(crate) came: Receiver<Came>,
    pub(crate) port: Port,
}

struct Sink {
    peer: Arc<Peer>,
    to: Sender<Came>,
}

impl PeerSink for Sink {
    fn frame(&mut self, kind: Kind, body: &[u8]) -> Result<(), PeerError> {
        match body {
            b"refuse" => return Err(PeerError::Meaning("a test")),
            b"panic" => std::panic::resume_unwind(Box::new("a bug")),
            _ => {}
        }
        let _ = self.to.send((self.peer.clone(), kind, body.to_vec()));
        Ok(())
    }
}

/// Of a node of the zone `demo`.
pub(crate) fn config(node: &str) -> PeersConfig {
    PeersConfig::new(&ZoneConfig::new("demo"), node, u128::from(node.as_bytes()[0]))
}

pub(crate) fn secret(text: &str) -> Option<ZoneSecret> {
    Some(ZoneSecret::new(&format!("{text}, and long enough")).expect("a secret"))
}

impl Side {
    pub(crate) fn plain(node: &str) -> Side {
        Side::with(config(node))
    }

    pub(crate) fn with(mut config: PeersConfig) -> Side {
        let port = Port::open();
        if config.address.is_empty() {
            config.address = port.address.to_string();
        }
        let ((to, events), (out, came)) = (unbounded(), unbounded());
        let sinks: MakeSink = Arc::new(move |peer, _| Box::new(Sink { peer: peer.clone(), to: out.clone() }));
        let peers = Peers::start(config, to, sinks);
        port.door.set(peers.door()).expect("it is set once");
        Side { peers, events, came, port }
    }

    pub(crate) fn at(&self) -> String {
        self.port.address.to_string()
    }

    pub(crate) fn dial(&self, other: &Side) {
        self.peers.dial(&other.at()).expect("it dials");
    }

    pub(crate) fn event(&self) -> PeerEvent {
        self.events.recv_timeout(SOON).expect("something happens")
    }

    /// The next link; what comes before it must be about nothing else.
    pub(crate) fn up(&self) -> (Arc<Peer>, LinkSender) {
        let event = self.event();
        let PeerEvent::Up(peer, sender) = event else { unreachable!("{event:?}") };
        (peer, sender)
    }

    pub(crate) fn lost(&self) -> (Arc<Peer>, bool) {
        let event = self.event();
        let PeerEvent::Lost { peer, refused } = event else { unreachable!("{event:?}") };
        (peer, refused)
    }

    pub(crate) fn refused(&self) -> Refused {
        let event = self.event();
        let PeerEvent::Refused { refused, .. } = event else { unreachable!("{event:?}") };
        refused
    }

    pub(crate) fn nothing_for(&self, time: Duration) {
        let event = self.events.recv_timeout(time);
        assert!(matches!(event, Err(RecvTimeoutError::Timeout)), "{event:?}");
    }
}

pub(crate) fn frame(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, kind);
    frame.body().extend_from_slice(body);
    frame.finish();
    out
}

/// A bare socket to a node's port.
pub(crate) struct Bare {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Bare {
    pub(crate) fn to(side: &Side) -> Bare {
        Bare::over(TcpStream::connect(side.port.address).expect("it listens"))
    }

    pub(crate) fn over(stream: TcpStream) -> Bare {
        stream.set_read_timeout(Some(SOON)).expect("it is a socket");
        Bare { stream, read: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it takes bytes");
    }

    /// The next frame; none at the end.
    pub(crate) fn frame(&mut self) -> Option<(Kind, Vec<u8>)> {
        loop {
            if let Found::Frame { kind, body, length } = find(&self.read).expect("frames") {
                let found = (kind, body.to_vec());
                self.read.drain(..length);
                return Some(found);
            }
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(got) => self.read.extend_from_slice(&piece[..got]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => unreachable!("it neither answers nor ends: {error}"),
            }
        }
    }

    /// Why the node does not want it; after that the connection ends.
    pub(crate) fn turned_down(&mut self) -> Refused {
        let (kind, body) = self.frame().expect("a reason");
        assert_eq!(kind, Kind::Refused);
        assert_eq!(self.frame(), None);
        Refused::read(&body).expect("a reason")
    }

    /// Says hello as this node, without a secret, up to where the link is up.
    pub(crate) fn link(mut self, hello: &Hello) -> Bare {
        let mut out = PREFACE.to_vec();
        hello.write(&mut out);
        self.write(&out);
        assert_eq!(self.frame().map(|(kind, _)| kind), Some(Kind::Hello));
        self.write(&frame(Kind::Proof, &[]));
        assert_eq!(self.frame(), Some((Kind::Proof, Vec::new())));
        self
    }
}

/// What a node called X would say.
pub(crate) fn hello(at: SocketAddr) -> Hello {
    Hello {
        versions: (1, 1),
        zone: "demo".into(),
        node: "X".into(),
        incarnation: 1,
        member: None,
        workers: 1,
        role: Role::Data,
        clock: now(),
        address: at.to_string(),
        nonce: [7; 32],
    }
}

/// The time in microseconds since 1970 UTC.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("it is later").as_micros() as i64
}

/// Of a node that does not wait long.
pub(crate) fn hasty() -> PeerTimes {
    let short = Duration::from_millis(200);
    PeerTimes { handshake: short, stalled: short, silent: short, ..PeerTimes::default() }
}
