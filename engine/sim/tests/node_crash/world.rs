//! A node over a simulated disk, with everybody who talks to it.

use std::collections::{BTreeMap, VecDeque};

use anabranch::testing::{Planted, TestNode};
use anabranch::{Answer, Client, Error, Event, Flow, Here, Row, Subscription, Ticket, Value};
use anabranch_log::Config;
use anabranch_sim::{Chance, SimDisk};
use serde_json::json;

use crate::flow::flow;
use crate::model::{Coming, Expected, Found, Model, Pending, Request, Sent, tables};

/// Small, so that a workload has many segments.
const SEGMENT_BYTES: u64 = 4096 + 3000;

const CLIENTS: usize = 3;

/// When keys are made, in milliseconds since 1970: long ago.
const KEYS_BEGIN: i64 = 1_100_000_000_000;

const NAMES: [&str; 2] = ["one", "two"];

/// Bugs of the node and of its journal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bugs {
    pub(crate) node: Planted,
    pub(crate) journal: anabranch_log::Planted,
}

/// Why a life ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The machine stopped, or its disk failed.
    Crashed,
    /// The node did what it must not.
    Violation(String),
}

/// A node with its clients and subscribers.
pub(crate) struct World<'m> {
    model: &'m mut Model,
    disk: SimDisk,
    node: TestNode,
    clients: Vec<Talker>,
    subscribers: BTreeMap<&'static str, Subscriber>,
}

/// A client with what it waits for.
struct Talker {
    client: Client<Here>,
    waiting: BTreeMap<Ticket, Waiting>,
}

/// A request that waits for its answer.
struct Waiting {
    /// Where it stands among all that were sent.
    at: usize,
    name: &'static str,
    incarnation: u64,
    expected: Expected,
}

/// Who listens to a flow, and what is still to come.
struct Subscriber {
    incarnation: u64,
    changed: Subscription,
    errors: Subscription,
    emitted: VecDeque<Coming>,
    refused: VecDeque<Coming>,
}

fn violation<T>(what: impl Into<String>) -> Result<T, End> {
    Err(End::Violation(what.into()))
}

impl<'m> World<'m> {
    /// Starts a node on what the disk has, and looks whether it has come back with what it must.
    pub(crate) fn start(model: &'m mut Model, disk: &SimDisk, bugs: Bugs) -> Result<Self, End> {
        let config = Config::new(*b"an identity of a").segment_bytes(SEGMENT_BYTES).planted(bugs.journal);
        let node = match TestNode::planted("A", 1, disk.clone(), config, bugs.node) {
            Ok(node) => node,
            Err(_) if disk.has_failed() => return Err(End::Crashed),
            Err(error) => return violation(format!("it does not start: {error}")),
        };
        let found = found(&node).map_err(|error| End::Violation(format!("it cannot be read: {error}")))?;
        model.recovered(&found).map_err(End::Violation)?;
        let talker = |client| Talker { client, waiting: BTreeMap::new() };
        let clients = (0..CLIENTS).map(|_| talker(node.client())).collect();
        let mut world = World { model, disk: disk.clone(), node, clients, subscribers: BTreeMap::new() };
        let names: Vec<_> = world.model.flows.keys().copied().collect();
        names.into_iter().try_for_each(|name| world.listen(name))?;
        Ok(world)
    }

    /// Sends again what was not answered in the lives before, in the same order; or nobody ever does.
    fn repeat_unanswered(&mut self, chance: &mut Chance) -> Result<(), End> {
        let gone = chance.below(4) == 0;
        for at in 0..self.model.sent.len() {
            let sent = &mut self.model.sent[at];
            let flow = self.model.flows.get(sent.flow);
            if sent.answered || flow.is_none_or(|flow| flow.incarnation != sent.incarnation) {
                continue;
            }
            if gone {
                sent.abandoned = true;
            } else if !sent.abandoned {
                self.send(at, chance)?;
            }
        }
        Ok(())
    }

