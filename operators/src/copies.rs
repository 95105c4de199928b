//! Copies of partitions that another node owns: what it did is done here again, at once, and kept like what is done here.
//!
//! A copy follows its owner record by record. One that does not have them all begins anew: the owner sends pieces of its
//! state, and its records in between as they are made. Both have whole rows, so what comes later puts right what came
//! before, whichever of them it is.
//!
//! INVARIANT: whatever changes a copy is recorded in the same order in which it is done, so that the node's own journal
//! gives the same copy. What is taken or not is a function of where the copy stands, so the journal decides alike.

use anabranch_model::message::FlowId;
use anabranch_model::partition::PartitionId;
use anabranch_model::record::Record;
use anabranch_model::snapshot::{Item, Standing, State, StateWriter};
use anabranch_model::stamp::Stamp;
use anabranch_model::zone::Group;

use crate::machine::Machine;
use crate::recorder::{FlowPartition, Follows, Kept, Position, What};
use crate::restore::RestoreError;

impl Machine {
    /// Does what the owner of a partition recorded, and records it; the worker had made `count` records before.
    ///
    /// # Errors
    /// The copy has to begin anew: it stands where it stood, but some of the record may have been done.
    pub(crate) fn copy(
        &mut self,
        part: FlowPartition,
        at: Position,
        body: &[u8],
        count: u64,
    ) -> Result<Kept, RestoreError> {
        let part = self.copied(part)?;
        let revision = Record::parse(body)?.of.revision;
        self.same_revision(revision)?;
        match self.recorder().follows(part, at) {
            Follows::Next => {}
            Follows::Had => return Ok(self.recorder().read(part)),
            Follows::Not => return Err(RestoreError::Order { part, seq: at.seq }),
        }
        self.redo(part, at, body)?;
        Ok(self.recorder().copied(part, What::Step, at, body, count))
    }

    /// Takes a piece of the state of a partition from its owner, and records it.
    ///
    /// # Errors
    /// The copy has to begin anew where some of the piece may have been taken.
    pub(crate) fn copy_state(
        &mut self,
        state: &State<'_>,
        bytes: &[u8],
        count: u64,
    ) -> Result<Kept, RestoreError> {
        self.same_revision(state.revision)?;
        let mut of = None;
        for item in state.items() {
            let part = self.part_of(&item?)?;
            if of.is_some_and(|of| of != part) {
                return Err(RestoreError::Partition(part));
            }
            of = Some(part);
        }
        let Some(part) = of else { return Ok(Kept::default()) };
        let part = self.copied(part)?;
        self.observe(state.stamp, state.rerouted);
        for item in state.items() {
            self.load(item?)?;
        }
        let at = self.recorder().position(part);
        Ok(self.recorder().copied(part, What::State, at, bytes, count))
    }

    /// Empties a partition of a flow, and records that it did.
    ///
    /// # Errors
    /// It is none, or served here.
    pub(crate) fn reset(
        &mut self,
        flow: FlowId,
        part: FlowPartition,
        count: u64,
    ) -> Result<Kept, RestoreError> {
        let part = self.copied(part)?;
        let mut out = StateWriter::new(flow, self.plan().revision, Stamp::default(), 0);
        let Position { term, seq } = Position::BEGIN;
        let standing = Standing { of: part.of, number: part.number, term, seq, remembered: &[] };
        out.partition(standing);
        self.load(Item::Partition(standing))?;
        Ok(self.recorder().copied(part, What::State, Position::BEGIN, &out.finish(), count))
    }

    /// The partition, if there is such a one and another node serves it.
    fn copied(&mut self, part: FlowPartition) -> Result<FlowPartition, RestoreError> {
        let part = part.checked().ok_or(RestoreError::Partition(part))?;
        let group = self.plan().group(part.number, part.of);
        match self.serves(group) {
            true => Err(RestoreError::Served(part)),
            false => Ok(part),
        }
    }

    fn same_revision(&self, revision: i64) -> Result<(), RestoreError> {
        let here = self.plan().revision;
        if revision == here { Ok(()) } else { Err(RestoreError::Revision { of: revision, here }) }
    }

    fn part_of(&self, item: &Item<'_>) -> Result<FlowPartition, RestoreError> {
        match *item {
            Item::Partition(Standing { of, number, .. }) => Ok(FlowPartition { of, number }),
            Item::Rows(table, partition, _) => {
                let of = self.plan().tables.get(usize::from(table.0));
                let of = of.ok_or(RestoreError::NoPartition { table, partition })?;
                let PartitionId(number) = partition;
                Ok(FlowPartition { of: of.policy.partitions, number })
            }
        }
    }

    /// The partitions of a group that a worker has, of so many workers, whether or not there is anything in them.
    pub(crate) fn parts_of(&self, group: Group, worker: u32, workers: u32) -> Vec<FlowPartition> {
        let plan = self.plan();
        let classes = plan.partitions().into_iter().filter(|of| plan.copies(*of) == group.copies);
        let all = classes.flat_map(|of| (0..of).map(move |number| FlowPartition { of, number }));
        let mut parts: Vec<_> = all
            .filter(|part| Group::of(group.copies.into(), part.number, part.of) == group)
            .filter(|part| part.number % workers == worker)
            .collect();
        parts.reverse();
        parts
    }
}
