//! What the checker makes of a flow: plans part by part, and which mistakes are told.

use anabranch_lang::{Compiled, compile, render};
use anabranch_model::plan::{Action, Find, Plan, Route, Source, Step};
use anabranch_model::{Expr, ExprKind, RowSlot, Type, Value};

fn plan(text: &str) -> Plan {
    let compiled = compile("flow", text);
    let said = render("flow", text, &compiled.diagnostics, false);
    compiled.plan.expect(&said)
}

fn codes(compiled: &Compiled) -> Vec<&'static str> {
    compiled.diagnostics.iter().map(|one| one.code).collect()
}

/// Items that the rules of these tests use.
const ITEMS: &str = "
    flow f revision 1
    enum Colour ('red', 'green')
    input In1: { id: text, shop: text, n: int, m: int?, d: decimal(6, 2), note: text?, colour: Colour, at: time }
    output Out: { x: int? }
    table T: { id: text, n: int default 0, d: decimal(6, 2)?, note: text?, colour: Colour? } { key id }
    table Two: { shop: text, id: text, n: int } { key shop, id  partition by shop }
";

/// The step of a rule with this body.
fn step(body: &str) -> Step {
    plan(&format!("{ITEMS} on In1 as i {{ {body} }}")).steps.remove(0)
}

/// The codes of a rule with this body.
fn wrong(body: &str) -> Vec<&'static str> {
    codes(&compile("flow", &format!("{ITEMS} on In1 as i {{ {body} }}")))
}

fn find(step: &Step) -> &Find {
    let finds = step.rules[0].actions.iter().find_map(|action| match action {
        Action::Read { find, .. } | Action::Delete { find, .. } => Some(find),
        _ => None,
    });
    finds.expect("a read or delete")
}

fn columns(step: &Step) -> &[Source] {
    let write = step.rules[0].actions.iter().find_map(|action| match action {
        Action::Write { columns, .. } => Some(columns),
        _ => None,
    });
    write.expect("a write")
}

/// The value that column `at` of the first write gets.
fn written(step: &Step, at: usize) -> &Expr {
    match &columns(step)[at] {
        Source::Value(value) | Source::Add(value) | Source::Subtract(value) => value,
        Source::Keep => unreachable!("column {at} keeps its value"),
    }
}

// Reads and deletes.

#[test]
fn whole_key_is_looked_up_and_the_rest_is_tested() {
    let step =
        step("read T where n > 1 and i.id = id and note is null as row or null  reply Out { x: row.n }");
    let find = find(&step);
    assert_eq!(find.key.as_ref().map(Vec::len), Some(1));
    assert_eq!(find.partition.len(), 1);
    let Some(Expr { kind: ExprKind::And(rest), .. }) = &find.filter else { panic!("{find:?}") };
    assert_eq!(rest.len(), 2, "the key is not tested again");
}

#[test]
fn second_equality_on_a_key_column_is_tested() {
    let step = step("read T where id = i.id and id = i.shop as row or null  reply Out { x: row.n }");
    assert!(matches!(&find(&step).filter, Some(Expr { kind: ExprKind::Compare(..), .. })));
}

#[test]
fn equality_between_columns_of_the_table_fixes_nothing() {
    assert_eq!(wrong("delete T where id = note"), ["F070"]);
    assert_eq!(wrong("delete T where id = i.id || note"), ["F070"]);
}

#[test]
fn delete_within_a_partition_tests_the_rest_of_the_key() {
    let step = step("delete Two where shop = i.shop and id = i.id and n = 1 ");
    assert!(find(&step).key.is_some());
    let step = self::step("delete Two where shop = i.shop and n = 1");
    let find = find(&step);
    assert_eq!((find.key.as_ref(), find.partition.len()), (None, 1));
    assert!(find.filter.is_some());
}

#[test]
fn key_values_stand_in_the_order_of_the_key() {
    let step = step("delete Two where id = i.id and shop = i.shop");
    let key = find(&step).key.as_ref().expect("the whole key");
    let ids: Vec<_> = key.iter().map(|value| &value.kind).collect();
    assert!(
        matches!(ids[..], [ExprKind::Column(RowSlot(0), a), ExprKind::Column(RowSlot(0), b)] if a.0 == 1 && b.0 == 0)
    );
}