    /// Does some of everything.
    pub(crate) fn work(&mut self, chance: &mut Chance, steps: u32) -> Result<(), End> {
        self.repeat_unanswered(chance)?;
        let earlier = self.model.sent.len();
        for name in NAMES {
            if !self.model.flows.contains_key(name) {
                self.deploy(name)?;
            }
        }
        for _ in 0..steps {
            match chance.below(60) {
                0..24 => self.submit(chance)?,
                24..27 => self.repeat(chance, earlier)?,
                27..37 => self.collect()?,
                37..43 => {
                    self.node.commit();
                }
                43..48 => self.get(chance)?,
                48 => self.scan(chance)?,
                49..52 => self.node.snapshot(),
                52 => self.deploy(NAMES[chance.below(2) as usize])?,
                53 => self.remove(NAMES[1])?,
                _ => {
                    self.collect()?;
                    self.node.commit();
                }
            }
            if self.disk.has_crashed() {
                return Err(End::Crashed);
            }
        }
        Ok(())
    }

    /// Everything that was asked is answered, and everything that was emitted is seen.
    pub(crate) fn settle(&mut self) -> Result<(), End> {
        self.collect()?;
        self.node.commit();
        self.collect()?;
        if self.disk.has_failed() {
            return Err(End::Crashed);
        }
        for talker in &self.clients {
            if let Some((_, waiting)) = talker.waiting.first_key_value() {
                return violation(format!("a request is never answered: {:?}", waiting.expected));
            }
        }
        for (name, subscriber) in &self.subscribers {
            let mut coming = subscriber.emitted.iter().chain(&subscriber.refused);
            if let Some(coming) = coming.find(|coming| coming.sure) {
                return violation(format!("subscribers of {name} never see {}", coming.row));
            }
        }
        Ok(())
    }

    fn listen(&mut self, name: &'static str) -> Result<(), End> {
        let subscribe = |output: &str| {
            let subscribed = self.node.subscribe(&format!("{name}.{output}"));
            subscribed.map_err(|error| End::Violation(format!("no subscription: {error}")))
        };
        let subscriber = Subscriber {
            incarnation: self.model.flows[name].incarnation,
            changed: subscribe("Changed")?,
            errors: subscribe("errors")?,
            emitted: VecDeque::new(),
            refused: VecDeque::new(),
        };
        self.subscribers.insert(name, subscriber);
        Ok(())
    }

