//! Messages, entries and snapshots of Raft as bytes of our own, and the checks without which the library would panic.
//!
//! The library's own encoding is not used on bytes from outside: its reader has no bound on nesting. What is checked here
//! and in [`crate::consensus`]: kinds that only the own process may send, entries that are no commands or not in order,
//! terms near the end of numbers, snapshots whose state or votes cannot be.

use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState, Entry, EntryType};
use raft::eraftpb::{Message, MessageType, Snapshot};

use crate::bytes::{Put, Take};
use crate::command;
use crate::state::State;

/// Terms and indexes are below it, so that counting on never overflows.
const NUMBER_MAX: u64 = 1 << 48;

/// Members with or without a vote that a snapshot may name.
const CONF_MAX: usize = 4096;

/// Changes of votes as the context of their entry; the library's own bytes are never read.
pub(crate) fn put_change(change: &ConfChangeV2) -> Vec<u8> {
    let mut put = Put::default();
    put.u64(change.changes.len() as u64);
    for one in change.changes.iter() {
        put.u8(one.change_type as u8);
        put.u64(one.node_id);
    }
    put.0
}

/// An entry without context is the library's own: it leaves a joint configuration.
pub(crate) fn take_change(context: &[u8]) -> Option<ConfChangeV2> {
    let mut change = ConfChangeV2::default();
    if context.is_empty() {
        return Some(change);
    }
    let mut take = Take(context);
    let mut changes = Vec::new();
    for _ in 0..take.count(9)? {
        let kind = match take.u8()? {
            0 => ConfChangeType::AddNode,
            1 => ConfChangeType::RemoveNode,
            2 => ConfChangeType::AddLearnerNode,
            _ => return None,
        };
        let mut one = ConfChangeSingle::default();
        one.set_change_type(kind);
        one.node_id = take.u64().filter(|id| (1..NUMBER_MAX).contains(id))?;
        changes.push(one);
    }
    take.end()?;
    change.set_changes(changes.into());
    (!change.changes.is_empty()).then_some(change)
}

fn put_entry(put: &mut Put, entry: &Entry) {
    put.u8(entry.entry_type as u8);
    put.u64(entry.term);
    put.u64(entry.index);
    put.piece(&entry.data);
    put.piece(&entry.context);
}

fn take_entry(take: &mut Take) -> Option<Entry> {
    let mut entry = Entry::default();
    entry.set_entry_type(match take.u8()? {
        0 => EntryType::EntryNormal,
        2 => EntryType::EntryConfChangeV2,
        _ => return None,
    });
    entry.term = take.u64().filter(|term| *term < NUMBER_MAX)?;
    entry.index = take.u64().filter(|index| (1..NUMBER_MAX).contains(index))?;
    entry.data = take.piece()?.to_vec().into();
    entry.context = take.piece()?.to_vec().into();
    let sound = match entry.get_entry_type() {
        EntryType::EntryConfChangeV2 => take_change(&entry.context).is_some(),
        _ => entry.data.is_empty() || command::Entry::decode(&entry.data).is_some(),
    };
    sound.then_some(entry)
}

pub(crate) fn put_entries(put: &mut Put, entries: &[Entry]) {
    put.u64(entries.len() as u64);
    entries.iter().for_each(|entry| put_entry(put, entry));
}

/// Entries with indexes without gaps and terms that do not fall.
pub(crate) fn take_entries(take: &mut Take) -> Option<Vec<Entry>> {
    let count = take.count(33)?;
    let entries: Vec<Entry> = (0..count).map(|_| take_entry(take)).collect::<Option<_>>()?;
    let in_order = |pair: &[Entry]| pair[1].index == pair[0].index + 1 && pair[1].term >= pair[0].term;
    entries.windows(2).all(in_order).then_some(entries)
}

pub(crate) fn put_snapshot(put: &mut Put, snapshot: &Snapshot) {
    let metadata = snapshot.get_metadata();
    put.u64(metadata.index);
    put.u64(metadata.term);
    let conf = metadata.get_conf_state();
    for ids in [&conf.voters, &conf.learners, &conf.voters_outgoing, &conf.learners_next] {
        put.numbers(ids);
    }
    put.u8(u8::from(conf.auto_leave));
    put.piece(&snapshot.data);
}

