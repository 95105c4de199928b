//! What a worker records is what it did: done again elsewhere it gives the same tables, whatever came before.
#![expect(clippy::panic, reason = "a test fails")]

use std::sync::Arc;

use anabranch_model::message::{
    Answer, Body, Delivery, FlowId, Once, Origin, Page, Reads, Refusal, Request, RowsAnswer, WorkerId,
};
use anabranch_model::plan::{InputId, OutputId, Plan, RefusalCode, TableId};
use anabranch_model::record::{Identity, Record, RecordWriter};
use anabranch_model::row::RowError;
use anabranch_model::snapshot::{Item, Piece};
use anabranch_model::zone::Term;
use anabranch_model::{Batch, RowWriter, SchemaId, Shape, Value};
use anabranch_operators::{
    ANSWERS_REMEMBERED_MAX, FlowPartition, Records, RestoreError, Worker, WorkerConfig,
};
use proptest::prelude::*;

const FLOW: FlowId = FlowId(3);

/// Rules that write by all ways: directly, by hand, undone after a write, deletes of one row and of many.
const TEXT: &str = "flow f revision 1
input  Set, Add, Take, Clear, Look: { shelf: int, id: int, n: int }
output Told: { id: int, n: int? }
policy few { partitions 8 }
table  Items: { shelf: int, id: int, n: int } { key shelf, id  partition by shelf  replicate few }
table  Sums: { shelf: int, items: int } { key shelf  replicate few }
table  Names: { name: text } { key name  replicate few }
on Set as s { upsert Items { ..s } }
on Add as a {
  insert Items { ..a }
  upsert Sums { shelf: a.shelf, items += 1 }
  require a.n < 50 else invalid 'too many'
  reply Told { id: a.id, n: a.n }
}
on Take as t {
  read Items where shelf = t.shelf and id = t.id as row or null
  require row is not null else not_found 'no such item'
  if row.n <= t.n { delete Items where shelf = t.shelf and id = t.id }
  else { update Items { shelf: t.shelf, id: t.id, n: row.n - t.n } }
}
on Clear as c { delete Items where shelf = c.shelf }
on Look as l {
  read Items where shelf = l.shelf and id = l.id as row or null
  reply Told { id: l.id, n: row.n }
}";

fn plan() -> Arc<Plan> {
    let compiled = anabranch_lang::compile("f.flow", TEXT);
    Arc::new(compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics)))
}

fn worker(records: bool) -> Worker {
    Worker::alone(&WorkerConfig { node: "A".into(), seed: 1, clock: None, profile: false, records })
}

/// Does a request and gives its answer.
fn send(
    worker: &mut Worker,
    plan: &Plan,
    number: u64,
    input: u16,
    rows: &[(i64, i64, i64)],
) -> (RowsAnswer, u64) {
    let mut batch = Batch::new(SchemaId(input.into()));
    for (shelf, id, n) in rows {
        let write = batch.push_with::<RowError>(&plan.inputs[usize::from(input)].shape, |row| {
            [shelf, id, n].into_iter().try_for_each(|value| row.value(&Value::Int(*value)))
        });
        write.expect("it fits");
    }
    let once = Some(Once { client: 5, number, answered: 0, repeated: false });
    let origin = Origin { worker: WorkerId(0), client: 1, request: number, revision: 1, once };
    worker.submit(FLOW, Request { origin, body: Body::Rows { input: InputId(input), batch }, partial: None });
    worker.turn(number as i64);
    let answers = worker.deliveries().into_iter().filter_map(|delivery| match delivery {
        Delivery::Part { part, .. } => Some(part),
        _ => None,
    });
    let [part] = <[_; 1]>::try_from(answers.collect::<Vec<_>>()).expect("one answer");
    match part.answer {
        Answer::Rows(answer) => (answer, part.rests_on.count),
        other => panic!("{other:?}"),
    }
}