    fn any_flow(&self, chance: &mut Chance) -> Option<&'static str> {
        let names: Vec<_> = self.model.flows.keys().copied().collect();
        names.get(chance.below(names.len() as u64) as usize).copied()
    }

    fn submit(&mut self, chance: &mut Chance) -> Result<(), End> {
        let Some(name) = self.any_flow(chance) else { return Ok(()) };
        let request = request(chance, self.model.sent.len() as i64 + 1);
        let incarnation = self.model.flows[name].incarnation;
        self.model.sent.push(Sent { flow: name, incarnation, request, answered: false, abandoned: false });
        self.send(self.model.sent.len() - 1, chance)
    }

    /// Sends again what was answered, or what was first sent in this life.
    fn repeat(&mut self, chance: &mut Chance, earlier: usize) -> Result<(), End> {
        let Some(at) = chance.below(self.model.sent.len() as u64 + 1).checked_sub(1) else { return Ok(()) };
        let sent = &self.model.sent[at as usize];
        let known = sent.answered || at as usize >= earlier;
        let flow = self.model.flows.get(sent.flow);
        match known && flow.is_some_and(|flow| flow.incarnation == sent.incarnation) {
            true => self.send(at as usize, chance),
            false => Ok(()),
        }
    }

    /// Sends a request, for the first time or again. A node whose disk has failed turns it down: nobody asks it any more.
    fn send(&mut self, at: usize, chance: &mut Chance) -> Result<(), End> {
        if self.disk.has_failed() {
            return Ok(());
        }
        let Sent { flow: name, request, .. } = &self.model.sent[at];
        let talker = &mut self.clients[chance.below(CLIENTS as u64) as usize];
        let ticket = send(&mut talker.client, name, request);
        let ticket = ticket.map_err(|error| End::Violation(format!("a request is not taken: {error}")))?;
        let flow = self.model.flows.get_mut(name).expect("it is there");
        let expected = flow.apply(request);
        if let Some(subscriber) = self.subscribers.get_mut(name) {
            subscriber.emitted.extend(expected.emitted.iter().cloned());
            subscriber.refused.extend(expected.errors.iter().cloned());
        }
        let incarnation = flow.incarnation;
        talker.waiting.insert(ticket, Waiting { at, name, incarnation, expected });
        Ok(())
    }

    /// Takes what has come for clients and subscribers.
    fn collect(&mut self) -> Result<(), End> {
        for talker in &mut self.clients {
            loop {
                let (ticket, answer) = match talker.client.try_next() {
                    Ok(Some(answered)) => answered,
                    Ok(None) => break,
                    // It is not known whether it was done.
                    Err(Error::Storage(_)) if self.disk.has_failed() => continue,
                    Err(error) => return violation(format!("a request has no answer: {error}")),
                };
                let Some(waiting) = talker.waiting.remove(&ticket) else {
                    return violation("an answer that nobody waits for");
                };
                let Waiting { at, name, incarnation, expected } = waiting;
                let sent = &mut self.model.sent[at];
                sent.answered = true;
                compare(&answer, &expected).map_err(End::Violation)?;
                let flow = self.model.flows.get_mut(name).filter(|flow| flow.incarnation == incarnation);
                if let Some(flow) = flow {
                    expected.places.iter().for_each(|place| flow.saw(*place));
                }
            }
        }
        self.watch()
    }

    fn watch(&mut self) -> Result<(), End> {
        for (name, subscriber) in &mut self.subscribers {
            let Subscriber { incarnation, changed, errors, emitted, refused } = subscriber;
            for (events, coming) in [(changed, emitted), (errors, refused)] {
                while let Some(event) = events.try_next() {
                    let shown = match event {
                        Event::Row(row) => row.to_string(),
                        Event::Refused(event) => {
                            let [page, id] = ["page", "id"].map(|column| text(&event.row, column));
                            format!("{} {page} {id}", event.refused.code.name())
                        }
                        Event::Gone => break,
                        Event::Missed(rows) => return violation(format!("{rows} rows are missed")),
                    };
                    while coming.pop_front_if(|coming| !coming.sure && coming.row != shown).is_some() {}
                    let Some(seen) = coming.pop_front().filter(|coming| coming.row == shown) else {
                        return violation(format!("subscribers of {name} see {shown}"));
                    };
                    let flow = self.model.flows.get_mut(name);
                    if let Some(flow) = flow.filter(|flow| flow.incarnation == *incarnation) {
                        flow.saw(seen.place);
                    }
                }
            }
        }
        Ok(())
    }

    fn get(&mut self, chance: &mut Chance) -> Result<(), End> {
        let Some(name) = self.any_flow(chance) else { return Ok(()) };
        let (table, page) = (["Hits", "Gone", "Notes"][chance.below(3) as usize], page(chance));
        let talker = &mut self.clients[chance.below(CLIENTS as u64) as usize];
        let row = match talker.client.get(&format!("{name}.{table}"), [page.as_str()]) {
            Ok(row) => row.map(|row| row.to_string()),
            Err(Error::Storage(_)) if self.disk.has_failed() => return Ok(()),
            Err(error) => return violation(format!("a row cannot be read: {error}")),
        };
        let flow = self.model.flows.get_mut(name).expect("it is one of them");
        if row != flow.row(table, &page) {
            return violation(format!(
                "{page} of {name}.{table} is {row:?}, not {:?}",
                flow.row(table, &page)
            ));
        }
        flow.saw(flow.place(&page));
        Ok(())
    }

    fn scan(&mut self, chance: &mut Chance) -> Result<(), End> {
        let Some(name) = self.any_flow(chance) else { return Ok(()) };
        let talker = &mut self.clients[chance.below(CLIENTS as u64) as usize];
        let rows = match scan(&mut talker.client, &format!("{name}.Hits")) {
            Ok(rows) => rows,
            Err(Error::Storage(_)) if self.disk.has_failed() => return Ok(()),
            Err(error) => return violation(format!("a table cannot be read: {error}")),
        };
        let flow = self.model.flows.get_mut(name).expect("it is one of them");
        if rows != flow.rows("Hits") {
            return violation(format!("{name}.Hits has {rows:?}, not {:?}", flow.rows("Hits")));
        }
        flow.saw_all();
        Ok(())
    }

    /// Installs a flow, or its next revision.
    fn deploy(&mut self, name: &'static str) -> Result<(), End> {
        let before = self.model.flows.get(name).map(|flow| flow.revision);
        let revision = before.unwrap_or(0) + 1;
        let change = Pending { name, to: Some(revision) };
        let flow: Flow = flow(name, revision);
        self.model.pending = Some(change);
        let deployed = self.node.deploy(flow).map(drop);
        self.changed(change, deployed)?;
        if before.is_none() { self.listen(name) } else { Ok(()) }
    }

    /// Drops a flow.
    fn remove(&mut self, name: &'static str) -> Result<(), End> {
        if !self.model.flows.contains_key(name) {
            return Ok(());
        }
        let change = Pending { name, to: None };
        self.model.pending = Some(change);
        let dropped = self.node.drop_flow(name);
        // What came before it is gone is still told.
        self.collect()?;
        self.changed(change, dropped)?;
        self.subscribers.remove(name);
        Ok(())
    }

    fn changed(&mut self, change: Pending, done: Result<(), Error>) -> Result<(), End> {
        match done {
            Ok(()) => {
                self.model.pending = None;
                self.model.changed(change);
                Ok(())
            }
            Err(Error::Storage(_)) if self.disk.has_failed() => Err(End::Crashed),
            Err(error) => violation(format!("{} does not change: {error}", change.name)),
        }
    }
}

