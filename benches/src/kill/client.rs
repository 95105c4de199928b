//! A client of a node that is killed: repeats what is open, asks for more, and takes what is lost for open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anabranch::{Client, Error, Row, Ticket, Value};
use serde_json::json;

use crate::kill::ledger::{Ledger, Slot};
use crate::kill::{Failure, Found, Kill};

/// Requests of a client that are under way.
struct Asking<'k> {
    client: Client,
    ledger: &'k mut Ledger,
    under_way: HashMap<Ticket, i64>,
    kill: &'k Kill,
}

/// Repeats what is open, then asks for more until it is told to stop or the node is gone.
///
/// # Errors
/// An answer that must not be.
pub(crate) fn ask(ledger: &mut Ledger, address: &str, kill: &Kill, stop: &AtomicBool) -> Result<(), Failure> {
    let done = Client::connect(address).map_err(Lost::Error).and_then(|client| {
        let mut asking = Asking { client, ledger, under_way: HashMap::new(), kill };
        for (request, key) in asking.ledger.open().clone() {
            asking.send(request, &key)?;
        }
        while !stop.load(Ordering::Relaxed) {
            let (request, key) = asking.ledger.begin(millis());
            asking.send(request, &key)?;
        }
        asking.collect(0)
    });
    match done {
        Ok(())
        | Err(Lost::Error(
            Error::Connect { .. } | Error::Disconnected { .. } | Error::Storage(_) | Error::Stopped,
        )) => Ok(()),
        Err(Lost::Error(error)) => Err(Failure::Violation(format!("a request fails: {error}"))),
        Err(Lost::Wrong(what)) => Err(Failure::Violation(what)),
    }
}

/// Why a client stops.
enum Lost {
    Error(Error),
    Wrong(String),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Lost::Error(error)
    }
}

impl Asking<'_> {
    fn send(&mut self, request: i64, key: &str) -> Result<(), Lost> {
        self.collect(self.kill.in_flight - 1)?;
        let mut batch = self.client.batch("Put")?;
        if self.kill.keys {
            batch = batch.once(key)?;
        }
        for slot in Ledger::rows(request) {
            batch.push(&json!({ "client": self.ledger.client(), "slot": slot, "request": request }))?;
        }
        let ticket = self.client.submit(batch)?;
        self.under_way.insert(ticket, request);
        Ok(())
    }

    /// Takes answers until so many requests are under way.
    fn collect(&mut self, left: usize) -> Result<(), Lost> {
        while self.under_way.len() > left {
            let Some((ticket, answer)) = self.client.next()? else { break };
            let Some(request) = self.under_way.remove(&ticket) else { continue };
            if answer.accepted != Ledger::rows(request).count() {
                return Err(Lost::Wrong(format!("request {request} is answered {answer:?}")));
            }
            self.ledger.answered(request);
        }
        Ok(())
    }
}

/// All slots of all clients.
///
/// # Errors
/// The node cannot be read.
pub(crate) fn slots(address: &str) -> Result<Found, Failure> {
    let read = || {
        let mut found = Found::new();
        for row in Client::connect(address)?.scan("Slots")? {
            let row = row?;
            let slot = Slot { request: number(&row, "request"), times: number(&row, "times") };
            found.entry(number(&row, "client")).or_default().insert(number(&row, "slot"), slot);
        }
        Ok(found)
    };
    read().map_err(|error: Error| Failure::Violation(format!("the table cannot be read: {error}")))
}

fn number(row: &Row, column: &str) -> i64 {
    match row.get(column) {
        Some(Value::Int(number)) => number,
        other => unreachable!("the flow says that it is a number: {other:?}"),
    }
}

fn millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}
