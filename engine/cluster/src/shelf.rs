//! What Raft rests on: its log, its vote, and the state that the log amounts to; and the same as bytes to be kept.
//!
//! All of it is in memory. What has to be on disk goes out as [`Kept`] pieces: a *whole* piece stands for everything before
//! it, one that is not whole has what was appended since.

use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use anabranch_model::zone::MemberId;

use crate::bytes::{Put, Take};
use crate::command;
use crate::raft_bytes::{put_entries, put_snapshot, take_entries, take_snapshot};
use crate::state::State;

/// The format of what is kept.
const FORMAT: u8 = 1;
const WHOLE: u8 = 1;
const MORE: u8 = 2;

/// Entries behind the snapshot after which there is a new one.
const ENTRIES_MAX: usize = 512;

/// Entries that stay in memory for members that are a little behind.
const ENTRIES_LEFT: usize = 128;

/// The log, the vote, the state.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) me: MemberId,
    hard: HardState,
    /// Votes as of `applied`.
    conf: ConfState,
    /// What is before the first entry: index and term.
    before: (u64, u64),
    entries: Vec<Entry>,
    /// The state and the index and term of the last entry in it.
    pub(crate) state: State,
    applied: (u64, u64),
    /// Up to where the last whole piece went.
    whole_at: u64,
}

impl Shelf {
    /// Of a member that knows its number only.
    pub(crate) fn empty(me: MemberId) -> Shelf {
        Shelf {
            me,
            hard: HardState::default(),
            conf: ConfState::default(),
            before: (0, 0),
            entries: Vec::new(),
            state: State::default(),
            applied: (0, 0),
            whole_at: 0,
        }
    }

    /// Of a member with this state and these votes, at this point of the log.
    pub(crate) fn at(me: MemberId, state: State, conf: ConfState, index: u64, term: u64) -> Shelf {
        let hard = HardState { term, commit: index, ..HardState::default() };
        let point = (index, term);
        Shelf { me, hard, conf, before: point, entries: Vec::new(), state, applied: point, whole_at: index }
    }

    pub(crate) fn conf(&self) -> &ConfState {
        &self.conf
    }

    /// Who has a vote; while that changes, those whose death would still stop it.
    pub(crate) fn votes(&self) -> &[u64] {
        if self.conf.voters_outgoing.is_empty() { &self.conf.voters } else { &self.conf.voters_outgoing }
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.0
    }

    pub(crate) fn set_hard(&mut self, hard: HardState) {
        self.hard = hard;
    }

    pub(crate) fn set_commit(&mut self, commit: u64) {
        self.hard.commit = commit;
    }

    pub(crate) fn set_conf(&mut self, conf: ConfState) {
        self.conf = conf;
    }

    /// An entry is in the state.
    pub(crate) fn set_applied(&mut self, index: u64, term: u64) {
        self.applied = (index, term);
    }

