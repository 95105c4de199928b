//! A node of a zone as far as a worker is concerned, driven by hand: what enters here and is not answered, what waits for
//! the copy, and what goes to the other node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use anabranch_model::message::{
    Answer, Body, Delivery, Forward, Forwarded, Origin, Part, Partial, Request, RowsAnswer,
};
use anabranch_model::plan::Plan;
use anabranch_model::share::{Routed, Share, Work};
use anabranch_model::zone::{Group, Holder, MemberId, Owners, Parts, Standing, Term, Terms};
use anabranch_operators::{FlowPartition, GroupPlace, What, Worker, WorkerConfig};

use super::FLOW;

/// Copies of the tables.
pub(crate) const COPIES: u16 = 2;

/// The number of the client whose requests come from the other node.
const PEER: u64 = 1 << 40;

/// Who owns a group, by decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) term: u64,
    /// The term in which the owner became so.
    pub(crate) tenure: u64,
    pub(crate) owner: usize,
    /// Whether the other node has all that the owner has let out.
    pub(crate) synced: bool,
}

pub(crate) type View = BTreeMap<u16, Decided>;

/// Something for the copy, in order.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) group: u16,
    pub(crate) term: Term,
    pub(crate) what: Sent,
}

#[derive(Clone, Debug)]
pub(crate) enum Sent {
    Record {
        count: u64,
        part: FlowPartition,
        seq: u64,
        body: Vec<u8>,
    },
    Piece(Vec<u8>),
    /// The last piece was sent.
    Whole,
}

/// Between the entry of a request and who does it.
#[derive(Clone, Debug)]
pub(crate) enum Talk {
    Ask(u64, Request, Terms),
    Told(u64, RowsAnswer),
}

/// A record as a journal has it.
pub(crate) type Kept = (FlowPartition, What, Term, u64, Vec<u8>);

struct Waiting {
    part: Part,
    /// The rows that it answers.
    rows: Vec<u32>,
    given: Box<Work>,
}

/// What the other node was asked.
struct Forwarding {
    forward: Forward,
    /// The rows that are not answered, and not sent again.
    rows: Vec<u32>,
}

/// What is known of a request that entered here.
#[derive(Default)]
pub(crate) struct Asked {
    missing: BTreeSet<u32>,
    pub(crate) answer: RowsAnswer,
}

impl Asked {
    pub(crate) fn is_done(&self) -> bool {
        self.missing.is_empty()
    }
}

pub(crate) struct Node {
    me: usize,
    plan: Arc<Plan>,
    pub(crate) worker: Worker,
    pub(crate) journal: Vec<Kept>,
    pub(crate) known: View,
    version: u64,
    owners: Arc<Owners>,
    /// Groups that are not served any more because they are to move.
    paused: BTreeSet<u16>,
    pub(crate) lane: VecDeque<Item>,
    pub(crate) talk: VecDeque<Talk>,
    made: u64,
    /// The copy has refused records of these.
    pub(crate) fenced: BTreeSet<(u16, Term)>,
    pub(crate) catching_up: BTreeMap<u16, GroupPlace>,
    waiting: Vec<Waiting>,
    /// What is to be sent again behind the next owners.
    parked: Vec<Request>,
    forwards: BTreeMap<u64, Forwarding>,
    /// By number of the submission: which request, and the parts that are told and that have come.
    submitted: BTreeMap<u64, (u64, u32, u32)>,
    last: u64,
    pub(crate) asked: BTreeMap<u64, Asked>,
    /// Parts of what the other node has asked.
    for_peer: BTreeMap<u64, Vec<RowsAnswer>>,
    /// Requests that were repeated, with their answers before that.
    pub(crate) repeated: Vec<(u64, RowsAnswer)>,
    /// Rows that were sent on or again, for the tests to see that it happens.
    pub(crate) forwarded: usize,
    pub(crate) sent_again: usize,
}

