//! The id of a subscription over the network, and places in what it brings.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};

use crate::error::Error;

/// The id of a subscription; nobody can guess it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SubscriptionId(u128);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SubscriptionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(SubscriptionId)
    }
}

impl SubscriptionId {
    /// One that no other has.
    ///
    /// # Errors
    /// [`Error::Start`]: the operating system gives no random numbers.
    pub(super) fn new() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        let chance = SystemRandom::new().fill(&mut bytes);
        chance.map_err(|_| Error::Start("the operating system gives no random numbers".into()))?;
        Ok(SubscriptionId(u128::from_ne_bytes(bytes)))
    }

    /// The subscription and the position of a name: `id-position`.
    pub(crate) fn position(name: &str) -> Option<(SubscriptionId, Position)> {
        let (id, position) = name.split_once('-')?;
        Some((id.parse().ok()?, position.parse().ok()?))
    }
}

/// Rows of a subscription so far, missed ones included.
pub(crate) type Position = u64;
