//! Which links there are, and which of two stays.
//!
//! - A node dials another only while it has no link with it, and claims it before it gives its proof: so it never dials one
//!   twice.
//! - A node that is dialed while it dials the same node itself turns the other down if its own name is the smaller one, and
//!   gives way if not. Both know both names, so both come to the same end.
//! - A node that is dialed although it has a link that the other one has dialed takes the new one: the other has lost the
//!   old one, of which this node has not heard yet.

use std::collections::BTreeMap;

use super::LinkId;

/// A node in one of its lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerKey {
    pub(super) node: String,
    pub(super) incarnation: u128,
}

/// Links by the node at their other end.
#[derive(Debug)]
pub(super) struct Table<L> {
    me: String,
    entries: BTreeMap<PeerKey, Entry<L>>,
}

#[derive(Debug)]
enum Entry<L> {
    /// This node dials it.
    Claimed,
    Up {
        id: LinkId,
        dialed: bool,
        link: L,
    },
}

/// There is a link already, or another one is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken;

impl<L> Table<L> {
    pub(super) fn new(me: &str) -> Self {
        Table { me: me.to_owned(), entries: BTreeMap::new() }
    }

    /// This node is about to prove who it is to one that it dials.
    ///
    /// # Errors
    /// There is a link with it, or it is dialed already.
    pub(super) fn claim(&mut self, key: &PeerKey) -> Result<(), Taken> {
        match self.entries.contains_key(key) {
            true => Err(Taken),
            false => {
                self.entries.insert(key.clone(), Entry::Claimed);
                Ok(())
            }
        }
    }

    /// The dial came to nothing.
    pub(super) fn release(&mut self, key: &PeerKey) {
        if matches!(self.entries.get(key), Some(Entry::Claimed)) {
            self.entries.remove(key);
        }
    }

    /// Whether a node that dials this one, and has proved who it is, may have a link.
    ///
    /// # Errors
    /// There is one that stays.
    pub(super) fn may_accept(&self, key: &PeerKey) -> Result<(), Taken> {
        let ours = match self.entries.get(key) {
            Some(Entry::Claimed) => true,
            Some(Entry::Up { dialed, .. }) => *dialed,
            None => false,
        };
        match ours && self.me < key.node {
            true => Err(Taken),
            false => Ok(()),
        }
    }

    /// A link is up. The one whose place it takes, if there was one.
    pub(super) fn put(&mut self, key: PeerKey, id: LinkId, dialed: bool, link: L) -> Option<L> {
        match self.entries.insert(key, Entry::Up { id, dialed, link }) {
            Some(Entry::Up { link, .. }) => Some(link),
            _ => None,
        }
    }

    /// A link has ended.
    pub(super) fn remove(&mut self, key: &PeerKey, id: LinkId) {
        if matches!(self.entries.get(key), Some(Entry::Up { id: up, .. }) if *up == id) {
            self.entries.remove(key);
        }
    }

    /// The link with a node in one of its lives.
    pub(super) fn link(&self, key: &PeerKey) -> Option<&L> {
        match self.entries.get(key) {
            Some(Entry::Up { link, .. }) => Some(link),
            _ => None,
        }
    }

    /// Whether there is a link with a node of this name.
    pub(super) fn has_link_with(&self, node: &str) -> bool {
        let up = |(key, entry): (&PeerKey, &Entry<L>)| key.node == node && matches!(entry, Entry::Up { .. });
        self.entries.iter().any(up)
    }

    /// Links and dials.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All links.
    pub(super) fn links(&self) -> impl Iterator<Item = &L> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Up { link, .. } => Some(link),
            Entry::Claimed => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(node: &str) -> PeerKey {
        PeerKey { node: node.to_owned(), incarnation: 7 }
    }

    #[test]
    fn what_has_a_link_is_not_dialed() {
        let mut table = Table::new("B");
        assert_eq!(table.claim(&key("A")), Ok(()));
        assert_eq!(table.claim(&key("A")), Err(Taken));
        table.release(&key("A"));
        assert_eq!(table.claim(&key("A")), Ok(()));
        assert_eq!(table.put(key("A"), LinkId(1), true, ()), None);
        table.release(&key("A"));
        assert!(table.has_link_with("A"), "a link is not given up with a claim");
        assert_eq!(table.claim(&key("A")), Err(Taken));
        table.remove(&key("A"), LinkId(2));
        assert!(table.has_link_with("A"), "another link than the one that has ended");
        table.remove(&key("A"), LinkId(1));
        assert_eq!((table.claim(&key("A")), table.len()), (Ok(()), 1));
    }

    #[test]
    fn of_two_that_dial_at_once_the_smaller_name_wins_on_both_sides() {
        let mut small: Table<&str> = Table::new("A");
        let mut large: Table<&str> = Table::new("B");
        assert_eq!((small.claim(&key("B")), large.claim(&key("A"))), (Ok(()), Ok(())));
        assert_eq!(small.may_accept(&key("B")), Err(Taken));
        assert_eq!(large.may_accept(&key("A")), Ok(()));
        // The large one's own dial is turned down; giving it up leaves the link that was taken.
        assert_eq!(large.put(key("A"), LinkId(1), false, "theirs"), None);
        large.release(&key("A"));
        assert_eq!(small.put(key("B"), LinkId(1), true, "ours"), None);
        assert_eq!(small.may_accept(&key("B")), Err(Taken));
        assert!(large.has_link_with("A") && small.has_link_with("B"));
    }

    #[test]
    fn who_dials_again_has_lost_the_link_before() {
        let mut table = Table::new("A");
        assert_eq!(table.may_accept(&key("B")), Ok(()));
        assert_eq!(table.put(key("B"), LinkId(1), false, "old"), None);
        assert_eq!(table.may_accept(&key("B")), Ok(()));
        assert_eq!(table.put(key("B"), LinkId(2), false, "new"), Some("old"));
        assert_eq!(table.link(&key("B")), Some(&"new"));
        // A link that the larger name has dialed gives way to the smaller one's dial.
        let mut large = Table::new("C");
        large.put(key("B"), LinkId(1), true, "old");
        assert_eq!(large.may_accept(&key("B")), Ok(()));
    }

    #[test]
    fn lives_of_one_name_have_links_of_their_own() {
        let mut table = Table::new("A");
        let other = PeerKey { incarnation: 8, ..key("B") };
        table.put(key("B"), LinkId(1), true, ());
        assert_eq!((table.may_accept(&other), table.claim(&other)), (Ok(()), Ok(())));
        assert_eq!(table.put(other.clone(), LinkId(2), false, ()), None);
        table.remove(&other, LinkId(2));
        assert!(table.has_link_with("B") && table.links().count() == 1);
    }
}
