//! A disk that keeps apart what was synced and what was not, and forgets by chance at a crash.
//!
//! At a crash every 512-byte sector of a file has what the last sync left there or what any write since then made of
//! it, each sector on its own: writes are torn and reordered, but a sector is never half a write. A length is that of
//! the last sync or the newest. Names: each change since the last sync of the directory has happened or not, on its own.
//! Where a sync fails, what it was to make durable stays readable and is never made durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anabranch_log::{Access, Disk, DiskFile};

use crate::chance::Chance;

/// A disk writes this many bytes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine stops in the middle of it: this call and all later ones fail until [`SimDisk::restart`].
    Crash,
    /// It fails; a write may have happened in part.
    Error(ErrorKind),
}

/// What a crash takes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// All.
    Everything,
    /// Nothing: the process was killed and the machine went on. What was not synced still is not.
    Nothing,
    /// Each sector, length and name as chance has it.
    AtRandom,
}

/// A simulated disk; its clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<State>>);

/// A file of it.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    id: usize,
    life: u64,
    access: Access,
}

#[derive(Clone, Debug)]
struct State {
    chance: Chance,
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the directory was synced.
    changes: Vec<NameChange>,
    /// Calls so far that change something, or sync.
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    capacity: u64,
    crashed: bool,
    /// Whether a call has met a fault since the last restart.
    failed: bool,
    /// How often it was restarted: files that were open are closed by it.
    life: u64,
}

#[derive(Clone, Debug, Default)]
struct Content {
    durable: Vec<u8>,
    now: Vec<u8>,
    /// Writes since the last sync.
    writes: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Named(String, usize),
    Removed(String),
    Renamed { from: String, to: String, id: usize },
}

impl SimDisk {
    /// An empty disk without end and without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        SimDisk(Arc::new(Mutex::new(State {
            chance: Chance::new(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            calls: 0,
            faults: BTreeMap::new(),
            capacity: u64::MAX,
            crashed: false,
            failed: false,
            life: 0,
        })))
    }

    /// How many calls there were that change something, or sync.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Lets the call of this number, counted from 1 over the whole life of the disk, meet a fault.
    pub fn fail_at(&self, call: u64, fault: Fault) {
        self.state().faults.insert(call, fault);
    }

    /// How many bytes its files may have together.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// Whether a [`Fault::Crash`] has happened since the last restart.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// Whether a call has met a [`Fault`] since the last restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// Loses what a crash loses and runs again, without faults. Files that were open are no longer.
    pub fn restart(&self, lost: Lost) {
        self.state().restart(lost);
    }

    /// The bytes of a file as they are now.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(name).map(|id| state.files[*id].now.clone())
    }

    /// Damages a file: it has these bytes there from now on, durably, and nobody was told.
    pub fn damage(&self, name: &str, offset: usize, bytes: &[u8]) {
        let mut state = self.state();
        let Some(id) = state.names.get(name).copied() else { return };
        let file = &mut state.files[id];
        for content in [&mut file.durable, &mut file.now] {
            overwrite(content, offset, bytes);
        }
    }

    /// A disk of its own that is as this one is now, faults to come and all; chance goes another way.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let state = State { chance: Chance::new(seed), ..self.state().clone() };
        SimDisk(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, state: &State, id: usize, access: Access) -> SimFile {
        SimFile { disk: self.clone(), id, life: state.life, access }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}

fn overwrite(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl State {
    /// Counts a call: what it is to meet, if anything.
    fn call(&mut self) -> io::Result<Option<Fault>> {
        self.alive()?;
        self.calls += 1;
        let fault = self.faults.remove(&self.calls);
        self.crashed = fault == Some(Fault::Crash);
        self.failed |= fault.is_some();
        Ok(fault)
    }

    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(stopped()) } else { Ok(()) }
    }

    fn used(&self) -> u64 {
        self.names.values().map(|id| self.files[*id].now.len() as u64).sum()
    }

    /// A change of names: it has happened, and may be lost until the directory is synced.
    fn change(&mut self, fault: Option<Fault>, change: NameChange) -> io::Result<()> {
        if let Some(Fault::Error(kind)) = fault {
            return Err(kind.into());
        }
        apply(&mut self.names, &change);
        self.changes.push(change);
        if fault.is_some() { Err(stopped()) } else { Ok(()) }
    }

    fn write(&mut self, id: usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let fault = self.call()?;
        let before = self.files[id].now.len();
        let grows = (offset + bytes.len()).saturating_sub(before) as u64;
        let full = self.used().saturating_add(grows) > self.capacity;
        let error = match fault {
            Some(Fault::Error(kind)) => Some(kind),
            _ => full.then_some(ErrorKind::StorageFull),
        };
        // A write that fails has happened up to some byte.
        let room = if full { before.saturating_sub(offset).min(bytes.len()) } else { bytes.len() };
        let done = if error.is_some() { self.chance.below(room as u64 + 1) as usize } else { bytes.len() };
        let file = &mut self.files[id];
        overwrite(&mut file.now, offset, &bytes[..done]);
        file.writes.push((offset, bytes[..done].to_vec()));
        match (error, fault) {
            (Some(kind), _) => Err(kind.into()),
            (None, Some(_)) => Err(stopped()),
            (None, None) => Ok(()),
        }
    }

    fn restart(&mut self, lost: Lost) {
        if lost != Lost::Nothing {
            let State { chance, files, .. } = self;
            files.iter_mut().for_each(|file| file.crash(lost, chance));
            for change in std::mem::take(&mut self.changes) {
                if lost == Lost::AtRandom && self.chance.coin() {
                    apply(&mut self.durable_names, &change);
                }
            }
            self.names = self.durable_names.clone();
        }
        self.faults.clear();
        (self.crashed, self.failed) = (false, false);
        self.life += 1;
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Named(name, id) => {
            names.insert(name.clone(), *id);
        }
        NameChange::Removed(name) => {
            names.remove(name);
        }
        NameChange::Renamed { from, to, id } => {
            // Where making the old name was lost, the new one has the file all the same.
            names.remove(from);
            names.insert(to.clone(), *id);
        }
    }
}

