//! The directory of a node's journal, over the operating system.
//!
//! A file that is made is filled with zeros, not with a hole: then its blocks are taken, a full disk is met here and not
//! in the middle of a write, and a sync has only bytes to bring to the disk and no map of blocks.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anabranch_log::{Access, Disk, DiskFile, fill_with_zeros};

/// The file whose lock says that a node uses the directory.
const LOCK: &str = "lock";

/// Who may open the files: their owner. They have rows of users.
const MODE: u32 = 0o600;

/// A directory with a journal.
#[derive(Debug)]
pub struct DirectoryDisk {
    path: PathBuf,
    /// Held while the node uses the directory; `None` where it is only read.
    _lock: Option<File>,
}

/// A file of a journal.
#[derive(Debug)]
pub struct DirectoryFile(File);

impl DirectoryDisk {
    /// Takes a directory for this process alone; makes it where it is not there. It is free again when this is dropped,
    /// or when the process ends in whatever way.
    ///
    /// # Errors
    /// Another process has it, or the operating system refuses; the text says what was tried and what to do.
    pub fn lock(path: &Path) -> io::Result<Self> {
        make(path, sync).map_err(|error| unusable(path, &error))?;
        let options = options().write(true).create(true).truncate(false).clone();
        let lock = options.open(path.join(LOCK)).map_err(|error| unusable(path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(DirectoryDisk { path: path.to_owned(), _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(ErrorKind::ResourceBusy, in_use(path))),
            Err(TryLockError::Error(error)) => Err(unusable(path, &error)),
        }
    }

    /// Looks into a directory, whoever else uses it. Nothing can be written.
    ///
    /// # Errors
    /// It is not there, no directory, or may not be read.
    pub fn read_only(path: &Path) -> io::Result<Self> {
        fs::read_dir(path).map_err(|error| unusable(path, &error))?;
        Ok(DirectoryDisk { path: path.to_owned(), _lock: None })
    }

    fn writable(&self) -> io::Result<()> {
        match self._lock {
            Some(_) => Ok(()),
            None => Err(io::Error::new(ErrorKind::PermissionDenied, "it was opened to be read only")),
        }
    }
}

/// Makes a directory with those above it that are not there. Each is in the one above it for good: else all that the
/// journal syncs could go with a name that was never synced.
fn make(path: &Path, sync: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let above = |path: &Path| match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above.to_owned(),
        Some(_) => PathBuf::from("."),
        None => path.to_owned(),
    };
    let named = path.ancestors().filter(|path| !path.as_os_str().is_empty());
    let made: Vec<&Path> = named.take_while(|path| !path.exists()).collect();
    fs::create_dir_all(path)?;
    made.into_iter().rev().try_for_each(|made| sync(&above(made)))
}

/// Brings the names in a directory to the disk.
fn sync(directory: &Path) -> io::Result<()> {
    options().open(directory)?.sync_all()
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).mode(MODE);
    options
}

fn in_use(path: &Path) -> String {
    format!(
        "cannot use the data directory `{}`: another node uses it; stop that node, or name another directory",
        path.display()
    )
}

fn unusable(path: &Path, error: &io::Error) -> io::Error {
    let (why, help) = match error.kind() {
        ErrorKind::NotFound => ("it is not there".to_owned(), "check its name"),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            ("it is no directory".to_owned(), "name a directory")
        }
        ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            "give the user of this program the right to read and write there",
        ),
        ErrorKind::ReadOnlyFilesystem => {
            ("the file system is read-only".to_owned(), "mount it to be written, or name another directory")
        }
        ErrorKind::StorageFull => ("the disk is full".to_owned(), "make space"),
        _ => (error.to_string(), "look after the disk"),
    };
    io::Error::new(error.kind(), format!("cannot use the data directory `{}`: {why}; {help}", path.display()))
}

impl Disk for DirectoryDisk {
    type File = DirectoryFile;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<DirectoryFile> {
        self.writable()?;
        let file = options().write(true).create_new(true).open(self.path.join(name))?;
        let file = DirectoryFile(file);
        fill_with_zeros(&file, bytes)?;
        Ok(file)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<DirectoryFile> {
        if access == Access::Write {
            self.writable()?;
        }
        let file = options().write(access == Access::Write).open(self.path.join(name))?;
        Ok(DirectoryFile(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.writable()?;
        fs::remove_file(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.writable()?;
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync(&self.path)
    }
}

impl DiskFile for DirectoryFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// The directories that are synced when one is made.
    fn synced(path: &Path) -> io::Result<Vec<PathBuf>> {
        let synced = RefCell::new(Vec::new());
        make(path, |directory| {
            synced.borrow_mut().push(directory.to_owned());
            sync(directory)
        })?;
        Ok(synced.into_inner())
    }

    #[test]
    fn every_directory_that_is_made_is_synced_into_the_one_above_it() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let root = root.path();
        assert_eq!(synced(&root.join("a/b/c"))?, [root.to_owned(), root.join("a"), root.join("a/b")]);
        assert!(synced(&root.join("a/b/c"))?.is_empty(), "it is there");
        assert_eq!(synced(&root.join("a/d"))?, [root.join("a")]);
        assert!(root.join("a/b/c").is_dir() && root.join("a/d").is_dir());
        Ok(())
    }

    #[test]
    fn a_directory_that_cannot_be_synced_is_not_used() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let failed = make(&root.path().join("data"), |_| Err(io::Error::other("no sync")));
        assert!(failed.is_err());
        Ok(())
    }
}
