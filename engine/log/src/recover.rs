//! What a node starts from: the newest snapshot that is whole, and the journal behind its begin.

use crate::config::Config;
use crate::disk::Disk;
use crate::error::{Damage, Error};
use crate::record::LogNumber;
use crate::recovery::Reader;
use crate::snapshot::{self, SnapshotReader, verify};

/// What a node starts from.
#[derive(Debug)]
pub struct Recovery<D: Disk> {
    /// The newest snapshot that is whole, to be read first; all of it was looked at.
    pub snapshot: Option<SnapshotReader<D::File>>,
    /// The records behind its begin, or all. It has those up to the end of the snapshot, or gives an error.
    pub journal: Reader<D>,
    /// Newer snapshots that are damaged and were passed over.
    pub damaged: Vec<Damage>,
}

/// Finds what to start from. Nothing is changed; [`Reader::into_writer`] does that.
///
/// # Errors
/// Something is missing, damaged where it matters, or of a newer version; or the world's.
pub fn recover<D: Disk>(disk: D, config: Config) -> Result<Recovery<D>, Error> {
    let mut damaged = Vec::new();
    let mut whole = None;
    for begin in snapshot::list(&disk)?.into_iter().rev() {
        match verify(&disk, begin) {
            Ok(summary) => {
                whole = Some(summary);
                break;
            }
            Err(Error::Damaged(damage)) => damaged.push(damage),
            Err(error) => return Err(error),
        }
    }
    let snapshot = whole.map(|whole| SnapshotReader::open(&disk, whole.begin)).transpose()?;
    let from = whole.map_or(LogNumber(1), |whole| whole.begin.next());
    let mut journal = Reader::open(disk, config, from)?;
    if let Some(whole) = whole {
        journal.require(whole.end)?;
    }
    if let Some(snapshot) = snapshot.as_ref().filter(|snapshot| snapshot.identity() != journal.identity()) {
        let file = snapshot::name(snapshot.summary().begin);
        return Err(Error::damaged(&file, 16, "it belongs to another journal than the segments"));
    }
    Ok(Recovery { snapshot, journal, damaged })
}
