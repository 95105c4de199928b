//! Keys of requests that are to take effect once, however often they are sent.
//!
//! A key has in it when it was made, so that a node which has forgotten old requests can tell a late repeat from a new
//! request: it is a UUID of version 7 (RFC 9562), or the milliseconds since 1970 UTC, `-`, and a text of one's own.

use anabranch_model::message::Once;
use anabranch_model::partition::partition_hash;
use anabranch_model::plan::{InputId, Plan};

use crate::error::Error;

/// Bytes of a key, at most.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// How far the clock of whoever makes a key, or numbers requests, may be ahead of the node's, in microseconds.
pub const NUMBER_AHEAD_MAX: u64 = 5_000_000;

/// 2001 and 2286 in milliseconds since 1970: what lies outside has other units, or is no time.
const MILLIS: std::ops::Range<u64> = 1_000_000_000_000..10_000_000_000_000;

/// A key of a request: see [`crate::InputBatch::once`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// Stands for the key's text.
    hash: u64,
    /// When it was made, in microseconds since 1970 UTC.
    micros: u64,
}

impl IdempotencyKey {
    /// Reads a key; `now` is the node's time in microseconds since 1970 UTC.
    ///
    /// # Errors
    /// [`Error::IdempotencyKey`].
    pub fn parse(text: &str, now: i64) -> Result<Self, Error> {
        let unfit = |problem: &'static str| Error::IdempotencyKey {
            given: text.chars().take(IDEMPOTENCY_KEY_BYTES_MAX).collect(),
            problem,
        };
        if text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(unfit("it has over 255 bytes"));
        }
        if text.contains(|sign: char| !sign.is_ascii_graphic()) {
            return Err(unfit("it has other signs than the printable ones of ASCII, without space"));
        }
        let millis = uuid_millis(text)
            .or_else(|| prefix_millis(text))
            .ok_or_else(|| unfit("the time at which it was made is not in it"))?;
        let micros = millis * 1000;
        if micros > (now.max(0) as u64).saturating_add(NUMBER_AHEAD_MAX) {
            return Err(unfit("its time is more than 5 s ahead of the node's clock"));
        }
        Ok(IdempotencyKey { hash: partition_hash(text.as_bytes()), micros })
    }

    /// The key with the numbers in it as another node wrote them.
    #[cfg(feature = "net")]
    pub(crate) fn of(hash: u64, micros: u64) -> Self {
        IdempotencyKey { hash, micros }
    }

    /// The numbers in it: its hash, and when it was made.
    #[cfg(feature = "net")]
    pub(crate) fn numbers(self) -> (u64, u64) {
        (self.hash, self.micros)
    }

    /// The key of a part of the request: batch number `part` of it. To partitions the parts are requests of one client,
    /// with growing numbers.
    #[cfg(feature = "net")]
    pub(crate) fn part(self, part: u64) -> Self {
        IdempotencyKey { micros: self.micros.saturating_add(part), ..self }
    }

    /// By what partitions recognise a repeat of rows for an input. Keys of one holder of a token do not meet those of
    /// another, nor those for one input those for another.
    pub(crate) fn once(self, holder: &str, plan: &Plan, input: InputId) -> Once {
        let stream = &plan.inputs[usize::from(input.0)].name;
        let of = client(&format!("{}.{stream}", plan.name), self.hash);
        // Whoever has a key may have sent it before.
        Once { client: client(holder, of), number: self.micros, answered: 0, repeated: true }
    }
}

/// A client's number as partitions know it, among those of a holder of a token: they do not meet those of another. It
/// stands in records, so it stays as it is for ever.
pub(crate) fn client(of: &str, number: u64) -> u64 {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend_from_slice(of.as_bytes());
    partition_hash(&bytes).max(1)
}

/// The milliseconds in a UUID of version 7.
fn uuid_millis(text: &str) -> Option<u64> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    let shaped = groups.len() == 5
        && groups.iter().zip(lengths).all(|(group, length)| group.len() == length)
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
        && groups[2].starts_with('7');
    let millis = shaped.then(|| u64::from_str_radix(&format!("{}{}", groups[0], groups[1]), 16))?.ok()?;
    MILLIS.contains(&millis).then_some(millis)
}

/// The milliseconds before the first `-`.
fn prefix_millis(text: &str) -> Option<u64> {
    let (millis, own) = text.split_once('-')?;
    let millis = millis.bytes().all(|byte| byte.is_ascii_digit()).then(|| millis.parse().ok())??;
    (MILLIS.contains(&millis) && !own.is_empty()).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20 in microseconds.
    const NOW: i64 = 1_795_132_800_000_000;

    fn problem(text: &str) -> &'static str {
        match IdempotencyKey::parse(text, NOW) {
            Err(Error::IdempotencyKey { problem, .. }) => problem,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_key_has_its_time_in_it() {
        let micros = |text| IdempotencyKey::parse(text, NOW).expect("a key").micros;
        assert_eq!(micros("1795132800000-order-17"), 1_795_132_800_000_000);
        assert_eq!(micros("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), 0x017F_22E2_79B0 * 1000);
        for text in ["", "order-17", "1795132800000", "1795132800000-", "1795132800-order", "-1", "१-x"] {
            assert!(IdempotencyKey::parse(text, NOW).is_err(), "{text}");
        }
        let version_4 = "919108f7-52d1-4320-9bac-f847db4148a8";
        assert_eq!(problem(version_4), "the time at which it was made is not in it");
        assert!(problem(&format!("1795132800000-{}", "x".repeat(250))).contains("255 bytes"));
        assert!(problem("1795132800000-a b").contains("printable"));
        assert!(problem("1795132805001-x").contains("ahead"));
        assert_eq!(micros("1795132805000-x"), 1_795_132_805_000_000);
    }

    #[test]
    fn keys_inputs_and_holders_are_told_from_each_other() {
        let key = |text| IdempotencyKey::parse(text, NOW).expect("a key");
        let (one, other) = (key("1795132800000-a"), key("1795132800000-b"));
        let flow = crate::Flow::parse("names.flow", crate::doc::NAMES).expect("it compiles");
        let once = |key: IdempotencyKey, holder, input| key.once(holder, flow.plan(), InputId(input));
        let mut clients: Vec<u64> = [one, other]
            .iter()
            .flat_map(|key| {
                [("", 0), ("anna", 0), ("", 1), ("anna", 1)].map(|(of, input)| once(*key, of, input))
            })
            .map(|once| once.client)
            .collect();
        clients.sort_unstable();
        clients.dedup();
        assert_eq!(clients.len(), 8);
        assert_eq!(once(one, "anna", 0), once(key("1795132800000-a"), "anna", 0));
        let (first, second) = (once(one.part(1), "", 0), once(one.part(2), "", 0));
        assert!(first.client == second.client && first.number < second.number);
        // The numbers stand in records.
        assert_eq!(client("anna", 7), 10_923_140_664_633_284_153);
    }
}
