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
    /// Who.
    pub holder: Holder,
}

impl Standing {
    /// Nobody has ever served it.
    pub const NOBODY: Standing = Standing { term: Term::FIRST, tenure: Term::FIRST, holder: Holder::Nobody };
}

/// Who serves what, as one node sees it.
///
/// INVARIANT: of two that a node gives its workers the later one has the larger version, also where it differs from the
/// one before by no more than [`Owners::without`]: workers tell by it what they knew when they divided a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    version: u64,
    /// By number of copies, then by partition of the zone; `None` where there is no zone, and this node serves all.
    classes: Option<BTreeMap<u16, Vec<Standing>>>,
    /// The other members, by the names that flows call them.
    names: BTreeMap<String, MemberId>,
    /// What this node has whole copies of, by number of copies.
    copies: BTreeMap<u16, Parts>,
}

impl Owners {
    /// Of a node without a zone: it serves everything.
    pub fn alone() -> Owners {
        Owners::default()
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
        Owners { classes: Some(classes), ..Owners::default() }
    }

    /// The same, with this version.
    pub fn numbered(self, version: u64) -> Owners {
        Owners { version, ..self }
    }

    /// The same, with the other members by name: where `route to` sends rows.
    pub fn naming(self, others: impl IntoIterator<Item = (String, MemberId)>) -> Owners {
        Owners { names: others.into_iter().collect(), ..self }
    }

    /// The same, with the groups of which this node has whole copies: who is content with what is there may read them.
    pub fn holding(self, groups: impl IntoIterator<Item = Group>) -> Owners {
        let mut copies: BTreeMap<u16, Parts> = BTreeMap::new();
        for group in groups {
            copies.entry(group.copies).or_default().insert(group.number);
        }
        Owners { copies, ..self }
    }

    /// Which of those that the node has given its workers it is.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version
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
            Some(_) => {
                self.class(group.copies).get(usize::from(group.number)).copied().unwrap_or(Standing::NOBODY)
            }
        }
    }

    /// Who serves the partitions of the zone for tables with so many copies, by number; empty where it is not told, and
    /// nobody does.
    #[inline]
    pub fn class(&self, copies: u16) -> &[Standing] {
        self.classes.as_ref().and_then(|classes| classes.get(&copies)).map_or(&[], Vec::as_slice)
    }

    /// All groups that are told of.
    pub fn groups(&self) -> impl Iterator<Item = (Group, Standing)> {
        let group = |copies: u16, number: usize| Group { copies, number: number as u16 };
        self.classes.iter().flatten().flat_map(move |(copies, of)| {
            of.iter().enumerate().map(move |(number, standing)| (group(*copies, number), *standing))
        })
    }

    /// The other member of this name.
    pub fn member(&self, name: &str) -> Option<MemberId> {
        self.names.get(name).copied()
    }

    /// Whether there is a whole copy of the group here.
    #[inline]
    pub fn has_copy(&self, group: Group) -> bool {
        self.copies.get(&group.copies).is_some_and(|parts| parts.contains(group.number))
    }

    /// Whether it knows the holders that another node believes in, or later ones.
    pub fn knows(&self, terms: &Terms) -> bool {
        terms.iter().all(|(group, tenure)| self.standing(group).tenure >= tenure)
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

/// Groups of one class that something has to do with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Copies of the tables; 0 where there is no zone, or no group.
    pub copies: u16,
    /// Which partitions of the zone.
    pub parts: Parts,
}

impl Touched {
    /// The groups.
    pub fn groups(self) -> impl Iterator<Item = Group> {
        self.parts.iter().map(move |number| Group { copies: self.copies, number })
    }
}

/// Groups of one class, each with the term in which its holder became so ([`Standing::tenure`]): what one node believes
/// when it asks another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Which groups.
    pub touched: Touched,
    /// The terms, by growing number of the group.
    pub terms: Vec<Term>,
}

impl Terms {
    /// These groups, as somebody sees them.
    pub fn of(touched: Touched, owners: &Owners) -> Terms {
        Terms { touched, terms: touched.groups().map(|group| owners.standing(group).tenure).collect() }
    }

    /// Each group with its term.
    pub fn iter(&self) -> impl Iterator<Item = (Group, Term)> {
        self.touched.groups().zip(self.terms.iter().copied())
    }

    /// The term of a group, where it is among them.
    pub fn term(&self, group: Group) -> Option<Term> {
        let Touched { copies, parts } = self.touched;
        if copies != group.copies || !parts.contains(group.number) {
            return None;
        }
        let before = parts.and(Parts(Parts::one(group.number).0 - 1));
        self.terms.get(before.len() as usize).copied()
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

    /// How many there are.
    pub fn len(self) -> u32 {
        self.0.count_ones()
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
        let there = Standing { term: Term(3), tenure: Term(2), holder: Holder::There(MemberId(2)) };
        let owners = Owners::of([(group, there)]);
        assert_eq!(owners.standing(group), there);
        assert_eq!(owners.without([group]).standing(group), Standing { holder: Holder::Nobody, ..there });
        assert_eq!(owners.standing(Group { copies: 2, number: 8 }).holder, Holder::Nobody);
        assert_eq!(owners.standing(Group { copies: 3, number: 7 }).holder, Holder::Nobody);
    }

    #[test]
    fn terms_are_found_by_their_groups() {
        let group = |number| Group { copies: 2, number };
        let standing = |tenure| Standing { term: Term(9), tenure: Term(tenure), holder: Holder::Here };
        let owners = Owners::of([(group(0), standing(4)), (group(7), standing(5)), (group(63), standing(6))]);
        let touched =
            Touched { copies: 2, parts: [0, 7, 63].map(Parts::one).into_iter().fold(Parts::NONE, Parts::or) };
        let terms = Terms::of(touched, &owners);
        let found = [0, 7, 63, 8].map(|number| terms.term(group(number)));
        assert_eq!(found, [Some(Term(4)), Some(Term(5)), Some(Term(6)), None]);
        assert_eq!(terms.term(Group { copies: 3, number: 7 }), None);
        assert!(owners.knows(&terms) && !Owners::of([(group(7), standing(4))]).knows(&terms));
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
