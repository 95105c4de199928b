//! Where everything leaves a worker: answers to the clients that asked, rows to subscribers.
//!
//! The one place that may let something out, and that waits until the records under it are safe.

use std::collections::HashMap;
use std::sync::Arc;

use anabranch_model::batch::Batch;
use anabranch_model::message::{
    Answer, Asked, Body, Delivery, FlowId, Origin, Page, Part, Problem, Recorded, RefusedRow, Replies,
    RowsAnswer,
};
use anabranch_model::plan::{OutputId, Plan};
use anabranch_model::share::Work;
use anabranch_model::zone::{Parts, Touched};
use crossbeam_channel::Sender;

use crate::error::Error;
use crate::held::{Held, Release};
use crate::load::Unanswered;
use crate::measures::{Measures, TellSlow};
use crate::safe::{Condition, Safe};
use crate::storage_error::StorageError;
use crate::subscription::{Publication, Publisher};
use crate::zone::{GUEST, Numbering, PIECE};

/// The whole answer to a request, or why it was not carried out.
#[derive(Debug)]
pub struct Answered {
    pub request: u64,
    pub answer: Result<Answer, Error>,
    /// The revision that answers, where it is another one than the request's: the answer uses its numbers and shapes.
    pub revised: Option<Arc<Plan>>,
    /// The groups that it rests on, of a node in a zone.
    pub touched: Touched,
}

/// A whole answer that does not leave like others, of a node in a zone: that of a part which went its ways again, or a page
/// of a scan, which may lack what somebody did not own when he was asked.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) flow: FlowId,
    pub(crate) origin: Origin,
    pub(crate) entered: u64,
    pub(crate) asked: Option<Asked>,
    pub(crate) answer: Result<Answer, Error>,
    pub(crate) revised: Option<Arc<Plan>>,
    pub(crate) touched: Touched,
    /// What was asked, of a page.
    pub(crate) body: Option<Body>,
}

/// Where the answers of a client go.
pub enum Outlet {
    /// To a thread that waits for them.
    Channel(Sender<Answered>),
    /// To whoever is called at the end of each turn, in the thread of the worker: it only hands on.
    Call {
        /// Takes the answers of a turn.
        call: Box<dyn FnMut(Vec<Answered>) + Send>,
        /// Those of this turn.
        gathered: Vec<Answered>,
    },
}

impl Outlet {
    /// To whoever is called, once a turn.
    #[cfg(feature = "net")]
    pub(crate) fn calling(call: impl FnMut(Vec<Answered>) + Send + 'static) -> Self {
        Outlet::Call { call: Box::new(call), gathered: Vec::new() }
    }

    /// Sends an answer, or keeps it until the turn ends; whether it is the first that is kept.
    fn send(&mut self, answered: Answered) -> bool {
        match self {
            // The client may have dropped its end of the channel; its answers are nobody's then.
            Outlet::Channel(sender) => {
                drop(sender.send(answered));
                false
            }
            Outlet::Call { gathered, .. } => {
                gathered.push(answered);
                gathered.len() == 1
            }
        }
    }

    fn end_turn(&mut self) {
        if let Outlet::Call { call, gathered } = self {
            call(std::mem::take(gathered));
        }
    }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Outlet::Channel(_) => "Channel",
            Outlet::Call { .. } => "Call",
        })
    }
}

/// Who takes the answer to one request.
pub(crate) type Reply = Box<dyn FnOnce(Answered) + Send>;

/// The number of the client whose requests come singly, each with its [`Reply`].
pub(crate) const SINGLE: u64 = 0;