impl Node {
    pub(crate) fn new(me: usize, plan: &Arc<Plan>, view: &View) -> Self {
        let node = if me == 0 { "A" } else { "B" };
        let config = WorkerConfig { node: node.into(), seed: 1, clock: None, profile: false, records: true };
        let mut worker = Worker::alone(&config);
        worker.install(FLOW, plan);
        let mut node = Node {
            me,
            plan: plan.clone(),
            worker,
            journal: Vec::new(),
            known: View::new(),
            version: 0,
            owners: Arc::default(),
            paused: BTreeSet::new(),
            lane: VecDeque::new(),
            talk: VecDeque::new(),
            made: 0,
            fenced: BTreeSet::new(),
            catching_up: BTreeMap::new(),
            waiting: Vec::new(),
            parked: Vec::new(),
            forwards: BTreeMap::new(),
            submitted: BTreeMap::new(),
            last: 0,
            asked: BTreeMap::new(),
            for_peer: BTreeMap::new(),
            repeated: Vec::new(),
            forwarded: 0,
            sent_again: 0,
        };
        node.learn(view);
        node
    }

    /// The node hears of decisions.
    pub(crate) fn learn(&mut self, view: &View) {
        if self.known == *view {
            return;
        }
        for (group, now) in view {
            let before = self.known.insert(*group, *now);
            if before.is_some_and(|before| before.tenure == now.tenure) {
                continue;
            }
            self.paused.remove(group);
            self.catching_up.remove(group);
            if now.owner == self.me && !now.synced {
                let state = self.worker.group_state(Group { copies: COPIES, number: *group });
                self.catching_up.insert(*group, state);
            }
        }
        self.tell_owners();
    }

    /// A group that is to move is served no more.
    pub(crate) fn pause(&mut self, group: u16) {
        self.paused.insert(group);
        self.tell_owners();
    }

    fn tell_owners(&mut self) {
        self.version += 1;
        let standing = |decided: &Decided| Standing {
            term: Term(decided.term),
            tenure: Term(decided.tenure),
            holder: match decided.owner == self.me {
                true => Holder::Here,
                false => Holder::There(MemberId(decided.owner as u64)),
            },
        };
        let group = |number: u16| Group { copies: COPIES, number };
        let all = self.known.iter().map(|(number, decided)| (group(*number), standing(decided)));
        let owners = Owners::of(all).without(self.paused.iter().map(|number| group(*number)));
        self.owners = Arc::new(owners.numbered(self.version));
        self.worker.set_owners(self.owners.clone());
        // What rests on a group that is lost is not let out.
        self.lose();
        // Nothing that waits rests on what the copy has refused of groups that this node has heard to be others'.
        let known = &self.known;
        self.fenced.retain(|(group, term)| *term >= Term(known[group].tenure));
    }

    /// A client asks.
    pub(crate) fn ask(&mut self, origin: Origin, body: Body) {
        let number = origin.once.expect("it is recognised").number;
        let Body::Rows { batch, .. } = &body else { unreachable!("rows are sent") };
        let missing = (0..batch.len() as u32).collect();
        self.asked.insert(number, Asked { missing, ..Asked::default() });
        let origin = self.submission(origin, number);
        self.worker.submit(FLOW, Request { origin, body, partial: None });
    }

    fn submission(&mut self, origin: Origin, number: u64) -> Origin {
        self.last += 1;
        self.submitted.insert(self.last, (number, 0, 0));
        Origin { request: self.last, ..origin }
    }

    /// The other node asks; whether it was taken.
    pub(crate) fn asked_by_peer(&mut self, id: u64, request: &Request, terms: &Terms) -> bool {
        if !self.owners.knows(terms) {
            return false;
        }
        let origin = Origin { client: PEER, request: id, ..request.origin };
        self.worker.submit(FLOW, Request { origin, ..request.clone() });
        true
    }

