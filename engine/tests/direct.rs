//! A step that only puts its row takes a short way through the engine. A filter that is always true takes it off that
//! way, and an expression among its columns keeps its row and its route from being copied as bytes. Random flows over
//! every type do the same on every way: answers, refusals, tables, errors.

#![expect(clippy::panic, reason = "what helps a test panics where it fails")]

mod support;

use anabranch::{Flow, Subscription};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Request, Seen, node, published, run, test_node};

/// Types, a literal of each where there is one, and values that rows have.
const TYPES: [(&str, &str, &[&str]); 10] = [
    ("bool", "true", &["false", "true"]),
    ("int", "-7", &["0", "-1", "1", "9223372036854775807", "-9223372036854775808"]),
    ("float", "2.5", &["0.0", "-0.0", "1.5", "-1e300", "1e-300"]),
    ("decimal(9, 2)", "1.5", &["\"0\"", "\"-0.01\"", "\"1.50\"", "\"9999999.99\""]),
    ("text", "'it'", &["\"\"", "\"a\"", "\"a\\u0000\"", "\"\\u0000b\"", "\"größer\""]),
    ("bytes", "", &["\"\"", "\"AA==\"", "\"AAAA\"", "\"/w==\""]),
    ("time", "", &["\"1969-12-31T23:59:59.5Z\"", "\"2010-12-01T08:26:00Z\"", "\"0001-01-01T00:00:00Z\""]),
    ("duration", "5s", &["0", "-5", "\"3h\""]),
    ("Size", "'big'", &["\"small\"", "\"big\"", "\"huge\""]),
    ("json", "", &["{\"a\":[1,2]}", "[]", "\"text\"", "17"]),
];

/// What of [`TYPES`] is text, and what is json.
const TEXT: usize = 4;
const JSON: usize = 9;

/// A stream of choices, from random numbers.
struct Choices<'n> {
    numbers: &'n [u32],
    at: usize,
}

impl Choices<'_> {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.at += 1;
        self.numbers[self.at % self.numbers.len()] as usize % n
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    ty: usize,
    nullable: bool,
    /// The expression that fills it in the table; none for one that the table lacks.
    from: Option<String>,
}

impl Column {
    fn declared(&self, nullable: bool) -> String {
        format!("{}: {}{}", self.name, TYPES[self.ty].0, if nullable { "?" } else { "" })
    }
}

/// A flow that puts its row, as text with holes for a filter and for what its first column gets, and its input columns.
fn random_flow(choices: &mut Choices<'_>) -> (String, Vec<Column>) {
    let input: Vec<Column> = (0..2 + choices.below(10))
        .map(|at| {
            let name = format!("c{at}");
            let kept = (at == 0 || choices.below(5) > 0).then(|| format!("p.{name}"));
            let from = if at == 0 { Some("FIRST".to_owned()) } else { kept };
            let ty = if at == 0 { choices.below(JSON) } else { choices.below(TYPES.len()) };
            Column { name, ty, nullable: at > 0 && choices.below(3) == 0, from }
        })
        .collect();
    let mut table: Vec<Column> = input.iter().filter(|column| column.from.is_some()).cloned().collect();
    let mut keys: Vec<String> = table
        .iter()
        .filter(|column| !column.nullable && column.ty != JSON)
        .map(|column| column.name.clone())
        .collect();
    choices.shuffle(&mut keys);
    keys.truncate(1 + choices.below(3));
    let mut by = keys.clone();
    choices.shuffle(&mut by);
    by.truncate(1 + choices.below(by.len()));
    for at in 0..choices.below(4) {
        let ty = choices.below(TYPES.len());
        let literal = if TYPES[ty].1.is_empty() { "node()" } else { TYPES[ty].1 };
        let ty = if literal == "node()" { TEXT } else { ty };
        table.push(Column { name: format!("x{at}"), ty, nullable: false, from: Some(literal.into()) });
    }
    choices.shuffle(&mut table);
    let columns: Vec<String> = table
        .iter()
        .map(|column| {
            let wider = !keys.contains(&column.name) && choices.below(3) == 0;
            column.declared(column.nullable || wider)
        })
        .collect();
    let cells: Vec<String> = table
        .iter()
        .map(|column| format!("{}: {}", column.name, column.from.as_deref().unwrap_or_default()))
        .collect();
    let inputs: Vec<String> = input.iter().map(|column| column.declared(column.nullable)).collect();
    let text = format!(
        "flow put revision 1\nenum Size ('small', 'big', 'huge')\ninput Put: {{ {} }}\ntable T: {{ {} }} {{\n  key {}\n  \
         partition by {}\n}}\non Put as p FILTER\n{{\n  upsert T {{ {} }}\n}}\n",
        inputs.join(", "),
        columns.join(", "),
        keys.join(", "),
        by.join(", "),
        cells.join(", "),
    );
    (text, input)
}

