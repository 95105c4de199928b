//! A link that is up: one thread writes what is there, one reads what comes.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anabranch_wire::peer::{FrameWriter, Kind, PeerError};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::frames::Frames;
use super::shared::Up;
use super::{LinkId, PeerEvent, PeerSink};
use crate::os;

/// Pieces, and bytes of them, that one write has, about.
const GATHERED_PIECES_MAX: usize = 64;
const GATHERED_BYTES_MAX: usize = 1 << 20;

/// How often the writer looks for more before it waits to be woken: who has just sent something often sends more at once,
/// and to be woken takes longer than to look.
const LOOKS: u32 = 100;

/// Sends frames over a link. A clone sends over the same one.
#[derive(Clone)]
pub struct LinkSender {
    link: Arc<Link>,
}

impl LinkSender {
    /// Sends whole frames, behind those that were sent before; never waits. False when the link has ended.
    ///
    /// What is sent is kept until it is written, however slow the other side is: whoever sends looks at
    /// [`LinkSender::queued_bytes`], or bounds what it has under way in another manner.
    pub fn send(&self, frames: Vec<u8>) -> bool {
        if self.link.ended.load(Ordering::Acquire) {
            return false;
        }
        if frames.is_empty() {
            return true;
        }
        self.link.queued.fetch_add(frames.len(), Ordering::Relaxed);
        self.link.outgoing.send(frames).is_ok()
    }

    /// Bytes that wait to be written.
    pub fn queued_bytes(&self) -> usize {
        self.link.queued.load(Ordering::Relaxed)
    }

    /// Which link it is.
    pub fn id(&self) -> LinkId {
        self.link.id
    }

    /// Whether it has not ended. It may do so at any time.
    pub fn is_up(&self) -> bool {
        !self.link.ended.load(Ordering::Acquire)
    }

    /// Ends the link; [`PeerEvent::Lost`] follows. What waits is not written any more.
    pub fn end(&self) {
        self.link.end();
    }
}

impl fmt::Debug for LinkSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSender").field("link", &self.link.id.0).field("up", &self.is_up()).finish()
    }
}

/// What both threads of a link, and those who send over it, share.
pub(super) struct Link {
    id: LinkId,
    outgoing: Sender<Vec<u8>>,
    queued: AtomicUsize,
    socket: TcpStream,
    ended: AtomicBool,
}

impl Link {
    /// A link over a socket, and what is to be written.
    pub(super) fn over(socket: TcpStream, id: LinkId) -> (Arc<Link>, Receiver<Vec<u8>>) {
        let (outgoing, pieces) = unbounded();
        let ended = AtomicBool::new(false);
        (Arc::new(Link { id, outgoing, queued: AtomicUsize::new(0), socket, ended }), pieces)
    }

    pub(super) fn sender(self: &Arc<Self>) -> LinkSender {
        LinkSender { link: self.clone() }
    }

