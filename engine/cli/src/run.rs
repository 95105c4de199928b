//! A node that runs flows, from its `ready` line to its summary.
//!
//! One thread, [`Session`], does everything but read files: it takes chunks of rows from the reader thread, sends them
//! without waiting for answers one by one, prints what outputs publish, and hears of Ctrl-C. Files are read ahead on a
//! thread of their own ([`feed`]), so that a slow pipe never keeps answers from being printed.

pub(crate) mod exposure;
pub(crate) mod feed;
pub(crate) mod options;
pub(crate) mod pace;
pub(crate) mod play;
pub(crate) mod prints;
pub(crate) mod progress;
pub(crate) mod recovering;
pub(crate) mod session;
pub(crate) mod standard_input;
pub(crate) mod summary;
pub(crate) mod tables;
pub(crate) mod zone;
