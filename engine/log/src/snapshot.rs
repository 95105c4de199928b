//! A snapshot: the state of a node in chunks, each with the record up to which it has what it tells.
//!
//! It begins at a record, when its first chunk is taken, and ends at one, when its last was: the journal is replayed from
//! behind the begin, skipping in every chunk what it has already, and the state is one that the node once had only past
//! the end. A file is written under a temporary name and gets its own when it is durable, so a snapshot that has its
//! name was whole. It is read with every checksum looked at, because years may lie between.
//!
//! ```text
//! header of 64 bytes: as a segment's, then u64 begin at 32
//! piece: 0 u32 checksum of the identity and bytes 4..32     12 u8 kind: 1 chunk, 2 end     16 u64 index, from 0
//!        4 u32 checksum of the body and its padding         13 zeros                       24 u64 number of a record
//!        8 u32 bytes of the body                            32 body, then zeros up to a multiple of 8
//! body of the end: u64 begin, u64 end, u64 chunks, u32 checksum of the heads of all chunks, u32 0
//! ```

mod reader;

pub(crate) use reader::verify;
pub use reader::{Chunk, SnapshotReader, Summary};

use crc32c::{crc32c, crc32c_append};

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Tried};
use crate::planted::Planted;
use crate::record::{self, ALIGNMENT, LogNumber};
use crate::retention;
use crate::segment;

/// Bytes that gather before they are written.
const WRITTEN_BYTES: usize = 1 << 20;

/// Bytes after which the file is synced: what is left for the end stays small, and no single sync is so long that the
/// journal's own syncs wait behind it.
const SYNCED_BYTES: u64 = 4 << 20;

/// Bytes before the body of a piece.
const HEAD_BYTES: usize = 32;

/// Bytes of the last piece.
const END_BYTES: usize = HEAD_BYTES + 32;

const MAGIC: [u8; 8] = *b"ANABSNP\n";
const CHUNK: u8 = 1;
const END: u8 = 2;

/// The name of a snapshot while it is written.
const UNFINISHED: &str = "snapshot.tmp";

/// The name of the snapshot that begins at a record.
pub(crate) fn name(begin: LogNumber) -> String {
    format!("snapshot-{begin:020}.snap")
}

/// The snapshots there are, by their begins.
pub(crate) fn list<D: Disk>(disk: &D) -> Result<Vec<LogNumber>, Error> {
    let names = segment::names(disk)?;
    let mut found: Vec<LogNumber> =
        names.iter().filter_map(|name| segment::number_in(name, "snapshot-", ".snap")).collect();
    found.sort_unstable();
    Ok(found)
}

/// What every piece begins with.
#[derive(Clone, Copy, Debug)]
struct PieceHead {
    kind: u8,
    body_bytes: usize,
    body_checksum: u32,
    index: u64,
    number: LogNumber,
}

impl PieceHead {
    fn encode(&self, identity: [u8; 16]) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[4..8].copy_from_slice(&self.body_checksum.to_le_bytes());
        head[8..12].copy_from_slice(&(self.body_bytes as u32).to_le_bytes());
        head[12] = self.kind;
        head[16..24].copy_from_slice(&self.index.to_le_bytes());
        head[24..32].copy_from_slice(&self.number.0.to_le_bytes());
        let checksum = crc32c_append(crc32c(&identity), &head[4..]);
        head[..4].copy_from_slice(&checksum.to_le_bytes());
        head
    }
}

/// What the end of a snapshot says; also what lies in memory until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    begin: LogNumber,
    end: LogNumber,
    chunks: u64,
    checksum: u32,
}

impl Totals {
    fn encode(&self) -> [u8; END_BYTES - HEAD_BYTES] {
        let mut body = [0; END_BYTES - HEAD_BYTES];
        body[..8].copy_from_slice(&self.begin.0.to_le_bytes());
        body[8..16].copy_from_slice(&self.end.0.to_le_bytes());
        body[16..24].copy_from_slice(&self.chunks.to_le_bytes());
        body[24..28].copy_from_slice(&self.checksum.to_le_bytes());
        body
    }

    fn add(&mut self, head: &[u8; HEAD_BYTES], at: LogNumber) {
        self.chunks += 1;
        self.checksum = crc32c_append(self.checksum, head);
        self.end = self.end.max(at);
    }
}

/// Where a snapshot begins, and of which journal it is.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotStart {
    pub(crate) identity: [u8; 16],
    /// The record behind which replay will begin.
    pub begin: LogNumber,
    pub(crate) planted: Planted,
}

