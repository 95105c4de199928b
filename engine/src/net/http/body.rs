//! The body of a request: read in pieces, within limits of size and time.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};

use super::problem::Problem;
use crate::error::Error;
use crate::load::Held;
use crate::net::gate::Gate;

/// Bytes of a body that is read whole, at most: a row of the largest size, with room for escapes.
pub(super) const WHOLE_BODY_BYTES_MAX: usize = crate::rows::MAX_LINE_BYTES;

/// How many times the time for a piece a body may take that is read whole.
const WHOLE_BODY_TIMES: u32 = 4;

/// Bytes that are still read of a body whose request was answered before its end, at most, and for how long. A client
/// that is cut off while it sends would not see the answer.
const DRAINED_BYTES_MAX: usize = 16 << 20;
const DRAINED_WITHIN: Duration = Duration::from_secs(2);

/// A body that is coming in.
pub(super) struct Incoming {
    body: Body,
    /// How long to wait for its next piece.
    within: Duration,
}

/// What is there of a body.
pub(super) enum Piece {
    Bytes(Bytes),
    /// Nothing yet.
    Later,
    End,
}

impl Incoming {
    /// The body of a request.
    ///
    /// # Errors
    /// It is compressed: what it would grow to is known only when it is there.
    pub(super) fn of(request: Request, within: Duration) -> Result<Self, Problem> {
        let encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
        match encodings.map(HeaderValue::as_bytes).find(|one| !one.eq_ignore_ascii_case(b"identity")) {
            None => Ok(Incoming { body: request.into_body(), within }),
            Some(encoding) => {
                let encoding =
                    anabranch_model::convert::shown(&String::from_utf8_lossy(encoding)).to_string();
                let text = format!("the body's content encoding is {encoding}");
                let help = "send it as it is, without `content-encoding`";
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_content_encoding", text, help))
            }
        }
    }

    /// The next piece if it is there now.
    pub(super) async fn now(&mut self) -> Result<Piece, Problem> {
        tokio::select! {
            biased;
            piece = piece(&mut self.body) => piece,
            () = std::future::ready(()) => Ok(Piece::Later),
        }
    }

    /// The next piece; waits for it.
    pub(super) async fn next(&mut self) -> Result<Piece, Problem> {
        match tokio::time::timeout(self.within, piece(&mut self.body)).await {
            Ok(piece) => piece,
            Err(_) => Err(slow(self.within)),
        }
    }

    /// The whole body, with what counts its bytes as held by the node; `shorter` says what to do with one that is too
    /// large.
    ///
    /// # Errors
    /// It is too large or too slow, or the node is full.
    pub(super) async fn whole(mut self, gate: &Gate, shorter: &str) -> Result<(Vec<u8>, Held), Problem> {
        if self.body.size_hint().lower() > WHOLE_BODY_BYTES_MAX as u64 {
            return Err(large(shorter));
        }
        let mut whole = (Vec::new(), gate.hold(0)?);
        // Most bodies are short and have come with their head: they need no clock.
        if self.gather(&mut whole, shorter, Incoming::now).await? {
            return Ok(whole);
        }
        let within = self.within * WHOLE_BODY_TIMES;
        let rest = async {
            while !self.gather(&mut whole, shorter, Incoming::next).await? {}
            Ok(())
        };
        match tokio::time::timeout(within, rest).await {
            Ok(gathered) => gathered.map(|()| whole),
            Err(_) => Err(slow(within)),
        }
    }

    /// Gathers pieces until none is there now. Whether that was the end.
    async fn gather(
        &mut self,
        (whole, held): &mut (Vec<u8>, Held),
        shorter: &str,
        next: impl AsyncFn(&mut Self) -> Result<Piece, Problem>,
    ) -> Result<bool, Problem> {
        loop {
            match next(self).await? {
                Piece::End => return Ok(true),
                Piece::Later => return Ok(false),
                Piece::Bytes(bytes) if whole.len() + bytes.len() > WHOLE_BODY_BYTES_MAX => {
                    return Err(large(shorter));
                }
                Piece::Bytes(bytes) if !held.grow(bytes.len(), crate::client::NODE_BYTES) => {
                    return Err(Error::Full.into());
                }
                Piece::Bytes(bytes) => whole.extend_from_slice(&bytes),
            }
        }
    }
}

async fn piece<B>(body: &mut B) -> Result<Piece, Problem>
where
    B: hyper::body::Body<Data = Bytes, Error: Display> + Unpin,
{
    match body.frame().await {
        None => Ok(Piece::End),
        Some(Ok(frame)) => Ok(frame.into_data().map_or(Piece::Later, Piece::Bytes)),
        Some(Err(error)) => Err(Problem::invalid(
            format!("the body broke off: {error}"),
            "send it whole; what was sent before may have taken effect",
        )),
    }
}

fn slow(within: Duration) -> Problem {
    let text = format!("the body did not come on within {} s", within.as_secs_f32());
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "slow",
        text,
        "send what is there, and the rest as another request",
    )
}

fn large(shorter: &str) -> Problem {
    Problem::too_large(format!("the body has over {WHOLE_BODY_BYTES_MAX} bytes"), shorter)
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One object, or several; or an array of them.
    Json,
    /// One object a line.
    Lines,
}

impl Format {
    /// What the `content-type` says. There has to be one, and none that a form of a foreign web page can send.
    pub(super) fn of(headers: &HeaderMap) -> Result<Format, Problem> {
        let given = headers.get(header::CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
        let kind = given.as_deref().unwrap_or("none");
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Format::Json),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines" => Ok(Format::Lines),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "wrong_content_type",
                format!("the body's content type is {}", anabranch_model::convert::shown(kind)),
                "send `content-type: application/json`, or `application/x-ndjson` for one object a line \
                 (with curl: `-H 'content-type: application/json'`)",
            )),
        }
    }
}

/// A body that is read on for a while when nobody wants the rest of it, so that its sender gets to read the answer.
pub(super) struct Lingering(Option<hyper::body::Incoming>);

impl Lingering {
    /// The body of a request, wrapped where it has one.
    pub(super) fn over(body: hyper::body::Incoming) -> Body {
        if body.is_end_stream() { Body::empty() } else { Body::new(Lingering(Some(body))) }
    }
}

impl hyper::body::Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(SizeHint::default, hyper::body::Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(tokio::time::timeout(DRAINED_WITHIN, drain(body)).await) });
        }
    }
}

async fn drain(mut body: hyper::body::Incoming) {
    let mut bytes = 0;
    while bytes < DRAINED_BYTES_MAX {
        match piece(&mut body).await {
            Ok(Piece::Bytes(piece)) => bytes += piece.len(),
            Ok(Piece::Later) => {}
            Ok(Piece::End) | Err(_) => return,
        }
    }
}