    /// Adds entries in place of those with their indexes and behind.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(first.index > self.before.0, "entry {} behind {:?}", first.index, self.before);
        self.entries.truncate((first.index - self.before.0 - 1) as usize);
        self.entries.extend_from_slice(entries);
    }

    /// Takes a snapshot in place of everything.
    pub(crate) fn install(&mut self, snapshot: &Snapshot) {
        let metadata = snapshot.get_metadata();
        let point = (metadata.index, metadata.term);
        self.state = State::decode(&snapshot.data).expect("it was checked when it came");
        self.conf = metadata.get_conf_state().clone();
        self.before = point;
        self.applied = point;
        self.entries.clear();
        self.hard.commit = self.hard.commit.max(point.0);
        self.hard.term = self.hard.term.max(point.1);
    }

    /// Whether so much was appended that a whole piece is due; what everybody should have goes.
    pub(crate) fn compact(&mut self) -> bool {
        if (self.applied.0 - self.whole_at.min(self.applied.0)) < ENTRIES_MAX as u64 {
            return false;
        }
        self.whole_at = self.applied.0;
        let keep_from = self.applied.0.saturating_sub(ENTRIES_LEFT as u64);
        if keep_from > self.before.0 {
            let term = self.term(keep_from).expect("it is in the log");
            self.entries.drain(..(keep_from - self.before.0) as usize);
            self.before = (keep_from, term);
        }
        true
    }

    fn snapshot_now(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        metadata.index = self.applied.0;
        metadata.term = self.applied.1;
        metadata.set_conf_state(self.conf.clone());
        snapshot.data = self.state.encode().into();
        snapshot
    }

    fn put_hard(&self, put: &mut Put) {
        for number in [self.hard.term, self.hard.vote, self.hard.commit] {
            put.u64(number);
        }
    }

    /// Of this member alone, with all that is in its log: it has the only vote, and the others count as dead.
    pub(crate) fn alone(&self, at: u64) -> Shelf {
        let mut state = self.state.clone();
        let behind = self.entries.iter().filter(|entry| entry.index > self.applied.0);
        for entry in behind.filter(|entry| entry.get_entry_type() == EntryType::EntryNormal) {
            if let Some(command) = command::Entry::decode(&entry.data) {
                state.apply(command);
            }
        }
        state.go_on_alone(self.me, at);
        let mut conf = ConfState::default();
        conf.set_voters(vec![self.me.0]);
        Shelf::at(self.me, state, conf, self.last_index_now().max(1), self.hard.term + 1)
    }

    /// Everything, as a piece that stands for what was before.
    pub(crate) fn whole(&mut self) -> Vec<u8> {
        self.whole_at = self.applied.0;
        let mut put = Put(vec![FORMAT, WHOLE]);
        // Who has not got the state yet has to know of which zone it is all the same.
        for number in [self.me.0, self.state.zone, u64::from(self.state.forced)] {
            put.u64(number);
        }
        self.put_hard(&mut put);
        put.u8(u8::from(self.applied.0 > 0));
        if self.applied.0 > 0 {
            put_snapshot(&mut put, &self.snapshot_now());
        }
        let behind = self.entries.iter().position(|entry| entry.index > self.applied.0);
        put_entries(&mut put, &self.entries[behind.unwrap_or(self.entries.len())..]);
        put.0
    }

    /// The vote, and the log from an index on, where it has changed.
    pub(crate) fn more(&self, from: Option<u64>) -> Vec<u8> {
        let mut put = Put(vec![FORMAT, MORE]);
        self.put_hard(&mut put);
        let from = from.map_or(self.entries.len(), |from| self.place(from.max(self.before.0 + 1)));
        put_entries(&mut put, &self.entries[from..]);
        put.0
    }

    /// From pieces, the first of them whole. `None` where they are no such pieces.
    pub(crate) fn restore(pieces: &[Vec<u8>]) -> Option<Shelf> {
        let (first, rest) = pieces.split_first()?;
        let mut shelf = Shelf::take_whole(first)?;
        for piece in rest {
            match piece.get(1).copied()? {
                WHOLE => shelf = Shelf::take_whole(piece)?,
                _ => shelf.take_more(piece)?,
            }
        }
        let last = shelf.last_index_now();
        shelf.hard.commit = shelf.hard.commit.clamp(shelf.applied.0, last);
        Some(shelf)
    }

    fn take_hard(take: &mut Take) -> Option<HardState> {
        let (term, vote, commit) = (take.u64()?, take.u64()?, take.u64()?);
        Some(HardState { term, vote, commit, ..HardState::default() })
    }

    fn take_whole(piece: &[u8]) -> Option<Shelf> {
        let mut take = Take(piece.strip_prefix(&[FORMAT, WHOLE])?);
        let mut shelf = Shelf::empty(MemberId(take.u64()?));
        shelf.state.zone = take.u64()?;
        shelf.state.forced = u32::try_from(take.u64()?).ok()?;
        let hard = Shelf::take_hard(&mut take)?;
        if take.u8()? != 0 {
            shelf.install(&take_snapshot(&mut take)?);
            shelf.whole_at = shelf.applied.0;
        }
        shelf.hard = hard;
        shelf.take_entries(&mut take)?;
        take.end()?;
        Some(shelf)
    }

    fn take_more(&mut self, piece: &[u8]) -> Option<()> {
        let mut take = Take(piece.strip_prefix(&[FORMAT, MORE])?);
        self.hard = Shelf::take_hard(&mut take)?;
        self.take_entries(&mut take)?;
        take.end()
    }

    fn take_entries(&mut self, take: &mut Take) -> Option<()> {
        let entries = take_entries(take)?;
        let fits = entries
            .first()
            .is_none_or(|first| first.index > self.before.0 && first.index <= self.last_index_now() + 1);
        fits.then(|| self.append(&entries))
    }

    fn last_index_now(&self) -> u64 {
        self.before.0 + self.entries.len() as u64
    }

    fn place(&self, index: u64) -> usize {
        (index - self.before.0 - 1) as usize
    }
}

impl Storage for Shelf {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState { hard_state: self.hard.clone(), conf_state: self.conf.clone() })
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.before.0 {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last_index_now() + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let mut entries = self.entries[self.place(low)..self.place(high)].to_vec();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        match index {
            index if index == self.before.0 => Ok(self.before.1),
            index if index < self.before.0 => Err(StorageError::Compacted.into()),
            index => match self.entries.get(self.place(index)) {
                Some(entry) => Ok(entry.term),
                None => Err(StorageError::Unavailable.into()),
            },
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last_index_now())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        if self.applied.0 < request_index {
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        }
        Ok(self.snapshot_now())
    }
}
