//! A line, through `tracing` with target `audit`, for whatever changes the node: who, from where, what, with which
//! outcome. Names of tokens only, never tokens.

use super::access::{Caller, Operation};
use crate::error::Error;

/// Notes that somebody tried to change a flow.
pub(crate) fn record<T>(caller: &Caller, operation: Operation, flow: &str, outcome: &Result<T, Error>) {
    let from = caller.from().map(|from| from.to_string()).unwrap_or_default();
    let (who, what) = (caller.name(), operation.name());
    // Texts from outside are written with escapes, so that a line stays a line.
    match outcome {
        Ok(_) => tracing::info!(target: "audit", who, from, what, flow = ?flow, outcome = "done"),
        Err(Error::Denied(_)) => {
            tracing::warn!(target: "audit", who, from, what, flow = ?flow, outcome = "denied")
        }
        Err(error) => {
            tracing::warn!(target: "audit", who, from, what, flow = ?flow, outcome = "failed", why = ?error.to_string());
        }
    }
}
