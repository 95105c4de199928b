//! `anabranch demo`: two nodes and a witness on this machine, and what happens when nodes die under load.
//!
//! Everything is real: three processes of this program that talk over sockets, clients that count what was acknowledged to
//! them, and SIGKILL. What the clients counted is compared with the tables at the end, and the exit code says how it went.

mod lines;
mod load;
mod zone;

use std::time::{Duration, Instant};

use anabranch::{Client, Row, Value};
use clap::Args;
use serde_json::json;

use self::lines::Lines;
use self::load::{Counted, Load};
use self::zone::Zone;
use crate::failure::Failure;
use crate::{os, output};

/// See a zone of two nodes and a witness lose a node under load, and nothing else
#[derive(Args, Debug)]
#[command(after_help = "\
Starts two nodes and a witness as processes of their own on this machine, plays a file of invoice lines into one node, asks
the other, and kills each of the nodes once while clients go on counting. At the end what was acknowledged is compared with
the tables, row by row. It takes some seconds, needs no file and no port, and leaves nothing behind.

Exit codes: 0 nothing was lost or doubled, 1 something was, 3 processes cannot be started or do not answer.")]
pub(crate) struct Demo {
    /// How long clients count before a node is killed, and behind it, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pace: u64,
}

/// A row of the demonstration's table, as it is shown and compared.
type Rows = Vec<(String, Row)>;

impl Demo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut story = Story { began: os::now(), pace: Duration::from_millis(self.pace) };
        let lines = Lines::read()?;
        output::print(INTRODUCTION)?;
        let mut zone = Zone::new()?;
        let told = story.all(&mut zone, &lines);
        match told {
            Ok(()) => zone.clean(),
            Err(failure) => {
                zone.show();
                Err(failure)
            }
        }
    }
}

const INTRODUCTION: &str = "\
Anabranch, active-active: two nodes and a witness on this machine. A flow (flows/inventory.flow) counts what a shop sells;
both nodes take every request at any time. Each product is owned by one of them and copied to the other before anything is
acknowledged. Nothing is kept on disk.

";

/// What is told, with the time since the beginning.
struct Story {
    began: Instant,
    /// How long clients count between two events.
    pace: Duration,
}

impl Story {
    fn all(&mut self, zone: &mut Zone, lines: &Lines) -> Result<(), Failure> {
        self.founded(zone)?;
        let mut counted = Counted::default();
        self.played(zone, lines, &mut counted)?;
        let load = Load::start(zone, lines)?;
        self.say(&format!(
            "{} clients go on counting, half of them at A, half at B, {} lines under way for each",
            load::CLIENTS,
            load::LINES_UNDER_WAY
        ))?;
        zone.wait(self.pace)?;
        self.killed(zone, lines, "A", "B", &mut counted)?;
        zone.wait(self.pace)?;
        self.back(zone, "A")?;
        zone.wait(self.pace)?;
        self.killed(zone, lines, "B", "A", &mut counted)?;
        zone.wait(self.pace)?;
        self.back(zone, "B")?;
        zone.wait(self.pace)?;
        let loaded = load.stop()?;
        self.say(&format!(
            "the clients stop: {} lines acknowledged to them; none of them waited longer than {} for an answer",
            with_commas(loaded.acknowledged()),
            in_ms(loaded.longest())
        ))?;
        counted.add(loaded);
        self.compared(zone, &counted)
    }

    fn founded(&self, zone: &mut Zone) -> Result<(), Failure> {
        zone.start("A")?;
        self.say("A is ready: it founded the zone `demo`")?;
        zone.start("B")?;
        zone.start("W")?;
        let standing = zone.whole()?;
        self.say(&format!(
            "B and the witness W have joined: {} votes. Of {} partitions A owns {} and B {}; each is on both",
            standing.votes,
            standing.partitions.len(),
            zone::owned(&standing, "A"),
            zone::owned(&standing, "B")
        ))
    }

