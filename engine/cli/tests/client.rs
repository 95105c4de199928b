//! The program as a client of a node that runs somewhere else: rows in, replies and tables out, and what goes wrong.

mod support;

use std::io::{Read, Write, pipe};
use std::process::Stdio;

use support::{Directory, Serving};

/// A flow with columns of many types.
const TYPED: &str = "\
flow names revision 1
enum Colour ('red', 'green')
schema Thing {
  id: int, label: text?, price: decimal(10, 2)?, colour: Colour?, picture: bytes?, tags: json?, seen: time?,
  count: int default 7
}
input  Put: Thing
table Things: Thing { key id }
table Pairs: { a: text, b: int } { key a, b }
input  Pair: { a: text, b: int }
on Put as p { upsert Things { ..p } }
on Pair as p { upsert Pairs { ..p } }
";

fn served() -> (Directory, Serving) {
    let directory = Directory::with_flow();
    let node = directory.serve("");
    (directory, node)
}

fn typed() -> (Directory, Serving) {
    let directory = Directory::empty().file("names.flow", TYPED);
    let node = directory.serve("");
    (directory, node)
}

#[test]
fn rows_are_sent_asked_for_and_listed() {
    let (directory, node) = served();
    node.run(&directory, "send UpdateStream name=pear value=3").exits(0).shows("accepted 1\n");
    node.run_words(&directory, &["send", "names.UpdateStream", "value=two words", "name=apple"]).exits(0);
    node.run(&directory, "ask ReadStream name=apple")
        .exits(0)
        .shows("OutputStream\nnode  name   value      found\nA     apple  two words  true\n");
    node.run(&directory, "ask ReadStream name=none")
        .exits(0)
        .shows("OutputStream\nnode  name  value  found\nA     none  null   false\n");
    node.run(&directory, "table QueryTable").exits(0).shows("name   value\napple  two words\npear   3\n");
    node.run(&directory, "table names.QueryTable --key pear").exits(0).shows("name  value\npear  3\n");
    let came = node.run(&directory, "ask DeleteStream name=pear").exits(0).shows("");
    came.says("accepted; no rule replied to it");
    node.run(&directory, "table QueryTable --key pear")
        .exits(1)
        .shows("")
        .says("no row with the key [\"pear\"]");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a key has the time in it")]
fn a_row_with_a_key_takes_effect_once() {
    let (directory, node) = served();
    let key = format!("{}-pear", std::time::UNIX_EPOCH.elapsed().expect("it is later").as_millis());
    let send = |value: &str, key: &str| {
        node.run(&directory, &format!("send UpdateStream name=pear value={value} --key {key}"))
    };
    send("1", &key).exits(0).shows("accepted 1\n");
    node.run(&directory, "send UpdateStream name=pear value=2").exits(0);
    send("1", &key).exits(0).shows("accepted 1\n");
    node.run(&directory, "table QueryTable --key pear").exits(0).shows("name  value\npear  2\n");
    send("3", "pear").exits(2).says("`pear` is no idempotency key");
    let asked = node.run(&directory, &format!("ask DeleteStream name=pear --key {key}-2"));
    asked.exits(0).says("accepted");
}

#[test]
fn json_is_an_object_a_line() {
    let (directory, node) = served();
    let rows = ["{\"name\":\"b\",\"value\":\"2\"}", "{\"value\":\"1\",\"name\":\"\"}"];
    let came =
        node.run_words(&directory, &["send", "UpdateStream", "--json-rows", "--json", rows[0], rows[1]]);
    came.exits(1).shows(
        "{\"refused\":{\"code\":\"invalid\",\"column\":3,\"file\":\"names.flow\",\"line\":12,\
         \"text\":\"a name must not be empty\"},\"row\":2}\n{\"accepted\":1,\"refused\":1}\n",
    );
    node.run(&directory, "ask ReadStream name=b --json").exits(0).shows(
        "{\"stream\":\"OutputStream\",\"row\":{\"node\":\"A\",\"name\":\"b\",\"value\":\"2\",\"found\":true}}\n",
    );
    node.run(&directory, "table QueryTable --json").exits(0).shows("{\"name\":\"b\",\"value\":\"2\"}\n");
    node.run(&directory, "table QueryTable --json --key b")
        .exits(0)
        .shows("{\"name\":\"b\",\"value\":\"2\"}\n");
}

#[test]
fn rows_come_from_standard_input_as_one_batch() {
    let (directory, node) = served();
    let send = format!("send UpdateStream --json-rows --at {}", node.grpc);
    directory
        .run_with(&send, "{\"name\":\"a\",\"value\":\"1\"}\n\n{\"name\":\"b\",\"value\":\"2\"}")
        .exits(0)
        .shows("accepted 2\n");
    directory
        .run_with(&send, "{\"name\":\"c\",\"value\":\"1\"}\n{\"nmae\":\"d\"}\n[]\n")
        .exits(2)
        .says("<stdin>:2: column `nmae`: the rows have no such column; did you mean `name`?")
        .says("<stdin>:3: ");
    node.run(&directory, "table QueryTable").shows("name  value\na     1\nb     2\n");
}

#[test]
fn a_refused_row_is_in_the_exit_code() {
    let (directory, node) = served();
    let why = "refused: invalid: a name must not be empty (names.flow:12:3)\n";
    node.run(&directory, "send UpdateStream name= value=1")
        .exits(1)
        .shows("accepted 0, refused 1\n")
        .says(why);
    node.run(&directory, "ask UpdateStream name= value=1").exits(1).shows("").says(why);
}

#[test]
fn values_are_read_by_the_type_of_their_column() {
    let (directory, node) = typed();
    let directory = directory.file("picture.bin", b"\xff\x00".as_slice()).file("label.txt", "from a file");
    let send = |words: &[&str]| node.run_words(&directory, &[&["send", "Put"], words].concat());
    let words = ["id=-1", "label=", "price=1.5", "colour=green", "picture@picture.bin", "tags=[1, null]"];
    send(&[&words[..], &["seen=2026-01-02 03:04:05Z"]].concat()).exits(0);
    send(&["id:=2", "label@label.txt", "price:=2.50", "colour:=null", "tags:={\"a\":1}"]).exits(0);
    send(&["id=3", "label:=\"\"", "count=8"]).exits(0);
    node.run(&directory, "table Things --json").exits(0).shows(
        "{\"id\":-1,\"label\":null,\"price\":\"1.50\",\"colour\":\"green\",\"picture\":\"/wA=\",\"tags\":[1, null],\
         \"seen\":\"2026-01-02T03:04:05Z\",\"count\":7}\n\
         {\"id\":2,\"label\":\"from a file\",\"price\":\"2.50\",\"colour\":null,\"picture\":null,\"tags\":{\"a\":1},\
         \"seen\":null,\"count\":7}\n\
         {\"id\":3,\"label\":\"\",\"price\":null,\"colour\":null,\"picture\":null,\"tags\":null,\"seen\":null,\
         \"count\":8}\n",
    );
    node.run(&directory, "table Things --key -1 --json").exits(0).says("");
    node.run(&directory, "send Pair a=x b=1").exits(0);
    node.run(&directory, "table Pairs --key x --key 1").exits(0).shows("a  b\nx  1\n");
    node.run(&directory, "table Pairs --key x")
        .exits(2)
        .says("it has the columns `a`, `b`, 1 values were given");
    node.run(&directory, "table Pairs --key x --key y").exits(2).says("`b`: `y` is not an int such as -17");
}

#[test]
fn everything_wrong_with_a_row_is_told_with_what_the_column_takes() {
    let (directory, node) = typed();
    let send = |words: &[&str]| node.run_words(&directory, &[&["send", "Put"], words].concat());
    send(&["id=six", "price=1.234", "colour=blue", "lable=x", "seen=null", "tags:=[", "photo"])
        .exits(2)
        .says("column `id`: `six` is not an int such as -17")
        .says("column `price`: `1.234` has too many decimals for decimal(10, 2)")
        .says("column `colour`: `blue` is not a value of Colour: red, green")
        .says("the rows have no column `lable`; there is `id`, `label`")
        .says("help: did you mean `label`?")
        .says("help: null is written `seen:=null`")
        .says("column `tags`: `[` is no JSON")
        .says("`photo` is no column with a value");
    send(&["label=x"])
        .exits(2)
        .says("column `id`: the column is missing")
        .says("help: `Put` takes id: int, label: text?");
    send(&["id=1", "id=2"]).exits(2).says("column `id`: the column is given twice");
    send(&["id=1", "picture@none.jpg"]).exits(3).says("cannot read `none.jpg`: there is no such file");
    node.run(&directory, "table Things")
        .exits(0)
        .shows("id  label  price  colour  picture  tags  seen  count\n");
}

#[test]
fn unknown_names_are_told_what_there_is() {
    let (directory, node) = served();
    node.run(&directory, "send UpdateStraem name=a")
        .exits(2)
        .says("there is no input `UpdateStraem`; there is `UpdateStream`, `ReadStream`, `DeleteStream`")
        .says("help: did you mean `UpdateStream`?");
    node.run(&directory, "ask Nothing name=a").exits(2).says("there is no input `Nothing`; there is ");
    node.run(&directory, "table querytable").exits(2).says("did you mean `QueryTable`?");
    node.run(&directory, "table other.QueryTable").exits(2).says("there is `QueryTable`");
    node.run(&directory, "table QueryTable --limit few").exits(2).says("write a number of rows, or `all`");
}

#[test]
fn a_long_table_says_that_there_is_more() {
    let rows: String = (0..2_500).map(|row| format!("n{row:04},1\n")).collect();
    let directory = Directory::with_flow().file("names.csv", format!("name,value\n{rows}"));
    let node = directory.serve("--play UpdateStream=names.csv --workers 2");
    // What a client sees is what was played before it came.
    while node.run(&directory, "table QueryTable --key n2499").code != 0 {}
    let came = node.run(&directory, "table QueryTable").exits(0).says("these are the first 100 rows");
    assert_eq!((came.stdout.lines().count(), came.stdout.lines().last()), (101, Some("n0099  1")));
    let came = node.run(&directory, "table QueryTable --limit all").exits(0);
    assert_eq!((came.stdout.lines().count(), came.stderr.as_str()), (2_501, ""));
    node.run(&directory, "table QueryTable --limit 2 --json")
        .shows("{\"name\":\"n0000\",\"value\":\"1\"}\n{\"name\":\"n0001\",\"value\":\"1\"}\n")
        .says("the first 2 rows");
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let mut gone = directory.command("table QueryTable --limit all");
    let gone =
        gone.env("ANABRANCH_AT", &node.grpc).stdin(Stdio::null()).stdout(writer).output().expect("it runs");
    assert_eq!(
        (gone.status.code(), gone.stderr.as_slice()),
        (Some(0), b"".as_slice()),
        "nobody reads: no complaint"
    );
}

#[test]
fn the_ready_line_names_what_a_node_listens_at() {
    let directory = Directory::with_flow();
    let mut node = directory.start("run names.flow --listen :0 --json");
    let ready: serde_json::Value = serde_json::from_str(&node.line()).expect("JSON");
    let listen = ready["ready"]["listen"].as_str().expect("an address");
    assert!(listen.starts_with("127.0.0.1:") && !listen.ends_with(":0"), "{ready}");
    assert_eq!(ready["ready"].get("http"), None);
    let taken = directory.run(&format!("run names.flow --listen {listen}"));
    taken.exits(3).shows("").says(&format!("cannot listen at {listen}")).says("help: choose another port");
    directory.run("run names.flow --listen a:b:c").exits(2).says("write an address with colons in brackets");
    directory.run("run names.flow --http none.invalid:0").exits(3).says("cannot listen at none.invalid:0");
}

#[test]
fn a_node_that_serves_ends_well_when_it_is_asked() {
    let (directory, node) = served();
    node.run(&directory, "send UpdateStream name=a value=1").exits(0);
    node.running.signal("TERM");
    let at = node.grpc.clone();
    node.running.end().exits(0).prints("UpdateStream        1        0");
    directory.run(&format!("table QueryTable --at {at}")).exits(3).shows("").says("cannot connect to");
}

#[test]
fn a_node_that_is_not_there_is_told_with_what_to_look_at() {
    let directory = Directory::empty();
    // Nobody can listen at port 1 without being asked to.
    for command in ["send A x=1", "ask A x=1", "table T"] {
        let came = directory.run(&format!("{command} --at 127.0.0.1:1")).exits(3).shows("");
        came.says("cannot connect to 127.0.0.1:1: ").says("help: is a node running there with `--listen`?");
    }
    directory.run("table T --at none.invalid:7171").exits(3).says("cannot connect to none.invalid:7171");
    directory.run("table T --at :0").exits(2).says("port 0 is nowhere");
    directory
        .run("table T --help")
        .exits(0)
        .prints_part("default: 127.0.0.1:7171")
        .prints_part("ANABRANCH_AT");
}

#[test]
fn the_http_address_is_told_from_the_grpc_address() {
    let (directory, node) = served();
    let came = directory.run(&format!("table QueryTable --at {}", node.http)).exits(3);
    came.says(&format!("cannot connect to {}", node.http)).says("`--listen`");
}

#[test]
#[expect(clippy::disallowed_types, reason = "a test listens itself")]
fn a_server_that_speaks_something_else_is_no_node() {
    let directory = Directory::empty();
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = server.local_addr().expect("an address");
    let answers: [&[u8]; 3] = [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"];
    for answer in answers {
        let mut command = directory.command(&format!("ask A x=1 --at {at}"));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let (mut stream, _) = server.accept().expect("it connects");
        let mut preface = [0; 14];
        stream.read_exact(&mut preface).expect("it speaks first");
        assert_eq!(&preface, b"PRI * HTTP/2.0");
        stream.write_all(answer).expect("it reads");
        drop(stream);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(&format!("cannot connect to {at}: ")), "{said}");
        assert!(said.contains("help: is a node running there"), "{said}");
    }
}
