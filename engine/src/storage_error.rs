//! What the disk under a node's journal keeps it from doing for a request.

use std::fmt;

/// Why a node has not done, or not answered, what it was asked: its disk. The text says what was tried, what is wrong and
/// what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageError {
    /// The disk refuses what the journal needs, most likely because it is full. Nothing of the request was done; it can be
    /// sent again when there is space, and the node goes on by itself.
    Halted(String),
    /// The journal has failed. Nothing of the request was done, and nothing is kept until the node is started again.
    Broken(String),
    /// The journal has failed while the request was under way. Nobody sees what it did; whether it is there when the node is
    /// started again is not known.
    Lost(String),
    /// What was to be read rests on changes that are not on the disk. A stale read sees them.
    Unsafe(String),
}

impl StorageError {
    /// What a program may act on.
    pub fn code(&self) -> &'static str {
        match self {
            StorageError::Halted(_) => "storage_halted",
            StorageError::Broken(_) => "storage_broken",
            StorageError::Lost(_) => "storage_lost",
            StorageError::Unsafe(_) => "storage_unsafe",
        }
    }

    /// What was tried with the disk, what is wrong, what to do.
    pub fn why(&self) -> &str {
        match self {
            StorageError::Halted(why)
            | StorageError::Broken(why)
            | StorageError::Lost(why)
            | StorageError::Unsafe(why) => why,
        }
    }

    /// The error of a code.
    #[cfg(feature = "net")]
    pub(crate) fn of(code: &str, why: &str) -> Option<Self> {
        let all = [StorageError::Halted, StorageError::Broken, StorageError::Lost, StorageError::Unsafe];
        all.into_iter().map(|error| error(why.to_owned())).find(|error| error.code() == code)
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageError::Halted(why) => {
                write!(f, "the request was turned down and nothing of it was done: {why}; then send it again")
            }
            StorageError::Broken(why) => {
                write!(f, "the request was turned down and nothing of it was done: {why}")
            }
            StorageError::Lost(why) => write!(
                f,
                "{why}; whether the request took effect is not known before the node is started again, and nobody sees it \
                 until then"
            ),
            StorageError::Unsafe(why) => {
                write!(f, "what was to be read is not safe: {why}; a stale read shows it as it is")
            }
        }
    }
}
