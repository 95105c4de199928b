//! Random questions over random tables, against an evaluation that is as plain as it can be: all rows in memory, sorted
//! and put together by the standard library.
//!
//! A question is made of pieces that are written twice: as text, and as what they mean here.

use std::collections::{BTreeMap, BTreeSet};

use anabranch::testing::TestNode;
use anabranch::{Client, Flow, Link, Node};
use proptest::prelude::*;
use serde_json::json;

const FLOW: &str = "
    flow f revision 1
    schema Line { k: text, id: int, n: int?, d: decimal(6, 2), t: text? }
    input Put: Line
    table T: Line { key k, id partition by k }
    on Put as p { upsert T p }
";

/// A row of the table; `d` in hundredths.
#[derive(Clone, Debug)]
struct Line {
    k: String,
    id: i64,
    n: Option<i64>,
    d: i64,
    t: Option<String>,
}

/// A value of one type; null is the smallest. Decimals are digits and how many of them stand after the point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Val {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(i128, usize),
    Text(String),
}

impl Val {
    fn json(&self) -> String {
        match self {
            Val::Null => "null".into(),
            Val::Bool(truth) => truth.to_string(),
            Val::Int(number) => number.to_string(),
            Val::Text(text) => format!("\"{text}\""),
            Val::Decimal(digits, scale) => {
                let text = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
                let (whole, part) = text.split_at(text.len() - scale);
                format!("\"{}{whole}.{part}\"", if *digits < 0 { "-" } else { "" })
            }
        }
    }
}

fn int(number: Option<i64>) -> Val {
    number.map_or(Val::Null, Val::Int)
}

fn text(text: Option<&String>) -> Val {
    text.map_or(Val::Null, |text| Val::Text(text.clone()))
}

