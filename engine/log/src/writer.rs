//! Writing the journal: gather, write, sync.
//!
//! [`Writer::append`] numbers a record and gathers it, [`Writer::write`] gives all that has gathered to the disk in one
//! call, [`Writer::sync`] makes it durable and says up to which record everything is safe. Who drives it appends all
//! that has come while the last sync ran: that is group commit, and it needs no thread here.
//!
//! INVARIANT: `safe <= written < next`. Only what [`Writer::safe`] names is promised.
//!
//! **Failures.** A disk that is full ([`Error::Full`]) changes nothing: what has gathered stays and is written again at
//! the same place, a segment that did not get its space is made anew, and until then nothing that is there can be taken
//! for something else. Any other failed write, a failed sync whatever its reason (what was not durable may be gone, and a
//! later sync would not say so), and a failed change of the directory poison the writer: every later call returns the
//! same error. What was safe stays readable.

use std::sync::Arc;

use crate::config::Config;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Tried};
use crate::planted::Planted;
use crate::record::{self, Entry, LogNumber, Record, Seal};
use crate::segment::{self, Header, START, Spare};
use crate::snapshot::SnapshotStart;

/// Bytes that gather before they are written without being asked, at most (and one record).
pub const GATHERED_BYTES_MAX: usize = 16 << 20;

/// Bytes of memory that stay with the writer when nothing has gathered.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// The spare that is made ahead, and the one that is made when it is needed at once.
const AHEAD: &str = "ahead.tmp";
const AT_ONCE: &str = "at-once.tmp";

/// Appends to a journal.
#[derive(Debug)]
pub struct Writer<D: Disk> {
    disk: D,
    config: Config,
    seal: Seal,
    file: D::File,
    header: Header,
    /// Where in the segment the next write goes.
    end: u64,
    gathered: Vec<u8>,
    next: LogNumber,
    written: LogNumber,
    safe: LogNumber,
    spare: Option<Spare<D::File>>,
    poison: Option<Arc<str>>,
}

/// Where a writer begins: behind what was recovered, all of it durable.
#[derive(Debug)]
pub(crate) struct Start<F> {
    pub(crate) file: F,
    pub(crate) header: Header,
    pub(crate) end: u64,
    pub(crate) next: LogNumber,
}

/// A segment to be made ahead; it may be done on another thread.
#[derive(Clone, Copy, Debug)]
pub struct SpareOrder {
    bytes: u64,
    planted: Planted,
}

impl SpareOrder {
    /// Makes it: a file of zeros that are durable. This takes as long as the disk takes for a whole segment.
    ///
    /// # Errors
    /// The world's; nothing is left, and it may be tried again.
    pub fn make<D: Disk>(self, disk: &D) -> Result<Spare<D::File>, Error> {
        make_spare(disk, AHEAD, self.bytes, self.planted)
    }
}

impl<D: Disk> Writer<D> {
    /// A journal that begins with record `first`.
    pub(crate) fn create(disk: D, config: Config, first: LogNumber) -> Result<Self, Error> {
        let bytes = config.segment_bytes.max(START);
        let header = Header { identity: config.identity, segment: 1, first, bytes };
        let spare = segment::prepare(&disk, AT_ONCE, bytes)?;
        let file = segment::publish(&disk, spare, &header)?;
        segment::sync_names(&disk)?;
        Ok(Writer::resume(disk, config, Start { file, header, end: START, next: first }))
    }

    pub(crate) fn resume(disk: D, config: Config, start: Start<D::File>) -> Self {
        let Start { file, header, end, next } = start;
        Writer {
            disk,
            config,
            seal: Seal::new(header.identity, config.planted),
            file,
            header,
            end,
            gathered: Vec::new(),
            next,
            written: next.before(),
            safe: next.before(),
            spare: None,
            poison: None,
        }
    }

    /// Numbers a record and gathers it. Where it needs a new segment, what was there before becomes safe.
    ///
    /// # Errors
    /// It is too long or the disk is full: nothing has changed, and the record has no number. Or the writer is poisoned.
    pub fn append(&mut self, record: &Record<'_>) -> Result<LogNumber, Error> {
        self.sound()?;
        record::check_body(record.body)?;
        let bytes = record::record_bytes(record.body.len());
        if self.end + (self.gathered.len() + bytes) as u64 > self.header.bytes {
            self.roll(bytes)?;
        } else if self.gathered.len() > GATHERED_BYTES_MAX {
            self.write()?;
        }
        let number = self.next;
        let entry = Entry { number, durable: self.safe, record: *record };
        record::encode(&entry, self.seal, &mut self.gathered);
        self.next = number.next();
        Ok(number)
    }

    /// Gives all that has gathered to the disk; the number of the last record that it has.
    ///
    /// # Errors
    /// The disk is full: what has gathered stays, and the next call writes it. Any other poisons the writer.
    pub fn write(&mut self) -> Result<LogNumber, Error> {
        self.sound()?;
        if self.gathered.is_empty() {
            return Ok(self.written);
        }
        match self.file.write_at(&self.gathered, self.end) {
            Ok(()) => {
                self.end += self.gathered.len() as u64;
                self.gathered.clear();
                self.gathered.shrink_to(KEPT_BYTES_MAX);
                self.written = self.next.before();
                Ok(self.written)
            }
            Err(why) => {
                let error = Tried("write", &self.name()).failed(why);
                Err(if matches!(error, Error::Full { .. }) { error } else { self.poisoned(error) })
            }
        }
    }

