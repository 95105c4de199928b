//! The ways of single requests at a node of a zone, and copies that begin anew.
#![expect(clippy::panic, reason = "a test fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anabranch_model::message::{
    Answer, Body, Delivery, FlowId, Forward, Forwarded, Once, Origin, Part, Partial, Reads, Request,
    RowsAnswer, WorkerId,
};
use anabranch_model::partition::{PartitionId, partition_hash, partition_of};
use anabranch_model::plan::{InputId, Plan, TableId};
use anabranch_model::row::{ROW_STAMP_BYTES, Row, RowError};
use anabranch_model::zone::{Group, Holder, MemberId, Owners, Parts, Standing, Term, Terms, Touched};
use anabranch_model::{Batch, SchemaId, Value, key};
use anabranch_operators::{FlowPartition, RestoreError, What, Worker, WorkerConfig, spawn};

const FLOW: FlowId = FlowId(3);

const TEXT: &str = "flow f revision 1
input  Set, Ask: { id: int }
input  Say: { to: text }
output Told: { node: text, source: text }
policy few { partitions 4 }
table  Items: { id: int, times: int } { key id  replicate few }
on Set as s { upsert Items { id: s.id, times += 1 } reply Told { node: node(), source: source() } }
on Ask as a { read Items where id = a.id as row or null  reply Told { node: node(), source: to_text(coalesce(row.times, 0)) } }
on Say as s route to s.to { reply Told { node: node(), source: source() } }";

const THERE: MemberId = MemberId(7);

fn plan() -> Arc<Plan> {
    let compiled = anabranch_lang::compile("f.flow", TEXT);
    Arc::new(compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics)))
}

fn config() -> WorkerConfig {
    WorkerConfig { node: "A".into(), seed: 1, clock: None, profile: false, records: true }
}

fn worker(plan: &Arc<Plan>) -> Worker {
    let mut worker = Worker::alone(&config());
    worker.install(FLOW, plan);
    worker
}

/// Owners of four partitions; the copies of those that are elsewhere are whole.
fn owners(version: u64, holders: [Holder; 4]) -> Arc<Owners> {
    let group = |at: usize| Group { copies: 2, number: at as u16 * 16 };
    let standing = |holder| Standing { term: Term(version), tenure: Term(version), holder };
    let all = holders.into_iter().enumerate().map(|(at, holder)| (group(at), standing(holder)));
    let copies = holders.into_iter().enumerate().filter(|(_, holder)| *holder == Holder::There(THERE));
    let owners = Owners::of(all).numbered(version).naming([("B".to_owned(), THERE)]);
    Arc::new(owners.holding(copies.map(|(at, _)| group(at))))
}

fn key_of(id: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    key::encode(&Value::Int(id), false, true, &mut bytes);
    bytes
}

/// The partition of a row.
fn partition(id: i64) -> PartitionId {
    partition_of(partition_hash(&key_of(id)), 4)
}

/// The first id of each partition.
fn ids() -> [i64; 4] {
    [0, 1, 2, 3].map(|at| (0..).find(|id| partition(*id).0 == at).expect("there is one"))
}

fn origin(number: u64) -> Origin {
    let once = Some(Once { client: 5, number, answered: 0, repeated: false });
    Origin { worker: WorkerId(0), client: 1, request: number, revision: 1, once }
}

fn ints(plan: &Plan, input: u16, ids: &[i64]) -> Body {
    let mut batch = Batch::new(SchemaId(input.into()));
    for id in ids {
        let write = |row: &mut anabranch_model::RowWriter<'_, '_>| row.value(&Value::Int(*id));
        batch.push_with::<RowError>(&plan.inputs[usize::from(input)].shape, write).expect("it fits");
    }
    Body::Rows { input: InputId(input), batch }
}

fn say(plan: &Plan, names: &[&str]) -> Body {
    let mut batch = Batch::new(SchemaId(2));
    for name in names {
        let write = |row: &mut anabranch_model::RowWriter<'_, '_>| row.value(&Value::from(*name));
        batch.push_with::<RowError>(&plan.inputs[2].shape, write).expect("it fits");
    }
    Body::Rows { input: InputId(2), batch }
}

