//! Comments of a descriptor: kept where `.proto` compilers keep them, so that reflection tells them, too.

use prost_types::SourceCodeInfo;
use prost_types::source_code_info::Location;

/// Steps of a path: the field numbers of `FileDescriptorProto` and its parts.
pub(crate) const MESSAGE: i32 = 4;
pub(crate) const ENUM: i32 = 5;
pub(crate) const SERVICE: i32 = 6;
pub(crate) const FIELD: i32 = 2;
pub(crate) const VALUE: i32 = 2;
pub(crate) const METHOD: i32 = 2;
/// The path of the line that says which syntax a file has; its comment is that of the file.
pub(crate) const SYNTAX: i32 = 12;

/// Characters of a name or value in a comment, at most.
pub(crate) const ONE_LINE_MAX: usize = 80;

/// A text from the flow file in a comment: on one line, and cut.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().take(ONE_LINE_MAX) {
        match c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line + if text.chars().nth(ONE_LINE_MAX).is_some() { "..." } else { "" }
}

/// Comments as they gather.
#[derive(Debug, Default)]
pub(crate) struct Comments {
    locations: Vec<Location>,
}

impl Comments {
    /// The comment of the file.
    pub(crate) fn head(&mut self, lines: &[String]) {
        self.above(&[SYNTAX], lines);
    }

    /// A comment above what the path names.
    pub(crate) fn above(&mut self, path: &[i32], lines: &[String]) {
        let text: String =
            lines.iter().map(|line| format!("{}{line}\n", if line.is_empty() { "" } else { " " })).collect();
        self.push(path, |location| location.leading_comments = Some(text));
    }

    /// A comment behind what the path names, on its line.
    pub(crate) fn behind(&mut self, path: &[i32], line: String) {
        self.push(path, |location| location.trailing_comments = Some(format!(" {line}\n")));
    }

    fn push(&mut self, path: &[i32], set: impl FnOnce(&mut Location)) {
        // The text of a described file is written after its descriptor: no place in it is known.
        let mut location = Location { path: path.to_vec(), span: vec![0, 0, 0], ..Location::default() };
        set(&mut location);
        self.locations.push(location);
    }

    pub(crate) fn info(&mut self) -> SourceCodeInfo {
        SourceCodeInfo { location: std::mem::take(&mut self.locations) }
    }
}
