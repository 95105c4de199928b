//! Whatever links do, a copy takes a prefix of what its owner pushed, each item once and in order, and no record counts as
//! covered before every copy that has to have it has said so.
//!
//! One owner, two copies with two workers each, links that break with whatever they carry and come back, views that reach
//! the copies late, groups that another node takes away and that come back.

#![expect(clippy::unwrap_used, reason = "tests fail where something fails")]

mod link;

use link::{Op, World, ops};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn copies_take_a_prefix_and_nothing_is_covered_too_early(ops in proptest::collection::vec(ops(), 1..250)) {
        let mut world = World::new();
        for op in ops {
            world.perform(op);
            world.check();
        }
        world.heal();
        world.check();
        world.check_all_is_there();
    }
}

#[test]
fn a_link_that_breaks_after_each_frame_brings_everything() {
    let mut world = World::new();
    for number in 0..40 {
        for op in [
            Op::Push(number % 3, number.into()),
            Op::Send(0, 0, 9),
            Op::Carry(0, 1),
            Op::Break(0),
            Op::Link(0),
        ] {
            world.perform(op);
            world.check();
        }
    }
    world.heal();
    world.check_all_is_there();
}
