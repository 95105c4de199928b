//! The functions over text. Text is counted in characters, from 1.

use std::borrow::Cow;
use std::ops::Range;

/// A part of a text, borrowed from where the text is borrowed from.
fn part<'a>(text: Cow<'a, str>, range: Range<usize>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_owned()),
    }
}

/// The characters from `start` on, at most `length`; places outside the text count but hold nothing.
pub(super) fn substring<'a>(text: Cow<'a, str>, start: i64, length: Option<i64>) -> Cow<'a, str> {
    let end = length.map_or(i64::MAX, |length| start.saturating_add(length));
    let start = start.max(1);
    if end <= start {
        return Cow::Borrowed("");
    }
    let from = byte_of(&text, 0, start - 1);
    let to = byte_of(&text, from, end - start);
    part(text, from..to)
}

/// The byte at which the character starts that is `characters` after the one at byte `from`; the end of the text when
/// it is shorter.
fn byte_of(text: &str, from: usize, characters: i64) -> usize {
    let rest = &text[from..];
    match usize::try_from(characters) {
        // Not more characters than bytes.
        Ok(count) if count < rest.len() => {
            rest.char_indices().nth(count).map_or(text.len(), |(at, _)| from + at)
        }
        _ => text.len(),
    }
}

/// Without the spaces at both ends.
pub(super) fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    let start = text.len() - text.trim_start_matches(' ').len();
    let end = text.trim_end_matches(' ').len().max(start);
    part(text, start..end)
}

/// Where `wanted` first begins in `text`, 0 when nowhere.
pub(super) fn position(wanted: &str, text: &str) -> i64 {
    text.find(wanted).map_or(0, |at| 1 + count(&text[..at]))
}

/// The number of characters.
pub(super) fn count(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// The part of this number (from 1) between separators, empty when there are fewer.
pub(super) fn split_part<'a>(text: Cow<'a, str>, separator: &str, number: i64) -> Cow<'a, str> {
    let skipped = usize::try_from(number - 1).unwrap_or(usize::MAX);
    if separator.is_empty() {
        return if skipped == 0 { text } else { Cow::Borrowed("") };
    }
    let Some(found) = text.split(separator).nth(skipped) else { return Cow::Borrowed("") };
    let start = found.as_ptr() as usize - text.as_ptr() as usize;
    let range = start..start + found.len();
    part(text, range)
}

/// The bytes that [`str::replace`] would give, without doing it.
pub(super) fn replaced_bytes(text: &str, from: &str, to: &str) -> usize {
    let found = text.matches(from).count();
    (text.len() - found * from.len()).saturating_add(found.saturating_mul(to.len()))
}
