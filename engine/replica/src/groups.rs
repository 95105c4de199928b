//! A set of groups.

use anabranch_model::zone::{Group, Parts};

/// Groups; there are few classes, so they are looked through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups(Vec<(u16, Parts)>);

impl Groups {
    #[inline]
    pub(crate) fn contains(&self, group: Group) -> bool {
        self.0.iter().any(|(copies, parts)| *copies == group.copies && parts.contains(group.number))
    }

    /// Adds one; whether it is new.
    pub(crate) fn insert(&mut self, group: Group) -> bool {
        let new = !self.contains(group);
        match self.0.iter_mut().find(|(copies, _)| *copies == group.copies) {
            Some((_, parts)) => parts.insert(group.number),
            None => self.0.push((group.copies, Parts::one(group.number))),
        }
        new
    }

    /// Takes one out; whether it was there.
    pub(crate) fn remove(&mut self, group: Group) -> bool {
        let there = self.contains(group);
        for (_, parts) in self.0.iter_mut().filter(|(copies, _)| *copies == group.copies) {
            *parts = parts.without(Parts::one(group.number));
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_different_classes_are_different() {
        let mut groups = Groups::default();
        let [two, three] = [2, 3].map(|copies| Group { copies, number: 5 });
        assert!(groups.insert(two) && !groups.insert(two));
        assert!(groups.contains(two) && !groups.contains(three));
        assert!(!groups.remove(three) && groups.remove(two) && !groups.contains(two));
    }
}
