//! What a node does whose disk is full, fails, or is slow: who only reads goes on, who would change something is told, and
//! nothing is seen that is not safe unless it was asked for.

mod disk;
#[path = "../http_support/mod.rs"]
mod http_support;

use anabranch::{Client, Error, Event, Flow, JournalState, Listen, Node, Reads, StorageError, Ticket};
use disk::TestDisk;
use http_support::Served;
use serde_json::{Value, json};

/// Two flows, so that the rows of the one are safe whatever the other does.
const BUSY: &str = "flow busy revision 1
    input  Put: { name: text, value: text }
    input  Look: { name: text }
    output Seen: { name: text, known: bool }
    table  Rows: { name: text, value: text } { key name }
    on Put as p { upsert Rows { name: p.name, value: p.value } }
    on Look as l {
      read Rows where name = l.name as row or null
      require row is not null else not_found 'no such row'
      reply Seen { name: l.name, known: true }
    }";

const CALM: &str = "flow calm revision 1
    input  Set: { name: text }
    table  Names: { name: text } { key name }
    on Set as s { upsert Names { name: s.name } }";

fn start(disk: &TestDisk) -> Node {
    let node = Node::builder("A").workers(2).segment_bytes(64 << 10);
    node.start_on(disk.clone()).expect("it starts")
}

/// A node that has a safe row in each flow.
fn node(disk: &TestDisk) -> Node {
    let node = start(disk);
    for text in [BUSY, CALM] {
        node.deploy(Flow::parse("storage.flow", text).expect("it compiles")).expect("deployed");
    }
    node.client().send("Set", &[json!({ "name": "calm" })]).expect("sent");
    put(&mut node.client(), "first").expect("sent");
    node
}

fn row(name: &str) -> Value {
    json!({ "name": name, "value": "x".repeat(2000) })
}

fn put(client: &mut Client, name: &str) -> Result<(), Error> {
    let answer = client.send("Put", &[row(name)])?;
    assert_eq!(answer.accepted, 1);
    Ok(())
}

fn submit(client: &mut Client, input: &str, row: &Value) -> Ticket {
    let mut batch = client.batch(input).expect("there is such an input");
    batch.push(row).expect("it fits");
    client.submit(batch).expect("sent")
}

fn wait_for(node: &Node, state: JournalState) {
    while node.status().journal.expect("it keeps what it does").state != state {
        std::thread::yield_now();
    }
}

/// Requests that need more than a segment, while there is no space for another.
fn fill(client: &mut Client, disk: &TestDisk, node: &Node) -> Vec<Ticket> {
    disk.set_full(true);
    let sent = (0..60).map(|number| submit(client, "Put", &row(&format!("fill{number}")))).collect();
    wait_for(node, JournalState::Halted);
    sent
}

fn storage<T: std::fmt::Debug>(result: Result<T, Error>) -> StorageError {
    match result {
        Err(Error::Storage(error)) => error,
        other => unreachable!("{other:?}"),
    }
}

/// Whether a request was turned down because the disk is full.
fn halted<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Storage(StorageError::Halted(_))))
}

