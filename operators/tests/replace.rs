//! A worker's dataflows end when their revision does.

use std::sync::Arc;

use anabranch_model::message::{Answer, Body, Delivery, FlowId, Origin, Problem, Request};
use anabranch_model::plan::Plan;
use anabranch_model::row::RowError;
use anabranch_model::{Batch, SchemaId, Value};
use anabranch_operators::{Worker, WorkerConfig};

const FLOW: FlowId = FlowId(3);

fn plan(revision: u32, columns: &str) -> Arc<Plan> {
    let text = format!(
        "flow f revision {revision}
         input  Seen: {{ id: int }}
         table  Ids: {{ id: int, times: int{columns} }} {{ key id }}
         on Seen as s {{ upsert Ids {{ id: s.id, times += 1 }} }}"
    );
    Arc::new(anabranch_lang::compile("f.flow", &text).plan.expect("it compiles"))
}

fn request(number: u64, revision: i64, plan: &Plan) -> Request {
    let mut batch = Batch::new(SchemaId(0));
    for id in 0..10 {
        let write = batch.push_with::<RowError>(&plan.inputs[0].shape, |row| row.value(&Value::Int(id)));
        write.expect("it fits");
    }
    let input = plan.input("Seen").expect("declared");
    let origin = Origin {
        worker: anabranch_model::message::WorkerId(0),
        client: 1,
        request: number,
        revision,
        once: None,
    };
    Request { origin, body: Body::Rows { input, batch }, partial: None }
}

fn alone() -> Worker {
    Worker::alone(&WorkerConfig { node: "A".into(), seed: 1, clock: None, profile: false, records: false })
}

#[test]
fn a_thousand_replacements_keep_the_rows_and_one_dataflow() {
    let mut worker = alone();
    let plans = [plan(1, ""), plan(2, ", more: text?"), plan(3, "")];
    worker.install(FLOW, &plans[0]);
    worker.submit(FLOW, request(1, 1, &plans[0]));
    worker.turn(0);
    assert_eq!(worker.deliveries().len(), 1);
    for round in 0..1000 {
        let mut next = Plan::clone(&plans[1 + round % 2]);
        next.revision = 2 + round as i64;
        worker.pause(FLOW);
        assert!(worker.is_idle(FLOW));
        worker.replace(FLOW, &Arc::new(next), 0);
        while worker.is_changing(FLOW) {
            worker.turn(0);
        }
    }
    worker.turn(0);
    worker.turn(0);
    let status = worker.status(FLOW).expect("installed");
    assert_eq!((worker.dataflows(), status.tables[0].rows, status.counts.inputs[0].rows_in), (1, 10, 10));
    worker.pause(FLOW);
    worker.drop_flow(FLOW);
    worker.turn(0);
    worker.turn(0);
    assert_eq!((worker.dataflows(), worker.status(FLOW)), (0, None));
}

#[test]
fn what_is_held_back_is_done_by_the_new_revision_and_its_answer_says_so() {
    let mut worker = alone();
    let (old, new) = (plan(1, ""), plan(2, ", more: text?"));
    worker.install(FLOW, &old);
    worker.submit(FLOW, request(1, 1, &old));
    worker.pause(FLOW);
    worker.submit(FLOW, request(2, 1, &old));
    assert!(!worker.is_idle(FLOW), "a request came before the pause");
    worker.turn(0);
    let [Delivery::Part { part, revised: None, .. }] = &worker.deliveries()[..] else { panic!("one answer") };
    assert_eq!(part.origin.request, 1);
    assert!(worker.is_idle(FLOW));
    worker.replace(FLOW, &new, 0);
    worker.turn(0);
    worker.turn(0);
    let [Delivery::Part { part, revised: Some(plan), .. }] = &worker.deliveries()[..] else {
        panic!("one answer")
    };
    let Answer::Rows(answer) = &part.answer else { panic!("about rows") };
    assert_eq!((answer.accepted, plan.revision), (10, 2));
}

#[test]
fn a_request_that_would_only_have_read_is_not_done_by_rules_that_write() {
    let mut worker = alone();
    let text = "flow f revision 1
        input  Seen: { id: int }
        output Told: { id: int }
        table  Ids: { id: int, times: int } { key id }
        on Seen as s { reply Told { id: s.id } }";
    let reads = Arc::new(anabranch_lang::compile("f.flow", text).plan.expect("it compiles"));
    worker.install(FLOW, &reads);
    worker.pause(FLOW);
    worker.submit(FLOW, request(1, 1, &reads));
    worker.replace(FLOW, &plan(2, ""), 0);
    worker.turn(0);
    worker.turn(0);
    let [Delivery::Part { part, .. }] = &worker.deliveries()[..] else { panic!("one answer") };
    assert!(matches!(part.answer, Answer::Problem(Problem::Changed)), "{:?}", part.answer);
    assert_eq!(worker.status(FLOW).expect("it runs").tables[0].rows, 0);
}

#[test]
fn a_request_to_a_dropped_flow_or_an_unknown_revision_is_answered_with_that() {
    let mut worker = alone();
    let plan = plan(2, "");
    worker.install(FLOW, &plan);
    worker.submit(FLOW, request(1, 1, &plan));
    worker.pause(FLOW);
    worker.submit(FLOW, request(2, 2, &plan));
    worker.drop_flow(FLOW);
    worker.submit(FLOW, request(3, 2, &plan));
    worker.turn(0);
    let problems: Vec<_> = worker
        .deliveries()
        .into_iter()
        .map(|delivery| match delivery {
            Delivery::Part { part, .. } => (part.origin.request, part.answer),
            other => panic!("{other:?}"),
        })
        .map(|(request, answer)| match answer {
            Answer::Problem(problem) => (request, problem),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(problems, [(1, Problem::Changed), (2, Problem::Gone), (3, Problem::Gone)]);
}