    /// Makes all that is written durable; the number of the last record that is safe.
    ///
    /// # Errors
    /// Any poisons the writer.
    pub fn sync(&mut self) -> Result<LogNumber, Error> {
        self.sound()?;
        if self.safe < self.written {
            if self.config.planted != Planted::AcknowledgeBeforeSync
                && let Err(why) = self.file.sync_data()
            {
                let error = Tried("sync", &self.name()).failed(why);
                return Err(self.poisoned(error));
            }
            self.safe = self.written;
        }
        Ok(self.safe)
    }

    /// Bytes of the present segment, and how many of them are used.
    #[must_use]
    pub fn segment_bytes(&self) -> (u64, u64) {
        (self.header.bytes, self.end + self.gathered.len() as u64)
    }

    /// The number that the next record gets.
    #[must_use]
    pub fn next(&self) -> LogNumber {
        self.next
    }

    /// The last record that is safe.
    #[must_use]
    pub fn safe(&self) -> LogNumber {
        self.safe
    }

    /// Why the writer is poisoned, if it is.
    #[must_use]
    pub fn poison(&self) -> Option<&str> {
        self.poison.as_deref()
    }

    /// The segment to make ahead, where none is: give it to [`Writer::put_spare`]. With it, the next segment costs two
    /// syncs and not the time to write one. Ask again only when it was made or has failed.
    #[must_use]
    pub fn spare_order(&self) -> Option<SpareOrder> {
        let order = SpareOrder { bytes: self.config.segment_bytes, planted: self.config.planted };
        (self.spare.is_none() && self.poison.is_none()).then_some(order)
    }

    /// Whether a record with a body of so many bytes needs a segment that was not made ahead and could have been:
    /// [`Writer::append`] would make it at once, which takes as long as the disk takes for all of it.
    #[must_use]
    pub fn lacks_spare(&self, body_bytes: usize) -> bool {
        let bytes = record::record_bytes(body_bytes);
        let full = self.end + (self.gathered.len() + bytes) as u64 > self.header.bytes;
        full && self.spare.is_none() && START + bytes as u64 <= self.config.segment_bytes
    }

    /// Takes a segment that was made ahead.
    pub fn put_spare(&mut self, spare: Spare<D::File>) {
        self.spare = Some(spare);
    }

    /// Where a snapshot that is begun now begins: at the last record that is safe.
    #[must_use]
    pub fn snapshot_start(&self) -> SnapshotStart {
        let (identity, planted) = (self.header.identity, self.config.planted);
        SnapshotStart { identity, begin: self.safe, planted }
    }

    fn name(&self) -> String {
        segment::name(self.header.first)
    }

    fn sound(&self) -> Result<(), Error> {
        match &self.poison {
            None => Ok(()),
            Some(first) => Err(Error::Poisoned { first: first.clone() }),
        }
    }

    /// Poisons the writer; the error as every later call returns it.
    fn poisoned(&mut self, error: Error) -> Error {
        let first: Arc<str> = error.to_string().into();
        self.poison = Some(first.clone());
        Error::Poisoned { first }
    }

    /// Ends the segment and begins one that has room for a record of so many bytes.
    fn roll(&mut self, record_bytes: usize) -> Result<(), Error> {
        let bytes = self.config.segment_bytes.max(START + record_bytes as u64);
        let spare = match self.spare.take_if(|spare| spare.bytes >= bytes) {
            Some(spare) => spare,
            // A disk that refuses here has changed nothing.
            None => make_spare(&self.disk, AT_ONCE, bytes, self.config.planted)?,
        };
        // The segment before must be whole on the disk before the next one has a name.
        if let Err(error) = self.write().and_then(|_| self.sync()) {
            // The spare is as it was; when the disk has space again it is taken.
            self.spare = Some(spare);
            return Err(error);
        }
        // A segment that has no record yet is replaced by one that is longer.
        let replaced = self.header.first == self.next;
        let segment = self.header.segment.saturating_add(u64::from(!replaced));
        let header = Header { identity: self.header.identity, segment, first: self.next, bytes: spare.bytes };
        let file = match segment::publish(&self.disk, spare, &header) {
            Ok(file) => file,
            // What was to become the segment is nothing yet; another is made when it is asked for again.
            Err(error @ Error::Full { .. }) => return Err(error),
            Err(error) => return Err(self.poisoned(error)),
        };
        if self.config.planted != Planted::SkipDirectorySync
            && let Err(error) = segment::sync_names(&self.disk)
        {
            return Err(self.poisoned(error));
        }
        (self.file, self.header, self.end) = (file, header, START);
        Ok(())
    }
}

/// Makes a spare; with a planted bug one that has bytes of an earlier segment.
fn make_spare<D: Disk>(
    disk: &D,
    name: &'static str,
    bytes: u64,
    planted: Planted,
) -> Result<Spare<D::File>, Error> {
    let spare = segment::prepare(disk, name, bytes)?;
    if planted == Planted::ReuseUncleared
        && let Some(oldest) = segment::list(disk)?.first()
    {
        copy_over(disk, &segment::name(*oldest), &spare).map_err(|why| Tried("make", name).failed(why))?;
    }
    Ok(spare)
}

/// What a file has that was a segment before and was not cleared.
fn copy_over<D: Disk>(disk: &D, from: &str, spare: &Spare<D::File>) -> std::io::Result<()> {
    let old = disk.open(from, Access::Read)?;
    let mut bytes = vec![0; old.bytes()?.min(spare.bytes) as usize];
    let read = old.read_at(&mut bytes, 0)?;
    spare.file.write_at(&bytes[..read], 0)?;
    spare.file.sync_data()
}
