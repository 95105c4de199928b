//! Why the journal does not do what it was asked: what was tried, what is wrong, what to do.
//!
//! | error | whose | afterwards |
//! |---|---|---|
//! | [`Error::Full`] | the world's | nothing has changed; the same call works once there is space |
//! | [`Error::Disk`] | the world's | of a reader: try again. Of a writer's write or sync: the writer is poisoned |
//! | [`Error::Poisoned`] | the world's, earlier | every call gives it until the journal is recovered anew |
//! | [`Error::Damaged`], [`Error::Missing`] | the files' | nothing was changed |
//! | [`Error::Newer`] | the files' | nothing was changed |
//! | [`Error::TooLarge`] | the caller's | nothing has changed |

use std::fmt;
use std::io;
use std::sync::Arc;

/// Why the journal does not do what it was asked.
#[derive(Clone, Debug)]
pub enum Error {
    /// The disk refuses.
    Disk {
        /// What was tried: "write", "open".
        tried: &'static str,
        /// The file, or "the directory".
        file: String,
        /// What the disk says.
        why: Arc<io::Error>,
    },
    /// The disk is full. Nothing is lost or half done, and the call can be repeated.
    Full {
        /// What was tried.
        tried: &'static str,
        /// The file.
        file: String,
    },
    /// An earlier write or sync failed, so nobody knows what is on the disk: nothing is written any more.
    Poisoned {
        /// What failed.
        first: Arc<str>,
    },
    /// Bytes are not those that were written.
    Damaged(Damage),
    /// A file is not there that must be.
    Missing {
        /// What is missing, and how it is known that it should be there.
        what: String,
    },
    /// A file was written by a newer version.
    Newer {
        /// The file.
        file: String,
        /// What is newer: "format 2", "record version 2".
        what: String,
    },
    /// A record or chunk is longer than the journal takes.
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The most.
        most: usize,
    },
}

/// Where bytes are not those that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// The first byte, counted from 0, of the part that is damaged.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// What was tried with a file, to tell it when it fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried<'a>(pub(crate) &'static str, pub(crate) &'a str);

impl Tried<'_> {
    /// The error of a call that failed.
    pub(crate) fn failed(self, why: io::Error) -> Error {
        let Tried(tried, file) = self;
        match why.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::Full { tried, file: file.to_owned() }
            }
            _ => Error::Disk { tried, file: file.to_owned(), why: Arc::new(why) },
        }
    }
}

impl Error {
    /// Bytes of a file that are not right.
    pub(crate) fn damaged(file: &str, offset: u64, what: impl Into<String>) -> Self {
        Error::Damaged(Damage { file: file.to_owned(), offset, what: what.into() })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is damaged at byte {}: {}", self.file, self.offset, self.what)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Disk { tried, file, why } => {
                write!(f, "cannot {tried} `{file}`: {}; {}", plain(why), advice(why))
            }
            Error::Full { tried, file } => {
                write!(f, "cannot {tried} `{file}`: the disk is full; make space, and it goes on by itself")
            }
            Error::Poisoned { first } => write!(
                f,
                "the journal takes no more writes since one failed ({first}): what is on the disk is not known; look \
                 after the disk, then restart the node, which recovers what is safe"
            ),
            Error::Damaged(damage) => write!(
                f,
                "{damage}; nothing was changed: restore the directory from a copy, or start this node empty"
            ),
            Error::Missing { what } => {
                write!(f, "{what}; put the missing files back, or restore the directory from a copy")
            }
            Error::Newer { file, what } => write!(
                f,
                "`{file}` has {what}, which a newer version of anabranch wrote; nothing was changed: run that version"
            ),
            Error::TooLarge { bytes, most } => {
                write!(f, "a record or chunk of {bytes} bytes is too long, {most} at most; split it")
            }
        }
    }
}

fn plain(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::NotADirectory => "it is no directory".to_owned(),
        _ => why.to_string(),
    }
}

fn advice(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "check the name of the directory",
        io::ErrorKind::PermissionDenied => "give the user of this program the right to read and write there",
        io::ErrorKind::ReadOnlyFilesystem => "mount it to be written",
        _ => "look after the disk",
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Disk { why, .. } => Some(&**why),
            _ => None,
        }
    }
}
