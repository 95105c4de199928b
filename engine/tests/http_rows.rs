//! Rows over HTTP: sent, asked for, read.

mod http_support;

use anabranch::Flow;
use http_support::{JSON, NDJSON, SHOP, names, serve, shop};
use serde_json::{Value, json};

#[test]
fn rows_are_sent_as_an_object_an_array_or_lines() {
    let served = names();
    let path = "/flows/names/streams/UpdateStream";
    let one = served.post(path, r#"{"name":"a","value":"1"}"#);
    assert_eq!((one.status, one.json()), (200, json!({ "accepted": 1, "refused": [] })));
    let pretty = served.post(path, "{\n  \"name\": \"b\",\n  \"value\": \"1\"\n}\n");
    assert_eq!(pretty.json()["accepted"], 1);
    let array =
        served.post("/streams/UpdateStream", r#" [{"name":"c","value":"1"}, {"name":"d","value":"1"}]"#);
    assert_eq!(array.json()["accepted"], 2);
    let lines = "{\"name\":\"e\",\"value\":\"1\"}\r\n\n {\"value\":\"1\",\"name\":\"f\"}";
    assert_eq!(served.request("POST", path, &[NDJSON], lines).json()["accepted"], 2);
    assert_eq!(served.post(path, "").json(), json!({ "accepted": 0, "refused": [] }));
    let table = served.get("/tables/QueryTable");
    assert_eq!(table.header("content-type"), Some("application/x-ndjson"));
    let names: Vec<Value> =
        table.body.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    assert_eq!(names.iter().map(|row| row["name"].as_str().unwrap_or("")).collect::<String>(), "abcdef");
    assert_eq!(names[0], json!({ "name": "a", "value": "1", "createdon": "A" }));
}

#[test]
fn rows_of_one_body_are_applied_in_their_order() {
    let served = names();
    let mut connection = served.connect();
    connection.head("POST", "/streams/UpdateStream", &[NDJSON], None);
    for piece in 0..40 {
        let lines: String = (0..100)
            .map(|line| format!("{{\"name\":\"n{}\",\"value\":\"{}\"}}\n", line % 7, piece * 100 + line))
            .collect();
        connection.chunk(lines.as_bytes());
    }
    connection.chunk(b"");
    assert_eq!(connection.reply(false).json(), json!({ "accepted": 4000, "refused": [] }));
    for (name, last) in [("n0", 3998), ("n1", 3999), ("n6", 3997)] {
        let row = served.get(&format!("/tables/QueryTable/{name}")).json();
        assert_eq!(row["value"], last.to_string(), "{name}");
    }
}

#[test]
fn rows_of_a_slow_sender_take_effect_before_its_body_ends() {
    let served = names();
    let mut slow = served.connect();
    slow.head("POST", "/streams/UpdateStream", &[NDJSON], None);
    slow.chunk(b"{\"name\":\"early\",\"value\":\"1\"}\n{\"name\":");
    let mut other = served.connect();
    while other.request("GET", "/tables/QueryTable/early", &[], b"").status != 200 {
        std::thread::yield_now();
    }
    slow.chunk(b"\"late\",\"value\":\"1\"}");
    slow.chunk(b"");
    assert_eq!(slow.reply(false).json()["accepted"], 2);
}

#[test]
fn refused_rows_are_told_with_row_code_message_and_place() {
    let served = shop();
    let row = |price: i32| format!("{{\"shelf\":\"s\",\"number\":1,\"price\":{price}}}\n");
    let body: String = (0..600).map(|at| row(if at == 300 { -1 } else { at })).collect();
    let reply = served.request("POST", "/streams/Put", &[NDJSON], &body);
    let message = "the price is below zero";
    let place = json!({ "file": "shop.flow", "line": 19, "column": 3 });
    let refused = json!({ "row": 300, "code": "invalid", "message": message, "place": place });
    assert_eq!((reply.status, reply.json()), (200, json!({ "accepted": 599, "refused": [refused] })));
    let all: String = (0..1500).map(|_| row(-1)).collect();
    let reply = served.request("POST", "/streams/Put", &[NDJSON], &all).json();
    assert_eq!(reply["refused"].as_array().map(Vec::len), Some(1000));
    assert_eq!((&reply["accepted"], &reply["refused_not_told"]), (&json!(0), &json!(500)));
}

#[test]
fn a_line_that_is_no_row_ends_the_request_where_it_stands() {
    let served = names();
    let body = "{\"name\":\"a\",\"value\":\"1\"}\n\n{\"name\":\"b\",\"valeu\":\"1\"}\n{\"name\":\"c\",\"value\":\"1\"}\n";
    let reply = served.request("POST", "/streams/UpdateStream", &[NDJSON], body);
    assert_eq!(
        (reply.status, reply.json()),
        (
            400,
            json!({
                "code": "invalid",
                "message": "line 3: column `valeu`: the rows have no such column",
                "help": "did you mean `value`?",
                "column": "valeu",
                "line": 3,
                "accepted": 1,
                "refused": [],
            })
        )
    );
    assert_eq!(served.get("/tables/QueryTable").body.lines().count(), 1);
}

#[test]
fn a_json_body_is_checked_whole_before_anything_takes_effect() {
    let served = names();
    let reply = served.post("/streams/UpdateStream", r#"[{"name":"a","value":"1"},{"name":"b","value":1}]"#);
    assert_eq!(reply.problem(), (400, "invalid".into()));
    let json = reply.json();
    assert_eq!((&json["row"], &json["accepted"]), (&json!(1), &json!(0)));
    assert_eq!(json["message"], "row 1: column `value`: `1` is not text");
    assert_eq!(served.get("/tables/QueryTable").body, "");
}

#[test]
fn asking_gives_the_replies_or_the_status_of_the_refusal() {
    let served = shop();
    served.post("/streams/Put", r#"{"shelf":"a/b","number":7,"price":"1.50"}"#);
    let reply = served.post("/flows/shop/ask/Ask", r#"{"shelf":"a/b","number":7}"#);
    let row = json!({ "shelf": "a/b", "number": 7, "price": "1.50" });
    assert_eq!((reply.status, reply.json()), (200, json!({ "replies": [{ "stream": "Item", "row": row }] })));
    let silent = served.post("/ask/Put", r#"{"shelf":"x","number":1,"price":1}"#);
    assert_eq!(silent.json(), json!({ "replies": [] }));
    let refused = served.post("/ask/Ask", r#"{"shelf":"a","number":7}"#);
    assert_eq!(refused.problem(), (404, "not_found".into()));
    assert_eq!(refused.json()["place"]["file"], "shop.flow");
    for (how, status) in [("conflict", 409), ("denied", 403), ("unavailable", 503)] {
        let refused = served.post("/ask/Refuse", &json!({ "how": how }).to_string());
        assert_eq!(refused.problem(), (status, how.to_owned()));
        assert_eq!(refused.header("retry-after").is_some(), status == 503);
    }
    assert_eq!(served.post("/ask/Ask", "[]").problem(), (400, "invalid".into()));
}

#[test]
fn a_row_is_read_by_a_key_of_one_or_more_columns() {
    let served = shop();
    for (shelf, number) in [("a/b", 7), ("", -1), ("ü %", 0)] {
        let row = json!({ "shelf": shelf, "number": number, "price": 1 });
        assert_eq!(served.post("/streams/Put", &row.to_string()).json()["accepted"], 1);
        assert_eq!(served.post("/streams/Tell", &json!({ "text": shelf }).to_string()).json()["accepted"], 1);
    }
    for (path, shelf) in [("a%2Fb/7", "a/b"), ("/-1", ""), ("%C3%BC%20%25/0", "ü %")] {
        let reply = served.get(&format!("/flows/shop/tables/Items/{path}"));
        assert_eq!((reply.status, &reply.json()["shelf"]), (200, &json!(shelf)), "{path}");
    }
    for (path, text) in [("a%2fb", "a/b"), ("", ""), ("%C3%BC%20%25", "ü %")] {
        let reply = served.get(&format!("/tables/Words/{path}"));
        assert_eq!((reply.status, reply.json()), (200, json!({ "text": text })), "{path}");
    }
    assert_eq!(served.get("/tables/Items/none/1").problem(), (404, "not_found".into()));
    for wrong in ["a", "a/b/c", "a/b", "a/%zz", "%ff/1", "/"] {
        assert_eq!(
            served.get(&format!("/tables/Items/{wrong}")).problem(),
            (400, "invalid".into()),
            "{wrong}"
        );
    }
}

#[test]
fn a_table_is_read_in_key_order_from_a_key_on() {
    let served = shop();
    let rows: String =
        (0..3000).map(|n| json!({ "shelf": "s", "number": n, "price": 1 }).to_string() + "\n").collect();
    assert_eq!(served.request("POST", "/streams/Put", &[NDJSON], &rows).json()["accepted"], 3000);
    let numbers = |query: &str| -> Vec<i64> {
        let reply = served.get(&format!("/tables/Items{query}"));
        assert!(reply.whole && reply.status == 200, "{reply:?}");
        let row = |line: &str| serde_json::from_str::<Value>(line).expect("a row")["number"].as_i64();
        reply.body.lines().map(|line| row(line).expect("a number")).collect()
    };
    assert_eq!(numbers(""), (0..3000).collect::<Vec<_>>());
    assert_eq!(numbers("?limit=1500"), (0..1500).collect::<Vec<_>>());
    assert_eq!(numbers("?limit=3&after=s&after=1498"), [1499, 1500, 1501]);
    assert_eq!(numbers("?after=s&after=2998&limit=10"), [2999]);
    assert_eq!(numbers("?limit=0"), [0_i64; 0]);
    for wrong in ["?limit=x", "?limit=1&limit=2", "?limt=1", "?after=s", "?limit=-1", "?limit=%"] {
        assert_eq!(
            served.get(&format!("/tables/Items{wrong}")).problem(),
            (400, "invalid".into()),
            "{wrong}"
        );
    }
}

#[test]
fn a_path_without_its_flow_means_the_only_one() {
    let two = serve(1, &[("names.flow", anabranch::doc::NAMES), ("shop.flow", SHOP)], Default::default());
    let reply = two.get("/tables/QueryTable");
    assert_eq!(reply.problem(), (404, "ambiguous".into()));
    assert!(reply.json()["help"].as_str().is_some_and(|help| help.contains("`/flows/names`")), "{reply:?}");
    assert_eq!(two.get("/flows/names/tables/QueryTable").status, 200);
    assert_eq!(two.get("/flows").json()["flows"][1]["tables"], json!(["Items", "Words"]));
    assert_eq!(two.get("/flows/shop").body, SHOP);
    let none = serve(1, &[], Default::default());
    assert_eq!(none.get("/tables/QueryTable").problem(), (404, "unknown".into()));
}

#[test]
fn a_node_tells_what_it_has_and_how_it_is() {
    let served = names();
    assert!(served.get("/").body.contains("/flows/{flow}/ask/{input}"));
    assert_eq!((served.get("/live").status, served.get("/ready").json()), (200, json!({ "ready": true })));
    let status = served.get("/status").json();
    assert_eq!((&status["node"], &status["flows"][0]["flow"]), (&json!("A"), &json!("names")));
    let proto = served.get("/flows/names/proto");
    assert_eq!(proto.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(proto.body, Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles").proto());
    assert!(proto.body.contains("service Names {"), "{}", proto.body);
    let head = served.request("HEAD", "/flows", &[JSON], "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    served.node.stop().expect("it stops");
    let ready = http_support::connect(&served.server).request("GET", "/ready", &[], b"");
    assert_eq!(ready.problem(), (503, "stopped".into()));
}

#[test]
fn questions_are_answered_with_a_row_a_line() {
    let served = shop();
    let rows: String =
        (0..3000).map(|n| json!({ "shelf": "s", "number": n, "price": n % 3 }).to_string() + "\n").collect();
    served.request("POST", "/streams/Put", &[NDJSON], &rows);
    let ask =
        |kind: &str, question: &str| served.request("POST", "/query", &[("content-type", kind)], question);
    let groups =
        ask("text/plain", "select price, count(*) as items from Items group by price order by price");
    assert_eq!(
        groups.body,
        "{\"price\":\"0.00\",\"items\":1000}\n{\"price\":\"1.00\",\"items\":1000}\n{\"price\":\"2.00\",\"items\":1000}\n"
    );
    assert_eq!(groups.header("content-type"), Some("application/x-ndjson"));
    let all = ask("text/plain", "select * from shop.Items");
    assert_eq!((all.whole, all.body.lines().count()), (true, 3000));
    let one =
        ask("application/json", r#"{"query": "select number from Items where shelf = 's' and number = 7"}"#);
    assert_eq!(one.body, "{\"number\":7}\n");
    let none = ask("text/plain", "select number from Items where shelf = 'x'");
    assert_eq!((none.status, none.body.as_str()), (200, ""));
    let wrong = ask("text/plain", "select numbr from Items");
    assert_eq!(wrong.problem(), (400, "invalid".into()));
    assert!(
        wrong.json()["diagnostics"][0]["code"].as_str().is_some_and(|code| code.starts_with('F')),
        "{wrong:?}"
    );
    assert_eq!(ask("text/plain", "select 1 / (number - 5) as x from Items").problem().0, 400);
    for (kind, body) in [("application/json", "{}"), ("application/json", "x"), ("text/plain", "")] {
        assert_eq!(ask(kind, body).problem(), (400, "invalid".into()), "{body}");
    }
}

#[test]
fn flows_are_installed_replaced_and_dropped() {
    let served = names();
    let text = |revision: u32, columns: &str| {
        format!(
            "flow seen revision {revision}\ninput See: {{ name: text }}\ntable Names: {{ name: text, {columns} }} {{ key name }}\n\
             on See as s {{ upsert Names {{ name: s.name, times += 1 }} }}\n"
        )
    };
    let put = |text: &str| served.request("PUT", "/flows/seen", &[], text);
    assert_eq!(put(&text(1, "times: int")).status, 201);
    assert_eq!(served.post("/flows/seen/streams/See", r#"{"name":"a"}"#).json()["accepted"], 1);
    let newer = put(&text(2, "times: int, kind: text default 'old'"));
    assert_eq!((newer.status, &newer.json()["revision"]), (200, &json!(2)));
    assert_eq!(newer.json()["changes"][0]["verdict"], "allowed");
    assert_eq!(
        served.get("/flows/seen/tables/Names/a").json(),
        json!({ "name": "a", "times": 1, "kind": "old" })
    );
    let refused = put(&text(3, "times: int?"));
    assert_eq!(refused.problem(), (409, "refused".into()));
    assert!(refused.json()["changes"].as_array().is_some_and(|changes| changes.len() >= 2), "{refused:?}");
    let wrong = put("flow seen revision 4\ninput See { name: txt }\n");
    assert_eq!(wrong.problem(), (422, "wrong_flow".into()));
    assert!(wrong.json()["diagnostics"][0]["labels"][0]["line"].is_u64(), "{wrong:?}");
    let other = served.request("PUT", "/flows/other", &[], &text(9, "times: int"));
    assert_eq!(other.problem(), (400, "invalid".into()));
    let named = |name: &str| text(1, "times: int").replace("flow seen", &format!("flow \"{name}\""));
    assert_eq!(served.request("PUT", "/flows/my-flow", &[], &named("my-flow")).status, 201);
    let same = served.request("PUT", "/flows/my_flow", &[], &named("my_flow"));
    assert_eq!(same.problem(), (409, "same_service".into()), "{same:?}");
    assert_eq!(served.request("DELETE", "/flows/my-flow", &[], "").status, 200);
    assert_eq!(served.get("/flows/seen").body, text(2, "times: int, kind: text default 'old'"));
    let dropped = served.request("DELETE", "/flows/seen", &[], "");
    assert_eq!((dropped.status, dropped.json()), (200, json!({ "dropped": "seen" })));
    assert_eq!(served.request("DELETE", "/flows/seen", &[], "").problem(), (404, "unknown".into()));
    assert_eq!(served.get("/flows").json()["flows"].as_array().map(Vec::len), Some(1));
}
