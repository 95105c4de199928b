//! From a connection to two nodes that know each other, or a reason why not.
//!
//! What keeps a node out, with what it is told: another version (both are named), another zone, a clock that is more than
//! five minutes off, a name or an address that is none, no secret from another machine, a proof that does not hold, being
//! this node itself, bytes that mean nothing, and taking too long for all of it. Nothing is believed before the proof but
//! what is needed to say so.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anabranch_wire::peer::hello::{Hello, Reason, Refused, Role, Unheard};
use anabranch_wire::peer::{
    FRAME_HEAD_BYTES, Found, FrameWriter, HANDSHAKE_BYTES_MAX, Kind, PEER_VERSION, PREFACE, PeerError,
    find_within,
};
use crossbeam_channel::Receiver;

use super::proof::{Hellos, Side};
use super::shared::{Shared, Up};
use crate::name::check_name;
use crate::node::WORKERS_MAX;
use crate::os;
use crate::zone_config::check_address;

/// How far the clocks of two nodes may be apart.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(300);

/// How long a node that was turned down may take to read why.
const READ_WHY_WITHIN: Duration = Duration::from_millis(200);

/// A link, with what it begins with.
pub(super) struct Made {
    pub(super) up: std::sync::Arc<Up>,
    pub(super) pieces: Receiver<Vec<u8>>,
    /// What was read behind the handshake.
    pub(super) ahead: Vec<u8>,
}

/// Why there is no link.
#[derive(Debug)]
pub(super) enum Fault {
    /// The other node does not want this one.
    TurnedDown(Refused),
    /// This node does not want the other one.
    Unwanted(Refused),
    /// There is a link already, with the node of this name.
    Linked(String),
    /// The connection came to nothing.
    Broken(String),
}

impl Fault {
    fn unwanted(reason: Reason, text: impl Into<String>) -> Fault {
        Fault::Unwanted(Refused { reason, text: text.into() })
    }
}

/// As the node that has dialed.
///
/// # Errors
/// Why there is no link.
pub(super) fn dial(shared: &Shared, stream: &TcpStream, at: SocketAddr) -> Result<Made, Fault> {
    let mut talk = Talk::begin(shared, stream);
    let hello = shared.hello().map_err(|why| Fault::Broken(why.to_owned()))?;
    let mut out = PREFACE.to_vec();
    hello.write(&mut out);
    talk.send(&out)?;
    let mine = &out[PREFACE.len() + FRAME_HEAD_BYTES..];
    let theirs = talk.expect(Kind::Hello)?;
    let peer = heard(&theirs)?;
    if is_me(shared, &peer) {
        return Err(Fault::unwanted(Reason::Itself, "this is the node itself"));
    }
    check(shared, &peer)?;
    shared.reaches(&peer, at);
    // The other side finds the connection closed, and thinks nothing of it.
    let claim = shared.claim(&peer).map_err(|_| Fault::Linked(peer.node.clone()))?;
    let (hellos, secret) = (Hellos { dialed: mine, listened: &theirs }, shared.config.secret.as_ref());
    talk.send(&frame(Kind::Proof, &hellos.proof(secret, Side::Dialed)))?;
    let proof = talk.expect(Kind::Proof)?;
    if !hellos.holds(secret, Side::Listened, &proof) {
        return Err(Fault::unwanted(Reason::Secret, unproved(secret.is_some(), proof.is_empty())));
    }
    let (up, pieces) = shared.enter(stream, peer, true).map_err(Fault::Unwanted)?;
    drop(claim);
    Ok(Made { up, pieces, ahead: talk.read })
}

/// As the node that was dialed.
///
/// # Errors
/// Why there is no link; the other node was told where it can be.
pub(super) fn answer(shared: &Shared, stream: &TcpStream, from: SocketAddr) -> Result<Made, Fault> {
    let mut talk = Talk::begin(shared, stream);
    let made = answered(shared, &mut talk, from);
    if let Err(Fault::Unwanted(refused)) = &made {
        talk.turn_down(refused);
    }
    made
}

