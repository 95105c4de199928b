//! Zones: nodes that hold each other's rows, and who of them owns which.
//!
//! A zone has [`ZONE_PARTITIONS`] partitions. The partitions of a table, however many, fall into them in ranges, so all
//! tables of a step go the same way. Tables with different numbers of copies are owned apart from each other: a partition
//! of the zone, for tables with so many copies, is a [`Group`], and a group is what has an owner, copies, and a term.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Partitions of a zone.
pub const ZONE_PARTITIONS: u32 = 64;

/// A node of a zone in one of its lives. Numbers grow in the order of joining and are never given again, so that a node
/// which returns without what it knew is told from the one that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The time of one owner of a group; grows with every change of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term(pub u64);

impl Term {
    /// The first one; that of a node without a zone.
    pub const FIRST: Term = Term(1);

    /// The one behind it.
    pub fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One partition of a zone, for tables with so many copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// Nodes that are to hold its rows, the owner included.
    pub copies: u16,
    /// Which partition of the zone, below [`ZONE_PARTITIONS`].
    pub number: u16,
}

impl Group {
    /// The group of partition `number` of a table that has `of` partitions and so many copies.
    #[inline]
    pub fn of(copies: u32, number: u32, of: u32) -> Group {
        let number = u64::from(number) * u64::from(ZONE_PARTITIONS) / u64::from(of.max(1));
        Group { copies: copies as u16, number: number as u16 }
    }
}

/// Who serves a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Holder {
    /// This node.
    Here,
    /// Another one.
    There(MemberId),
    /// Nobody, at present.
    #[default]
    Nobody,
}

/// Who serves a group, and since which term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The term.
    pub term: Term,
    /// The term in which the holder became so: a configuration that keeps the owner has a new term all the same.
    pub tenure: Term,
    /// The version of the zone's view with which the holder became so.
    pub since: u64,
    /// Who.
    pub holder: Holder,
}

impl Standing {
    /// Nobody has ever served it.
    pub const NOBODY: Standing =
        Standing { term: Term::FIRST, tenure: Term::FIRST, since: 0, holder: Holder::Nobody };
}

/// Who serves what, as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// By number of copies, then by partition of the zone; `None` where there is no zone, and this node serves all.
    classes: Option<BTreeMap<u16, Vec<Standing>>>,
}

impl Owners {
    /// Of a node without a zone: it serves everything.
    pub fn alone() -> Owners {
        Owners { classes: None }
    }

    /// Of a node in a zone; nobody serves what is not told of.
    pub fn of(groups: impl IntoIterator<Item = (Group, Standing)>) -> Owners {
        let mut classes: BTreeMap<u16, Vec<Standing>> = BTreeMap::new();
        for (group, standing) in groups {
            let of = classes
                .entry(group.copies)
                .or_insert_with(|| vec![Standing::NOBODY; ZONE_PARTITIONS as usize]);
            if let Some(place) = of.get_mut(usize::from(group.number)) {
                *place = standing;
            }
        }
        Owners { classes: Some(classes) }
    }

    /// Whether there is no zone.
    #[inline]
    pub fn is_alone(&self) -> bool {
        self.classes.is_none()
    }

    /// Who serves a group.
    #[inline]
    pub fn standing(&self, group: Group) -> Standing {
        match &self.classes {
            None => Standing { holder: Holder::Here, ..Standing::NOBODY },
            Some(classes) => {
                let of = classes.get(&group.copies).and_then(|of| of.get(usize::from(group.number)));
                of.copied().unwrap_or(Standing::NOBODY)
            }
        }
    }

    /// The same, but for groups that nobody serves.
    pub fn without(&self, groups: impl IntoIterator<Item = Group>) -> Owners {
        let mut owners = self.clone();
        for group in groups {
            let of = owners.classes.as_mut().and_then(|classes| classes.get_mut(&group.copies));
            if let Some(standing) = of.and_then(|of| of.get_mut(usize::from(group.number))) {
                standing.holder = Holder::Nobody;
            }
        }
        owners
    }
}

/// Partitions of the zone, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parts(pub u64);

impl Parts {
    /// None of them.
    pub const NONE: Parts = Parts(0);
    /// All of them.
    pub const ALL: Parts = Parts(u64::MAX);

    /// The one of this number.
    #[inline]
    pub fn one(number: u16) -> Parts {
        Parts(1 << (u32::from(number) % ZONE_PARTITIONS))
    }

    /// Adds one.
    #[inline]
    pub fn insert(&mut self, number: u16) {
        self.0 |= Parts::one(number).0;
    }

    /// Whether this one is among them.
    #[inline]
    pub fn contains(self, number: u16) -> bool {
        self.0 & Parts::one(number).0 != 0
    }

    /// Those that are in both.
    #[inline]
    pub fn and(self, other: Parts) -> Parts {
        Parts(self.0 & other.0)
    }

    /// Those that are in either.
    #[inline]
    pub fn or(self, other: Parts) -> Parts {
        Parts(self.0 | other.0)
    }

    /// Those that are not in the other.
    #[inline]
    pub fn without(self, other: Parts) -> Parts {
        Parts(self.0 & !other.0)
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their numbers.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (0..ZONE_PARTITIONS as u16).filter(move |number| self.contains(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_tables_fall_into_those_of_the_zone_in_ranges() {
        let numbers = |of: u32| (0..of).map(|number| Group::of(2, number, of).number).collect::<Vec<_>>();
        assert_eq!(numbers(1), [0]);
        assert_eq!(numbers(4), [0, 16, 32, 48]);
        assert_eq!(numbers(64), (0..64).collect::<Vec<_>>());
        assert_eq!(numbers(128), (0..128).map(|number| number / 2).collect::<Vec<_>>());
        for of in [3, 100, 4096] {
            assert!(numbers(of).is_sorted() && numbers(of).iter().all(|number| *number < 64));
        }
    }

    #[test]
    fn a_node_without_a_zone_serves_everything_and_one_in_a_zone_what_it_is_told() {
        let group = Group { copies: 2, number: 7 };
        assert_eq!(Owners::alone().standing(group), Standing { holder: Holder::Here, ..Standing::NOBODY });
        let there = Standing { term: Term(3), tenure: Term(2), since: 9, holder: Holder::There(MemberId(2)) };
        let owners = Owners::of([(group, there)]);
        assert_eq!(owners.standing(group), there);
        assert_eq!(owners.without([group]).standing(group), Standing { holder: Holder::Nobody, ..there });
        assert_eq!(owners.standing(Group { copies: 2, number: 8 }).holder, Holder::Nobody);
        assert_eq!(owners.standing(Group { copies: 3, number: 7 }).holder, Holder::Nobody);
    }

    #[test]
    fn parts_are_a_set() {
        let mut parts = Parts::one(3);
        parts.insert(63);
        assert_eq!(parts.iter().collect::<Vec<_>>(), [3, 63]);
        assert!(parts.contains(63) && !parts.contains(4));
        assert_eq!(parts.without(Parts::one(3)), Parts::one(63));
        assert!(parts.and(Parts::one(4)).is_empty() && Parts::ALL.and(parts) == parts);
    }
}
