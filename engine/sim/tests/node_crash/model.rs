//! What the outside knows of a node: what it asked for, what it was answered, and so what must be there.
//!
//! A partition of a flow goes through states, one for each request that changed it. Whoever was answered something that
//! rests on a state has seen it: it, or a later one, is there after any crash. A request that was not answered may have
//! been done in some of its partitions and not in others; never in half of one.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::{MOST, PARTITIONS, Row, TABLES, partition, shown};

/// The rows of a partition, by table and page.
pub(crate) type Rows = BTreeMap<(&'static str, String), Row>;

/// A request: rows for one input, with a key by which its repeats are known.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) input: &'static str,
    pub(crate) id: i64,
    /// Each with what it adds.
    pub(crate) rows: Vec<(String, i64)>,
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) flow: &'static str,
    pub(crate) incarnation: u64,
    pub(crate) request: Request,
    /// Whether its answer came.
    pub(crate) answered: bool,
    /// Whether nobody sends it again.
    pub(crate) abandoned: bool,
}

/// A state of a partition that something rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: usize,
    pub(crate) state: usize,
}

/// What a request must be answered, and what everybody may see of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) accepted: usize,
    /// By row.
    pub(crate) refused: Vec<(usize, &'static str)>,
    /// By row, as text.
    pub(crate) replies: Vec<(usize, String)>,
    /// What the answer rests on.
    pub(crate) places: Vec<Place>,
    /// What subscribers see.
    pub(crate) emitted: Vec<Coming>,
    pub(crate) errors: Vec<Coming>,
}

/// What a subscriber sees.
#[derive(Clone, Debug)]
pub(crate) struct Coming {
    /// As text.
    pub(crate) row: String,
    pub(crate) place: Place,
    /// Whether it comes for sure.
    pub(crate) sure: bool,
}

/// A state of a partition.
#[derive(Clone, Debug, Default)]
struct State {
    rows: Rows,
    /// What became of the requests that it knows, by their ids.
    done: BTreeMap<i64, Done>,
}

/// What became of a request in a partition.
#[derive(Clone, Debug)]
struct Done {
    /// By row: the count that was replied, if one was, or the code of the refusal.
    rows: Vec<(usize, Outcome)>,
    /// The first state that knows it.
    state: usize,
}

type Outcome = Result<Option<i64>, &'static str>;

/// A partition.
#[derive(Clone, Debug)]
struct Partition {
    /// The states it has gone through; the first is what the node started with.
    states: Vec<State>,
    /// The last that somebody has seen.
    seen: usize,
    /// Requests that changed nothing, and that the node may know from before it started or not.
    uncertain: BTreeSet<i64>,
}

/// Whether a request was done by a partition before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    No,
    Perhaps,
    Yes,
}

/// A flow.
#[derive(Clone, Debug)]
pub(crate) struct FlowModel {
    pub(crate) revision: u32,
    /// Tells a flow from one of the same name that was dropped before.
    pub(crate) incarnation: u64,
    partitions: Vec<Partition>,
}

/// A change of a flow that was asked for and not answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) name: &'static str,
    /// The revision that it was to have; none where it was to be dropped.
    pub(crate) to: Option<u32>,
}

/// What the outside knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) flows: BTreeMap<&'static str, FlowModel>,
    pub(crate) pending: Option<Pending>,
    /// The requests of all lives; the id of each is its place, from 1.
    pub(crate) sent: Vec<Sent>,
    incarnations: u64,
}

impl FlowModel {
    fn new(revision: u32, incarnation: u64) -> Self {
        let empty = Partition { states: vec![State::default()], seen: 0, uncertain: BTreeSet::new() };
        FlowModel { revision, incarnation, partitions: vec![empty; PARTITIONS as usize] }
    }

    /// The present state of the partition of a page.
    pub(crate) fn place(&self, page: &str) -> Place {
        let partition = partition(page);
        Place { partition, state: self.partitions[partition].states.len() - 1 }
    }

