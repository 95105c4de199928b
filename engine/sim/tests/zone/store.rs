//! What a model node holds, and keeps on its disk: a file of entries, synced a moment after they were written.

use std::collections::BTreeMap;

use anabranch_log::{Access, Disk, DiskFile};
use anabranch_model::zone::Term;
use anabranch_sim::{SimDisk, SimFile};

use crate::codec::{Reader, Writer};

pub(crate) const GROUPS: u16 = 64;

const FILE: &str = "entries";

/// A change of a row.
const RECORD: u8 = 1;
/// All of a group.
pub(crate) const STATE: u8 = 2;
/// A piece of the cluster's: one that stands for all before, or a further one.
const WHOLE: u8 = 3;
const PIECE: u8 = 4;

/// Between a write and its sync, in microseconds.
const SYNC_AFTER: u64 = 1_500;

/// Of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The last record: its term and number.
    pub(crate) term: u64,
    pub(crate) seq: u64,
    pub(crate) rows: BTreeMap<String, i64>,
    /// What was answered to requests.
    pub(crate) told: BTreeMap<(u64, u64), Option<i64>>,
    /// The last of the node's own records.
    pub(crate) last: u64,
}

/// What a request did.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) group: u16,
    pub(crate) term: Term,
    pub(crate) seq: u64,
    pub(crate) client: u64,
    pub(crate) number: u64,
    pub(crate) told: Option<i64>,
    pub(crate) key: String,
    pub(crate) value: Option<i64>,
}

impl Record {
    pub(crate) fn write(&self) -> Vec<u8> {
        let head = Writer::of(RECORD).number(u64::from(self.group)).number(self.term.0).number(self.seq);
        let head = head.number(self.client).number(self.number).maybe(self.told);
        head.bytes(self.key.as_bytes()).maybe(self.value).0
    }
}

/// An item of a lane, which is an entry, too: what it is of.
pub(crate) fn item_head(item: &[u8]) -> (u16, Term) {
    let mut reader = Reader(&item[1..]);
    (reader.number() as u16, reader.term())
}

impl State {
    /// The whole of it as an item; `term` is the owner's, whose state it is.
    pub(crate) fn write(&self, group: u16, term: Term) -> Vec<u8> {
        let head =
            Writer::of(STATE).number(u64::from(group)).number(term.0).number(self.term).number(self.seq);
        let head = head.number(self.rows.len() as u64);
        let rows =
            self.rows.iter().fold(head, |out, (key, value)| out.bytes(key.as_bytes()).number(*value as u64));
        let head = rows.number(self.told.len() as u64);
        let told = self.told.iter();
        told.fold(head, |out, ((client, number), told)| out.number(*client).number(*number).maybe(*told)).0
    }

    fn read(reader: &mut Reader<'_>) -> State {
        let (term, seq) = (reader.number(), reader.number());
        let rows = (0..reader.number()).map(|_| (reader.text(), reader.number() as i64)).collect();
        let told =
            (0..reader.number()).map(|_| ((reader.number(), reader.number()), reader.maybe())).collect();
        State { term, seq, rows, told, last: 0 }
    }

    fn apply(&mut self, record: &Record) -> Result<(), String> {
        if (record.term.0, record.seq) <= (self.term, self.seq) {
            return Ok(());
        }
        if record.seq != self.seq + 1 {
            return Err(format!("{record:?} does not follow {} {}", self.term, self.seq));
        }
        (self.term, self.seq) = (record.term.0, record.seq);
        self.told.insert((record.client, record.number), record.told);
        match record.value {
            Some(value) => self.rows.insert(record.key.clone(), value),
            None => self.rows.remove(&record.key),
        };
        Ok(())
    }
}

/// All that a node holds.
pub(crate) struct Store {
    pub(crate) states: Vec<State>,
    file: SimFile,
    end: u64,
    /// Entries of this turn.
    gathered: Vec<u8>,
    /// Own records so far, and those that are on the disk.
    pub(crate) count: u64,
    pub(crate) synced: u64,
    /// When what was written is synced.
    pub(crate) sync_at: Option<u64>,
    /// What the cluster is to be told when it is.
    keeping: Option<u64>,
}

