//! Where the entries of a partition lie: slots of fixed sizes in chunks of memory.
//!
//! An entry is its key and its row: `key length (u16) | key | row`. Sizes of slots grow by an eighth to a quarter, so
//! an entry wastes little and an updated row mostly fits where it lay. A chunk whose last entry goes gives its memory
//! back. Handles stay valid until their slot is given back.

use anabranch_model::key::MAX_KEY_BYTES;

use crate::prefetch::prefetch;

/// Names a slot: six bits of size class, twenty-six bits of slot number.
pub(crate) type Handle = u32;

/// A place to go on visiting entries: a class and a slot.
pub(crate) type Position = (usize, u32);

/// Slot numbers per class: 67 million entries of one size in one partition.
const SLOT_BITS: u32 = 26;

/// Memory is taken in chunks of this size (larger slots have a chunk each). Small enough that 64 almost empty
/// partitions are cheap, large enough that a partition has few.
const CHUNK_BYTES: usize = 32 << 10;

/// The smallest slot, and the step of the smallest classes.
const SLOT_BYTES_MIN: usize = 32;

/// Bytes that memory is read in.
const CACHE_LINE_BYTES: usize = 64;

/// Marks the end of a list of free slots.
const NONE: u32 = u32::MAX;

/// Stands where the key length of an entry would, in a slot that is free.
const FREE: u16 = u16::MAX;

/// Stands with the key length of an entry that has left and whose slot is not given back.
const LEFT: u16 = 1 << 15;

// INVARIANT: a key length has not the bit of either.
const _: () = assert!(MAX_KEY_BYTES < LEFT as usize && FREE & LEFT != 0);

/// Slots of one class in one partition, so also the rows of a partition.
pub(crate) const SLOTS_MAX: usize = (1 << SLOT_BITS) - 1;

/// The class of entries that are larger than a chunk: each has memory of its own size.
const LARGE: usize = 39;

// INVARIANT: class and slot fit a handle.
const _: () = assert!(LARGE < 1 << (32 - SLOT_BITS));

#[derive(Debug, Default)]
pub(crate) struct Heap {
    /// By class; none before the first entry.
    classes: Vec<Class>,
    entry_bytes: usize,
}

#[derive(Debug)]
struct Class {
    /// Bytes of a slot; of [`LARGE`] a slot is as long as its chunk.
    slot_bytes: usize,
    /// Slots per chunk are `1 << chunk_shift`.
    chunk_shift: u32,
    chunks: Vec<Chunk>,
    /// Chunks that have a free slot.
    open: Vec<u32>,
}

#[derive(Debug)]
struct Chunk {
    /// Empty while no slot is in use.
    bytes: Box<[u8]>,
    used: u32,
    free: u32,
}

impl Heap {
    /// Puts an entry into a slot; `fill` writes its row of so many bytes.
    pub(crate) fn insert(&mut self, key: &[u8], row_bytes: usize, fill: impl FnOnce(&mut [u8])) -> Handle {
        let (start, bytes) = (2 + key.len(), 2 + key.len() + row_bytes);
        if self.classes.is_empty() {
            self.classes = (0..=LARGE).map(|class| Class::new(class_bytes(class))).collect();
        }
        let place = class_of(bytes).min(LARGE);
        let class = &mut self.classes[place];
        let slot = class.take(bytes);
        self.entry_bytes += bytes;
        let at = class.slot_mut(slot);
        at[..2].copy_from_slice(&(key.len() as u16).to_le_bytes());
        at[2..start].copy_from_slice(key);
        fill(&mut at[start..bytes]);
        (place as u32) << SLOT_BITS | slot
    }

    /// The room of an entry's row for another one of so many bytes, which the caller then writes; `None` when the entry
    /// must move: the row does not fit, or would waste more than half of the slot.
    #[inline]
    pub(crate) fn room(&mut self, handle: Handle, row_bytes: usize) -> Option<&mut [u8]> {
        let class = &mut self.classes[(handle >> SLOT_BITS) as usize];
        let slot = class.slot_mut(handle & ((1 << SLOT_BITS) - 1));
        let start = 2 + key_length(slot);
        let end = start + row_bytes;
        if !fits(slot, end) {
            return None;
        }
        self.entry_bytes = self.entry_bytes + row_bytes - row_length_of(&slot[start..]);
        Some(&mut slot[start..end])
    }

    /// Whether there is [`Heap::room`].
    #[inline]
    pub(crate) fn has_room(&self, handle: Handle, row_bytes: usize) -> bool {
        let class = &self.classes[(handle >> SLOT_BITS) as usize];
        let slot = class.slot(handle & ((1 << SLOT_BITS) - 1));
        fits(slot, 2 + key_length(slot) + row_bytes)
    }

