//! The words of a line: how values are written in a script, both ways.
//!
//! A word is bare (`a`, `1.50`, `2010-12-01T08:26:00Z`), a text in `'...'` where `''` stands for `'`, or a JSON string
//! in `"..."` for characters that do not fit a line. A column's value is `column=word`. The bare word `null` is null.
//! [`write`] writes a word so that [`words`] reads it back.

use anabranch_model::convert::write_text;
use anabranch_model::expr::Place;
use anabranch_model::json::write_string;
use anabranch_model::types::Type;
use anabranch_model::value::Value;

use super::problem::Problem;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether it stood in quotes.
    pub(super) quoted: bool,
    pub(super) place: Place,
}

impl Word {
    /// Whether this is null and not the text `null`.
    pub(super) fn is_null(&self) -> bool {
        !self.quoted && self.text == "null"
    }
}

/// A word alone, or with a name before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Alone(Word),
    Pair(Word, Word),
}

impl Item {
    pub(super) fn place(&self) -> Place {
        match self {
            Item::Alone(word) | Item::Pair(word, _) => word.place,
        }
    }
}

/// The words of a line whose first character stands at `start`.
pub(super) fn words(line: &str, start: Place) -> Result<Vec<Item>, Problem> {
    let mut cursor = Cursor { rest: line, place: start };
    let mut items = Vec::new();
    loop {
        cursor.skip_space();
        if cursor.rest.is_empty() {
            return Ok(items);
        }
        let word = cursor.word(true)?;
        if !cursor.rest.starts_with('=') {
            cursor.end_of_word()?;
            items.push(Item::Alone(word));
            continue;
        }
        cursor.take(1);
        if cursor.rest.chars().next().is_none_or(char::is_whitespace) {
            let help =
                format!("write `{0}=''` for an empty text, or `{0}=null`", super::problem::cut(&word.text));
            return Err(Problem::new(cursor.place, "there is no value behind the `=`", help));
        }
        let value = cursor.word(false)?;
        cursor.end_of_word()?;
        items.push(Item::Pair(word, value));
    }
}

struct Cursor<'t> {
    rest: &'t str,
    place: Place,
}

impl<'t> Cursor<'t> {
    /// Takes so many bytes, which end at a character.
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.place.column = self.place.column.saturating_add(taken.chars().count() as u32);
        self.rest = rest;
        taken
    }

    fn skip_space(&mut self) {
        self.take(self.rest.len() - self.rest.trim_start().len());
    }

    /// The word that begins here; a bare one that may be a name ends before `=`.
    fn word(&mut self, name: bool) -> Result<Word, Problem> {
        let place = self.place;
        let (text, quoted) = match self.rest.as_bytes().first() {
            Some(b'\'') => (self.text()?, true),
            Some(b'"') => (self.json()?, true),
            _ => {
                let ends = |c: char| c.is_whitespace() || (name && c == '=');
                let end = self.rest.find(ends).unwrap_or(self.rest.len());
                (self.take(end).to_owned(), false)
            }
        };
        if text.is_empty() && !quoted {
            let help = "write `column=value`";
            return Err(Problem::new(place, "there is no name before the `=`", help));
        }
        Ok(Word { text, quoted, place })
    }

    fn text(&mut self) -> Result<String, Problem> {
        let place = self.place;
        self.take(1);
        let mut text = String::new();
        loop {
            let Some(end) = self.rest.find('\'') else {
                let help = "end it with `'` on the same line; a `'` inside is written `''`";
                return Err(Problem::new(place, "this text has no end", help));
            };
            text.push_str(self.take(end));
            self.take(1);
            if !self.rest.starts_with('\'') {
                return Ok(text);
            }
            text.push_str(self.take(1));
        }
    }

    fn json(&mut self) -> Result<String, Problem> {
        let place = self.place;
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let wrong = |message: &str| Problem::new(place, message, "write it as JSON does: `\"two\\nlines\"`");
        let end = end.ok_or_else(|| wrong("this string has no end"))?;
        serde_json::from_str(self.take(end + 2)).map_err(|_| wrong("this is no JSON string"))
    }

    fn end_of_word(&self) -> Result<(), Problem> {
        if self.rest.chars().next().is_none_or(char::is_whitespace) {
            return Ok(());
        }
        let help = "put a space here; a `'` inside a text in quotes is written `''`";
        Err(Problem::new(self.place, "a word goes on behind its end", help))
    }
}