fn answered(shared: &Shared, talk: &mut Talk<'_>, from: SocketAddr) -> Result<Made, Fault> {
    talk.expect_preface()?;
    let theirs = talk.expect(Kind::Hello)?;
    let peer = heard(&theirs)?;
    if !shared.config.goes_out() && !from.ip().to_canonical().is_loopback() {
        let text = "this node takes peers of other machines only with a zone secret; give one to all nodes of the zone \
                    (--zone-secret), or say --insecure";
        return Err(Fault::unwanted(Reason::Open, text));
    }
    if is_me(shared, &peer) {
        return Err(Fault::unwanted(Reason::Itself, "this is the node itself"));
    }
    check(shared, &peer)?;
    let hello = shared.hello().map_err(|why| Fault::Broken(why.to_owned()))?;
    let mut out = Vec::new();
    hello.write(&mut out);
    talk.send(&out)?;
    let (hellos, secret) =
        (Hellos { dialed: &theirs, listened: &out[FRAME_HEAD_BYTES..] }, shared.config.secret.as_ref());
    let proof = talk.expect(Kind::Proof)?;
    if !hellos.holds(secret, Side::Dialed, &proof) {
        return Err(Fault::unwanted(Reason::Secret, unproved(secret.is_some(), proof.is_empty())));
    }
    let (up, pieces) = shared.enter(talk.stream, peer, false).map_err(Fault::Unwanted)?;
    match talk.send(&frame(Kind::Proof, &hellos.proof(secret, Side::Listened))) {
        Ok(()) => Ok(Made { up, pieces, ahead: std::mem::take(&mut talk.read) }),
        Err(fault) => {
            shared.leave(&up);
            Err(fault)
        }
    }
}

fn is_me(shared: &Shared, peer: &Hello) -> bool {
    (peer.node.as_str(), peer.incarnation) == (shared.config.node.as_str(), shared.config.incarnation)
}

fn frame(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, kind);
    frame.body().extend_from_slice(body);
    frame.finish();
    out
}

/// A hello that can be understood.
fn heard(body: &[u8]) -> Result<Hello, Fault> {
    Hello::read(body).map_err(|unheard| match unheard {
        Unheard::Versions { from, to } => {
            let text = format!(
                "one node speaks version {PEER_VERSION} between nodes, the other one {from} to {to}: run releases that have \
                 one in common"
            );
            Fault::unwanted(Reason::Version, text)
        }
        Unheard::Wrong(error) => garbage(&error),
    })
}

fn garbage(error: &PeerError) -> Fault {
    Fault::unwanted(Reason::Garbage, format!("the other side does not speak as a node of a zone: {error}"))
}

/// Whether this node wants one that says this of itself.
fn check(shared: &Shared, peer: &Hello) -> Result<(), Fault> {
    if peer.zone != shared.config.zone {
        let text = "the other node is of another zone (--zone)";
        return Err(Fault::unwanted(Reason::Zone, text));
    }
    check_name(&peer.node).map_err(|problem| odd("name", problem))?;
    check_address(&peer.address).map_err(|problem| odd("address", problem))?;
    let least = u32::from(peer.role == Role::Data);
    if !(least..=WORKERS_MAX).contains(&peer.workers) {
        return Err(odd("number of workers", "a node has 1 to 256"));
    }
    let apart = peer.clock.abs_diff((shared.config.clock)());
    if u128::from(apart) > CLOCKS_APART_MAX.as_micros() {
        let text =
            format!("the clocks of both nodes are {} s apart, 300 at most: set them", apart / 1_000_000);
        return Err(Fault::unwanted(Reason::Clock, text));
    }
    Ok(())
}

fn odd(what: &str, problem: &str) -> Fault {
    Fault::unwanted(Reason::Odd, format!("the other node has a {what} that is none: {problem}"))
}

