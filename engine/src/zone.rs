//! A node in a zone: what its workers send to other nodes and take from them, and the thread that deals with who owns what.

#[cfg(feature = "net")]
mod draining;
mod entrance;
mod forwards;
#[cfg(feature = "net")]
mod frames;
#[cfg(feature = "net")]
mod guests;
#[cfg(feature = "net")]
mod lanes;
mod link;
#[cfg(feature = "net")]
mod links;
mod numbering;
#[cfg(feature = "net")]
mod says;
#[cfg(feature = "net")]
mod steward;
mod view;
#[cfg(feature = "net")]
mod worker;

pub(crate) use self::entrance::{GUEST, PIECE};
#[cfg(feature = "net")]
pub(crate) use self::frames::control;
#[cfg(feature = "net")]
pub(crate) use self::lanes::Untaken;
#[cfg(feature = "net")]
pub(crate) use self::link::{Frames, Link};
#[cfg(feature = "net")]
pub(crate) use self::links::{Identity, Links};
pub(crate) use self::numbering::Numbering;
#[cfg(feature = "net")]
pub(crate) use self::says::Says;
#[cfg(feature = "net")]
pub(crate) use self::steward::{Act, Heard, Steward};
#[cfg(feature = "net")]
pub(crate) use self::worker::Told;
#[cfg(feature = "net")]
pub(crate) use self::worker::ZoneWorker;
