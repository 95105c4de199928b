//! Two nodes of a zone do what one node does: whoever owns what, and whenever that changes.
#![expect(clippy::panic, reason = "a test fails")]

#[path = "zone/node.rs"]
mod node;

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::message::{
    Answer, Body, Delivery, FlowId, Once, Origin, Page, Reads, Refusal, Request, RowsAnswer, WorkerId,
};
use anabranch_model::plan::{InputId, Plan, TableId};
use anabranch_model::row::{ROW_STAMP_BYTES, RowError};
use anabranch_model::snapshot::Piece;
use anabranch_model::{Batch, SchemaId, Value};
use anabranch_operators::{What, Worker, WorkerConfig};
use proptest::prelude::*;

use node::{Decided, Kept, Node, Sent, Talk, Took, View};

const FLOW: FlowId = FlowId(3);

/// The groups of eight partitions.
const GROUPS: [u16; 8] = [0, 8, 16, 24, 32, 40, 48, 56];

/// The input that only reads.
const LOOK: u16 = 4;

const TEXT: &str = "flow f revision 1
input  Set, Add, Take, Clear, Look: { shelf: int, id: int, n: int }
output Told: { id: int, n: int? }
policy few { partitions 8 }
table  Items: { shelf: int, id: int, n: int } { key shelf, id  partition by shelf  replicate few }
table  Sums: { shelf: int, items: int } { key shelf  replicate few }
on Set as s { upsert Items { ..s } }
on Add as a {
  upsert Items { ..a }
  upsert Sums { shelf: a.shelf, items += 1 }
  require a.n < 50 else invalid 'too many'
  reply Told { id: a.id, n: a.n }
}
on Take as t {
  read Items where shelf = t.shelf and id = t.id as row or null
  require row is not null else not_found 'no such item'
  if row.n <= t.n { delete Items where shelf = t.shelf and id = t.id }
  else { update Items { shelf: t.shelf, id: t.id, n: row.n - t.n } }
}
on Clear as c { delete Items where shelf = c.shelf }
on Look as l {
  read Items where shelf = l.shelf and id = l.id as row or null
  reply Told { id: l.id, n: row.n }
}";

fn plan() -> Arc<Plan> {
    let compiled = anabranch_lang::compile("f.flow", TEXT);
    Arc::new(compiled.plan.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics)))
}

/// An input, and rows for it.
type Asks = (u16, Vec<(i64, i64, i64)>);

/// A request of one of two clients, whose shelves nobody else uses. Client 0 asks node A, client 1 node B.
fn body(plan: &Plan, client: usize, (input, rows): &Asks) -> Body {
    let mut batch = Batch::new(SchemaId(u32::from(*input)));
    for (shelf, id, n) in rows {
        let values = [shelf * 2 + client as i64, *id, *n];
        let write = batch.push_with::<RowError>(&plan.inputs[usize::from(*input)].shape, |row| {
            values.into_iter().try_for_each(|value| row.value(&Value::Int(value)))
        });
        write.expect("it fits");
    }
    Body::Rows { input: InputId(*input), batch }
}

fn origin(client: usize, number: u64, repeated: bool) -> Origin {
    let once = Some(Once { client: client as u64 + 7, number, answered: 0, repeated });
    Origin { worker: WorkerId(0), client: client as u64 + 1, request: 0, revision: 1, once }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// A client sends a request.
    Ask(usize, Asks),
    /// A client sends the request again that it sent so many before its last.
    Repeat(usize, usize),
    /// A node does what it can.
    Turn(usize),
    /// What a node has said comes to the other: so much.
    Hear(usize, usize),
    /// Records and pieces of a node come to the other: so many.
    Copy(usize, usize),
    /// A node hears of what was decided.
    Learn(usize),
    /// The copy takes a group over, if it may.
    TakeOver(usize),
    /// The owner of a group serves it no more, because it moves.
    Pause(usize),
    /// It moves, if it may.
    Move(usize),
    /// An owner makes a piece of a group for a copy, of so many bytes.
    Piece(usize, usize),
}

