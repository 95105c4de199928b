//! Questions: what is right compiles to what it means, what is wrong says why, and no text breaks the compiler.
//!
//! `tests/questions/wrong.questions` has wrong questions, each under a line `-- what it is about`; what is said to them
//! stands in `wrong.expected`, which `UPDATE=1` rewrites.

mod support;

use std::path::{Path, PathBuf};

use anabranch_lang::{CompiledQuestion, Severity, codes, compile, compile_question, explain, render};
use anabranch_model::plan::Plan;
use anabranch_model::question::{AggregateKind, Question};
use anabranch_model::{ExprKind, Type};
use support::compare;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/questions")
}

#[allow(clippy::disallowed_methods, reason = "tests may read files")]
fn read(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).expect("readable")
}

fn plan(text: &str) -> Plan {
    let compiled = compile("f.flow", text);
    let said = render("f.flow", text, &compiled.diagnostics, false);
    compiled.plan.expect(&said)
}

/// The flows that are asked, `shop` and `store`.
fn flows() -> [Plan; 2] {
    [plan(&read("shop.flow")), plan(&read("store.flow"))]
}

fn ask(text: &str) -> CompiledQuestion {
    let [shop, store] = flows();
    compile_question(text, &[&shop, &store])
}

fn right(text: &str) -> Question {
    let compiled = ask(text);
    let said = render("question", text, &compiled.diagnostics, false);
    compiled.question.expect(&said).1
}

/// The names of the results' columns with their types; `?` where they may be null.
fn columns(question: &Question) -> String {
    let column = |of: &anabranch_model::Column| {
        format!("{}: {}{}", of.name, of.ty, if of.nullable { "?" } else { "" })
    };
    question.shape.columns().iter().map(column).collect::<Vec<_>>().join(", ")
}

#[test]
fn results_have_the_names_and_types_of_what_is_selected() {
    for (text, wanted) in [
        ("select id, place from Sales", "id: int, place: text"),
        ("SELECT Sales.id AS n FROM shop.Sales;", "n: int"),
        ("select s.number, s.\"place\" from Sales as s", "number: int?, place: text"),
        ("select price * 2 as twice, lower(place) from Sales", "twice: decimal(38, 4), lower(place): text"),
        ("select \"order\", \"unit price\" from shop.Items", "order: text, unit price: decimal(10, 2)"),
        ("select * from store.Items", "id: int"),
        ("select number from Sales where number is not null", "number: int"),
        ("select count(*), count(note) as notes from Sales", "count(*): int, notes: int"),
        ("select sum(number) as s, sum(price) as p from Sales", "s: int?, p: decimal(38, 2)?"),
        ("select avg(number) as a, avg(weight) as w from Sales", "a: decimal(38, 18)?, w: float?"),
        ("select min(at) as a, max(size) as s from Sales", "a: time?, s: Size?"),
        ("select sum(took) as s, avg(took) as a from Sales", "s: duration?, a: duration?"),
        ("select coalesce(sum(number), 0) as s from Sales", "s: int"),
        ("select now() as t, revision() as r from Sales limit 0", "t: time, r: int"),
        ("select cast('small' as Size) as s from Sales", "s: Size"),
    ] {
        assert_eq!(columns(&right(text)), wanted, "{text}");
    }
}

#[test]
fn words_of_a_question_are_free_as_names() {
    let odd = plan(
        "flow odd revision 1
         table select: { limit: int, count: int, group: int, distinct: int, offset: int, asc: int } { key limit }",
    );
    let text =
        "select limit, count, max(group) as having from select group by limit, count order by count limit 3";
    let compiled = compile_question(text, &[&odd]);
    assert!(compiled.question.is_some(), "{}", render("question", text, &compiled.diagnostics, false));
    let text = "select distinct, offset, asc from select where asc > limit order by asc asc offset 2";
    let compiled = compile_question(text, &[&odd]);
    assert!(compiled.question.is_some(), "{}", render("question", text, &compiled.diagnostics, false));
}

#[test]
fn a_where_that_fixes_the_whole_key_is_a_point_read() {
    for (text, point) in [
        ("select id from Sales where place = 'a' and id = 1", true),
        ("select id from Sales where number > 2 and (1 + 1 = id and 'a' = place)", true),
        ("select id from Sales where place = 'a'", false),
        ("select id from Sales where place = 'a' or id = 1", false),
        ("select id from Sales where place = note and id = 1", false),
        ("select count(*) from Sales where place = 'a' and id = 1", true),
    ] {
        let question = right(text);
        assert_eq!(question.key.is_some(), point, "{text}");
        assert!(question.filter.is_some(), "{text}: the whole condition is still asked");
    }
}

#[test]
fn the_order_of_the_key_needs_no_sorting() {
    for (order, sorted) in [
        ("place", false),
        ("place asc nulls last, id", false),
        ("1, 2, number desc", false),
        ("Sales.place", false),
        ("id", true),
        ("place desc", true),
        ("place, number", true),
        ("lower(place)", true),
    ] {
        let question = right(&format!("select place, id from Sales order by {order}"));
        assert_eq!(!question.order.is_empty(), sorted, "{order}");
    }
    // A name of the list goes before a column: this is no order by the key.
    assert!(!right("select note as place from Sales order by place").order.is_empty());
}

