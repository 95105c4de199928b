//! A worker of a node in a zone: who owns what, what goes its ways again, and copies of what other nodes own.

use std::sync::Arc;

use anabranch_model::message::{Delivery, FlowId, Problem, Recorded, Request};
use anabranch_model::plan::{InputId, Plan, TableId};
use anabranch_model::snapshot::{Piece, SnapshotError};
use anabranch_model::types::Shape;
use anabranch_model::zone::{Group, Owners, Parts, Term, Touched};

use super::Worker;
use crate::groups::{GroupPiece, GroupPlace, Which};
use crate::installed::Installed;
use crate::recorder::{FlowPartition, Position};
use crate::restore::RestoreError;

impl Worker {
    /// Takes in a part of a request that goes its ways again, at the worker where it entered: before all that has come and
    /// has not moved, so that the requests of a client keep their order. For what is to be sent again behind
    /// [`Delivery::Owners`], in its order, before the next turn.
    pub fn again(&mut self, flow: FlowId, request: Request) {
        let origin = request.origin;
        let taken = match self.flows.get_mut(&flow) {
            Some(installed) => installed.submit_again(request, self.keeps),
            None => Err(Problem::Gone),
        };
        if let Err(problem) = taken {
            self.turn_down(flow, origin, problem);
        }
    }

    /// The node is in a zone, and these are its owners from now on; older ones than those before are passed over.
    ///
    /// At once nothing is done any more in partitions that are not served here: its rows come back as elsewhere. Requests
    /// are divided by the new owners as soon as all that was divided before has come back; until then none moves. Then
    /// [`Delivery::Owners`] says so.
    pub fn set_owners(&mut self, owners: Arc<Owners>) {
        if !self.owners.is_alone() && owners.version() <= self.owners.version() {
            return;
        }
        self.flows.values().for_each(|of| of.machine.borrow_mut().adopt(&owners));
        self.owners = owners;
        self.adopts = true;
    }

    /// Divides requests by the newest owners from now on, if nothing is under way that was divided by others. Whether
    /// requests have to wait: for that, and once for what is sent again behind it.
    ///
    /// INVARIANT: what is sent again behind some owners moves before there are others: else what is sent again behind those
    /// would stand behind it, though it may be older. What came in behind newer owners is not divided by older ones: who
    /// has sent it may have asked whether they are known.
    pub(super) fn adopt(&mut self) -> bool {
        if !self.adopts {
            return false;
        }
        if self.flows.values().all(Installed::is_at_rest) {
            self.adopts = false;
            self.shared.owners.replace(self.owners.clone());
            self.shared.deliver(Delivery::Owners(self.owners.clone()));
        }
        true
    }

    /// Does what the owner of a partition recorded in a copy of it, at once, and records it ([`Worker::records`]); a record
    /// that the copy has had is passed over. The records of the worker that it rests on: when they are safe, so is the copy.
    ///
    /// # Errors
    /// [`RestoreError::Revision`] and [`RestoreError::Changing`]: nothing was done, and it may be given again when the flow has changed. Others: it is not the next of its partition,
    /// or the partition is served here, and nothing was done; or something is wrong with it, and the copy has to begin
    /// anew.
    pub fn copy(
        &mut self,
        flow: FlowId,
        part: FlowPartition,
        term: Term,
        seq: u64,
        body: &[u8],
    ) -> Result<Recorded, RestoreError> {
        let count = self.recorded().count;
        let at = Position { term, seq };
        let kept = self.changeable(flow)?.machine.borrow_mut().copy(part, at, body, count)?;
        Ok(self.shared.keep(kept))
    }

    /// Takes a piece of the state of a partition ([`GroupPiece`]) into a copy of it, and records it. The records of the worker
    /// that it rests on.
    ///
    /// # Errors
    /// As for [`Worker::copy`].
    pub fn copy_state(&mut self, piece: &[u8]) -> Result<Recorded, RestoreError> {
        let Piece::State(state) = Piece::parse(piece)? else {
            return Err(SnapshotError::Meaning("a piece of a copy").into());
        };
        let count = self.recorded().count;
        let kept = self.changeable(state.flow)?.machine.borrow_mut().copy_state(&state, piece, count)?;
        Ok(self.shared.keep(kept))
    }

    /// Empties a copy of a partition: its rows, the answers that it remembers and where it stands; and records that. The
    /// records of the worker that this rests on.
    ///
    /// # Errors
    /// As for [`Worker::copy`].
    pub fn reset(&mut self, flow: FlowId, part: FlowPartition) -> Result<Recorded, RestoreError> {
        let count = self.recorded().count;
        let kept = self.changeable(flow)?.machine.borrow_mut().reset(flow, part, count)?;
        Ok(self.shared.keep(kept))
    }

