//! Parts of what the callers of a node share: one that asks for much leaves something to others.
//!
//! A caller is the holder of a token, wherever it comes from, else an address. Callers of this machine without tokens are
//! one program for all that can be told, so they may have everything.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::access::Caller;

/// Whose part something counts for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    /// The holder of the token of this name.
    Holder(String),
    /// Whoever comes from this address.
    Address(IpAddr),
}

/// The parts that callers have now.
#[derive(Clone)]
pub(crate) struct Shares {
    /// Of each caller, at most.
    each: usize,
    taken: Arc<Mutex<HashMap<Party, Weak<Semaphore>>>>,
}

impl Shares {
    /// Every caller may have so many at the same time.
    pub(crate) fn of_each(each: usize) -> Self {
        Shares { each, taken: Arc::default() }
    }

    /// What a caller takes its part from, for as long as it has one.
    pub(crate) fn of(&self, caller: &Caller) -> Arc<Semaphore> {
        let Some(party) = caller.party() else { return Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = taken.get(&party).and_then(Weak::upgrade) {
            return room;
        }
        taken.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Semaphore::new(self.each));
        taken.insert(party, Arc::downgrade(&room));
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_its_part_and_no_more_and_those_who_are_gone_are_forgotten() {
        let shares = Shares::of_each(2);
        let caller = |address: [u8; 4]| Caller::anyone((address, 1).into());
        let take = |address| shares.of(&caller(address)).try_acquire_owned().ok();
        let (one, two) = (take([10, 0, 0, 1]), take([10, 0, 0, 1]));
        assert!(one.is_some() && two.is_some() && take([10, 0, 0, 1]).is_none());
        assert!(take([10, 0, 0, 2]).is_some());
        drop(one);
        assert!(take([10, 0, 0, 1]).is_some());
        drop(two);
        let here: Vec<_> = (0..5).map(|_| take([127, 0, 0, 1])).collect();
        assert!(here.iter().all(Option::is_some));
        drop(take([10, 0, 0, 3]));
        assert_eq!(shares.taken.lock().unwrap().len(), 1);
    }
}
