//! What a flow on one worker is asked without a step: the row of a key, rows in key order.

use anabranch_model::message::{Answer, PAGE_BYTES, Page, Reads};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::TableId;
use anabranch_model::zone::{Group, Parts, Touched};

use super::{Done, Machine};
use crate::recorder::{FlowPartition, Kept};

impl Machine {
    /// The row of a key, where its group is served here; a copy will do for who is content with what is there.
    pub(super) fn get(
        &mut self,
        table: TableId,
        partition: PartitionId,
        key: &[u8],
        reads: Reads,
        divided: u64,
    ) -> Done {
        let of = self.plan.tables[usize::from(table.0)].policy.partitions;
        let mut touched = Touched::default();
        if !self.recorder.ownership().is_alone() {
            let group = self.plan.group(partition.0, of);
            let copied = reads == Reads::Stale && self.recorder.ownership().owners().has_copy(group);
            if !copied && !self.recorder.serves(group, divided) {
                return Done::read(Answer::Elsewhere, Kept::default(), touched);
            }
            touched = Touched { copies: group.copies, parts: Parts::one(group.number) };
        }
        let row = self.tables.get(table, partition).and_then(|table| table.get(key));
        let kept = match reads {
            Reads::Safe => self.recorder.read(FlowPartition { of, number: partition.0 }),
            Reads::Stale => Kept::default(),
        };
        Done::read(Answer::Row(row.map(<[u8]>::to_vec)), kept, touched)
    }

    /// The groups of tables with so many partitions that are served here, and were when a request was divided; nothing
    /// where there is no zone.
    pub(super) fn served(&mut self, of: u32, divided: u64) -> Option<Touched> {
        if self.recorder.ownership().is_alone() {
            return None;
        }
        let mut touched = Touched { copies: self.plan.copies(of), parts: Parts::ALL };
        let lacking = touched.groups().filter(|group| !self.recorder.serves(*group, divided));
        for group in lacking.collect::<Vec<_>>() {
            touched.parts = touched.parts.without(Parts::one(group.number));
        }
        Some(touched)
    }

    /// The first `limit` rows after a key, of all partitions on this worker, or of those in some groups, in key order;
    /// fewer when they are long.
    pub(super) fn page(
        &mut self,
        table: TableId,
        after: Option<&[u8]>,
        limit: usize,
        only: Option<Touched>,
    ) -> Page {
        let of = self.plan.tables[usize::from(table.0)].policy.partitions;
        let wanted = |partition: PartitionId| match only {
            None => true,
            Some(Touched { copies, parts }) => {
                parts.contains(Group::of(copies.into(), partition.0, of).number)
            }
        };
        let parts = self.tables.all_mut(table).filter(|(partition, _)| wanted(*partition));
        let mut parts: Vec<_> = parts.map(|(_, part)| part.in_order(after).peekable()).collect();
        let mut heads = std::collections::BinaryHeap::new();
        for (at, part) in parts.iter_mut().enumerate() {
            heads.extend(part.peek().map(|(key, _)| std::cmp::Reverse((*key, at))));
        }
        let (mut page, mut bytes) = (Page::default(), 0);
        while let Some(std::cmp::Reverse((_, at))) = heads.pop() {
            if page.rows.len() == limit || bytes >= PAGE_BYTES {
                page.more = true;
                break;
            }
            if let Some((key, row)) = parts[at].next() {
                bytes += key.len() + row.len();
                page.rows.push((key.to_vec(), row.to_vec()));
            }
            heads.extend(parts[at].peek().map(|(key, _)| std::cmp::Reverse((*key, at))));
        }
        page
    }
}
