//! What was told once and is not told again with every try.

use std::collections::VecDeque;

/// Things that are remembered as told, at most; the oldest is forgotten, and may be told again.
const TOLD_MAX: usize = 256;

/// What was told, of whom.
#[derive(Debug, Default)]
pub(super) struct Told {
    told: VecDeque<(String, String)>,
}

impl Told {
    /// Whether this of `whom` is new.
    pub(super) fn is_new(&mut self, whom: &str, what: &str) -> bool {
        if self.told.iter().any(|(of, told)| of == whom && told == what) {
            return false;
        }
        if self.told.len() == TOLD_MAX {
            self.told.pop_front();
        }
        self.told.push_back((whom.to_owned(), what.to_owned()));
        true
    }

    /// All is well with `whom`: what comes next is told again.
    pub(super) fn forget(&mut self, whom: &str) {
        self.told.retain(|(of, _)| of != whom);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_told_once_until_all_was_well() {
        let mut told = Told::default();
        assert!(told.is_new("a", "x") && told.is_new("a", "y") && told.is_new("b", "x"));
        assert!(!told.is_new("a", "x") && !told.is_new("b", "x"));
        told.forget("a");
        assert!(told.is_new("a", "x") && !told.is_new("b", "x"));
        (0..TOLD_MAX).for_each(|n| assert!(told.is_new("c", &n.to_string())));
        assert_eq!(told.told.len(), TOLD_MAX);
        assert!(told.is_new("b", "x"), "it was long ago");
    }
}
