//! Reading a snapshot: every checksum is looked at, and nothing is given that is not what was written.

use crc32c::{crc32c, crc32c_append};

use super::{CHUNK, END, END_BYTES, HEAD_BYTES, MAGIC, PieceHead, Totals, name};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Tried};
use crate::record::{ALIGNMENT, BODY_BYTES_MAX, LogNumber, u32_at, u64_at};
use crate::segment::{self, HEADER_BYTES};
use crate::window::Window;

/// What a whole snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The record behind which replay begins.
    pub begin: LogNumber,
    /// The record up to which replay must come before the state is one that the node had.
    pub end: LogNumber,
    /// How many chunks.
    pub chunks: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A piece of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The last record whose effects it has.
    pub at: LogNumber,
    /// What it says.
    pub body: &'a [u8],
}

/// Reads a snapshot.
#[derive(Debug)]
pub struct SnapshotReader<F> {
    window: Window<F>,
    identity: [u8; 16],
    summary: Summary,
    /// What the end says.
    said: Totals,
    /// What was read so far comes to this.
    read: Totals,
    /// Where the next piece begins.
    at: u64,
}

impl<F: DiskFile> SnapshotReader<F> {
    /// Opens the snapshot that begins at a record; its first and last piece are looked at.
    ///
    /// # Errors
    /// It is damaged, or of a newer version, or the world's.
    pub fn open<D: Disk<File = F>>(disk: &D, begin: LogNumber) -> Result<Self, Error> {
        let name = name(begin);
        let file = disk.open(&name, Access::Read).map_err(|why| Tried("open", &name).failed(why))?;
        let header = segment::read_header(&file, &name, MAGIC)?;
        let identity = *header[16..].first_chunk().expect("it is longer");
        if u64_at(&header, 32) != begin.0 {
            let what = format!("it begins at record {}, which its name does not say", u64_at(&header, 32));
            return Err(Error::damaged(&name, 32, what));
        }
        let mut window = Window::new(file, name);
        let bytes = window.file_bytes()?;
        let end_at = bytes.saturating_sub(END_BYTES as u64).max(HEADER_BYTES as u64);
        let said = end(&mut window, end_at, identity)?;
        let summary = Summary { begin, end: said.end, chunks: said.chunks, bytes };
        let read = Totals { begin, end: begin, ..Totals::default() };
        Ok(SnapshotReader { window, identity, summary, said, read, at: HEADER_BYTES as u64 })
    }

    /// What the snapshot is, as its end says.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The identity of the journal that it belongs to.
    #[must_use]
    pub fn identity(&self) -> [u8; 16] {
        self.identity
    }

    /// Bytes that were read; of [`Summary::bytes`].
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next chunk; `None` behind the last, when all of it was what the end says.
    ///
    /// # Errors
    /// Damage, or the world's.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Result<Option<Chunk<'_>>, Error> {
        let at = self.at;
        let end_at = self.summary.bytes - END_BYTES as u64;
        if at == end_at {
            return match self.read == self.said {
                true => Ok(None),
                false => Err(self.damaged("its chunks are not those that its end tells")),
            };
        }
        let Some((head, raw)) = piece(&mut self.window, at, self.identity)? else {
            return Err(self.damaged("a chunk begins here that is not what was written"));
        };
        let behind = at + (HEAD_BYTES + head.body_bytes.next_multiple_of(ALIGNMENT)) as u64;
        if head.kind != CHUNK || head.index != self.read.chunks || behind > end_at {
            return Err(self.damaged("a chunk lies here that belongs elsewhere"));
        }
        self.read.add(&raw, head.number);
        self.at = behind;
        let bytes = self.window.bytes(at, (behind - at) as usize)?;
        Ok(Some(Chunk { at: head.number, body: &bytes[HEAD_BYTES..HEAD_BYTES + head.body_bytes] }))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::damaged(self.window.name(), self.at, what)
    }
}

/// Reads all of a snapshot; says after each piece how many bytes were read, and how many there are.
///
/// # Errors
/// It is damaged, or of a newer version, or the world's.
pub(crate) fn verify<D: Disk>(
    disk: &D,
    begin: LogNumber,
    mut tell: impl FnMut(u64, u64),
) -> Result<Summary, Error> {
    let mut reader = SnapshotReader::open(disk, begin)?;
    while reader.next()?.is_some() {
        tell(reader.position(), reader.summary().bytes);
    }
    Ok(reader.summary())
}

/// The last piece.
fn end<F: DiskFile>(window: &mut Window<F>, at: u64, identity: [u8; 16]) -> Result<Totals, Error> {
    let found = piece(window, at, identity)?;
    if let Some((head, _)) =
        found.filter(|(head, _)| head.kind == END && head.body_bytes == END_BYTES - HEAD_BYTES)
    {
        let body = &window.bytes(at, END_BYTES)?[HEAD_BYTES..];
        let totals = Totals {
            begin: LogNumber(u64_at(body, 0)),
            end: LogNumber(u64_at(body, 8)),
            chunks: u64_at(body, 16),
            checksum: u32_at(body, 24),
        };
        if totals.end == head.number && totals.chunks == head.index {
            return Ok(totals);
        }
    }
    Err(Error::damaged(window.name(), at, "the end of the snapshot is not what was written"))
}

/// The piece that begins at a place, with its head as it lies there, if it is whole.
fn piece<F: DiskFile>(
    window: &mut Window<F>,
    at: u64,
    identity: [u8; 16],
) -> Result<Option<(PieceHead, [u8; HEAD_BYTES])>, Error> {
    let Some(raw) = window.bytes(at, HEAD_BYTES)?.first_chunk::<HEAD_BYTES>().copied() else {
        return Ok(None);
    };
    let head = PieceHead {
        kind: raw[12],
        body_bytes: u32_at(&raw, 8) as usize,
        body_checksum: u32_at(&raw, 4),
        index: u64_at(&raw, 16),
        number: LogNumber(u64_at(&raw, 24)),
    };
    let right = u32_at(&raw, 0) == crc32c_append(crc32c(&identity), &raw[4..]);
    if !right || head.body_bytes > BODY_BYTES_MAX {
        return Ok(None);
    }
    let whole = HEAD_BYTES + head.body_bytes.next_multiple_of(ALIGNMENT);
    // A head that was made up does not make us take memory that the file does not fill.
    if at + whole as u64 > window.file_bytes()? {
        return Ok(None);
    }
    let bytes = window.bytes(at, whole)?;
    let right = bytes.len() == whole && crc32c(&bytes[HEAD_BYTES..]) == head.body_checksum;
    Ok(right.then_some((head, raw)))
}