/// What comes of a request.
fn does(worker: &mut Worker, request: Request) -> (Vec<Part>, Vec<Forward>) {
    worker.submit(FLOW, request);
    (0..3).for_each(|_| worker.turn(1));
    let (mut parts, mut forwards) = (Vec::new(), Vec::new());
    for delivery in worker.deliveries() {
        match delivery {
            Delivery::Part { part, .. } => parts.push(part),
            Delivery::Forward(forward) => forwards.push(*forward),
            _ => {}
        }
    }
    (parts, forwards)
}

fn fresh(number: u64, body: Body) -> Request {
    Request { origin: origin(number), body, partial: None }
}

fn rows(part: &Part) -> &RowsAnswer {
    match &part.answer {
        Answer::Rows(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// The texts of a reply.
fn told(plan: &Plan, answer: &RowsAnswer) -> Vec<(u32, String)> {
    let text = |row: &[u8]| {
        let row = Row::new(row, &plan.outputs[0].shape);
        row.values().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(" ")
    };
    let replies = answer.replies.iter().chain(answer.repeated.iter());
    replies.map(|(row, _, bytes)| (row, text(bytes))).collect()
}

const HERE: Holder = Holder::Here;
const AWAY: Holder = Holder::There(THERE);
const NOBODY: Holder = Holder::Nobody;

#[test]
fn rows_go_to_their_owners_and_wait_where_there_is_none() {
    let (plan, ids) = (plan(), ids());
    let mut worker = worker(&plan);
    worker.set_owners(owners(1, [HERE, AWAY, NOBODY, AWAY]));
    let (parts, forwards) = does(&mut worker, fresh(1, ints(&plan, 0, &ids)));
    let [part] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!((part.parts, rows(part).accepted), (3, 1));
    assert_eq!(part.touched, Touched { copies: 2, parts: Parts::one(0) });
    let ways: Vec<_> =
        forwards.iter().map(|forward| (forward.to, forward.rows.clone(), forward.parts)).collect();
    assert_eq!(ways, [(Some(THERE), vec![1, 3], 3), (None, vec![2], 3)]);
    assert_eq!(
        (forwards[0].places.clone(), forwards[0].terms.terms.clone()),
        (vec![16, 48], vec![Term(1); 2])
    );
    let lost = forwards[0].again_in(Parts::one(48)).expect("something is in it");
    assert_eq!(lost.partial.expect("it is a part").rows, [3]);
    assert!(lost.origin.once.expect("it has one").repeated && forwards[0].again_in(Parts::one(0)).is_none());
}

#[test]
fn what_another_node_sends_is_done_only_as_it_believes_and_answered_by_its_numbers() {
    let (plan, ids) = (plan(), ids());
    let mut worker = worker(&plan);
    worker.set_owners(owners(4, [HERE, HERE, AWAY, NOBODY]));
    let touched = Touched {
        copies: 2,
        parts: [0, 16, 32, 48].map(Parts::one).into_iter().fold(Parts::NONE, Parts::or),
    };
    let terms = Terms { touched, terms: [4, 3, 4, 4].map(Term).to_vec() };
    let forwarded = Some(Forwarded { source: "B".into(), terms });
    let partial = Some(Box::new(Partial { rows: vec![10, 20, 30, 40], revision: 1, forwarded }));
    let request = Request { origin: origin(1), body: ints(&plan, 0, &ids), partial };
    let (parts, forwards) = does(&mut worker, request);
    assert!(forwards.is_empty(), "it is not sent on");
    let elsewhere: Vec<u32> = parts.iter().flat_map(|part| rows(part).elsewhere.clone()).collect();
    assert_eq!((parts.len(), parts[0].parts, elsewhere), (2, 2, vec![20, 30, 40]));
    let told: Vec<_> = parts.iter().flat_map(|part| told(&plan, rows(part))).collect();
    assert_eq!(told, [(10, "Text(\"A\") Text(\"B\")".to_owned())]);
}

#[test]
fn rows_are_sent_to_nodes_by_name() {
    let plan = plan();
    let mut worker = worker(&plan);
    worker.set_owners(owners(1, [HERE; 4]));
    let (parts, forwards) = does(&mut worker, fresh(1, say(&plan, &["A", "B", "C"])));
    let [part] = &parts[..] else { panic!("{parts:?}") };
    assert_eq!((rows(part).accepted, rows(part).refusals[0].row), (1, 2), "there is no C");
    assert_eq!((forwards[0].to, forwards[0].rows.clone()), (Some(THERE), vec![1]));
    assert_eq!((part.touched, forwards[0].terms.clone()), (Touched::default(), Terms::default()));
}

#[test]
fn a_key_is_read_at_its_owner_and_from_a_copy_by_who_is_content_with_it() {
    let (plan, ids) = (plan(), ids());
    let mut worker = worker(&plan);
    worker.set_owners(owners(1, [HERE, AWAY, NOBODY, AWAY]));
    let get = |at: usize, reads| {
        let (table, key) = (TableId(0), key_of(ids[at]));
        Body::Get { table, partition: partition(ids[at]), key, reads }
    };
    let mut asked = |body, partial| does(&mut worker, Request { origin: origin(1), body, partial });
    let (parts, forwards) = asked(get(0, Reads::Safe), None);
    assert!(matches!(parts[0].answer, Answer::Row(None)) && forwards.is_empty());
    let (parts, forwards) = asked(get(1, Reads::Safe), None);
    assert!(parts.is_empty() && forwards[0].to == Some(THERE));
    assert_eq!(asked(get(2, Reads::Stale), None).1[0].to, None);
    let (parts, _) = asked(get(1, Reads::Stale), None);
    assert!(matches!(parts[0].answer, Answer::Row(None)), "there is a copy");
    let forwarded = Some(Forwarded { source: "B".into(), terms: Terms::default() });
    let partial = Some(Box::new(Partial { rows: Vec::new(), revision: 1, forwarded }));
    assert!(matches!(asked(get(1, Reads::Safe), partial).0[0].answer, Answer::Elsewhere));
}

#[test]
fn a_page_says_of_which_groups_it_has_the_rows() {
    let (plan, ids) = (plan(), ids());
    let mut worker = worker(&plan);
    worker.set_owners(owners(1, [HERE; 4]));
    does(&mut worker, fresh(1, ints(&plan, 0, &ids)));
    worker.set_owners(owners(2, [HERE, AWAY, NOBODY, HERE]));
    let body = Body::Page { table: TableId(0), after: None, limit: 100, reads: Reads::Safe };
    let (parts, forwards) = does(&mut worker, fresh(2, body));
    let Answer::Page(page) = &parts[0].answer else { panic!("{parts:?}") };
    let touched = parts[0].touched.parts;
    assert_eq!((page.rows.len(), parts[0].parts, forwards[0].to), (2, 2, Some(THERE)));
    assert!([0, 48].into_iter().all(|number| touched.contains(number)));
    assert!([16, 32].into_iter().all(|number| !touched.contains(number)));
    assert_eq!(forwards[0].terms.touched.parts, Parts::one(16));
}

#[test]
fn copies_follow_their_owner_and_begin_anew_where_they_do_not() {
    let (plan, ids) = (plan(), ids());
    let (mut owner, mut copy) = (worker(&plan), worker(&plan));
    owner.set_owners(owners(1, [HERE; 4]));
    copy.set_owners(owners(1, [AWAY, HERE, AWAY, AWAY]));
    (1..=3).for_each(|number| drop(does(&mut owner, fresh(number, ints(&plan, 0, &ids[..1])))));
    let records = owner.records().remove(0).1;
    let all: Vec<_> = records.iter().map(|(made, body)| (*made, body.to_vec())).collect();
    let part = all[0].0.part;
    let give = |copy: &mut Worker, at: usize| {
        let (made, body) = &all[at];
        copy.copy(FLOW, made.part, made.term, made.seq, body).map(|recorded| recorded.count)
    };
    assert_eq!(
        (give(&mut copy, 0), give(&mut copy, 0)),
        (Ok(1), Ok(1)),
        "a record that it has is passed over"
    );
    assert_eq!(give(&mut copy, 2), Err(RestoreError::Order { part, seq: 3 }));
    let other = FlowPartition { number: 1, ..part };
    let (made, body) = &all[0];
    assert_eq!(copy.copy(FLOW, other, made.term, 1, body), Err(RestoreError::Served(other)));
    let mut place = owner.group_state(Group { copies: 2, number: 0 });
    let piece = owner.group_piece(&mut place, 1 << 20).expect("there is one partition");
    assert_eq!((piece.part, piece.rows), (part, 1));
    assert!(owner.group_piece(&mut place, 1 << 20).is_none() && place.is_done());
    assert_eq!(copy.copy_state(&piece.body).map(|recorded| recorded.count), Ok(2));
    assert_eq!(give(&mut copy, 2), Ok(2), "the state has it");
    assert_eq!(copy.reset(FLOW, part).map(|recorded| recorded.count), Ok(3));
    assert_eq!(copy.status(FLOW).expect("it is there").tables[0].rows, 0);
    assert_eq!((give(&mut copy, 0), copy.recorded().count), (Ok(4), 4));
    let made: Vec<_> =
        copy.records().remove(0).1.made.iter().map(|made| (made.what, made.seq, made.copied)).collect();
    let (step, state) = (What::Step, What::State);
    assert_eq!(made, [(step, 1, true), (state, 3, true), (state, 0, true), (step, 1, true)]);
}

/// A worker that has not heard of newer owners hears of them from the one that has divided by them.
#[test]
fn workers_hear_of_owners_from_each_other() {
    let plan = plan();
    let met = Arc::new(AtomicU32::new(0));
    let threads = spawn(config(), 2, move |mut worker| {
        worker.install(FLOW, &plan);
        let meet = |worker: &mut Worker, times: u32| {
            met.fetch_add(1, Ordering::SeqCst);
            while met.load(Ordering::SeqCst) < 2 * times {
                worker.turn(1);
            }
        };
        worker.set_owners(owners(1, [NOBODY; 4]));
        meet(&mut worker, 1);
        if worker.id() == WorkerId(0) {
            worker.set_owners(owners(2, [HERE; 4]));
            worker.submit(FLOW, fresh(1, ints(&plan, 0, &ids())));
            let mut accepted = 0;
            while accepted < 4 {
                worker.turn(1);
                for delivery in worker.deliveries() {
                    if let Delivery::Part { part, .. } = delivery {
                        assert!(rows(&part).elsewhere.is_empty(), "{part:?}");
                        accepted += rows(&part).accepted;
                    }
                }
            }
        }
        meet(&mut worker, 2);
    });
    threads.expect("two threads").join().expect("no worker fails");
}

/// The stamp of a row.
fn stamp(worker: &mut Worker, id: i64) -> u64 {
    let (table, key) = (TableId(0), key_of(id));
    let body = Body::Get { table, partition: partition(id), key, reads: Reads::Safe };
    let (parts, _) = does(worker, fresh(9, body));
    let Answer::Row(Some(row)) = &parts[0].answer else { panic!("{parts:?}") };
    u64::from_le_bytes(row[ROW_STAMP_BYTES].try_into().expect("eight bytes"))
}

/// Whether it followed record by record or began anew with a state.
#[test]
fn an_owner_that_was_a_copy_goes_on_with_later_stamps() {
    let (plan, id) = (plan(), ids()[0]);
    for by_state in [false, true] {
        let (mut owner, mut copy) = (worker(&plan), worker(&plan));
        owner.set_owners(owners(1, [HERE; 4]));
        copy.set_owners(owners(1, [AWAY; 4]));
        owner.submit(FLOW, fresh(1, ints(&plan, 0, &[id])));
        // Its clock is ahead of the copy's.
        (0..3).for_each(|_| owner.turn(1_000_000));
        let records = owner.records().remove(0).1;
        let mut place = owner.group_state(Group { copies: 2, number: 0 });
        let piece = owner.group_piece(&mut place, 1 << 20).expect("there is one partition");
        let (made, body) = records.iter().next().expect("a record");
        let copied = match by_state {
            true => copy.copy_state(&piece.body),
            false => copy.copy(FLOW, made.part, made.term, made.seq, body),
        };
        assert_eq!(copied.map(|recorded| recorded.count), Ok(1));
        copy.set_owners(owners(2, [HERE; 4]));
        let before = stamp(&mut copy, id);
        assert_eq!(rows(&does(&mut copy, fresh(2, ints(&plan, 0, &[id]))).0[0]).accepted, 1);
        assert!(stamp(&mut copy, id) > before, "by a state: {by_state}");
    }
}