fn asks() -> impl Strategy<Value = Asks> {
    (0_u16..5, prop::collection::vec((0_i64..12, 0_i64..4, 0_i64..60), 1..12))
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_usize..2, asks()).prop_map(|(client, asks)| Event::Ask(client, asks)),
        1 => (0_usize..2, 0_usize..4).prop_map(|(client, before)| Event::Repeat(client, before)),
        5 => (0_usize..2).prop_map(Event::Turn),
        4 => (0_usize..2, 1_usize..4).prop_map(|(node, count)| Event::Hear(node, count)),
        4 => (0_usize..2, 1_usize..12).prop_map(|(node, count)| Event::Copy(node, count)),
        2 => (0_usize..2).prop_map(Event::Learn),
        1 => (0_usize..8).prop_map(Event::TakeOver),
        1 => (0_usize..8).prop_map(Event::Pause),
        1 => (0_usize..8).prop_map(Event::Move),
        2 => ((0_usize..8), 1_usize..300).prop_map(|(group, most)| Event::Piece(group, most)),
    ]
}

/// Two nodes, and what was decided.
struct Zone {
    plan: Arc<Plan>,
    nodes: [Node; 2],
    decided: View,
    /// Moves that were begun.
    moving: BTreeMap<u16, u64>,
    /// By client, what it has asked, in its order.
    asked: [Vec<(u64, Asks)>; 2],
    number: u64,
    now: i64,
    changes: usize,
}

impl Zone {
    fn new() -> Self {
        let plan = plan();
        let owner = |at: usize| Decided { term: 1, tenure: 1, owner: at % 2, synced: true };
        let decided: View = GROUPS.iter().enumerate().map(|(at, group)| (*group, owner(at))).collect();
        let nodes = [0, 1].map(|me| Node::new(me, &plan, &decided));
        let asked = [Vec::new(), Vec::new()];
        Zone { plan, nodes, decided, moving: BTreeMap::new(), asked, number: 0, now: 0, changes: 0 }
    }

    fn happens(&mut self, event: &Event) {
        match event {
            // A read that goes its ways again may see what its client asked behind it, if that was under way, too.
            Event::Ask(client, _) if self.reads(*client) => {}
            Event::Ask(client, asks) => {
                self.number += 1;
                self.asked[*client].push((self.number, asks.clone()));
                let body = body(&self.plan, *client, asks);
                self.nodes[*client].ask(origin(*client, self.number, false), body);
            }
            Event::Repeat(client, before) => self.repeat(*client, *before),
            Event::Turn(node) => self.turn(*node),
            Event::Hear(node, count) => (0..*count).for_each(|_| self.hear(*node)),
            Event::Copy(node, count) => (0..*count).for_each(|_| self.copy(*node)),
            Event::Learn(node) => self.nodes[*node].learn(&self.decided),
            Event::TakeOver(at) => self.take_over(GROUPS[*at]),
            Event::Pause(at) => self.pause(GROUPS[*at]),
            Event::Move(at) => self.move_group(GROUPS[*at]),
            Event::Piece(at, most) => {
                (0..2).for_each(|node| self.nodes[node].piece(GROUPS[*at], *most));
            }
        }
    }

    /// Whether the last request of a client is a read that is not answered.
    fn reads(&self, client: usize) -> bool {
        let last = self.asked[client].last();
        last.is_some_and(|(number, (input, _))| *input == LOOK && !self.nodes[client].asked[number].is_done())
    }

    fn turn(&mut self, node: usize) {
        self.now += 1;
        self.nodes[node].turn(self.now);
    }

