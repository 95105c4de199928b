//! What lies where the next record should be, and is none: the end, the remains of a crash, or damage.
//!
//! Behind the last record lie zeros. A crash may leave any part of what was written since the last sync: whole 512-byte
//! sectors of it are there, others are still zeros, and a later record may be whole where an earlier one is not. That
//! alone is no damage, and nothing of it was ever said to be safe. It is damage when
//!
//! - a whole record behind it knew, when it was appended, that this one was durable; or
//! - a whole record follows and no sector of what is broken is blank, so that nothing of it is missing; or
//! - a whole record of an earlier number lies here, which a journal never leaves.
//!
//! What no reader can tell apart: a bit that flipped in the very last record from a last record that was torn, and a
//! sector that was blanked later, in what the last sync before the crash wrote, from one that was never written.

use crate::disk::DiskFile;
use crate::error::Error;
use crate::planted::Planted;
use crate::record::{ALIGNMENT, HEAD_BYTES, Head, LogNumber, Seal};
use crate::window::Window;

/// Disks write this many bytes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// Zeros that are skipped at once.
const BLOCK_BYTES: usize = 4096;

/// Where the number stands in a record: never 0, so that zeros are skipped fast.
const NUMBER_AT: u64 = 16;

/// What lies behind the last record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeros.
    Clean,
    /// What a crash has left; nothing but zeros from `until` on.
    Torn {
        /// The byte behind the last that is not zero.
        until: u64,
    },
    /// Something that was safe is not what it was, and how that is known.
    Damaged(String),
}

/// A place of a journal where the record `expected` should begin and does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) expected: LogNumber,
    /// Bytes of the file.
    pub(crate) end: u64,
}

/// Looks over the rest of a segment that has no successor.
pub(crate) fn look<F: DiskFile>(
    window: &mut Window<F>,
    place: Place,
    seal: Seal,
    planted: Planted,
) -> Result<Tail, Error> {
    let mut until = None;
    let mut first_behind = None;
    let mut at = place.at;
    while at < place.end {
        let Some((word_at, behind)) = next_word(window, at, place.end)? else { break };
        // A file may end within a word.
        until = Some(behind.min(place.end));
        at = word_at + ALIGNMENT as u64;
        let Some(start) = word_at.checked_sub(NUMBER_AT).filter(|start| *start >= place.at) else { continue };
        let Some(whole) = whole(window, start, place.end, seal)? else { continue };
        if planted == Planted::HoleIsTail {
            continue;
        }
        if whole.number <= place.expected {
            let what = format!("record {} lies where {} should be", whole.number, place.expected);
            return Ok(Tail::Damaged(what));
        }
        if whole.durable >= place.expected {
            return Ok(Tail::Damaged(proven(place.expected, whole.number)));
        }
        first_behind.get_or_insert((start, whole.number));
        at = at.max(whole.end);
        until = until.max(Some(at));
    }
    match (until, first_behind) {
        (None, _) => Ok(Tail::Clean),
        (Some(_), Some((start, number))) if !has_blank_sector(window, place.at, start)? => {
            Ok(Tail::Damaged(proven(place.expected, number)))
        }
        (Some(until), _) => Ok(Tail::Torn { until }),
    }
}

fn proven(expected: LogNumber, number: LogNumber) -> String {
    format!("record {expected} is not what was written, and record {number} behind it is whole")
}

/// The next word that is not zero: where it begins, and the byte behind it.
fn next_word<F: DiskFile>(
    window: &mut Window<F>,
    mut at: u64,
    end: u64,
) -> Result<Option<(u64, u64)>, Error> {
    while at < end {
        let piece = window.some(at)?;
        if piece.is_empty() {
            return Ok(None);
        }
        let mut zeros = 0;
        while piece[zeros..].len() >= BLOCK_BYTES && piece[zeros..][..BLOCK_BYTES] == [0; BLOCK_BYTES] {
            zeros += BLOCK_BYTES;
        }
        let rest = &piece[zeros..piece.len().min(zeros + BLOCK_BYTES)];
        if let Some(found) = rest.iter().position(|byte| *byte != 0) {
            let word_at = (at + (zeros + found) as u64) / ALIGNMENT as u64 * ALIGNMENT as u64;
            return Ok(Some((word_at, word_at + ALIGNMENT as u64)));
        }
        at += (zeros + rest.len()) as u64;
    }
    Ok(None)
}

/// A record that is whole.
struct Whole {
    number: LogNumber,
    durable: LogNumber,
    /// The byte behind it.
    end: u64,
}

/// The record that is whole at `start`, if one is.
fn whole<F: DiskFile>(
    window: &mut Window<F>,
    start: u64,
    end: u64,
    seal: Seal,
) -> Result<Option<Whole>, Error> {
    let Some(head) = Head::read(window.bytes(start, HEAD_BYTES)?, seal) else { return Ok(None) };
    let (bytes, number, durable) = (head.record_bytes(), head.number(), head.durable());
    let behind = start + bytes as u64;
    if behind > end {
        return Ok(None);
    }
    // A record that is newer than this version counts as none.
    let right = Head::check(window.bytes(start, bytes)?).unwrap_or(false);
    Ok(right.then_some(Whole { number, durable, end: behind }))
}

/// Whether the part of some sector that lies between two places has nothing but zeros.
fn has_blank_sector<F: DiskFile>(window: &mut Window<F>, from: u64, to: u64) -> Result<bool, Error> {
    let mut at = from;
    while at < to {
        let end = to.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
        let sector = window.bytes(at, (end - at) as usize)?;
        if sector.iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
        at = end;
    }
    Ok(false)
}
