//! Looking over a journal without changing it: what its files hold, and what is wrong with them.

use crate::config::Config;
use crate::disk::{Access, Disk};
use crate::error::{Error, Tried};
use crate::planted::Planted;
use crate::record::{LogNumber, Seal};
use crate::recover::recover;
use crate::recovery::{SegmentReader, Torn, follows};
use crate::segment::{self, Header};
use crate::snapshot::{self, Summary, verify};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The segments, in order.
    pub segments: Vec<SegmentReport>,
    /// The snapshots, in order.
    pub snapshots: Vec<SnapshotReport>,
    /// What a crash has left at the end. This is no damage: it was never said to be safe.
    pub torn: Option<Torn>,
    /// Why no node would start from it, if that is so.
    pub refused: Option<Error>,
}

/// A segment.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// The file.
    pub file: String,
    /// Its first record, as its name says.
    pub first: LogNumber,
    /// How many records are whole.
    pub records: u64,
    /// Bytes of header and records.
    pub used_bytes: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// What is wrong with it.
    pub problem: Option<Error>,
}

/// A snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotReport {
    /// The file.
    pub file: String,
    /// The record at which it begins, as its name says.
    pub begin: LogNumber,
    /// What it is, or what is wrong with it.
    pub found: Result<Summary, Error>,
}

impl Report {
    /// Whether all is as it was written.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems().next().is_none()
    }

    /// All that is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &Error> {
        let segments = self.segments.iter().filter_map(|segment| segment.problem.as_ref());
        let snapshots = self.snapshots.iter().filter_map(|snapshot| snapshot.found.as_ref().err());
        segments.chain(snapshots).chain(&self.refused)
    }
}

/// The first record of the journal that is there; `None` where there is no journal.
///
/// # Errors
/// The directory cannot be read.
pub fn first<D: Disk>(disk: &D) -> Result<Option<LogNumber>, Error> {
    Ok(segment::list(disk)?.first().copied())
}

/// Reads all segments and snapshots, each as far as it can be.
///
/// # Errors
/// The directory cannot be read. What is wrong with a file is in the report.
pub fn check<D: Disk + Clone>(disk: &D) -> Result<Report, Error> {
    let mut report = Report::default();
    let all = segment::list(disk)?;
    let mut before = None;
    for (at, first) in all.iter().enumerate() {
        let mut found = empty(*first);
        let header = look(disk, &mut found, before.as_ref(), all.get(at + 1).copied(), &mut report.torn);
        match header {
            Ok(header) => before = Some(header),
            Err(error) => {
                found.problem = Some(error);
                before = None;
            }
        }
        report.segments.push(found);
    }
    for begin in snapshot::list(disk)? {
        let found = verify(disk, begin, |_, _| {});
        report.snapshots.push(SnapshotReport { file: snapshot::name(begin), begin, found });
    }
    report.refused = starts(disk).err().filter(|error| !report.problems().any(|known| same(known, error)));
    Ok(report)
}

fn empty(first: LogNumber) -> SegmentReport {
    let file = segment::name(first);
    SegmentReport { file, first, records: 0, used_bytes: 0, bytes: 0, problem: None }
}

/// Reads a segment; its header, where nothing is wrong.
fn look<D: Disk>(
    disk: &D,
    found: &mut SegmentReport,
    before: Option<&Header>,
    next_first: Option<LogNumber>,
    torn: &mut Option<Torn>,
) -> Result<Header, Error> {
    let name = &found.file;
    let file = disk.open(name, Access::Read).map_err(|why| Tried("open", name).failed(why))?;
    let header = Header::read(&file, name)?;
    found.bytes = header.bytes;
    if let Some(before) = before {
        follows(before, &header, name)?;
    }
    let seal = Seal::new(header.identity, Planted::None);
    let mut reader = SegmentReader::open(disk, header)?;
    let mut next = header.first;
    let read = loop {
        match reader.find(next, seal, Planted::None) {
            Ok(true) => next = next.next(),
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    (found.records, found.used_bytes) = (next.0 - header.first.0, reader.at);
    read?;
    match next_first {
        None => *torn = reader.torn(next, seal, Planted::None)?,
        Some(first) if first == next => {}
        Some(first) => {
            let what =
                format!("record {next} is not what was written, and the next segment begins with {first}");
            return Err(Error::damaged(name, reader.at, what));
        }
    }
    Ok(header)
}

/// Whether a node could start.
fn starts<D: Disk + Clone>(disk: &D) -> Result<(), Error> {
    let mut journal = recover(disk.clone(), Config::new([0; 16]))?.journal;
    while journal.next()?.is_some() {}
    Ok(())
}

fn same(one: &Error, other: &Error) -> bool {
    one.to_string() == other.to_string()
}

/// How many segments and how many snapshots a journal has, by their names.
///
/// # Errors
/// The directory cannot be read.
pub fn files<D: Disk>(disk: &D) -> Result<(u64, u64), Error> {
    Ok((segment::list(disk)?.len() as u64, snapshot::list(disk)?.len() as u64))
}