    /// Ends it from this side: both threads come to their end.
    pub(super) fn end(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            // One that the other side has closed is closed already.
            let _ = self.socket.shutdown(Shutdown::Both);
            // Wakes the writer.
            let _ = self.outgoing.send(Vec::new());
        }
    }

    /// Sends a sign of life.
    pub(super) fn say_something(self: &Arc<Self>) {
        let mut out = Vec::new();
        FrameWriter::begin(&mut out, Kind::Idle).finish();
        self.sender().send(out);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Writes what is there until the link ends.
    pub(super) fn write(&self, pieces: &Receiver<Vec<u8>>, quiet: Duration) {
        if let Err(error) = self.write_all(pieces, quiet) {
            crate::log::peer_unwritable(self.id.0, &error);
        }
        self.end();
    }

    fn write_all(&self, pieces: &Receiver<Vec<u8>>, quiet: Duration) -> io::Result<()> {
        let mut gathered = Vec::new();
        loop {
            match next(pieces, quiet) {
                Ok(piece) => gathered.push(piece),
                Err(RecvTimeoutError::Timeout) => gathered.push(sign_of_life(&self.queued)),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let mut bytes = gathered[0].len();
            while gathered.len() < GATHERED_PIECES_MAX && bytes < GATHERED_BYTES_MAX {
                let Ok(piece) = pieces.try_recv() else { break };
                bytes += piece.len();
                gathered.push(piece);
            }
            if self.has_ended() {
                return Ok(());
            }
            write_pieces(&mut &self.socket, &gathered)?;
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            gathered.clear();
        }
    }
}

fn next(pieces: &Receiver<Vec<u8>>, quiet: Duration) -> Result<Vec<u8>, RecvTimeoutError> {
    for _ in 0..LOOKS {
        if let Ok(piece) = pieces.try_recv() {
            return Ok(piece);
        }
        std::thread::yield_now();
    }
    pieces.recv_timeout(quiet)
}

fn sign_of_life(queued: &AtomicUsize) -> Vec<u8> {
    let mut out = Vec::new();
    FrameWriter::begin(&mut out, Kind::Idle).finish();
    queued.fetch_add(out.len(), Ordering::Relaxed);
    out
}

/// Writes all of it; fails where none of it is taken for as long as a write may wait.
fn write_pieces(to: &mut impl Write, pieces: &[Vec<u8>]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = &mut slices[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match to.write_vectored(left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How a link ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The kernel of the other side has closed it.
    Closed,
    /// This side has ended it.
    Ours,
    /// The other side has been silent for too long.
    Silent,
    /// The other side sent what means nothing.
    Garbage(PeerError),
    /// The connection broke.
    Broken(io::Error),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Closed => f.write_str("the other side has closed it"),
            Ending::Ours => f.write_str("this side has ended it"),
            Ending::Silent => f.write_str("the other side says nothing any more"),
            Ending::Garbage(error) => write!(f, "the other side sent {error}"),
            Ending::Broken(error) => write!(f, "it broke: {error}"),
        }
    }
}

/// Reads what comes over a link until it ends.
pub(super) fn read(up: &Up, mut socket: &TcpStream, ahead: Vec<u8>, sink: &mut dyn PeerSink) -> Ending {
    let mut frames = Frames::behind(ahead);
    loop {
        let each = frames.each(|kind, body| match kind {
            Kind::Idle => Ok(()),
            Kind::Control => {
                // When nobody is there to take it, the node is about to end.
                let _ = up.events.send(PeerEvent::Control(up.peer.clone(), body.to_vec()));
                Ok(())
            }
            kind if kind.is_handshake() => Err(PeerError::Kind(kind as u8)),
            kind => sink.frame(kind, body),
        });
        if let Err(error) = each {
            return Ending::Garbage(error);
        }
        sink.paused();
        let read = frames.read(&mut socket);
        if up.link.has_ended() {
            return Ending::Ours;
        }
        match read {
            Ok(Some(())) => {}
            Ok(None) => return Ending::Closed,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return Ending::Closed,
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ending::Silent,
                _ => return Ending::Broken(error),
            },
        }
    }
}

/// Starts the thread that writes.
///
/// # Errors
/// The operating system refuses it.
pub(super) fn start_writer(link: Arc<Link>, pieces: Receiver<Vec<u8>>, quiet: Duration) -> io::Result<()> {
    os::spawn_aside("anabranch-write", move || {
        link.write(&pieces, quiet);
        // Who sends now finds the link ended; what is still in the channel goes with it.
        link.queued.store(0, Ordering::Relaxed);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time.
    struct Slow(Vec<u8>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.0.len() % 5 + 1);
            self.0.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_are_written_in_order_however_few_bytes_a_write_takes() {
        let pieces: Vec<Vec<u8>> = (0..20).map(|length| (0..length).collect()).collect();
        let mut slow = Slow(Vec::new());
        write_pieces(&mut slow, &pieces).expect("it writes");
        assert_eq!(slow.0, pieces.concat());
    }
}
