//! What is wrong with a data directory from which a node cannot start: where it stands, and what to do.

use std::fmt;

use anabranch_operators::RestoreError;

use crate::error::Error;

/// What to do with a directory whose checksums are right and whose content is not.
const ADVICE: &str = "nothing was changed: look at the directory with `anabranch log check DIR`; where that finds damage, \
                      restore the directory from a copy, and where it finds none, report this";

/// Where something stands that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the record of this number.
    Record(u64),
    /// In the chunk of the snapshot that begins behind this record, at this byte of its file.
    Chunk(u64, u64),
}

/// Something could not be restored.
#[derive(Clone, Debug, PartialEq)]
pub struct Unrestored {
    /// Where it stands.
    pub(crate) place: Place,
    /// What is wrong with it.
    pub(crate) error: RestoreError,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Record(number) => write!(f, "record {number} of the journal"),
            Place::Chunk(begin, byte) => {
                write!(f, "what stands at byte {byte} of the snapshot that begins at record {begin}")
            }
        }
    }
}

impl Place {
    /// The node cannot start because of what stands here.
    pub(crate) fn unusable(self, what: impl fmt::Display) -> Error {
        Error::Start(format!("{self} {what}; {ADVICE}"))
    }

    /// A flow that stands here does not compile.
    pub(crate) fn outdated(self, error: &Error) -> Error {
        Error::Start(format!(
            "{self} keeps a flow that this version of anabranch does not take; nothing was changed: run the version that \
             wrote it, and report this, because a flow that was taken once should be taken for ever. What is wrong with \
             it:\n{error}"
        ))
    }
}

impl Unrestored {
    /// The node cannot start because of it.
    pub(crate) fn unusable(&self) -> Error {
        self.place.unusable(format_args!("cannot be done again: {}", self.error))
    }
}
