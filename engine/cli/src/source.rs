//! Flow files as the commands read them: their text with all that is wrong with it.

use anabranch::{Error, Flow};
use anabranch_lang::diagnostic::{Diagnostic, Severity};
use anabranch_lang::{Compiled, decode};

use crate::failure::{Exit, Failure};
use crate::{os, output};

/// The text of a file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its name in messages.
    pub(crate) name: String,
    /// Its text; where it is not UTF-8, with `�` for what is no character.
    pub(crate) text: String,
    /// That it is not UTF-8.
    broken: Option<Diagnostic>,
}

impl Source {
    /// Reads a file; `-` is standard input.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(path: &str) -> Result<Source, Failure> {
        let name = if path == "-" { "<stdin>" } else { path }.to_owned();
        let bytes = os::read(path).map_err(|error| Failure::file("read", &name, &error))?;
        Ok(match decode(&bytes) {
            Ok(text) => Source { name, text: text.to_owned(), broken: None },
            Err(not) => Source { name, text: not.shown, broken: Some(not.diagnostic) },
        })
    }

    /// Compiles the text.
    pub(crate) fn compile(&self) -> Compiled {
        match &self.broken {
            Some(diagnostic) => Compiled { plan: None, diagnostics: vec![diagnostic.clone()] },
            None => anabranch_lang::compile(&self.name, &self.text),
        }
    }

    /// The text in its one layout.
    ///
    /// # Errors
    /// What is wrong with a text that cannot be read.
    pub(crate) fn format(&self) -> Result<String, Vec<Diagnostic>> {
        match &self.broken {
            Some(diagnostic) => Err(vec![diagnostic.clone()]),
            None => anabranch_lang::format(&self.text),
        }
    }

    /// The flow; its diagnostics are told.
    ///
    /// # Errors
    /// It does not compile.
    pub(crate) fn flow(&self) -> Result<Flow, Failure> {
        if let Some(diagnostic) = &self.broken {
            self.tell(std::slice::from_ref(diagnostic));
            return Err(Failure::told(Exit::Wrong));
        }
        match Flow::parse(&self.name, &self.text) {
            Ok(flow) => {
                self.tell(flow.warnings());
                Ok(flow)
            }
            Err(Error::Flow(error)) => {
                self.tell(&error.diagnostics);
                Err(Failure::told(Exit::Wrong))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Shows diagnostics on standard error.
    pub(crate) fn tell(&self, diagnostics: &[Diagnostic]) {
        if !diagnostics.is_empty() {
            output::message(&anabranch_lang::render(&self.name, &self.text, diagnostics, output::colour()));
        }
    }
}

/// How many of them are errors.
pub(crate) fn errors(diagnostics: &[Diagnostic]) -> usize {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