/// The ways out of one worker.
pub(crate) struct Egress {
    held: Held,
    clients: HashMap<u64, Outlet>,
    /// Clients whose outlets keep answers of this turn.
    keeping: Vec<u64>,
    /// Who waits for the answers of single requests, by request.
    single: HashMap<u64, Reply>,
    last_single: u64,
    /// What clients that are gone left unanswered.
    left: HashMap<u64, Unanswered>,
    /// Answers of which parts are missing, by client and request.
    partial: HashMap<(u64, u64), Partial>,
    subscribers: Vec<Publisher>,
    /// Requests that entered at this worker and are not answered.
    unanswered: usize,
    /// What a node in a zone needs.
    zone: Option<Box<InZone>>,
    pub(crate) measures: Measures,
}

/// What a node in a zone needs.
struct InZone {
    numbering: Numbering,
    /// What pages are asked for, by client and request.
    pages: HashMap<(u64, u64), Body>,
    left: Vec<Left>,
}

struct Partial {
    missing: u32,
    parts: Vec<Answer>,
    lost: Option<String>,
    touched: Touched,
    /// Of a page: the groups that all workers of this node that have answered serve. One of them may know of newer owners
    /// than the others, and each has only some partitions of a group.
    here: Option<Parts>,
}

impl Egress {
    pub(crate) fn new(slow: Option<TellSlow>, safe: Safe) -> Self {
        Egress {
            held: Held::new(safe),
            clients: HashMap::new(),
            keeping: Vec::new(),
            single: HashMap::new(),
            last_single: 0,
            left: HashMap::new(),
            partial: HashMap::new(),
            subscribers: Vec::new(),
            unanswered: 0,
            zone: None,
            measures: Measures::new(slow),
        }
    }

    /// The node is in a zone; `salt` differs from worker to worker and from life to life.
    pub(crate) fn enter_zone(&mut self, salt: u64) {
        let numbering = Numbering::new(salt);
        self.held.lease_until(0);
        self.zone = Some(Box::new(InZone { numbering, pages: HashMap::new(), left: Vec::new() }));
    }

    /// Anything may be let out until this time.
    pub(crate) fn lease_until(&mut self, until: u64) {
        self.held.lease_until(until);
    }

    /// In a zone every request has a number by which a repeat is recognised, as it may have to be sent again; `now` is in
    /// microseconds since 1970 UTC.
    pub(crate) fn number(&mut self, origin: &mut Origin, now: i64) {
        if let (Some(zone), None) = (&mut self.zone, origin.once) {
            origin.once = Some(zone.numbering.number(origin.client, origin.request, now));
        }
    }

    /// There is one part more of an answer, of which so many were expected.
    pub(crate) fn one_more(&mut self, whose: (u64, u64), parts: u32) {
        let begun = || Partial {
            missing: parts,
            parts: Vec::new(),
            lost: None,
            touched: Touched::default(),
            here: None,
        };
        self.partial.entry(whose).or_insert_with(begun).missing += 1;
    }

    /// What a page is asked for, in case that it has to be asked for again.
    pub(crate) fn keep_page(&mut self, whose: (u64, u64), given: &Work) {
        if let (Some(zone), Work::Page { table, after, limit, reads }) = (&mut self.zone, given) {
            let page = || Body::Page { table: *table, after: after.clone(), limit: *limit, reads: *reads };
            zone.pages.entry(whose).or_insert_with(page);
        }
    }

    /// Whole answers that do not leave like others.
    pub(crate) fn take_left(&mut self) -> Vec<Left> {
        self.zone.as_mut().map(|zone| std::mem::take(&mut zone.left)).unwrap_or_default()
    }

    /// Takes what is held back and rests on what is lost.
    pub(crate) fn take_lost(&mut self, lost: impl Fn(Touched) -> bool) -> Vec<Delivery> {
        self.held.take_lost(lost)
    }

    /// A part of an answer that need not wait; why it is lost, if it is.
    pub(crate) fn answered(
        &mut self,
        flow: FlowId,
        part: Part,
        revised: Option<Arc<Plan>>,
        lost: Option<String>,
        now: u64,
    ) {
        self.part(flow, part, revised, lost, false, now);
    }