/// Appends a value as a word.
pub(super) fn write(value: &Value<'_>, ty: &Type, out: &mut String) {
    if value.is_null() {
        return out.push_str("null");
    }
    let mut text = String::new();
    write_text(value, ty, &mut text);
    write_word(&text, out);
}

/// Appends a text as a word: bare where that reads back as the same, else in quotes.
///
/// INVARIANT: a line that begins with a word is no comment, command, further row or blank line.
pub(super) fn write_word(text: &str, out: &mut String) {
    let marks = ["'", "\"", "--", ">", "+"];
    if text.chars().any(char::is_control) {
        write_string(text, out);
    } else if text.is_empty()
        || text == "null"
        || text.contains(|c: char| c.is_whitespace() || c == '=')
        || marks.iter().any(|mark| text.starts_with(mark))
    {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Place = Place { line: 3, column: 1 };

    fn alone(text: &str) -> Vec<(String, bool, u32)> {
        let items = words(text, START).expect("words");
        let word = |item| match item {
            Item::Alone(word) => (word.text, word.quoted, word.place.column),
            Item::Pair(..) => panic!("a pair"),
        };
        items.into_iter().map(word).collect()
    }

    #[test]
    fn words_are_bare_or_in_quotes() {
        let expected = [("a", false, 1), ("b c", true, 3), ("it's", true, 9), ("x\ny", true, 17)];
        let expected: Vec<_> =
            expected.iter().map(|&(text, quoted, at)| (text.to_owned(), quoted, at)).collect();
        assert_eq!(alone(r#"a 'b c' 'it''s' "x\ny""#), expected);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(alone("ñandú x")[1].2, 7);
    }

    #[test]
    fn pairs_have_a_name_and_a_value() {
        let items = words("a=1 b='x y' \"c d\"=null e=f=g", START).expect("words");
        let pairs: Vec<(String, String, bool)> = items
            .into_iter()
            .map(|item| match item {
                Item::Pair(name, value) => (name.text.clone(), value.text.clone(), value.is_null()),
                Item::Alone(word) => panic!("{word:?}"),
            })
            .collect();
        let pair = |name: &str, value: &str, null| (name.to_owned(), value.to_owned(), null);
        let expected = [("a", "1", false), ("b", "x y", false), ("c d", "null", true), ("e", "f=g", false)];
        assert_eq!(pairs, expected.map(|(name, value, null)| pair(name, value, null)));
    }

    #[test]
    fn a_broken_word_is_told_at_its_place() {
        for (line, column) in [("a 'b", 3), ("a=", 3), ("a= b", 3), ("=b", 1), ("'a'b", 4), ("x \"\\q\"", 3)]
        {
            let problem = words(line, START).expect_err(line);
            assert_eq!((problem.place.line, problem.place.column), (3, column), "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_written_word_reads_back(text in ".*") {
            let mut line = String::new();
            write_word(&text, &mut line);
            let items = words(&line, START).expect("a word");
            prop_assert_eq!(items.len(), 1);
            let Item::Alone(word) = &items[0] else { panic!("{items:?}") };
            prop_assert_eq!(&word.text, &text);
            prop_assert!(!word.is_null());
        }

        #[test]
        fn any_line_is_words_or_a_problem(line in "[ -~ñ\t]{0,40}") {
            let _ = words(&line, START);
        }
    }
}
