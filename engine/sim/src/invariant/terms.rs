//! A term of a group has one configuration; a node's terms do not go back; who becomes owner has all of its rows.

use std::collections::{BTreeMap, BTreeSet};

use anabranch_model::zone::{Group, Term};

use crate::node::{Configured, Host};

/// All configurations that were seen.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    groups: BTreeMap<Group, BTreeMap<Term, Configured>>,
    /// What each life of each host knew last.
    known: BTreeMap<(Host, u32), BTreeMap<Group, Term>>,
    /// Members that lost all they had.
    gone: BTreeSet<u64>,
}

impl Terms {
    pub(crate) fn look(&mut self, host: Host, life: u32, configured: Vec<Configured>) -> Result<(), String> {
        let known = self.known.entry((host, life)).or_default();
        for new in configured {
            let before = known.insert(new.group, new.term);
            if before.is_some_and(|before| before > new.term) {
                return Err(format!("{} went back from term {before:?} to {new:?}", host.name()));
            }
            if before == Some(new.term) {
                continue;
            }
            let terms = self.groups.entry(new.group).or_default();
            check_next(terms.get(&Term(new.term.0.wrapping_sub(1))), &new)?;
            match terms.get(&new.term) {
                Some(old) if !is_same(old, &new) => {
                    return Err(format!("two configurations in one term: {old:?} and {new:?}"));
                }
                Some(_) => {}
                None => {
                    terms.insert(new.term, new);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn newest(&self) -> impl Iterator<Item = &Configured> {
        self.groups.values().filter_map(|terms| terms.last_key_value().map(|(_, newest)| newest))
    }

    pub(crate) fn can_lose(&self, host: Host) -> bool {
        let has_more = |configured: &Configured| {
            configured.in_sync.iter().any(|member| member.host != host && !self.gone.contains(&member.id))
        };
        !self.groups.is_empty() && self.newest().all(has_more)
    }

    pub(crate) fn wiped(&mut self, host: Host) {
        let all = self.groups.values().flat_map(BTreeMap::values).flat_map(|configured| &configured.in_sync);
        self.gone.extend(all.filter(|member| member.host == host).map(|member| member.id));
    }
}

fn is_same(old: &Configured, new: &Configured) -> bool {
    let members =
        |configured: &Configured| configured.in_sync.iter().map(|member| member.id).collect::<BTreeSet<_>>();
    let owner = |configured: &Configured| configured.owner.map(|owner| owner.id);
    (owner(old), members(old)) == (owner(new), members(new))
}

fn check_next(before: Option<&Configured>, new: &Configured) -> Result<(), String> {
    let Some(owner) = new.owner else { return Ok(()) };
    if !new.in_sync.iter().any(|member| member.id == owner.id) {
        return Err(format!("the owner has not all rows: {new:?}"));
    }
    match before {
        Some(before)
            if !before.in_sync.is_empty() && !before.in_sync.iter().any(|member| member.id == owner.id) =>
        {
            Err(format!("a node became owner that had not all rows: {before:?}, then {new:?}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Member;

    const G: Group = Group { copies: 2, number: 1 };

    fn configured(term: u64, owner: u64, in_sync: &[u64]) -> Vec<Configured> {
        let member = |id: u64| Member { id, host: Host(id as u16) };
        let in_sync = in_sync.iter().copied().map(member).collect();
        vec![Configured { group: G, term: Term(term), owner: Some(member(owner)), in_sync }]
    }

    #[test]
    fn configurations_that_contradict_each_other_are_found() {
        let mut terms = Terms::default();
        terms.look(Host(0), 0, configured(1, 0, &[0, 1])).unwrap();
        terms.look(Host(1), 0, configured(1, 0, &[1, 0])).unwrap();
        assert!(terms.look(Host(2), 0, configured(1, 0, &[0, 2])).is_err(), "another one in the same term");
        assert!(terms.look(Host(0), 0, configured(2, 2, &[2])).is_err(), "it did not have the rows");
        assert!(terms.look(Host(1), 0, configured(2, 0, &[1])).is_err(), "the owner is not in sync");
        terms.look(Host(2), 1, configured(2, 1, &[1])).unwrap();
        assert!(terms.look(Host(2), 1, configured(1, 0, &[0, 1])).is_err(), "it goes back");
        terms.look(Host(2), 2, configured(1, 0, &[0, 1])).unwrap();
    }

    #[test]
    fn a_host_can_be_lost_where_others_have_all() {
        let mut terms = Terms::default();
        assert!(!terms.can_lose(Host(0)), "nothing is known");
        terms.look(Host(0), 0, configured(1, 0, &[0, 1])).unwrap();
        assert!(terms.can_lose(Host(0)) && terms.can_lose(Host(1)));
        terms.wiped(Host(1));
        assert!(!terms.can_lose(Host(0)), "the other one lost it");
    }
}