    /// Which records are safe.
    pub(crate) fn safe(&self) -> &Safe {
        self.held.safe()
    }

    /// A client that will ask at this worker.
    pub(crate) fn connect(&mut self, client: u64, answers: Outlet) {
        self.clients.insert(client, answers);
    }

    /// The client is gone; what still comes for it is dropped. Until then it counts as under way.
    pub(crate) fn disconnect(&mut self, client: u64, unanswered: Unanswered) {
        self.clients.remove(&client);
        if unanswered.len() > 0 {
            self.left.insert(client, unanswered);
        }
    }

    pub(crate) fn subscribe(&mut self, publisher: Publisher) {
        self.subscribers.push(publisher);
    }

    /// A newer revision takes the place of a flow: rows from now on are its.
    pub(crate) fn revised(&mut self, flow: FlowId, plan: &Arc<Plan>) {
        self.measures.revised(flow);
        self.subscribers.retain_mut(|subscriber| !subscriber.is_of(flow) || subscriber.revise(plan));
    }

    /// A flow is dropped: no row comes any more.
    pub(crate) fn dropped(&mut self, flow: FlowId) {
        for subscriber in self.subscribers.extract_if(.., |subscriber| subscriber.is_of(flow)) {
            subscriber.end();
        }
        self.measures.dropped(flow);
    }

    /// A request has entered here.
    pub(crate) fn entered(&mut self) {
        self.unanswered += 1;
    }

    /// A request that comes with who takes its answer has entered here: its number.
    pub(crate) fn entered_singly(&mut self, reply: Reply) -> u64 {
        self.entered();
        self.last_single += 1;
        self.single.insert(self.last_single, reply);
        self.last_single
    }

    /// Requests that entered here and are not answered.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Lets out what was kept until the end of the turn.
    pub(crate) fn end_turn(&mut self) {
        for client in self.keeping.drain(..) {
            if let Some(outlet) = self.clients.get_mut(&client) {
                outlet.end_turn();
            }
        }
    }

    /// Streams of a flow that somebody subscribed to, with the rows that wait for them.
    pub(crate) fn subscriptions(&self, flow: FlowId) -> Vec<(String, usize)> {
        let of_it = self.subscribers.iter().filter(|subscriber| subscriber.is_of(flow));
        of_it.map(|subscriber| (subscriber.stream().to_owned(), subscriber.waiting())).collect()
    }

    /// Takes what a turn produced, when the worker had made these records; `now` is in microseconds of the worker's clock.
    pub(crate) fn deliver(&mut self, delivery: Delivery, recorded: Recorded, now: u64) {
        if let Some(delivery) = self.held.take(recorded, delivery, now) {
            self.let_out(delivery, None, now);
        }
    }

    /// Lets out what need not wait any longer. Whether there was something.
    pub(crate) fn release(&mut self, now: u64) -> bool {
        let mut released = false;
        while let Some(release) = self.held.next(now) {
            released = true;
            match release {
                Release::Out(delivery) => self.let_out(delivery, None, now),
                Release::Lost(delivery, why) => self.let_out(delivery, Some(why), now),
            }
        }
        released
    }

    /// Whether something of a flow still waits for its records to be safe.
    pub(crate) fn holds(&self, flow: FlowId) -> bool {
        self.held.holds(flow)
    }

    /// Whether anything does.
    pub(crate) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// Of what is lost only who asked hears, and only that it is.
    fn let_out(&mut self, delivery: Delivery, lost: Option<String>, now: u64) {
        match delivery {
            Delivery::Part { flow, part, revised, .. } => self.part(flow, part, revised, lost, true, now),
            Delivery::Emitted(..) | Delivery::Refused(..) if lost.is_some() => {}
            Delivery::Emitted(flow, output, batch, ..) => self.emitted(flow, output, batch),
            Delivery::Refused(flow, row, ..) => self.refused(flow, row),
            Delivery::Forward(_) | Delivery::Owners(_) => {}
        }
    }

