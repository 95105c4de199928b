//! The partitions of a flow's tables that one worker owns: partition p lives on worker p mod W.

use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{Plan, TableId};
use anabranch_table::{KeyHash, Table};

/// The tables of a flow on one worker.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: Vec<Partitions>,
}

#[derive(Debug)]
struct Partitions {
    /// By partition. None where the partition is another worker's, or never had a row.
    parts: Vec<Option<Box<Table>>>,
    seed: u64,
}

impl Tables {
    pub(crate) fn new(plan: &Plan, seed: u64) -> Self {
        let partitions = |table: &anabranch_model::plan::Table| Partitions {
            parts: (0..table.policy.partitions).map(|_| None).collect(),
            seed,
        };
        Tables { tables: plan.tables.iter().map(partitions).collect() }
    }

    /// The tables of a newer revision, with the rows of those that the old one has, too.
    pub(crate) fn revised(mut self, old: &Plan, new: &Plan, seed: u64) -> Self {
        let mut revised = Tables::new(new, seed);
        for (table, kept) in old.tables.iter().zip(self.tables.drain(..)) {
            if let Some(id) = new.table(&table.name) {
                revised.tables[id.0 as usize] = kept;
            }
        }
        revised
    }

    /// Partitions of a table, those of other workers included.
    pub(crate) fn partitions(&self, table: TableId) -> u32 {
        self.tables[table.0 as usize].parts.len() as u32
    }

    /// Puts rows in the place of a partition's.
    pub(crate) fn set(&mut self, table: TableId, partition: PartitionId, rows: Box<Table>) {
        self.tables[table.0 as usize].parts[partition.0 as usize] = Some(rows);
    }

    /// The rows of a partition, when it ever had one.
    #[inline]
    pub(crate) fn get(&self, table: TableId, partition: PartitionId) -> Option<&Table> {
        let of = &self.tables[table.0 as usize];
        of.parts[partition.0 as usize].as_deref()
    }

    /// The rows of a partition.
    #[inline]
    pub(crate) fn get_mut(&mut self, table: TableId, partition: PartitionId) -> &mut Table {
        let of = &mut self.tables[table.0 as usize];
        let seed = of.seed;
        of.parts[partition.0 as usize].get_or_insert_with(|| Box::new(Table::new(seed)))
    }

    /// Drops the rows of a partition.
    pub(crate) fn clear(&mut self, table: TableId, partition: PartitionId) {
        self.tables[table.0 as usize].parts[partition.0 as usize] = None;
    }

    /// Asks for the memory of the index that an access to this key will read, and hashes the key.
    #[inline]
    pub(crate) fn prefetch_index(&self, table: TableId, partition: PartitionId, key: &[u8]) -> KeyHash {
        let hash = KeyHash::of(key, self.tables[table.0 as usize].seed);
        if let Some(part) = self.get(table, partition) {
            part.prefetch_index(hash);
        }
        hash
    }

    /// Asks for the memory of the row that an access to a key will most likely read.
    #[inline]
    pub(crate) fn prefetch_row(&self, table: TableId, partition: PartitionId, hash: KeyHash) {
        if let Some(part) = self.get(table, partition) {
            part.prefetch_row(hash);
        }
    }

    /// All partitions of a table that have or had rows.
    pub(crate) fn all(&self, table: TableId) -> impl Iterator<Item = &Table> {
        self.tables[table.0 as usize].parts.iter().flatten().map(|part| &**part)
    }

    /// All partitions of a table that have or had rows, with their numbers.
    pub(crate) fn all_mut(&mut self, table: TableId) -> impl Iterator<Item = (PartitionId, &mut Table)> {
        let parts = (0..).map(PartitionId).zip(&mut self.tables[table.0 as usize].parts);
        parts.filter_map(|(number, part)| Some((number, &mut **part.as_mut()?)))
    }
}