impl Store {
    /// What a disk has, and the cluster's pieces.
    pub(crate) fn open(disk: &SimDisk) -> (Store, Vec<Vec<u8>>) {
        let kept = disk.read(FILE);
        let file = match kept {
            Some(_) => disk.open(FILE, Access::Write),
            None => disk.create(FILE, 0),
        };
        let mut store = Store {
            states: vec![State::default(); usize::from(GROUPS)],
            file: file.expect("the disk works"),
            end: 0,
            gathered: Vec::new(),
            count: 0,
            synced: 0,
            sync_at: None,
            keeping: None,
        };
        disk.sync_directory().expect("the disk works");
        let mut pieces = Vec::new();
        let mut rest = kept.as_deref().unwrap_or_default();
        while let Some((length, behind)) = rest.split_first_chunk::<8>() {
            let length = u64::from_le_bytes(*length) as usize;
            // What was not synced may be torn: a whole entry has its sum at the end.
            let Some((entry, sum)) = behind.get(..length + 8).map(|entry| entry.split_at(length)) else {
                break;
            };
            if length == 0 || sum != sum_of(entry) {
                break;
            }
            match entry[0] {
                WHOLE => pieces = vec![entry[1..].to_vec()],
                PIECE => pieces.push(entry[1..].to_vec()),
                _ => drop(store.perform(entry).expect("it was performed before")),
            }
            rest = &behind[length + 8..];
            store.end += length as u64 + 16;
        }
        store.file.write_at(&vec![0; rest.len()], store.end).expect("the disk works");
        store.file.sync_data().expect("the disk works");
        (store, pieces)
    }

    fn perform(&mut self, entry: &[u8]) -> Result<u16, String> {
        let mut reader = Reader(entry);
        let (kind, group) = (reader.kind(), reader.number() as u16);
        let term = reader.term();
        let state = &mut self.states[usize::from(group)];
        if kind == STATE {
            *state = State::read(&mut reader);
            return Ok(group);
        }
        let (seq, client, number) = (reader.number(), reader.number(), reader.number());
        let (told, key, value) = (reader.maybe(), reader.text(), reader.maybe());
        state.apply(&Record { group, term, seq, client, number, told, key, value })?;
        Ok(group)
    }

    /// Does what an item says and keeps it: the count of own records with it.
    pub(crate) fn put(&mut self, now: u64, item: &[u8]) -> Result<u64, String> {
        let group = self.perform(item)?;
        self.keep(now, item, b"");
        self.count += 1;
        self.states[usize::from(group)].last = self.count;
        Ok(self.count)
    }

    fn keep(&mut self, now: u64, head: &[u8], rest: &[u8]) {
        self.gathered.extend_from_slice(&((head.len() + rest.len()) as u64).to_le_bytes());
        let begin = self.gathered.len();
        self.gathered.extend_from_slice(head);
        self.gathered.extend_from_slice(rest);
        let sum = sum_of(&self.gathered[begin..]);
        self.gathered.extend_from_slice(&sum);
        self.sync_at.get_or_insert(now + SYNC_AFTER);
    }

    pub(crate) fn keep_piece(&mut self, now: u64, serial: u64, whole: bool, bytes: &[u8]) {
        self.keep(now, &[if whole { WHOLE } else { PIECE }], bytes);
        self.keeping = Some(serial);
    }

    /// Writes what was gathered; what the cluster is to be told where it is time for a sync.
    pub(crate) fn turn(&mut self, now: u64) -> Option<u64> {
        if !self.gathered.is_empty() {
            self.file.write_at(&self.gathered, self.end).expect("the disk works");
            self.end += self.gathered.len() as u64;
            self.gathered.clear();
        }
        if self.sync_at.is_none_or(|at| now < at) {
            return None;
        }
        self.file.sync_data().expect("the disk works");
        self.sync_at = None;
        self.synced = self.count;
        self.keeping.take()
    }
}

/// FNV-1a.
fn sum_of(bytes: &[u8]) -> [u8; 8] {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step).to_le_bytes()
}
