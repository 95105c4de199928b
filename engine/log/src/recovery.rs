//! Reading a journal back: the longest prefix of it that is whole.
//!
//! ```
//! use anabranch_log::{Config, Kind, LogNumber, MemoryDisk, Position, Reader, Record};
//!
//! let (disk, config) = (MemoryDisk::default(), Config::new([7; 16]));
//! let mut writer = Reader::open(disk.clone(), config, LogNumber(1))?.into_writer()?;
//! writer.append(&Record { kind: Kind::Step, position: Position::default(), body: b"first" })?;
//! writer.write()?;
//! assert_eq!(writer.sync()?, LogNumber(1));
//! drop(writer);
//!
//! let mut reader = Reader::open(disk, config, LogNumber(1))?;
//! let entry = reader.next()?.expect("it was synced");
//! assert_eq!((entry.number, entry.record.body), (LogNumber(1), b"first".as_slice()));
//! assert!(reader.next()?.is_none());
//! let writer = reader.into_writer()?;
//! assert_eq!(writer.next(), LogNumber(2));
//! # Ok::<(), anabranch_log::Error>(())
//! ```
//!
//! INVARIANT: what it gives is consecutive. What it cannot give is the tail that a crash has torn, which was never said
//! to be safe, or an [`Error`] that names file and byte. Only [`Reader::into_writer`] changes anything.

use crate::config::Config;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Tried};
use crate::planted::Planted;
use crate::record::{Entry, HEAD_BYTES, Head, LogNumber, Seal};
use crate::segment::{self, Header, START};
use crate::tail::{self, Place, Tail};
use crate::window::Window;
use crate::writer::{Start, Writer};

/// Bytes that are written at once, where the end of a journal is put in order.
const WRITTEN_BYTES: usize = 1 << 16;

/// Reads a journal from a record on.
#[derive(Debug)]
pub struct Reader<D: Disk> {
    disk: D,
    config: Config,
    seal: Seal,
    headers: Vec<Header>,
    /// The segment that is read; `None` in a journal without segments.
    current: Option<(usize, SegmentReader<D::File>)>,
    /// The first record to give.
    from: LogNumber,
    /// The record that the journal must have: a snapshot rests on it.
    least: LogNumber,
    /// The next record to read.
    next: LogNumber,
    /// The last record that is known to be durable, as later ones say.
    durable: LogNumber,
    /// Once all is read.
    end: Option<Option<Torn>>,
}

/// What a crash has left behind the last whole record; it was never said to be safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub file: String,
    /// Its first byte.
    pub offset: u64,
    /// How many bytes up to the last that is not zero.
    pub bytes: u64,
}

impl<D: Disk> Reader<D> {
    /// Opens the journal to read from record `from` on. Where there is none it is empty.
    ///
    /// # Errors
    /// A segment is missing, damaged or of a newer version, or the world's. Nothing is changed.
    pub fn open(disk: D, config: Config, from: LogNumber) -> Result<Self, Error> {
        let headers = headers(&disk, from)?;
        let (identity, next) =
            headers.first().map_or((config.identity, LogNumber(1)), |header| (header.identity, header.first));
        let mut reader = Reader {
            disk,
            config,
            seal: Seal::new(identity, config.planted),
            current: None,
            from,
            least: from.before(),
            next,
            durable: next.before(),
            headers,
            end: None,
        };
        if reader.headers.is_empty() {
            reader.finish(None)?;
        } else {
            reader.enter(0)?;
        }
        Ok(reader)
    }

