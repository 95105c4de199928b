//! Which worker, and which node, does what of a request.

use std::rc::Rc;
use std::slice;
use std::sync::Arc;

use anabranch_model::batch::{Batch, Rows};
use anabranch_model::eval::evaluate;
use anabranch_model::frame::{Chance, Frame, StepContext};
use anabranch_model::message::{Body, FlowId, Forward, Forwarded, Origin, Partial, Reads, Request, WorkerId};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, Plan, Route, TableId};
use anabranch_model::share::{Routed, Share, Work};
use anabranch_model::value::Value;
use anabranch_model::zone::{Group, Holder, MemberId, Owners, Parts, Standing, Terms, Touched};
use anabranch_table::prefetch;

use crate::dataflow::Task;
use crate::route::Router;
use crate::worker::Shared;

/// Rows between the one that is read and the one whose memory is asked for: another worker may have written them.
const READ_AHEAD_ROWS: usize = 16;

/// The rows of a share, in the order of the request.
pub(crate) struct ShareRows<'a> {
    batch: &'a Batch,
    routed: Option<slice::Iter<'a, Routed>>,
    rows: Rows<'a>,
    number: u32,
}

impl<'a> ShareRows<'a> {
    pub(crate) fn of(share: &'a Share) -> Self {
        let routed = share.routed.as_ref().map(|routed| routed.iter());
        ShareRows { batch: &share.batch, routed, rows: share.batch.rows(), number: 0 }
    }
}

impl<'a> Iterator for ShareRows<'a> {
    type Item = (Routed, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(routed) = &mut self.routed {
            if let Some(later) = routed.as_slice().get(READ_AHEAD_ROWS) {
                prefetch(self.batch.row_head(later.offset as usize));
            }
            return routed.next().map(|routed| (*routed, self.batch.row_at(routed.offset as usize)));
        }
        let row = self.rows.next()?;
        let routed = Routed { row: self.number, offset: 0, partition: None };
        self.number += 1;
        Some((routed, row))
    }
}

/// A piece of a divided request.
pub(crate) enum Split {
    /// For a worker of this node.
    Task(Task),
    /// For another node, or for nobody yet.
    Forward(Forward),
}

/// Splits requests into the tasks of workers, and what is for other nodes.
pub(crate) struct Splitter {
    flow: FlowId,
    plan: Arc<Plan>,
    routers: Vec<Router>,
    peers: u32,
    /// By worker.
    gathered: Vec<Gathered>,
    /// By other node.
    far: Vec<Far>,
    context: StepContext,
    buffer: Vec<u8>,
    shared: Rc<Shared>,
    owners: Arc<Owners>,
}

/// What is the same for all pieces of a request.
struct Whole {
    origin: Origin,
    entered: u64,
    source: Option<Arc<str>>,
}

/// Where a row goes.
enum To {
    Worker(WorkerId),
    Node(Option<MemberId>, Option<Group>),
    /// It was sent by another node, and is not served here.
    Elsewhere,
}

impl Splitter {
    pub(crate) fn new(flow: FlowId, plan: Arc<Plan>, node: Arc<str>, peers: u32, shared: Rc<Shared>) -> Self {
        let context = StepContext::new(node.clone(), node, plan.revision, Chance::new(0));
        Splitter {
            flow,
            routers: Router::of_plan(&plan),
            plan,
            peers,
            gathered: (0..peers).map(|_| Gathered::default()).collect(),
            far: Vec::new(),
            context,
            buffer: Vec::new(),
            owners: shared.owners(),
            shared,
        }
    }

    /// The name of the flow.
    pub(crate) fn flow_name(&self) -> &str {
        &self.plan.name
    }

    /// Goes on with the owners that hold by now; gives them where they are others than before.
    ///
    /// They are told to the other workers before what is divided by them, so that no worker that has heard of them later
    /// judges by older ones.
    pub(crate) fn adopt(&mut self) -> Option<&Arc<Owners>> {
        let owners = self.shared.owners();
        if Arc::ptr_eq(&owners, &self.owners) {
            return None;
        }
        self.owners = owners;
        Some(&self.owners)
    }

    /// The other workers.
    pub(crate) fn others(&self) -> impl Iterator<Item = WorkerId> + use<> {
        let me = self.shared.recorded().by;
        (0..self.peers).map(WorkerId).filter(move |worker| *worker != me)
    }

