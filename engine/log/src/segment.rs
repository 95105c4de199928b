//! A segment: a file of fixed length with a header, records behind each other, and zeros behind the last one.
//!
//! A segment gets its name only when its header and its space are durable, and the one before it is durable, too. So
//! a file of this name is whole, and whatever is wrong in a segment that has a successor is damage.

use std::{fmt, io};

use crc32c::crc32c;

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Tried};
use crate::record::{LogNumber, u32_at, u64_at};

/// Bytes before the first record: a block of its own, so that no write of records touches the header.
pub(crate) const START: u64 = 4096;

/// The version of the format of segments and snapshots that this version writes, the only one that it reads.
pub(crate) const FORMAT: u32 = 1;

/// Bytes of a header that mean something.
pub(crate) const HEADER_BYTES: usize = 64;

/// What files that are not finished end with; they are removed when the journal is opened.
pub(crate) const UNFINISHED: &str = ".tmp";

const MAGIC: [u8; 8] = *b"ANABLOG\n";

/// What the header of a segment says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The journal's.
    pub(crate) identity: [u8; 16],
    /// The number of the segment, from 1 on.
    pub(crate) segment: u64,
    /// The number of its first record.
    pub(crate) first: LogNumber,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Header { segment, first, bytes, .. } = self;
        f.debug_struct("Header")
            .field("segment", segment)
            .field("first", first)
            .field("bytes", bytes)
            .finish_non_exhaustive()
    }
}

/// The name of the segment that begins with a record.
pub(crate) fn name(first: LogNumber) -> String {
    format!("journal-{first:020}.log")
}

/// The number in a name of the form `<prefix><20 digits><suffix>`.
pub(crate) fn number_in(name: &str, prefix: &str, suffix: &str) -> Option<LogNumber> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(LogNumber)).flatten()
}

/// The segments there are, by their first records.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn list<D: Disk>(disk: &D) -> Result<Vec<LogNumber>, Error> {
    let names = names(disk)?;
    let mut found: Vec<LogNumber> =
        names.iter().filter_map(|name| number_in(name, "journal-", ".log")).collect();
    found.sort_unstable();
    Ok(found)
}

/// The names of all files.
pub(crate) fn names<D: Disk>(disk: &D) -> Result<Vec<String>, Error> {
    disk.list().map_err(|why| Tried("list", "the directory").failed(why))
}

impl Header {
    /// Its bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = head(MAGIC, self.identity);
        bytes[32..40].copy_from_slice(&self.segment.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.bytes.to_le_bytes());
        sealed(bytes)
    }

    /// The header of a segment.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or a newer version wrote it.
    pub(crate) fn read<F: DiskFile>(file: &F, name: &str) -> Result<Header, Error> {
        let bytes = read_header(file, name, MAGIC)?;
        let header = Header {
            identity: *bytes[16..].first_chunk().expect("it is longer"),
            segment: u64_at(&bytes, 32),
            first: LogNumber(u64_at(&bytes, 40)),
            bytes: u64_at(&bytes, 48),
        };
        if name != self::name(header.first) {
            let what = format!("it begins with record {}, which its name does not say", header.first);
            return Err(Error::damaged(name, 40, what));
        }
        let there = file.bytes().map_err(|why| Tried("read", name).failed(why))?;
        if there != header.bytes {
            let what = format!("it has {there} bytes where it was made with {}", header.bytes);
            return Err(Error::damaged(name, there.min(header.bytes), what));
        }
        Ok(header)
    }
}

/// A header with what all files of a journal begin with.
pub(crate) fn head(magic: [u8; 8], identity: [u8; 16]) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&magic);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[16..32].copy_from_slice(&identity);
    bytes
}

/// A header with its checksum.
pub(crate) fn sealed(mut bytes: [u8; HEADER_BYTES]) -> [u8; HEADER_BYTES] {
    let checksum = crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The bytes of a header, its checksum, kind of file and version looked at.
pub(crate) fn read_header<F: DiskFile>(
    file: &F,
    name: &str,
    magic: [u8; 8],
) -> Result<[u8; HEADER_BYTES], Error> {
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_at(&mut bytes, 0).map_err(|why| Tried("read", name).failed(why))?;
    let sound = read == HEADER_BYTES && u32_at(&bytes, 60) == crc32c(&bytes[..60]);
    if !sound || bytes[..8] != magic {
        return Err(Error::damaged(name, 0, "its header is not what was written"));
    }
    match u32_at(&bytes, 8) {
        FORMAT => Ok(bytes),
        newer => Err(Error::Newer { file: name.to_owned(), what: format!("format {newer}") }),
    }
}

/// A file with its space taken, that waits to become a segment.
#[derive(Debug)]
pub struct Spare<F> {
    pub(crate) file: F,
    pub(crate) name: &'static str,
    pub(crate) bytes: u64,
}

/// Where a segment that is not needed any more waits to be made the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its name while that of the segment is not gone for good.
    pub(crate) going: &'static str,
    /// Its name behind that.
    pub(crate) old: &'static str,
}