    /// A client that has its answer asks the same again, and is answered the same.
    fn repeat(&mut self, client: usize, before: usize) {
        let Some(at) = self.asked[client].len().checked_sub(before + 1) else { return };
        let (number, asks) = &self.asked[client][at];
        let node = &mut self.nodes[client];
        if node.asked[number].is_done() && asks.0 != LOOK {
            let first = std::mem::take(&mut node.asked.get_mut(number).expect("it is done").answer);
            node.repeated.push((*number, first));
            node.ask(origin(client, *number, true), body(&self.plan, client, asks));
        }
    }

    /// The next thing that a node has said comes to the other.
    fn hear(&mut self, from: usize) {
        let to = 1 - from;
        match self.nodes[from].talk.front().cloned() {
            None => return,
            Some(Talk::Ask(id, request, terms)) => {
                if !self.nodes[to].asked_by_peer(id, &request, &terms) {
                    return;
                }
            }
            Some(Talk::Told(id, answer)) => self.nodes[to].told_by_peer(id, &answer),
        }
        self.nodes[from].talk.pop_front();
    }

    /// The next thing in a lane comes to the copy.
    fn copy(&mut self, from: usize) {
        let Some(item) = self.nodes[from].lane.front().cloned() else { return };
        let decided = self.decided[&item.group];
        let synced = decided.synced && decided.owner == from;
        let Some(took) = self.nodes[1 - from].copy(&item, synced) else { return };
        self.nodes[from].lane.pop_front();
        match item.what {
            Sent::Record { .. } if took == Took::Fenced => {
                self.nodes[from].fenced.insert((item.group, item.term));
            }
            Sent::Record { .. } | Sent::Piece(_) => {}
            Sent::Whole if took == Took::Taken && decided.owner == from && item.term.0 >= decided.tenure => {
                let decided = self.decided.get_mut(&item.group).expect("it is decided");
                if !decided.synced {
                    *decided = Decided { term: decided.term + 1, synced: true, ..*decided };
                }
            }
            Sent::Whole => {}
        }
    }

    fn take_over(&mut self, group: u16) {
        let decided = self.decided.get_mut(&group).expect("it is decided");
        if decided.synced {
            let term = decided.term + 1;
            *decided = Decided { term, tenure: term, owner: 1 - decided.owner, synced: false };
            self.changes += 1;
        }
    }

    fn pause(&mut self, group: u16) {
        let decided = self.decided[&group];
        let owner = &mut self.nodes[decided.owner];
        if decided.synced && owner.known[&group] == decided {
            self.moving.insert(group, decided.term);
            owner.pause(group);
        }
    }

    fn move_group(&mut self, group: u16) {
        let decided = self.decided[&group];
        let moving = self.moving.get(&group) == Some(&decided.term);
        if moving && self.nodes[decided.owner].is_drained() {
            let term = decided.term + 1;
            self.decided
                .insert(group, Decided { term, tenure: term, owner: 1 - decided.owner, synced: true });
            self.changes += 1;
        }
    }

    /// Everything that has begun comes to its end, and all copies are whole.
    fn settle(&mut self) {
        for _ in 0..400 {
            for node in 0..2 {
                (0..8).for_each(|at| self.happens(&Event::Move(at)));
                self.nodes[node].learn(&self.decided);
                self.turn(node);
                self.turn(node);
                GROUPS.iter().for_each(|group| self.nodes[node].piece(*group, 1000));
                (0..1000).for_each(|_| self.hear(node));
                (0..1000).for_each(|_| self.copy(node));
            }
            let answered = self.nodes.iter().all(|node| node.asked.values().all(|asked| asked.is_done()));
            let quiet = self.nodes.iter().all(|node| node.lane.is_empty() && node.talk.is_empty());
            if answered && quiet && self.decided.values().all(|decided| decided.synced) {
                return;
            }
        }
        let lacking = |node: &Node| node.asked.iter().filter(|(_, asked)| !asked.is_done()).count();
        panic!(
            "{:?} are not answered; {:?}",
            self.nodes.iter().map(lacking).collect::<Vec<_>>(),
            self.decided
        );
    }
}

/// A reply: the row that it answers, its output, its row.
type Told = (u32, u16, Vec<u8>);

