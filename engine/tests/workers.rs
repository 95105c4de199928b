//! A node does the same with one worker and with several: random requests give the same answers and tables as the
//! same requests one after the other in one thread, and for the reference flow as a map.

mod support;

use std::collections::BTreeMap;

use anabranch::{Flow, Subscription};
use proptest::prelude::*;
use serde_json::json;
use support::{ClockColumns, Request, Seen, answer_text, flow, node, published, run, test_node};

/// Clients of a random run. Each has keys of its own, so that it is known in which order they are touched.
const CLIENTS: usize = 3;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() }
}

/// What a node with so many workers does with requests.
fn with_workers(workers: u32, flow: Flow, requests: &[Request], see: &See) -> Seen {
    let node = node(workers, flow);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| node.client()).collect();
    let subscriptions = see.outputs.iter().map(|output| node.subscribe(output).expect("an output")).collect();
    let (answers, tables) = run(&mut clients, requests, see.tables, see.clock);
    // Workers publish on their own: what they did is all there when they have stopped.
    node.stop().expect("no worker panicked");
    Seen { answers, tables, published: published(subscriptions, Subscription::next, see.clock) }
}

/// What the same node in one thread does.
fn in_one_thread(flow: Flow, requests: &[Request], see: &See) -> Seen {
    let node = test_node(flow);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| node.client()).collect();
    let subscriptions = see.outputs.iter().map(|output| node.subscribe(output).expect("an output")).collect();
    let (answers, tables) = run(&mut clients, requests, see.tables, see.clock);
    Seen { answers, tables, published: published(subscriptions, Subscription::try_next, see.clock) }
}

/// What is looked at.
struct See {
    tables: &'static [&'static str],
    outputs: &'static [&'static str],
    clock: ClockColumns,
}

fn same_on_any_number_of_workers(file: &str, requests: &[Request], see: &See) -> Result<(), TestCaseError> {
    let expected = in_one_thread(flow(file), requests, see);
    for workers in [1, 2, 4] {
        let seen = with_workers(workers, flow(file), requests, see);
        prop_assert_eq!(&seen, &expected, "{} workers", workers);
    }
    Ok(())
}

