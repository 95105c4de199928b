//! Plans as people see them: `good/NAME.plan.txt`. `UPDATE=1` in the environment rewrites them.

mod support;

use anabranch_lang::{compile, describe};

#[test]
fn plans_of_good_flows_read_like_the_flows() {
    support::golden("good", "plan.txt", |text| {
        describe(&compile("flow", text).plan.expect("good flows compile"))
    });
}

#[test]
fn parentheses_stand_where_the_expression_needs_them() {
    let conditions = [
        "(row.a = 1 or row.b = 2) and not (row.a = 3 or row.b = 4)",
        "row.a - (row.b - 1) = (row.a + row.b) * 2",
        "-(row.a + row.b) < -row.a * -3",
        "not (row.a is null) = (row.b is not null)",
        "case when row.a in (1, 2) then 'x' else null end like '%''%'",
        "row.a not between 1 and row.b + 1 or row.t not like 'a%'",
    ];
    for condition in conditions {
        let text = format!(
            "flow f revision 1 input I: {{ a: int?, b: int?, t: text }} output O: {{ b: int? }}
             on I as row where {condition} {{ emit O {{ b: row.b }} }}"
        );
        let first = compile("flow", &text).plan.map(|plan| describe(&plan)).expect(condition);
        let line = first.lines().find_map(|line| line.trim().strip_prefix("rule where ")).expect("the rule");
        // What is printed means the same: it compiles to a plan that prints the same.
        let again = text.replace(condition, line);
        let second = compile("flow", &again).plan.map(|plan| describe(&plan)).expect(line);
        assert_eq!(first, second);
    }
}

#[test]
fn printed_conditions_keep_their_places_aside_the_same_plan() {
    let text = "flow f revision 1 input I: { a: int, b: int } output O: { b: int }
                on I as row where (row.a - 1) - (row.b - 2) > 0 and (row.a > 1 or row.b > 1) { emit O { b: row.b } }";
    let plan = compile("flow", text).plan.expect("compiles");
    assert!(describe(&plan).contains("row.a - 1 - (row.b - 2) > 0 and (row.a > 1 or row.b > 1)"));
}
