//! Clients that count lines while nodes die, and what was acknowledged to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anabranch::{Answer, Client, Error, Ticket};

use super::lines::{Line, Lines};
use super::zone::Zone;
use crate::failure::Failure;
use crate::os;

/// Clients.
pub(super) const CLIENTS: usize = 4;

/// Lines of a request.
const LINES: usize = 10;

/// Requests of a client without an answer.
const REQUESTS: usize = 8;

/// Lines of a client without an answer.
pub(super) const LINES_UNDER_WAY: usize = LINES * REQUESTS;

/// How long clients may take to get their last answers.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// What was acknowledged.
#[derive(Default)]
pub(super) struct Counted {
    lines: BTreeMap<String, u64>,
    longest: Duration,
}

impl Counted {
    /// Lines.
    pub(super) fn acknowledged(&self) -> u64 {
        self.lines.values().sum()
    }

    /// Lines of a product.
    pub(super) fn of(&self, product: &str) -> u64 {
        self.lines.get(product).copied().unwrap_or_default()
    }

    /// Products of which there is a line.
    pub(super) fn products(&self) -> usize {
        self.lines.len()
    }

    /// The longest time from a request to its answer.
    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// Adds what somebody else counted.
    pub(super) fn add(&mut self, other: Counted) {
        other.lines.into_iter().for_each(|(product, lines)| *self.lines.entry(product).or_default() += lines);
        self.longest = self.longest.max(other.longest);
    }

    /// Takes an answer to a request of these lines: those that were not refused count.
    fn take(&mut self, lines: &[&Line], answer: &Answer) {
        for (at, line) in lines.iter().enumerate() {
            if !answer.refused.iter().any(|refused| refused.request_row == at) {
                *self.lines.entry(line.product.clone()).or_default() += 1;
            }
        }
    }
}

/// Plays all lines; how many the flow refused.
///
/// # Errors
/// A request fails.
pub(super) fn play(client: &mut Client, lines: &Lines, counted: &mut Counted) -> Result<usize, Failure> {
    let mut refused = 0;
    for chunk in lines.all().chunks(256) {
        let chunk: Vec<&Line> = chunk.iter().collect();
        refused += send(client, &chunk, counted)?;
    }
    Ok(refused)
}

/// Counts one line of each product in one request.
///
/// # Errors
/// The request fails.
pub(super) fn one_of_each(client: &mut Client, lines: &Lines, counted: &mut Counted) -> Result<(), Failure> {
    let first: BTreeMap<&str, &Line> =
        lines.all().iter().rev().map(|line| (line.product.as_str(), line)).collect();
    send(client, &first.into_values().collect::<Vec<_>>(), counted).map(drop)
}

fn send(client: &mut Client, lines: &[&Line], counted: &mut Counted) -> Result<usize, Failure> {
    let ticket = submit(client, lines)?;
    let answer = client.wait(ticket)?;
    counted.take(lines, &answer);
    Ok(answer.refused.len())
}

fn submit(client: &mut Client, lines: &[&Line]) -> Result<Ticket, Error> {
    let mut batch = client.batch("Lines")?;
    lines.iter().try_for_each(|line| batch.push(&line.row))?;
    client.submit(batch)
}

/// Clients at work.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    counted: Receiver<Result<Counted, Error>>,
}

impl Load {
    /// Starts clients, by turns at A and at B; each goes to the other node when it loses its own.
    ///
    /// # Errors
    /// A client cannot connect, or the operating system refuses a thread.
    pub(super) fn start(zone: &Zone, lines: &Lines) -> Result<Load, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, counted) = channel();
        for number in 0..CLIENTS {
            let client = zone.client(if number % 2 == 0 { "A" } else { "B" })?;
            let (tell, lines, stop) = (tell.clone(), lines.clone(), stop.clone());
            let work = move || {
                // Who waits for it may be gone.
                let _ = tell.send(count(client, &lines, number, &stop));
            };
            os::spawn("client", work)
                .map_err(|error| Failure::world(format!("cannot start a client: {error}")))?;
        }
        Ok(Load { stop, counted })
    }

    /// Lets all clients take their last answers.
    ///
    /// # Errors
    /// A client met an error, or has no answer.
    pub(super) fn stop(self) -> Result<Counted, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Counted::default();
        for _ in 0..CLIENTS {
            match self.counted.recv_timeout(STOP_WITHIN) {
                Ok(Ok(counted)) => all.add(counted),
                Ok(Err(error)) => {
                    return Err(Failure::wrong(format!("a request of a client failed: {error}")));
                }
                Err(_) => return Err(Failure::wrong("clients do not get their last answers")),
            }
        }
        Ok(all)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Requests of a client that are under way, with their lines and when they were sent.
type UnderWay<'l> = HashMap<Ticket, (Vec<&'l Line>, Instant)>;

/// Plays the lines again and again, from another place for each client.
fn count(mut client: Client, lines: &Lines, number: usize, stop: &AtomicBool) -> Result<Counted, Error> {
    let mut counted = Counted::default();
    let mut under_way = UnderWay::new();
    let begin = number * lines.all().len() / CLIENTS;
    let mut next = lines.all().iter().cycle().skip(begin);
    while !stop.load(Ordering::Relaxed) {
        if under_way.len() >= REQUESTS {
            answer(&mut client, &mut under_way, &mut counted)?;
        }
        let request: Vec<&Line> = next.by_ref().take(LINES).collect();
        under_way.insert(submit(&mut client, &request)?, (request, os::now()));
    }
    while !under_way.is_empty() {
        answer(&mut client, &mut under_way, &mut counted)?;
    }
    Ok(counted)
}

fn answer(client: &mut Client, under_way: &mut UnderWay<'_>, counted: &mut Counted) -> Result<(), Error> {
    let Some((ticket, answer)) = client.next()? else { return Ok(()) };
    if let Some((lines, sent)) = under_way.remove(&ticket) {
        counted.take(&lines, &answer);
        counted.longest = counted.longest.max(os::now() - sent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anabranch::{Flow, Node, Value};

    use super::super::lines::FLOW;
    use super::*;

    #[test]
    fn what_is_counted_is_what_the_table_has() {
        let flow = Flow::parse("inventory.flow", FLOW).expect("it compiles");
        let node = Node::builder("A").flow(flow).start().expect("it starts");
        let lines = Lines::read().expect("it is in the program");
        let (mut counted, mut client) = (Counted::default(), node.client());
        assert_eq!(play(&mut client, &lines, &mut counted).expect("it is played"), 2);
        assert_eq!(counted.acknowledged() as usize, lines.all().len() - 2);
        one_of_each(&mut client, &lines, &mut counted).expect("they are counted");
        let stop = AtomicBool::new(true);
        counted.add(count(node.client(), &lines, 1, &stop).expect("nothing is under way"));
        let rows: Vec<_> =
            client.scan("Products").expect("it begins").map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), counted.products());
        for row in rows {
            let (Some(Value::Text(code)), Some(Value::Int(found))) = (row.get("StockCode"), row.get("lines"))
            else {
                unreachable!("{row}")
            };
            assert_eq!(found as u64, counted.of(&code), "{code}");
        }
    }
}
