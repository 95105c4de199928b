//! The key of a request that is to take effect once: `Idempotency-Key`.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::problem::Problem;
use crate::error::Error;
use crate::idempotency_key::IdempotencyKey;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a request, if it has one; it may stand between double quotes. `now` is the node's time in microseconds
/// since 1970 UTC.
///
/// # Errors
/// It is none, or there are two.
pub(super) fn of(headers: &HeaderMap, now: i64) -> Result<Option<IdempotencyKey>, Problem> {
    let mut keys = headers.get_all(HEADER).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(unfit("there are two headers `idempotency-key`".to_owned()));
    }
    let text = HeaderValue::to_str(key).unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match IdempotencyKey::parse(text, now) {
        Ok(key) => Ok(Some(key)),
        Err(Error::IdempotencyKey { problem, .. }) => {
            Err(unfit(format!("the idempotency key is unfit: {problem}")))
        }
        Err(error) => Err(error.into()),
    }
}

fn unfit(text: String) -> Problem {
    let help = "take a UUID of version 7, or the milliseconds since 1970 UTC, `-` and a text of your own, and keep it for \
                every repeat of the request";
    Problem::invalid(text, help)
}
