//! The state of a group, in pieces that its owner makes between turns for a copy that is to begin anew.
//!
//! INVARIANT: as for snapshots (`snapshot`): where a partition stands is said before its first row, and the records behind
//! that are sent, too, in between and in the order of the worker. A piece has rows as they are after all records that were
//! sent before it, or after some that come later; records have whole rows; so when the last piece and the records until
//! then have come, the copy is as the owner was. All partitions that there can be are told of: a copy may have rows in one
//! that is empty by now.

use anabranch_model::message::FlowId;
use anabranch_model::snapshot::StateWriter;
use anabranch_model::zone::Group;

use crate::installed::Installed;
use crate::machine::Machine;
use crate::recorder::FlowPartition;
use crate::snapshot::FlowPlace;

/// How far a worker is with the state of a group.
#[derive(Debug)]
pub struct GroupPlace {
    group: Group,
    /// The last flow that was begun.
    begun: Option<FlowId>,
    /// It, at this revision, while it is not done.
    present: Option<(FlowId, i64, FlowPlace)>,
    done: bool,
}

/// A piece of the state of one partition, for a copy of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPiece {
    /// The flow.
    pub flow: FlowId,
    /// The partition.
    pub part: FlowPartition,
    /// Its bytes ([`anabranch_model::snapshot`]), for `Worker::copy_state`.
    pub body: Vec<u8>,
    /// Rows in it.
    pub rows: u64,
}

/// Which worker of how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Which {
    pub(crate) worker: u32,
    pub(crate) workers: u32,
}

impl GroupPlace {
    pub(crate) fn new(group: Group) -> Self {
        GroupPlace { group, begun: None, present: None, done: false }
    }

    /// The group.
    pub fn group(&self) -> Group {
        self.group
    }

    /// Whether the last piece was given.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The flow that was begun last: those behind it are next.
    pub(crate) fn begun(&self) -> Option<FlowId> {
        self.begun
    }

    /// The flow that is not done.
    pub(crate) fn present(&self) -> Option<FlowId> {
        self.present.as_ref().map(|(flow, ..)| *flow)
    }

    /// The present flow is done, or is there no more.
    pub(crate) fn leave(&mut self) {
        self.present = None;
    }

    /// There is no other flow.
    pub(crate) fn end(&mut self) {
        self.done = true;
    }

    /// Goes on in a flow, from its begin where it has another revision than before; nothing where it is done.
    pub(crate) fn piece(
        &mut self,
        flow: FlowId,
        installed: &Installed,
        of: Which,
        most: usize,
    ) -> Option<GroupPiece> {
        let machine = installed.machine.borrow();
        let revision = machine.plan().revision;
        self.begun = Some(flow);
        let present = self.present.take().filter(|(of, at, _)| (*of, *at) == (flow, revision));
        let (_, _, mut place) = present.unwrap_or_else(|| {
            let parts = machine.parts_of(self.group, of.worker, of.workers);
            (flow, revision, FlowPlace::of(parts))
        });
        let piece = next_piece(flow, &machine, &mut place, most);
        self.present = piece.is_some().then_some((flow, revision, place));
        piece
    }
}

fn next_piece(flow: FlowId, machine: &Machine, place: &mut FlowPlace, most: usize) -> Option<GroupPiece> {
    while let Some(part) = place.part() {
        let mut out = StateWriter::new(flow, machine.plan().revision, machine.stamp(), machine.rerouted());
        let end = out.len() + most.max(1);
        let rows = machine.write_part(place, end, &mut out);
        if !out.is_empty() {
            return Some(GroupPiece { flow, part, body: out.finish(), rows });
        }
    }
    None
}
