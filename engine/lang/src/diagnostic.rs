//! A diagnostic: what is wrong, where, and what to do. A value; rendering is in [`crate::render()`].

use crate::span::Span;

/// One thing to tell the author of a flow file.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// The stable number, `F031`; [`crate::explain()`] has a page for it.
    pub code: &'static str,
    /// Whether the file compiles all the same.
    pub severity: Severity,
    /// One line: what is wrong, with the names involved in backticks.
    pub message: String,
    /// Where; the first is the place itself, the others what it contradicts.
    pub labels: Vec<Label>,
    /// What to do, with the word to write.
    pub help: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file compiles.
    Warning,
}

/// A place with a remark.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// The remark; may be empty.
    pub text: String,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: vec![Label { span, text: String::new() }],
            help: None,
        }
    }

    /// A warning at `span`.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// Puts a remark at the place itself.
    pub fn here(mut self, text: impl Into<String>) -> Self {
        self.labels[0].text = text.into();
        self
    }

    /// Adds another place.
    pub fn and(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}
