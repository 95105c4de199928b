//! A disk in memory that is full, fails, or holds syncs back when it is told to.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use anabranch_log::{Access, Disk, DiskFile, MemoryDisk, MemoryFile};

/// The disk; its clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestDisk {
    files: MemoryDisk,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    full: bool,
    fails: bool,
    holds: bool,
}

/// A file of it.
#[derive(Debug)]
pub(crate) struct TestFile(MemoryFile, TestDisk);

/// Syncs are held back until it is dropped.
pub(crate) struct Holding(TestDisk);

impl TestDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().expect("nobody panics with it")
    }

    /// Whether no file can be made from now on.
    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// Whether writes and syncs fail from now on.
    pub(crate) fn set_fails(&self, fails: bool) {
        self.state().fails = fails;
    }

    /// Holds syncs back.
    pub(crate) fn hold(&self) -> Holding {
        self.state().holds = true;
        Holding(self.clone())
    }

    fn sync(&self) -> io::Result<()> {
        let state = self.state.1.wait_while(self.state(), |state| state.holds);
        state.expect("nobody panics with it").check()
    }
}

impl State {
    fn check(&self) -> io::Result<()> {
        if self.fails { Err(io::Error::other("the disk is worn out")) } else { Ok(()) }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.state().holds = false;
        self.0.state.1.notify_all();
    }
}

impl Disk for TestDisk {
    type File = TestFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<TestFile> {
        if self.state().full {
            return Err(ErrorKind::StorageFull.into());
        }
        self.files.create(name, bytes).map(|file| TestFile(file, self.clone()))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<TestFile> {
        self.files.open(name, access).map(|file| TestFile(file, self.clone()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.files.sync_directory()
    }
}

impl DiskFile for TestFile {
    fn bytes(&self) -> io::Result<u64> {
        self.0.bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.state().check()?;
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.sync()
    }
}
