//! Lines and columns of a text. Both count from 1; columns count characters.

use anabranch_model::Place;

/// Bytes between two places whose characters are counted beforehand: a column costs at most so much, however long the
/// line is.
const STRIDE: usize = 256;

/// A text with its lines.
pub struct Lines<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
    /// How many characters begin before byte `n * STRIDE`.
    characters: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Finds the lines of `text`.
    pub fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut count = 0;
        let characters = text
            .as_bytes()
            .chunks(STRIDE)
            .map(|chunk| {
                let before = count;
                count += characters_in(chunk);
                before
            })
            .collect();
        Lines { text, starts, characters }
    }

    /// The line and column of the byte at `offset`.
    pub fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        Place { line: line as u32, column: (self.before(offset) - self.before(start) + 1) as u32 }
    }

    /// Where a line, counted from 1, begins; the end of the text when there is no such line.
    pub(crate) fn start(&self, line: u32) -> usize {
        self.starts.get((line as usize).saturating_sub(1)).copied().unwrap_or(self.text.len())
    }

    /// The byte at a place; the end of its line when the line is shorter.
    pub(crate) fn offset(&self, place: Place) -> usize {
        let line = self.line(place.line);
        let characters = (place.column as usize).saturating_sub(1);
        let within = line.char_indices().nth(characters).map_or(line.len(), |(at, _)| at);
        self.start(place.line) + within
    }

    /// The text of a line, counted from 1, without its end; empty when there is no such line.
    pub fn line(&self, line: u32) -> &'a str {
        let at = (line as usize).saturating_sub(1);
        let Some(&start) = self.starts.get(at) else { return "" };
        let end = self.starts.get(at + 1).map_or(self.text.len(), |next| next - 1);
        let line = &self.text[start..end];
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// How many characters begin before `offset`.
    fn before(&self, offset: usize) -> usize {
        let mark = offset / STRIDE;
        match self.characters.get(mark) {
            Some(count) => count + characters_in(&self.text.as_bytes()[mark * STRIDE..offset]),
            None => self.characters.last().map_or(0, |count| {
                count + characters_in(&self.text.as_bytes()[(self.characters.len() - 1) * STRIDE..offset])
            }),
        }
    }
}

/// How many characters begin in these bytes of a UTF-8 text.
fn characters_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte as i8) >= -0x40).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let lines = Lines::new("añb\n日本x");
        let at = |needle: &str| lines.place("añb\n日本x".find(needle).expect("in the text"));
        assert_eq!(at("b"), Place { line: 1, column: 3 });
        assert_eq!(at("x"), Place { line: 2, column: 3 });
    }

    #[test]
    fn the_end_has_a_place() {
        assert_eq!(Lines::new("").place(0), Place { line: 1, column: 1 });
        assert_eq!(Lines::new("a\n").place(2), Place { line: 2, column: 1 });
        assert_eq!(Lines::new("a").place(99), Place { line: 1, column: 2 });
    }

    #[test]
    fn places_agree_with_counting_by_hand() {
        let text = "äb\r\n日本語 text ".repeat(100);
        let lines = Lines::new(&text);
        for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
            let before = &text[..offset];
            let line = before.matches('\n').count() as u32 + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() as u32 + 1;
            assert_eq!(lines.place(offset), Place { line, column }, "at {offset}");
            if !text[offset..].starts_with('\n') {
                assert_eq!(lines.offset(Place { line, column }), offset);
            }
        }
    }

    #[test]
    fn lines_come_without_their_ends() {
        let lines = Lines::new("a\r\nb\n");
        assert_eq!([lines.line(1), lines.line(2), lines.line(3), lines.line(4)], ["a", "b", "", ""]);
    }
}
