//! Key order for those who ask: sorted handles, made at the first question and kept up while questions come.
//!
//! Most tables are never read in order, so they pay nothing. The order is two sorted lists: `main`, and `fresh` with
//! what came since; `fresh` is merged into `main` when it is long. When many changes have come without a question
//! the lists are dropped.

use crate::heap::{Handle, Heap};
use crate::index::Index;

/// Entries of `fresh` at most: inserting moves at most four times as many bytes.
const FRESH_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Order {
    lists: Option<Lists>,
}

#[derive(Debug)]
struct Lists {
    main: Vec<Handle>,
    fresh: Vec<Handle>,
    changes_since_read: usize,
}

impl Order {
    /// An entry with a new key is there.
    #[inline]
    pub(crate) fn inserted(&mut self, heap: &Heap, handle: Handle) {
        let Some(lists) = self.lists_to_change() else { return };
        let at = position(&lists.fresh, heap, heap.key(handle)).unwrap_or_else(|at| at);
        lists.fresh.insert(at, handle);
        if lists.fresh.len() > FRESH_MAX {
            lists.merge(heap);
        }
    }

    /// An entry is about to go; its handle is still valid.
    #[inline]
    pub(crate) fn removing(&mut self, heap: &Heap, handle: Handle) {
        let Some(lists) = self.lists_to_change() else { return };
        let key = heap.key(handle);
        if let Ok(at) = position(&lists.fresh, heap, key) {
            lists.fresh.remove(at);
        } else if let Ok(at) = position(&lists.main, heap, key) {
            lists.main.remove(at);
        }
    }

    /// Forgets the order; the next question makes it anew.
    pub(crate) fn forget(&mut self) {
        self.lists = None;
    }

    /// The handles in key order from the first key after `after`; `index` lists the handles when the order must be made.
    pub(crate) fn from<'a>(
        &'a mut self,
        heap: &'a Heap,
        after: Option<&[u8]>,
        index: &Index,
    ) -> impl Iterator<Item = Handle> + use<'a> {
        let lists = self.lists.get_or_insert_with(|| Lists::of(heap, index.handles().collect()));
        lists.changes_since_read = 0;
        let start = |list: &[Handle]| match after {
            None => 0,
            Some(key) => position(list, heap, key).map_or_else(|at| at, |at| at + 1),
        };
        let (mut main, mut fresh) = (&lists.main[start(&lists.main)..], &lists.fresh[start(&lists.fresh)..]);
        std::iter::from_fn(move || {
            let list = match (main.first(), fresh.first()) {
                (Some(&a), Some(&b)) if heap.key(b) < heap.key(a) => &mut fresh,
                (None, _) => &mut fresh,
                _ => &mut main,
            };
            let (&first, rest) = list.split_first()?;
            *list = rest;
            Some(first)
        })
    }

    #[inline]
    fn lists_to_change(&mut self) -> Option<&mut Lists> {
        let lists = self.lists.as_mut()?;
        lists.changes_since_read += 1;
        if lists.changes_since_read > lists.main.len() / 2 + 10 * FRESH_MAX {
            self.lists = None;
        }
        self.lists.as_mut()
    }
}

impl Lists {
    fn of(heap: &Heap, mut main: Vec<Handle>) -> Self {
        main.sort_unstable_by(|&a, &b| heap.key(a).cmp(heap.key(b)));
        Lists { main, fresh: Vec::new(), changes_since_read: 0 }
    }

    fn merge(&mut self, heap: &Heap) {
        self.main.append(&mut self.fresh);
        // Two sorted runs: the stable sort finds them and merges in one pass.
        self.main.sort_by(|&a, &b| heap.key(a).cmp(heap.key(b)));
    }
}

fn position(list: &[Handle], heap: &Heap, key: &[u8]) -> Result<usize, usize> {
    list.binary_search_by(|&handle| heap.key(handle).cmp(key))
}
