//! What the words of the language mean, held against a running node: golden scripts of tricky steps, random requests
//! on one and on several workers, and what must not happen around them.

#![expect(
    clippy::disallowed_methods,
    reason = "a test reads and rewrites files of the repository, and starts threads"
)]
#![expect(clippy::panic, reason = "what helps a test panics where it fails")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anabranch::{Client, Error, Flow, Link, Node, Subscription, script};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Request, Seen, answer_text, node, published, run, table_text, test_node};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/semantics")
}

fn flow(name: &str) -> Flow {
    Flow::read(directory().join(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn parse(text: &str) -> Flow {
    Flow::parse("test.flow", text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_script_gives_what_it_says() {
    let mut failures = Vec::new();
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(directory())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "script"));
    scripts.sort();
    assert!(scripts.len() >= 4, "{scripts:?}");
    for path in scripts {
        match script::run(&path) {
            Err(error) => failures.push(error.to_string()),
            Ok(outcome) if outcome.passed() => {}
            Ok(outcome) if std::env::var_os("UPDATE").is_some_and(|value| value == "1") => {
                std::fs::write(&path, outcome.actual).expect("the script is rewritten")
            }
            Ok(outcome) => failures.push(outcome.diff()),
        }
    }
    assert!(failures.is_empty(), "{}\n(UPDATE=1 takes over what the flows did)", failures.join("\n"));
}

/// Key columns of fixed size can be too long together: that refuses a row late, too.
#[test]
fn a_key_that_is_too_long_undoes_the_writes_before_it() {
    let columns: Vec<String> = (0..260).map(|at| format!("c{at}")).collect();
    let list = |each: &str| columns.iter().map(|name| format!("{name}{each}")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "flow wide revision 1\ninput Put: {{ k: int, d: decimal(2, 1) }}\ntable First: {{ k: int }} {{ key k }}\n\
         table Wide: {{ k: int, {} }} {{ key k, {}  partition by k }}\n\
         on Put as p {{ upsert First {{ k: p.k }}  upsert Wide {{ k: p.k, {} }} }}",
        list(": decimal(2, 1)"),
        list(""),
        list(": p.d"),
    );
    let node = test_node(parse(&text));
    let mut client = node.client();
    let answer = client.send("Put", &[json!({ "k": 1, "d": "1" })]).expect("an answer");
    assert!(answer.refused[0].text.starts_with("R007"), "{answer:?}");
    assert_eq!(table_text(&mut client, "First", &[]), [""; 0]);
    assert_eq!(table_text(&mut client, "Wide", &[]), [""; 0]);
}

/// An input of a flow and values of its columns to choose from.
type Input = (&'static str, &'static [(&'static str, &'static [&'static str])]);

const KEYS: [&str; 4] = ["1", "2", "3", "-9223372036854775808"];
const NUMBERS: [&str; 6] = ["0", "1", "5", "7", "13", "9223372036854775807"];
const TEXTS: [&str; 6] = ["\"\"", "\"a\"", "\"a\\u0000\"", "\"\\u0000\"", "\" A \"", "\"b\""];
const DIGITS: [&str; 4] = ["\"0.5\"", "\"1\"", "\"8.5\"", "\"9.9\""];
const DECIMALS: [&str; 5] = ["\"1\"", "\"1.005\"", "\"1.015\"", "\"-0.01\"", "\"999999999.99\""];

const UNDO: [Input; 9] = [
    ("Round", &[("k", &KEYS), ("d", &DIGITS)]),
    ("Whole", &[("k", &KEYS), ("d", &DIGITS)]),
    ("Named", &[("k", &KEYS), ("d", &DIGITS)]),
    ("Choose", &[("k", &KEYS), ("d", &DIGITS), ("e", &["\"1\"", "\"100\""]), ("first", &["true", "false"])]),
    ("Coalesce", &[("k", &KEYS), ("d", &["null", "\"9.6\"", "\"1\""]), ("e", &["\"1\"", "\"100\""])]),
    ("Insert", &[("k", &KEYS)]),
    ("Delete", &[("k", &KEYS), ("n", &NUMBERS)]),
    ("Clear", &[("k", &KEYS), ("n", &NUMBERS)]),
    ("Told", &[("k", &KEYS), ("n", &NUMBERS)]),
];

const STEPS: [Input; 7] = [
    ("W", &[("k", &KEYS), ("v", &NUMBERS)]),
    ("Snap", &[("k", &KEYS)]),
    ("Plus", &[("k", &KEYS), ("n", &NUMBERS)]),
    ("Upd", &[("k", &KEYS), ("z", &NUMBERS)]),
    ("Ins", &[("k", &KEYS), ("z", &NUMBERS)]),
    ("Branch", &[("k", &KEYS), ("go", &["true", "false"])]),
    ("Go", &[("to", &["\"A\"", "\"B\""])]),
];

const PLACES: [Input; 9] = [
    ("Fine", &[("d", &DECIMALS)]),
    ("Wide", &[("d", &DECIMALS)]),
    ("Pd", &[("p", &TEXTS), ("q", &TEXTS), ("v", &NUMBERS)]),
    ("Pdel", &[("p", &TEXTS), ("d", &DECIMALS), ("n", &["null", "1"])]),
    ("Lit", &[("v", &NUMBERS)]),
    ("LitRead", &[("v", &NUMBERS)]),
    ("Let", &[("p", &TEXTS), ("v", &NUMBERS)]),
    ("Nul", &[("a", &TEXTS), ("b", &TEXTS), ("v", &NUMBERS)]),
    ("NulDel", &[("a", &TEXTS)]),
];

/// A flow's inputs, tables and outputs.
struct Subject {
    file: &'static str,
    inputs: &'static [Input],
    tables: &'static [&'static str],
    outputs: &'static [&'static str],
}

const SUBJECTS: [Subject; 3] = [
    Subject {
        file: "undo.flow",
        inputs: &UNDO,
        tables: &["First", "Second", "Many"],
        outputs: &["errors", "Digit", "Fine", "Telling"],
    },
    Subject { file: "steps.flow", inputs: &STEPS, tables: &["A"], outputs: &["errors", "O"] },
    Subject {
        file: "keys.flow",
        inputs: &PLACES,
        tables: &["Kd", "Two", "Dp", "L", "Nt", "Et"],
        outputs: &["errors", "O"],
    },
];

/// Requests, some of them without rows, from random numbers.
fn requests(of: &Subject, numbers: &[u32]) -> Vec<Request> {
    let mut numbers = numbers.iter().map(|&number| number as usize);
    let mut made = Vec::new();
    while let Some(number) = numbers.next() {
        let (input, columns) = of.inputs[number % of.inputs.len()];
        let mut rows = Vec::new();
        for _ in 0..number / 16 % 6 {
            let mut row = serde_json::Map::new();
            for (name, values) in columns {
                let value = values[numbers.next().unwrap_or(0) % values.len()];
                row.insert((*name).into(), serde_json::from_str(value).expect("JSON"));
            }
            rows.push(Value::Object(row));
        }
        made.push(Request { client: 0, input, rows });
    }
    made
}

fn subscriptions(of: &Subject, subscribe: impl Fn(&str) -> Result<Subscription, Error>) -> Vec<Subscription> {
    of.outputs.iter().map(|output| subscribe(output).expect("an output")).collect()
}

fn in_one_thread(of: &Subject, requests: &[Request]) -> Seen {
    let node = test_node(flow(of.file));
    let subscriptions = subscriptions(of, |output| node.subscribe(output));
    let (answers, tables) = run(&mut [node.client()], requests, of.tables, &[]);
    Seen { answers, tables, published: published(subscriptions, Subscription::try_next, &[]) }
}

fn with_workers(workers: u32, of: &Subject, requests: &[Request]) -> Seen {
    let node = node(workers, flow(of.file));
    let subscriptions = subscriptions(of, |output| node.subscribe(output));
    // Not the first client, so that its requests enter at another worker.
    let _first = node.client();
    let (answers, tables) = run(&mut [node.client()], requests, of.tables, &[]);
    node.stop().expect("no worker panicked");
    Seen { answers, tables, published: published(subscriptions, Subscription::next, &[]) }
}

fn tables<L: Link>(client: &mut Client<L>, of: &Subject) -> Vec<Vec<String>> {
    of.tables.iter().map(|table| table_text(client, table, &[])).collect()
}

/// Sends rows one by one: a refused one changes no table, replies nothing and publishes its refusal only.
fn refused_rows_change_nothing(of: &Subject, requests: &[Request]) {
    let node = test_node(flow(of.file));
    let mut client = node.client();
    let mut outputs = subscriptions(of, |output| node.subscribe(output));
    let mut before = tables(&mut client, of);
    for request in requests {
        for row in &request.rows {
            let answer = client.send(request.input, std::slice::from_ref(row)).expect("an answer");
            let after = tables(&mut client, of);
            let events: Vec<usize> =
                outputs.iter_mut().map(|output| std::iter::from_fn(|| output.try_next()).count()).collect();
            if !answer.refused.is_empty() {
                assert_eq!(after, before, "{} {row} {}", request.input, answer_text(&answer, &[]));
                assert!(answer.replies.is_empty() && answer.accepted == 0, "{answer:?}");
                assert!(events[0] == 1 && events[1..].iter().all(|&count| count == 0), "{events:?}");
            } else {
                assert_eq!((answer.accepted, events[0]), (1, 0));
            }
            before = after;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_refused_row_changes_nothing(numbers in proptest::collection::vec(any::<u32>(), 0..300)) {
        for of in &SUBJECTS {
            refused_rows_change_nothing(of, &requests(of, &numbers));
        }
    }

    #[test]
    fn steps_come_out_the_same_on_any_number_of_workers(
        numbers in proptest::collection::vec(any::<u32>(), 0..300),
    ) {
        for of in &SUBJECTS {
            let requests = requests(of, &numbers);
            let expected = in_one_thread(of, &requests);
            for workers in [2, 4] {
                prop_assert_eq!(&with_workers(workers, of, &requests), &expected, "{} {} workers", of.file, workers);
            }
        }
    }
}

const NUMBERED: &str = "flow numbered revision 1
    input  Put: { k: int, v: int }
    input  Drop: { k: int }
    table Rows: { k: int, v: int } { key k }
    on Put as p { upsert Rows p }
    on Drop as d { delete Rows where k = d.k }";

fn numbered(workers: u32) -> Node {
    node(workers, parse(NUMBERED))
}

/// Rows that are there from the first page to the last come once and in order, whatever happens to others.
#[test]
fn a_scan_over_pages_stands_while_rows_change() {
    for workers in [1, 3] {
        let node = numbered(workers);
        let (mut reads, mut writes) = (node.client(), node.client());
        let put = |numbers: &mut dyn Iterator<Item = i64>, v: i64| -> Vec<Value> {
            numbers.map(|k| json!({ "k": k, "v": v })).collect()
        };
        // Every third row stays; those between go and come.
        writes.send("Put", &put(&mut (0..9000), 0)).expect("an answer");
        let mut seen = Vec::new();
        for (at, row) in reads.scan("Rows").expect("a table").enumerate() {
            let row = row.expect("a row").to_json().expect("an object");
            seen.push(row["k"].as_i64().expect("a number"));
            if at % 500 == 0 {
                let at = at as i64;
                let gone: Vec<Value> = (0..9000)
                    .filter(|k| k % 3 == 1 && (k + at) % 7 == 0)
                    .map(|k| json!({ "k": k }))
                    .collect();
                writes.send("Drop", &gone).expect("an answer");
                let mut new = (0..9000).filter(|k| k % 3 == 2 || (k + at) % 11 == 0).map(|k| k - 4500);
                writes.send("Put", &put(&mut new, at)).expect("an answer");
            }
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "every key once, in order");
        let stayed: Vec<i64> = seen.into_iter().filter(|k| *k >= 0 && k % 3 == 0).collect();
        assert_eq!(stayed, (0..9000).step_by(3).collect::<Vec<_>>(), "{workers} workers");
    }
}

#[test]
fn two_flows_with_equal_names_do_not_see_each_other() {
    let text = |name: &str| {
        format!(
            "flow {name} revision 1\ninput Put: {{ k: text }}\noutput Out: {{ k: text, n: int }}\n\
             table T: {{ k: text, n: int }} {{ key k }}\n\
             on Put as i {{ upsert T {{ k: i.k, n += 1 }}  read T where k = i.k as t or null  \
             require i.k <> '{name}' else denied '{name}'  reply Out {{ k: i.k, n: coalesce(t.n, 0) }} }}"
        )
    };
    let node = Node::builder("A")
        .workers(2)
        .flow(parse(&text("a")))
        .flow(parse(&text("b")))
        .start()
        .expect("a node");
    let mut client = node.client();
    let row = [json!({ "k": "b" })];
    assert!(matches!(client.send("Put", &row), Err(Error::Ambiguous { .. } | Error::Unknown { .. })));
    for at in 1..4 {
        let answer = client.send("a.Put", &row).expect("an answer");
        assert_eq!(answer_text(&answer, &[]), format!(r#"accepted 1; 0 Out {{"k":"b","n":{at}}}"#));
        assert_eq!(client.send("b.Put", &row).expect("an answer").refused[0].text, "b");
    }
    assert_eq!(table_text(&mut client, "a.T", &[]), [r#"{"k":"b","n":3}"#]);
    assert_eq!(table_text(&mut client, "b.T", &[]), [""; 0]);
}

/// The keys of every type are found by their text, and by values of other forms.
#[test]
fn keys_are_found_by_text() {
    for workers in [1, 4] {
        let node = node(workers, flow("keys.flow"));
        let mut client = node.client();
        let rows = [
            ("Ib", "Kb", "b", json!(true), "true"),
            ("If", "Kf", "f", json!(-0.0), "0"),
            ("Iw", "Kw", "w", json!("2020-01-01 00:00:00+01:00"), "2019-12-31T23:00:00.000Z"),
            ("Iu", "Ku", "u", json!("60s"), "1m"),
            ("Ie", "Ks", "s", json!("big"), "big"),
            ("Iy", "Ky", "y", json!("AA=="), "AA=="),
        ];
        for (input, table, column, value, text) in rows {
            client.send(input, &[json!({ (column): value, "v": 1 })]).expect("an answer");
            assert!(client.get(table, [text]).expect("a key").is_some(), "{table} {text}");
        }
        client.send("Fine", &[json!({ "d": "7" })]).expect("an answer");
        for text in ["7", "7.0", "7.00", "7.0000"] {
            assert!(client.get("Kd", [text]).expect("a key").is_some(), "{text}");
        }
        assert!(client.get("Kd", [7]).expect("a key").is_some());
        client.send("Pd", &[json!({ "p": "", "q": "\u{0}", "v": 1 })]).expect("an answer");
        assert!(client.get("Two", ["", "\u{0}"]).expect("a key").is_some());
        assert!(client.get("Two", ["\u{0}", ""]).expect("a key").is_none());
        assert!(matches!(client.get("Two", [""]), Err(Error::Key { .. })));
    }
}

/// Clients that never stop asking do not keep a node from stopping; each is told.
#[test]
fn a_node_stops_while_clients_go_on_asking() {
    let node = numbered(4);
    let (sender, told) = crossbeam_channel::bounded(4);
    for at in 0..4 {
        let (mut client, sender) = (node.client(), sender.clone());
        std::thread::spawn(move || {
            let mut batch = client.batch("Put").expect("an input");
            (0..1000).for_each(|k| batch.push(&json!({ "k": k, "v": at })).expect("a row"));
            let mut tickets = std::collections::VecDeque::new();
            // The window is always full: there is no moment without a request under way.
            let end = loop {
                match client.submit(batch.clone()) {
                    Ok(ticket) => tickets.push_back(ticket),
                    Err(error) => break error,
                }
                if tickets.len() > 1000
                    && let Some(Err(error)) = tickets.pop_front().map(|ticket| client.wait(ticket))
                {
                    break error;
                }
            };
            let _ = sender.send(matches!(end, Error::Stopped));
        });
    }
    let (sender, stopped) = crossbeam_channel::bounded(1);
    std::thread::spawn(move || sender.send(node.stop().is_ok()));
    assert_eq!(stopped.recv_timeout(Duration::from_secs(60)), Ok(true), "the node stops");
    for _ in 0..4 {
        let told = told.recv_timeout(Duration::from_secs(60));
        assert_eq!(told, Ok(true), "the client is told that the node has stopped");
    }
}

/// What entered is done, even when its client is gone before it is answered.
#[test]
fn what_a_client_sent_is_done_when_it_is_gone() {
    let node = numbered(3);
    for round in 0..20_i64 {
        let mut goes = node.client();
        let mut batch = goes.batch("Put").expect("an input");
        (0..50).for_each(|k| batch.push(&json!({ "k": round * 50 + k, "v": k })).expect("a row"));
        goes.submit(batch).expect("a node that runs");
    }
    let status = loop {
        let status = node.status();
        if status.flows[0].inputs[0].rows_in == 1000 {
            break status;
        }
    };
    assert_eq!(status.flows[0].tables[0].rows, 1000);
    node.stop().expect("no worker panicked");
}

/// However long a test lets time pass, times are times and stamps grow.
#[test]
fn a_clock_that_has_come_to_its_end_stands_still() {
    let text = "flow clock revision 1  input Ask: { k: int }  output Told: { at: time, year: int }
        on Ask as a { reply Told { at: now(), year: extract('year', now()) } }";
    let node = test_node(parse(text));
    let mut client = node.client();
    for (by, expected) in [
        (Duration::from_secs(0), r#"{"at":"2000-01-01T00:00:00Z","year":2000}"#),
        (Duration::from_secs(40_000 * 86_400), r#"{"at":"2109-07-08T00:00:00Z","year":2109}"#),
        (Duration::from_secs(40_000 * 86_400), r#"{"at":"2112-01-01T00:00:00Z","year":2112}"#),
        (Duration::MAX, r#"{"at":"2112-01-01T00:00:00Z","year":2112}"#),
    ] {
        node.advance(by);
        assert_eq!(client.ask("Ask", &json!({ "k": 1 })).expect("a reply")[0].row.to_string(), expected);
    }
}

/// A batch whose rows go to several workers is answered with the numbers and in the order in which it was sent.
#[test]
fn refused_rows_are_numbered_as_they_were_sent() {
    let rows: Vec<Value> =
        (0..200).map(|at| json!({ "k": at % 17, "n": if at % 5 == 0 { 13 } else { at + 20 } })).collect();
    let expected: Vec<usize> = (0..200).step_by(5).collect();
    for workers in [1, 2, 4] {
        let node = node(workers, flow("undo.flow"));
        let answer = node.client().send("Told", &rows).expect("an answer");
        let refused: Vec<usize> = answer.refused.iter().map(|refused| refused.request_row).collect();
        assert_eq!(refused, expected, "{workers} workers");
        assert_eq!(answer.accepted, 200 - expected.len());
        let replies: Vec<usize> = answer.replies.iter().map(|reply| reply.request_row).collect();
        let taken = (0..200).filter(|at| !expected.contains(at)).flat_map(|at| [at, at]);
        assert_eq!(replies, taken.collect::<Vec<_>>(), "{workers} workers");
    }
}