/// Everything that a node has.
fn found(node: &TestNode) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut client = node.client();
    for flow in node.flows() {
        let (name, revision) = (flow.name().to_owned(), flow.revision() as u32);
        let rows = found.rows.entry(name.clone()).or_default();
        for table in tables() {
            for row in client.scan(&format!("{name}.{table}"))? {
                let row = row?;
                rows.insert((table, text(&row, "page")), row.to_string());
            }
        }
        found.flows.insert(name, revision);
    }
    Ok(found)
}

fn scan(client: &mut Client<Here>, table: &str) -> Result<Vec<String>, Error> {
    client.scan(table)?.map(|row| row.map(|row| row.to_string())).collect()
}

/// A column, as text.
fn text(row: &Row, column: &str) -> String {
    match row.get(column) {
        Some(Value::Text(text)) => text.into_owned(),
        Some(Value::Int(number)) => number.to_string(),
        other => unreachable!("{other:?}"),
    }
}

fn page(chance: &mut Chance) -> String {
    format!("p{}", chance.below(6))
}

fn request(chance: &mut Chance, id: i64) -> Request {
    let input = ["Add", "Add", "Forget", "Forget", "Note", "Try"][chance.below(6) as usize];
    let count = if chance.coin() { 1 } else { 2 + chance.below(3) };
    let rows = (0..count).map(|_| (page(chance), 1 + chance.below(3) as i64)).collect();
    Request { input, id, rows }
}

fn send(client: &mut Client<Here>, name: &str, request: &Request) -> Result<Ticket, Error> {
    let batch = client.batch(&format!("{name}.{}", request.input))?;
    let mut batch = batch.once(&format!("{}-{}", KEYS_BEGIN + request.id, request.id))?;
    for (page, by) in &request.rows {
        let mut row = json!({ "page": page, "id": request.id });
        if request.input == "Add" {
            row["by"] = json!(by);
        }
        batch.push(&row)?;
    }
    client.submit(batch)
}

fn compare(answer: &Answer, expected: &Expected) -> Result<(), String> {
    let refused: Vec<_> =
        answer.refused.iter().map(|refused| (refused.request_row, refused.code.name())).collect();
    let replies: Vec<_> =
        answer.replies.iter().map(|reply| (reply.request_row, reply.row.to_string())).collect();
    let same =
        answer.accepted == expected.accepted && refused == expected.refused && replies == expected.replies;
    if same { Ok(()) } else { Err(format!("{answer:?} answers what must be answered {expected:?}")) }
}
