//! As many connections as a node takes, and one more.
#![expect(clippy::disallowed_types, reason = "tests open sockets")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::Directory;

/// Connections that a listener takes where nothing is said.
const CONNECTIONS_MAX: usize = 10_000;

fn ask(connection: &mut TcpStream) {
    connection.write_all(b"GET /live HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it is open");
}

fn answer(connection: &mut TcpStream, within: Duration) -> Result<String, ErrorKind> {
    connection.set_read_timeout(Some(within)).expect("a time");
    let mut bytes = [0; 1024];
    let read = connection.read(&mut bytes).map_err(|error| error.kind())?;
    Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

#[test]
fn ten_thousand_connections_are_served_and_the_next_waits_for_one_to_end() {
    let directory = Directory::with_flow();
    let node = directory.serve("");
    let (long, short) = (Duration::from_secs(10), Duration::from_millis(200));
    let mut connections = Vec::new();
    while connections.len() < CONNECTIONS_MAX {
        match TcpStream::connect(&node.http) {
            Ok(connection) => connections.push(connection),
            Err(error) => {
                eprintln!("skipped: this machine gives {} connections: {error}", connections.len());
                return;
            }
        }
        if connections.len() % 1000 == 0 {
            // The node has taken all that wait in the system's queue.
            let last = connections.last_mut().expect("there are some");
            ask(last);
            answer(last, long).expect("it is answered");
        }
    }
    for at in [0, CONNECTIONS_MAX / 2, CONNECTIONS_MAX - 1] {
        ask(&mut connections[at]);
        let said = answer(&mut connections[at], long).expect("it is answered");
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
    // Clients of the other listener do not notice.
    node.run(&directory, "send UpdateStream name=a value=1").exits(0);
    let mut next = TcpStream::connect(&node.http).expect("the system queues it");
    ask(&mut next);
    let waits = answer(&mut next, short).expect_err("there is no room");
    assert!(matches!(waits, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waits:?}");
    drop(connections.pop());
    let said = answer(&mut next, long).expect("now there is room");
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
}
