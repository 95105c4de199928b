//! Rows by primary key, with the undo of a step.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::heap::{Handle, Heap};
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
    index: HashTable<Handle>,
    heap: Heap,
    order: Order,
    undo: Undo,
}

/// What a step changed so far, newest last.
#[derive(Debug, Default)]
struct Undo {
    recording: bool,
    entries: Vec<UndoEntry>,
    /// Keys and old rows of `entries`.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct UndoEntry {
    key: std::ops::Range<usize>,
    /// The row that was there; empty when there was none.
    row: std::ops::Range<usize>,
}

impl Table {
    /// An empty table. The seed keeps strangers from choosing keys that collide.
    pub fn new(seed: u64) -> Self {
        Table {
            seed,
            index: HashTable::new(),
            heap: Heap::default(),
            order: Order::default(),
            undo: Undo::default(),
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes of keys and rows.
    pub fn row_bytes(&self) -> usize {
        self.heap.entry_bytes()
    }

    /// Bytes of memory that keys, rows and the index hold.
    pub fn memory_bytes(&self) -> usize {
        self.heap.memory_bytes() + self.index.allocation_size()
    }

    /// The row of a key.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let heap = &self.heap;
        let handle = self.index.find(self.hash(key), |&handle| heap.key(handle) == key)?;
        Some(heap.entry(*handle).1)
    }

    /// Puts a row under a key, replacing the one that is there. Says whether one was there.
    #[inline]
    pub fn put(&mut self, key: &[u8], row: &[u8]) -> bool {
        let hash = self.hash(key);
        let heap = &mut self.heap;
        let Some(place) = self.index.find_mut(hash, |&handle| heap.key(handle) == key) else {
            self.insert(hash, key, row);
            return false;
        };
        if self.undo.recording {
            self.undo.record(key, heap.entry(*place).1);
        }
        let old = *place;
        if self.order.is_kept() {
            return self.replace_in_order(hash, key, old, row);
        }
        *place = heap.replace(old, row);
        true
    }

    /// Removes the row of a key. Says whether one was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let heap = &mut self.heap;
        let Ok(entry) = self.index.find_entry(hash, |&handle| heap.key(handle) == key) else {
            return false;
        };
        let (handle, _) = entry.remove();
        if self.undo.recording {
            self.undo.record(key, heap.entry(handle).1);
        }
        self.order.removing(heap, handle);
        heap.free(handle);
        self.shrink();
        true
    }

    /// Begins a step: what follows can be undone.
    pub fn begin(&mut self) {
        debug_assert!(self.undo.entries.is_empty(), "the step before has ended");
        self.undo.recording = true;
    }

    /// Ends a step and keeps its changes.
    pub fn commit(&mut self) {
        self.undo.clear();
    }

    /// Ends a step and takes its changes back, newest first.
    pub fn roll_back(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        for entry in undo.entries.iter().rev() {
            let (key, row) = (&undo.bytes[entry.key.clone()], &undo.bytes[entry.row.clone()]);
            match row.is_empty() {
                true => self.remove(key),
                false => self.put(key, row),
            };
        }
        self.undo = undo;
        self.undo.clear();
    }

    /// Visits rows in no stated order, a bounded number at a time, while the table may change in between: a row that
    /// is not touched from the first chunk to the last is visited exactly once.
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
    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }

    fn insert(&mut self, hash: u64, key: &[u8], row: &[u8]) {
        if self.undo.recording {
            self.undo.record(key, &[]);
        }
        let handle = self.heap.insert(key, row);
        let (heap, seed) = (&self.heap, self.seed);
        self.index.insert_unique(hash, handle, |&handle| xxh3_64_with_seed(heap.key(handle), seed));
        self.order.inserted(heap, handle);
    }

    /// An entry whose slot changes must leave the order with its old handle and return with its new one.
    fn replace_in_order(&mut self, hash: u64, key: &[u8], old: Handle, row: &[u8]) -> bool {
        self.order.removing(&self.heap, old);
        let new = self.heap.replace(old, row);
        self.order.inserted(&self.heap, new);
        let place = self.index.find_mut(hash, |&handle| handle == old);
        *place.expect("the entry was just found under this hash") = new;
        debug_assert_eq!(self.get(key), Some(row));
        true
    }

    /// Gives the index's memory back when most of it is unused.
    fn shrink(&mut self) {
        if self.index.is_empty() {
            self.index = HashTable::new();
            self.heap = Heap::default();
            self.order.forget();
        } else if self.index.capacity() > 1024 && self.index.len() < self.index.capacity() / 8 {
            let (heap, seed) = (&self.heap, self.seed);
            self.index.shrink_to(self.index.len() * 2, |&handle| xxh3_64_with_seed(heap.key(handle), seed));
        }
    }
}

impl Undo {
    fn record(&mut self, key: &[u8], row: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.entries.push(UndoEntry { key: start..middle, row: middle..self.bytes.len() });
    }

    fn clear(&mut self) {
        self.recording = false;
        self.entries.clear();
        self.bytes.clear();
    }
}

/// Where a visit in chunks goes on. The default is the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChunkCursor((usize, u32));

/// What a visit in chunks has to say.
#[derive(Clone, Copy, Debug)]
pub enum Chunk {
    /// There may be more rows: go on from here.
    More(ChunkCursor),
    /// All rows have been visited.
    End,
}
