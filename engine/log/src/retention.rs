//! What may go: all but the last two whole snapshots and the records behind the begin of the older one.
//!
//! Two, so that one that has gone bad is survived. With fewer than two, everything stays. Snapshots go before the
//! segments that they rest on, the oldest segment first, and each name is gone for good before the next goes: after a
//! crash at any point there is a journal without a gap that begins at or before what the kept snapshots need.
//!
//! A few of the segments that may go stay as files without a meaning: the next segments are made of them, which costs the
//! operating system less than new ones ([`segment::prepare`]).

use std::io;

use crate::disk::Disk;
use crate::error::{Error, Tried};
use crate::record::LogNumber;
use crate::segment;
use crate::snapshot::{self, SnapshotReader};

/// Snapshots that stay.
const KEPT: usize = 2;

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Snapshots.
    pub snapshots: u64,
    /// Segments.
    pub segments: u64,
}

/// Drops the snapshots and segments that are not needed any more. [`crate::SnapshotWriter::finish`] does it; call it
/// when the journal is opened, for what a crash has left.
///
/// # Errors
/// The world's, or a snapshot of a newer version. What is there is then still enough.
pub fn retain<D: Disk>(disk: &D) -> Result<Dropped, Error> {
    drop_before(disk, None)
}

/// As [`retain`], counting a snapshot that is not there yet as whole: a planted bug.
pub(crate) fn drop_before<D: Disk>(disk: &D, counted: Option<LogNumber>) -> Result<Dropped, Error> {
    let snapshots = snapshot::list(disk)?;
    let mut kept: Vec<LogNumber> = counted.into_iter().collect();
    for begin in snapshots.iter().rev().filter(|begin| counted != Some(**begin)) {
        if kept.len() < KEPT && looks_whole(disk, *begin)? {
            kept.push(*begin);
        }
    }
    let Some(oldest) = kept.last().filter(|_| kept.len() == KEPT).copied() else {
        return Ok(Dropped::default());
    };
    let old_snapshots = snapshots.iter().filter(|begin| **begin < oldest).map(|begin| snapshot::name(*begin));
    let segments = segment::list(disk)?;
    let old_segments = segments.windows(2).take_while(|pair| pair[1] <= oldest.next());
    let old_segments = old_segments.map(|pair| segment::name(pair[0]));
    let snapshots = drop_all(disk, old_snapshots, |name| disk.remove(name))?;
    let mut free = segment::free_places(disk)?.into_iter();
    let mut going = Vec::new();
    let segments = drop_all(disk, old_segments, |name| match free.next() {
        Some(place) => disk.rename(name, place.going).map(|()| going.push(place)),
        None => disk.remove(name),
    })?;
    // Only now that the name of the segment is gone for good may its bytes change.
    for place in going {
        let failed = |why| Tried("rename", place.going).failed(why);
        disk.rename(place.going, place.old).map_err(failed)?;
    }
    Ok(Dropped { snapshots, segments })
}

fn drop_all<D: Disk>(
    disk: &D,
    names: impl Iterator<Item = String>,
    mut drop: impl FnMut(&str) -> io::Result<()>,
) -> Result<u64, Error> {
    let mut dropped = 0;
    for name in names {
        // What was there before is gone for good, and the names of what stays are durable, before this one goes.
        segment::sync_names(disk)?;
        drop(&name).map_err(|why| Tried("remove", &name).failed(why))?;
        dropped += 1;
    }
    if dropped > 0 {
        segment::sync_names(disk)?;
    }
    Ok(dropped)
}

/// Whether begin and end of a snapshot are what was written: its chunks would take long to read.
fn looks_whole<D: Disk>(disk: &D, begin: LogNumber) -> Result<bool, Error> {
    match SnapshotReader::open(disk, begin) {
        Ok(_) => Ok(true),
        Err(Error::Damaged(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