/// What is wrong with a proof.
fn unproved(has_secret: bool, has_none: bool) -> &'static str {
    match (has_secret, has_none) {
        (true, true) => {
            "one node has a zone secret and the other one none: give all nodes of the zone the same (--zone-secret)"
        }
        (false, _) => {
            "one node has no zone secret and the other one has: give all nodes of the zone the same (--zone-secret)"
        }
        (true, false) => {
            "the nodes have different zone secrets: give all nodes of the zone the same (--zone-secret)"
        }
    }
}

/// A connection on which both sides speak in turn, until a moment at which it has to be over.
struct Talk<'s> {
    stream: &'s TcpStream,
    /// What was read and not understood yet.
    read: Vec<u8>,
    until: Instant,
}

impl<'s> Talk<'s> {
    fn begin(shared: &Shared, stream: &'s TcpStream) -> Self {
        Talk { stream, read: Vec::new(), until: os::now() + shared.config.times.handshake }
    }

    /// The time that is left.
    fn left(&self) -> Result<Duration, Fault> {
        let left = self.until.saturating_duration_since(os::now());
        match left.is_zero() {
            true => Err(Fault::unwanted(Reason::Slow, "the other node took too long to say who it is")),
            false => Ok(left),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let left = self.left()?;
        let sent = self.stream.set_write_timeout(Some(left)).and_then(|()| self.stream.write_all(bytes));
        sent.map_err(|error| Fault::Broken(format!("the connection broke: {error}")))
    }

    fn receive(&mut self) -> Result<(), Fault> {
        let left = self.left()?;
        let mut piece = [0; 1024];
        let got = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read(&mut piece));
        match got {
            Ok(0) => Err(Fault::Broken("the other side has closed the connection".to_owned())),
            Ok(got) => {
                self.read.extend_from_slice(&piece[..got]);
                Ok(())
            }
            Err(error) => match error.kind() {
                // Whether that was all the time there is, the next look says.
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(()),
                _ => Err(Fault::Broken(format!("the connection broke: {error}"))),
            },
        }
    }

    fn expect_preface(&mut self) -> Result<(), Fault> {
        while self.read.len() < PREFACE.len() {
            if self.read != PREFACE[..self.read.len()] {
                break;
            }
            self.receive()?;
        }
        match self.read.starts_with(PREFACE) {
            true => {
                self.read.drain(..PREFACE.len());
                Ok(())
            }
            // Who this is nobody knows, nor what it would understand.
            false => Err(Fault::Broken("it does not begin as a node does".to_owned())),
        }
    }

    /// The body of the next frame, which is to be of this kind.
    fn expect(&mut self, wanted: Kind) -> Result<Vec<u8>, Fault> {
        loop {
            if self.read.starts_with(b"HTTP") {
                let text = "what listens there is no node of a zone: it answers in HTTP";
                return Err(Fault::Broken(text.to_owned()));
            }
            match find_within(&self.read, HANDSHAKE_BYTES_MAX).map_err(|error| garbage(&error))? {
                Found::Part { .. } => self.receive()?,
                Found::Frame { kind, body, length } => {
                    let body = body.to_vec();
                    self.read.drain(..length);
                    return match kind {
                        Kind::Refused => {
                            let refused = Refused::read(&body).map_err(|error| garbage(&error))?;
                            Err(Fault::TurnedDown(refused))
                        }
                        kind if kind == wanted => Ok(body),
                        kind => Err(garbage(&PeerError::Kind(kind as u8))),
                    };
                }
            }
        }
    }

    /// Says why; as far as that goes.
    fn turn_down(&mut self, refused: &Refused) {
        self.until = os::now() + READ_WHY_WITHIN;
        let mut out = Vec::new();
        refused.write(&mut out);
        let said = self.send(&out).is_ok() && self.stream.shutdown(Shutdown::Write).is_ok();
        // What was sent here and not read would make the kernel take back what was said.
        self.read.clear();
        while said && self.read.len() < HANDSHAKE_BYTES_MAX && self.receive().is_ok() {}
    }
}
