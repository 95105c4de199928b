//! Who owns a group, and since when without a break.

use anabranch_model::zone::{Holder, MemberId, Term};

/// Who owns a group as a copy knows it.
///
/// A configuration that keeps the owner has a new term all the same (a copy came or went). What the owner sent shortly
/// before it heard of that is as good as before, because nobody else has owned the group since: so an item counts by the
/// whole tenure, not by the last term alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The term in which the present holder became owner; the present term where that is not known.
    pub since: Term,
    /// The present term. INVARIANT: `since <= term`.
    pub term: Term,
    /// Who owns it.
    pub holder: Holder,
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is applied.
    Apply,
    /// It waits until more is known.
    Wait,
    /// It is passed over.
    Fence,
}

/// What becomes of an item that `sender` sent in `term`; `known` is `None` where nothing is known of the group.
pub(crate) fn verdict(known: Option<Tenure>, sender: MemberId, term: Term) -> Verdict {
    match known {
        None => Verdict::Wait,
        Some(tenure) if term > tenure.term => Verdict::Wait,
        Some(tenure) if tenure.holder == Holder::There(sender) && term >= tenure.since => Verdict::Apply,
        Some(_) => Verdict::Fence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MemberId = MemberId(1);
    const B: MemberId = MemberId(2);

    fn tenure(since: u64, term: u64, holder: Holder) -> Option<Tenure> {
        Some(Tenure { since: Term(since), term: Term(term), holder })
    }

    #[test]
    fn items_of_the_present_tenure_are_applied_and_those_of_earlier_ones_fenced() {
        let verdicts = |known| [3, 4, 5, 6, 7].map(|term| verdict(known, A, Term(term)));
        use Verdict::{Apply, Fence, Wait};
        assert_eq!(verdicts(tenure(4, 6, Holder::There(A))), [Fence, Apply, Apply, Apply, Wait]);
        assert_eq!(verdicts(tenure(4, 6, Holder::There(B))), [Fence, Fence, Fence, Fence, Wait]);
        assert_eq!(verdicts(tenure(6, 6, Holder::Here)), [Fence, Fence, Fence, Fence, Wait]);
        assert_eq!(verdicts(tenure(6, 6, Holder::Nobody)), [Fence, Fence, Fence, Fence, Wait]);
        assert_eq!(verdicts(None), [Wait; 5]);
    }
}