    /// Hands out the pieces of a request that entered at this time.
    pub(crate) fn split(&mut self, request: Request, entered: u64, mut give: impl FnMut(Split)) {
        let Request { origin, body, partial } = request;
        let forwarded = partial.as_ref().and_then(|partial| partial.forwarded.as_ref());
        let whole = Whole { origin, entered, source: forwarded.map(|forwarded| forwarded.source.clone()) };
        match body {
            Body::Rows { input, batch } if self.owners.is_alone() && partial.is_none() => {
                self.split_rows(&whole, input, batch, give);
            }
            Body::Rows { input, batch } => {
                self.split_in_zone(&whole, input, batch, partial.as_deref(), give);
            }
            Body::Get { table, partition, key, reads } => {
                let get = (table, partition, key, reads);
                give(self.get(&whole, get, forwarded));
            }
            Body::Page { table, after, limit, reads } => {
                let forwards = self.pages(&whole, (table, &after, limit, reads), forwarded.is_none());
                let parts = self.peers + forwards.len() as u32;
                for to in 0..self.peers {
                    let work = Work::Page { table, after: after.clone(), limit, reads };
                    give(Split::Task(self.task(&whole, WorkerId(to), parts, work)));
                }
                for forward in forwards {
                    give(Split::Forward(Forward { parts, ..forward }));
                }
            }
        }
    }

    fn task(&self, whole: &Whole, to: WorkerId, parts: u32, work: Work) -> Task {
        let Whole { origin, entered, source } = whole;
        let divided = self.owners.version();
        Task { to, origin: *origin, parts, entered: *entered, divided, source: source.clone(), work }
    }

    fn forward(&self, whole: &Whole, to: Option<MemberId>, body: Body, touched: Touched) -> Forward {
        Forward {
            origin: whole.origin,
            to,
            flow: self.flow,
            body,
            revision: self.plan.revision,
            rows: Vec::new(),
            places: Vec::new(),
            terms: Terms::of(touched, &self.owners),
            parts: 1,
            entered: whole.entered,
        }
    }

    /// One task for each worker that has rows.
    ///
    /// Rows for other workers are copied out, so that those read no memory that this one works with; gathered in memory
    /// of this worker and then copied in one go, because writing row by row to memory that another worker read last
    /// waits for each cache line (`benches/README.md`).
    fn split_rows(&mut self, whole: &Whole, input: InputId, batch: Batch, mut give: impl FnMut(Split)) {
        let own = whole.origin.worker;
        if self.peers == 1 {
            let work = Work::Rows { input, share: Share { batch, routed: None, of: self.of(input) } };
            return give(Split::Task(self.task(whole, own, 1, work)));
        }
        self.route(own, input, &batch);
        let parts = self.workers().max(1);
        self.give_shares(whole, input, batch, parts, &mut give);
    }

    /// How many partitions the rows of an input go to.
    fn of(&self, input: InputId) -> u32 {
        self.routers[usize::from(input.0)].partitions().unwrap_or_default()
    }

    /// How many workers have rows.
    fn workers(&self) -> u32 {
        self.gathered.iter().filter(|gathered| !gathered.routed.is_empty()).count() as u32
    }

    /// Gives each worker what was gathered for it; a batch without rows, of which there are no other parts, to its own.
    fn give_shares(
        &mut self,
        whole: &Whole,
        input: InputId,
        batch: Batch,
        parts: u32,
        give: &mut impl FnMut(Split),
    ) {
        let own = whole.origin.worker;
        let of = self.of(input);
        for to in (0..self.peers).map(WorkerId).filter(|to| *to != own) {
            let gathered = &mut self.gathered[to.0 as usize];
            if gathered.routed.is_empty() {
                continue;
            }
            if gathered.routed.len() == batch.len() {
                let share = Share { batch, routed: Some(gathered.take()), of };
                return give(Split::Task(self.task(whole, to, parts, Work::Rows { input, share })));
            }
            let share = Share { batch: gathered.copy(&batch), routed: Some(gathered.take()), of };
            give(Split::Task(self.task(whole, to, parts, Work::Rows { input, share })));
        }
        let routed = self.gathered[own.0 as usize].take();
        if !routed.is_empty() || batch.is_empty() {
            let share = Share { batch, routed: Some(routed), of };
            give(Split::Task(self.task(whole, own, parts, Work::Rows { input, share })));
        }
    }