    /// An entry is no longer there; its slot stays as it is until [`Heap::come_back`] or [`Heap::give_back`].
    pub(crate) fn leave(&mut self, handle: Handle) {
        let (key, row) = self.entry(handle);
        self.entry_bytes -= 2 + key.len() + row.len();
        self.mark(handle, LEFT);
    }

    /// An entry that has left is there again.
    pub(crate) fn come_back(&mut self, handle: Handle) {
        let (key, row) = self.entry(handle);
        self.entry_bytes += 2 + key.len() + row.len();
        self.mark(handle, 0);
    }

    /// Frees the slot of an entry that has left.
    pub(crate) fn give_back(&mut self, handle: Handle) {
        let place = (handle >> SLOT_BITS) as usize;
        self.classes[place].give_back(handle & ((1 << SLOT_BITS) - 1));
    }

    fn mark(&mut self, handle: Handle, left: u16) {
        let class = &mut self.classes[(handle >> SLOT_BITS) as usize];
        let slot = class.slot_mut(handle & ((1 << SLOT_BITS) - 1));
        let marked = key_length(slot) as u16 | left;
        slot[..2].copy_from_slice(&marked.to_le_bytes());
    }

    /// Key and row of an entry.
    #[inline]
    pub(crate) fn entry(&self, handle: Handle) -> (&[u8], &[u8]) {
        let class = &self.classes[(handle >> SLOT_BITS) as usize];
        split(class.slot(handle & ((1 << SLOT_BITS) - 1)))
    }

    /// Asks for the memory of an entry.
    #[inline]
    pub(crate) fn prefetch(&self, handle: Handle) {
        let class = &self.classes[(handle >> SLOT_BITS) as usize];
        let slot = class.slot(handle & ((1 << SLOT_BITS) - 1));
        // Most entries lie in two lines; the processor fetches the rest of longer ones by itself.
        prefetch(&slot[0]);
        prefetch(&slot[slot.len().min(CACHE_LINE_BYTES + 1) - 1]);
    }

    /// Key of an entry.
    #[inline]
    pub(crate) fn key(&self, handle: Handle) -> &[u8] {
        let class = &self.classes[(handle >> SLOT_BITS) as usize];
        let slot = class.slot(handle & ((1 << SLOT_BITS) - 1));
        &slot[2..2 + key_length(slot)]
    }

    /// Bytes of all entries: keys, rows, and two a key.
    pub(crate) fn entry_bytes(&self) -> usize {
        self.entry_bytes
    }

    /// Bytes of memory held for entries.
    pub(crate) fn memory_bytes(&self) -> usize {
        let chunk = |class: &Class| class.chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
        self.classes.iter().map(chunk).sum()
    }

    /// Bytes that no row is longer than; exact where one is longer than a chunk.
    pub(crate) fn row_bytes_at_most(&self) -> usize {
        let (mut longest, mut from) = (CHUNK_BYTES, (LARGE, 0));
        while let Some((behind, _, row)) = self.next(from) {
            (longest, from) = (longest.max(row.len()), behind);
        }
        longest
    }

    /// The entry in the first used slot at or after `from`, with the position behind it.
    pub(crate) fn next(&self, mut from: Position) -> Option<(Position, &[u8], &[u8])> {
        loop {
            let class = self.classes.get(from.0)?;
            let chunk = (from.1 >> class.chunk_shift) as usize;
            let Some(of) = class.chunks.get(chunk) else {
                from = (from.0 + 1, 0);
                continue;
            };
            if of.used == 0 {
                from.1 = (chunk as u32 + 1) << class.chunk_shift;
                continue;
            }
            let slot = class.slot(from.1);
            from.1 += 1;
            if u16::from_le_bytes([slot[0], slot[1]]) & LEFT == 0 {
                let (key, row) = split(slot);
                return Some((from, key, row));
            }
        }
    }
}

impl Class {
    fn new(slot_bytes: usize) -> Self {
        let slots = (CHUNK_BYTES / slot_bytes).max(1);
        Class { slot_bytes, chunk_shift: slots.ilog2(), chunks: Vec::new(), open: Vec::new() }
    }

    #[inline]
    fn slot(&self, slot: u32) -> &[u8] {
        let chunk = &self.chunks[(slot >> self.chunk_shift) as usize].bytes;
        if self.chunk_shift == 0 {
            return chunk;
        }
        let at = (slot & ((1 << self.chunk_shift) - 1)) as usize * self.slot_bytes;
        &chunk[at..at + self.slot_bytes]
    }

