//! The threads of a node's journal: one writes and syncs, one makes the segments to come, so that nobody waits for zeros.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anabranch_log::{Disk, Error as LogError, Spare, SpareOrder};
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select, unbounded};

use super::{Aside, Door, now, now_micros, spawn_vital};
use crate::journal::{Entry, JournalMeasures, Keeper, Keeping};
use crate::safe::Safe;

/// Entries that one sync makes safe, at most.
const ENTRIES_PER_SYNC: usize = 1024;

/// How long the journal waits before it tries a disk again that was full.
const HALTED_RETRY: Duration = Duration::from_millis(100);

/// How long the journal waits before it looks again whether counts may be kept.
const COUNTS_RETRY: Duration = Duration::from_millis(500);

/// How often the journal looks for more before it parks: who has just been answered often asks again at once, and to be
/// woken takes longer than to look.
const LOOKS: u32 = 100;

/// A disk that several threads may use.
pub(crate) trait SharedDisk: Disk<File: Send> + Send + Sync + 'static {}

impl<D: Disk<File: Send> + Send + Sync + 'static> SharedDisk for D {}

/// The ways to the thread that makes segments.
struct Maker<F> {
    orders: Sender<SpareOrder>,
    made: Receiver<Result<Spare<F>, LogError>>,
}

/// The ways from a journal to its node.
pub(crate) struct Ways {
    pub(crate) safe: Safe,
    /// What is to be kept.
    pub(crate) entries: Receiver<Entry>,
    /// Who is woken when something is safe.
    pub(crate) doors: Vec<Door>,
    pub(crate) measures: JournalMeasures,
}

/// Starts the threads of a node's journal. They end when the journal is told to, and all that came before is kept.
///
/// # Errors
/// The operating system refuses a thread.
pub(crate) fn keep<D: SharedDisk>(
    keeper: Keeper<Arc<D>>,
    disk: Arc<D>,
    ways: Ways,
) -> io::Result<[Aside; 2]> {
    let (orders, ordered) = bounded::<SpareOrder>(1);
    let (to, made) = unbounded();
    let spares = spawn_vital("anabranch-spare", move || {
        for order in ordered {
            if to.send(order.make(&disk)).is_err() {
                return;
            }
        }
    })?;
    let journal = spawn_vital("anabranch-journal", move || {
        run(keeper.spares_aside(), &Maker { orders, made }, &ways);
    })?;
    Ok([journal, spares])
}

fn run<D: Disk>(mut keeper: Keeper<D>, maker: &Maker<D::File>, ways: &Ways) {
    let Ways { safe, entries, measures, .. } = ways;
    let mut keeping = Keeping::On;
    while keeping != Keeping::Ended {
        look(entries);
        match keeping {
            Keeping::Halted => std::thread::park_timeout(HALTED_RETRY),
            _ => select! {
                recv(if keeper.has_counts() { after(COUNTS_RETRY) } else { never() }) -> _ => {}
                recv(entries) -> entry => match entry {
                    Ok(entry) => keeper.take(std::iter::once(entry)),
                    Err(_) => return ended(keeper, ways, "nobody can reach it"),
                },
                recv(maker.made) -> made => match made {
                    Ok(made) => keeper.put_spare(made),
                    Err(_) => return ended(keeper, ways, "nobody makes its segments"),
                },
            },
        }
        keeper.set_now(now_micros());
        keeper.take(entries.try_iter().take(ENTRIES_PER_SYNC));
        maker.made.try_iter().for_each(|made| keeper.put_spare(made));
        keeper.write();
        if safe.take_wants_written() {
            ways.wake();
        }
        let (syncs, began) = (keeper.has_unsynced(), now());
        keeping = keeper.sync();
        if syncs {
            measures.synced(began, now());
        }
        measures.kept(keeper.kept());
        ways.wake();
        if let Some(order) = keeper.order_spare() {
            // One order is out at a time, so it does not wait. The thread ends after this one.
            let _ = maker.orders.send(order);
        }
    }
}

/// Waits a moment for entries with the thread in hand.
fn look(entries: &Receiver<Entry>) {
    for _ in 0..LOOKS {
        if !entries.is_empty() {
            return;
        }
        std::thread::yield_now();
    }
}

/// The journal ends without being told to: nothing more becomes safe, and whoever waits is told so.
fn ended<D: Disk>(mut keeper: Keeper<D>, ways: &Ways, why: &str) {
    keeper.set_now(now_micros());
    keeper.broken(format!("the journal has ended: {why}; start the node again, and report this"));
    ways.wake();
}

impl Ways {
    fn wake(&self) {
        self.doors.iter().for_each(|door| door.thread.unpark());
    }
}

#[cfg(test)]
mod tests {
    use anabranch_log::{Config, LogNumber, MemoryDisk, Reader};

    use super::*;
    use crate::safe::Condition;
    use crate::snapshot::{Due, Handover, SnapshotDoor};

    /// What is said of a journal that has lost who gives it entries, or who makes its segments.
    fn said(entries: bool, segments: bool) -> String {
        let (given, entries) = (entries, unbounded());
        let (orders, made) = (bounded(1), unbounded());
        let (entry, segment) = (given.then_some(entries.0), segments.then_some(made.0));
        let safe = Safe::none(1);
        let reader = Reader::open(MemoryDisk::default(), Config::new([7; 16]), LogNumber(1));
        let writer = reader.and_then(Reader::into_writer).expect("it is empty");
        let snapshots = Handover::new(SnapshotDoor::default(), Due::new(0, u64::MAX));
        let keeper = Keeper::new(writer, safe.clone(), snapshots).spares_aside();
        let measures = JournalMeasures::default();
        let ways = Ways { safe: safe.clone(), entries: entries.1, doors: Vec::new(), measures };
        run(keeper, &Maker { orders: orders.0, made: made.1 }, &ways);
        drop((entry, segment));
        match &**safe.condition() {
            Condition::Broken(trouble) => trouble.why.clone(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_journal_that_ends_without_being_told_to_says_so() {
        assert!(said(true, false).contains("nobody makes its segments"), "{}", said(true, false));
        assert!(said(false, true).contains("nobody can reach it"), "{}", said(false, true));
    }
}