    /// Gathers the rows of each worker.
    fn route(&mut self, own: WorkerId, input: InputId, batch: &Batch) {
        let shapes = &self.plan.steps[input.0 as usize].rows;
        let router = &self.routers[input.0 as usize];
        let mut offset = 0;
        for (number, row) in (0..).zip(batch.rows()) {
            let partition = router.place(row, shapes, &self.context, &mut self.buffer);
            let to = partition.map_or(own, |partition| owner(partition, self.peers));
            self.gathered[to.0 as usize].routed.push(Routed { row: number, offset, partition });
            offset += row.len() as u32;
        }
    }
}

/// In a zone.
impl Splitter {
    /// One task for each worker that has rows, and one piece for each other node that has.
    fn split_in_zone(
        &mut self,
        whole: &Whole,
        input: InputId,
        batch: Batch,
        partial: Option<&Partial>,
        mut give: impl FnMut(Split),
    ) {
        let elsewhere = self.route_in_zone(whole.origin.worker, input, &batch, partial);
        let far = std::mem::take(&mut self.far);
        let pieces = self.workers() + far.len() as u32 + u32::from(!elsewhere.is_empty());
        let parts = pieces.max(1);
        for Far { to, touched, mut gathered } in far {
            let rows = gathered.routed.iter().map(|routed| routed.row).collect();
            let partitions = gathered.routed.iter().filter_map(|routed| routed.partition);
            let of = self.of(input);
            let places = partitions.map(|partition| Group::of(0, partition.0, of).number as u8).collect();
            let body = Body::Rows { input, batch: gathered.copy(&batch) };
            let forward = self.forward(whole, to, body, touched);
            give(Split::Forward(Forward { rows, places, parts, ..forward }));
        }
        if !elsewhere.is_empty() {
            let work = Work::Elsewhere { input, rows: elsewhere };
            give(Split::Task(self.task(whole, whole.origin.worker, parts, work)));
        }
        if self.workers() > 0 || pieces == 0 {
            self.give_shares(whole, input, batch, parts, &mut give);
        }
    }

    /// Gathers the rows of each worker and of each other node; gives the numbers of those that another node has sent and
    /// that are not served here.
    fn route_in_zone(
        &mut self,
        own: WorkerId,
        input: InputId,
        batch: &Batch,
        partial: Option<&Partial>,
    ) -> Vec<u32> {
        let forwarded = partial.and_then(|partial| partial.forwarded.as_ref());
        let (mut offset, mut elsewhere) = (0, Vec::new());
        let of = self.of(input);
        let copies = self.plan.copies(of);
        for (at, row) in (0..).zip(batch.rows()) {
            let number = partial.and_then(|partial| partial.rows.get(at as usize)).copied().unwrap_or(at);
            let shapes = &self.plan.steps[usize::from(input.0)].rows;
            let router = &self.routers[usize::from(input.0)];
            let partition = router.place(row, shapes, &self.context, &mut self.buffer);
            let to = match partition {
                Some(partition) => {
                    let group = Group::of(copies.into(), partition.0, of);
                    let here = To::Worker(owner(partition, self.peers));
                    self.to(group, forwarded, here)
                }
                None => match forwarded.is_none().then(|| self.named(input, row)).flatten() {
                    Some(member) => To::Node(Some(member), None),
                    None => To::Worker(own),
                },
            };
            let routed = Routed { row: number, offset, partition };
            match to {
                To::Worker(to) => self.gathered[to.0 as usize].routed.push(routed),
                To::Node(to, group) => self.far(to, group).routed.push(routed),
                To::Elsewhere => elsewhere.push(number),
            }
            offset += row.len() as u32;
        }
        elsewhere
    }

    /// Where what belongs to a group goes; `here` where it is done on this node.
    fn to(&self, group: Group, forwarded: Option<&Forwarded>, here: To) -> To {
        let Standing { tenure, holder, .. } = self.owners.standing(group);
        match (holder, forwarded) {
            (Holder::Here, None) => here,
            (Holder::Here, Some(forwarded)) if forwarded.terms.term(group) == Some(tenure) => here,
            (_, Some(_)) => To::Elsewhere,
            (Holder::There(to), None) => To::Node(Some(to), Some(group)),
            (Holder::Nobody, None) => To::Node(None, Some(group)),
        }
    }

    /// The other member that a row is routed to by name.
    fn named(&self, input: InputId, row: &[u8]) -> Option<MemberId> {
        let step = &self.plan.steps[usize::from(input.0)];
        let Route::Node(to) = &step.route else { return None };
        let frame = Frame {
            input: row,
            rows: &[],
            candidate: None,
            shapes: &step.rows,
            lets: &[],
            context: &self.context,
        };
        match evaluate(to, &frame) {
            Ok(Value::Text(name)) if *name != *self.context.node => self.owners.member(&name),
            _ => None,
        }
    }

