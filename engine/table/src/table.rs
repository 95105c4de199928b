//! Rows by primary key, with the undo of a step.
//!
//! INVARIANT: a step that is rolled back moves no row that was there before it. A visit in chunks that has come by half
//! of them meets each of the others behind it, as if the step had not been. So what a step removes keeps its slot until
//! the step is kept.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::heap::{Handle, Heap, Position};
use crate::index::{Index, Place};
use crate::order::Order;

/// Rows of one partition, at most; the caller refuses an insert beyond it.
pub const MAX_ROWS: usize = crate::heap::SLOTS_MAX;

/// The rows of one partition of one table, by key.
///
/// ```
/// # use anabranch_model::{Column, RowWriter, Shape, Type, Value};
/// # let column = Column { name: "name".into(), ty: Type::Text, nullable: false, default: None };
/// # let shape = Shape::new(vec![column]);
/// # let row = |text: &str| {
/// #     let mut bytes = Vec::new();
/// #     let mut writer = RowWriter::new(&mut bytes, &shape);
/// #     writer.value(&Value::from(text)).unwrap();
/// #     writer.finish().unwrap();
/// #     bytes
/// # };
/// let mut table = anabranch_table::Table::new(7);
/// table.put(b"a", &row("first"));
/// table.begin();
/// table.put(b"a", &row("second"));
/// table.remove(b"a");
/// table.roll_back();
/// assert_eq!(table.get(b"a"), Some(row("first").as_slice()));
/// ```
#[derive(Debug)]
pub struct Table {
    seed: u64,
    index: Index,
    heap: Heap,
    order: Order,
    undo: Undo,
}

/// What a step changed so far, newest last.
#[derive(Debug, Default)]
struct Undo {
    recording: bool,
    entries: Vec<UndoEntry>,
    /// Old rows of `entries`.
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum UndoEntry {
    /// An entry with a new key came.
    Inserted(Handle),
    /// An entry has another row in its slot; this one was there.
    Written(Handle, std::ops::Range<usize>),
    /// An entry lies in the second slot; the first one still has what it was.
    Moved(Handle, Handle),
    /// An entry went; its slot still has it.
    Removed(Handle),
}

impl Table {
    /// An empty table. The seed keeps strangers from choosing keys that collide.
    pub fn new(seed: u64) -> Self {
        Table {
            seed,
            index: Index::default(),
            heap: Heap::default(),
            order: Order::default(),
            undo: Undo::default(),
        }
    }

    /// An empty table with the seed of this one.
    pub fn empty(&self) -> Self {
        Table::new(self.seed)
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// Bytes of keys and rows.
    pub fn row_bytes(&self) -> usize {
        self.heap.entry_bytes()
    }

    /// Bytes of memory that keys, rows and the index hold.
    pub fn memory_bytes(&self) -> usize {
        self.heap.memory_bytes() + self.index.memory_bytes()
    }

    /// Bytes that no row is longer than. Looks at long rows only: short ones count as 32 KiB.
    pub fn row_bytes_at_most(&self) -> usize {
        self.heap.row_bytes_at_most()
    }

    /// The row of a key.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let place = self.find(self.hash(key), key)?;
        Some(self.heap.entry(self.index.handle(place)).1)
    }

    /// Asks for the memory of the index that an access to a key will read.
    ///
    /// An access waits for memory twice or more, one wait after the other. Who is about to make many of them calls
    /// this for all of their keys, then [`Table::prefetch_row`] for all, so that the waits overlap.
    #[inline]
    pub fn prefetch_index(&self, key: KeyHash) {
        self.index.prefetch(key.0);
    }

    /// Asks for the memory of the row that an access to a key will most likely read.
    #[inline]
    pub fn prefetch_row(&self, key: KeyHash) {
        if let Some(handle) = self.index.likely(key.0) {
            self.heap.prefetch(handle);
        }
    }

    /// Puts a row under a key, replacing the one that is there. Says whether one was there.
    #[inline]
    pub fn put(&mut self, key: &[u8], row: &[u8]) -> bool {
        self.put_with(self.hash(key), key, row.len(), |slot| slot.copy_from_slice(row))
    }

    /// [`Table::put`] of a row of so many bytes that `fill` writes where it will lie, under a key whose hash under this
    /// table's seed is known.
    #[inline]
    pub fn put_with(
        &mut self,
        hash: KeyHash,
        key: &[u8],
        row_bytes: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> bool {
        let Some(place) = self.find(hash, key) else {
            self.insert(hash, key, row_bytes, fill);
            return false;
        };
        let old = self.index.handle(place);
        if self.undo.recording && self.heap.has_room(old, row_bytes) {
            self.undo.written(old, self.heap.entry(old).1);
        }
        if let Some(room) = self.heap.room(old, row_bytes) {
            fill(room);
            return true;
        }
        self.order.removing(&self.heap, old);
        self.heap.leave(old);
        if !self.undo.recording {
            self.heap.give_back(old);
        }
        let new = self.heap.insert(key, row_bytes, fill);
        if self.undo.recording {
            self.undo.entries.push(UndoEntry::Moved(old, new));
        }
        self.order.inserted(&self.heap, new);
        self.index.replace(place, new);
        true
    }

    /// Whether the table must not take another row, or this key's in another size.
    pub fn is_full_for(&self, key: &[u8]) -> bool {
        // What a step has removed still has its slot.
        let held = self.undo.entries.len();
        self.len() + held >= MAX_ROWS && (held > 0 || self.get(key).is_none())
    }

    /// Removes the row of a key. Says whether one was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let Some(place) = self.find(self.hash(key), key) else { return false };
        let handle = self.index.handle(place);
        self.order.removing(&self.heap, handle);
        self.index.remove(place);
        self.heap.leave(handle);
        if self.undo.recording {
            self.undo.entries.push(UndoEntry::Removed(handle));
        } else {
            self.heap.give_back(handle);
            self.shrink();
        }
        true
    }

