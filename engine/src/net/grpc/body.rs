//! The body of a gRPC request: its messages are followed as they come, within limits of size and time.
//!
//! Between whole messages of a stream a client may idle; half a message has to go on. What is there of a message counts as
//! held by the node until it is whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status};

use super::flow::failed;
use crate::client::NODE_BYTES;
use crate::error::Error;
use crate::load::Held;
use crate::net::gate::Gate;

/// Bytes of a message of which nothing else is said, at most.
const PLAIN_BYTES_MAX: usize = 1 << 20;

/// How many times the time for a piece a message may take.
const MESSAGE_TIMES: u32 = 4;

/// Bytes before a message: whether it is compressed, and its length.
const HEAD_BYTES: usize = 5;

/// A body whose messages are followed.
pub(crate) struct Paced {
    body: Incoming,
    gate: Gate,
    messages: Messages,
    /// Whether there is one message only, for which the call waits.
    one: bool,
    /// How long to wait for the next piece.
    within: Duration,
    /// Since when the message is waited for.
    since: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
    held: Option<Held>,
}

impl Paced {
    pub(crate) fn new(body: Incoming, gate: Gate, within: Duration) -> Self {
        let messages = Messages { at: At::Head([0; HEAD_BYTES], 0), most: PLAIN_BYTES_MAX };
        Paced { body, gate, messages, one: false, within, since: None, pause: None, held: None }
    }

    /// The body of a call with one message.
    pub(crate) fn one(mut self) -> Self {
        self.one = true;
        self
    }

    /// With other messages than plain ones.
    pub(crate) fn at_most(mut self, bytes: usize) -> Self {
        self.messages.most = bytes;
        self
    }

    /// Follows a piece.
    fn follow(&mut self, piece: &[u8]) -> Result<(), Status> {
        self.pause = None;
        let begun = self.messages.follow(piece)?;
        if begun.is_new {
            self.held = None;
            // One message that is whole leaves only the end to wait for, with the time that it began with.
            self.since = self.since.filter(|_| self.one);
        }
        if begun.bytes == 0 {
            return Ok(());
        }
        let Some(held) = &mut self.held else {
            self.held = Some(self.gate.hold(begun.bytes).map_err(|error| failed(&error))?);
            return Ok(());
        };
        match held.grow(begun.bytes, NODE_BYTES) {
            true => Ok(()),
            false => Err(failed(&Error::Full)),
        }
    }

    /// Nothing is there: whether that has gone on for too long.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        if !self.one && !self.messages.is_half() {
            return Poll::Pending;
        }
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let until = (now + self.within).min(since + self.within * MESSAGE_TIMES);
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(until)));
        ready!(pause.as_mut().poll(context));
        let text =
            format!("the message did not come on within {} s; send it whole", self.within.as_secs_f32());
        Poll::Ready(Status::new(Code::DeadlineExceeded, text))
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending => return self.wait(context).map(|late| Some(Err(late))),
            Poll::Ready(frame) => frame,
        };
        Poll::Ready(match frame {
            None => None,
            Some(Err(error)) => Some(Err(Status::from_error(Box::new(error)))),
            Some(Ok(frame)) => match frame.data_ref().cloned() {
                Some(piece) => Some(self.follow(&piece).map(|()| frame)),
                None => Some(Ok(frame)),
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where in its messages a body is.
struct Messages {
    at: At,
    /// Bytes of a message, at most.
    most: usize,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// In what stands before a message, of which so many bytes have come.
    Head([u8; HEAD_BYTES], usize),
    /// In a message, of which so many bytes are to come.
    Message(usize),
}

/// What a piece began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Begun {
    /// Whether a message ended in it.
    is_new: bool,
    /// Bytes of it that belong to a message that is not whole.
    bytes: usize,
}

impl Messages {
    /// Whether a message has begun and is not whole.
    fn is_half(&self) -> bool {
        !matches!(self.at, At::Head(_, 0))
    }

    fn follow(&mut self, mut piece: &[u8]) -> Result<Begun, Status> {
        let mut begun = Begun { is_new: false, bytes: 0 };
        while !piece.is_empty() {
            let taken = match &mut self.at {
                At::Head(head, come) => {
                    let taken = piece.len().min(HEAD_BYTES - *come);
                    head[*come..*come + taken].copy_from_slice(&piece[..taken]);
                    *come += taken;
                    taken
                }
                At::Message(left) => {
                    let taken = piece.len().min(*left);
                    *left -= taken;
                    taken
                }
            };
            (piece, begun.bytes) = (&piece[taken..], begun.bytes + taken);
            if let At::Head([_, length @ ..], HEAD_BYTES) = self.at {
                self.at = At::Message(self.checked(u32::from_be_bytes(length) as usize)?);
            }
            if let At::Message(0) = self.at {
                self.at = At::Head([0; HEAD_BYTES], 0);
                begun = Begun { is_new: true, bytes: 0 };
            }
        }
        Ok(begun)
    }

    fn checked(&self, bytes: usize) -> Result<usize, Status> {
        match bytes <= self.most {
            true => Ok(bytes),
            false => Err(Status::new(
                Code::ResourceExhausted,
                format!("the message has {bytes} bytes; here it has at most {}", self.most),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        let bytes = [&[0, 0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 2], b"de"].concat();
        let ends = [8, 13, 20];
        for size in 1..=bytes.len() {
            let mut messages = Messages { at: At::Head([0; HEAD_BYTES], 0), most: 3 };
            let mut come = 0;
            for piece in bytes.chunks(size) {
                let begun = messages.follow(piece).expect("none is too long");
                let before = come;
                come += piece.len();
                let last = ends.iter().filter(|end| **end <= come).max().copied().unwrap_or_default();
                assert_eq!(messages.is_half(), last < come, "{size} {come}");
                assert_eq!(begun, Begun { is_new: last > before, bytes: come - last.max(before) });
            }
        }
        let mut messages = Messages { at: At::Head([0; HEAD_BYTES], 0), most: 3 };
        let long = messages.follow(&[0, 0, 0, 0, 4]).expect_err("it is too long");
        assert_eq!(long.code(), Code::ResourceExhausted);
    }
}