    #[inline]
    fn slot_mut(&mut self, slot: u32) -> &mut [u8] {
        let chunk = &mut self.chunks[(slot >> self.chunk_shift) as usize].bytes;
        if self.chunk_shift == 0 {
            return chunk;
        }
        let at = (slot & ((1 << self.chunk_shift) - 1)) as usize * self.slot_bytes;
        &mut chunk[at..at + self.slot_bytes]
    }

    fn take(&mut self, bytes: usize) -> u32 {
        let chunk = match self.open.last() {
            Some(&chunk) => chunk,
            None => {
                let chunk = self.chunks.len() as u32;
                assert!(
                    chunk < 1 << (SLOT_BITS - self.chunk_shift),
                    "a partition has too many rows of a size"
                );
                self.chunks.push(Chunk { bytes: Box::default(), used: 0, free: NONE });
                self.open.push(chunk);
                chunk
            }
        };
        if self.chunks[chunk as usize].used == 0 {
            self.fill(chunk, bytes);
        }
        let slot = self.chunks[chunk as usize].free;
        let next = next_free(self.slot(slot));
        let of = &mut self.chunks[chunk as usize];
        of.free = next;
        of.used += 1;
        if next == NONE {
            self.open.pop();
        }
        slot
    }

    /// Gives memory to a chunk that has none, for an entry of so many bytes, and links its slots.
    fn fill(&mut self, chunk: u32, bytes: usize) {
        let (slots, first) = (1u32 << self.chunk_shift, chunk << self.chunk_shift);
        let slot_bytes = self.slot_bytes.max(class_bytes(class_of(bytes)));
        self.chunks[chunk as usize].bytes = vec![0; slot_bytes << self.chunk_shift].into();
        self.chunks[chunk as usize].free = first;
        for slot in first..first + slots {
            let next = if slot + 1 < first + slots { slot + 1 } else { NONE };
            set_free(self.slot_mut(slot), next);
        }
    }

    fn give_back(&mut self, slot: u32) {
        let chunk = slot >> self.chunk_shift;
        let of = &self.chunks[chunk as usize];
        let (next, was_full) = (of.free, of.free == NONE);
        set_free(self.slot_mut(slot), next);
        let of = &mut self.chunks[chunk as usize];
        of.free = slot;
        of.used -= 1;
        if of.used == 0 {
            of.bytes = Box::default();
        }
        if was_full {
            self.open.push(chunk);
        }
    }
}

#[inline]
fn key_length(slot: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([slot[0], slot[1]]) & !LEFT)
}

/// Whether a slot is right for an entry of so many bytes that is no new one.
#[inline]
fn fits(slot: &[u8], bytes: usize) -> bool {
    bytes <= slot.len() && (bytes >= slot.len() / 2 || slot.len() == SLOT_BYTES_MIN)
}

#[inline]
fn row_length_of(row: &[u8]) -> usize {
    anabranch_model::row::row_length(row).expect("a slot holds a whole row")
}

#[inline]
fn split(slot: &[u8]) -> (&[u8], &[u8]) {
    let start = 2 + key_length(slot);
    let end = start + row_length_of(&slot[start..]);
    (&slot[2..start], &slot[start..end])
}

fn set_free(slot: &mut [u8], next: u32) {
    slot[..2].copy_from_slice(&FREE.to_le_bytes());
    slot[2..6].copy_from_slice(&next.to_le_bytes());
}

fn next_free(slot: &[u8]) -> u32 {
    u32::from_le_bytes([slot[2], slot[3], slot[4], slot[5]])
}

/// The class of the smallest slot that holds so many bytes: steps of 16 up to 128, then four a doubling.
fn class_of(bytes: usize) -> usize {
    if bytes <= 128 {
        return bytes.saturating_sub(SLOT_BYTES_MIN).div_ceil(16);
    }
    let doubling = (bytes - 1).ilog2() as usize;
    let quarter = (bytes - 1) >> (doubling - 2) & 3;
    6 + 4 * (doubling - 7) + quarter + 1
}

/// Bytes of the slots of a class; the inverse of [`class_of`].
fn class_bytes(class: usize) -> usize {
    if class <= 6 {
        return SLOT_BYTES_MIN + 16 * class;
    }
    let (doubling, quarter) = ((class - 7) / 4 + 7, (class - 7) % 4);
    (1 << doubling) + ((quarter + 1) << (doubling - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_smallest_that_holds_its_bytes() {
        for bytes in (0..5_000).chain([65_536, 65_537, 4_194_304 + 4_098]) {
            let class = class_of(bytes);
            assert_eq!(class >= LARGE, bytes > CHUNK_BYTES, "{bytes} bytes have class {class}");
            assert!(class_bytes(class) >= bytes, "class {class} is too small for {bytes}");
            assert!(class == 0 || class_bytes(class - 1) < bytes, "class {class} is too large for {bytes}");
        }
    }
}