/// What an answer tells its asker, whenever and in how many parts it was made.
fn told(answer: &RowsAnswer) -> (u32, Vec<Refusal>, Vec<Told>) {
    let mut refusals = answer.refusals.clone();
    refusals.sort_by_key(|refusal| refusal.row);
    let replies = answer.replies.iter().chain(answer.repeated.iter());
    let mut replies: Vec<_> = replies.map(|(row, output, bytes)| (row, output.0, bytes.to_vec())).collect();
    replies.sort();
    (answer.accepted, refusals, replies)
}

fn alone(plan: &Arc<Plan>) -> Worker {
    let config = WorkerConfig { node: "A".into(), seed: 1, clock: None, profile: false, records: true };
    let mut worker = Worker::alone(&config);
    worker.install(FLOW, plan);
    worker
}

fn ask(worker: &mut Worker, origin: Origin, body: Body) -> Answer {
    worker.submit(FLOW, Request { origin, body, partial: None });
    worker.turn(1);
    match worker.deliveries().pop() {
        Some(Delivery::Part { part, .. }) => part.answer,
        other => panic!("{other:?}"),
    }
}

/// The tables of a worker without a zone.
fn tables(worker: &mut Worker) -> Vec<Page> {
    let page = |table| Body::Page { table: TableId(table), after: None, limit: u32::MAX, reads: Reads::Safe };
    let tables =
        (0..2).map(|table| match ask(worker, Origin { once: None, ..origin(0, 1, false) }, page(table)) {
            Answer::Page(page) => page,
            other => panic!("{other:?}"),
        });
    tables.collect()
}

fn without_stamps(mut tables: Vec<Page>) -> Vec<Page> {
    let rows = tables.iter_mut().flat_map(|page| &mut page.rows);
    rows.for_each(|(_, row)| row[ROW_STAMP_BYTES].fill(0));
    tables
}

/// A worker that starts from a journal.
fn started(plan: &Arc<Plan>, journal: &[Kept]) -> Worker {
    let mut worker = alone(plan);
    for (part, what, term, seq, body) in journal {
        match what {
            What::Step => {
                let done = worker.restore(FLOW, *part, *term, *seq, body);
                done.expect("it is the next of its partition");
            }
            What::State => {
                let Ok(Piece::State(state)) = Piece::parse(body) else { panic!("it is state") };
                worker.observe(state.flow, state.stamp, state.rerouted);
                for item in state.items() {
                    worker.load(FLOW, item.expect("an item")).expect("what was taken can be taken");
                }
            }
        }
    }
    worker.restored();
    worker
}

/// What two nodes did is what one does.
fn check(zone: &mut Zone) {
    let plan = zone.plan.clone();
    let mut oracle = alone(&plan);
    for client in 0..2 {
        for (number, asks) in &zone.asked[client] {
            let Answer::Rows(wanted) =
                ask(&mut oracle, origin(client, *number, false), body(&plan, client, asks))
            else {
                panic!("rows are answered")
            };
            let node = &zone.nodes[client];
            assert_eq!(told(&node.asked[number].answer), told(&wanted), "request {number} of {client}");
            for (_, first) in node.repeated.iter().filter(|(of, _)| of == number) {
                assert_eq!(
                    told(first),
                    told(&wanted),
                    "request {number} of {client}, before it was repeated"
                );
            }
        }
    }
    let [a, b] = &zone.nodes;
    let [mut a, mut b] = [a, b].map(|node| started(&plan, &node.journal));
    let (a, b) = (tables(&mut a), tables(&mut b));
    assert_eq!(a, b, "copies are equal");
    assert_eq!(without_stamps(a), without_stamps(tables(&mut oracle)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn two_nodes_do_what_one_does(events in prop::collection::vec(event(), 1..250)) {
        let mut zone = Zone::new();
        events.iter().for_each(|event| zone.happens(event));
        zone.settle();
        check(&mut zone);
    }
}