fn rows(worker: &mut Worker, table: u16) -> Page {
    let origin = Origin { worker: WorkerId(0), client: 6, request: 1, revision: 1, once: None };
    let body = Body::Page { table: TableId(table), after: None, limit: u32::MAX, reads: Reads::Safe };
    worker.submit(FLOW, Request { origin, body, partial: None });
    worker.turn(0);
    match worker.deliveries().pop() {
        Some(Delivery::Part { part, .. }) => match part.answer {
            Answer::Page(page) => page,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn replayed(plan: &Arc<Plan>, records: &[Records]) -> Worker {
    let mut worker = worker(true);
    worker.install(FLOW, plan);
    for (made, body) in records.iter().flat_map(Records::iter) {
        worker.restore(FLOW, made.part, made.term, made.seq, body).expect("the next of its partition");
    }
    worker.restored();
    worker
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_done_again_give_the_same_tables(
        requests in prop::collection::vec(
            (0_u16..5, prop::collection::vec((0_i64..6, 0_i64..6, 0_i64..60), 1..20)),
            1..30,
        ),
    ) {
        let plan = plan();
        let mut first = worker(true);
        first.install(FLOW, &plan);
        let (mut all, mut made) = (Vec::new(), 0);
        for (number, (input, rows)) in requests.iter().enumerate() {
            let before = made;
            let (answer, rests_on) = send(&mut first, &plan, number as u64 + 1, *input, rows);
            let records: Vec<Records> = first.records().into_iter().map(|(_, records)| records).collect();
            made += records.iter().map(|records| records.made.len() as u64).sum::<u64>();
            prop_assert_eq!(first.recorded().count, made);
            let rests_well = if made > before { rests_on == made } else { rests_on <= made };
            prop_assert!(rests_well, "on {} of {}", rests_on, made);
            recorded_is_answered(&answer, &records, number as u64 + 1);
            all.extend(records);
        }
        let mut again = replayed(&plan, &all);
        for table in 0..2 {
            prop_assert_eq!(rows(&mut first, table), rows(&mut again, table));
        }
        // Both go on alike: numbers and stamps, too.
        let before = [send(&mut first, &plan, 99, 0, &[(1, 1, 1)]), send(&mut again, &plan, 99, 0, &[(1, 1, 1)])];
        prop_assert_eq!(&before[0].0, &before[1].0);
        let [one, other] = [&mut first, &mut again].map(|worker| worker.records().remove(0).1);
        prop_assert_eq!(one.made, other.made);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever does them again: the worker that did them, or one that has its records.
    #[test]
    fn a_repeat_gives_the_first_answer_and_changes_nothing(
        requests in prop::collection::vec(
            (0_u16..4, prop::collection::vec((0_i64..6, 0_i64..6, 0_i64..60), 1..20)),
            1..20,
        ),
        repeats in prop::collection::vec(0_usize..20, 1..10),
        keeps in any::<bool>(),
    ) {
        let plan = plan();
        let mut first = worker(keeps);
        first.install(FLOW, &plan);
        let mut answers = Vec::new();
        for (number, (input, rows)) in (1..).zip(&requests) {
            answers.push(send(&mut first, &plan, number, *input, rows).0);
        }
        let records: Vec<Records> = first.records().into_iter().map(|(_, records)| records).collect();
        let mut again = keeps.then(|| replayed(&plan, &records));
        let before = [rows(&mut first, 0), rows(&mut first, 1)];
        for at in repeats.into_iter().filter(|at| *at < requests.len()) {
            let (input, some) = &requests[at];
            for worker in [Some(&mut first), again.as_mut()].into_iter().flatten() {
                let (answer, rests_on) = send(worker, &plan, at as u64 + 1, *input, some);
                prop_assert_eq!(told(&answer), told(&answers[at]));
                prop_assert!(answer.replies.is_empty(), "only its asker is told again");
                prop_assert!(rests_on <= worker.recorded().count);
                prop_assert_eq!(worker.records().len(), 0);
                prop_assert_eq!(&[rows(worker, 0), rows(worker, 1)], &before);
            }
        }
    }
}

/// A reply: the row that it answers, its output, its row.
type Told = (u32, u16, Vec<u8>);

/// What an answer tells its asker, whenever it was made.
fn told(answer: &RowsAnswer) -> (u32, Vec<Refusal>, Vec<Told>) {
    let mut refusals = answer.refusals.clone();
    refusals.sort_by_key(|refusal| refusal.row);
    let replies = answer.replies.iter().chain(answer.repeated.iter());
    let mut replies: Vec<_> = replies.map(|(row, output, bytes)| (row, output.0, bytes.to_vec())).collect();
    replies.sort();
    (answer.accepted, refusals, replies)
}

#[test]
fn a_request_that_is_forgotten_is_not_done_again() {
    let plan = plan();
    let mut worker = worker(true);
    worker.install(FLOW, &plan);
    for number in 1..=ANSWERS_REMEMBERED_MAX as u64 + 1 {
        send(&mut worker, &plan, number, 0, &[(1, 1, 1)]);
    }
    worker.records();
    for input in [0, 1] {
        let (answer, _) = send(&mut worker, &plan, 1, input, &[(1, 2, 9)]);
        assert_eq!((answer.accepted, answer.refusals.len()), (0, 1));
        assert_eq!(answer.refusals[0].code, RefusalCode::Unknown);
    }
    assert_eq!((worker.records().len(), rows(&mut worker, 0).rows.len()), (0, 1));
}

/// The parts of an answer that are in records are those of the answer.
fn recorded_is_answered(answer: &RowsAnswer, records: &[Records], request: u64) {
    let (mut accepted, mut refused) = (0, 0);
    for (_, body) in records.iter().flat_map(Records::iter) {
        let record = Record::parse(body).expect("a record");
        let once = record.of.once.expect("it is recognised");
        assert_eq!((once.client, once.number, record.of.revision), (5, request, 1));
        let part = record.answer().expect("an answer");
        accepted += part.accepted;
        refused += part.refusals.len();
        assert!(part.refusals.iter().all(|refusal| answer.refusals.contains(refusal)));
        let replies: Vec<_> = answer.replies.iter().collect();
        assert!(part.replies.iter().all(|reply| replies.contains(&reply)));
    }
    assert_eq!(refused, answer.refusals.len(), "a refused row is kept, so that it is refused again");
    assert!(accepted <= answer.accepted, "what changed nothing needs no record");
}

#[test]
fn reading_makes_no_record_and_a_worker_that_records_nothing_has_none() {
    let plan = plan();
    let mut recording = worker(true);
    recording.install(FLOW, &plan);
    let (answer, rests_on) = send(&mut recording, &plan, 1, 4, &[(1, 1, 1)]);
    assert_eq!((answer.replies.len(), rests_on, recording.records().len()), (1, 0, 0));
    let mut silent = worker(false);
    silent.install(FLOW, &plan);
    let (_, rests_on) = send(&mut silent, &plan, 1, 0, &[(1, 1, 1)]);
    assert_eq!((rests_on, silent.records().len()), (0, 0));
}

#[test]
fn a_record_that_does_not_follow_is_refused() {
    let plan = plan();
    let mut first = worker(true);
    first.install(FLOW, &plan);
    send(&mut first, &plan, 1, 0, &[(1, 1, 1)]);
    let records = first.records().remove(0).1;
    let (made, body) = records.iter().next().expect("a record");
    let mut again = worker(true);
    assert_eq!(again.restore(FLOW, made.part, made.term, 1, body), Err(RestoreError::NoFlow(FLOW)));
    again.install(FLOW, &plan);
    let order = |seq| Err(RestoreError::Order { part: made.part, seq });
    assert_eq!(again.restore(FLOW, made.part, made.term, 2, body), order(2), "one is missing");
    assert_eq!(again.restore(FLOW, made.part, made.term, 1, body), Ok(()));
    assert_eq!(again.restore(FLOW, made.part, made.term, 1, body), order(1), "it is there");
    let other = FlowPartition { of: 9, number: 0 };
    assert!(matches!(again.restore(FLOW, other, Term::FIRST, 1, body), Err(RestoreError::NoTable { .. })));
}

/// A record of one change, or of none, with a reply.
fn record(once: Option<Once>, put: Option<&[u8]>, reply: Option<(u16, &[u8])>) -> Vec<u8> {
    let (mut writer, mut body) = (RecordWriter::default(), Vec::new());
    put.into_iter().for_each(|row| writer.put(TableId(2), row));
    reply.into_iter().for_each(|(output, row)| writer.reply(0, OutputId(output), row));
    writer.finish(Identity { once, revision: 1 }, &mut body);
    body
}

/// A packed row of a shape.
fn packed(shape: &Shape, values: &[Value<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&mut bytes, shape);
    values.iter().for_each(|value| writer.value(value).expect("it fits"));
    writer.finish().expect("it is whole");
    bytes
}

#[test]
fn a_record_that_no_worker_makes_is_refused_and_not_met_later() {
    let plan = plan();
    let part = FlowPartition { of: 8, number: 1 };
    let restore = |body: &[u8]| {
        let mut again = worker(true);
        again.install(FLOW, &plan);
        again.restore(FLOW, part, Term::FIRST, 1, body)
    };
    let once = Some(Once { client: 5, number: 1, answered: 0, repeated: false });
    let told = packed(&plan.outputs[0].shape, &[Value::Int(1), Value::Null]);
    assert_eq!(restore(&record(once, None, Some((0, &told)))), Ok(()));
    let mut again = worker(true);
    again.install(FLOW, &plan);
    let repeated = record(once, None, Some((0, &told)));
    assert_eq!(again.restore(FLOW, part, Term::FIRST, 1, &repeated), Ok(()));
    assert_eq!(
        again.restore(FLOW, part, Term::FIRST, 2, &repeated),
        Err(RestoreError::Twice { part, seq: 2 })
    );
    let unknown = restore(&record(once, None, Some((1, &told))));
    assert_eq!(unknown, Err(RestoreError::NoOutput(OutputId(1))));
    let item = packed(&plan.tables[0].shape, &[Value::Int(1), Value::Int(1), Value::Int(1)]);
    let unlike = restore(&record(once, None, Some((0, &item))));
    assert!(matches!(unlike, Err(RestoreError::Reply(_))), "{unlike:?}");
    let named = |bytes: usize| packed(&plan.tables[2].shape, &[Value::from("x".repeat(bytes))]);
    assert_eq!(restore(&record(None, Some(&named(4000)), None)), Ok(()));
    let long = restore(&record(None, Some(&named(5000)), None));
    assert!(matches!(long, Err(RestoreError::Key { table: TableId(2), .. })), "{long:?}");
}

#[test]
fn an_answer_of_a_snapshot_that_cannot_be_told_is_refused() {
    let plan = plan();
    let mut first = worker(true);
    first.install(FLOW, &plan);
    assert_eq!(send(&mut first, &plan, 1, 1, &[(1, 1, 1)]).0.replies.len(), 1);
    let piece = first.snapshot_piece(&mut first.snapshot(), 1 << 20).expect("a piece");
    let load = |plan: &Arc<Plan>| {
        let mut again = worker(true);
        again.install(FLOW, plan);
        let Ok(Piece::State(state)) = Piece::parse(&piece.body) else { panic!("it is state") };
        let partitions = state.items().map(|item| item.expect("an item"));
        let partitions = partitions.filter(|item| matches!(item, Item::Partition(_)));
        partitions.map(|item| again.load(FLOW, item)).collect::<Result<Vec<u64>, _>>()
    };
    assert!(load(&plan).is_ok());
    let other = |text: &str| {
        let compiled = anabranch_lang::compile("f.flow", text);
        Arc::new(compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics)))
    };
    let longer = TEXT.replace("Told: { id: int, n: int? }", "Told: { id: int, n: int?, of: text? }");
    let unlike = load(&other(&longer));
    assert!(matches!(unlike, Err(RestoreError::Reply(_))), "{unlike:?}");
    let silent = TEXT.lines().filter(|line| !line.contains("Told")).collect::<Vec<_>>().join("\n");
    assert_eq!(load(&other(&silent)), Err(RestoreError::NoOutput(OutputId(0))));
}
