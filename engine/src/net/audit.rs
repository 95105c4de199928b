//! A line, through `tracing` with target `audit`, for whatever changes the node, and for whoever asks how it is with a
//! token for that: who, from where, what, with which outcome. Names of tokens only, never tokens.

use super::access::{Caller, Operation};
use crate::error::Error;

/// Characters of a name or a text from outside that stand in a line, at most.
const TOLD_CHARACTERS_MAX: usize = 200;

/// Notes that somebody tried to change a flow.
pub(crate) fn record<T>(caller: &Caller, operation: Operation, flow: &str, outcome: &Result<T, Error>) {
    match outcome {
        Ok(_) => done(caller, operation, Some(flow)),
        Err(Error::Denied(_)) => denied(caller, operation, Some(flow)),
        Err(error) => failed(caller, operation, flow, &error.to_string()),
    }
}

/// Notes that something was done, with a flow or with the node.
pub(crate) fn done(caller: &Caller, operation: Operation, flow: Option<&str>) {
    let (who, from, what, flow) = (caller.name(), from(caller), operation.name(), flow.map(told));
    tracing::info!(target: "audit", who, from, what, flow, outcome = "done");
}

/// Notes that something was not allowed.
pub(crate) fn denied(caller: &Caller, operation: Operation, flow: Option<&str>) {
    let (who, from, what, flow) = (caller.name(), from(caller), operation.name(), flow.map(told));
    tracing::warn!(target: "audit", who, from, what, flow, outcome = "denied");
}

/// Notes that something was allowed and did not come about.
pub(crate) fn failed(caller: &Caller, operation: Operation, flow: &str, why: &str) {
    let (who, from, what) = (caller.name(), from(caller), operation.name());
    let (flow, why) = (told(flow), told(why));
    tracing::warn!(target: "audit", who, from, what, flow, outcome = "failed", why);
}

fn from(caller: &Caller) -> String {
    caller.from().map(|from| from.to_string()).unwrap_or_default()
}

/// A text from outside, cut, and with escapes, so that a line stays a line.
fn told(text: &str) -> String {
    let mut told: String = text.chars().take(TOLD_CHARACTERS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(TOLD_CHARACTERS_MAX).is_some() {
        told.push_str("...");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_stays_short_and_on_its_line() {
        assert_eq!(told("a\nb \u{1b}"), r"a\nb \u{1b}");
        assert_eq!(told(&"x".repeat(4 << 20)).len(), TOLD_CHARACTERS_MAX + 3);
    }
}