/// A value of a row, as text and as what it means.
type Piece = (&'static str, fn(&Line) -> Val);

const VALUES: [Piece; 10] = [
    ("k", |line| Val::Text(line.k.clone())),
    ("id", |line| Val::Int(line.id)),
    ("n", |line| int(line.n)),
    ("d", |line| Val::Decimal(i128::from(line.d), 2)),
    ("t", |line| text(line.t.as_ref())),
    ("n + id", |line| int(line.n.map(|n| n + line.id))),
    ("id % 3", |line| Val::Int(line.id % 3)),
    ("coalesce(n, 0)", |line| Val::Int(line.n.unwrap_or(0))),
    ("k || '-' || t", |line| text(line.t.as_ref().map(|t| format!("{}-{t}", line.k)).as_ref())),
    ("n > 0", |line| line.n.map_or(Val::Null, |n| Val::Bool(n > 0))),
];

/// A condition on a row, three-valued.
type Condition = (&'static str, fn(&Line) -> Option<bool>);

const CONDITIONS: [Condition; 11] = [
    ("n > 1", |line| line.n.map(|n| n > 1)),
    ("n is null", |line| Some(line.n.is_none())),
    ("not n in (0, 2)", |line| line.n.map(|n| n != 0 && n != 2)),
    ("t = 'x'", |line| line.t.as_ref().map(|t| t == "x")),
    ("t like '%y%'", |line| line.t.as_ref().map(|t| t.contains('y'))),
    ("id between 2 and 5", |line| Some((2..=5).contains(&line.id))),
    ("id = 3", |line| Some(line.id == 3)),
    ("k = 'b'", |line| Some(line.k == "b")),
    ("'c' = T.k", |line| Some(line.k == "c")),
    ("d >= 1.5", |line| Some(line.d >= 150)),
    ("n = id", |line| line.n.map(|n| n == line.id)),
];

/// One value from the rows of a group, as text and as what it means.
type Aggregate = (&'static str, fn(&[&Line]) -> Val);

fn numbers(lines: &[&Line]) -> Vec<i64> {
    lines.iter().filter_map(|line| line.n).collect()
}

fn mean(total: i128, count: usize) -> Val {
    if count == 0 {
        return Val::Null;
    }
    // Half to even, as decimals are divided.
    let (total, count) = (total * 10i128.pow(18), count as i128);
    let (down, rest) = (total.div_euclid(count), total.rem_euclid(count));
    let up = 2 * rest > count || (2 * rest == count && down % 2 != 0);
    Val::Decimal(down + i128::from(up), 18)
}

const AGGREGATES: [Aggregate; 9] = [
    ("count(*)", |lines| Val::Int(lines.len() as i64)),
    ("count(n)", |lines| Val::Int(numbers(lines).len() as i64)),
    ("count(distinct n)", |lines| Val::Int(BTreeSet::from_iter(numbers(lines)).len() as i64)),
    ("sum(n)", |lines| int(numbers(lines).into_iter().reduce(|a, b| a + b))),
    ("sum(d)", |lines| match lines {
        [] => Val::Null,
        lines => Val::Decimal(lines.iter().map(|line| i128::from(line.d)).sum(), 2),
    }),
    ("min(t)", |lines| text(lines.iter().filter_map(|line| line.t.as_ref()).min())),
    ("max(d)", |lines| {
        lines.iter().map(|line| Val::Decimal(i128::from(line.d), 2)).max().unwrap_or(Val::Null)
    }),
    ("avg(n)", |lines| mean(numbers(lines).iter().map(|n| i128::from(*n)).sum(), numbers(lines).len())),
    ("sum(distinct id) + 1", |lines| {
        let ids = BTreeSet::from_iter(lines.iter().map(|line| line.id));
        if ids.is_empty() { Val::Null } else { Val::Int(ids.iter().sum::<i64>() + 1) }
    }),
];

/// A question in pieces; numbers choose among what there is.
#[derive(Clone, Debug)]
struct Question {
    values: Vec<usize>,
    aggregates: Vec<usize>,
    grouped: bool,
    distinct: bool,
    conditions: Vec<usize>,
    /// Whether one condition is enough.
    any: bool,
    having: Option<i64>,
    /// Which column, whether descending, where nulls come.
    order: Vec<(usize, bool, Option<bool>)>,
    limit: Option<usize>,
    offset: Option<usize>,
}

impl Question {
    fn columns(&self) -> usize {
        let aggregates = if self.grouped { self.aggregates.len() } else { 0 };
        self.values.len() + aggregates
    }

    /// `order by` with columns that there are.
    fn order(&self) -> Vec<(usize, bool, Option<bool>)> {
        let within = |(at, descending, nulls): &(usize, bool, Option<bool>)| {
            (at % self.columns(), *descending, *nulls)
        };
        self.order.iter().map(within).collect()
    }

    fn text(&self) -> String {
        let values = self.values.iter().map(|at| VALUES[*at].0);
        let aggregates = self.aggregates.iter().filter(|_| self.grouped).map(|at| AGGREGATES[*at].0);
        let list: Vec<_> =
            values.clone().chain(aggregates).zip(0..).map(|(of, at)| format!("{of} as c{at}")).collect();
        let distinct = if self.distinct && !self.grouped { "distinct " } else { "" };
        let mut text = format!("select {distinct}{} from T", list.join(", "));
        let conditions: Vec<_> = self.conditions.iter().map(|at| CONDITIONS[*at].0).collect();
        if !conditions.is_empty() {
            text += &format!(" where {}", conditions.join(if self.any { " or " } else { " and " }));
        }
        if self.grouped && !self.values.is_empty() {
            text += &format!(" group by {}", values.collect::<Vec<_>>().join(", "));
        }
        if let Some(least) = self.having.filter(|_| self.grouped) {
            text += &format!(" having count(*) >= {least}");
        }
        let order = self.order().into_iter().map(|(at, descending, nulls)| {
            let nulls = nulls.map_or("", |first| if first { " nulls first" } else { " nulls last" });
            format!("c{at}{}{nulls}", if descending { " desc" } else { "" })
        });
        let order: Vec<_> = order.collect();
        if !order.is_empty() {
            text += &format!(" order by {}", order.join(", "));
        }
        text += &self.limit.map_or(String::new(), |limit| format!(" limit {limit}"));
        text + &self.offset.map_or(String::new(), |offset| format!(" offset {offset}"))
    }

    fn counts(&self, line: &Line) -> bool {
        let truths: Vec<_> = self.conditions.iter().map(|at| CONDITIONS[*at].1(line)).collect();
        // Null counts as false, and no condition has a `not` around it.
        match self.any && !truths.is_empty() {
            true => truths.contains(&Some(true)),
            false => truths.iter().all(|truth| *truth == Some(true)),
        }
    }

    /// What it gives for these rows, which stand in the order of the key.
    fn answer(&self, lines: &[Line]) -> Vec<String> {
        let lines: Vec<&Line> = lines.iter().filter(|line| self.counts(line)).collect();
        let project =
            |line: &Line| -> Vec<Val> { self.values.iter().map(|at| VALUES[*at].1(line)).collect() };
        let mut rows: Vec<Vec<Val>> = if self.grouped {
            let mut groups: BTreeMap<Vec<Val>, Vec<&Line>> = BTreeMap::new();
            if self.values.is_empty() {
                groups.insert(Vec::new(), Vec::new());
            }
            lines.into_iter().for_each(|line| groups.entry(project(line)).or_default().push(line));
            groups.retain(|_, lines| self.having.is_none_or(|least| lines.len() as i64 >= least));
            let aggregate = |(mut row, lines): (Vec<Val>, Vec<&Line>)| {
                row.extend(self.aggregates.iter().map(|at| AGGREGATES[*at].1(&lines)));
                row
            };
            groups.into_iter().map(aggregate).collect()
        } else if self.distinct {
            BTreeSet::from_iter(lines.into_iter().map(project)).into_iter().collect()
        } else {
            lines.into_iter().map(project).collect()
        };
        rows.sort_by(|a, b| {
            let orders = self.order().into_iter().map(|(at, descending, nulls)| {
                let first = nulls.unwrap_or(!descending);
                let null = |val: &Val| (*val == Val::Null) != first;
                let values = if descending { b[at].cmp(&a[at]) } else { a[at].cmp(&b[at]) };
                null(&a[at]).cmp(&null(&b[at])).then(values)
            });
            orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
        let rows = rows.into_iter().skip(self.offset.unwrap_or(0)).take(self.limit.unwrap_or(usize::MAX));
        let shown = |row: Vec<Val>| {
            let cells: Vec<_> =
                row.iter().zip(0..).map(|(val, at)| format!("\"c{at}\":{}", val.json())).collect();
            format!("{{{}}}", cells.join(","))
        };
        rows.map(shown).collect()
    }
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (
        prop::sample::select(vec!["a", "b", "c", "cc"]),
        0..8i64,
        prop::option::of(-3..4i64),
        -300..300i64,
        prop::option::of(prop::sample::select(vec!["", "x", "xy", "y"])),
    );
    prop::collection::vec(line, 0..40).prop_map(|lines| {
        let line = |(k, id, n, d, t): (&str, i64, Option<i64>, i64, Option<&str>)| {
            let key = (k.to_owned(), id);
            (key, Line { k: k.to_owned(), id, n, d, t: t.map(str::to_owned) })
        };
        BTreeMap::from_iter(lines.into_iter().map(line)).into_values().collect()
    })
}

fn questions() -> impl Strategy<Value = Question> {
    let chosen = |most: usize, size| prop::collection::vec(0..most, size);
    let order = (0..6usize, any::<bool>(), prop::option::of(any::<bool>()));
    let what = (chosen(VALUES.len(), 0..4), chosen(AGGREGATES.len(), 1..4), any::<bool>(), any::<bool>());
    let which = (chosen(CONDITIONS.len(), 0..4), any::<bool>(), prop::option::of(0..4i64));
    let how = (prop::collection::vec(order, 0..3), prop::option::of(0..12usize), prop::option::of(0..6usize));
    (what, which, how).prop_map(|(what, which, how)| {
        let (values, aggregates, grouped, distinct) = what;
        let (conditions, any, having) = which;
        let (order, limit, offset) = how;
        // Nothing is no list.
        let grouped = grouped || values.is_empty();
        Question { values, aggregates, grouped, distinct, conditions, any, having, order, limit, offset }
    })
}

fn flow() -> Flow {
    Flow::parse("f.flow", FLOW).expect("it compiles")
}

fn fill<L: Link>(client: &mut Client<L>, lines: &[Line]) {
    let row = |line: &Line| {
        let d = Val::Decimal(i128::from(line.d), 2).json();
        let d: serde_json::Value = serde_json::from_str(&d).expect("a text");
        json!({ "k": line.k, "id": line.id, "n": line.n, "d": d, "t": line.t })
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    assert_eq!(client.send("Put", &rows).expect("accepted").accepted, lines.len());
}

fn ask<L: Link>(client: &mut Client<L>, question: &str) -> Result<Vec<String>, TestCaseError> {
    let failed = |error: anabranch::Error| TestCaseError::fail(format!("{question}\n{error}"));
    let rows = client.query(question).map_err(failed)?;
    rows.map(|row| row.map(|row| row.to_string()).map_err(failed)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn one_worker_answers_as_the_oracle(
        lines in lines(),
        questions in prop::collection::vec(questions(), 1..20),
    ) {
        let node = TestNode::start("A", 1, vec![flow()]).expect("a node");
        let mut client = node.client();
        fill(&mut client, &lines);
        for question in questions {
            let text = question.text();
            prop_assert_eq!(ask(&mut client, &text)?, question.answer(&lines), "{}", text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn four_workers_answer_as_the_oracle(
        lines in lines(),
        questions in prop::collection::vec(questions(), 10..40),
    ) {
        let node = Node::builder("A").workers(4).flow(flow()).start().expect("a node");
        let mut client = node.client();
        fill(&mut client, &lines);
        for question in questions {
            let text = question.text();
            prop_assert_eq!(ask(&mut client, &text)?, question.answer(&lines), "{}", text);
        }
        drop(client);
        node.stop().expect("it ends");
    }
}
