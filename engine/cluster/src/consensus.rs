//! Raft for one member: the library, fed by steps, with what it would panic on kept from it.
//!
//! The library draws election timeouts from the thread's own chance; here they follow from member and term, so that a run
//! can be repeated. What comes out of a [`Round`] is in order: messages that may go at once, the piece to be kept, and
//! what rests on it.

use std::collections::BTreeMap;

use raft::eraftpb::{ConfChangeV2, EntryType, Message, MessageType};
use raft::{Config, ProgressState, RawNode, SnapshotStatus, StateRole};

use anabranch_model::zone::MemberId;

use crate::command::{self, Command};
use crate::raft_bytes::{put_change, take_change};
use crate::shelf::Shelf;

/// Ticks after which a leader without a majority gives up, and the least of silence before an election.
const ELECTION_TICKS: usize = 4;

/// Election timeouts are drawn from so many.
const ELECTION_CHOICES: usize = 4;

/// Ticks after which a snapshot that nobody has answered to is sent again.
const SNAPSHOT_TICKS: u32 = 10;

/// Bytes of entries in one message, as long as one entry is not larger.
const MESSAGE_BYTES: u64 = 256 << 10;

/// A piece to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) whole: bool,
    pub(crate) bytes: Vec<u8>,
}

/// What one round gives.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// These may go before the piece is kept.
    pub(crate) early: Vec<Message>,
    pub(crate) piece: Option<Piece>,
    /// These rest on it.
    pub(crate) late: Vec<Message>,
    /// Reads that a majority has confirmed: their number, and what has to be applied.
    pub(crate) reads: Vec<(u64, u64)>,
    /// Whether the state, or who votes, has changed.
    pub(crate) changed: bool,
}

/// Raft for one member.
pub(crate) struct Consensus {
    raw: RawNode<Shelf>,
    /// The last entry that this member proposed as the leader of this term.
    proposed: (u64, u64),
    /// For how many ticks members have not answered to a snapshot.
    snapshots: BTreeMap<u64, u32>,
}

impl std::fmt::Debug for Consensus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let raft = &self.raw.raft;
        write!(f, "Consensus {{ id: {}, term: {}, state: {:?} }}", raft.id, raft.term, raft.state)
    }
}

impl Consensus {
    pub(crate) fn new(shelf: Shelf) -> Consensus {
        let config = Config {
            id: shelf.me.0,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: 1,
            min_election_tick: ELECTION_TICKS,
            max_election_tick: ELECTION_TICKS + ELECTION_CHOICES,
            applied: shelf.applied(),
            max_size_per_msg: MESSAGE_BYTES,
            max_inflight_msgs: 64,
            check_quorum: true,
            pre_vote: true,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&config, shelf, &logger).expect("the configuration above is a valid one");
        let mut consensus = Consensus { raw, proposed: (0, 0), snapshots: BTreeMap::new() };
        consensus.draw();
        consensus
    }

