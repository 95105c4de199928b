//! Questions against a table: what they give, in which order, and what they refuse. Random questions are in
//! `questions_oracle.rs`.

#![allow(clippy::panic, reason = "tests fail by panicking")]

use anabranch::query::QueryError;
use anabranch::testing::TestNode;
use anabranch::{Client, Error, Flow, Link, Node};
use serde_json::json;

const FLOW: &str = "
    flow shop revision 4

    enum Size ('small', 'medium', 'large')

    schema Sale {
      place: text, id: int, price: decimal(10, 2), number: int?, weight: float?, took: duration?, size: Size, note: text?
    }

    input Sell: Sale
    table Sales: Sale { key place, id partition by place }
    on Sell as s { upsert Sales s }
";

fn flow() -> Flow {
    Flow::parse("shop.flow", FLOW).expect("it compiles")
}

fn row(place: &str, id: i64, price: &str, number: Option<i64>) -> serde_json::Value {
    json!({ "place": place, "id": id, "price": price, "number": number, "weight": null, "took": null,
            "size": "small", "note": null })
}

/// Nine rows: places a to c, ids 1 to 3.
fn rows() -> Vec<serde_json::Value> {
    let mut rows = Vec::new();
    for (at, place) in ["b", "a", "c"].into_iter().enumerate() {
        for id in 1..=3 {
            let number = (id != 2).then_some(10 * at as i64 + id);
            rows.push(row(place, id, &format!("{id}.{at}0"), number));
        }
    }
    rows
}

fn filled() -> TestNode {
    let node = TestNode::start("A", 1, vec![flow()]).expect("a node");
    let answer = node.client().send("Sell", &rows()).expect("accepted");
    assert_eq!(answer.accepted, 9, "{answer:?}");
    node
}

fn ask<L: Link>(client: &mut Client<L>, question: &str) -> Result<Vec<String>, Error> {
    client.query(question)?.map(|row| row.map(|row| row.to_string())).collect()
}

/// The results, or the panic of the test.
fn answer(question: &str) -> Vec<String> {
    let node = filled();
    let found = ask(&mut node.client(), question);
    found.unwrap_or_else(|error| panic!("{question}: {error}"))
}