    /// The other node has answered.
    pub(crate) fn told_by_peer(&mut self, id: u64, answer: &RowsAnswer) {
        let Some(asked) = self.forwards.get_mut(&id) else { return };
        // What was not done there goes elsewhere when this node hears of it, too.
        let done = |row: &u32| answer.elsewhere.binary_search(row).is_err();
        let (rows, rest): (Vec<u32>, Vec<u32>) = asked.rows.iter().partition(|row| done(row));
        asked.rows = rest;
        let submission = asked.forward.origin.request;
        if asked.rows.is_empty() {
            self.forwards.remove(&id);
        }
        self.answered(submission, &rows, answer.only(&rows));
    }

    fn answered(&mut self, submission: u64, rows: &[u32], answer: RowsAnswer) {
        let (number, ..) = self.submitted[&submission];
        let asked = self.asked.get_mut(&number).expect("it was asked");
        for row in rows {
            assert!(asked.missing.remove(row), "row {row} of {number} is answered twice");
        }
        let told = &mut asked.answer;
        told.accepted += answer.accepted;
        told.refusals.extend(answer.refusals);
        for (row, output, bytes) in answer.replies.iter().chain(answer.repeated.iter()) {
            told.replies.push(row, output, bytes);
        }
    }

    pub(crate) fn turn(&mut self, now: i64) {
        self.worker.turn(now);
        self.take_records();
        for delivery in self.worker.deliveries() {
            match delivery {
                Delivery::Part { part, given, .. } => self.part(part, given),
                Delivery::Forward(forward) => {
                    self.count_part(&forward.origin, forward.parts);
                    self.forward(*forward);
                }
                Delivery::Owners(owners) => self.send_again(&owners),
                Delivery::Emitted(..) | Delivery::Refused(..) => {}
            }
        }
        self.let_out();
    }

    /// As many parts come as each of them says.
    fn count_part(&mut self, origin: &Origin, parts: u32) {
        if let Some((_, said, come)) =
            self.submitted.get_mut(&origin.request).filter(|_| origin.client != PEER)
        {
            assert!(*come == 0 || *said == parts, "{parts} parts and {said}");
            (*said, *come) = (parts, *come + 1);
            assert!(*come <= parts, "{come} of {parts} parts");
        }
    }

    pub(crate) fn take_records(&mut self) {
        for (_, records) in self.worker.records() {
            for (made, body) in records.iter() {
                self.made += 1;
                self.journal.push((made.part, made.what, made.term, made.seq, body.to_vec()));
                if made.copied {
                    continue;
                }
                let group = self.plan.group(made.part.number, made.part.of).number;
                let (count, part, seq) = (self.made, made.part, made.seq);
                let what = Sent::Record { count, part, seq, body: body.to_vec() };
                self.lane.push_back(Item { group, term: made.term, what });
            }
        }
        assert_eq!(self.worker.recorded().count, self.made);
    }

    /// Makes a piece of a group that the other node lacks.
    pub(crate) fn piece(&mut self, group: u16, most: usize) {
        self.take_records();
        let Some(place) = self.catching_up.get_mut(&group).filter(|place| !place.is_done()) else { return };
        let what = match self.worker.group_piece(place, most) {
            Some(piece) => Sent::Piece(piece.body),
            None => Sent::Whole,
        };
        self.lane.push_back(Item { group, term: Term(self.known[&group].term), what });
    }

    fn forward(&mut self, forward: Forward) {
        let Some(_) = forward.to else { return self.parked.push(forward.again()) };
        self.last += 1;
        self.forwarded += forward.rows.len();
        let source = if self.me == 0 { "A" } else { "B" };
        let forwarded = Some(Forwarded { source: source.into(), terms: forward.terms.clone() });
        let partial = Partial { rows: forward.rows.clone(), revision: forward.revision, forwarded };
        let (origin, body) = (forward.origin, forward.body.clone());
        let request = Request { origin, body, partial: Some(Box::new(partial)) };
        self.talk.push_back(Talk::Ask(self.last, request, forward.terms.clone()));
        let rows = forward.rows.clone();
        self.forwards.insert(self.last, Forwarding { forward, rows });
    }

