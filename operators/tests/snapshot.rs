//! Pieces that a worker makes between requests, and the records behind where they began, give its tables again.
#![expect(clippy::panic, reason = "a test fails")]

use std::sync::Arc;

use anabranch_model::message::{
    Answer, Body, Delivery, FlowId, Once, Origin, Page, Reads, Request, RowsAnswer, WorkerId,
};
use anabranch_model::plan::{InputId, Plan, TableId};
use anabranch_model::row::RowError;
use anabranch_model::snapshot::{Item, Piece, rows};
use anabranch_model::zone::Term;
use anabranch_model::{Batch, SchemaId, Value};
use anabranch_operators::{FlowPartition, RestoreError, SnapshotPlace, StatePiece, Worker, WorkerConfig};
use proptest::prelude::*;

const FLOW: FlowId = FlowId(3);

const TEXT: &str = "flow f revision 1
input  Set, Count, Take, Clear, Try: { shelf: int, id: int, n: int }
policy few { partitions 8 }
policy fewer { partitions 3 }
table  Items: { shelf: int, id: int, n: int, stamp: text } { key shelf, id  partition by shelf  replicate few }
table  Sums: { shelf: int, items: int } { key shelf  replicate few }
table  Other: { id: int, n: int } { key id  replicate fewer }
on Set as s { upsert Items { shelf: s.shelf, id: s.id, n: s.n, stamp: substring('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 1, s.n) } }
on Set as s { upsert Sums { shelf: s.shelf, items += 1 } }
on Count as c { upsert Other { id: c.id, n += c.n } }
on Take as t { delete Items where shelf = t.shelf and id = t.id }
on Clear as c { delete Items where shelf = c.shelf }
on Try as t { upsert Items { shelf: t.shelf, id: t.id, n: t.n, stamp: substring('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 1, t.n) } }
on Try as t { delete Items where shelf = t.shelf }
on Try as t { upsert Sums { shelf: t.shelf, items += 1 } }
on Try as t { require t.n > 50 else invalid 'not now' }";

fn plan() -> Arc<Plan> {
    let compiled = anabranch_lang::compile("f.flow", TEXT);
    Arc::new(compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics)))
}

fn worker(plan: &Arc<Plan>) -> Worker {
    let config = WorkerConfig { node: "A".into(), seed: 1, clock: None, profile: false, records: true };
    let mut worker = Worker::alone(&config);
    worker.install(FLOW, plan);
    worker
}

type Rows = [(i64, i64, i64)];

/// An input, and rows for it.
type Sent = (u16, Vec<(i64, i64, i64)>);

/// Does a request of a client that may repeat it.
fn send(worker: &mut Worker, plan: &Plan, number: u64, input: u16, rows: &Rows) -> RowsAnswer {
    let mut batch = Batch::new(SchemaId(input.into()));
    for (shelf, id, n) in rows {
        let write = batch.push_with::<RowError>(&plan.inputs[usize::from(input)].shape, |row| {
            [shelf, id, n].into_iter().try_for_each(|value| row.value(&Value::Int(*value)))
        });
        write.expect("it fits");
    }
    let once = Some(Once { client: 9, number, answered: 0, repeated: false });
    match ask(worker, number, once, Body::Rows { input: InputId(input), batch }) {
        Answer::Rows(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn ask(worker: &mut Worker, number: u64, once: Option<Once>, body: Body) -> Answer {
    let origin = Origin { worker: WorkerId(0), client: 5, request: number, revision: 1, once };
    worker.submit(FLOW, Request { origin, body, partial: None });
    worker.turn(number as i64);
    match worker.deliveries().pop() {
        Some(Delivery::Part { part, .. }) => part.answer,
        other => panic!("{other:?}"),
    }
}

fn tables(worker: &mut Worker) -> Vec<Page> {
    let page = |table| Body::Page { table: TableId(table), after: None, limit: u32::MAX, reads: Reads::Safe };
    let tables = (0..3).map(|table| match ask(worker, 1, None, page(table)) {
        Answer::Page(page) => page,
        other => panic!("{other:?}"),
    });
    tables.collect()
}

/// A record as a journal has it: where, its number there, its body.
type Record = (FlowPartition, u64, Vec<u8>);

type Journal = Vec<Record>;

fn journal(worker: &mut Worker, journal: &mut Journal) {
    for (_, records) in worker.records() {
        journal.extend(records.iter().map(|(made, body)| (made.part, made.seq, body.to_vec())));
    }
}

fn load(worker: &mut Worker, piece: &StatePiece) -> Result<u64, RestoreError> {
    let Ok(Piece::State(state)) = Piece::parse(&piece.body) else { panic!("it is state") };
    worker.observe(state.flow, state.stamp, state.rerouted);
    let items = state.items().map(|item| item.expect("an item"));
    items.map(|item| worker.load(state.flow, item)).sum()
}

fn replay(worker: &mut Worker, records: &[Record]) -> Result<(), RestoreError> {
    records.iter().try_for_each(|(part, seq, body)| worker.restore(FLOW, *part, Term::FIRST, *seq, body))
}

/// A worker that takes pieces while requests go on.
struct Taken {
    worker: Worker,
    journal: Journal,
    /// How many records there were when the snapshot began.
    begin: usize,
    pieces: Vec<StatePiece>,
}

fn take(plan: &Arc<Plan>, requests: &[Sent], before: usize, most: usize) -> Taken {
    let mut taken = Taken { worker: worker(plan), journal: Vec::new(), begin: 0, pieces: Vec::new() };
    let mut place: Option<SnapshotPlace> = None;
    for (number, (input, rows)) in requests.iter().enumerate() {
        send(&mut taken.worker, plan, number as u64 + 1, *input, rows);
        journal(&mut taken.worker, &mut taken.journal);
        if number == before {
            (place, taken.begin) = (Some(taken.worker.snapshot()), taken.journal.len());
        }
        if let Some(place) = &mut place {
            taken.pieces.extend(taken.worker.snapshot_piece(place, most));
        }
    }
    let place = place.get_or_insert_with(|| taken.worker.snapshot());
    while let Some(piece) = taken.worker.snapshot_piece(place, most) {
        taken.pieces.push(piece);
    }
    taken
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_and_the_records_behind_their_begin_give_the_tables(
        requests in prop::collection::vec(
            (0_u16..5, prop::collection::vec((0_i64..6, 0_i64..40, 0_i64..60), 1..20)),
            1..40,
        ),
        before in 0_usize..30,
        earlier in 0_usize..20,
        most in 1_usize..2000,
    ) {
        let plan = plan();
        let before = before.min(requests.len() - 1);
        let mut taken = take(&plan, &requests, before, most);
        let mut again = worker(&plan);
        for piece in &taken.pieces {
            prop_assert_eq!(load(&mut again, piece), Ok(piece.rows));
        }
        // Records that the pieces have are skipped, wherever the replay begins.
        let from = taken.begin.saturating_sub(earlier);
        prop_assert_eq!(replay(&mut again, &taken.journal[from..]), Ok(()));
        again.restored();
        let wanted = tables(&mut taken.worker);
        prop_assert_eq!(tables(&mut again), wanted);

        // The next records have the same numbers; a repeat has the first answer and no effect.
        let number = requests.len() as u64;
        let (input, repeated) = requests.last().expect("there is one");
        for (number, input, rows) in [(number, *input, repeated), (number + 1, 0, repeated)] {
            let workers = [&mut taken.worker, &mut again];
            let [one, other] = workers.map(|worker| send(worker, &plan, number, input, rows).accepted);
            prop_assert_eq!(one, other);
        }
        let made = |worker: &mut Worker| {
            let mut made = Journal::new();
            journal(worker, &mut made);
            made.into_iter().map(|(part, seq, _)| (part, seq)).collect::<Vec<_>>()
        };
        prop_assert_eq!(made(&mut again), made(&mut taken.worker));
    }
}

/// Rows of the tables that a start from a snapshot does not bring back, or brings back otherwise. `meanwhile` is done
/// behind its first pieces; each has `most` bytes.
fn lost(
    worker: &mut Worker,
    plan: &Arc<Plan>,
    first: usize,
    most: usize,
    meanwhile: &[(u16, &Rows)],
) -> usize {
    let (mut place, mut records) = (worker.snapshot(), Journal::new());
    journal(worker, &mut Journal::new());
    let mut pieces: Vec<_> = (0..first).filter_map(|_| worker.snapshot_piece(&mut place, most)).collect();
    for (number, (input, rows)) in (1_000_000..).zip(meanwhile) {
        send(worker, plan, number, *input, rows);
    }
    journal(worker, &mut records);
    pieces.extend(std::iter::from_fn(|| worker.snapshot_piece(&mut place, most)));
    let mut again = self::worker(plan);
    pieces.iter().for_each(|piece| assert_eq!(load(&mut again, piece), Ok(piece.rows)));
    assert_eq!(replay(&mut again, &records), Ok(()));
    again.restored();
    let [wanted, there] = [worker, &mut again].map(|worker| {
        tables(worker).into_iter().flat_map(|page| page.rows).collect::<std::collections::BTreeSet<_>>()
    });
    wanted.difference(&there).count()
}

#[test]
fn a_step_that_is_refused_meanwhile_loses_no_row() {
    let (plan, mut number) = (plan(), 0);
    for first in [1, 2, 3] {
        let mut worker = worker(&plan);
        // The rows of shelf 0 lie between those of others in its partition.
        for ids in (0..10_000).collect::<Vec<i64>>().chunks(100) {
            number += 1;
            let rows: Vec<_> = ids.iter().map(|id| (id % 24, *id, 40)).collect();
            send(&mut worker, &plan, number, 0, &rows);
        }
        let tried = (0..24).map(|shelf| (shelf, 1, 9)).collect::<Vec<_>>();
        assert_eq!(lost(&mut worker, &plan, first, 64 << 10, &[(4, &tried)]), 0, "behind {first} pieces");
    }
}

#[test]
fn a_step_that_is_refused_on_the_last_row_meanwhile_does_not_lose_it() {
    let plan = plan();
    for first in 1..20 {
        let mut worker = worker(&plan);
        send(&mut worker, &plan, 1, 0, &[(1, 1, 40), (1, 2, 40)]);
        let lost = lost(&mut worker, &plan, first, 1, &[(2, &[(1, 1, 0)]), (4, &[(1, 2, 40)])]);
        assert_eq!(lost, 0, "behind {first} pieces");
    }
}

/// Some shelves with many rows, more of them while the pieces are made.
fn many() -> Vec<Sent> {
    let rows = |round: i64| (0..30).map(|n| (n % 7, round * 30 + n, n)).collect();
    (0..60).map(|round| (0, rows(round))).collect()
}

#[test]
fn a_piece_is_no_longer_than_it_may_be() {
    let plan = plan();
    for most in [1, 500, 4000] {
        let taken = take(&plan, &many(), 10, most);
        let mut longest = 0;
        for piece in &taken.pieces {
            let Ok(Piece::State(state)) = Piece::parse(&piece.body) else { panic!("it is state") };
            let items: Vec<Item<'_>> = state.items().map(|item| item.expect("an item")).collect();
            let last = match items.last() {
                Some(Item::Rows(_, _, bytes)) => {
                    rows(bytes).last().map_or(0, |row| row.expect("a row").len())
                }
                Some(Item::Partition(standing)) => standing.remembered.len(),
                None => 0,
            };
            // The head of a piece has 30 bytes, that of an item 29 at most.
            assert!(piece.body.len() < most + last + 30 + 29, "{} bytes, {most} wanted", piece.body.len());
            longest = longest.max(piece.rows);
        }
        assert!(longest <= 1 + most as u64 / 50, "{longest} rows in {most} bytes");
    }
}

#[test]
fn a_hole_and_a_double_behind_the_begin_are_found_as_before() {
    let plan = plan();
    let taken = take(&plan, &many(), 10, 2000);
    let behind = &taken.journal[taken.begin..];
    let replayed = |records: &[Record]| {
        let mut again = worker(&plan);
        taken.pieces.iter().for_each(|piece| assert!(load(&mut again, piece).is_ok()));
        replay(&mut again, records)
    };
    assert_eq!(replayed(behind), Ok(()));
    // Among what the pieces have and behind it, at the begin, in the middle and near the end.
    for at in [7, behind.len() / 2, behind.len() - 20] {
        let hole = [&behind[..at], &behind[at + 1..]].concat();
        assert!(matches!(replayed(&hole), Err(RestoreError::Order { .. })), "{at} is missing");
        let double = [&behind[..=at], &behind[at..]].concat();
        assert!(matches!(replayed(&double), Err(RestoreError::Order { .. })), "{at} is there twice");
    }
}

#[test]
fn a_snapshot_of_another_flow_is_refused() {
    let plan = plan();
    let mut taken = take(&plan, &many(), 10, 2000);
    let other = anabranch_lang::compile(
        "f.flow",
        "flow f revision 1 input A: { id: int } table T: { id: text } { key id } on A as a { upsert T { id: 'x' } }",
    );
    let mut again = worker(&Arc::new(other.plan.expect("it compiles")));
    let loaded: Result<Vec<u64>, _> = taken.pieces.iter().map(|piece| load(&mut again, piece)).collect();
    assert!(matches!(loaded, Err(RestoreError::Row(_) | RestoreError::NoPartition { .. })), "{loaded:?}");
    let piece = taken.pieces.pop().expect("a piece");
    let mut none = Worker::alone(&WorkerConfig {
        node: "A".into(),
        seed: 1,
        clock: None,
        profile: false,
        records: true,
    });
    assert_eq!(load(&mut none, &piece), Err(RestoreError::NoFlow(FLOW)));
}
