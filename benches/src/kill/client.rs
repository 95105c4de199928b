//! A client of a node that is killed: repeats what is open, asks for more, and takes what is lost for open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anabranch::{Client, ConnectOptions, Error, Flow, Row, Ticket, Value};
use serde_json::json;

use crate::kill::ledger::{Ledger, Slot};
use crate::kill::{Failure, Found, READY_WITHIN, Repeats};
use crate::members::{options, wait};

/// How often a client that waits for its node tries to connect.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// How clients ask.
pub(crate) struct Asks<'k> {
    /// Where nodes listen; a client begins with the one of its number.
    pub(crate) addresses: &'k [String],
    /// Requests of a client without an answer.
    pub(crate) in_flight: usize,
    /// Whether repeats have the key of the first try.
    pub(crate) keys: bool,
    /// Who repeats.
    pub(crate) repeats: Repeats,
}

/// Requests of a client that are under way.
struct Asking<'k> {
    client: Client,
    ledger: &'k mut Ledger,
    under_way: HashMap<Ticket, i64>,
    in_flight: usize,
    keys: bool,
}

/// Repeats what is open, then asks for more until it is told to stop or the node is gone.
///
/// # Errors
/// An answer that must not be.
pub(crate) fn ask(ledger: &mut Ledger, asks: &Asks<'_>, stop: &AtomicBool) -> Result<(), Failure> {
    let (stays, keys) = match asks.repeats {
        Repeats::ByKey => (Duration::ZERO, asks.keys),
        Repeats::ByClient => (READY_WITHIN, false),
    };
    let mut addresses = asks.addresses.to_vec();
    addresses.rotate_left(ledger.client() % asks.addresses.len());
    if asks.repeats == Repeats::ByKey {
        addresses.truncate(1);
    }
    let done = connect(&addresses, stays).map_err(Lost::Error).and_then(|client| {
        let (under_way, in_flight) = (HashMap::new(), asks.in_flight);
        let mut asking = Asking { client, ledger, under_way, in_flight, keys: asks.keys };
        // They are of clients that are gone.
        for (request, pending) in asking.ledger.open().clone() {
            asking.send(request, &pending.key)?;
        }
        asking.keys = keys;
        while !stop.load(Ordering::Relaxed) {
            let (request, key) = asking.ledger.begin(millis());
            asking.send(request, &key)?;
        }
        asking.collect(0)
    });
    match done {
        Ok(()) => Ok(()),
        Err(Lost::Error(error)) if asks.repeats == Repeats::ByKey && is_gone(&error) => Ok(()),
        Err(Lost::Error(error)) => Err(Failure::Violation(format!("a request fails: {error}"))),
        Err(Lost::Wrong(what)) => Err(Failure::Violation(what)),
    }
}

/// A client that comes back to one of the nodes for so long; so long it may also take to get there.
fn connect(addresses: &[String], within: Duration) -> Result<Client, Error> {
    let began = Instant::now();
    let options = options(addresses).reconnect_within(within);
    loop {
        match options.connect() {
            Err(Error::Connect { .. }) if began.elapsed() < within => wait(RETRY_EVERY),
            connected => return connected,
        }
    }
}

/// Whether this is what a client meets whose node is killed.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Connect { .. } | Error::Disconnected { .. } | Error::Storage(_) | Error::Stopped)
}

/// Deploys a revision to a node that may be killed meanwhile.
///
/// # Errors
/// It is turned down.
pub(crate) fn deploy(address: &str, text: &str) -> Result<(), Failure> {
    let flow = Flow::parse("kill.flow", text).map_err(|error| Failure::World(error.to_string()))?;
    let options = ConnectOptions::new(address).reconnect_within(Duration::ZERO);
    match options.connect().and_then(|mut client| client.deploy(flow)) {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(Failure::Violation(format!("a newer revision is turned down: {error}"))),
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
        self.collect(self.in_flight - 1)?;
        self.submit(request, key)
    }

    fn submit(&mut self, request: i64, key: &str) -> Result<(), Lost> {
        let mut batch = self.client.batch("Put")?;
        if self.keys {
            batch = batch.once(key)?;
        }
        for slot in Ledger::rows(request) {
            batch.push(&json!({ "client": self.ledger.client(), "slot": slot, "request": request }))?;
        }
        let ticket = self.client.submit(batch)?;
        self.under_way.insert(ticket, request);
        Ok(())
    }

    /// Makes a request again, with what the flow is now.
    fn send_anew(&mut self, ticket: Ticket) -> Result<(), Lost> {
        let Some(request) = self.under_way.remove(&ticket) else { return Ok(()) };
        let pending = self.ledger.open().get(&request).cloned();
        self.submit(request, &pending.unwrap_or_default().key)
    }

    /// Takes answers until so many requests are under way.
    fn collect(&mut self, left: usize) -> Result<(), Lost> {
        while self.under_way.len() > left {
            let (ticket, answer) = match self.client.next() {
                Ok(Some(answered)) => answered,
                Ok(None) => break,
                // Nothing of it was done: a newer revision came before it could be sent.
                Err(Error::Changed { ticket: Some(ticket), .. }) => {
                    self.send_anew(ticket)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
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
pub(crate) fn slots(addresses: &[String]) -> Result<Found, Failure> {
    let read = || {
        let mut found = Found::new();
        for row in connect(addresses, Duration::ZERO)?.scan("Slots")? {
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