    /// Sends again what has to go other ways, in its order.
    fn send_again(&mut self, owners: &Owners) {
        let mut all = std::mem::take(&mut self.parked);
        for Forwarding { forward, rows } in self.forwards.values_mut() {
            let lost = |group: Group, term: Term| {
                let standing = owners.standing(group);
                standing.tenure != term || forward.to.is_none_or(|to| standing.holder != Holder::There(to))
            };
            let lost = forward.terms.iter().filter(|(group, term)| lost(*group, *term));
            let lost = lost.fold(Parts::NONE, |all, (group, _)| all.or(Parts::one(group.number)));
            if let Some(request) = forward.again_in(lost) {
                let request = only(request, rows);
                let again = &request.partial.as_ref().expect("it is a part").rows;
                rows.retain(|row| !again.contains(row));
                all.push(request);
            }
        }
        self.forwards.retain(|_, forwarding| !forwarding.rows.is_empty());
        all.sort_by_key(|request| request.origin.once.expect("it is recognised").number);
        for request in all {
            self.sent_again += 1;
            let (number, ..) = self.submitted[&request.origin.request];
            let origin = self.submission(request.origin, number);
            self.worker.again(FLOW, Request { origin, ..request });
        }
    }

    /// A part has come. Rows that were not done go their ways again.
    fn part(&mut self, part: Part, given: Option<Box<Work>>) {
        self.count_part(&part.origin, part.parts);
        let given = given.expect("it is given back in a zone");
        let Answer::Rows(answer) = &part.answer else { unreachable!("rows are answered: {part:?}") };
        let elsewhere = answer.elsewhere.clone();
        let mut rows = given.rows();
        rows.retain(|row| elsewhere.binary_search(row).is_err());
        let mut waiting = Waiting { part, rows, given };
        if !elsewhere.is_empty() && waiting.part.origin.client != PEER {
            self.park(&waiting, &elsewhere);
            let Answer::Rows(answer) = &mut waiting.part.answer else { unreachable!("rows are answered") };
            answer.elsewhere.clear();
        }
        self.waiting.push(waiting);
        self.lose();
    }

    fn park(&mut self, waiting: &Waiting, rows: &[u32]) {
        self.parked.push(Work::clone(&waiting.given).again(waiting.part.origin, 1, Some(rows)));
    }

    /// Rows of groups that are lost go their ways again, but for those that the copy has.
    fn lose(&mut self) {
        for mut waiting in std::mem::take(&mut self.waiting) {
            let part = &mut waiting.part;
            let served = |group| self.owners.standing(group).holder == Holder::Here;
            let safe = |group: &Group| part.rests_on.count <= self.processed() && !self.is_fenced(*group);
            let lost = part.touched.groups().filter(|group| !served(*group) && !safe(group));
            let lost = lost.fold(Parts::NONE, |all, group| all.or(Parts::one(group.number)));
            if !lost.is_empty() {
                let mut rows = waiting.given.rows_in(lost);
                rows.retain(|row| waiting.rows.contains(row));
                waiting.rows.retain(|row| !rows.contains(row));
                part.touched.parts = part.touched.parts.without(lost);
                let Answer::Rows(answer) = &mut part.answer else { unreachable!("rows are answered") };
                let elsewhere = std::mem::take(&mut answer.elsewhere);
                *answer = RowsAnswer { elsewhere, ..answer.only(&waiting.rows) };
                if part.origin.client == PEER {
                    answer.elsewhere.extend(&rows);
                    answer.elsewhere.sort_unstable();
                } else if !rows.is_empty() {
                    self.park(&waiting, &rows);
                }
            }
            self.waiting.push(waiting);
        }
    }

