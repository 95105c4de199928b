//! Flows are deployed to a running node, replaced by newer revisions, and dropped.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]

use std::sync::atomic::{AtomicBool, Ordering};

use anabranch::testing::TestNode;
use anabranch::{Before, Client, Deployed, Error, Event, Flow, Link, Node, NodeStatus, Subscription};
use serde_json::{Value, json};

/// Nodes of both kinds, told the same.
trait Live {
    type Way: Link;
    fn new_client(&self) -> Client<Self::Way>;
    fn deploy_flow(&self, flow: Flow) -> Result<Deployed, Error>;
    fn end_flow(&self, name: &str) -> Result<(), Error>;
    fn listen(&self, output: &str) -> Subscription;
    fn counts(&self) -> NodeStatus;
}

macro_rules! live {
    ($node:ty, $way:ty) => {
        impl Live for $node {
            type Way = $way;
            fn new_client(&self) -> Client<$way> {
                self.client()
            }
            fn deploy_flow(&self, flow: Flow) -> Result<Deployed, Error> {
                self.deploy(flow)
            }
            fn end_flow(&self, name: &str) -> Result<(), Error> {
                self.drop_flow(name)
            }
            fn listen(&self, output: &str) -> Subscription {
                self.subscribe(output).expect("there is such an output")
            }
            fn counts(&self) -> NodeStatus {
                self.status()
            }
        }
    };
}

live!(Node, anabranch::Connection);
live!(TestNode, anabranch::Here);

/// A node without flows, with so many workers on threads.
fn threads(workers: u32) -> Node {
    Node::builder("A").workers(workers).seed(1).start().expect("a node")
}

fn alone() -> TestNode {
    TestNode::start("A", 1, Vec::new()).expect("a node")
}

fn compiled(text: &str) -> Flow {
    Flow::parse("live.flow", text).unwrap_or_else(|error| panic!("{error}"))
}

/// A counter of names: `columns` are more columns of its table.
fn counter(revision: u32, columns: &str, rule: &str) -> Flow {
    compiled(&format!(
        "flow counter revision {revision}
         input  Count, Look: {{ name: text }}
         output Told: {{ name: text, times: int?, revision: int }}
         table  Names: {{ name: text, times: int{columns} }} {{ key name }}
         on Count as c {{
           upsert Names {{ name: c.name, times += 1 }}
           emit Told {{ name: c.name, times: 0, revision: revision() }}
         }}
         on Look as l {{
           read Names where name = l.name as row or null
           reply Told {{ name: l.name, times: row.times, revision: revision() }}
         }}
         {rule}"
    ))
}

fn name(name: impl std::fmt::Display) -> Value {
    json!({ "name": name.to_string() })
}

fn looked<L: Link>(client: &mut Client<L>, of: &str) -> String {
    client.ask("counter.Look", &name(of)).expect("asked")[0].row.to_string()
}

#[test]
fn a_flow_is_installed_replaced_and_dropped_while_clients_go_on() {
    install_replace_drop(&alone());
    for workers in [1, 2, 4] {
        install_replace_drop(&threads(workers));
    }
}

