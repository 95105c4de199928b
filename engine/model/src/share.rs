//! What a worker has to do of a request: its share of the rows, or a read; and the way back to a request, where a node of a
//! zone lets it go its ways again.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::message::{Asked, Body, Origin, Partial, Reads, Request};
use crate::partition::PartitionId;
use crate::plan::{InputId, TableId};
use crate::zone::{Group, Parts};

/// The rows of a request that belong to one worker. Their memory goes back to the worker where it was taken: memory that
/// one thread takes and another gives back all the time costs page faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// These rows, and between them maybe others.
    pub batch: Batch,
    /// `None` for all rows of the batch, where there is only one worker, which finds out by itself.
    pub routed: Option<Vec<Routed>>,
    /// How many partitions the tables have that they go to; 0 where there are none.
    pub of: u32,
}

/// A row of a request, and where it belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// Its place in the request.
    pub row: u32,
    /// Where its bytes begin in the batch.
    pub offset: u32,
    /// Its partition; `None` when it stays where it entered, or its route failed (the step says why).
    pub partition: Option<PartitionId>,
}

impl Share {
    /// Copies out the rows for which this is so, by their places in the request; with these places.
    pub fn rows(&self, mut wanted: impl FnMut(u32) -> bool) -> (Batch, Vec<u32>) {
        let (mut batch, mut rows) = (Batch::new(self.batch.schema()), Vec::new());
        let mut take = |number: u32, row: &[u8]| {
            if wanted(number) {
                batch.push(row);
                rows.push(number);
            }
        };
        match &self.routed {
            None => (0..).zip(self.batch.rows()).for_each(|(number, row)| take(number, row)),
            Some(routed) => {
                routed.iter().for_each(|routed| take(routed.row, self.batch.row_at(routed.offset as usize)))
            }
        }
        (batch, rows)
    }
}

/// What a worker is to do of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// The worker's share of the rows.
    Rows {
        /// The stream.
        input: InputId,
        /// The rows.
        share: Share,
    },
    /// Rows that another node has sent and that are not served here.
    Elsewhere {
        /// The stream.
        input: InputId,
        /// Their places in the request.
        rows: Vec<u32>,
    },
    /// The row of a key.
    Get {
        /// The table.
        table: TableId,
        /// Its partition.
        partition: PartitionId,
        /// The key bytes.
        key: Vec<u8>,
        /// Whether the answer waits.
        reads: Reads,
    },
    /// Rows in key order.
    Page {
        /// The table.
        table: TableId,
        /// Only keys greater than this.
        after: Option<Vec<u8>>,
        /// Rows at most.
        limit: u32,
        /// Whether the answer waits.
        reads: Reads,
    },
}

impl Work {
    /// Which rows of the request belong to these partitions of the zone, growing.
    pub fn rows_in(&self, parts: Parts) -> Vec<u32> {
        let Work::Rows { share: Share { routed: Some(routed), of, .. }, .. } = self else {
            return Vec::new();
        };
        let is_in = |routed: &&Routed| {
            let number = |partition: PartitionId| Group::of(0, partition.0, *of).number;
            routed.partition.is_some_and(|partition| parts.contains(number(partition)))
        };
        routed.iter().filter(is_in).map(|routed| routed.row).collect()
    }

    /// Which rows of the request it has, growing.
    pub fn rows(&self) -> Vec<u32> {
        match self {
            Work::Rows { share: Share { routed: Some(routed), .. }, .. } => {
                routed.iter().map(|routed| routed.row).collect()
            }
            Work::Rows { share: Share { batch, routed: None, .. }, .. } => (0..batch.len() as u32).collect(),
            Work::Elsewhere { rows, .. } => rows.clone(),
            Work::Get { .. } | Work::Page { .. } => Vec::new(),
        }
    }

    /// What was asked.
    pub fn asked(&self) -> Asked {
        match self {
            Work::Rows { input, .. } | Work::Elsewhere { input, .. } => Asked::Rows(*input),
            Work::Get { table, .. } => Asked::Get(*table),
            Work::Page { table, .. } => Asked::Page(*table),
        }
    }

    /// The request for it, in the numbers and shapes of `revision`, to go its ways again at the node where it entered: of
    /// rows only those in `only` (growing), where that is said.
    ///
    /// Rows of one partition are taken all or none: see [`Partial::rows`].
    pub fn again(self, origin: Origin, revision: i64, only: Option<&[u32]>) -> Request {
        let mut rows = Vec::new();
        let body = match self {
            Work::Rows { input, share } => {
                let (batch, places) =
                    share.rows(|row| only.is_none_or(|only| only.binary_search(&row).is_ok()));
                rows = places;
                Body::Rows { input, batch }
            }
            // Its rows are with the node that has sent them.
            Work::Elsewhere { input, .. } => Body::Rows { input, batch: Batch::default() },
            Work::Get { table, partition, key, reads } => Body::Get { table, partition, key, reads },
            Work::Page { table, after, limit, reads } => Body::Page { table, after, limit, reads },
        };
        let partial = Some(Box::new(Partial { rows, revision, forwarded: None }));
        Request { origin: origin.again(), body, partial }
    }
}