    /// Whether the copy has refused something of a group.
    fn is_fenced(&self, group: Group) -> bool {
        self.fenced.iter().any(|(number, _)| *number == group.number)
    }

    /// Lets out what the copy has.
    fn let_out(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            let waits = waiting.part.rests_on.count > self.processed();
            if waits || waiting.part.touched.groups().any(|group| self.is_fenced(group)) {
                self.waiting.push(waiting);
                continue;
            }
            let Waiting { part, rows, .. } = waiting;
            let Answer::Rows(answer) = part.answer else { unreachable!("rows are answered") };
            if part.origin.client != PEER {
                self.answered(part.origin.request, &rows, answer);
                continue;
            }
            let parts = self.for_peer.entry(part.origin.request).or_default();
            parts.push(answer);
            if parts.len() as u32 == part.parts {
                let all = merged(&self.for_peer.remove(&part.origin.request).unwrap_or_default());
                self.talk.push_back(Talk::Told(part.origin.request, all));
            }
        }
    }

    /// Takes the next item of the other node; `None` where it has to wait for this node to hear of decisions.
    pub(crate) fn copy(&mut self, item: &Item, synced: bool) -> Option<Took> {
        let known = self.known[&item.group];
        if item.term > Term(known.term) {
            return None;
        }
        if item.term < Term(known.tenure) || known.owner == self.me {
            return Some(Took::Fenced);
        }
        match &item.what {
            Sent::Record { part, seq, body, .. } => {
                let copied = self.worker.copy(FLOW, *part, item.term, *seq, body);
                assert!(copied.is_ok() || !synced, "{copied:?}");
            }
            Sent::Piece(piece) => {
                self.worker.copy_state(piece).expect("a copy takes what its owner makes");
            }
            Sent::Whole => {}
        }
        self.take_records();
        Some(Took::Taken)
    }

    /// Whether all that it has done is with the other node.
    pub(crate) fn is_drained(&self) -> bool {
        self.lane.is_empty() && self.worker.is_idle(FLOW) && self.processed_all()
    }

    /// Up to which of the node's records the copy has all that go to it: what the node has copied itself does not.
    fn processed(&self) -> u64 {
        let count = |item: &Item| match item.what {
            Sent::Record { count, .. } => Some(count),
            Sent::Piece(_) | Sent::Whole => None,
        };
        self.lane.iter().find_map(count).map_or(self.made, |first| first - 1)
    }

    fn processed_all(&self) -> bool {
        self.waiting.iter().all(|waiting| waiting.part.rests_on.count <= self.processed())
    }
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Took {
    Taken,
    Fenced,
}

/// The rows of a part of a request that are among these.
fn only(request: Request, rows: &[u32]) -> Request {
    let Request { origin, body, partial } = request;
    let Body::Rows { input, batch } = &body else { unreachable!("rows are sent") };
    let places = partial.map(|partial| partial.rows).unwrap_or_default();
    let mut offset = 0;
    let routed = places.iter().zip(batch.rows()).map(|(row, bytes)| {
        let routed = Routed { row: *row, offset, partition: None };
        offset += bytes.len() as u32;
        routed
    });
    let share = Share { routed: Some(routed.collect()), batch: batch.clone(), of: 0 };
    Work::Rows { input: *input, share }.again(origin, 1, Some(rows))
}

fn merged(parts: &[RowsAnswer]) -> RowsAnswer {
    let mut all = RowsAnswer::default();
    for part in parts {
        all.accepted += part.accepted;
        all.refusals.extend(part.refusals.iter().cloned());
        all.elsewhere.extend(&part.elsewhere);
        all.elsewhere.sort_unstable();
        for (row, output, bytes) in part.replies.iter().chain(part.repeated.iter()) {
            all.replies.push(row, output, bytes);
        }
    }
    all
}