impl Content {
    /// What an earlier sync that failed should have made durable stays as it is on the disk.
    fn sync(&mut self) {
        for (offset, bytes) in self.writes.drain(..) {
            overwrite(&mut self.durable, offset, &bytes);
        }
        self.durable.resize(self.now.len(), 0);
    }

    fn crash(&mut self, lost: Lost, chance: &mut Chance) {
        self.now = if lost == Lost::AtRandom { self.torn(chance) } else { self.durable.clone() };
        self.durable.clone_from(&self.now);
        self.writes.clear();
    }

    /// The durable bytes with some versions of some sectors of what was written since.
    fn torn(&self, chance: &mut Chance) -> Vec<u8> {
        let mut torn = self.durable.clone();
        let touched: BTreeSet<usize> =
            self.writes.iter().flat_map(|(offset, bytes)| sectors(*offset, bytes.len())).collect();
        for sector in touched {
            let (begin, end) = (sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
            let inside =
                self.writes.iter().filter(|(offset, bytes)| *offset < end && offset + bytes.len() > begin);
            let versions = inside.clone().count() as u64;
            let version = chance.below(versions + 1) as usize;
            for (offset, bytes) in inside.take(version) {
                let (from, to) = ((*offset).max(begin), (offset + bytes.len()).min(end));
                overwrite(&mut torn, from, &bytes[from - offset..to - offset]);
            }
        }
        let length = if chance.coin() { self.now.len() } else { self.durable.len() };
        torn.resize(length, 0);
        torn
    }
}

fn sectors(offset: usize, count: usize) -> std::ops::Range<usize> {
    offset / SECTOR_BYTES..(offset + count).div_ceil(SECTOR_BYTES)
}

impl Disk for SimDisk {
    type File = SimFile;

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<SimFile> {
        let mut state = self.state();
        let fault = state.call()?;
        if state.names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if state.used().saturating_add(bytes) > state.capacity {
            // A part of it is there, as on a real disk.
            state.files.push(Content::default());
            let id = state.files.len() - 1;
            state.change(None, NameChange::Named(name.to_owned(), id))?;
            return Err(ErrorKind::StorageFull.into());
        }
        state.files.push(Content { now: vec![0; bytes as usize], ..Content::default() });
        let id = state.files.len() - 1;
        state.change(fault, NameChange::Named(name.to_owned(), id))?;
        Ok(self.file(&state, id, Access::Write))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<SimFile> {
        let state = self.state();
        state.alive()?;
        let id = state.names.get(name).copied().ok_or(ErrorKind::NotFound)?;
        Ok(self.file(&state, id, access))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let fault = state.call()?;
        if !state.names.contains_key(name) {
            return Err(ErrorKind::NotFound.into());
        }
        state.change(fault, NameChange::Removed(name.to_owned()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let fault = state.call()?;
        let id = state.names.get(from).copied().ok_or(ErrorKind::NotFound)?;
        state.change(fault, NameChange::Renamed { from: from.to_owned(), to: to.to_owned(), id })
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state();
        match state.call()? {
            None => {
                state.durable_names = state.names.clone();
                state.changes.clear();
                Ok(())
            }
            Some(Fault::Crash) => Err(stopped()),
            Some(Fault::Error(kind)) => {
                state.changes.clear();
                Err(kind.into())
            }
        }
    }
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.alive()?;
        if state.life == self.life { Ok(state) } else { Err(stopped()) }
    }
}

impl DiskFile for SimFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.state()?.files[self.id].now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state()?;
        let rest = state.files[self.id].now.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.state()?.write(self.id, offset as usize, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        match state.call()? {
            None => {
                state.files[self.id].sync();
                Ok(())
            }
            Some(Fault::Crash) => Err(stopped()),
            Some(Fault::Error(kind)) => {
                state.files[self.id].writes.clear();
                Err(kind.into())
            }
        }
    }
}
