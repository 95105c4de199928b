//! Which worker does what of a request.

use std::slice;
use std::sync::Arc;

use anabranch_model::batch::{Batch, Rows};
use anabranch_model::frame::{Chance, StepContext};
use anabranch_model::message::{Body, Origin, Request, WorkerId};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, Plan};
use anabranch_table::prefetch;
use serde::{Deserialize, Serialize};

use crate::dataflow::{Task, Work};
use crate::route::Router;

/// The rows of a request that belong to one worker. Their memory goes back to the worker where it was taken: memory that
/// one thread takes and another gives back all the time costs page faults.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Share {
    /// These rows, and between them maybe others.
    batch: Batch,
    /// None for all rows of the batch, where there is only one worker, which finds out by itself.
    routed: Option<Vec<Routed>>,
}

/// A row of a request, and where it belongs.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Routed {
    /// Its place in the request.
    pub(crate) row: u32,
    /// Where its bytes begin in the batch.
    pub(crate) offset: u32,
    /// Its partition; `None` when it stays where it entered, or its route failed (the step says why).
    pub(crate) partition: Option<PartitionId>,
}

impl Share {
    /// Whether the rows come with their partitions.
    pub(crate) fn is_routed(&self) -> bool {
        self.routed.is_some()
    }

    /// The rows, in the order of the request.
    pub(crate) fn rows(&self) -> ShareRows<'_> {
        let routed = self.routed.as_ref().map(|routed| routed.iter());
        ShareRows { batch: &self.batch, routed, rows: self.batch.rows(), number: 0 }
    }
}

/// Rows between the one that is read and the one whose memory is asked for: another worker may have written them.
const READ_AHEAD_ROWS: usize = 16;

/// The rows of a share, in the order of the request.
pub(crate) struct ShareRows<'a> {
    batch: &'a Batch,
    routed: Option<slice::Iter<'a, Routed>>,
    rows: Rows<'a>,
    number: u32,
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

/// Splits requests into the tasks of workers.
pub(crate) struct Splitter {
    plan: Arc<Plan>,
    routers: Vec<Router>,
    peers: u32,
    /// By worker.
    gathered: Vec<Gathered>,
    context: StepContext,
    buffer: Vec<u8>,
}

impl Splitter {
    pub(crate) fn new(plan: Arc<Plan>, node: Arc<str>, peers: u32) -> Self {
        let context = StepContext::new(node.clone(), node, plan.revision, Chance::new(0));
        Splitter {
            routers: Router::of_plan(&plan),
            plan,
            peers,
            gathered: (0..peers).map(|_| Gathered::default()).collect(),
            context,
            buffer: Vec::new(),
        }
    }

    /// The name of the flow.
    pub(crate) fn flow_name(&self) -> &str {
        &self.plan.name
    }

    /// Hands out the tasks of a request that entered at this time.
    pub(crate) fn split(&mut self, request: Request, entered: u64, mut give: impl FnMut(Task)) {
        let origin = request.origin;
        let task = |to, parts, work| Task { to, origin, parts, entered, work };
        match request.body {
            Body::Rows { input, batch } => self.split_rows(origin, entered, input, batch, give),
            Body::Get { table, partition, key, reads } => {
                give(task(owner(partition, self.peers), 1, Work::Get { table, partition, key, reads }));
            }
            Body::Page { table, after, limit, reads } => {
                for to in 0..self.peers {
                    give(task(
                        WorkerId(to),
                        self.peers,
                        Work::Page { table, after: after.clone(), limit, reads },
                    ));
                }
            }
        }
    }

    /// One task for each worker that has rows.
    ///
    /// Rows for other workers are copied out, so that those read no memory that this one works with; gathered in memory
    /// of this worker and then copied in one go, because writing row by row to memory that another worker read last
    /// waits for each cache line (`benches/README.md`).
    fn split_rows(
        &mut self,
        origin: Origin,
        entered: u64,
        input: InputId,
        batch: Batch,
        mut give: impl FnMut(Task),
    ) {
        if self.peers == 1 {
            let work = Work::Rows { input, share: Share { batch, routed: None } };
            return give(Task { to: origin.worker, origin, parts: 1, entered, work });
        }
        self.route(origin, input, &batch);
        let parts = self.gathered.iter().filter(|gathered| !gathered.routed.is_empty()).count().max(1) as u32;
        let mut give = |to, batch, routed| {
            let work = Work::Rows { input, share: Share { batch, routed: Some(routed) } };
            give(Task { to, origin, parts, entered, work });
        };
        for (to, gathered) in (0..).map(WorkerId).zip(&mut self.gathered) {
            if to == origin.worker || gathered.routed.is_empty() {
                continue;
            }
            if gathered.routed.len() == batch.len() {
                return give(to, batch, gathered.take());
            }
            let rows = gathered.copy(&batch);
            give(to, rows, gathered.take());
        }
        let own = self.gathered[origin.worker.0 as usize].take();
        if !own.is_empty() || batch.is_empty() {
            give(origin.worker, batch, own);
        }
    }

    /// Gathers the rows of each worker.
    fn route(&mut self, origin: Origin, input: InputId, batch: &Batch) {
        let shapes = &self.plan.steps[input.0 as usize].rows;
        let router = &self.routers[input.0 as usize];
        let mut offset = 0;
        for (number, row) in (0..).zip(batch.rows()) {
            let partition = router.place(row, shapes, &self.context, &mut self.buffer);
            let to = partition.map_or(origin.worker, |partition| owner(partition, self.peers));
            self.gathered[to.0 as usize].routed.push(Routed { row: number, offset, partition });
            offset += row.len() as u32;
        }
    }
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
