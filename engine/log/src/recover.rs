//! What a node starts from: the newest snapshot that is whole, and the journal behind its begin.

use crate::config::Config;
use crate::disk::Disk;
use crate::error::{Damage, Error, Tried};
use crate::record::LogNumber;
use crate::recovery::Reader;
use crate::segment;
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
    recover_telling(disk, config, |_, _| {})
}

/// As [`recover`]; while it looks at a snapshot, `tell` hears how many bytes were read, and how many it has.
///
/// # Errors
/// As there.
pub fn recover_telling<D: Disk>(
    disk: D,
    config: Config,
    mut tell: impl FnMut(u64, u64),
) -> Result<Recovery<D>, Error> {
    let mut damaged = Vec::new();
    let mut whole = None;
    for begin in snapshot::list(&disk)?.into_iter().rev() {
        match verify(&disk, begin, &mut tell) {
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
    let mut journal = Reader::open(disk, config, from).map_err(|error| because(error, &damaged))?;
    if let Some(whole) = whole {
        journal.require(whole.end)?;
    }
    if let Some(snapshot) = snapshot.as_ref().filter(|snapshot| snapshot.identity() != journal.identity()) {
        let file = snapshot::name(snapshot.summary().begin);
        return Err(Error::damaged(&file, 16, "it belongs to another journal than the segments"));
    }
    Ok(Recovery { snapshot, journal, damaged })
}

/// Records are missing that a damaged snapshot would have made good.
fn because(error: Error, damaged: &[Damage]) -> Error {
    match (error, damaged) {
        (Error::Missing { what }, [newest, ..]) => {
            Error::Missing { what: format!("{what}, because {newest}") }
        }
        (error, _) => error,
    }
}

/// Gives damaged snapshots names that nobody takes for snapshots (`.damaged` behind theirs), so that they do not count among
/// those that stay; call it when what was lost with them was recovered otherwise. They may be removed.
///
/// # Errors
/// The world's. The journal is as it was.
pub fn set_aside<D: Disk>(disk: &D, damaged: &[Damage]) -> Result<(), Error> {
    for Damage { file, .. } in damaged {
        let failed = |why| Tried("rename", file).failed(why);
        disk.rename(file, &format!("{file}.damaged")).map_err(failed)?;
    }
    if damaged.is_empty() { Ok(()) } else { segment::sync_names(disk) }
}