    /// `here`: whether a worker of this node has done it.
    fn part(
        &mut self,
        flow: FlowId,
        part: Part,
        revised: Option<Arc<Plan>>,
        lost: Option<String>,
        here: bool,
        now: u64,
    ) {
        if let Answer::Rows(rows) = &part.answer
            && lost.is_none()
            && !self.subscribers.is_empty()
            && part.origin.client < GUEST
        {
            self.replied(flow, &rows.replies);
        }
        let whose = (part.origin.client, part.origin.request);
        let alone = part.parts == 1 && (self.zone.is_none() || !self.partial.contains_key(&whose));
        let answer = match alone {
            true => Some((whole(part.answer), lost, part.touched)),
            false => self.complete(whose, part.parts, part.answer, lost, part.touched, here),
        };
        let Some((answer, lost, touched)) = answer else { return };
        let Part { origin, entered, asked, .. } = part;
        match asked {
            Some(asked) if origin.client != PIECE => {
                self.measures.answered(flow, asked, whose, now.saturating_sub(entered), &answer);
            }
            Some(_) => {}
            None => self.measures.turned_down(whose),
        }
        let answer = match (lost, asked) {
            (None, _) if matches!(answer, Answer::Problem(Problem::Unkept)) => Err(self.unkept()),
            (None, _) => Ok(answer),
            (Some(why), Some(Asked::Get(_) | Asked::Page(_))) => Err(StorageError::Unsafe(why)),
            (Some(why), _) => Err(StorageError::Lost(why)),
        };
        let answer = answer.map_err(Error::Storage);
        if let Some(zone) = &mut self.zone {
            let body = zone.pages.remove(&whose);
            if origin.client == PIECE || body.is_some() {
                let left = Left { flow, origin, entered, asked, answer, revised, touched, body };
                return zone.left.push(left);
            }
        }
        self.leave(&origin, answer, revised, touched);
    }

    /// A request is answered.
    pub(crate) fn leave(
        &mut self,
        origin: &Origin,
        answer: Result<Answer, Error>,
        revised: Option<Arc<Plan>>,
        touched: Touched,
    ) {
        let answered = Answered { request: origin.request, answer, revised, touched };
        self.unanswered -= 1;
        if let Some(zone) = &mut self.zone {
            zone.numbering.answered(origin.client, origin.request);
        }
        if origin.client == SINGLE {
            if let Some(reply) = self.single.remove(&origin.request) {
                reply(answered);
            }
        } else if let Some(outlet) = self.clients.get_mut(&origin.client) {
            if outlet.send(answered) {
                self.keeping.push(origin.client);
            }
        } else if let Some(left) = self.left.get_mut(&origin.client) {
            left.remove(origin.request);
            if left.len() == 0 {
                self.left.remove(&origin.client);
            }
        }
    }

    /// Why a request is not taken that may change something.
    fn unkept(&self) -> StorageError {
        match &**self.safe().condition() {
            Condition::Broken(trouble) => StorageError::Broken(trouble.why.clone()),
            Condition::Halted(trouble) => StorageError::Halted(trouble.why.clone()),
            Condition::Sound => StorageError::Halted("the disk was full a moment ago".to_owned()),
        }
    }

    /// Adds a part; the whole answer when it was the last, and why it is lost where one of its parts is.
    fn complete(
        &mut self,
        whose: (u64, u64),
        parts: u32,
        answer: Answer,
        lost: Option<String>,
        touched: Touched,
        here: bool,
    ) -> Option<(Answer, Option<String>, Touched)> {
        let none = Touched { parts: Parts::NONE, ..touched };
        let begun = || Partial { missing: parts, parts: Vec::new(), lost: None, touched: none, here: None };
        let partial = self.partial.entry(whose).or_insert_with(begun);
        partial.touched.copies = partial.touched.copies.max(touched.copies);
        match here && matches!(answer, Answer::Page(_)) {
            true => partial.here = Some(partial.here.unwrap_or(Parts::ALL).and(touched.parts)),
            false => partial.touched.parts = partial.touched.parts.or(touched.parts),
        }
        partial.parts.push(answer);
        partial.lost = partial.lost.take().or(lost);
        partial.missing -= 1;
        if partial.missing > 0 {
            return None;
        }
        let mut partial = self.partial.remove(&whose)?;
        partial.touched.parts = partial.touched.parts.or(partial.here.unwrap_or(Parts::NONE));
        Some((merge(partial.parts), partial.lost, partial.touched))
    }

