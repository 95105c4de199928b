//! No two nodes serve one group at one time.

use anabranch_model::zone::{Group, Term};

use crate::node::Host;

/// Looks at who says that it would answer now.
pub(crate) fn check(serves: &mut [(Group, Host, Term)]) -> Result<(), String> {
    serves.sort_unstable();
    let two = serves.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
    two.map_or(Ok(()), |pair| {
        let [(group, one, term), (_, other, other_term)] = [pair[0], pair[1]];
        Err(format!(
            "two owners: {} serves {group:?} in term {term}, and {} serves it in term {other_term}",
            one.name(),
            other.name()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_that_serve_one_group_are_found() {
        let group = |number| Group { copies: 2, number };
        let serves = |number, host, term| (group(number), Host(host), Term(term));
        assert_eq!(check(&mut [serves(1, 0, 1), serves(2, 1, 1), serves(3, 0, 4)]), Ok(()));
        let wrong = check(&mut [serves(1, 0, 1), serves(2, 1, 1), serves(1, 1, 2)]);
        assert!(wrong.is_err_and(|wrong| wrong.contains("A serves") && wrong.contains("B serves")));
    }
}