    /// The election timeout follows from member and term.
    fn draw(&mut self) {
        let raft = &mut self.raw.raft;
        let mut mixed = (raft.term << 16 ^ raft.id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 29;
        let ticks =
            ELECTION_TICKS + (mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as usize % ELECTION_CHOICES;
        if raft.randomized_election_timeout() != ticks {
            raft.set_randomized_election_timeout(ticks);
        }
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        self.raw.store()
    }

    pub(crate) fn shelf_mut(&mut self) -> &mut Shelf {
        self.raw.mut_store()
    }

    pub(crate) fn term(&self) -> u64 {
        self.raw.raft.term
    }

    pub(crate) fn leader(&self) -> Option<MemberId> {
        Some(MemberId(self.raw.raft.leader_id)).filter(|id| id.0 != 0)
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    /// Whether it leads and has decided something in its term, so that it knows what was decided before.
    pub(crate) fn leads_knowingly(&self) -> bool {
        self.is_leader() && self.raw.raft.commit_to_current_term()
    }

    pub(crate) fn votes(&self) -> bool {
        self.raw.raft.promotable()
    }

    pub(crate) fn tick(&mut self) {
        self.raw.tick();
        self.send_snapshots_again();
        self.draw();
    }

    /// A snapshot that was lost is not missed by the library: it waits for an answer for ever.
    fn send_snapshots_again(&mut self) {
        if !self.is_leader() {
            self.snapshots.clear();
            return;
        }
        let progress = self.raw.raft.prs().iter();
        let waits = progress.filter(|(_, progress)| progress.state == ProgressState::Snapshot);
        let mut waits: BTreeMap<u64, u32> = waits.map(|(id, _)| (*id, 1)).collect();
        for (id, ticks) in &mut waits {
            *ticks += self.snapshots.get(id).copied().unwrap_or(0);
            if *ticks >= SNAPSHOT_TICKS {
                *ticks = 0;
                self.raw.report_snapshot(*id, SnapshotStatus::Failure);
            }
        }
        self.snapshots = waits;
    }

    /// Lets go of a leader whose process is gone, so that others may be voted for at once.
    pub(crate) fn let_go(&mut self, leader: MemberId) {
        let raft = &mut self.raw.raft;
        if raft.leader_id == leader.0 && raft.state != StateRole::Leader {
            let term = raft.term;
            raft.become_follower(term, 0);
            self.draw();
        }
    }

    pub(crate) fn campaign(&mut self) {
        if !self.is_leader() && self.votes() {
            // The error says that there is a change of votes to apply first; the next tick tries again.
            let _ = self.raw.campaign();
            self.draw();
        }
    }

    pub(crate) fn hand_leadership(&mut self, to: MemberId) {
        if self.is_leader() {
            self.raw.transfer_leader(to.0);
        }
    }

    /// Whether what it proposed is not applied yet.
    pub(crate) fn is_waiting(&self) -> bool {
        let (term, index) = self.proposed;
        term == self.term() && self.shelf().applied() < index
    }

    /// Proposes commands as one decision.
    pub(crate) fn propose(&mut self, at: u64, mut commands: Vec<Command>) {
        let command = match commands.len() {
            0 => return,
            1 => commands.remove(0),
            _ => Command::All { of: commands },
        };
        let entry = command::Entry { at, command };
        if self.is_leader() && self.raw.propose(Vec::new(), entry.encode()).is_ok() {
            self.proposed = (self.term(), self.raw.raft.raft_log.last_index());
        }
    }

    /// Whether votes may be changed now.
    pub(crate) fn can_change_votes(&self) -> bool {
        self.leads_knowingly()
            && !self.raw.raft.has_pending_conf()
            && self.shelf().conf().voters_outgoing.is_empty()
    }

    pub(crate) fn propose_change(&mut self, change: ConfChangeV2) {
        if self.raw.propose_conf_change(put_change(&change), change).is_ok() {
            self.proposed = (self.term(), self.raw.raft.raft_log.last_index());
        }
    }

    /// Whether a member has nearly all that was decided.
    pub(crate) fn is_close(&self, id: MemberId) -> bool {
        let committed = self.raw.raft.raft_log.committed;
        self.raw.raft.prs().get(id.0).is_some_and(|progress| progress.matched + 64 >= committed)
    }

    /// Asks the majority whether this one still leads.
    pub(crate) fn read(&mut self, number: u64) {
        self.raw.read_index(number.to_le_bytes().to_vec());
    }

    /// Takes a message that was [read](crate::raft_bytes::take_message); false where it cannot be from a member that
    /// follows the rules, and nothing was done.
    pub(crate) fn step(&mut self, mut message: Message) -> bool {
        if !self.is_fit(&mut message) {
            return false;
        }
        // Errors say that it came too late or from somebody who is no member any more: it counts as lost.
        let _ = self.raw.step(message);
        self.draw();
        true
    }

    /// What the library takes for granted of those whom it hears.
    fn is_fit(&self, message: &mut Message) -> bool {
        let raft = &self.raw.raft;
        let last = raft.raft_log.last_index();
        let from = message.from;
        let other_leader = message.term == raft.term && raft.leader_id != 0 && raft.leader_id != from;
        match message.get_msg_type() {
            MessageType::MsgAppend | MessageType::MsgSnapshot => !other_leader,
            MessageType::MsgHeartbeat => {
                message.commit = message.commit.min(last);
                !other_leader
            }
            MessageType::MsgAppendResponse => message.index <= last || message.reject,
            MessageType::MsgHeartbeatResponse => message.commit <= last,
            MessageType::MsgTimeoutNow => raft.leader_id == from,
            _ => true,
        }
    }

    /// Gives what there is to send and to keep, and applies what was decided.
    pub(crate) fn round(&mut self, durable: bool) -> Round {
        let mut round = Round::default();
        let mut keep = None;
        let (mut must_keep, mut whole) = (false, false);
        while self.raw.has_ready() {
            let mut ready = self.raw.ready();
            let rests = must_keep;
            let early = ready.take_messages();
            if rests { &mut round.late } else { &mut round.early }.extend(early);
            let shelf = self.raw.mut_store();
            if !ready.snapshot().is_empty() {
                shelf.install(ready.snapshot());
                whole = true;
                round.changed = true;
            }
            if let Some(hard) = ready.hs() {
                shelf.set_hard(hard.clone());
            }
            shelf.append(ready.entries());
            must_keep |= ready.must_sync();
            let first = ready.entries().first().map(|entry| entry.index);
            keep = keep.into_iter().chain(first).min();
            round.late.extend(ready.take_persisted_messages());
            round.reads.extend(ready.take_read_states().into_iter().filter_map(|read| {
                let number = <[u8; 8]>::try_from(read.request_ctx.as_slice()).ok()?;
                Some((u64::from_le_bytes(number), read.index))
            }));
            let decided = ready.take_committed_entries();
            let mut light = self.raw.advance_append(ready);
            if let Some(commit) = light.commit_index() {
                self.raw.mut_store().set_commit(commit);
            }
            round.late.extend(light.take_messages());
            round.changed |= self.apply(decided);
            round.changed |= self.apply(light.take_committed_entries());
            self.raw.advance_apply();
            self.draw();
        }
        let shelf = self.raw.mut_store();
        whole |= shelf.compact();
        if durable && (must_keep || whole) {
            let bytes = if whole { shelf.whole() } else { shelf.more(keep) };
            round.piece = Some(Piece { whole, bytes });
        }
        round
    }

    fn apply(&mut self, entries: Vec<raft::eraftpb::Entry>) -> bool {
        let mut changed = false;
        for entry in entries {
            if entry.get_entry_type() == EntryType::EntryConfChangeV2 {
                let change = take_change(&entry.context).expect("it was checked when it came");
                // The library says so where a change of votes cannot be: then there is none.
                if let Ok(conf) = self.raw.apply_conf_change(&change) {
                    self.raw.mut_store().set_conf(conf);
                    changed = true;
                }
            } else if let Some(command) = command::Entry::decode(&entry.data) {
                changed |= self.raw.mut_store().state.apply(command);
            }
            self.raw.mut_store().set_applied(entry.index, entry.term);
        }
        changed
    }

    /// Whether there is something for a [round](Consensus::round).
    pub(crate) fn is_ready(&self) -> bool {
        self.raw.has_ready()
    }
}