/// As many as a node makes between two snapshots, where nothing else is said.
const PLACES: [Place; 4] = [
    Place { going: "going-1.tmp", old: "old-1.tmp" },
    Place { going: "going-2.tmp", old: "old-2.tmp" },
    Place { going: "going-3.tmp", old: "old-3.tmp" },
    Place { going: "going-4.tmp", old: "old-4.tmp" },
];

/// Bytes of zeros that are written at once, and after how many they are synced: a sync of the journal that comes meanwhile
/// stands behind few of them.
const ZEROS: usize = 1 << 20;
const ZEROS_PER_SYNC: u64 = 4 << 20;

/// The places where nothing waits.
pub(crate) fn free_places<D: Disk>(disk: &D) -> Result<Vec<Place>, Error> {
    let names = names(disk)?;
    let taken = |name: &str| names.iter().any(|there| there == name);
    Ok(PLACES.into_iter().filter(|place| !taken(place.going) && !taken(place.old)).collect())
}

/// A file of zeros made of an old segment of the same length, if one waits: its memory in the operating system is there
/// already, which new files have to be given page by page.
fn reuse<D: Disk>(disk: &D, name: &str, bytes: u64) -> io::Result<Option<D::File>> {
    let names = disk.list()?;
    let Some(old) =
        PLACES.into_iter().map(|place| place.old).find(|old| names.iter().any(|there| there == old))
    else {
        return Ok(None);
    };
    match disk.rename(old, name) {
        Ok(()) => {}
        // Somebody else has just taken it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let file = disk.open(name, Access::Write)?;
    if file.bytes()? != bytes {
        disk.remove(name)?;
        return Ok(None);
    }
    fill_with_zeros(&file, bytes)?;
    Ok(Some(file))
}

/// Writes so many zeros from the begin of a file on, and syncs them a part at a time; the last part is left to the caller.
///
/// # Errors
/// The world's.
pub fn fill_with_zeros<F: DiskFile>(file: &F, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS.min(bytes as usize)];
    let mut at = 0;
    while at < bytes {
        let count = (bytes - at).min(ZEROS as u64);
        file.write_at(&zeros[..count as usize], at)?;
        at += count;
        if at.is_multiple_of(ZEROS_PER_SYNC) {
            file.sync_data()?;
        }
    }
    Ok(())
}

/// Makes a file of zeros whose space is durable. What is left of an earlier one of the name goes.
///
/// # Errors
/// The world's; nothing is left.
pub(crate) fn prepare<D: Disk>(disk: &D, name: &'static str, bytes: u64) -> Result<Spare<D::File>, Error> {
    if names(disk)?.iter().any(|there| there == name) {
        disk.remove(name).map_err(|why| Tried("remove", name).failed(why))?;
    }
    let made = reuse(disk, name, bytes).and_then(|reused| match reused {
        Some(file) => Ok(file),
        None => disk.create(name, bytes),
    });
    let made = made.and_then(|file| file.sync_data().map(|()| file));
    match made {
        Ok(file) => Ok(Spare { file, name, bytes }),
        Err(why) => {
            // What went wrong is told; a part that stays is removed when the journal is opened.
            let _ = disk.remove(name);
            Err(Tried("make", name).failed(why))
        }
    }
}

/// Gives a spare file the header and the name of a segment; the name is not durable yet.
///
/// # Errors
/// The world's. The directory is as it was, the spare of no more use.
pub(crate) fn publish<D: Disk>(disk: &D, spare: Spare<D::File>, header: &Header) -> Result<D::File, Error> {
    let name = name(header.first);
    let failed = |why| Tried("make", &name).failed(why);
    spare.file.write_at(&header.encode(), 0).map_err(failed)?;
    spare.file.sync_data().map_err(failed)?;
    disk.rename(spare.name, &name).map_err(failed)?;
    Ok(spare.file)
}

/// Makes names durable.
pub(crate) fn sync_names<D: Disk>(disk: &D) -> Result<(), Error> {
    disk.sync_directory().map_err(|why| Tried("sync", "the directory").failed(why))
}