fn install_replace_drop(node: &impl Live) {
    let mut client = node.new_client();
    assert!(matches!(client.send("Count", &[name("a")]), Err(Error::Unknown { .. })));
    let deployed = node.deploy_flow(counter(1, "", "")).expect("installed");
    assert_eq!((deployed.before, deployed.flow.revision()), (Before::Nothing, 1));
    let names: Vec<Value> = (0..500).map(name).collect();
    assert_eq!(client.send("Count", &names).expect("sent").accepted, 500);

    let deployed =
        node.deploy_flow(counter(2, ", kind: text default 'old', note: text?", "")).expect("allowed");
    let Before::Older(evolution) = deployed.before else { panic!("{:?}", deployed.before) };
    assert_eq!((evolution.from, evolution.to), (1, 2));
    assert_eq!(client.send("Count", &names).expect("sent").accepted, 500);
    let rows: Vec<String> =
        client.scan("Names").expect("a table").map(|row| row.expect("a row").to_string()).collect();
    assert_eq!(rows.len(), 500);
    assert_eq!(rows[0], r#"{"name":"0","times":2,"kind":"old","note":null}"#);
    assert_eq!(looked(&mut client, "499"), r#"{"name":"499","times":2,"revision":2}"#);
    let status = node.counts();
    let [flow] = &status.flows[..] else { panic!("{status:?}") };
    assert_eq!((flow.revision, flow.tables[0].rows, flow.inputs[0].rows_in), (2, 500, 1000));

    node.end_flow("counter").expect("dropped");
    assert!(matches!(client.send("Count", &[name("a")]), Err(Error::Unknown { .. })));
    assert!(matches!(node.end_flow("counter"), Err(Error::Unknown { .. })));
    assert!(node.counts().flows.is_empty());
    node.deploy_flow(counter(1, "", "")).expect("installed again");
    assert_eq!(looked(&mut client, "1"), r#"{"name":"1","times":null,"revision":1}"#);
}

#[test]
fn a_request_sent_before_sees_the_old_revision_and_one_sent_after_the_new() {
    for workers in [1, 2, 4] {
        let node = threads(workers);
        node.deploy(counter(1, "", "")).expect("installed");
        let mut clients: Vec<_> = (0..4).map(|_| node.client()).collect();
        for revision in 2..12 {
            let tickets: Vec<_> = (0..40)
                .map(|n| {
                    let client = &mut clients[n % 4];
                    let mut batch = client.batch("Look").expect("an input");
                    batch.push(&name(n)).expect("it fits");
                    (n % 4, client.submit(batch).expect("sent"))
                })
                .collect();
            node.deploy(counter(revision, "", "")).expect("allowed");
            for (client, ticket) in tickets {
                let answer = clients[client].wait(ticket).expect("answered");
                let expected = format!(r#""revision":{}}}"#, revision - 1);
                assert!(answer.replies[0].row.to_string().ends_with(&expected), "{:?}", answer.replies);
            }
            for client in &mut clients {
                let expected = format!(r#"{{"name":"x","times":null,"revision":{revision}}}"#);
                assert_eq!(looked(client, "x"), expected);
            }
        }
    }
}

#[test]
fn a_refused_revision_leaves_everything_as_it_was_and_says_all_reasons() {
    let node = alone();
    node.deploy(counter(3, "", "")).expect("installed");
    let mut client = node.client();
    client.send("Count", &[name("a")]).expect("sent");
    let before = node.status();
    let worse = compiled(
        "flow counter revision 4
         input  Count: { name: int }
         output Told: { name: text, times: int?, revision: int }
         table  Names: { name: text, times: int, more: int } { key name }",
    );
    let Err(error @ Error::Evolution(_)) = node.deploy(worse) else { panic!("it is refused") };
    let text = error.to_string();
    for reason in ["input Look: removed", "column `name`: text -> int", "new column `more`: int"] {
        assert!(text.contains(reason), "{reason} is missing in\n{text}");
    }
    for (revision, columns) in [(2, ""), (3, ", x: int?")] {
        assert!(matches!(node.deploy(counter(revision, columns, "")), Err(Error::Evolution(_))));
    }
    assert!(matches!(Flow::parse("live.flow", "flow counter revision 4 oops"), Err(Error::Flow(_))));
    assert_eq!(node.status(), before);
    assert_eq!(looked(&mut client, "a"), r#"{"name":"a","times":1,"revision":3}"#);
    assert_eq!(node.deploy(counter(3, "", "")).expect("the same").before, Before::Same);
}

#[test]
fn a_row_that_would_grow_too_long_refuses_the_revision_and_the_flow_runs_on() {
    let flow = |revision: u32, more: &str| {
        compiled(&format!(
            "flow long revision {revision}
             input  Put, Look: {{ id: int, text: text }}
             output Seen: {{ id: int }}
             table  Texts: {{ id: int, text: text{more} }} {{ key id }}
             on Put as p {{ upsert Texts {{ id: p.id, text: p.text }} }}"
        ))
    };
    let node = alone();
    node.deploy(flow(1, "")).expect("installed");
    let mut client = node.client();
    let text = "x".repeat((4 << 20) - 100);
    client.send("Put", &[json!({ "id": 1, "text": text })]).expect("it just fits");
    let default = format!(", more: text default '{}'", "y".repeat(200));
    let Err(Error::Evolution(evolution)) = node.deploy(flow(2, &default)) else { panic!("it is refused") };
    assert!(evolution.to_string().contains("table Texts"), "{evolution}");
    assert_eq!(node.flows()[0].revision(), 1);
    assert_eq!(client.send("Put", &[json!({ "id": 1, "text": "short" })]).expect("sent").accepted, 1);
    node.deploy(flow(2, &default)).expect("now it fits");
    assert!(client.get("Texts", [1]).expect("read").expect("a row").to_string().contains("yyy"));
}

#[test]
fn a_batch_that_was_packed_for_an_older_revision_is_taken_with_defaults() {
    let flow = |revision: u32, columns: &str, all: &str| {
        compiled(&format!(
            "flow wide revision {revision}
             input  Other: {{ x: int }}
             input  Put: {{ id: int{columns} }}
             table  Rows: {{ id: int{columns} }} {{ key id }}
             table  More: {{ id: int }} {{ key id }}
             on Put as p {{ upsert Rows {{ id: p.id{all} }} }}"
        ))
    };
    let node = alone();
    node.deploy(flow(1, "", "")).expect("installed");
    let mut client = node.client();
    let mut old = client.batch("Put").expect("an input");
    old.push(&json!({ "id": 7 })).expect("it fits");
    let stale = old.clone();
    let (columns, all) = (", kind: text default 'k', at: time?", ", kind: p.kind, at: p.at");
    // The numbers of the streams change as well.
    let swapped = node.deploy(compiled(&format!(
        "flow wide revision 2
         input  Put: {{ id: int{columns} }}
         input  Other: {{ x: int }}
         table  More: {{ id: int }} {{ key id }}
         table  Rows: {{ id: int{columns} }} {{ key id }}
         on Put as p {{ upsert Rows {{ id: p.id{all} }} }}"
    )));
    swapped.expect("allowed");
    let ticket = client.submit(old).expect("taken");
    assert_eq!(client.wait(ticket).expect("answered").accepted, 1);
    let row = client.get("Rows", [7]).expect("read").expect("a row");
    assert_eq!(row.to_string(), r#"{"id":7,"kind":"k","at":null}"#);

    for revision in 3..30 {
        node.deploy(flow(revision, columns, all)).expect("allowed");
    }
    assert!(matches!(client.submit(stale), Err(Error::Changed { .. })));
    let known = client.batch("Put").expect("an input");
    node.drop_flow("wide").expect("dropped");
    assert!(matches!(client.submit(known), Err(Error::Gone { .. })));
}

#[test]
fn a_scan_goes_on_across_a_replacement_with_every_row_once() {
    for workers in [1, 2] {
        let node = threads(workers);
        node.deploy(counter(1, "", "")).expect("installed");
        let names: Vec<Value> = (0..5000).map(name).collect();
        node.client().send("Count", &names).expect("sent");
        let mut client = node.client();
        let mut scan = client.scan("Names").expect("a table");
        let mut rows: Vec<String> =
            scan.by_ref().take(10).map(|row| row.expect("a row").to_string()).collect();
        node.deploy(counter(2, ", kind: text default 'new'", "")).expect("allowed");
        rows.extend(scan.map(|row| row.expect("a row").to_string()));
        assert_eq!(rows.len(), 5000);
        assert!(rows.is_sorted());
        assert_eq!((rows[0].contains("kind"), rows[4999].contains(r#""kind":"new""#)), (false, true));
    }
}

#[test]
fn a_subscription_goes_on_with_the_new_shape_and_ends_with_its_flow() {
    let wide = |revision: u32| {
        compiled(&format!(
            "flow counter revision {revision}
             output More: {{ x: int }}
             output Told: {{ name: text, times: int?, revision: int, more: text }}
             input  Look, Count: {{ name: text }}
             table  Names: {{ name: text, times: int }} {{ key name }}
             on Count as c {{ emit Told {{ name: c.name, times: 1, revision: revision(), more: 'm' }} }}
             on Look as l {{ require false else invalid 'no' }}"
        ))
    };
    for workers in [1, 2, 4] {
        let node = threads(workers);
        node.deploy(counter(1, "", "")).expect("installed");
        let (mut told, mut errors) = (node.listen("Told"), node.listen("errors"));
        let mut client = node.client();
        let names: Vec<Value> = (0..100).map(name).collect();
        client.send("Count", &names).expect("sent");
        node.deploy(wide(2)).expect("allowed");
        client.send("Count", &names).expect("sent");
        client.send("Look", &names[..1]).expect("sent");
        node.drop_flow("counter").expect("dropped");
        let mut rows = Vec::new();
        while let Some(event) = told.next() {
            match event {
                Event::Row(row) => rows.push(row.to_string()),
                Event::Gone => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rows.len(), 200);
        let (old, new) = rows.split_at(100);
        assert!(old.iter().all(|row| row.ends_with(r#""revision":1}"#)), "{old:?}");
        assert!(new.iter().all(|row| row.ends_with(r#""revision":2,"more":"m"}"#)), "{new:?}");
        assert!(told.next().is_none());
        let Some(Event::Refused(refused)) = errors.next() else { panic!("a refused row") };
        assert_eq!((refused.stream.as_str(), refused.row.to_string().as_str()), ("Look", r#"{"name":"0"}"#));
        assert!(matches!(errors.next(), Some(Event::Gone)));
    }
}

#[test]
fn a_full_subscription_learns_of_the_new_shape_before_its_first_row() {
    let node = alone();
    node.deploy(counter(1, "", "")).expect("installed");
    let mut told = node.listen("Told");
    let mut client = node.client();
    let names: Vec<Value> = (0..1024).map(name).collect();
    for _ in 0..65 {
        client.send("Count", &names).expect("sent");
    }
    node.deploy(counter(2, "", "")).expect("allowed");
    client.send("Count", &names[..5]).expect("sent");
    let mut seen = (0, 0, 0);
    let mut count = |event: Event| match event {
        Event::Row(row) if row.to_string().contains(r#""revision":1"#) => seen.0 += 1,
        Event::Row(_) => seen.1 += 1,
        Event::Missed(rows) => seen.2 += rows,
        other => panic!("{other:?}"),
    };
    while let Some(event) = told.try_next() {
        count(event);
    }
    client.send("Count", &names[..7]).expect("sent");
    while let Some(event) = told.try_next() {
        count(event);
    }
    assert_eq!(seen, (65_536, 7, 1024 + 5));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "who deploys and who sends are threads of their own")]
fn other_flows_go_on_while_a_flow_is_replaced() {
    let node = threads(2);
    node.deploy(counter(1, "", "")).expect("installed");
    let other = "flow other revision 1
                 input I: { x: int }
                 output O: { x: int }
                 on I as i { reply O { x: i.x } }";
    node.deploy(compiled(other)).expect("installed");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for revision in 2..100 {
                node.deploy(counter(revision, "", "")).expect("allowed");
            }
            done.store(true, Ordering::SeqCst);
        });
        let mut client = node.client();
        for x in 0.. {
            let replies = client.ask("I", &json!({ "x": x })).expect("asked");
            assert_eq!(replies[0].row.to_string(), format!("{{\"x\":{x}}}"));
            if done.load(Ordering::SeqCst) {
                break;
            }
        }
    });
}

/// What a client of the stress saw.
#[derive(Default)]
struct Sent {
    sent: u64,
    accepted: u64,
    gone: u64,
}

/// Sends counts to names of its own, many under way at once, and counts the answers.
fn send_counts(client: &mut Client, at: usize, done: &AtomicBool) -> Sent {
    let mut seen = Sent::default();
    let mut answered = |answer: Result<Option<(anabranch::Ticket, anabranch::Answer)>, Error>| match answer {
        Ok(Some((_, answer))) => {
            assert_eq!(answer.accepted, 3);
            seen.accepted += 1;
            true
        }
        Ok(None) => false,
        Err(Error::Gone { ticket: Some(_), .. }) => {
            seen.gone += 1;
            true
        }
        Err(error) => panic!("{error}"),
    };
    let mut sent = 0;
    while !done.load(Ordering::SeqCst) {
        let mut batch = match client.batch("Count") {
            Ok(batch) => batch,
            Err(Error::Unknown { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        for of in 0..3 {
            batch.push(&name(format!("{at}-{of}"))).expect("it fits");
        }
        match client.submit(batch) {
            Ok(_) => sent += 1,
            Err(Error::Gone { .. }) => continue,
            Err(error) => panic!("{error}"),
        }
        while client.in_flight() > 20 {
            assert!(answered(client.next()));
        }
    }
    while answered(client.next()) {}
    seen.sent = sent;
    seen
}

#[test]
fn under_load_every_request_is_answered_once_and_no_acknowledged_row_is_lost() {
    for workers in [1, 2, 4] {
        replaced_under_load(workers);
        dropped_under_load(workers);
    }
}

#[expect(clippy::disallowed_methods, reason = "clients on threads of their own, as hosts have them")]
fn replaced_under_load(workers: u32) {
    let node = threads(workers);
    node.deploy(counter(1, "", "")).expect("installed");
    let done = AtomicBool::new(false);
    let mut clients: Vec<Client> = (0..3).map(|_| node.client()).collect();
    std::thread::scope(|scope| {
        let sending: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(at, client)| {
                let done = &done;
                scope.spawn(move || send_counts(client, at, done))
            })
            .collect();
        let mut columns = String::new();
        for revision in 2..22 {
            columns.push_str(&format!(", c{revision}: int default {revision}"));
            node.deploy(counter(revision, &columns, "")).expect("allowed");
        }
        done.store(true, Ordering::SeqCst);
        let seen: Vec<Sent> = sending.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        let mut client = node.client();
        for (at, seen) in seen.iter().enumerate() {
            assert_eq!((seen.accepted, seen.gone), (seen.sent, 0), "{workers} workers");
            for of in 0..3 {
                let row =
                    client.get("Names", [format!("{at}-{of}")]).expect("read").expect("a row").to_string();
                assert!(
                    row.contains(&format!(r#""times":{},"#, seen.accepted)),
                    "{row} after {}",
                    seen.accepted
                );
                assert!(row.ends_with(r#""c20":20,"c21":21}"#), "{row}");
            }
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "clients on threads of their own, as hosts have them")]
fn dropped_under_load(workers: u32) {
    let node = threads(workers);
    let done = AtomicBool::new(false);
    let mut clients: Vec<Client> = (0..3).map(|_| node.client()).collect();
    std::thread::scope(|scope| {
        let sending: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(at, client)| {
                let done = &done;
                scope.spawn(move || send_counts(client, at, done))
            })
            .collect();
        for _ in 0..20 {
            node.deploy(counter(1, "", "")).expect("installed");
            node.deploy(counter(2, "", "")).expect("allowed");
            node.drop_flow("counter").expect("dropped");
        }
        done.store(true, Ordering::SeqCst);
        for thread in sending {
            let seen = thread.join().expect("no panic");
            assert_eq!(seen.accepted + seen.gone, seen.sent, "{workers} workers");
        }
    });
    node.stop().expect("no worker panicked");
}

/// Kilobytes of memory that the process holds.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "a test reads what the system knows of it")]
fn resident_kb() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("it is told");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

#[test]
#[cfg(target_os = "linux")]
fn a_thousand_replacements_and_drops_leave_nothing_behind() {
    let node = threads(2);
    let mut client = node.client();
    let names: Vec<Value> = (0..10).map(name).collect();
    let columns = |revision: u32| if revision.is_multiple_of(2) { ", more: text default 'x'" } else { "" };
    let revisions: Vec<Flow> = (1..=51).map(|revision| counter(revision, columns(revision), "")).collect();
    let mut round = |rounds: u32| {
        for _ in 0..rounds {
            node.deploy(revisions[0].clone()).expect("installed");
            client.send("Count", &names).expect("sent");
            for flow in &revisions[1..] {
                node.deploy(flow.clone()).expect("allowed");
            }
            assert_eq!(client.scan("Names").expect("a table").count(), 10);
            node.drop_flow("counter").expect("dropped");
        }
    };
    round(2);
    let before = resident_kb();
    round(20);
    let grown = resident_kb().saturating_sub(before);
    assert!(grown < 4096, "{grown} kB more after 1,000 replacements and 20 drops");
}
