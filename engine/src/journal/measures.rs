//! What the journal of a node measures of itself: what it has kept, what waits, how long syncs take. Its thread writes, and
//! whoever asks for the status reads.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::{Entry, JournalDoor};
use crate::log;
use crate::measures::Times;
use crate::os::journal::SharedDisk;
use crate::safe::{Condition, Safe};
use crate::status::{JournalState, JournalStatus, TIMES_US};

/// From when on a sync is slow.
const SLOW_SYNC: Duration = Duration::from_millis(100);

/// A slow sync is told again after so long.
const SLOW_SYNC_TOLD: Duration = Duration::from_secs(60);

/// What a journal measures.
#[derive(Clone, Debug, Default)]
pub(crate) struct JournalMeasures(Arc<Mutex<Measured>>);

#[derive(Debug, Default)]
struct Measured {
    kept: Kept,
    syncs: Times,
    told: Option<Instant>,
}

/// How much a journal has kept since the node started, and what it has taken and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Entries.
    pub(crate) waiting: u64,
}

impl JournalMeasures {
    fn measured(&self) -> MutexGuard<'_, Measured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So much is kept now.
    pub(crate) fn kept(&self, kept: Kept) {
        self.measured().kept = kept;
    }

    /// A sync took from then to now.
    pub(crate) fn synced(&self, began: Instant, now: Instant) {
        let took = now.duration_since(began);
        let mut measured = self.measured();
        measured.syncs.record(took.as_micros() as u64);
        let told = |told: Instant| now.duration_since(told) < SLOW_SYNC_TOLD;
        if took >= SLOW_SYNC && !measured.told.is_some_and(told) {
            measured.told = Some(now);
            log::slow_sync(took.as_millis());
        }
    }
}

/// Counts the segments and the snapshots of a journal.
type CountFiles = Box<dyn Fn() -> Option<(u64, u64)> + Send + Sync>;

/// Where the status of a journal comes from.
struct JournalLook {
    directory: String,
    safe: Safe,
    measures: JournalMeasures,
    /// What was handed over and not taken.
    entries: Sender<Entry>,
    files: CountFiles,
}

/// What a node looks at when it is asked for the status of its journal; nothing where it has none.
#[derive(Debug, Default)]
pub(crate) struct JournalWindow(OnceLock<JournalLook>);

impl JournalWindow {
    /// The journal runs.
    pub(crate) fn open<D: SharedDisk>(
        &self,
        directory: Option<&Path>,
        disk: &Arc<D>,
        door: &JournalDoor,
        safe: &Safe,
        measures: &JournalMeasures,
    ) {
        let Some(entries) = door.entries() else { return };
        // A client that outlives the node must not keep the directory from the next one.
        let disk = Arc::downgrade(disk);
        // A node has one journal.
        let _ = self.0.set(JournalLook {
            directory: directory.map_or_else(String::new, |path| path.display().to_string()),
            safe: safe.clone(),
            measures: measures.clone(),
            entries,
            files: Box::new(move || anabranch_log::files(&*disk.upgrade()?).ok()),
        });
    }

    /// What is known of the journal now.
    pub(crate) fn status(&self) -> Option<JournalStatus> {
        let look = self.0.get()?;
        let (segments, snapshots) = (look.files)().unzip();
        let measured = look.measures.measured();
        let (kept, syncs) = (measured.kept, &measured.syncs);
        let condition = look.safe.condition();
        let trouble = condition.trouble();
        Some(JournalStatus {
            directory: look.directory.clone(),
            state: match &**condition {
                Condition::Sound => JournalState::Ok,
                Condition::Halted(_) => JournalState::Halted,
                Condition::Broken(_) => JournalState::Broken,
            },
            since_us: trouble.map(|trouble| trouble.since),
            why: trouble.map(|trouble| trouble.why.clone()),
            records: kept.records,
            bytes: kept.bytes,
            waiting: kept.waiting + look.entries.len() as u64,
            syncs: syncs.count(),
            sync_sum_us: syncs.sum(),
            sync_p50_us: syncs.quantile(0.5),
            sync_p99_us: syncs.quantile(0.99),
            sync_max_us: syncs.most(),
            sync_at_most: syncs.at_most(&TIMES_US),
            segments,
            snapshots,
        })
    }
}

impl fmt::Debug for JournalLook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalLook").field("directory", &self.directory).finish_non_exhaustive()
    }
}