    /// A flow in which copies may change.
    fn changeable(&self, flow: FlowId) -> Result<&Installed, RestoreError> {
        let installed = self.flows.get(&flow).ok_or(RestoreError::NoFlow(flow))?;
        if installed.is_migrating() { Err(RestoreError::Changing(flow)) } else { Ok(installed) }
    }

    /// The group that a partition of a flow belongs to; `None` where the flow is not there.
    pub fn group(&self, flow: FlowId, part: FlowPartition) -> Option<Group> {
        let machine = self.flows.get(&flow)?.machine.borrow();
        Some(machine.plan().group(part.number, part.of))
    }

    /// The groups that the rows of a table may belong to; `None` where the flow is not there.
    pub fn groups(&self, flow: FlowId, table: TableId) -> Option<Touched> {
        let machine = self.flows.get(&flow)?.machine.borrow();
        let plan = machine.plan();
        let of = plan.tables.get(usize::from(table.0))?.policy.partitions;
        let mut touched = Touched { copies: plan.copies(of), parts: Parts::NONE };
        (0..of).for_each(|number| touched.parts.insert(plan.group(number, of).number));
        Some(touched)
    }

    /// The shape of the rows of an input, in a revision of a flow that is still understood.
    pub fn input_shape(&self, flow: FlowId, revision: i64, input: InputId) -> Option<Arc<Shape>> {
        self.flows.get(&flow)?.input_shape(revision, input)
    }

    /// All rows of a table that are here, owned or copied, in no order: for tests.
    pub fn all_rows(&self, flow: FlowId, table: TableId) -> Vec<Vec<u8>> {
        let Some(installed) = self.flows.get(&flow) else { return Vec::new() };
        let mut machine = installed.machine.borrow_mut();
        let mut rows = Vec::new();
        for (_, part) in machine.tables().all_mut(table) {
            rows.extend(part.in_order(None).map(|(_, row)| row.to_vec()));
        }
        rows
    }

    /// The last record of each partition that has one: of how many, which, its term and number; for tests.
    pub fn positions(&self) -> Vec<(u32, u32, u64, u64)> {
        let machines = self.flows.values().map(|of| of.machine.borrow());
        let mut all: Vec<_> = machines.flat_map(|machine| machine.positions()).collect();
        all.sort_unstable();
        all
    }

    /// The revision of a flow that runs; `None` where it is not there, or is on the way to a newer one.
    pub fn runs(&self, flow: FlowId) -> Option<i64> {
        let installed = self.flows.get(&flow).filter(|installed| !installed.is_migrating())?;
        Some(installed.machine.borrow().plan().revision)
    }

    /// The plan of a revision of a flow that is still understood.
    pub fn plan_of(&self, flow: FlowId, revision: i64) -> Option<Arc<Plan>> {
        self.flows.get(&flow)?.plan_of(revision)
    }

    /// The plan of a flow that runs.
    pub fn plan(&self, flow: FlowId) -> Option<Arc<Plan>> {
        Some(self.flows.get(&flow)?.machine.borrow().plan().clone())
    }

    /// Where its part of the state of a group begins.
    pub fn group_state(&self, group: Group) -> GroupPlace {
        GroupPlace::new(group)
    }

    /// The next piece of its part of the state of a group, each of one partition, of `most` bytes and what goes beyond them
    /// with one row or with what the partition remembers. `None` behind the last ([`GroupPlace::is_done`]), and while a
    /// flow is changing to a newer revision.
    ///
    /// It has the effects of all records that [`Worker::records`] has given; those that it gives later follow the piece.
    pub fn group_piece(&self, place: &mut GroupPlace, most: usize) -> Option<GroupPiece> {
        let which = Which { worker: self.id.0, workers: self.peers };
        loop {
            let next = |(flow, _): &(&FlowId, &Installed)| place.begun().is_none_or(|begun| **flow > begun);
            let flow = place.present().or_else(|| self.flows.iter().find(next).map(|(flow, _)| *flow));
            let Some(flow) = flow else {
                place.end();
                return None;
            };
            let Some(installed) = self.flows.get(&flow) else {
                place.leave();
                continue;
            };
            if installed.is_migrating() {
                return None;
            }
            if let Some(piece) = place.piece(flow, installed, which, most) {
                return Some(piece);
            }
        }
    }
}
