//! Aligned text tables: words to the left, numbers to the right, no cell wider than people read.

/// Characters of a cell, at most; more is cut and ends in `…`.
const CELL_CHARS_MAX: usize = 40;

/// Between two columns.
const GAP: &str = "  ";

/// A table with a header line.
///
/// ```text
/// table       rows  bytes
/// QueryTable   100  2,400
/// ```
#[derive(Debug)]
pub(crate) struct TextTable {
    header: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    /// The widest cell of every column so far, in characters.
    widths: Vec<usize>,
    /// Whether the header was given out.
    begun: bool,
}

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

impl TextTable {
    /// An empty table.
    pub(crate) fn new<'a>(header: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let header: Vec<(String, Align)> =
            header.into_iter().map(|(title, align)| (cell(title), align)).collect();
        let widths = header.iter().map(|(title, _)| title.chars().count()).collect();
        TextTable { header, rows: Vec::new(), widths, begun: false }
    }

    /// Appends a row. Cells beyond the header are left out.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().take(self.header.len()).map(|text| cell(&text)).collect();
        for (width, cell) in self.widths.iter_mut().zip(&row) {
            *width = cell.chars().count().max(*width);
        }
        self.rows.push(row);
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, a line per row.
    pub(crate) fn render(&self) -> String {
        let titles: Vec<String> = self.header.iter().map(|(title, _)| title.clone()).collect();
        std::iter::once(&titles).chain(&self.rows).map(|row| self.line(row)).collect()
    }

    /// The rows since the last call as lines, the first time below the header.
    pub(crate) fn take(&mut self) -> String {
        let text = match std::mem::replace(&mut self.begun, true) {
            false => self.render(),
            true => self.rows.iter().map(|row| self.line(row)).collect(),
        };
        self.rows.clear();
        text
    }

    fn line(&self, row: &[String]) -> String {
        let cells = row.iter().zip(&self.header).zip(&self.widths);
        let padded: Vec<String> =
            cells.map(|((cell, (_, align)), width)| pad(cell, *align, *width)).collect();
        padded.join(GAP).trim_end().to_owned() + "\n"
    }
}

fn pad(cell: &str, align: Align, width: usize) -> String {
    match align {
        Align::Left => format!("{cell:<width$}"),
        Align::Right => format!("{cell:>width$}"),
    }
}

/// The text on one line, without anything that could move the cursor, cut where it is too long.
fn cell(text: &str) -> String {
    let mut shown = String::new();
    let mut length = 0;
    for character in text.chars() {
        let escaped =
            if character.is_control() { character.escape_default().collect() } else { character.to_string() };
        length += escaped.chars().count();
        if length > CELL_CHARS_MAX {
            let kept: String = shown.chars().take(CELL_CHARS_MAX - 1).collect();
            return kept + "…";
        }
        shown += &escaped;
    }
    shown
}

/// A number with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 row`, `1,000 rows`.
pub(crate) fn rows(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "row" } else { "rows" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let mut table = TextTable::new([("name", Align::Left), ("n", Align::Right)]);
        table.row(["a".to_owned(), "1".to_owned()]);
        table.row(["ñandú".to_owned(), "1,000".to_owned()]);
        assert_eq!(table.render(), "name       n\na          1\nñandú  1,000\n");
    }

    #[test]
    fn a_table_comes_in_pieces_below_one_header() {
        let mut table = TextTable::new([("name", Align::Left), ("n", Align::Right)]);
        table.row(["a".to_owned(), "1".to_owned()]);
        assert_eq!(table.take(), "name  n\na     1\n");
        table.row(["ab".to_owned(), "10".to_owned()]);
        assert_eq!(table.take(), "ab    10\n");
        assert_eq!(table.take(), "");
    }

    #[test]
    fn a_long_cell_is_cut_and_says_so() {
        let mut table = TextTable::new([("x", Align::Left)]);
        table.row(["é".repeat(CELL_CHARS_MAX)]);
        table.row(["é".repeat(CELL_CHARS_MAX + 1)]);
        let text = table.render();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "é".repeat(CELL_CHARS_MAX));
        assert_eq!(lines[2], "é".repeat(CELL_CHARS_MAX - 1) + "…");
    }

    #[test]
    fn nothing_in_a_cell_moves_the_cursor() {
        let mut table = TextTable::new([("x", Align::Left)]);
        table.row(["a\nb\x1b[2J".to_owned()]);
        assert_eq!(table.render(), "x\na\\nb\\u{1b}[2J\n");
    }

    #[test]
    fn thousands_are_set_apart() {
        let shown: Vec<String> = [0, 999, 1000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
