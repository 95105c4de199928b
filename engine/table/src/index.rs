//! The hash index of a partition: open addressing with linear probing over 64-bit slots.
//!
//! A slot holds 32 bits of the key's hash (the *tag*) and the handle of its entry. A slot's place follows from its tag
//! alone, so growing reads no key; a probe that fails reads no entry but for one in thousands of tags. Removing moves
//! later slots back (Knuth, The Art of Computer Programming 3, 6.4, algorithm R), so there are no tombstones.
//!
//! The standard library's map would need two waits for memory (its control bytes, then the slot) where this needs one,
//! and none of its memory can be asked for ahead.
//!
//! `len <= slots * 3 / 4`

use crate::heap::Handle;
use crate::prefetch::prefetch;

/// No entry. No handle is all ones, see [`crate::heap`].
const EMPTY: u64 = u64::MAX;

/// Slots of the smallest index.
const SLOTS_MIN: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// None, or a power of two of them.
    slots: Vec<u64>,
    len: usize,
}

/// The place of a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(usize);

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.len() * size_of::<u64>()
    }

    /// Asks for the memory that looking for a hash will read.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        if !self.slots.is_empty() {
            prefetch(&self.slots[self.home(tag(hash))]);
        }
    }

    /// The first handle with this hash's tag: the one that is looked for, but for one in thousands.
    #[inline]
    pub(crate) fn likely(&self, hash: u64) -> Option<Handle> {
        self.find(hash, |_| true).map(|place| self.handle(place))
    }

    /// The slot of the entry that `is_it` knows.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(Handle) -> bool) -> Option<Place> {
        let tag = tag(hash);
        let mut at = if self.slots.is_empty() { return None } else { self.home(tag) };
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return None;
            }
            if (slot >> 32) as u32 == tag && is_it(slot as Handle) {
                return Some(Place(at));
            }
            at = self.behind(at);
        }
    }

    #[inline]
    pub(crate) fn handle(&self, place: Place) -> Handle {
        self.slots[place.0] as Handle
    }

    /// Puts another handle into a slot that was found.
    #[inline]
    pub(crate) fn replace(&mut self, place: Place, handle: Handle) {
        self.slots[place.0] = self.slots[place.0] >> 32 << 32 | u64::from(handle);
    }

    /// Adds an entry that is not there.
    pub(crate) fn insert(&mut self, hash: u64, handle: Handle) {
        if self.len + 1 > self.slots.len() / 4 * 3 {
            self.resize((self.slots.len() * 2).max(SLOTS_MIN));
        }
        self.place(u64::from(tag(hash)) << 32 | u64::from(handle));
        self.len += 1;
    }

    /// Removes a slot that was found.
    pub(crate) fn remove(&mut self, place: Place) {
        let (mut hole, mut at) = (place.0, place.0);
        loop {
            at = self.behind(at);
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            // A slot may move back to the hole when its home is not behind the hole.
            let mask = self.slots.len() - 1;
            let home = self.home((slot >> 32) as u32);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
        self.len -= 1;
        if self.slots.len() > SLOTS_MIN && self.len < self.slots.len() / 8 {
            self.resize(self.slots.len() / 4);
        }
    }

    /// All handles, in no stated order.
    pub(crate) fn handles(&self) -> impl Iterator<Item = Handle> {
        self.slots.iter().filter(|&&slot| slot != EMPTY).map(|&slot| slot as Handle)
    }

    fn resize(&mut self, slots: usize) {
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots.max(SLOTS_MIN)]);
        old.into_iter().filter(|&slot| slot != EMPTY).for_each(|slot| self.place(slot));
    }

    fn place(&mut self, slot: u64) {
        let mut at = self.home((slot >> 32) as u32);
        while self.slots[at] != EMPTY {
            at = self.behind(at);
        }
        self.slots[at] = slot;
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        (u64::from(tag) >> (32 - self.slots.len().trailing_zeros())) as usize
    }

    #[inline]
    fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}