    fn replied(&mut self, flow: FlowId, replies: &Replies) {
        self.publish(flow, |subscriber| match subscriber.wants_rows_of(flow) {
            None => true,
            Some(wanted) => replies
                .iter()
                .filter(|(_, output, _)| *output == wanted)
                .all(|(_, _, row)| subscriber.publish(Publication::Row(row.into()))),
        });
    }

    fn emitted(&mut self, flow: FlowId, output: OutputId, batch: Batch) {
        self.publish(flow, |subscriber| match subscriber.wants_rows_of(flow) {
            Some(wanted) if wanted == output => {
                batch.rows().all(|row| subscriber.publish(Publication::Row(row.into())))
            }
            _ => true,
        });
    }

    fn refused(&mut self, flow: FlowId, row: RefusedRow) {
        self.publish(flow, |subscriber| match subscriber.wants_errors_of(flow) {
            true => subscriber.publish(Publication::Refused(row.clone())),
            false => true,
        });
    }

    /// Hands rows of a flow to the subscribers, by `publish`, which says whether one is still there.
    fn publish(&mut self, flow: FlowId, publish: impl Fn(&mut Publisher) -> bool) {
        let measures = &mut self.measures;
        self.subscribers.retain_mut(|subscriber| {
            let stays = publish(subscriber);
            match subscriber.take_missed() {
                0 => {}
                rows => measures.missed(flow, subscriber.stream(), rows),
            }
            stays
        });
    }
}

/// An answer with what was done before in its place.
fn whole(answer: Answer) -> Answer {
    match answer {
        Answer::Rows(rows) if !rows.repeated.is_empty() => Answer::Rows(merge_rows(&[rows])),
        answer => answer,
    }
}

/// One answer of the parts of several workers.
fn merge(parts: Vec<Answer>) -> Answer {
    let (mut rows, mut pages) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Answer::Rows(part) => rows.push(part),
            Answer::Page(part) => pages.push(part),
            // Another node has done nothing of its part, or does not own what it is asked for.
            Answer::Problem(_) | Answer::Elsewhere => return part,
            // A row lies on one worker, so its answer has one part.
            Answer::Row(_) => return part,
        }
    }
    if rows.is_empty() { Answer::Page(Page::merge(pages)) } else { Answer::Rows(merge_rows(&rows)) }
}

fn merge_rows(parts: &[RowsAnswer]) -> RowsAnswer {
    let mut merged = RowsAnswer {
        accepted: parts.iter().map(|part| part.accepted).sum(),
        refusals: parts.iter().flat_map(|part| part.refusals.iter().cloned()).collect(),
        elsewhere: parts.iter().flat_map(|part| part.elsewhere.iter().copied()).collect(),
        ..RowsAnswer::default()
    };
    merged.elsewhere.sort_unstable();
    merged.refusals.sort_by_key(|refusal| refusal.row);
    let replies = parts.iter().flat_map(|part| part.replies.iter().chain(part.repeated.iter()));
    let mut replies: Vec<_> = replies.collect();
    // The sort is stable: the replies to one row keep the order in which the rules made them.
    replies.sort_by_key(|(row, _, _)| *row);
    for (row, output, bytes) in replies {
        merged.replies.push(row, output, bytes);
    }
    merged
}
