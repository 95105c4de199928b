//! What other nodes ask of this one: parts of requests that entered there, and the way of their answers.
//!
//! Another node's worker is to a worker here what a client is: it asks in order and is answered in any.

use std::collections::{BTreeMap, VecDeque};

use anabranch_model::batch::Batch;
use anabranch_model::message::{Answer, Body, FlowId, Forwarded, Origin, Partial, Request, WorkerId};
use anabranch_model::plan::{Plan, TableId};
use anabranch_model::zone::{Holder, MemberId, Owners, Terms, Touched};
use anabranch_operators::Worker;
use anabranch_wire::peer::PeerError;
use anabranch_wire::peer::answer::{self, AnswerBody, AnswersWriter};
use anabranch_wire::peer::forward::{Forward, ForwardBody, Forwards};

use crate::egress::{Answered, Outlet};
use crate::zone::entrance::GUEST;
use crate::zone::link::Link;
use crate::zone::view::WorkerView;

/// Bytes of a frame of answers, at most, and one answer.
const FRAME_BYTES: usize = 256 << 10;

/// What came by terms that this node has not heard of yet, by the node that sent it.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    early: BTreeMap<MemberId, VecDeque<Early>>,
}

#[derive(Debug)]
struct Early {
    flow: FlowId,
    request: Request,
    terms: Terms,
}

impl Early {
    /// Whether this node has heard as much as who sent it, of who owns what, and of its flow, and takes what it owns: what it
    /// owns and does not take at present would be turned away, and what comes behind it might not.
    fn may_go(&self, worker: &Worker, (view, given): Known<'_>) -> bool {
        let here = |owners: &Owners, group| owners.standing(group).holder == Holder::Here;
        let mut groups = self.terms.touched.groups();
        view.owners.knows(&self.terms)
            && groups.all(|group| here(given, group) || !here(&view.owners, group))
            && (worker.runs(self.flow).is_some() || view.dropped.contains(&self.flow))
    }
}

/// What this node knows of its zone, and the owners that its worker goes by.
type Known<'k> = (&'k WorkerView, &'k Owners);

/// The client that a worker of another node is here.
pub(crate) fn client(of: MemberId, worker: WorkerId) -> u64 {
    GUEST | (of.0 & 0xFFFF_FFFF) << 16 | u64::from(worker.0 & 0xFFFF)
}

impl Guests {
    /// Takes a frame of requests; those that may be done now.
    ///
    /// # Errors
    /// The frame is none; the requests before the wrong one are not done either.
    pub(crate) fn take(
        &mut self,
        from: MemberId,
        name: &str,
        body: &[u8],
        worker: &Worker,
        known: Known<'_>,
    ) -> Result<Vec<(FlowId, Request)>, PeerError> {
        let mut asked = Vec::new();
        for forward in Forwards::read(body) {
            asked.push(request(from, name, &forward?, worker)?);
        }
        let waiting = self.early.entry(from).or_default();
        let mut ready = Vec::new();
        for early in asked {
            match waiting.is_empty() && early.may_go(worker, known) {
                true => ready.push((early.flow, early.request)),
                false => waiting.push_back(early),
            }
        }
        Ok(ready)
    }

    /// Whether something came too early.
    pub(crate) fn waits(&self) -> bool {
        self.early.values().any(|waiting| !waiting.is_empty())
    }

    /// More is known of who owns what, or a flow runs; what may be done now.
    pub(crate) fn resume(&mut self, worker: &Worker, known: Known<'_>) -> Vec<(FlowId, Request)> {
        let mut ready = Vec::new();
        for waiting in self.early.values_mut() {
            while let Some(early) = waiting.pop_front_if(|early| early.may_go(worker, known)) {
                ready.push((early.flow, early.request));
            }
        }
        ready
    }

    /// The link to a node is new: what it has not been answered it sends again.
    pub(crate) fn forget(&mut self, of: MemberId) {
        self.early.remove(&of);
    }
}

