//! What is wrong with a script itself, as opposed to a flow that does something else than the script expects.

use std::fmt;
use std::io;

use anabranch_lang::suggest::closest;
use anabranch_model::expr::Place;

/// A script that cannot be run. Nothing of it was run, unless a problem says so.
#[derive(Debug)]
#[non_exhaustive]
pub enum ScriptError {
    /// The script could not be read.
    File {
        /// Its path.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Something in it is wrong; all that can be told at once.
    Problems {
        /// The script's name as it was given.
        file: String,
        /// What, in the order of the script; at least one.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, in the script.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Problem {
    pub(super) fn new(place: Place, message: impl Into<String>, help: impl Into<String>) -> Self {
        Problem { place, message: message.into(), help: help.into() }
    }

    /// A word that is none of those it could be.
    pub(super) fn unknown<'w>(
        place: Place,
        what: &str,
        word: &str,
        known: impl IntoIterator<Item = &'w str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let help = match (closest(word, known.iter().copied()), known.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => "there is none".to_owned(),
            (None, false) => format!("there is {}", listed(&known)),
        };
        Problem::new(place, format!("there is no {what} `{}`", cut(word)), help)
    }
}

/// The first words, in backticks.
fn listed(words: &[&str]) -> String {
    const LISTED: usize = 12;
    let mut shown: Vec<String> = words.iter().take(LISTED).map(|word| format!("`{}`", cut(word))).collect();
    if words.len() > LISTED {
        shown.push("...".to_owned());
    }
    shown.join(", ")
}

/// A word in a message: on one line, cut after 60 characters.
pub(super) fn cut(word: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown = String::new();
    for character in word.chars().take(SHOWN) {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    if word.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScriptError::File { path, error } => write!(f, "cannot read `{path}`: {error}"),
            ScriptError::Problems { file, problems } => {
                for (at, problem) in problems.iter().enumerate() {
                    let Problem { place, message, help } = problem;
                    let end = if at + 1 < problems.len() { "\n" } else { "" };
                    write!(f, "{file}:{}:{}: {message}\nhelp: {help}{end}", place.line, place.column)?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ScriptError {}
