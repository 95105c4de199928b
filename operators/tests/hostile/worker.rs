//! A worker that takes a record or a piece of a snapshot from somewhere, and serves if it was taken.

use std::sync::Arc;

use anabranch_model::message::{
    Answer, Body, Delivery, FlowId, Once, Origin, Page, Reads, Request, WorkerId,
};
use anabranch_model::plan::{InputId, Plan, TableId};
use anabranch_model::row::RowError;
use anabranch_model::snapshot::Piece;
use anabranch_model::zone::{Group, Holder, MemberId, Owners, Standing, Term};
use anabranch_model::{Batch, SchemaId, Value};
use anabranch_operators::{FlowPartition, RestoreError, StatePiece, Worker, WorkerConfig};

pub(crate) const FLOW: FlowId = FlowId(3);

/// Partitions of its tables.
pub(crate) const PARTITIONS: u32 = 4;

const TEXT: &str = "flow f revision 1
input  Set, Take, Ask: { shelf: text, id: int, n: int }
output Told: { shelf: text, n: int?, name: text? }
policy few { partitions 4 }
table  Items: { shelf: text, id: int, n: int, name: text?, at: time } {
  key shelf, id  partition by shelf  replicate few
}
table  Sums: { shelf: text, items: int } { key shelf  replicate few }
on Set as s route by s.shelf {
  upsert Items { shelf: s.shelf, id: s.id, n: s.n, name: s.shelf || to_text(s.n), at: now() }
  upsert Sums { shelf: s.shelf, items += 1 }
}
on Take as t route by t.shelf {
  require t.n > 0 else invalid 'take something'
  delete Items where shelf = t.shelf and id = t.id
}
on Ask as a route by a.shelf {
  read  Items where shelf = a.shelf and id = a.id as row or null
  reply Told { shelf: a.shelf, n: row.n, name: row.name }
}";

pub(crate) fn plan() -> Arc<Plan> {
    let compiled = anabranch_lang::compile("f.flow", TEXT);
    Arc::new(compiled.plan.expect("it compiles"))
}

pub(crate) fn worker(plan: &Arc<Plan>) -> Worker {
    let config = WorkerConfig { node: "A".into(), seed: 1, clock: None, profile: false, records: true };
    let mut worker = Worker::alone(&config);
    worker.install(FLOW, plan);
    worker
}

/// Does some requests of a client that may repeat them, in all partitions.
pub(crate) fn serve(worker: &mut Worker, plan: &Plan, number: u64) {
    for input in 0..3_u16 {
        let mut batch = Batch::new(SchemaId(input.into()));
        for at in 0..12 {
            let shelf = format!("s{at}");
            let values = [Value::Text(shelf.into()), Value::Int(at), Value::Int(at % 3)];
            let write = batch.push_with::<RowError>(&plan.inputs[usize::from(input)].shape, |row| {
                values.iter().try_for_each(|value| row.value(value))
            });
            write.expect("it fits");
        }
        let once = Some(Once { client: 9, number: number + u64::from(input), answered: 0, repeated: true });
        let answer = ask(worker, number, once, Body::Rows { input: InputId(input), batch });
        assert!(matches!(answer, Answer::Rows(_)), "{answer:?}");
    }
}

fn ask(worker: &mut Worker, number: u64, once: Option<Once>, body: Body) -> Answer {
    let origin = Origin { worker: WorkerId(0), client: 5, request: number, revision: 1, once };
    worker.submit(FLOW, Request { origin, body, partial: None });
    worker.turn(number as i64);
    let parts = worker.deliveries().into_iter().find_map(|delivery| match delivery {
        Delivery::Part { part, .. } => Some(part.answer),
        _ => None,
    });
    parts.expect("a request is answered")
}

/// All rows.
pub(crate) fn tables(worker: &mut Worker) -> Vec<Page> {
    let page = |table| Body::Page { table: TableId(table), after: None, limit: u32::MAX, reads: Reads::Safe };
    let tables = (0..2).map(|table| match ask(worker, 1, None, page(table)) {
        Answer::Page(page) => page,
        other => unreachable!("a page is asked for: {other:?}"),
    });
    tables.collect()
}

/// All pieces of a snapshot.
pub(crate) fn pieces(worker: &Worker) -> Vec<StatePiece> {
    let mut place = worker.snapshot();
    std::iter::from_fn(|| worker.snapshot_piece(&mut place, 1000)).collect()
}

pub(crate) fn load(worker: &mut Worker, piece: &[u8]) -> Result<(), RestoreError> {
    let Ok(Piece::State(state)) = Piece::parse(piece) else { return Ok(()) };
    worker.observe(FLOW, state.stamp, state.rerouted);
    for item in state.items() {
        let Ok(item) = item else { return Ok(()) };
        worker.load(FLOW, item)?;
    }
    Ok(())
}

/// Takes bytes as the body of a record or as a piece; where they are taken the worker serves, and its own snapshot gives
/// another worker the same rows.
pub(crate) fn take_and_serve(plan: &Arc<Plan>, as_piece: bool, bytes: &[u8]) {
    let mut one = worker(plan);
    let taken = match as_piece {
        true => load(&mut one, bytes),
        false => {
            let mut parts = (0..PARTITIONS).map(|number| FlowPartition { of: PARTITIONS, number });
            parts.try_for_each(|part| one.restore(FLOW, part, Term::FIRST, 1, bytes))
        }
    };
    if taken.is_err() {
        // A node that meets this does not start.
        return;
    }
    one.restored();
    let mut other = worker(plan);
    for piece in pieces(&one) {
        load(&mut other, &piece.body).expect("what a worker has made can be taken");
    }
    other.restored();
    // Rows of a partition of which a piece does not say where it stands are in no snapshot.
    if !as_piece {
        assert_eq!(tables(&mut other), tables(&mut one));
    }
    serve(&mut one, plan, 1_000_000);
}

/// Owners that all are the node, or all another one.
fn owners(version: u64, holder: Holder) -> Arc<Owners> {
    let standing = Standing { holder, ..Standing::NOBODY };
    let groups = (0..64).map(|number| (Group { copies: 2, number }, standing));
    Arc::new(Owners::of(groups).numbered(version))
}

/// Gives bytes to a copy as a record or as a piece of state; whatever they were, it is as its owner when it has begun anew.
pub(crate) fn copy_and_begin_anew(plan: &Arc<Plan>, as_piece: bool, bytes: &[u8]) {
    let (mut owner, mut copy) = (worker(plan), worker(plan));
    serve(&mut owner, plan, 1);
    owner.set_owners(owners(1, Holder::Here));
    copy.set_owners(owners(1, Holder::There(MemberId(1))));
    let _ = match as_piece {
        true => copy.copy_state(bytes),
        false => copy.copy(FLOW, FlowPartition { of: PARTITIONS, number: 1 }, Term::FIRST, 1, bytes),
    };
    for number in 0..64 {
        let mut place = owner.group_state(Group { copies: 2, number });
        while let Some(piece) = owner.group_piece(&mut place, 1000) {
            copy.copy_state(&piece.body).expect("what an owner has made can be taken");
        }
        assert!(place.is_done());
    }
    // Both are alone again, as far as reading goes.
    let [mut owner, mut copy] = [owner, copy].map(|of| {
        let mut started = worker(plan);
        pieces(&of).iter().for_each(|piece| load(&mut started, &piece.body).expect("a piece"));
        started
    });
    assert_eq!(tables(&mut copy), tables(&mut owner));
}