fn request(from: MemberId, name: &str, forward: &Forward<'_>, worker: &Worker) -> Result<Early, PeerError> {
    let terms = Terms {
        touched: Touched { copies: forward.terms.copies, parts: forward.terms.parts },
        terms: forward.terms.iter().map(|(_, term)| term).collect(),
    };
    let mut rows = Vec::new();
    if let Some(plan) = worker.plan_of(forward.flow, forward.revision) {
        check(&forward.body, &plan)?;
    }
    let body = match forward.body {
        ForwardBody::Rows { input, places, batch } => {
            rows.extend(places.iter());
            let batch = match worker.input_shape(forward.flow, forward.revision, input) {
                Some(shape) => {
                    let batch = Batch::from_bytes(batch.to_vec(), &shape);
                    batch.map_err(|_| PeerError::Meaning("a batch"))?
                }
                // It is turned down for its revision, or because the flow is gone.
                None => {
                    rows.clear();
                    Batch::default()
                }
            };
            if rows.len() != batch.len() || !rows.is_sorted_by(|one, other| one < other) {
                return Err(PeerError::Meaning("places of rows"));
            }
            Body::Rows { input, batch }
        }
        ForwardBody::Get { table, partition, reads, key } => {
            Body::Get { table, partition, key: key.to_vec(), reads }
        }
        ForwardBody::Page { table, after, limit, reads } => {
            Body::Page { table, after: after.map(<[u8]>::to_vec), limit, reads }
        }
    };
    let origin = Origin {
        worker: worker.id(),
        client: client(from, forward.from),
        request: forward.id,
        revision: forward.asker,
        once: Some(forward.once),
    };
    let forwarded = Some(Forwarded { source: name.into(), terms: terms.clone() });
    let partial = Some(Box::new(Partial { rows, revision: forward.revision, forwarded }));
    Ok(Early { flow: forward.flow, request: Request { origin, body, partial }, terms })
}

/// Whether there is what a request of another node names.
fn check(body: &ForwardBody<'_>, plan: &Plan) -> Result<(), PeerError> {
    let table = |table: TableId| plan.tables.get(usize::from(table.0));
    let is_there = match body {
        ForwardBody::Rows { input, .. } => usize::from(input.0) < plan.inputs.len(),
        ForwardBody::Get { table: of, partition, .. } => {
            table(*of).is_some_and(|of| partition.0 < of.policy.partitions)
        }
        ForwardBody::Page { table: of, .. } => table(*of).is_some(),
    };
    if is_there { Ok(()) } else { Err(PeerError::Meaning("an input, a table or a partition")) }
}

/// Where the answers to a worker of another node go.
pub(crate) fn outlet(link: Link, from: WorkerId, to: WorkerId) -> Outlet {
    Outlet::calling(move |answered| link.send(frames(&answered, from, to)))
}

fn frames(answered: &[Answered], from: WorkerId, to: WorkerId) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = answered.iter().peekable();
    while rest.peek().is_some() {
        let mut writer = AnswersWriter::begin(&mut out);
        while let Some(one) = rest.next_if(|_| writer.bytes() < FRAME_BYTES) {
            if writer.push(&said(one, from, to, &mut String::new())).is_err() {
                // Its asker hears that nobody knows, and its rows are safe or will be; no answer is so long.
                let why = "the answer is too long for one frame";
                let lost =
                    answer::Answer { body: AnswerBody::Lost(why), ..said(one, from, to, &mut String::new()) };
                let _ = writer.push(&lost);
            }
        }
        writer.finish();
    }
    out
}

fn said<'a>(answered: &'a Answered, from: WorkerId, to: WorkerId, why: &'a mut String) -> answer::Answer<'a> {
    let body = match &answered.answer {
        Ok(Answer::Rows(rows)) => AnswerBody::Rows(rows, &rows.elsewhere),
        Ok(Answer::Row(row)) => AnswerBody::Row(row.as_deref()),
        Ok(Answer::Page(page)) => AnswerBody::Page(page),
        Ok(Answer::Problem(problem)) => AnswerBody::Problem(*problem),
        Ok(Answer::Elsewhere) => AnswerBody::Elsewhere,
        Err(error) => {
            *why = error.to_string();
            AnswerBody::Lost(why)
        }
    };
    let revised = answered.revised.as_ref().map(|plan| plan.revision);
    answer::Answer { id: answered.request, from, to, revised, parts: answered.touched.parts, body }
}
