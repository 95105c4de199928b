//! The metrics of a node's journal; a node in memory has none of these samples.

use super::{counter, gauge, histogram};
use crate::net::exposition::{Distribution, Exposition, Metric};
use crate::net::traffic::times;
use crate::status::{JournalState, JournalStatus};

pub(super) const STATE: Metric = gauge(
    "anabranch_journal_state",
    &["state"],
    "1 for the state of the journal, else 0: `ok`; `halted` while the disk refuses what it needs, most likely because it is \
     full; `broken` after a write or sync has failed.",
);
pub(super) const RECORDS: Metric =
    counter("anabranch_journal_records_total", &[], "Records that the journal took.");
pub(super) const BYTES: Metric = counter("anabranch_journal_bytes_total", &[], "Bytes of these records.");
pub(super) const WAITING: Metric = gauge(
    "anabranch_journal_entries_waiting",
    &[],
    "Entries, each with the records of a turn of a worker, that wait for the journal.",
);
pub(super) const SYNC_SECONDS: Metric =
    histogram("anabranch_journal_sync_seconds", &[], "Seconds that syncs of the journal took.");
pub(super) const SEGMENTS: Metric =
    gauge("anabranch_journal_segments", &[], "Segments of the journal on the disk.");
pub(super) const SNAPSHOTS: Metric = gauge("anabranch_journal_snapshots", &[], "Snapshots on the disk.");

pub(super) fn journal(out: &mut Exposition, journal: Option<&JournalStatus>) {
    out.family(&STATE, |state| {
        if let Some(journal) = journal {
            for of in JournalState::ALL {
                state.count(&[of.name()], u64::from(of == journal.state));
            }
        }
    });
    let mut number = |metric: &Metric, of: fn(&JournalStatus) -> Option<u64>| {
        out.family(metric, |samples| {
            if let Some(value) = journal.and_then(of) {
                samples.count(&[], value);
            }
        });
    };
    number(&RECORDS, |journal| Some(journal.records));
    number(&BYTES, |journal| Some(journal.bytes));
    number(&WAITING, |journal| Some(journal.waiting));
    number(&SEGMENTS, |journal| journal.segments);
    number(&SNAPSHOTS, |journal| journal.snapshots);
    out.family(&SYNC_SECONDS, |seconds| {
        if let Some(journal) = journal {
            let (at_most, sum) = (times(&journal.sync_at_most), journal.sync_sum_us as f64 / 1e6);
            seconds.distribution(&[], &Distribution { at_most, sum, count: journal.syncs });
        }
    });
}
