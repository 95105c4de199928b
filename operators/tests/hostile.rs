//! Records and pieces of snapshots that nobody wrote as they are: refused, or taken and served; never a panic.

#[path = "hostile/worker.rs"]
mod worker;

use proptest::prelude::*;

use worker::{copy_and_begin_anew, pieces, plan, serve, take_and_serve};

/// Bodies of records, and pieces.
fn sound() -> [Vec<Vec<u8>>; 2] {
    let plan = plan();
    let mut worker = worker::worker(&plan);
    serve(&mut worker, &plan, 1000);
    let records = worker.records();
    let bodies = records.iter().flat_map(|(_, records)| records.iter().map(|(_, body)| body.to_vec()));
    let bodies = bodies.collect();
    [bodies, pieces(&worker).into_iter().map(|piece| piece.body).collect()]
}

/// Puts bytes over others, and cuts.
fn damage(bytes: &mut Vec<u8>, changes: &[(usize, Vec<u8>)], cut: Option<usize>) {
    for (at, with) in changes {
        let at = at % bytes.len();
        let count = with.len().min(bytes.len() - at);
        bytes[at..at + count].copy_from_slice(&with[..count]);
    }
    if let Some(cut) = cut {
        bytes.truncate(cut % bytes.len());
    }
}

/// A byte that means something here and there, or many that are the largest number.
fn change() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(0_u8..6, 1..3),
        prop::collection::vec(any::<u8>(), 1..6),
        Just(vec![0xff; 8]),
        Just(vec![0; 8]),
    ]
}

#[test]
fn what_a_worker_has_made_is_taken() {
    let [bodies, pieces] = sound();
    assert!(bodies.len() >= 8 && pieces.len() >= 2, "{} and {}", bodies.len(), pieces.len());
    let plan = plan();
    let mut again = worker::worker(&plan);
    for piece in &pieces {
        worker::load(&mut again, piece).expect("a piece");
    }
    assert!(worker::tables(&mut again).iter().all(|page| !page.rows.is_empty()));
}

thread_local! {
    static SOUND: ([Vec<Vec<u8>>; 2], std::sync::Arc<anabranch_model::plan::Plan>) = (sound(), plan());
}

/// Something sound of a kind, damaged.
fn damaged(as_piece: bool, which: usize, changes: &[(usize, Vec<u8>)], cut: Option<usize>) -> Vec<u8> {
    SOUND.with(|(sound, _)| {
        let kind = &sound[usize::from(as_piece)];
        let mut bytes = kind[which % kind.len()].clone();
        damage(&mut bytes, changes, cut);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn damaged_records_and_pieces_are_refused_or_served(
        as_piece in any::<bool>(),
        which in 0_usize..100,
        changes in prop::collection::vec((0_usize..4000, change()), 1..4),
        cut in prop::option::weighted(0.2, 0_usize..4000),
    ) {
        let bytes = damaged(as_piece, which, &changes, cut);
        SOUND.with(|(_, plan)| take_and_serve(plan, as_piece, &bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_copy_that_was_given_damaged_bytes_begins_anew(
        as_piece in any::<bool>(),
        which in 0_usize..100,
        changes in prop::collection::vec((0_usize..4000, change()), 1..4),
        cut in prop::option::weighted(0.2, 0_usize..4000),
    ) {
        let bytes = damaged(as_piece, which, &changes, cut);
        SOUND.with(|(_, plan)| copy_and_begin_anew(plan, as_piece, &bytes));
    }
}