#[test]
fn rows_come_in_the_order_of_the_key() {
    assert_eq!(
        answer("select place, id from Sales where id <> 2 limit 4"),
        [
            r#"{"place":"a","id":1}"#,
            r#"{"place":"a","id":3}"#,
            r#"{"place":"b","id":1}"#,
            r#"{"place":"b","id":3}"#,
        ]
    );
    assert_eq!(answer("select id from Sales order by place, id limit 1 offset 8"), [r#"{"id":3}"#]);
    assert_eq!(answer("select id from Sales offset 9"), [""; 0]);
    assert_eq!(answer("select id from Sales limit 0"), [""; 0]);
}

#[test]
fn one_key_is_read_and_still_asked_for_the_rest() {
    let one = r#"{"price":"1.00"}"#;
    assert_eq!(answer("select price from Sales where id = 1 and place = 'b'"), [one]);
    assert_eq!(answer("select price from Sales where id = 1 and place = 'b' and number > 5"), [""; 0]);
    assert_eq!(answer("select price from Sales where id = 1 and place = 'b' offset 1"), [""; 0]);
    assert_eq!(answer("select price from Sales where id = 7 and place = 'b'"), [""; 0]);
    assert_eq!(answer("select price from Sales where id = 1 and place = cast(null as text)"), [""; 0]);
    assert_eq!(
        answer("select count(*) as n, max(price) as p from Sales where id = 1 and place = 'b'"),
        [r#"{"n":1,"p":"1.00"}"#]
    );
}

#[test]
fn an_order_keeps_equal_rows_in_the_order_of_the_key() {
    assert_eq!(
        answer("select place, number from Sales order by number desc limit 2 offset 1"),
        [r#"{"place":"c","number":21}"#, r#"{"place":"a","number":13}"#]
    );
    let places = |order: &str, limit: &str| {
        answer(&format!("select place, id from Sales where id < 3 order by {order} {limit}"))
            .into_iter()
            .map(|row| row.replace(r#"{"place":""#, "").replace(r#"","id":"#, "").replace('}', ""))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(places("id desc", ""), "a2 b2 c2 a1 b1 c1");
    assert_eq!(places("id desc", "limit 4"), "a2 b2 c2 a1");
    assert_eq!(places("number", "limit 4"), "a2 b2 c2 b1", "nulls are the smallest");
    assert_eq!(places("number nulls last", "limit 4"), "b1 a1 c1 a2");
    assert_eq!(places("number desc", "limit 4"), "c1 a1 b1 a2");
    assert_eq!(places("number desc nulls first, place desc", "limit 4"), "c2 b2 a2 c1");
}

#[test]
fn groups_come_in_the_order_of_what_they_have_in_common() {
    assert_eq!(
        answer(
            "select number is null as none, count(*) as n, sum(number) as s, min(price) as p from Sales group by 1"
        ),
        [r#"{"none":false,"n":6,"s":72,"p":"1.00"}"#, r#"{"none":true,"n":3,"s":null,"p":"2.00"}"#]
    );
    assert_eq!(
        answer(
            "select place, count(number) as n, avg(number) as a from Sales
             group by place having sum(number) > 10 order by 3 desc"
        ),
        [
            r#"{"place":"c","n":2,"a":"22.000000000000000000"}"#,
            r#"{"place":"a","n":2,"a":"12.000000000000000000"}"#,
        ]
    );
    assert_eq!(
        answer("select distinct id % 2 as odd, note from Sales"),
        [r#"{"odd":0,"note":null}"#, r#"{"odd":1,"note":null}"#]
    );
    assert_eq!(answer("select place from Sales group by place limit 1 offset 1"), [r#"{"place":"b"}"#]);
}

#[test]
fn no_rows_are_one_group_where_nothing_is_grouped() {
    assert_eq!(
        answer("select count(*) as n, sum(id) as s, coalesce(max(place), '-') as p from Sales where id > 99"),
        [r#"{"n":0,"s":null,"p":"-"}"#]
    );
    assert_eq!(answer("select place, count(*) from Sales where id > 99 group by place"), [""; 0]);
    assert_eq!(answer("select 1 as one from Sales having count(*) > 9"), [""; 0]);
}

#[test]
fn equal_values_count_once_where_it_says_distinct() {
    assert_eq!(
        answer(
            "select count(distinct id) as i, count(distinct number) as n, count(distinct price * 1.0) as p,
                    sum(distinct id) as s, avg(distinct id) as a from Sales"
        ),
        [r#"{"i":3,"n":6,"p":9,"s":6,"a":"2.000000000000000000"}"#]
    );
}

#[test]
fn sums_are_exact_and_do_not_depend_on_the_way() {
    let node = TestNode::start("A", 1, vec![flow()]).expect("a node");
    let mut client = node.client();
    // In between, the sum is beyond 64 bits; at the end it is not.
    let numbers = [i64::MAX, i64::MAX, -i64::MAX];
    let rows: Vec<_> = numbers.iter().zip(1..).map(|(n, id)| row("x", id, "99999999.99", Some(*n))).collect();
    client.send("Sell", &rows).expect("accepted");
    assert_eq!(
        ask(&mut client, "select sum(number) as s, sum(price) as p, avg(price) as a from Sales")
            .expect("sums"),
        [r#"{"s":9223372036854775807,"p":"299999999.97","a":"99999999.990000000000000000"}"#]
    );
    let error = ask(&mut client, "select sum(number) from Sales where id < 3").expect_err("beyond 64 bits");
    let Error::Query(QueryError::Failed { code, text, place }) = error else { panic!("{error}") };
    assert_eq!((code, place.column), ("R001", 8));
    assert_eq!(text, "the sum is out of range for int");
    // The mean of what cannot be summed as an int.
    assert_eq!(
        ask(&mut client, "select avg(number) as a from Sales where id < 3").expect("a mean"),
        [r#"{"a":"9223372036854775807.000000000000000000"}"#]
    );
}

#[test]
fn durations_and_floats_are_summed_too() {
    let node = TestNode::start("A", 1, vec![flow()]).expect("a node");
    let mut client = node.client();
    for (id, took, weight) in [(1, "5s", 0.5), (2, "2s", 1e308), (3, "3s", 1e308)] {
        let mut row = row("x", id, "1.00", None);
        (row["took"], row["weight"]) = (json!(took), json!(weight));
        client.ask("Sell", &row).expect("accepted");
    }
    assert_eq!(
        ask(&mut client, "select sum(took) as s, avg(took) as a, max(took) as m from Sales")
            .expect("durations"),
        [r#"{"s":"10s","a":"3333333us","m":"5s"}"#]
    );
    assert_eq!(
        ask(&mut client, "select avg(weight) as a from Sales where id = 1").expect("a mean"),
        [r#"{"a":0.5}"#]
    );
    let error = ask(&mut client, "select sum(weight) from Sales").expect_err("beyond a double");
    assert!(matches!(error, Error::Query(QueryError::Failed { code: "R004", .. })), "{error}");
}

#[test]
fn a_row_that_fails_ends_the_results_that_came_before() {
    let node = filled();
    let mut client = node.client();
    let mut found = client.query("select 6 / (id - 3) as x from Sales").expect("it compiles");
    assert_eq!(found.next().expect("a row").expect("-6 / 2").to_string(), r#"{"x":-3}"#);
    assert_eq!(found.next().expect("a row").expect("-6 / 1").to_string(), r#"{"x":-6}"#);
    let error = found.next().expect("an end").expect_err("6 / 0");
    assert_eq!(error.to_string(), "the question failed at 1:8: R002: 6 / 0 divides by zero");
    assert!(found.next().is_none());
    // What is not evaluated cannot fail.
    assert_eq!(
        ask(&mut client, "select id from Sales where id < 3 and 6 / (id - 3) < -5")
            .expect("no failure")
            .len(),
        3
    );
}

#[test]
fn a_wrong_question_is_told_with_its_places() {
    let node = filled();
    let error =
        ask(&mut node.client(), "select plaice\nfrom Sales where nunber > 2").expect_err("it is wrong");
    let Error::Query(QueryError::Wrong(wrong)) = &error else { panic!("{error}") };
    assert_eq!(wrong.diagnostics.len(), 2);
    assert!(error.to_string().contains(" --> question:2:18\n"), "{error}");
}

#[test]
fn now_is_the_clock_of_the_node_and_one_moment() {
    let node = filled();
    let mut client = node.client();
    let question = "select distinct now() as t, revision() as r from Sales";
    let at = |time: &str| [format!(r#"{{"t":"{time}","r":4}}"#)];
    assert_eq!(ask(&mut client, question).expect("a time"), at("2000-01-01T00:00:00Z"));
    node.advance(std::time::Duration::from_secs(60));
    assert_eq!(ask(&mut client, question).expect("a time"), at("2000-01-01T00:01:00Z"));
}

#[test]
fn results_have_a_shape_even_when_there_are_none() {
    let node = filled();
    let mut client = node.client();
    let mut found =
        client.query("select size, count(*) as n from Sales group by size limit 0").expect("it compiles");
    let names: Vec<_> = found.shape().columns().iter().map(|column| column.name.clone()).collect();
    assert_eq!(names, ["size", "n"]);
    assert!(found.next().is_none());
}

#[test]
fn a_client_goes_on_after_a_question_that_was_not_read_to_its_end() {
    let node = filled();
    let mut client = node.client();
    drop(client.query("select id from Sales").expect("it compiles").next());
    client.ask("Sell", &row("z", 1, "1.00", None)).expect("accepted");
    assert_eq!(
        ask(&mut client, "select place from Sales where place > 'c'").expect("rows"),
        [r#"{"place":"z"}"#]
    );
}

#[test]
fn tables_of_more_than_a_page_are_read_to_their_end() {
    for workers in [1, 4] {
        let node = Node::builder("A").workers(workers).flow(flow()).start().expect("a node");
        let mut client = node.client();
        for place in 0..5 {
            let rows: Vec<_> =
                (0..500).map(|id| row(&format!("p{place}"), id, "1.50", Some(id % 7))).collect();
            assert_eq!(client.send("Sell", &rows).expect("accepted").accepted, 500);
        }
        assert_eq!(
            ask(&mut client, "select count(*) as n, sum(price) as p from Sales").expect("sums"),
            [r#"{"n":2500,"p":"3750.00"}"#]
        );
        assert_eq!(
            ask(&mut client, "select place, id from Sales order by id desc, place limit 2").expect("rows"),
            [r#"{"place":"p0","id":499}"#, r#"{"place":"p1","id":499}"#]
        );
        assert_eq!(
            ask(&mut client, "select place, id from Sales limit 1 offset 2400").expect("rows"),
            [r#"{"place":"p4","id":400}"#]
        );
        node.stop().expect("it ends");
    }
}

/// The page about the language, whose questions are asked as they are written.
const PAGE: &str = include_str!("../lang/LANGUAGE.md");

#[test]
fn questions_of_the_language_page_have_the_results_shown() {
    let blocks = |kind: &str| -> Vec<&str> {
        let fence = format!("```{kind}\n");
        PAGE.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
    };
    let flow = Flow::parse("shop.flow", blocks("flow")[0]).expect("the first flow compiles");
    let node = TestNode::start("A", 1, vec![flow]).expect("a node");
    let mut client = node.client();
    for (product, number) in [("screw", 2), ("bolt", 12), ("wire", 1), ("nut", 7)] {
        client.ask("Arrive", &json!({ "product": product, "number": number })).expect("accepted");
    }
    client.ask("Sell", &json!({ "product": "wire", "number": 1 })).expect("accepted");
    let questions = blocks("question");
    for block in &questions {
        let (results, question): (Vec<&str>, Vec<&str>) =
            block.lines().partition(|line| line.starts_with('{'));
        let question = question.join("\n");
        let found = ask(&mut client, &question).unwrap_or_else(|error| panic!("{question}: {error}"));
        assert_eq!(found, results, "{question}");
        assert!(!results.is_empty(), "{question}: shows no results");
    }
    assert_eq!(questions.len(), 4);
}
