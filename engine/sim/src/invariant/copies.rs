//! At the end every group has an owner and all its copies, and these are equal.

use crate::node::{Configured, Held, Host};

/// Looks at the newest configurations and at what each node holds; `nodes` have rows.
pub(crate) fn check<'c>(
    newest: impl Iterator<Item = &'c Configured>,
    held: &[(Host, Vec<Held>)],
    nodes: u16,
) -> Result<(), String> {
    for configured in newest {
        let wanted = usize::from(configured.group.copies.min(nodes));
        if configured.owner.is_none() || configured.in_sync.len() < wanted {
            return Err(format!("not whole again, though all is well since a minute: {configured:?}"));
        }
        let holds = |host: Host| {
            let (_, held) = held.iter().find(|(other, _)| *other == host)?;
            held.iter().find(|held| held.group == configured.group)
        };
        let mut copies = configured.in_sync.iter().map(|member| (member.host, holds(member.host)));
        let Some((first_host, first)) = copies.next() else { continue };
        for (host, other) in copies {
            if contents(first) != contents(other) {
                return Err(format!(
                    "copies differ: {} has {first:?}, {} has {other:?}",
                    first_host.name(),
                    host.name()
                ));
            }
        }
    }
    Ok(())
}

type Contents<'h> = (&'h [(u32, anabranch_model::zone::Term, u64)], &'h [(String, i64)]);

/// A group of which a node holds nothing is empty.
fn contents(held: Option<&Held>) -> Contents<'_> {
    held.map_or((&[], &[]), |held| (&held.positions, &held.rows))
}

#[cfg(test)]
mod tests {
    use anabranch_model::zone::{Group, Term};

    use super::*;
    use crate::node::Member;

    const G: Group = Group { copies: 2, number: 1 };

    fn held(value: i64, seq: u64) -> Vec<Held> {
        vec![Held { group: G, positions: vec![(0, Term(1), seq)], rows: vec![("a".to_owned(), value)] }]
    }

    #[test]
    fn copies_that_differ_or_are_missing_are_found() {
        let members: Vec<_> = (0..2).map(|host| Member { id: host, host: Host(host as u16) }).collect();
        let whole = Configured { group: G, term: Term(1), owner: Some(members[0]), in_sync: members.clone() };
        let checked = |configured: &Configured, other: Vec<Held>| {
            check([configured].into_iter(), &[(Host(0), held(1, 5)), (Host(1), other)], 3)
        };
        assert_eq!(checked(&whole, held(1, 5)), Ok(()));
        for other in [held(2, 5), held(1, 4), Vec::new()] {
            assert!(checked(&whole, other).is_err_and(|wrong| wrong.starts_with("copies differ")));
        }
        let alone = Configured { in_sync: vec![members[0]], ..whole };
        assert!(checked(&alone, held(1, 5)).is_err_and(|wrong| wrong.starts_with("not whole again")));
    }
}
