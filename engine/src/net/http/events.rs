//! Rows of an output stream, or refused rows, as server-sent events.
//!
//! Every event has an id, `subscription-position`. A client that comes back with the last one it saw in `Last-Event-ID`
//! (browsers do so by themselves) goes on behind it, see [`crate::net::subscriptions`].

use std::fmt::Write;

use anabranch_model::json::write_string;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::feed::{Feed, feed};
use super::problem::{Problem, why};
use super::target::Target;
use crate::net::access::Operation;
use crate::net::subscriptions::{Position, Reader, SubscriptionId};
use crate::subscription::Event;

/// How long a client should wait before it comes back, in milliseconds.
const RETRY_MS: u32 = 1000;

/// Nothing comes any more.
const END: &str = "event: end\ndata: {}\n\n";

/// `GET /flows/{flow}/streams/{output}`.
pub(super) async fn subscribe(
    app: App,
    target: Target,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let flow = target.flow(&app.gate)?;
    app.gate.caller().check(Operation::Subscribe, &flow.plan.name)?;
    if target.name != "errors" {
        flow.output(&target.name)?;
    }
    let (mut feed, body) = feed();
    if method != Method::HEAD {
        let topic = format!("{}.{}", flow.plan.name, target.name);
        let last =
            headers.get("last-event-id").map(|id| SubscriptionId::position(id.to_str().unwrap_or_default()));
        let resumed = last.flatten().and_then(|(id, after)| app.gate.subscriptions.resume(id, &topic, after));
        let expired = last.is_some() && resumed.is_none();
        let reader = match resumed {
            Some(reader) => reader,
            None => app.gate.subscriptions.open(&flow.plan.name, &topic).await?,
        };
        let hello = hello(&reader, expired, last.is_none());
        tokio::spawn(async move {
            if feed.send(hello).await {
                run(app, reader, feed).await;
            }
        });
    }
    let kind = HeaderValue::from_static("text/event-stream");
    let stale = HeaderValue::from_static("no-cache");
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, stale)], body).into_response())
}

/// What comes first: so that a client knows that it is subscribed, and can come back before the first row.
fn hello(reader: &Reader, expired: bool, fresh: bool) -> String {
    let id = reader.id();
    let mut text = format!(": subscribed\nretry: {RETRY_MS}\n");
    if expired {
        let why = "the subscription to go on with is not there any more: rows in between are lost";
        let _ = write!(text, "event: missed\nid: {id}-0\ndata: {{\"missed\":null,\"message\":\"{why}\"}}\n");
    } else if fresh {
        let _ = writeln!(text, "id: {id}-0");
    }
    text.push('\n');
    text
}

/// Writes events until the subscription ends or the client is gone.
async fn run(app: App, mut reader: Reader, mut feed: Feed) {
    let mut stopped = std::pin::pin!(app.gate.stopped());
    loop {
        let text = tokio::select! {
            events = reader.next() => match events {
                Some(events) => text(reader.id(), &events),
                None => {
                    feed.send(END).await;
                    return;
                }
            },
            () = &mut stopped => {
                feed.send(END).await;
                return;
            }
            () = feed.gone() => return,
            () = pause(app.timeouts.heartbeat) => ":\n\n".to_owned(),
        };
        if !feed.send(text).await {
            return;
        }
    }
}

async fn pause(time: std::time::Duration) {
    drop(tokio::time::timeout(time, std::future::pending::<()>()).await);
}

fn text(id: SubscriptionId, events: &[(Position, Event)]) -> String {
    let mut text = String::new();
    for (position, event) in events {
        let _ = writeln!(text, "id: {id}-{position}");
        match event {
            Event::Row(row) => text.push_str(&format!("data: {row}\n\n")),
            Event::Missed(rows) => {
                let _ = write!(text, "event: missed\ndata: {{\"missed\":{rows}}}\n\n");
            }
            Event::Gone => text.push_str("event: gone\ndata: {}\n\n"),
            Event::Refused(event) => {
                text.push_str("data: {\"stream\":");
                write_string(&event.stream, &mut text);
                let _ = write!(text, ",\"row\":{},", event.row);
                // The members of the object, without its brace.
                text.push_str(&why(&event.refused).to_string()[1..]);
                text.push_str("\n\n");
            }
        }
    }
    text
}