    /// Begins a step: what follows can be undone.
    pub fn begin(&mut self) {
        debug_assert!(self.undo.entries.is_empty(), "the step before has ended");
        self.undo.recording = true;
    }

    /// Ends a step and keeps its changes.
    pub fn commit(&mut self) {
        for entry in &self.undo.entries {
            if let UndoEntry::Moved(old, _) | UndoEntry::Removed(old) = entry {
                self.heap.give_back(*old);
            }
        }
        self.end();
    }

    /// Ends a step and takes its changes back, newest first.
    pub fn roll_back(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        undo.entries.iter().rev().for_each(|entry| self.take_back(entry, &undo.bytes));
        self.undo = undo;
        self.end();
    }

    /// Takes the newest change back.
    fn take_back(&mut self, entry: &UndoEntry, rows: &[u8]) {
        match *entry {
            UndoEntry::Written(handle, ref row) => {
                let row = &rows[row.clone()];
                let room = self.heap.room(handle, row.len());
                room.expect("a row has room where it was").copy_from_slice(row);
            }
            UndoEntry::Inserted(new) => {
                let place = self.place(new);
                self.order.removing(&self.heap, new);
                self.index.remove(place);
                self.heap.leave(new);
                self.heap.give_back(new);
            }
            UndoEntry::Moved(old, new) => {
                let place = self.place(new);
                self.order.removing(&self.heap, new);
                self.heap.leave(new);
                self.heap.give_back(new);
                self.heap.come_back(old);
                self.index.replace(place, old);
                self.order.inserted(&self.heap, old);
            }
            UndoEntry::Removed(old) => {
                self.heap.come_back(old);
                self.index.insert(self.hash(self.heap.key(old)).0, old);
                self.order.inserted(&self.heap, old);
            }
        }
    }

    fn end(&mut self) {
        if !self.undo.entries.is_empty() {
            self.shrink();
        }
        self.undo.clear();
    }

    /// Gives the memory of a table without rows back.
    fn shrink(&mut self) {
        if self.is_empty() {
            self.heap = Heap::default();
            self.order.forget();
        }
    }

    /// Visits rows in no stated order, a bounded number at a time, while the table may change in between: a row that
    /// is not touched from the first chunk to the last, but by steps that were rolled back, is visited exactly once.
    pub fn chunk(&self, from: ChunkCursor, rows: usize, mut visit: impl FnMut(&[u8], &[u8])) -> Chunk {
        let mut at = from.0;
        for _ in 0..rows {
            let Some((behind, key, row)) = self.heap.next(at) else { return Chunk::End };
            visit(key, row);
            at = behind;
        }
        Chunk::More(ChunkCursor(at))
    }

    /// The keys and rows after `after` (all when `None`) in key order.
    ///
    /// The first call sorts the keys; while calls come, the order is kept up.
    pub fn in_order(&mut self, after: Option<&[u8]>) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (heap, index) = (&self.heap, &self.index);
        self.order.from(heap, after, index).map(|handle| heap.entry(handle))
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash::of(key, self.seed)
    }

    #[inline]
    fn find(&self, hash: KeyHash, key: &[u8]) -> Option<Place> {
        self.index.find(hash.0, |handle| self.heap.key(handle) == key)
    }

    /// The place of an entry that is there.
    fn place(&self, handle: Handle) -> Place {
        let hash = self.hash(self.heap.key(handle));
        self.index.find(hash.0, |other| other == handle).expect("an entry that is there has a place")
    }

    fn insert(&mut self, hash: KeyHash, key: &[u8], row_bytes: usize, fill: impl FnOnce(&mut [u8])) {
        let handle = self.heap.insert(key, row_bytes, fill);
        if self.undo.recording {
            self.undo.entries.push(UndoEntry::Inserted(handle));
        }
        self.index.insert(hash.0, handle);
        self.order.inserted(&self.heap, handle);
    }
}

impl Undo {
    fn written(&mut self, handle: Handle, old: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(old);
        self.entries.push(UndoEntry::Written(handle, start..self.bytes.len()));
    }

    fn clear(&mut self) {
        self.recording = false;
        self.entries.clear();
        self.bytes.clear();
    }
}

/// The hash of a key under a table's seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The hash of a key (XXH3-64) under a seed.
    #[inline]
    pub fn of(key: &[u8], seed: u64) -> Self {
        KeyHash(xxh3_64_with_seed(key, seed))
    }
}

/// Where a visit in chunks goes on. The default is the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChunkCursor(Position);

/// What a visit in chunks has to say.
#[derive(Clone, Copy, Debug)]
pub enum Chunk {
    /// There may be more rows: go on from here.
    More(ChunkCursor),
    /// All rows have been visited.
    End,
}