    /// The next record; `None` behind the last.
    ///
    /// # Errors
    /// Damage, a record that is missing or of a newer version, or the world's. Calling again gives it again.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, Error> {
        if !self.find()? {
            return Ok(None);
        }
        let (_, segment) = self.current.as_mut().expect("something was found in it");
        segment.entry(self.next.before()).map(Some)
    }

    /// Requires that the journal has a record.
    pub(crate) fn require(&mut self, least: LogNumber) -> Result<(), Error> {
        self.least = self.least.max(least);
        match &self.end {
            Some(torn) => self.finish(torn.clone()),
            None => Ok(()),
        }
    }

    /// The record behind the last one that was given or skipped.
    #[must_use]
    pub fn position(&self) -> LogNumber {
        self.next
    }

    /// The identity of the journal: that of its segments, else the one that a new journal gets.
    #[must_use]
    pub fn identity(&self) -> [u8; 16] {
        self.headers.first().map_or(self.config.identity, |header| header.identity)
    }

    /// How far it is: bytes read, and bytes in all (the last segment with its free space).
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let all = self.headers.iter().map(|header| header.bytes).sum();
        let done = self.current.as_ref().map_or(0, |(at, segment)| {
            self.headers[..*at].iter().map(|header| header.bytes).sum::<u64>() + segment.at
        });
        (if self.end.is_some() { all } else { done }, all)
    }

    /// What a crash has left at the end, once all is read.
    #[must_use]
    pub fn torn(&self) -> Option<&Torn> {
        self.end.as_ref()?.as_ref()
    }

    /// Reads to the end, clears away what a crash has left there and files that were never finished, makes what was
    /// read durable, and writes on behind it.
    ///
    /// # Errors
    /// As [`Reader::next`]; the disk refuses. The journal then still has all that it had.
    pub fn into_writer(mut self) -> Result<Writer<D>, Error> {
        while self.find()? {}
        self.remove_unfinished()?;
        let torn = self.torn().cloned();
        let Some((at, segment)) = self.current else {
            return Writer::create(self.disk, self.config, self.next);
        };
        let header = self.headers[at];
        let (name, end) = (segment::name(header.first), segment.at);
        let failed = |tried| move |why| Tried(tried, &segment::name(header.first)).failed(why);
        let file = self.disk.open(&name, Access::Write).map_err(failed("open"))?;
        if let Some(torn) = torn.filter(|_| self.config.planted != Planted::TailLeft) {
            erase(&file, torn.offset, torn.bytes).map_err(failed("write"))?;
        }
        // What a process that was killed has not synced, or could not, is given as safe from here on.
        let mut unproven = SegmentReader::open(&self.disk, header)?;
        unproven.skip(self.durable, self.seal, self.config.planted)?;
        if self.config.planted != Planted::NotRewritten {
            rewrite(&file, unproven.at, end).map_err(failed("write"))?;
        }
        file.sync_data().map_err(failed("sync"))?;
        segment::sync_names(&self.disk)?;
        let start = Start { file, header, end, next: self.next };
        Ok(Writer::resume(self.disk, self.config, start))
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        let names = segment::names(&self.disk)?;
        for name in names.iter().filter(|name| name.ends_with(segment::UNFINISHED)) {
            self.disk.remove(name).map_err(|why| Tried("remove", name).failed(why))?;
        }
        Ok(())
    }

    /// Goes to the next record to give, if there is one more.
    fn find(&mut self) -> Result<bool, Error> {
        while self.end.is_none() {
            let (_, segment) = self.current.as_mut().expect("there is one until the end");
            if segment.find(self.next, self.seal, self.config.planted)? {
                let number = self.next;
                self.next = number.next();
                self.durable = self.durable.max(segment.durable);
                if number >= self.from {
                    return Ok(true);
                }
            } else {
                self.leave()?;
            }
        }
        Ok(false)
    }

    /// Goes to the next segment, or to the end.
    fn leave(&mut self) -> Result<(), Error> {
        let (at, segment) = self.current.as_mut().expect("there is one until the end");
        let after = *at + 1;
        match self.headers.get(after) {
            Some(header) if header.first == self.next => self.enter(after),
            Some(header) if self.config.planted != Planted::HoleIsTail => {
                let what = format!(
                    "record {} is not what was written, and the next segment begins with {}",
                    self.next, header.first
                );
                Err(Error::damaged(segment.window.name(), segment.at, what))
            }
            _ => {
                let torn = segment.torn(self.next, self.seal, self.config.planted)?;
                self.finish(torn)
            }
        }
    }

    fn enter(&mut self, at: usize) -> Result<(), Error> {
        let segment = SegmentReader::open(&self.disk, self.headers[at])?;
        // The segment before was synced before this one got its name.
        self.durable = self.next.before();
        self.current = Some((at, segment));
        Ok(())
    }

    fn finish(&mut self, torn: Option<Torn>) -> Result<(), Error> {
        if self.next <= self.least {
            let (last, least) = (self.next.before(), self.least);
            let what = format!("the journal ends with record {last}, but records up to {least} were there");
            // What looks torn was safe: a snapshot rests on it.
            return Err(match torn {
                Some(torn) => Error::damaged(&torn.file, torn.offset, what),
                None => Error::Missing { what },
            });
        }
        self.end = Some(torn);
        Ok(())
    }
}

/// The headers of the segments from the one on that has record `from`, consecutive and of one journal.
fn headers<D: Disk>(disk: &D, from: LogNumber) -> Result<Vec<Header>, Error> {
    let all = segment::list(disk)?;
    let begin = all.iter().rposition(|first| *first <= from.max(LogNumber(1)));
    let Some(begin) = begin.or(all.is_empty().then_some(0)) else {
        let what = format!("the journal begins with record {}, but {from} is needed", all[0]);
        return Err(Error::Missing { what });
    };
    let mut headers: Vec<Header> = Vec::new();
    for first in &all[begin..] {
        let name = segment::name(*first);
        let file = disk.open(&name, Access::Read).map_err(|why| Tried("open", &name).failed(why))?;
        let header = Header::read(&file, &name)?;
        if let Some(before) = headers.last() {
            follows(before, &header, &name)?;
        }
        headers.push(header);
    }
    Ok(headers)
}