/// A snapshot of a state that can be, with votes that can be.
pub(crate) fn take_snapshot(take: &mut Take) -> Option<Snapshot> {
    let mut snapshot = Snapshot::default();
    let metadata = snapshot.mut_metadata();
    metadata.index = take.u64().filter(|index| *index < NUMBER_MAX)?;
    metadata.term = take.u64().filter(|term| *term < NUMBER_MAX)?;
    let mut conf = ConfState::default();
    conf.set_voters(take_ids(take)?);
    conf.set_learners(take_ids(take)?);
    conf.set_voters_outgoing(take_ids(take)?);
    conf.set_learners_next(take_ids(take)?);
    conf.auto_leave = take.u8()? != 0;
    let sound = is_sound(&conf);
    metadata.set_conf_state(conf);
    snapshot.data = take.piece()?.to_vec().into();
    let state = sound && State::decode(&snapshot.data).is_some();
    state.then_some(snapshot)
}

fn take_ids(take: &mut Take) -> Option<Vec<u64>> {
    let mut ids = take.numbers()?;
    let sound = ids.len() <= CONF_MAX && ids.iter().all(|id| (1..NUMBER_MAX).contains(id));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    (sound && ids.len() == count).then_some(ids)
}

/// Whether the library can restore it: it stops the process where not.
fn is_sound(conf: &ConfState) -> bool {
    let in_either = |id: &u64| conf.voters.contains(id) || conf.voters_outgoing.contains(id);
    let joint = !conf.voters_outgoing.is_empty();
    !conf.voters.is_empty()
        && !conf.learners.iter().any(in_either)
        && conf.learners_next.iter().all(|id| conf.voters_outgoing.contains(id))
        && !conf.learners_next.iter().any(|id| conf.voters.contains(id))
        && (joint || (conf.learners_next.is_empty() && !conf.auto_leave))
}

pub(crate) fn put_message(message: &Message) -> Vec<u8> {
    let mut put = Put::default();
    put.u8(message.msg_type as u8);
    for number in [
        message.to,
        message.from,
        message.term,
        message.log_term,
        message.index,
        message.commit,
        message.commit_term,
        message.reject_hint,
    ] {
        put.u64(number);
    }
    put.u8(u8::from(message.reject));
    put.piece(&message.context);
    put_entries(&mut put, &message.entries);
    if message.get_msg_type() == MessageType::MsgSnapshot {
        put_snapshot(&mut put, message.get_snapshot());
    }
    put.0
}

/// A message that a peer may send.
pub(crate) fn take_message(bytes: &[u8]) -> Option<Message> {
    let mut take = Take(bytes);
    let mut message = Message::default();
    message.set_msg_type(take_kind(take.u8()?)?);
    let mut number = || take.u64().filter(|number| *number < NUMBER_MAX);
    message.to = number()?;
    message.from = number()?;
    message.term = number()?;
    message.log_term = number()?;
    message.index = number()?;
    message.commit = number()?;
    message.commit_term = number()?;
    message.reject_hint = number()?;
    message.reject = take.u8()? != 0;
    message.context = take.piece()?.to_vec().into();
    let entries = take_entries(&mut take)?;
    let first_fits = entries.first().is_none_or(|entry| {
        message.get_msg_type() == MessageType::MsgAppend
            && entry.index == message.index + 1
            && entry.term >= message.log_term
    });
    let last_fits = entries.last().is_none_or(|entry| entry.term <= message.term);
    message.set_entries(entries.into());
    if message.get_msg_type() == MessageType::MsgSnapshot {
        let snapshot = take_snapshot(&mut take)?;
        let metadata = snapshot.get_metadata();
        if metadata.index == 0 || metadata.term > message.term {
            return None;
        }
        message.set_snapshot(snapshot);
    }
    take.end()?;
    (first_fits && last_fits && message.from != 0 && message.term != 0).then_some(message)
}

fn take_kind(kind: u8) -> Option<MessageType> {
    let known = [
        MessageType::MsgAppend,
        MessageType::MsgAppendResponse,
        MessageType::MsgRequestVote,
        MessageType::MsgRequestVoteResponse,
        MessageType::MsgSnapshot,
        MessageType::MsgHeartbeat,
        MessageType::MsgHeartbeatResponse,
        MessageType::MsgTimeoutNow,
        MessageType::MsgRequestPreVote,
        MessageType::MsgRequestPreVoteResponse,
    ];
    known.into_iter().find(|known| *known as u8 == kind)
}