/// Writes a snapshot. One at a time in a directory; one that is dropped unfinished leaves nothing that counts.
#[derive(Debug)]
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    identity: [u8; 16],
    planted: Planted,
    file: D::File,
    /// Bytes of the file that are written.
    written: u64,
    /// Those of them that were synced.
    synced: u64,
    gathered: Vec<u8>,
    totals: Totals,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Begins a snapshot where [`crate::Writer::snapshot_start`] says: every chunk has at least what the record there
    /// and those before it did.
    ///
    /// # Errors
    /// The world's; a disk that is full among them. No snapshot is there that was not before. The journal goes on.
    pub fn begin(disk: D, start: SnapshotStart) -> Result<Self, Error> {
        if segment::names(&disk)?.iter().any(|name| name == UNFINISHED) {
            disk.remove(UNFINISHED).map_err(|why| Tried("remove", UNFINISHED).failed(why))?;
        }
        let file = disk.create(UNFINISHED, 0).map_err(|why| Tried("make", UNFINISHED).failed(why))?;
        let SnapshotStart { identity, begin, planted } = start;
        let mut header = segment::head(MAGIC, identity);
        header[32..40].copy_from_slice(&begin.0.to_le_bytes());
        Ok(SnapshotWriter {
            disk,
            identity,
            planted,
            file,
            written: 0,
            synced: 0,
            gathered: segment::sealed(header).to_vec(),
            totals: Totals { begin, end: begin, ..Totals::default() },
        })
    }

    /// Appends a chunk, taken when record `at` and all before it had had their effects on it.
    ///
    /// # Errors
    /// It is too long ([`crate::BODY_BYTES_MAX`]), or the world's: the snapshot is then given up, begin another.
    ///
    /// # Panics
    /// `at` lies before the begin.
    pub fn chunk(&mut self, at: LogNumber, body: &[u8]) -> Result<(), Error> {
        let begin = self.totals.begin;
        assert!(at >= begin, "a chunk of record {at} in a snapshot that began at {begin}");
        record::check_body(body)?;
        let head = self.piece(CHUNK, at, body);
        self.totals.add(&head, at);
        if self.gathered.len() >= WRITTEN_BYTES {
            self.write()?;
        }
        if self.written - self.synced >= SYNCED_BYTES {
            self.file.sync_data().map_err(|why| self.given_up("sync", why))?;
            self.synced = self.written;
        }
        Ok(())
    }

    /// Leaves it: what was written goes. (Dropping it does as much when the next one begins.)
    pub fn abandon(self) {
        // It counts for nothing whether it goes or not.
        let _ = self.disk.remove(UNFINISHED);
    }

    /// The record that must be safe before the snapshot may be finished: the last that any chunk knows.
    #[must_use]
    pub fn end(&self) -> LogNumber {
        self.totals.end
    }

    /// Ends the snapshot, makes it durable and drops what nobody needs any more ([`crate::retain`]). `safe` is what the
    /// journal's writer says is safe.
    ///
    /// # Errors
    /// The world's. The snapshot is then there whole, or not at all.
    ///
    /// # Panics
    /// Its end is not safe yet: the snapshot would have what the journal may lose.
    pub fn finish(mut self, safe: LogNumber) -> Result<Summary, Error> {
        let totals = self.totals;
        assert!(totals.end <= safe, "a snapshot that ends at record {}, safe is {safe}", totals.end);
        self.piece(END, totals.end, &totals.encode());
        if self.planted == Planted::RemoveBeforeDurable {
            retention::drop_before(&self.disk, Some(totals.begin))?;
        }
        self.write()?;
        let name = name(totals.begin);
        let failed = |why| Tried("make", &name).failed(why);
        self.file.sync_data().map_err(failed)?;
        self.disk.rename(UNFINISHED, &name).map_err(failed)?;
        if self.planted != Planted::SkipDirectorySync {
            segment::sync_names(&self.disk)?;
        }
        retention::retain(&self.disk)?;
        Ok(Summary { begin: totals.begin, end: totals.end, chunks: totals.chunks, bytes: self.written })
    }

    fn piece(&mut self, kind: u8, number: LogNumber, body: &[u8]) -> [u8; HEAD_BYTES] {
        let start = self.gathered.len();
        self.gathered.extend_from_slice(&[0; HEAD_BYTES]);
        self.gathered.extend_from_slice(body);
        self.gathered.resize(start + HEAD_BYTES + body.len().next_multiple_of(ALIGNMENT), 0);
        let body_checksum = crc32c(&self.gathered[start + HEAD_BYTES..]);
        let index = self.totals.chunks;
        let head = PieceHead { kind, body_bytes: body.len(), body_checksum, index, number };
        let head = head.encode(self.identity);
        self.gathered[start..start + HEAD_BYTES].copy_from_slice(&head);
        head
    }

    fn write(&mut self) -> Result<(), Error> {
        let written = self.file.write_at(&self.gathered, self.written);
        written.map_err(|why| self.given_up("write", why))?;
        self.written += self.gathered.len() as u64;
        self.gathered.clear();
        self.gathered.shrink_to(2 * WRITTEN_BYTES);
        Ok(())
    }

    fn given_up(&self, tried: &'static str, why: std::io::Error) -> Error {
        // It is of no use any more, and its space may be what is missing; the error that is told is the first.
        let _ = self.disk.remove(UNFINISHED);
        Tried(tried, UNFINISHED).failed(why)
    }
}
