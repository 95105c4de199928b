//! A CSV record to its cells, as RFC 4180 says: cells between commas, quoted where they hold commas, quotes (doubled)
//! or line breaks. A quote in the middle of a cell that does not begin with one is a character like any other.
//!
//! Own code, because the usual libraries take any misplaced quote silently and put no bound on a record: a forgotten
//! quote would swallow rows without a word.

/// Cells of a record, at most.
pub(super) const MAX_CELLS: usize = 16_384;

/// The cells of one record, fed line by line.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// The contents of all cells.
    bytes: Vec<u8>,
    /// Where each cell ends in `bytes`.
    ends: Vec<usize>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// At the beginning of a cell.
    #[default]
    Start,
    /// In a cell without quotes.
    Bare,
    /// Between quotes.
    Quoted,
    /// Behind a quote between quotes: the cell is over, or the quote was the first of two.
    Closing,
}

/// What a line made of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// The record is complete.
    Complete,
    /// A quoted cell goes on in the next line.
    Open,
    /// Text follows the closing quote of the last cell.
    TextAfterQuote,
    /// The record has over [`MAX_CELLS`] cells.
    TooManyCells,
}

impl Cells {
    /// Forgets the record.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.state = State::Start;
    }

    /// Takes the next line of the record, with its line break.
    pub(super) fn feed(&mut self, line: &[u8]) -> Fed {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        for &byte in text {
            self.state = match (self.state, byte) {
                (State::Start, b'"') => State::Quoted,
                (State::Quoted, b'"') => State::Closing,
                (State::Start | State::Bare | State::Closing, b',') => {
                    self.ends.push(self.bytes.len());
                    if self.ends.len() >= MAX_CELLS {
                        return Fed::TooManyCells;
                    }
                    State::Start
                }
                (State::Closing, b'"') => {
                    self.bytes.push(b'"');
                    State::Quoted
                }
                (State::Closing, _) => return Fed::TextAfterQuote,
                (State::Quoted, _) => {
                    self.bytes.push(byte);
                    State::Quoted
                }
                (State::Start | State::Bare, _) => {
                    self.bytes.push(byte);
                    State::Bare
                }
            };
        }
        if self.state == State::Quoted {
            self.bytes.extend_from_slice(&line[text.len()..]);
            return Fed::Open;
        }
        self.ends.push(self.bytes.len());
        Fed::Complete
    }

    /// How many cells are complete: while the record is not, the place of the cell that is being read.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The content of a cell.
    pub(super) fn get(&self, at: usize) -> &[u8] {
        &self.bytes[self.start(at)..self.ends[at]]
    }

    /// The contents of all cells, if they are UTF-8; else the first cell that is not.
    pub(super) fn check_utf8(&self) -> Result<(), usize> {
        match std::str::from_utf8(&self.bytes) {
            // Two halves of a character in two cells look like one here.
            Ok(text) => match self.ends.iter().position(|&end| !text.is_char_boundary(end)) {
                Some(at) => Err(at),
                None => Ok(()),
            },
            Err(error) => Err(self.ends.partition_point(|&end| end <= error.valid_up_to())),
        }
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Result<Vec<String>, Fed> {
        let mut cells = Cells::default();
        let mut fed = Fed::Open;
        for line in text.split_inclusive('\n') {
            assert_eq!(fed, Fed::Open, "the record is longer than {text:?} says");
            fed = cells.feed(line.as_bytes());
        }
        let get = |at| String::from_utf8_lossy(cells.get(at)).into_owned();
        if fed == Fed::Complete { Ok((0..cells.len()).map(get).collect()) } else { Err(fed) }
    }

    #[test]
    fn cells_are_split_at_commas_outside_quotes() {
        for (text, cells) in [
            ("a,b", vec!["a", "b"]),
            ("a,b\r\n", vec!["a", "b"]),
            (",", vec!["", ""]),
            ("\"\",x\n", vec!["", "x"]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("\"say \"\"hi\"\"\",c", vec!["say \"hi\"", "c"]),
            ("\"\"\"\"", vec!["\""]),
            ("5\" tape,x", vec!["5\" tape", "x"]),
            (" \"a\" ,x", vec![" \"a\" ", "x"]),
            ("\"two\r\nlines\",x\r\n", vec!["two\r\nlines", "x"]),
            ("a\rb,c", vec!["a\rb", "c"]),
        ] {
            assert_eq!(split(text), Ok(cells.into_iter().map(str::to_owned).collect()), "{text:?}");
        }
    }

    #[test]
    fn misplaced_quotes_are_found() {
        assert_eq!(split("a,\"b\"c,d"), Err(Fed::TextAfterQuote));
        assert_eq!(split("\"a\" ,b"), Err(Fed::TextAfterQuote));
        assert_eq!(split("a,\"b\nc"), Err(Fed::Open));
        assert_eq!(split(&",".repeat(MAX_CELLS)), Err(Fed::TooManyCells));
        assert_eq!(split(&",".repeat(MAX_CELLS - 1)).map(|cells| cells.len()), Ok(MAX_CELLS));
    }

    #[test]
    fn halves_of_a_character_in_two_cells_are_no_utf8() {
        let mut cells = Cells::default();
        cells.feed(b"a,\xc3,\xa9");
        assert_eq!(cells.check_utf8(), Err(1));
        cells.clear();
        cells.feed(b"a,\xc3\xa9,\xff");
        assert_eq!(cells.check_utf8(), Err(2));
        cells.clear();
        cells.feed("a,é".as_bytes());
        assert_eq!(cells.check_utf8(), Ok(()));
    }
}