/// The reference flow on a map, one request after the other.
fn names_by_hand(requests: &[Request]) -> Seen {
    let mut table: BTreeMap<String, String> = BTreeMap::new();
    let mut published = Vec::new();
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let mut answers = Vec::new();
    for request in requests {
        let mut answer = format!("accepted {}", request.rows.len());
        for (at, row) in request.rows.iter().enumerate() {
            let name = text(&row["name"]);
            match request.input {
                "UpdateStream" => drop(table.insert(name, text(&row["value"]))),
                "DeleteStream" => drop(table.remove(&name)),
                _ => {
                    let value = table.get(&name);
                    let (value, found, name) = (json!(value), value.is_some(), json!(name));
                    let row =
                        format!(r#"{{"sourcenode":"A","name":{name},"value":{value},"found":{found}}}"#);
                    answer.push_str(&format!("; {at} OutputStream {row}"));
                    published.push(row);
                }
            }
        }
        answers.push(answer);
    }
    published.sort();
    let row = |(name, value): (&String, &String)| {
        format!(r#"{{"name":{},"value":{},"createdon":"A"}}"#, json!(name), json!(value))
    };
    Seen { answers, tables: vec![table.iter().map(row).collect()], published }
}

const NAMES: See = See { tables: &["QueryTable"], outputs: &["OutputStream"], clock: &[] };

/// Any text that `serde_json` writes as the engine does: it has short forms for two control characters more.
const TEXT: &str = "[^\\x08\\x0c]{0,3}";

fn names_requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (0..CLIENTS, 0..3_usize, proptest::collection::vec((0..6_u8, TEXT), 0..7));
    let request = request.prop_map(|(client, kind, rows)| {
        let input = ["UpdateStream", "ReadStream", "DeleteStream"][kind];
        let row = |(name, value): (u8, String)| {
            let name = format!("{client}/{name}");
            if input == "UpdateStream" {
                json!({ "name": name, "value": value })
            } else {
                json!({ "name": name })
            }
        };
        Request { client, input, rows: rows.into_iter().map(row).collect() }
    });
    proptest::collection::vec(request, 0..60)
}

fn orders_requests() -> impl Strategy<Value = Vec<Request>> {
    let row = (0..4_i64, 0..3_usize, -1..3_i64);
    let request = (0..CLIENTS, 0..5_usize, proptest::collection::vec(row, 1..6));
    let request = request.prop_map(|(client, kind, rows)| {
        let input = ["PlaceOrder", "PayOrder", "ShipOrder", "CancelOrder", "GetOrder"][kind];
        let row = |(number, customer, amount): (i64, usize, i64)| {
            let (number, customer) = (client as i64 * 10 + number, ["ada", "bob", " "][customer]);
            match input {
                "PlaceOrder" => json!({ "number": number, "customer": customer, "total": amount }),
                "PayOrder" => json!({ "number": number, "amount": amount }),
                "ShipOrder" => json!({ "number": number, "parcel": customer }),
                "CancelOrder" => json!({ "number": number, "customer": customer }),
                _ => json!({ "number": number }),
            }
        };
        Request { client, input, rows: rows.into_iter().map(row).collect() }
    });
    proptest::collection::vec(request, 0..60)
}

fn inventory_requests() -> impl Strategy<Value = Vec<Request>> {
    let row = (0..4_u8, -3..4_i64, -100..2000_i64, proptest::bool::ANY, proptest::option::of("[a-z]{0,3}"));
    let request = (0..CLIENTS, 0..4_usize, proptest::collection::vec(row, 1..9));
    let request = request.prop_map(|(client, kind, rows)| {
        let input = if kind == 0 { "GetProduct" } else { "Lines" };
        let row = |(code, quantity, cents, cancelled, description): (u8, i64, i64, bool, Option<String>)| {
            let code = format!("{client}{code}");
            if input == "GetProduct" {
                return json!({ "StockCode": code });
            }
            let price = if cents < 100 { "0".to_owned() } else { format!("{}.{:02}", cents / 100 - 1, cents % 100) };
            json!({
                "InvoiceNo": if cancelled { "C1" } else { "1" }, "StockCode": code, "Description": description,
                "Quantity": quantity, "InvoiceDate": format!("2010-12-{:02}", cents.rem_euclid(28) + 1),
                "UnitPrice": price, "Country": "EIRE",
            })
        };
        Request { client, input, rows: rows.into_iter().map(row).collect() }
    });
    proptest::collection::vec(request, 0..40)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_reference_flow_does_what_a_map_does(requests in names_requests()) {
        let expected = names_by_hand(&requests);
        prop_assert_eq!(&in_one_thread(flow("names.flow"), &requests, &NAMES), &expected);
        for workers in [1, 2, 4] {
            let seen = with_workers(workers, flow("names.flow"), &requests, &NAMES);
            prop_assert_eq!(&seen, &expected, "{} workers", workers);
        }
    }

    #[test]
    fn orders_come_out_the_same_on_any_number_of_workers(requests in orders_requests()) {
        let see = See { tables: &["Orders"], outputs: &["Changes", "Order", "errors"], clock: &["changed", "at"] };
        same_on_any_number_of_workers("orders.flow", &requests, &see)?;
    }

    #[test]
    fn an_inventory_comes_out_the_same_on_any_number_of_workers(requests in inventory_requests()) {
        let see = See { tables: &["Products"], outputs: &["Product", "errors"], clock: &[] };
        same_on_any_number_of_workers("inventory.flow", &requests, &see)?;
    }
}

#[test]
fn the_reference_statements_are_answered_with_one_and_with_four_workers() {
    let statements = [
        ("UpdateStream", json!({ "name": "a", "value": "1" }), "accepted 1"),
        (
            "ReadStream",
            json!({ "name": "a" }),
            r#"accepted 1; 0 OutputStream {"sourcenode":"A","name":"a","value":"1","found":true}"#,
        ),
        ("UpdateStream", json!({ "name": "a", "value": "2" }), "accepted 1"),
        (
            "ReadStream",
            json!({ "name": "a" }),
            r#"accepted 1; 0 OutputStream {"sourcenode":"A","name":"a","value":"2","found":true}"#,
        ),
        ("DeleteStream", json!({ "name": "a" }), "accepted 1"),
        (
            "ReadStream",
            json!({ "name": "a" }),
            r#"accepted 1; 0 OutputStream {"sourcenode":"A","name":"a","value":null,"found":false}"#,
        ),
    ];
    let (one, four, test) =
        (node(1, flow("names.flow")), node(4, flow("names.flow")), test_node(flow("names.flow")));
    let (mut one, mut four, mut test) = (one.client(), four.client(), test.client());
    for (input, row, expected) in statements {
        let row = [row];
        assert_eq!(answer_text(&one.send(input, &row).expect("an answer"), &[]), expected, "one worker");
        assert_eq!(answer_text(&four.send(input, &row).expect("an answer"), &[]), expected, "four workers");
        assert_eq!(answer_text(&test.send(input, &row).expect("an answer"), &[]), expected, "in one thread");
    }
}