#[test]
fn null_as_a_key_value_is_allowed_where_the_route_is_known() {
    let step = step("read Two where shop = i.shop and id = i.note as row or null  reply Out { x: row.n }");
    assert!(find(&step).key.as_ref().is_some_and(|key| key[1].nullable));
    assert_eq!(wrong("read T where id = i.note as row or null  reply Out { x: row.n }"), ["F077"]);
}

// Routes.

#[test]
fn let_is_put_into_the_route() {
    let step = step("let who = lower(i.id)  let again = trim(who)  upsert T { id: again }");
    let Route::Hash { by, partitions: 64 } = &step.route else { panic!("{:?}", step.route) };
    assert!(matches!(&by[0].kind, ExprKind::Call(_, inner) if matches!(inner[0].kind, ExprKind::Call(..))));
    assert!(
        matches!(written(&step, 0).kind, ExprKind::Let(_)),
        "the write uses the value that is there already"
    );
}

#[test]
fn written_route_agrees_with_lets_put_in_and_other_aliases() {
    let text = format!(
        "{ITEMS}
         on In1 as i route by lower(i.id) {{ let who = lower(i.id)  upsert T {{ id: who }} }}
         on In1 as other {{ delete T where lower(other.id) = id }}"
    );
    assert_eq!(plan(&text).steps[0].rules.len(), 2);
}

#[test]
fn decimal_partition_values_have_the_type_of_the_column() {
    let text = "flow f revision 1 input I: { a: decimal(6, 3) } table T: { a: decimal(6, 2) } { key a }
                on I as i { upsert T i }";
    let plan = plan(text);
    let Route::Hash { by, .. } = &plan.steps[0].route else { panic!() };
    assert_eq!(by[0].ty, Type::Decimal { precision: 6, scale: 2 });
    assert!(matches!(by[0].kind, ExprKind::Cast(_)));
}

#[test]
fn nullable_column_that_case_settles_may_name_a_partition() {
    let step = step("upsert T { id: case when i.note is not null then i.note else '' end }");
    assert!(matches!(step.route, Route::Hash { .. }));
    assert_eq!(wrong("if i.note is not null { upsert T { id: i.note } }"), ["F077"]);
}

#[test]
fn step_without_table_and_route_stays_where_it_enters() {
    assert_eq!(step("reply Out { x: i.n }").route, Route::Entry);
}

#[test]
fn route_without_a_table_has_the_default_partitions() {
    let plan = plan(&format!("{ITEMS} on In1 as i route by i.id {{ reply Out {{ x: i.n }} }}"));
    assert!(matches!(plan.steps[0].route, Route::Hash { partitions: 64, .. }));
}

#[test]
fn route_does_not_see_what_the_rule_computes() {
    let text = format!("{ITEMS} on In1 as i route by who {{ let who = i.id  upsert T {{ id: who }} }}");
    assert_eq!(codes(&compile("flow", &text)), ["F044"]);
}

// Nulls.

#[test]
fn require_makes_a_column_a_let_and_a_row_not_null() {
    step("require i.m is not null else invalid 'm'  upsert T { id: i.id, n: i.m }");
    step("let m = i.m  require m is not null and m > 1 else invalid 'm'  upsert T { id: i.id, n: m }");
    step(
        "read T where id = i.id as r or null  require r is not null else not_found 'r'  upsert T { ..r, n: r.n + 1 }",
    );
    assert_eq!(wrong("read T where id = i.id as r or null  upsert T { id: i.id, n: r.n }"), ["F050"]);
}

#[test]
fn row_that_is_there_follows_its_declared_columns() {
    assert_eq!(
        wrong(
            "read T where id = i.id as r or null  if r is not null { upsert Two { shop: i.id, id: r.note, n: 1 } }"
        ),
        ["F050"]
    );
}

#[test]
fn column_that_is_not_null_says_that_its_row_is_there() {
    step("read T where id = i.id as r or null  if r.note is not null { upsert T { id: i.id, n: r.n } }");
}