fn random_row(choices: &mut Choices<'_>, columns: &[Column]) -> Value {
    let mut row = serde_json::Map::new();
    for column in columns {
        let values = TYPES[column.ty].2;
        let value = match choices.below(12) {
            0 if column.nullable => Value::Null,
            // Around the limit of a key.
            1 if column.ty == TEXT => json!("k".repeat(4080 + choices.below(20))),
            _ => serde_json::from_str(values[choices.below(values.len())]).expect("JSON"),
        };
        row.insert(column.name.clone(), value);
    }
    Value::Object(row)
}

fn flow(text: &str, filter: &str, first: &str) -> Flow {
    let text = text.replace("FILTER", filter).replace("FIRST", first);
    Flow::parse("put.flow", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn in_one_thread(flow: Flow, requests: &[Request]) -> Seen {
    let node = test_node(flow);
    let mut clients = [node.client()];
    let errors = node.subscribe("errors").expect("the errors");
    let (answers, tables) = run(&mut clients, requests, &["T"], &[]);
    Seen { answers, tables, published: published(vec![errors], Subscription::try_next, &[]) }
}

fn with_workers(workers: u32, flow: Flow, requests: &[Request]) -> Seen {
    let node = node(workers, flow);
    let mut clients = [node.client()];
    let errors = node.subscribe("errors").expect("the errors");
    let (answers, tables) = run(&mut clients, requests, &["T"], &[]);
    node.stop().expect("no worker panicked");
    Seen { answers, tables, published: published(vec![errors], Subscription::next, &[]) }
}

fn put(rows: Vec<Value>) -> Request {
    Request { client: 0, input: "Put", rows }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn putting_a_row_directly_does_what_the_step_does(
        numbers in proptest::collection::vec(any::<u32>(), 400),
    ) {
        let mut choices = Choices { numbers: &numbers, at: 0 };
        let (text, columns) = random_flow(&mut choices);
        // More rows than are read ahead together, and requests without any.
        let requests: Vec<Request> = [3, 0, 70, 1]
            .map(|rows| put((0..rows).map(|_| random_row(&mut choices, &columns)).collect()))
            .into();
        let direct = in_one_thread(flow(&text, "", "p.c0"), &requests);
        // The first column is never null: neither is its filter.
        let filter = "where p.c0 is not null or node() = 'B'";
        prop_assert_eq!(&direct, &in_one_thread(flow(&text, filter, "p.c0"), &requests), "{}", &text);
        let computed = flow(&text, "", "coalesce(p.c0, p.c0)");
        prop_assert_eq!(&direct, &in_one_thread(computed, &requests), "{}", &text);
        for workers in [2, 3] {
            prop_assert_eq!(&direct, &with_workers(workers, flow(&text, "", "p.c0"), &requests), "{}", &text);
        }
    }
}

/// Rows that fit their input and not their table: the limit is met on both ways at the same byte.
#[test]
fn rows_at_the_limit_are_refused_alike() {
    let text = "flow put revision 1\ninput Put: { k: text, v: text }\ntable T: { v: text, x: int, k: text } { key k }\n\
                on Put as p FILTER\n{\n  upsert T { k: FIRST, v: p.v, x: 1 }\n}\n";
    // Header, null bits, two ends; the table has an int more.
    let table_bytes = 16 + 1 + 4 + 4 + 8 + 1;
    let value = |over: usize| "v".repeat((4 << 20) - table_bytes - 1 + over);
    let requests: Vec<Request> =
        (0..4).map(|over| put(vec![json!({ "k": over.to_string(), "v": value(over) })])).collect();
    let direct = in_one_thread(flow(text, "", "p.k"), &requests);
    assert_eq!(direct, in_one_thread(flow(text, "where p.k <> 'none'", "p.k"), &requests));
    assert_eq!(direct, in_one_thread(flow(text, "", "coalesce(p.k, '')"), &requests));
    let refused: Vec<bool> = direct.answers.iter().map(|answer| answer.contains("R007")).collect();
    assert_eq!(refused, [false, false, true, true]);
    assert_eq!(direct.tables[0].len(), 2);
    assert_eq!(direct.published.len(), 2);
}

/// A key of 4096 bytes is one, a longer one is refused and does no harm to rows beside it.
#[test]
fn keys_at_the_limit_are_refused_alike() {
    let text = "flow put revision 1\ninput Put: { k: text, v: int }\ntable T: { k: text, v: int } { key k }\n\
                on Put as p FILTER\n{\n  upsert T { ..p, k: FIRST }\n}\n";
    let row = |bytes: usize| json!({ "k": "k".repeat(bytes), "v": bytes });
    let requests = [put(vec![row(1), row(4096), row(4097), row(2), row(5000), row(0)])];
    let direct = in_one_thread(flow(text, "", "p.k"), &requests);
    assert_eq!(direct, in_one_thread(flow(text, "where p.v >= 0", "p.k"), &requests));
    assert_eq!(direct, in_one_thread(flow(text, "", "coalesce(p.k, '')"), &requests));
    assert_eq!(direct, with_workers(4, flow(text, "", "p.k"), &requests));
    let answer = &direct.answers[0];
    assert!(answer.starts_with("accepted 4; 2 ") && answer.contains("; 4 "), "{answer}");
    assert_eq!(direct.tables[0].len(), 4);
}