/// Looks whether a segment is the one behind another.
pub(crate) fn follows(before: &Header, header: &Header, name: &str) -> Result<(), Error> {
    if header.identity != before.identity {
        return Err(Error::damaged(name, 16, "it belongs to another journal"));
    }
    if header.segment.checked_sub(1) != Some(before.segment) {
        let what = format!(
            "`{name}` is segment {} of the journal, and the one before it here is {}",
            header.segment, before.segment
        );
        return Err(Error::Missing { what });
    }
    Ok(())
}

/// Writes zeros and waits until they are durable.
fn erase<F: DiskFile>(file: &F, offset: u64, bytes: u64) -> std::io::Result<()> {
    let zeros = vec![0; WRITTEN_BYTES];
    let mut done = 0;
    while done < bytes {
        let count = (bytes - done).min(WRITTEN_BYTES as u64);
        file.write_at(&zeros[..count as usize], offset + done)?;
        done += count;
    }
    file.sync_data()
}

/// Writes bytes that lie there already. Where a sync of them has failed, the system may hold them and never write them
/// by itself, and a further sync would not say so.
fn rewrite<F: DiskFile>(file: &F, from: u64, to: u64) -> std::io::Result<()> {
    let mut bytes = vec![0; (to - from).min(WRITTEN_BYTES as u64) as usize];
    let mut at = from;
    while at < to {
        let count = (to - at).min(bytes.len() as u64) as usize;
        let read = file.read_at(&mut bytes[..count], at)?;
        if read < count {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&bytes[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

/// Reads one segment, record by record.
#[derive(Debug)]
pub(crate) struct SegmentReader<F> {
    pub(crate) window: Window<F>,
    pub(crate) header: Header,
    /// Where the next record begins.
    pub(crate) at: u64,
    /// Where the last record begins that was found.
    found: u64,
    /// What it knew to be durable.
    durable: LogNumber,
}

impl<F: DiskFile> SegmentReader<F> {
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, header: Header) -> Result<Self, Error> {
        let name = segment::name(header.first);
        let file = disk.open(&name, Access::Read).map_err(|why| Tried("open", &name).failed(why))?;
        let window = Window::new(file, name);
        Ok(SegmentReader { window, header, at: START, found: START, durable: LogNumber(0) })
    }

    /// Goes behind the next record, if it is whole and has this number.
    #[inline]
    pub(crate) fn find(&mut self, expected: LogNumber, seal: Seal, planted: Planted) -> Result<bool, Error> {
        let at = self.at;
        let Some(head) = Head::read(self.window.bytes(at, HEAD_BYTES)?, seal) else { return Ok(false) };
        let right = head.number() == expected || planted == Planted::NumberUnchecked;
        let (bytes, durable) = (head.record_bytes(), head.durable());
        let end = at + bytes as u64;
        if !right || end > self.header.bytes {
            return Ok(false);
        }
        match Head::check(self.window.bytes(at, bytes)?) {
            Ok(true) => {
                (self.found, self.at, self.durable) = (at, end, durable);
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(what) => Err(Error::Newer { file: segment::name(self.header.first), what }),
        }
    }

    /// Goes behind the last record whose number is at most `last`.
    fn skip(&mut self, last: LogNumber, seal: Seal, planted: Planted) -> Result<(), Error> {
        let mut next = self.header.first;
        while next <= last && self.find(next, seal, planted)? {
            next = next.next();
        }
        Ok(())
    }

    /// The record that was found last, under the number that it has in the journal.
    #[inline]
    fn entry(&mut self, number: LogNumber) -> Result<Entry<'_>, Error> {
        let bytes = self.window.bytes(self.found, (self.at - self.found) as usize)?;
        Ok(Entry::of(bytes, number).expect("it was found whole"))
    }

    /// What a crash has left where the next record would be, when nothing follows this segment.
    pub(crate) fn torn(
        &mut self,
        expected: LogNumber,
        seal: Seal,
        planted: Planted,
    ) -> Result<Option<Torn>, Error> {
        let place = Place { at: self.at, expected, end: self.header.bytes };
        let file = self.window.name().to_owned();
        match tail::look(&mut self.window, place, seal, planted)? {
            Tail::Clean => Ok(None),
            Tail::Torn { until } => Ok(Some(Torn { file, offset: self.at, bytes: until - self.at })),
            Tail::Damaged(what) => Err(Error::damaged(&file, self.at, what)),
        }
    }
}
