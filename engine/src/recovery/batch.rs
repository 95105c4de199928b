//! What is read of a snapshot and a journal on its way to the workers: batches that go round.

use anabranch_model::message::FlowId;
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::TableId;
use anabranch_model::snapshot::{Item, Standing, rows};
use anabranch_model::stamp::Stamp;
use anabranch_model::zone::Term;
use anabranch_operators::{FlowPartition, RestoreError, Worker};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::deploy::Workers;
use crate::driver::Command;
use crate::error::Error;
use crate::recovery::place::{Place, Unrestored};

/// Bytes after which a batch is given to its worker: little enough to stay in a processor's cache on the way.
const BATCH_BYTES: usize = 256 << 10;

/// Batches of a worker. With four, one is filled and one is done while others wait.
const WINDOW_BATCHES: usize = 4;

/// Things to be restored, on their way to the worker that owns their partitions.
#[derive(Debug)]
pub struct Restore {
    worker: usize,
    things: Vec<(Thing, Place, usize)>,
    /// Their bytes; the number beside each says where its bytes end.
    bytes: Vec<u8>,
    back: Sender<Restore>,
}

/// Something to be restored.
#[derive(Clone, Copy, Debug)]
enum Thing {
    /// The body of a record of a flow, of this number in its partition.
    Record(FlowId, FlowPartition, Term, u64),
    /// What a partition remembers, where it stands.
    Partition(FlowId, FlowPartition, Term, u64),
    /// Rows of a partition.
    Rows(FlowId, TableId, PartitionId),
    /// The last stamp of a flow's clock, and when its rows last found other partitions.
    Stamp(FlowId, Stamp, u64),
}

impl Thing {
    fn restore(self, bytes: &[u8], worker: &mut Worker) -> Result<(), RestoreError> {
        match self {
            Thing::Record(flow, part, term, seq) => worker.restore(flow, part, term, seq, bytes)?,
            Thing::Partition(flow, FlowPartition { of, number }, term, seq) => {
                let standing = Standing { of, number, term, seq, remembered: bytes };
                worker.load(flow, Item::Partition(standing))?;
            }
            Thing::Rows(flow, table, partition) => {
                worker.load(flow, Item::Rows(table, partition, bytes))?;
            }
            Thing::Stamp(flow, stamp, rerouted) => worker.observe(flow, stamp, rerouted),
        }
        Ok(())
    }
}

impl Restore {
    fn push(&mut self, thing: Thing, place: Place, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.things.push((thing, place, self.bytes.len()));
    }

    /// Does the records again, and takes what is of a snapshot.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be done.
    pub(crate) fn run(&self, worker: &mut Worker) -> Result<(), Unrestored> {
        let mut begin = 0;
        for &(thing, place, end) in &self.things {
            let done = thing.restore(&self.bytes[begin..end], worker);
            done.map_err(|error| Unrestored { place, error })?;
            begin = end;
        }
        Ok(())
    }

    /// Goes back to be filled anew.
    pub(crate) fn give_back(mut self) {
        self.things.clear();
        self.bytes.clear();
        self.bytes.shrink_to(2 * BATCH_BYTES);
        let back = self.back.clone();
        // Who fills it has an end where it stopped at an error.
        let _ = back.send(self);
    }
}

/// The batches of all workers.
#[derive(Debug)]
pub(crate) struct Batches {
    /// Those that are empty or being filled, by worker; the last one is being filled.
    here: Vec<Vec<Restore>>,
    back: Receiver<Restore>,
    /// Where what comes now stands.
    at: Place,
}

impl Batches {
    pub(crate) fn new(workers: usize) -> Self {
        let (to, back) = bounded(workers * WINDOW_BATCHES);
        let batch = |worker| Restore { worker, things: Vec::new(), bytes: Vec::new(), back: to.clone() };
        let of = |worker| (0..WINDOW_BATCHES).map(|_| batch(worker)).collect();
        Batches { here: (0..workers).map(of).collect(), back, at: Place::Record(0) }
    }

    /// What comes from now on stands there.
    pub(crate) fn at(&mut self, place: Place) {
        self.at = place;
    }

    /// A record is to be done again.
    pub(crate) fn record(
        &mut self,
        owner: usize,
        (flow, part, term, seq): (FlowId, FlowPartition, Term, u64),
        body: &[u8],
        workers: &impl Workers,
    ) -> Result<(), Error> {
        self.push(owner, Thing::Record(flow, part, term, seq), body, workers)
    }

    /// Later stamps are larger.
    pub(crate) fn stamp(
        &mut self,
        owner: usize,
        flow: FlowId,
        stamp: Stamp,
        rerouted: u64,
        workers: &impl Workers,
    ) -> Result<(), Error> {
        self.push(owner, Thing::Stamp(flow, stamp, rerouted), &[], workers)
    }

    /// An item of a snapshot is to be taken. How many rows are in it, damaged ones included.
    pub(crate) fn item(
        &mut self,
        owner: usize,
        flow: FlowId,
        item: Item<'_>,
        workers: &impl Workers,
    ) -> Result<u64, Error> {
        match item {
            Item::Partition(Standing { of, number, term, seq, remembered }) => {
                let thing = Thing::Partition(flow, FlowPartition { of, number }, term, seq);
                self.push(owner, thing, remembered, workers).map(|()| 0)
            }
            Item::Rows(table, partition, bytes) => {
                let thing = Thing::Rows(flow, table, partition);
                self.push(owner, thing, bytes, workers).map(|()| rows(bytes).count() as u64)
            }
        }
    }

    fn push(
        &mut self,
        owner: usize,
        thing: Thing,
        bytes: &[u8],
        workers: &impl Workers,
    ) -> Result<(), Error> {
        let place = self.at;
        let batch = self.present(owner)?;
        batch.push(thing, place, bytes);
        match batch.bytes.len() >= BATCH_BYTES {
            true => self.send(owner, workers),
            false => Ok(()),
        }
    }

    /// The batch of a worker that is being filled; waits for one that comes back.
    fn present(&mut self, owner: usize) -> Result<&mut Restore, Error> {
        while self.here[owner].is_empty() {
            let empty = self.back.recv().map_err(|_| Error::Stopped)?;
            self.here[empty.worker].insert(0, empty);
        }
        Ok(self.here[owner].last_mut().expect("it was looked for"))
    }

    fn send(&mut self, owner: usize, workers: &impl Workers) -> Result<(), Error> {
        let batch = self.present(owner)?;
        if !batch.things.is_empty()
            && let Some(batch) = self.here[owner].pop()
        {
            workers.tell_one(owner, Command::Restore(batch));
        }
        Ok(())
    }

    /// Gives the workers all that there is.
    pub(crate) fn send_all(&mut self, workers: &impl Workers) -> Result<(), Error> {
        (0..self.here.len()).try_for_each(|owner| self.send(owner, workers))
    }
}