    /// The file goes into A; B is asked.
    fn played(&self, zone: &Zone, lines: &Lines, counted: &mut Counted) -> Result<(), Failure> {
        let mut client = zone.client("A")?;
        let refused = load::play(&mut client, lines, counted)?;
        self.say(&format!(
            "played flows/data/invoices.csv into A: {} lines counted, {refused} refused by the flow",
            with_commas(counted.acknowledged())
        ))?;
        for product in ["T-100", "K-700"] {
            let mut replies = zone.client("B")?.ask("GetProduct", &json!({ "StockCode": product }))?;
            let Some(reply) = replies.pop() else {
                return Err(Failure::wrong(format!("B has no answer about product {product}")));
            };
            self.say(&format!("asked B:  {}", reply.row))?;
        }
        Ok(())
    }

    /// A node is killed. Then every product is counted once more through the other.
    fn killed(
        &self,
        zone: &mut Zone,
        lines: &Lines,
        victim: &'static str,
        other: &'static str,
        counted: &mut Counted,
    ) -> Result<(), Failure> {
        let owned = zone.standing().map_or(0, |standing| zone::owned(&standing, victim));
        let mut client = zone.client(other)?;
        let killed = os::now();
        zone.kill(victim)?;
        self.say(&format!(
            "{victim} is KILLED (SIGKILL): it owned {owned} partitions, and clients were at it"
        ))?;
        load::one_of_each(&mut client, lines, counted)?;
        let took = os::now() - killed;
        self.say(&format!(
            "{} after the kill {other} has counted a line of every product: it owns all now, and lost none",
            in_ms(took)
        ))
    }

    /// A node is started again and fills itself under load.
    fn back(&self, zone: &mut Zone, name: &'static str) -> Result<(), Failure> {
        let began = os::now();
        zone.start(name)?;
        let standing = zone.shared_evenly()?;
        self.say(&format!(
            "{name} is started again, with nothing: {} later it has a copy of every row and owns {} partitions again",
            in_ms(os::now() - began),
            zone::owned(&standing, name)
        ))
    }

    /// What was acknowledged is in the tables, at both nodes.
    fn compared(&self, zone: &Zone, counted: &Counted) -> Result<(), Failure> {
        let (at_a, at_b) = (products(zone.client("A")?)?, products(zone.client("B")?)?);
        let mut wrong = Vec::new();
        if at_a.iter().map(|(_, row)| row.to_string()).ne(at_b.iter().map(|(_, row)| row.to_string())) {
            wrong.push("A and B do not answer the same rows".to_owned());
        }
        for (product, row) in &at_a {
            let Some(Value::Int(found)) = row.get("lines") else { continue };
            let acknowledged = counted.of(product);
            if found as u64 != acknowledged {
                wrong.push(format!(
                    "{product}: {acknowledged} lines were acknowledged, the table counts {found}"
                ));
            }
        }
        if at_a.len() != counted.products() {
            wrong.push(format!(
                "there are {} products, of {} lines were acknowledged",
                at_a.len(),
                counted.products()
            ));
        }
        if !wrong.is_empty() {
            return Err(Failure::wrong(wrong.join("; ")));
        }
        let lines = with_commas(counted.acknowledged());
        self.say(&format!("compared {} products at A and at B with what was acknowledged", at_a.len()))?;
        output::print(&format!(
            "\n{lines} lines acknowledged, {lines} counted in the tables: nothing lost, nothing doubled, in two kills.\n"
        ))
    }

    fn say(&self, what: &str) -> Result<(), Failure> {
        let seconds = (os::now() - self.began).as_secs_f64();
        output::print(&format!("{seconds:6.2} s  {what}\n"))
    }
}

/// All products that a node tells, by their code.
fn products(mut client: Client) -> Result<Rows, Failure> {
    let mut rows = Rows::new();
    for row in client.scan("Products")? {
        let row = row?;
        let code = match row.get("StockCode") {
            Some(Value::Text(code)) => code.into_owned(),
            _ => continue,
        };
        rows.push((code, row));
    }
    Ok(rows)
}

/// A time in milliseconds, as people read it.
fn in_ms(time: Duration) -> String {
    format!("{} ms", time.as_millis().max(1))
}

/// A number with commas between thousands.
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(with_commas(number), text);
        }
    }
}
