//! The program as a client: what its commands share when they talk to a node somewhere else.

pub(crate) mod at;
pub(crate) mod outcome;
pub(crate) mod row_words;
pub(crate) mod stop;
pub(crate) mod zone;
