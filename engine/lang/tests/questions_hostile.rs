//! No text makes the compiler of questions panic, hang, or point outside the text; what it refuses has a reason.

use anabranch_lang::parser::QUESTION_BYTES_MAX;
use anabranch_lang::{CompiledQuestion, Severity, compile, compile_question, explain, render};
use anabranch_model::plan::Plan;
use proptest::prelude::*;

fn plan() -> Plan {
    let text = include_str!("questions/shop.flow");
    compile("shop.flow", text).plan.expect("it compiles")
}

/// Compiles a text and holds the answer to what is promised of any.
fn hold(plan: &Plan, text: &str) -> CompiledQuestion {
    let compiled = compile_question(text, &[plan]);
    let errors = compiled.diagnostics.iter().any(|one| one.severity == Severity::Error);
    assert_eq!(compiled.question.is_none(), errors, "{text}");
    for diagnostic in &compiled.diagnostics {
        assert!(explain(diagnostic.code).is_some(), "{}", diagnostic.code);
        for label in &diagnostic.labels {
            assert!(text.get(label.span.range()).is_some(), "{text}: {diagnostic:?}");
        }
    }
    assert!(compiled.diagnostics.len() <= 201);
    let _ = render("question", text, &compiled.diagnostics, false);
    compiled
}

/// Words and signs of questions, and some of none.
const WORDS: [&str; 60] = [
    "select", "distinct", "from", "where", "group", "by", "having", "order", "limit", "offset", "asc",
    "desc", "nulls", "first", "last", "as", "and", "or", "not", "null", "is", "in", "between", "like",
    "case", "when", "then", "else", "end", "cast", "count", "sum", "min", "max", "avg", "Sales", "Items",
    "shop", "place", "id", "price", "note", "extra", "size", "join", "union", "(", ")", ",", ".", "*", "+",
    "-", "=", "<", "1", "2.5", "'a'", "\"q\"", ";",
];

const RIGHT: [&str; 6] = [
    "select place, count(*) as n from Sales where id > 3 group by place having sum(price) > 1 order by n desc limit 3",
    "select * from Sales as s where s.place = 'a' and id between 1 and 4 order by note nulls last offset 2 ;",
    "select distinct size, paid from shop.Sales where note is not null or extra = cast('1' as json)",
    "select case when paid then lower(place) else 'x' end as t, avg(distinct number) from Sales group by 1",
    "select max(at) - min(at) as time, count(took) from Sales having count(*) > 1",
    "select \"order\", \"unit price\" * 2 from Items where id in (1, 2, 3) limit 10",
];

proptest! {
    #[test]
    fn words_in_any_order(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..40)) {
        hold(&plan(), &words.join(" "));
    }

    #[test]
    fn any_text(text in any::<String>()) {
        hold(&plan(), &text);
    }

    #[test]
    fn right_questions_with_words_lost_and_changed(
        which in 0..RIGHT.len(),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        changed in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&WORDS[..])), 0..3),
    ) {
        let mut words: Vec<&str> = RIGHT[which].split(' ').collect();
        for (at, word) in changed {
            let at = at.index(words.len());
            words[at] = word;
        }
        for at in lost {
            words.remove(at.index(words.len()));
        }
        hold(&plan(), &words.join(" "));
    }
}

#[test]
fn right_questions_are_right() {
    for text in RIGHT {
        let compiled = hold(&plan(), text);
        assert!(compiled.question.is_some(), "{}", render("q", text, &compiled.diagnostics, false));
    }
}

#[test]
fn deep_and_long_questions_are_refused_in_time() {
    let plan = plan();
    let deep =
        |open: &str, close: &str| format!("select {}id{} from Sales", open.repeat(1000), close.repeat(1000));
    for (text, code) in [
        (deep("(", ")"), "F023"),
        (deep("abs(", ")"), "F023"),
        (deep("max(", ")"), "F023"),
        (deep("- ", ""), "F023"),
        (deep("case when paid then ", " end"), "F023"),
        (deep("(select ", " from Sales)"), "F023"),
        (deep("id + ", ""), "F023"),
        (format!("select id from Sales where {}paid", "not ".repeat(1000)), "F023"),
        (format!("select id{} from Sales", ", id".repeat(2000)), "F024"),
        (format!("select id from Sales order by id{}", ", id + 1".repeat(100)), "F024"),
        (format!("select 1 as a from Sales group by id{}", ", id + 1".repeat(100)), "F024"),
        (format!("select {} from Sales", "x, ".repeat(20_000)), "F024"),
        (" ".repeat(QUESTION_BYTES_MAX + 1), "F024"),
    ] {
        let compiled = hold(&plan, &text);
        let codes: Vec<_> = compiled.diagnostics.iter().map(|one| one.code).collect();
        assert!(codes.contains(&code), "{}...: {codes:?}", &text[..40]);
    }
    let sums: Vec<_> = (0..300).map(|at| format!("sum(id + {at}) as s{at}")).collect();
    let compiled = hold(&plan, &format!("select {} from Sales", sums.join(", ")));
    assert!(compiled.diagnostics.iter().all(|one| one.code == "F024"));
}

#[test]
fn a_question_of_the_largest_size_costs_no_more_than_its_size() {
    let plan = plan();
    // One value of half the text, meant by every key and every place of the order; and thousands of equal aggregates.
    let large = format!("coalesce({}id)", "id + 1, ".repeat(3000));
    let again = vec!["1"; 64].join(", ");
    let sums = "sum(id), ".repeat(3500);
    for text in [
        format!("select {large} as a from Sales group by {again} order by {again}"),
        format!("select sum({large}) as a from Sales having count(*) not in ({sums} 1)"),
    ] {
        assert!(text.len() < QUESTION_BYTES_MAX);
        let compiled = hold(&plan, &text);
        assert!(compiled.question.is_some(), "{}", render("q", &text, &compiled.diagnostics, false));
    }
}
