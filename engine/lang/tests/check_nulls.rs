//! What the checker takes for not null is never null: random conditions, evaluated over every combination of nulls.

use anabranch_lang::compile;
use anabranch_model::frame::Chance;
use anabranch_model::plan::Action;
use anabranch_model::{Expr, Frame, RowWriter, StepContext, Value, eval};
use proptest::prelude::*;

/// Conditions over the nullable columns `a` and `b` and the plain column `n`.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "i.a is null",
        "i.a is not null",
        "i.b is null",
        "i.b is not null",
        "i.a > 0",
        "i.b = i.a",
        "i.n > 0",
        "i.a in (0, i.b)",
        "coalesce(i.a, i.b) > 0",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("not ({a})")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            (inner.clone(), inner).prop_map(|(a, b)| format!("(case when {a} then {b} else false end)")),
        ]
    })
}

/// Evaluates over one input row.
fn run(expr: &Expr, flow: &anabranch_model::plan::Plan, row: [Value<'static>; 3]) -> Value<'static> {
    let shape = &flow.inputs[0].shape;
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&mut bytes, shape);
    for value in &row {
        writer.value(value).expect("a value of the column's type");
    }
    writer.finish().expect("a small row");
    let context =
        StepContext { node: "A".into(), source: "B".into(), now: 17, revision: 3, chance: Chance::new(42) };
    let shapes = [shape.clone()];
    let frame =
        Frame { input: &bytes, rows: &[], candidate: None, shapes: &shapes, lets: &[], context: &context };
    eval::evaluate(expr, &frame).map(Value::into_owned).expect("nothing here can fail")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_counts_as_not_null_is_not_null(condition in condition()) {
        for (body, truth) in [
            (format!("if {condition} {{ reply Out {{ x: i.a }} }}"), true),
            (format!("if {condition} {{ emit Any {{ y: 1 }} }} else {{ reply Out {{ x: i.a }} }}"), false),
        ] {
            let text = format!(
                "flow f revision 1 input In1: {{ a: int?, b: int?, n: int }}
                 output Out: {{ x: int }} output Any: {{ y: int }} on In1 as i {{ {body} }}"
            );
            let Some(plan) = compile("flow", &text).plan else { continue };
            let Action::If { arms, .. } = &plan.steps[0].rules[0].actions[0] else { unreachable!("an if") };
            for (a, b, n) in (0..3).flat_map(|a| (0..3).flat_map(move |b| (0..2).map(move |n| (a, b, n)))) {
                let value = |at: i64| if at == 0 { Value::Null } else { Value::Int(at - 1) };
                let found = run(&arms[0].0, &plan, [value(a), value(b), Value::Int(n)]);
                let taken = (found == Value::Bool(true)) == truth;
                prop_assert!(!(taken && a == 0), "{} with a null: {:?}", condition, found);
            }
        }
    }

    #[test]
    fn expression_that_is_not_nullable_is_not_null(condition in condition()) {
        let text = format!(
            "flow f revision 1 input In1: {{ a: int?, b: int?, n: int }} output Any: {{ y: text? }}
             on In1 as i {{
               let x = case when {condition} then i.a else i.b end
               let y = {condition}
               emit Any {{ y: to_text(x) || to_text(y) }}
             }}"
        );
        let Some(plan) = compile("flow", &text).plan else { return Ok(()) };
        for action in &plan.steps[0].rules[0].actions {
            let Action::Let { value, .. } = action else { continue };
            for (a, b, n) in (0..3).flat_map(|a| (0..3).flat_map(move |b| (0..2).map(move |n| (a, b, n)))) {
                let number = |at: i64| if at == 0 { Value::Null } else { Value::Int(at - 1) };
                let found = run(value, &plan, [number(a), number(b), Value::Int(n)]);
                prop_assert!(value.nullable || !found.is_null(), "{} at {a} {b} {n}", condition);
            }
        }
    }
}