#[test]
fn what_is_known_ends_with_its_block() {
    assert_eq!(wrong("if i.m is not null { reply Out { x: 1 } }  upsert T { id: i.id, n: i.m }"), ["F050"]);
    assert_eq!(wrong("if i.m is null { upsert T { id: i.id, n: i.m } }"), ["F050"]);
    step("if i.m is null { reply Out { x: 0 } } else { upsert T { id: i.id, n: i.m } }");
    step("if i.m is null or i.n = 1 { reply Out { x: 0 } } else { upsert T { id: i.id, n: i.m } }");
    assert_eq!(
        wrong("if i.m is null and i.n = 1 { reply Out { x: 0 } } else { upsert T { id: i.id, n: i.m } }"),
        ["F050"]
    );
}

#[test]
fn conditions_know_what_stands_before_them() {
    step(
        "let x = case when i.m is null then 0 when i.m > 1 then i.m else -i.m end  upsert T { id: i.id, n: x }",
    );
    assert_eq!(
        wrong("let x = case when i.m is null then i.m else 0 end  upsert T { id: i.id, n: x }"),
        ["F050"]
    );
    assert_eq!(wrong("let x = case when i.n = 1 then 0 end  upsert T { id: i.id, n: x }"), ["F050"]);
}

#[test]
fn coalesce_with_an_argument_that_is_not_null_is_not_null() {
    step("upsert T { id: i.id, n: coalesce(i.m, i.m, 0) }");
    assert_eq!(wrong("upsert T { id: i.id, n: coalesce(i.m, i.m) }"), ["F050"]);
}

#[test]
fn filter_of_a_rule_makes_known_too() {
    let text = format!(
        "{ITEMS} on In1 as i where i.m is not null and i.n > 0 {{ upsert T {{ id: i.id, n: i.m }} }}"
    );
    plan(&text);
}

// Literals and types.

#[test]
fn literals_take_the_type_of_their_place() {
    let decimal = |mantissa| Value::Decimal(anabranch_model::Decimal::from_parts(mantissa, 2));
    let literal = |body: &str, at: usize| match written(&step(body), at).kind.clone() {
        ExprKind::Literal(value) => value,
        other => panic!("{other:?}"),
    };
    assert_eq!(literal("upsert T { id: i.id, d: 3 }", 2), decimal(300));
    assert_eq!(literal("upsert T { id: i.id, d: -1.5 }", 2), decimal(-150));
    assert_eq!(literal("upsert T { id: i.id, colour: 'green' }", 4), Value::Enum(1));
    assert_eq!(literal("upsert T { id: i.id, note: null }", 3), Value::Null);
}

#[test]
fn literal_follows_the_other_operand_from_both_sides() {
    for body in [
        "i.d * 2 > 1",
        "2 < i.d",
        "i.colour = 'red'",
        "'red' = i.colour",
        "i.d in (1, 2.5)",
        "1 < i.d - (2 + 3)",
    ] {
        step(&format!("if {body} {{ reply Out {{ x: 1 }} }}"));
    }
    assert_eq!(wrong("if i.n > 1.5 { reply Out { x: 1 } }"), ["F048"]);
    assert_eq!(wrong("if i.n + i.d > 1 { reply Out { x: 1 } }"), ["F048"]);
}

#[test]
fn decimals_widen_as_they_are_combined() {
    let ty = |expr: &str| {
        let step = step(&format!("let x = {expr}  upsert T {{ id: i.id, note: to_text(x) }}"));
        step.rules[0].actions.iter().find_map(|action| match action {
            Action::Let { value, .. } => Some(value.ty.to_string()),
            _ => None,
        })
    };
    assert_eq!(ty("i.d + i.d").as_deref(), Some("decimal(7, 2)"));
    assert_eq!(ty("i.d + 1.255").as_deref(), Some("decimal(8, 3)"));
    assert_eq!(ty("i.d + 2").as_deref(), Some("decimal(7, 2)"));
    assert!(ty("i.d * i.d").is_some_and(|ty| ty.starts_with("decimal")));
}

#[test]
fn changes_take_numbers_that_are_not_null() {
    let step = step("upsert T { id: i.id, n += i.n, d -= 1 }");
    assert!(matches!(
        columns(&step),
        [Source::Value(_), Source::Add(_), Source::Subtract(_), Source::Keep, Source::Keep]
    ));
    assert_eq!(wrong("upsert T { id: i.id, n += i.m }"), ["F050"]);
    assert_eq!(wrong("upsert T { id: i.id, n += i.d }"), ["F049"]);
}

