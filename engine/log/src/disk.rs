//! What the journal asks of a disk: files in one directory, and when what was written is durable.
//!
//! The node implements it over the operating system, tests over memory, the simulator over a disk that fails. Names are
//! plain file names in the one directory; who may use the directory (a lock) is the implementer's matter.
//!
//! INVARIANT that the journal rests on: after [`DiskFile::sync_data`] the bytes and the length of the file are durable,
//! after [`Disk::sync_directory`] the names that were created, renamed and removed before it. Nothing else is.

use std::io;
use std::sync::Arc;

/// A directory of files.
pub trait Disk {
    /// An open file.
    type File: DiskFile;

    /// The names of all files, in any order.
    ///
    /// # Errors
    /// The world's: the directory is gone, or may not be read.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file of `bytes` zero bytes whose space on the disk is taken, to read and write. It must not be there.
    ///
    /// # Errors
    /// The world's; `StorageFull` where the space is not there. A part of the file may then be left.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Self::File>;

    /// Opens a file to read, and to write where `access` says so.
    ///
    /// # Errors
    /// The world's.
    fn open(&self, name: &str, access: Access) -> io::Result<Self::File>;

    /// Removes a file.
    ///
    /// # Errors
    /// The world's.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name; a file that has that name goes. After a crash the name means the one or the other.
    ///
    /// # Errors
    /// The world's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes the names durable.
    ///
    /// # Errors
    /// The world's.
    fn sync_directory(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The world's.
    fn bytes(&self) -> io::Result<u64>;

    /// Reads from `offset` on into `buffer`: how many bytes, fewer than asked for only where the file ends.
    ///
    /// # Errors
    /// The world's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at `offset`; where that is behind the end the file grows.
    ///
    /// # Errors
    /// The world's; a part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes bytes and length durable.
    ///
    /// # Errors
    /// The world's. What was not durable before may then be lost, even if a later call succeeds.
    fn sync_data(&self) -> io::Result<()>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Read,
    /// To read and write.
    Write,
}

/// A disk that several parts of a program share.
impl<D: Disk> Disk for Arc<D> {
    type File = D::File;

    fn list(&self) -> io::Result<Vec<String>> {
        D::list(self)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<D::File> {
        D::create(self, name, bytes)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<D::File> {
        D::open(self, name, access)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        D::remove(self, name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        D::rename(self, from, to)
    }

    fn sync_directory(&self) -> io::Result<()> {
        D::sync_directory(self)
    }
}