#[test]
fn a_full_disk_turns_writers_down_serves_readers_and_goes_on_by_itself() {
    let disk = TestDisk::default();
    let node = node(&disk);
    let (mut filler, mut client) = (node.client(), node.client());
    let sent = fill(&mut filler, &disk, &node);

    let error = storage(put(&mut client, "more"));
    assert!(matches!(error, StorageError::Halted(_)), "{error:?}");
    let text = error.to_string();
    for part in ["nothing of it was done", "the disk is full", "make space", "send it again"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(matches!(storage(node.drop_flow("calm")), StorageError::Halted(_)));
    let journal = node.status().journal.expect("it keeps what it does");
    assert!(journal.why.expect("a reason").contains("the disk is full") && journal.since_us > Some(0));

    assert!(client.get("Names", ["calm"]).expect("read").is_some(), "what is safe is read");
    assert_eq!(client.scan("Names").expect("begun").filter(Result::is_ok).count(), 1);
    let last = client.scan("Rows").expect("begun").last().expect("an error");
    assert!(matches!(storage(last), StorageError::Unsafe(why) if why.contains("is full")));
    let mut names = (0..60).map(|number| format!("fill{number}"));
    let found = names.find(|name| client.get("Rows", [name.as_str()]).is_err()).expect("one is not safe");
    client.reads(Reads::Stale);
    assert!(client.get("Rows", [found]).expect("read").is_some());
    assert!(client.get("Rows", ["more"]).expect("read").is_none(), "nothing of it was done");
    let applied = client.scan("Rows").expect("begun").filter(Result::is_ok).count();
    client.reads(Reads::Safe);

    disk.set_full(false);
    let answers: Vec<_> = sent.into_iter().map(|ticket| filler.wait(ticket)).collect();
    assert!(answers.iter().all(|answer| answer.is_ok() || halted(answer)), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count() + 1, applied, "with the first");
    wait_for(&node, JournalState::Ok);
    put(&mut client, "more").expect("a repeat works");
    node.drop_flow("calm").expect("dropped");
    drop((filler, client, node));
    let again = start(&disk);
    assert_eq!(again.client().scan("Rows").expect("begun").count(), applied + 1);
}

#[test]
fn a_node_stops_while_its_disk_is_full() {
    let disk = TestDisk::default();
    let node = node(&disk);
    let mut filler = node.client();
    let sent = fill(&mut filler, &disk, &node);
    node.stop().expect("it stops");
    let answers: Vec<_> = sent.into_iter().map(|ticket| filler.wait(ticket)).collect();
    let lost = |answer: &Result<_, Error>| matches!(answer, Err(Error::Storage(StorageError::Lost(_))));
    let known = |answer: &Result<_, Error>| lost(answer) || answer.is_ok() || halted(answer);
    assert!(answers.iter().all(known) && answers.iter().any(lost), "{answers:?}");
}

#[test]
fn a_journal_that_has_failed_takes_nothing_until_the_node_starts_again() {
    let disk = TestDisk::default();
    let node = node(&disk);
    let mut client = node.client();
    disk.set_fails(true);
    let lost = storage(put(&mut client, "lost"));
    assert!(matches!(&lost, StorageError::Lost(why) if why.contains("worn out")), "{lost:?}");
    disk.set_fails(false);

    let refused = storage(put(&mut client, "later"));
    assert!(matches!(refused, StorageError::Broken(_)), "{refused:?}");
    assert!(refused.to_string().contains("restart the node"), "{refused}");
    assert_eq!(node.status().journal.expect("it keeps what it does").state, JournalState::Broken);
    assert!(matches!(storage(node.drop_flow("calm")), StorageError::Broken(_)));
    assert!(client.get("Names", ["calm"]).expect("read").is_some(), "what is safe is read");
    assert!(matches!(storage(client.get("Rows", ["lost"])), StorageError::Unsafe(_)));
    drop((client, node));

    let again = start(&disk);
    put(&mut again.client(), "later").expect("sent");
    assert!(again.client().get("Rows", ["first"]).expect("read").is_some());
}

#[test]
fn what_only_reads_is_not_turned_down_and_makes_no_record() {
    let disk = TestDisk::default();
    let node = node(&disk);
    let mut client = node.client();
    assert_eq!(client.ask("Look", &json!({ "name": "first" })).expect("asked").len(), 1);
    let before = node.status().journal.expect("it keeps what it does").records;
    disk.set_fails(true);
    assert!(matches!(client.ask("Look", &json!({ "name": "other" })), Err(Error::Refused(_))));
    assert_eq!(client.ask("Look", &json!({ "name": "first" })).expect("asked").len(), 1);
    let journal = node.status().journal.expect("it keeps what it does");
    assert_eq!((journal.state, journal.records), (JournalState::Ok, before));
}

#[test]
fn a_stale_read_sees_what_a_sync_has_not_made_safe() {
    let disk = TestDisk::default();
    let node = node(&disk);
    let (mut writer, mut client) = (node.client(), node.client());
    let holding = disk.hold();
    let ticket = submit(&mut writer, "Put", &row("new"));
    client.reads(Reads::Stale);
    while client.get("Rows", ["new"]).expect("read").is_none() {}
    let counted = client.query("select count(*) as rows from Rows").expect("asked").next();
    assert_eq!(counted.expect("a row").expect("counted").to_string(), r#"{"rows":2}"#);
    assert!(writer.try_next().expect("it runs").is_none(), "it is not safe");
    drop(holding);
    writer.wait(ticket).expect("it is safe");
}

#[test]
fn tables_that_are_kept_in_memory_do_not_wait_for_the_sync() {
    let text = "flow both revision 1
        policy quick { sync memory }
        input  Quick, Slow: { name: text }
        output Told: { name: text }
        table  Quicks: { name: text } { key name  replicate quick }
        table  Slows: { name: text } { key name }
        on Quick as q { upsert Quicks { name: q.name } emit Told { name: q.name } }
        on Slow as s { upsert Slows { name: s.name } emit Told { name: s.name } }";
    let disk = TestDisk::default();
    let node = start(&disk);
    node.deploy(Flow::parse("both.flow", text).expect("it compiles")).expect("deployed");
    let mut told = node.subscribe("Told").expect("there is such an output");
    let (mut client, mut slow) = (node.client(), node.client());

    let holding = disk.hold();
    client.send("Quick", &[json!({ "name": "a" })]).expect("it is written");
    assert!(client.get("Quicks", ["a"]).expect("read").is_some());
    assert_eq!(client.scan("Quicks").expect("begun").count(), 1);
    let event = told.next().expect("it is told");
    assert!(matches!(&event, Event::Row(row) if row.to_string() == r#"{"name":"a"}"#), "{event:?}");
    drop(holding);

    let holding = disk.hold();
    let ticket = submit(&mut slow, "Slow", &json!({ "name": "b" }));
    client.reads(Reads::Stale);
    while client.get("Slows", ["b"]).expect("read").is_none() {}
    assert!(slow.try_next().expect("it runs").is_none() && told.try_next().is_none(), "it is not safe");
    drop(holding);
    slow.wait(ticket).expect("it is safe");
    assert!(matches!(told.next(), Some(Event::Row(_))));
}

/// A node that serves HTTP over a disk.
fn served(disk: &TestDisk) -> Served {
    let node = node(disk);
    let listen = Listen { http: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
    let server = node.serve(&listen).expect("it listens");
    Served { node, server }
}

#[test]
fn http_tells_of_a_full_disk_and_of_a_stale_read() {
    let disk = TestDisk::default();
    let served = served(&disk);
    let mut filler = served.node.client();
    let sent = fill(&mut filler, &disk, &served.node);

    let turned_down = served.post("/flows/busy/streams/Put", &row("more").to_string());
    assert_eq!(turned_down.status, 507);
    let problem = turned_down.json();
    assert_eq!(problem["code"], "storage_halted");
    assert!(problem["message"].as_str().is_some_and(|text| text.contains("the disk is full")), "{problem}");
    let read = served.get("/flows/calm/tables/Names/calm");
    assert_eq!((read.status, read.header("anabranch-read")), (200, None));
    let refused = served.get("/flows/busy/tables/Rows");
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("storage_unsafe")));
    for path in ["tables/Rows?read=stale", "tables/Rows/first?read=stale"] {
        let stale = served.get(&format!("/flows/busy/{path}"));
        assert_eq!((stale.status, stale.header("anabranch-read")), (200, Some("stale")), "{path}");
    }
    let question = served.request("POST", "/query?read=stale", &[], "select count(*) as n from busy.Rows");
    assert_eq!((question.status, question.header("anabranch-read")), (200, Some("stale")));
    assert_eq!(served.get("/flows/busy/tables/Rows?read=fresh").status, 400);
    assert_eq!(served.get("/status").json()["journal"]["state"], "halted");
    let metrics = served.get("/metrics").body;
    assert!(metrics.contains("anabranch_journal_state{state=\"halted\"} 1"), "{metrics}");

    disk.set_full(false);
    sent.into_iter().for_each(|ticket| drop(filler.wait(ticket)));
    wait_for(&served.node, JournalState::Ok);
    assert_eq!(served.post("/flows/busy/streams/Put", &row("more").to_string()).status, 200);
}