// Rows.

#[test]
fn insert_names_what_has_no_default_and_update_only_the_key() {
    step("update Two { shop: i.shop, id: i.id }");
    assert_eq!(wrong("insert Two { shop: i.shop, id: i.id }"), ["F061"]);
    step("upsert Two { shop: i.shop, id: i.id, n += 1 }");
}

#[test]
fn part_beside_a_spread_wins_wherever_it_stands() {
    let text = "flow f revision 1 input I: { a: text, b: int } table T: { a: text, b: int } { key a }
                on I as i { upsert T { b: 7, ..i }  upsert T { ..i, b: 7 } }";
    let plan = plan(text);
    for action in &plan.steps[0].rules[0].actions {
        let Action::Write { columns, .. } = action else { panic!() };
        assert!(matches!(&columns[1], Source::Value(Expr { kind: ExprKind::Literal(Value::Int(7)), .. })));
    }
}

#[test]
fn reply_fills_what_is_left_out_with_the_default_or_null() {
    let text = "flow f revision 1 input I: { a: int } output O: { a: int, b: int default 5, c: text? }
                on I as i { reply O i }";
    let plan = plan(text);
    let Action::Reply { columns, .. } = &plan.steps[0].rules[0].actions[0] else { panic!() };
    assert!(matches!(columns[1].kind, ExprKind::Literal(Value::Int(5))));
    assert!(matches!(columns[2].kind, ExprKind::Literal(Value::Null)));
}

// Undo.

#[test]
fn one_write_at_the_end_needs_no_undo() {
    assert!(!step("require i.n > 0 else invalid 'n'  upsert T { id: i.id, n: i.n + 1 }").undo);
    assert!(!step("insert T { id: i.id }").undo);
    assert!(!step("if i.n > 0 { insert T { id: i.id } } else { update T { id: i.id, n: i.n / 2 } }").undo);
    assert!(!step("delete T where id = i.id  delete Two where shop = i.id and id = i.id").undo);
}

#[test]
fn whatever_can_refuse_after_a_write_needs_undo() {
    assert!(step("upsert T { id: i.id }  require i.n > 0 else invalid 'n'").undo);
    assert!(step("upsert T { id: i.id }  insert T { id: i.id }").undo);
    assert!(step("delete T where id = i.id  let x = 1 / i.n  reply Out { x: x }").undo);
    assert!(step("if i.n > 0 { delete T where id = i.id }  if i.n / 2 > 1 { reply Out { x: 1 } }").undo);
    assert!(step("delete Two where shop = i.shop and 10 / n > 1").undo);
    assert!(!step("delete T where id = i.id  reply Out { x: i.n }").undo);
}

#[test]
fn a_row_that_is_made_can_be_refused_and_an_update_of_fixed_columns_cannot() {
    let fixed = |body: &str| {
        let text = "flow f revision 1 input I: { k: int } table T: { k: int, n: int } { key k } on I as i";
        plan(&format!("{text} {{ {body} }}")).steps.remove(0)
    };
    // A partition can be full, a key too long.
    assert!(fixed("upsert T { k: i.k, n: 1 }  upsert T { k: i.k, n: 2 }").undo);
    assert!(fixed("delete T where k = i.k  insert or ignore T { k: i.k, n: 1 }").undo);
    assert!(!fixed("upsert T { k: i.k, n: 1 }  update T { k: i.k, n: 2 }").undo);
}

#[test]
fn second_rule_stands_after_the_writes_of_the_first() {
    let rules = "on In1 as i { upsert T { id: i.id } } on In1 as j where 10 / j.n > 1 { reply Out { x: 1 } }";
    assert!(plan(&format!("{ITEMS} {rules}")).steps[0].undo);
}

// Mistakes.

#[test]
fn all_mistakes_of_a_file_are_told_in_the_order_of_the_text() {
    let text = "
        flow f revision 1
        schema S { a: txt }
        input I: { a: text }
        table T: { a: text } { key b }
        table U: { a: text, n: int } { key a }
        on I as i { upsert U { a: i.b, n: 1 } }
        on I as i { upsert U { a: i.a, n: 'x' } }
        on J as j { reply O { a: 1 } }
    ";
    assert_eq!(codes(&compile("flow", text)), ["F035", "F042", "F042", "F049", "F030", "F030"]);
}

