//! `like` and `regexp_like`.
//!
//! Compiled regular expressions are kept, so that a constant pattern is compiled once and not for every row. The cache
//! holds a few patterns for each thread; what it holds never changes a result.

use std::cell::RefCell;

use regex_lite::{Regex, RegexBuilder};

use super::{Evaluated, fault, ill_typed};
use crate::convert::shown;
use crate::expr::Place;
use crate::fault::FaultCode;
use crate::like::like;
use crate::value::Value;

/// Bytes of a pattern, at most. Time to match is at most the length of the text times that of the pattern.
pub const MAX_PATTERN_BYTES: usize = 1000;

/// Bytes of a compiled regular expression, at most.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// Compiled patterns that a thread keeps: more than a flow has constants, and no more than a few MiB.
const KEPT_PATTERNS: usize = 32;

thread_local! {
    /// The pattern used last stands first.
    static COMPILED: RefCell<Vec<(String, Regex)>> = const { RefCell::new(Vec::new()) };
}

/// Checks a regular expression before a flow runs.
///
/// # Errors
/// What is wrong with it.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    compile(pattern).map(|_| ())
}

fn compile(pattern: &str) -> Result<Regex, String> {
    bounded_pattern(pattern)?;
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|error| format!("{} is no regular expression: {error}", shown(pattern)))
}

fn bounded_pattern(pattern: &str) -> Result<(), String> {
    match pattern.len() {
        0..=MAX_PATTERN_BYTES => Ok(()),
        bytes => Err(format!("the pattern has {bytes} bytes; a pattern has at most {MAX_PATTERN_BYTES}")),
    }
}

/// `text like pattern`.
pub(super) fn evaluate_like<'a>(text: Value<'_>, pattern: Value<'_>, place: Place) -> Evaluated<'a> {
    match (text, pattern) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::Text(text), Value::Text(pattern)) => match bounded_pattern(&pattern) {
            Ok(()) => Ok(Value::Bool(like(&text, &pattern))),
            Err(why) => Err(fault(FaultCode::Argument, place, why)),
        },
        _ => Err(ill_typed("like", place)),
    }
}

/// Whether some part of the text matches the pattern.
///
/// # Errors
/// What is wrong with the pattern.
pub(super) fn regexp_like(text: &str, pattern: &str) -> Result<bool, String> {
    COMPILED.with_borrow_mut(|kept| {
        if let Some(at) = kept.iter().position(|(known, _)| known == pattern) {
            kept[..=at].rotate_right(1);
        } else {
            let compiled = compile(pattern)?;
            kept.truncate(KEPT_PATTERNS - 1);
            kept.insert(0, (pattern.to_owned(), compiled));
        }
        Ok(kept[0].1.is_match(text))
    })
}