#[test]
fn nulls_are_the_smallest_where_nothing_is_said() {
    let nulls = |order: &str| {
        let question = right(&format!("select note from Sales order by {order}"));
        (question.order[0].descending, question.order[0].nulls_first)
    };
    assert_eq!(nulls("note"), (false, true));
    assert_eq!(nulls("note desc"), (true, false));
    assert_eq!(nulls("note nulls last"), (false, false));
    assert_eq!(nulls("note desc nulls first"), (true, true));
}

#[test]
fn groups_are_found_by_expression_name_and_place() {
    for text in [
        "select lower(place) as p, count(*) from Sales group by lower(place)",
        "select lower(place) as p, count(*) from Sales group by p",
        "select lower(place) as p, count(*) from Sales group by 1 order by 1",
        "select lower(place) || '!' as p from Sales group by lower(place) order by count(*) desc, lower(place)",
        "select distinct lower(place) as p from Sales order by p, lower(place) || 'x'",
    ] {
        let question = right(text);
        let grouping = question.grouping.expect(text);
        assert_eq!(grouping.keys.len(), 1, "{text}");
        let mut rest: Vec<_> = question.columns.iter().collect();
        while let Some(one) = rest.pop() {
            match &one.kind {
                ExprKind::Column(..) => unreachable!("{text}: a column is left"),
                ExprKind::Binary(_, a, b) => rest.extend([&**a, &**b]),
                _ => {}
            }
        }
    }
}

#[test]
fn equal_aggregates_are_computed_once() {
    let question = right(
        "select sum(number) as a, sum( number ) + 1 as b, sum(distinct number) as c from Sales
         having sum(number) > 2 order by count(*), sum(number)",
    );
    let kinds: Vec<_> = question.grouping.expect("aggregates").aggregates.iter().map(|of| of.kind).collect();
    assert_eq!(kinds, [AggregateKind::Sum, AggregateKind::Sum, AggregateKind::Count]);
}

#[test]
fn literals_take_the_types_of_what_they_stand_beside() {
    let question = right("select id from Sales where price > 5 and size >= 'medium' and took < 5m");
    let Some(ExprKind::And(parts)) = question.filter.map(|filter| filter.kind) else {
        unreachable!("three parts")
    };
    let types: Vec<_> = parts
        .iter()
        .filter_map(|part| match &part.kind {
            ExprKind::Compare(_, _, right) => Some(right.ty.clone()),
            _ => None,
        })
        .collect();
    assert!(matches!(types[..], [Type::Decimal { .. }, Type::Enum(_), Type::Duration]), "{types:?}");
}

/// The wrong questions with what they are about.
fn wrong() -> Vec<(String, String)> {
    let text = read("wrong.questions");
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("-- "), found.last_mut()) {
            (Some(about), _) => found.push((about.to_owned(), String::new())),
            (None, Some((_, question))) => *question += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found.into_iter().map(|(about, question)| (about, question.trim_end().to_owned())).collect()
}

#[test]
fn wrong_questions_say_what_is_wrong() {
    let mut said = String::new();
    for (about, text) in wrong() {
        let compiled = ask(&text);
        said +=
            &format!("-- {about}\n{text}\n\n{}\n", render("question", &text, &compiled.diagnostics, false));
        assert!(compiled.question.is_none(), "{text} is fine");
        for diagnostic in &compiled.diagnostics {
            assert!(explain(diagnostic.code).is_some(), "{}", diagnostic.code);
            for label in &diagnostic.labels {
                assert!(text.get(label.span.range()).is_some(), "{text}: {diagnostic:?}");
            }
        }
    }
    let mut failures = Vec::new();
    compare(&directory().join("wrong.expected"), &said, &mut failures);
    assert!(failures.is_empty(), "{}\nUPDATE=1 rewrites it", failures.join("\n"));
}

#[test]
fn every_number_of_questions_is_given_by_a_wrong_question() {
    let given: Vec<_> =
        wrong().iter().flat_map(|(_, text)| ask(text).diagnostics).map(|one| one.code).collect();
    for code in codes().filter(|code| ("F081"..="F089").contains(code)) {
        assert!(given.contains(&code), "{code}");
    }
}

#[test]
fn pages_of_the_numbers_do_what_they_say() {
    for code in codes().filter(|code| ("F081"..="F089").contains(code)) {
        let page = explain(code).expect("listed");
        let blocks = |kind: &str| -> Vec<&str> {
            let fence = format!("```{kind}\n");
            let parts = page.split(fence.as_str()).skip(1);
            parts.filter_map(|rest| rest.split("```").next()).collect()
        };
        let [flow] = blocks("flow")[..] else { unreachable!("{code}: one flow") };
        let [wrong, right] = blocks("question")[..] else {
            unreachable!("{code}: a wrong question and a right one")
        };
        let plan = plan(flow);
        let ask = |text: &str| compile_question(text, &[&plan]);
        let given: Vec<_> = ask(wrong).diagnostics.iter().map(|one| one.code).collect();
        assert_eq!(given, [code], "{wrong}");
        let compiled = ask(right);
        assert!(compiled.question.is_some() && compiled.diagnostics.is_empty(), "{code}: {compiled:?}");
    }
}

#[test]
fn warnings_do_not_stop_a_question() {
    let compiled = ask("select id from Sales where true");
    assert!(compiled.question.is_some());
    assert_eq!(compiled.diagnostics.iter().map(|one| one.severity).collect::<Vec<_>>(), [Severity::Warning]);
}
