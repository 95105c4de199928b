//! What the tests of the HTTP interface share: a node that serves, and a client that can also misbehave.

#![allow(dead_code, unreachable_pub, reason = "every test uses a part of it")]
#![allow(
    clippy::disallowed_types,
    clippy::panic,
    reason = "a test speaks to a real socket, and panics where it fails"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anabranch::{Flow, Listen, Node, Server, Timeouts};
use serde_json::Value;

pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

/// A flow with all that the tests need: a key of two columns, refusals of every kind, rows emitted.
pub const SHOP: &str = r#"flow shop revision 1

input  Put:   { shelf: text, number: int, price: decimal(10, 2), note: text? }
input  Ask:   { shelf: text, number: int }
input  Refuse: { how: text }
input  Tell:  { text: text }
output Item:  { shelf: text, number: int, price: decimal(10, 2) }
output Told:  { text: text }

table Items: { shelf: text, number: int, price: decimal(10, 2), note: text? } {
  key shelf, number
}

table Words: { text: text } {
  key text
}

on Put as p {
  require p.price >= 0 else invalid 'the price is below zero'
  upsert Items { ..p }
}

on Ask as a {
  read Items where shelf = a.shelf and number = a.number as item or null
  require item is not null else not_found 'there is no such item'
  reply Item { shelf: a.shelf, number: a.number, price: item.price }
}

on Refuse as r {
  require r.how <> 'conflict' else conflict 'a conflict'
  require r.how <> 'denied' else denied 'not you'
  require r.how <> 'unavailable' else unavailable 'not now'
}

on Tell as t {
  upsert Words { text: t.text }
  emit Told { text: t.text }
}
"#;

/// A node that serves HTTP.
pub struct Served {
    pub node: Node,
    pub server: Server,
}

/// Serves flows, with short timeouts where a test waits for them.
pub fn serve(workers: u32, flows: &[(&str, &str)], timeouts: Timeouts) -> Served {
    let mut node = Node::builder("A").workers(workers).seed(1);
    for (file, text) in flows {
        node = node.flow(Flow::parse(file, text).unwrap_or_else(|error| panic!("{error}")));
    }
    let node = node.start().expect("it starts");
    let listen = Listen { http: Some(([127, 0, 0, 1], 0).into()), timeouts, ..Listen::default() };
    let server = node.serve(&listen).expect("it listens");
    Served { node, server }
}

pub fn names() -> Served {
    serve(2, &[("names.flow", anabranch::doc::NAMES)], Timeouts::default())
}

pub fn shop() -> Served {
    serve(2, &[("shop.flow", SHOP)], Timeouts::default())
}

/// A new connection to a server.
pub fn connect(server: &Server) -> Connection {
    let stream = TcpStream::connect(server.http().expect("it speaks HTTP")).expect("it connects");
    // A test that waits for ever fails instead.
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    Connection { stream: BufReader::new(stream) }
}

impl Served {
    /// A new connection.
    pub fn connect(&self) -> Connection {
        connect(&self.server)
    }

    /// One request on a connection of its own.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.connect().request(method, path, headers, body.as_bytes())
    }

    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &str) -> Reply {
        self.request("POST", path, &[JSON], body)
    }

    /// A number of `/status`, once it is `wanted`; the wait ends with the test's patience.
    pub fn wait_for_status(&self, member: &str, wanted: u64) {
        let mut last = Value::Null;
        let mut connection = self.connect();
        for _ in 0..20_000 {
            last = connection.request("GET", "/status", &[], b"").json()[member].clone();
            if last == wanted {
                return;
            }
            std::thread::yield_now();
        }
        panic!("`{member}` stays at {last}, not {wanted}");
    }
}

/// A connection to a node.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Whether the body has come to its end.
    pub whole: bool,
}

impl Reply {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// Status and code of an error that has all its parts.
    #[track_caller]
    pub fn problem(&self) -> (u16, String) {
        let json = self.json();
        for member in ["code", "message", "help"] {
            let text = json[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:?}"));
            assert!(!text.is_empty(), "{self:?}");
        }
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        (self.status, json["code"].as_str().unwrap_or_default().to_owned())
    }
}

impl Connection {
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.head(method, path, headers, Some(body.len()));
        self.write(body);
        self.reply(method == "HEAD")
    }

    /// Writes the head of a request; without a length its body is chunked.
    pub fn head(&mut self, method: &str, path: &str, headers: &[(&str, &str)], length: Option<usize>) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match length {
            Some(0) => {}
            Some(length) => head.push_str(&format!("content-length: {length}\r\n")),
            None => head.push_str("transfer-encoding: chunked\r\n"),
        }
        head.push_str("\r\n");
        self.write(head.as_bytes());
    }

    /// Writes bytes; an answer may come before they are all taken.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    pub fn chunk(&mut self, bytes: &[u8]) {
        self.write(format!("{:x}\r\n", bytes.len()).as_bytes());
        self.write(bytes);
        self.write(b"\r\n");
    }

    /// Sends no more.
    pub fn shut(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).expect("it is open");
    }

    /// A line without its end; nothing when the node has closed the connection.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(String::from_utf8(line).expect("text").trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line comes: {error}"),
        }
    }

    /// Reads an answer.
    pub fn reply(&mut self, of_head: bool) -> Reply {
        let head = self.reply_head();
        self.body_of(head, of_head)
    }

    /// Reads the body behind the head of an answer.
    pub fn body_of(&mut self, mut reply: Reply, of_head: bool) -> Reply {
        let length = reply.header("content-length").map(|length| length.parse::<usize>().expect("a number"));
        let chunked = reply.header("transfer-encoding") == Some("chunked");
        let mut body = Vec::new();
        match length {
            _ if of_head => {}
            Some(length) => {
                body.resize(length, 0);
                self.stream.read_exact(&mut body).expect("the whole body");
            }
            None if chunked => reply.whole = self.chunks(&mut body),
            None => {}
        }
        reply.body = String::from_utf8(body).expect("text");
        reply
    }

    /// Reads the head of an answer only.
    pub fn reply_head(&mut self) -> Reply {
        let first = self.line().expect("an answer");
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {first}"));
        let mut headers = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').expect("a header");
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Reply { status, headers, body: String::new(), whole: true }
    }

    /// Whether the last chunk came.
    fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let Some(size) = self.line().and_then(|line| usize::from_str_radix(&line, 16).ok()) else {
                return false;
            };
            let start = body.len();
            body.resize(start + size, 0);
            if self.stream.read_exact(&mut body[start..]).is_err() {
                return false;
            }
            self.line();
            if size == 0 {
                return true;
            }
        }
    }

    /// The next line of the body of an event stream: chunk sizes and empty lines left out.
    pub fn event_line(&mut self) -> Option<String> {
        loop {
            let line = self.line()?;
            let size = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !line.is_empty() && !size {
                return Some(line);
            }
        }
    }
}