    /// A row as it is now, as text.
    pub(crate) fn row(&self, table: &'static str, page: &str) -> Option<String> {
        let place = self.place(page);
        let rows = &self.partitions[place.partition].states[place.state].rows;
        let row = rows.get(&(table, page.to_owned()))?;
        Some(shown(table, page, row, self.revision))
    }

    /// The rows of a table as they are now, as text.
    pub(crate) fn rows(&self, table: &'static str) -> Vec<String> {
        let now = self.partitions.iter().filter_map(|partition| partition.states.last());
        let mut rows: Vec<_> =
            now.flat_map(|state| &state.rows).filter(|((of, _), _)| *of == table).collect();
        rows.sort_by_key(|((_, page), _)| page.clone());
        rows.into_iter().map(|((_, page), row)| shown(table, page, row, self.revision)).collect()
    }

    /// Somebody has seen something that rests on a state.
    pub(crate) fn saw(&mut self, place: Place) {
        let partition = &mut self.partitions[place.partition];
        partition.seen = partition.seen.max(place.state);
    }

    /// Somebody has seen everything as it is now.
    pub(crate) fn saw_all(&mut self) {
        self.partitions.iter_mut().for_each(|partition| partition.seen = partition.states.len() - 1);
    }

    /// Does a request as the flow says, in those partitions that have not done it before.
    pub(crate) fn apply(&mut self, request: &Request) -> Expected {
        let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, (page, _)) in request.rows.iter().enumerate() {
            of.entry(partition(page)).or_default().push(at);
        }
        let (revision, mut outcomes) = (self.revision, BTreeMap::new());
        let mut expected = Expected::default();
        for (number, rows) in of {
            let (done, before) = self.partitions[number].apply(request, &rows, revision);
            let place = Place { partition: number, state: done.state };
            expected.places.push(place);
            outcomes.extend(done.rows.into_iter().map(|(at, outcome)| (at, (outcome, place, before))));
        }
        for (at, (outcome, place, before)) in outcomes {
            let ((page, _), id) = (&request.rows[at], request.id);
            let seen = match outcome {
                Ok(told) => {
                    expected.accepted += 1;
                    let row = told.map(|n| format!(r#"{{"page":"{page}","n":{n},"id":{id}}}"#));
                    expected.replies.extend(row.iter().map(|row| (at, row.clone())));
                    row.map(|row| (&mut expected.emitted, row))
                }
                Err(code) => {
                    expected.refused.push((at, code));
                    Some((&mut expected.errors, format!("{code} {page} {id}")))
                }
            };
            // Subscribers see nothing of a repeat.
            if let Some((rows, row)) = seen.filter(|_| before != Before::Yes) {
                rows.push(Coming { row, place, sure: before == Before::No });
            }
        }
        expected
    }

    /// Which states the rows that a node came back with are; each page with its row as text, by table.
    ///
    /// # Errors
    /// They are none that may be.
    fn found(&self, found: &BTreeMap<(&'static str, String), String>) -> Result<Vec<(usize, usize)>, String> {
        let of = |number: usize, partition: &Partition| {
            let here: BTreeMap<_, _> =
                found.iter().filter(|((_, page), _)| crate::flow::partition(page) == number).collect();
            let is = |state: &usize| {
                let rows = &partition.states[*state].rows;
                rows.len() == here.len()
                    && rows
                        .iter()
                        .all(|(key, row)| here.get(key) == Some(&&shown(key.0, &key.1, row, self.revision)))
            };
            // From the first that fits to the last: there may be requests between them that changed nothing.
            let states = partition.seen..partition.states.len();
            states.clone().find(is).zip(states.rev().find(is)).ok_or_else(|| {
                match (0..partition.seen).rev().find(is) {
                    Some(state) => format!(
                        "partition {number} is at state {state}, but somebody has seen {}",
                        partition.seen
                    ),
                    None => format!("partition {number} is in a state that it never was in: {here:?}"),
                }
            })
        };
        self.partitions.iter().enumerate().map(|(number, partition)| of(number, partition)).collect()
    }
}

impl Partition {
    /// Does these rows of a request, if it has not done so before: what became of them, and whether it had.
    fn apply(&mut self, request: &Request, rows: &[usize], revision: u32) -> (Done, Before) {
        let now = self.states.last().expect("there is the first");
        if let Some(done) = now.done.get(&request.id) {
            return (done.clone(), Before::Yes);
        }
        let mut state = now.clone();
        let step = |at: &usize| {
            let (page, by) = &request.rows[*at];
            (*at, step(&mut state.rows, request, page, *by, revision))
        };
        let done = Done { rows: rows.iter().map(step).collect(), state: self.states.len() };
        state.done.insert(request.id, done.clone());
        self.states.push(state);
        let before = if self.uncertain.contains(&request.id) { Before::Perhaps } else { Before::No };
        (done, before)
    }

    /// The node started with one of these states, which have the same rows.
    fn restarted(&mut self, (first, last): (usize, usize)) {
        let known = |state: usize| self.states[state].done.keys().copied();
        let before: BTreeSet<i64> = known(first).collect();
        let uncertain = known(last).filter(|id| !before.contains(id)).collect();
        let mut state = self.states.swap_remove(first);
        state.done.values_mut().for_each(|done| done.state = 0);
        *self = Partition { states: vec![state], seen: 0, uncertain };
    }
}

/// Does the step of a row: what was replied, or the code of the refusal.
fn step(rows: &mut Rows, request: &Request, page: &str, by: i64, revision: u32) -> Outcome {
    let key = |table| (table, page.to_owned());
    let written = |n| Row { n, id: request.id, revision };
    match request.input {
        "Add" => {
            let n = rows.get(&key("Hits")).map_or(0, |row| row.n) + by;
            if n > MOST {
                return Err("conflict");
            }
            rows.insert(key("Hits"), written(n));
            Ok(Some(n))
        }
        "Try" => Err("invalid"),
        "Forget" => {
            rows.remove(&key("Hits")).ok_or("not_found")?;
            let n = rows.get(&key("Gone")).map_or(0, |row| row.n) + 1;
            rows.insert(key("Gone"), written(n));
            Ok(None)
        }
        _ => {
            rows.insert(key("Notes"), written(0));
            Ok(None)
        }
    }
}

/// What a node came back with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// The revision of each flow.
    pub(crate) flows: BTreeMap<String, u32>,
    /// Rows as text, by flow, table and page.
    pub(crate) rows: BTreeMap<String, BTreeMap<(&'static str, String), String>>,
}

impl Model {
    /// A flow was installed.
    pub(crate) fn installed(&mut self, name: &'static str, revision: u32) {
        self.incarnations += 1;
        self.flows.insert(name, FlowModel::new(revision, self.incarnations));
    }

    /// A change of a flow has happened.
    pub(crate) fn changed(&mut self, change: Pending) {
        match (change.to, self.flows.get_mut(change.name)) {
            (Some(revision), Some(flow)) => flow.revision = revision,
            (Some(revision), None) => self.installed(change.name, revision),
            (None, _) => drop(self.flows.remove(change.name)),
        }
    }

    /// Whether a node may have come back with this; from now on it is what there is, and seen.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn recovered(&mut self, found: &Found) -> Result<(), String> {
        let mut model = self.clone();
        if model.revisions() != found.flows
            && let Some(pending) = model.pending.take()
        {
            model.changed(pending);
        }
        if model.revisions() != found.flows {
            return Err(format!("flows {:?} came back, not {:?}", found.flows, self.revisions()));
        }
        for (name, flow) in &mut model.flows {
            let states = flow.found(&found.rows[*name]).map_err(|why| format!("{name}: {why}"))?;
            for (partition, states) in flow.partitions.iter_mut().zip(states) {
                partition.restarted(states);
            }
        }
        model.pending = None;
        *self = model;
        Ok(())
    }

    fn revisions(&self) -> BTreeMap<String, u32> {
        self.flows.iter().map(|(name, flow)| ((*name).to_owned(), flow.revision)).collect()
    }
}

/// All tables of all flows that run.
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    TABLES.into_iter()
}