#[test]
fn users_of_something_broken_keep_silent() {
    let text = "
        flow f revision 1
        schema S { a: txt, b: int }
        input I: S
        table T: S { key a }
        output O: S
        on I as i where i.q = 1 {
          read T where q = i.q as row or null
          let x = row.q + i.q
          upsert T { q: x }
          reply O { ..row, z: x }
        }
    ";
    assert_eq!(codes(&compile("flow", text)), ["F035"]);
}

#[test]
fn names_in_what_the_parser_could_not_read_count_as_declared() {
    let text = "
        flow f revision 1
        input I: { a: text }
        table T: { a: text  key a }
        on I as i { upsert T i  delete Gone where a = i.a }
    ";
    let found = codes(&compile("flow", text));
    assert!(found.contains(&"F030"), "{found:?}");
    assert!(found.iter().all(|code| *code <= "F030"), "{found:?}");
    assert_eq!(found.iter().filter(|code| **code == "F030").count(), 1, "only `Gone`: {found:?}");
}

#[test]
fn warnings_are_kept_back_until_the_file_is_right() {
    let text = "flow f revision 1 input I, Unused: { a: text } on I as i { let x = 1  let y = nothing }";
    assert_eq!(codes(&compile("flow", text)), ["F044"]);
}

#[test]
fn compiling_twice_gives_the_same() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/good")).expect("flows") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|it| it == "flow") {
            #[expect(clippy::disallowed_methods, reason = "a test reads its flows")]
            let text = std::fs::read_to_string(&path).expect("text");
            assert_eq!(compile("flow", &text), compile("flow", &text), "{}", path.display());
        }
    }
}

#[test]
fn plans_survive_json() {
    let plan = plan(&format!("{ITEMS} on In1 as i {{ upsert T {{ id: i.id, d: 1.5, colour: 'red' }} }}"));
    let text = serde_json::to_string(&plan).expect("a plan is data");
    let again: Plan = serde_json::from_str(&text).expect("its own text");
    assert_eq!(again, plan);
}

#[test]
fn place_counts_lines_and_characters() {
    let plan = plan(
        "flow f revision 1\ninput I: { a: text }\noutput O: { b: text }\non I as ä { reply O { b: 'ö' || ä.a } }",
    );
    let Action::Reply { columns, place, .. } = &plan.steps[0].rules[0].actions[0] else { panic!() };
    assert_eq!((place.line, place.column), (4, 13));
    assert_eq!((columns[0].place.line, columns[0].place.column), (4, 26));
}

#[test]
fn key_of_a_row_that_was_read_is_the_value_that_found_it() {
    let step = step(
        "read T where id = lower(i.id) as r or null  require r is not null else not_found 'r'
                     upsert T { ..r, n: r.n + 1 }  delete Two where shop = r.id and n = 0",
    );
    let Route::Hash { by, .. } = &step.route else { panic!("{:?}", step.route) };
    assert!(matches!(by[0].kind, ExprKind::Call(..)));
    assert_eq!(
        wrong(
            "read T where id = i.id as r or null  require r.note is not null else not_found 'r'  upsert T { id: r.note }"
        ),
        ["F074"]
    );
}

#[test]
fn computed_decimal_names_a_partition_at_the_scale_of_its_column() {
    let text = "flow f revision 1 input I: { a: decimal(6, 2), b: decimal(6, 1) } table T: { a: decimal(6, 2) } { key a }
                on I as i { let a = case when i.a > i.b then i.a else i.b end  upsert T { a: a } }
                on I as j route by case when j.a > j.b then j.a else j.b end { delete T where a = case when j.a > j.b then j.a else j.b end }";
    let text = text.replace("let a", "let larger").replace("a: a }", "a: larger }");
    let plan = plan(&text);
    let Route::Hash { by, .. } = &plan.steps[0].route else { panic!() };
    assert!(matches!(by[0].kind, ExprKind::Cast(_)), "{by:?}");
}