    /// What is gathered for a node.
    fn far(&mut self, to: Option<MemberId>, group: Option<Group>) -> &mut Gathered {
        let at = self.far.iter().position(|far| far.to == to).unwrap_or_else(|| {
            self.far.push(Far { to, ..Far::default() });
            self.far.len() - 1
        });
        let far = &mut self.far[at];
        if let Some(group) = group {
            far.touched.copies = group.copies;
            far.touched.parts.insert(group.number);
        }
        &mut far.gathered
    }

    /// The way of a read of a key.
    fn get(
        &self,
        whole: &Whole,
        (table, partition, key, reads): (TableId, PartitionId, Vec<u8>, Reads),
        forwarded: Option<&Forwarded>,
    ) -> Split {
        let group = self.plan.group(partition.0, self.plan.tables[usize::from(table.0)].policy.partitions);
        let far = match self.owners.standing(group).holder {
            // The worker says so where it is not served here.
            _ if forwarded.is_some() => None,
            // A copy will do for who is content with what is there.
            _ if reads == Reads::Stale && self.owners.has_copy(group) => None,
            Holder::Here => None,
            Holder::There(member) => Some(Some(member)),
            Holder::Nobody => Some(None),
        };
        match far {
            None => {
                let to = owner(partition, self.peers);
                Split::Task(self.task(whole, to, 1, Work::Get { table, partition, key, reads }))
            }
            Some(to) => {
                let touched = Touched { copies: group.copies, parts: Parts::one(group.number) };
                let body = Body::Get { table, partition, key, reads };
                Split::Forward(self.forward(whole, to, body, touched))
            }
        }
    }

    /// What other nodes are asked for a page, where they are to be asked.
    fn pages(
        &self,
        whole: &Whole,
        (table, after, limit, reads): (TableId, &Option<Vec<u8>>, u32, Reads),
        asks: bool,
    ) -> Vec<Forward> {
        let copies = self.plan.copies(self.plan.tables[usize::from(table.0)].policy.partitions);
        let mut members: Vec<(MemberId, Parts)> = Vec::new();
        for (number, standing) in (0..).zip(self.owners.class(copies)).filter(|_| asks) {
            let Holder::There(member) = standing.holder else { continue };
            match members.iter_mut().find(|(of, _)| *of == member) {
                Some((_, parts)) => parts.insert(number),
                None => members.push((member, Parts::one(number))),
            }
        }
        let forward = |(to, parts)| {
            let body = Body::Page { table, after: after.clone(), limit, reads };
            self.forward(whole, Some(to), body, Touched { copies, parts })
        };
        members.into_iter().map(forward).collect()
    }
}

/// What is gathered for another node.
#[derive(Default)]
struct Far {
    to: Option<MemberId>,
    touched: Touched,
    gathered: Gathered,
}

/// The rows of a request for one worker, in memory that is used again.
#[derive(Default)]
struct Gathered {
    routed: Vec<Routed>,
    batch: Batch,
}

/// Rows and bytes that [`Gathered`] keeps memory for, at most.
const KEPT_ROWS_MAX: usize = 4096;
const KEPT_BYTES_MAX: usize = 256 << 10;

impl Gathered {
    /// Copies the rows out of their batch, and tells each where it is now.
    fn copy(&mut self, from: &Batch) -> Batch {
        self.batch.reset(from.schema());
        for routed in &mut self.routed {
            let row = from.row_at(routed.offset as usize);
            routed.offset = self.batch.row_bytes() as u32;
            self.batch.push(row);
        }
        if self.batch.row_bytes() > KEPT_BYTES_MAX {
            std::mem::take(&mut self.batch)
        } else {
            self.batch.clone()
        }
    }

    fn take(&mut self) -> Vec<Routed> {
        let routed = self.routed.as_slice().to_vec();
        self.routed.clear();
        self.routed.shrink_to(KEPT_ROWS_MAX);
        routed
    }
}

/// The worker that owns a partition: p lives on p mod W.
#[inline]
fn owner(partition: PartitionId, peers: u32) -> WorkerId {
    // A division costs more than the rest of a row's way here.
    match peers.is_power_of_two() {
        true => WorkerId(partition.0 & (peers - 1)),
        false => WorkerId(partition.0 % peers),
    }
}
