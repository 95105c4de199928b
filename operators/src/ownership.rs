//! Which partitions a worker serves, and whether it has ever since a request was divided.
//!
//! Workers hear of new owners one after the other. What one worker divides by older owners than those that another one
//! knows must not be done by the other only because it serves the group again by now: a request of the same client that
//! was divided before it may meanwhile have been sent back, and a partition does the requests of a client in their order.
//!
//! INVARIANT: a worker does rows of a partition only if the node has served it all the time from the version of the owners
//! by which the request was divided up to now, as far as this worker has heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::zone::{Group, Holder, Owners, Standing, Term, ZONE_PARTITIONS};

/// Who serves what, as a worker has heard.
#[derive(Debug, Default)]
pub(crate) struct Ownership {
    owners: Arc<Owners>,
    /// By number of copies, then by partition of the zone: the version of the owners with which this worker heard that
    /// something has changed.
    changed: BTreeMap<u16, Vec<u64>>,
}

impl Ownership {
    /// From now on these owners hold, if they are newer.
    pub(crate) fn adopt(&mut self, owners: &Arc<Owners>) {
        if !self.owners.is_alone() && owners.version() <= self.owners.version() {
            return;
        }
        for (group, standing) in owners.groups() {
            let before = self.owners.standing(group);
            if !self.owners.is_alone() && same(before, standing) {
                continue;
            }
            let of = self.changed.entry(group.copies).or_insert_with(|| vec![0; ZONE_PARTITIONS as usize]);
            of[usize::from(group.number)] = owners.version();
        }
        self.owners = owners.clone();
    }

    /// Whether there is no zone.
    #[inline]
    pub(crate) fn is_alone(&self) -> bool {
        self.owners.is_alone()
    }

    /// The owners that hold.
    pub(crate) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// The term in which this node serves a group, if it has done so since a request was divided by owners of this
    /// version.
    #[inline]
    pub(crate) fn serves(&self, group: Group, divided: u64) -> Option<Term> {
        let standing = self.owners.standing(group);
        let changed = self.changed.get(&group.copies).and_then(|of| of.get(usize::from(group.number)));
        let serves = standing.holder == Holder::Here && changed.is_none_or(|changed| *changed <= divided);
        serves.then_some(standing.term)
    }
}

fn same(one: Standing, other: Standing) -> bool {
    (one.tenure, one.holder) == (other.tenure, other.holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Group = Group { copies: 2, number: 5 };

    fn owners(version: u64, tenure: u64, holder: Holder) -> Arc<Owners> {
        let standing = Standing { term: Term(version), tenure: Term(tenure), holder };
        Arc::new(Owners::of([(GROUP, standing)]).numbered(version))
    }

    #[test]
    fn what_was_divided_before_a_change_is_not_served_even_when_it_is_changed_back() {
        let mut ownership = Ownership::default();
        assert!(ownership.is_alone());
        ownership.adopt(&owners(3, 1, Holder::Here));
        assert_eq!((ownership.serves(GROUP, 3), ownership.serves(GROUP, 2)), (Some(Term(3)), None));
        ownership.adopt(&owners(4, 1, Holder::Here));
        assert_eq!(ownership.serves(GROUP, 3), Some(Term(4)), "the holder has not changed");
        ownership.adopt(&owners(5, 1, Holder::Nobody));
        assert_eq!(ownership.serves(GROUP, 5), None);
        ownership.adopt(&owners(6, 1, Holder::Here));
        assert_eq!((ownership.serves(GROUP, 5), ownership.serves(GROUP, 6)), (None, Some(Term(6))));
        ownership.adopt(&owners(5, 1, Holder::Nobody));
        assert_eq!(ownership.serves(GROUP, 6), Some(Term(6)), "what is older comes too late");
        ownership.adopt(&owners(7, 2, Holder::Here));
        assert_eq!((ownership.serves(GROUP, 6), ownership.serves(GROUP, 7)), (None, Some(Term(7))));
    }
}
