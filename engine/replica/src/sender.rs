//! The end of a lane at the owner.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use anabranch_model::plan::Sync;
use anabranch_model::zone::Group;

use crate::ack::Ack;
use crate::groups::Groups;

/// Items of a lane that the copy has not on its disk, at most: a copy that is further behind has to be dropped
/// ([`Sender::is_full`]).
pub const LANE_ITEMS_MAX: usize = 1 << 18;

/// Bytes of pieces of state that are under way on a lane, beyond which no further piece is taken.
pub const PIECE_BYTES_WINDOW: usize = 1 << 20;

/// Bytes of memory that an empty lane keeps for the next items.
const BYTES_KEPT: usize = 256 << 10;

/// Sends the items of a lane, and again where a link broke, and knows what the copy has.
///
/// The bytes of items lie behind each other, so that a frame is one piece of memory; they are there until the copy has
/// applied them, what is known of an item until the copy has it on its disk.
#[derive(Debug)]
pub struct Sender {
    epoch: u64,
    linked: bool,
    /// INVARIANT: `durable <= applied <= sent <= handed_out <= durable + items.len()`.
    durable: u64,
    applied: u64,
    /// What was handed out on this link, or was applied before.
    sent: u64,
    /// What was handed out on any link.
    handed_out: u64,
    /// The items behind `durable`.
    items: VecDeque<Kept>,
    /// Where the first of them begins, counted over all bytes of the lane.
    begin: u64,
    /// Bytes of the items behind `applied`, and of some before.
    bytes: Vec<u8>,
    /// Where these begin.
    bytes_begin: u64,
    /// Of pieces that the copy has not applied.
    piece_bytes: usize,
    /// The last piece of state of each group.
    last_pieces: BTreeMap<Group, u64>,
    /// Groups of which this copy must have every record.
    waits: Groups,
    /// For each of them the last item that was pushed before that was so.
    joins: BTreeMap<Group, u64>,
    /// Records of these groups that are not applied.
    unapplied: Held,
    /// And those that are not on the copy's disk.
    undurable: Held,
    /// Items that were fenced, until [`Sender::forgive`].
    fenced: Vec<Fenced>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Where it ends, counted over all bytes of the lane.
    end: u64,
    /// When it was pushed, in microseconds of a monotonic clock.
    pushed_at: u64,
    group: Group,
    what: What,
    is_piece: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// The record of the own worker of this count.
    Record(u64),
    /// A piece of state.
    Piece,
    /// Something that was fenced; told in `fenced`.
    Fenced,
    /// Something that nobody waits for any more.
    Forgiven,
}

#[derive(Clone, Copy, Debug)]
struct Fenced {
    group: Group,
    what: What,
    /// Whether the copy had said before that it has applied it.
    applied: bool,
}

/// Records that a copy must have and has not; numbers and counts grow.
#[derive(Debug, Default)]
struct Held(VecDeque<HeldRecord>);

#[derive(Clone, Copy, Debug)]
struct HeldRecord {
    number: u64,
    count: u64,
    group: Group,
}

impl Held {
    fn pass(&mut self, reached: u64) {
        while self.0.front().is_some_and(|held| held.number <= reached) {
            self.0.pop_front();
        }
    }
}

/// Items that go out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'s> {
    /// The lane.
    pub epoch: u64,
    /// The number of the first.
    pub first: u64,
    /// How many.
    pub items: u32,
    /// What was written when they were pushed, behind each other.
    pub bytes: &'s [u8],
}

/// A copy does not stand where the lane could go on: the lane is of no use, and the copy has to be filled anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What the copy said.
    pub said: Ack,
    /// Up to which item it had said before that it has applied.
    pub applied: u64,
    /// Up to which item it can have got any.
    pub sent: u64,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { said, applied, sent } = self;
        if said.broken {
            return f.write_str("the copy could not apply what it was sent: it has to be filled anew");
        }
        write!(
            f,
            "the copy says that it has items up to {} (on disk {}) of lane {}, which can be {applied} to {sent} only: it has to be filled anew",
            said.applied, said.durable, said.epoch
        )
    }
}

impl std::error::Error for Lost {}

impl Sender {
    /// A new lane, without a link. Lanes between the same two workers have growing epochs, from 1.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Sender {
            epoch,
            linked: false,
            durable: 0,
            applied: 0,
            sent: 0,
            handed_out: 0,
            items: VecDeque::new(),
            begin: 0,
            bytes: Vec::new(),
            bytes_begin: 0,
            piece_bytes: 0,
            last_pieces: BTreeMap::new(),
            waits: Groups::default(),
            joins: BTreeMap::new(),
            unapplied: Held::default(),
            undurable: Held::default(),
            fenced: Vec::new(),
        }
    }

    /// Appends the own worker's record of this count (they grow); `write` appends its bytes as they go out. `now` is in
    /// microseconds of a monotonic clock. The item's number.
    pub fn push(&mut self, group: Group, count: u64, now: u64, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let number = self.append(group, What::Record(count), now, write);
        if self.waits.contains(group) {
            let held = HeldRecord { number, count, group };
            self.unapplied.0.push_back(held);
            self.undurable.0.push_back(held);
        }
        number
    }

    /// Appends a piece of state; asked before: [`Sender::takes_piece`].
    pub fn push_piece(&mut self, group: Group, now: u64, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let before = self.bytes.len();
        let number = self.append(group, What::Piece, now, write);
        self.piece_bytes += self.bytes.len() - before;
        self.last_pieces.insert(group, number);
        number
    }

    fn append(&mut self, group: Group, what: What, now: u64, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        write(&mut self.bytes);
        let end = self.bytes_begin + self.bytes.len() as u64;
        self.items.push_back(Kept { end, pushed_at: now, group, what, is_piece: what == What::Piece });
        self.pushed()
    }

    /// The number of the last item.
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.durable + self.items.len() as u64
    }

    /// Whether a piece of state may be pushed.
    #[must_use]
    pub fn takes_piece(&self) -> bool {
        self.piece_bytes < PIECE_BYTES_WINDOW
    }

    /// Whether the copy is so far behind that it has to be dropped.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.items.len() >= LANE_ITEMS_MAX
    }

    /// What is to go out now: items of at most so many bytes, or one that has more. `None` while there is no link and
    /// where all has gone out.
    pub fn next(&mut self, bytes_most: usize) -> Option<Frame<'_>> {
        if !self.linked || self.sent == self.pushed() {
            return None;
        }
        let (first, begin) = (self.sent + 1, self.end_of(self.sent));
        let from = (self.sent - self.durable) as usize;
        let behind = self.items.range(from..).take(u32::MAX as usize);
        let fitting = behind.take_while(|item| item.end - begin <= bytes_most as u64).count().max(1);
        self.sent += fitting as u64;
        self.handed_out = self.handed_out.max(self.sent);
        let end = self.end_of(self.sent);
        let within = (begin - self.bytes_begin) as usize..(end - self.bytes_begin) as usize;
        Some(Frame { epoch: self.epoch, first, items: fitting as u32, bytes: &self.bytes[within] })
    }

    /// Whether something is to go out.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.linked && self.sent < self.pushed()
    }

    /// Where the item of this number ends; it is `durable` or behind.
    fn end_of(&self, number: u64) -> u64 {
        match number - self.durable {
            0 => self.begin,
            place => self.items[place as usize - 1].end,
        }
    }

    /// Whether there is a link, and the copy has said where it stands.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.linked
    }

    /// There is no link any more: nothing goes out until [`Sender::reconnected`].
    pub fn disconnected(&mut self) {
        self.linked = false;
    }

    /// There is a link, and this is the first word of the copy on it ([`Receiver::stand`](crate::Receiver::stand)): what
    /// it does not have goes out again.
    ///
    /// # Errors
    /// The copy does not stand where the lane can go on. Nothing is changed.
    pub fn reconnected(&mut self, stand: &Ack) -> Result<(), Lost> {
        let knows = stand.epoch == self.epoch;
        let ack = if knows { stand.clone() } else { Ack { epoch: self.epoch, ..Ack::default() } };
        if ack.applied < self.applied {
            return Err(self.lost(stand));
        }
        self.acked(&ack)?;
        self.sent = ack.applied;
        self.linked = true;
        Ok(())
    }

    /// The copy says where it stands. What it says of another lane is passed over.
    ///
    /// # Errors
    /// It cannot stand there. Nothing is changed.
    pub fn acked(&mut self, ack: &Ack) -> Result<(), Lost> {
        if ack.epoch != self.epoch {
            return Ok(());
        }
        let fits = ack.durable <= ack.applied && ack.applied <= self.handed_out;
        if ack.broken || !fits || ack.fenced.iter().any(|number| *number > ack.applied) {
            return Err(self.lost(ack));
        }
        // What is fenced does not count as applied, so it comes first.
        ack.fenced.iter().for_each(|number| self.fence(*number));
        self.pass_applied(ack.applied);
        self.pass_durable(ack.durable);
        Ok(())
    }

    fn lost(&self, said: &Ack) -> Lost {
        Lost { said: said.clone(), applied: self.applied, sent: self.handed_out }
    }

    fn fence(&mut self, number: u64) {
        if number <= self.durable {
            return;
        }
        let group = self.items[(number - self.durable) as usize - 1].group;
        for (number, item) in (self.durable + 1..=number).zip(&mut self.items) {
            if item.group == group && item.what != What::Forgiven {
                let what = std::mem::replace(&mut item.what, What::Fenced);
                if what != What::Fenced {
                    self.fenced.push(Fenced { group, what, applied: number <= self.applied });
                }
            }
        }
        for held in [&mut self.unapplied, &mut self.undurable] {
            held.0.retain(|held| held.group != group || held.number > number);
        }
    }

    fn pass_applied(&mut self, reached: u64) {
        if reached <= self.applied {
            return;
        }
        for number in self.applied + 1..=reached {
            let item = self.items[(number - self.durable) as usize - 1];
            if item.is_piece {
                self.piece_bytes -= (item.end - self.end_of(number - 1)) as usize;
            }
        }
        self.applied = reached;
        self.sent = self.sent.max(reached);
        self.unapplied.pass(reached);
        self.release(self.end_of(reached));
    }

    fn pass_durable(&mut self, reached: u64) {
        let passed = reached.saturating_sub(self.durable) as usize;
        if passed > 0 {
            self.begin = self.end_of(reached);
            self.items.drain(..passed);
            self.durable = reached;
            self.undurable.pass(reached);
        }
    }

    /// Lets go of bytes before `upto`, when they are the larger part: so each byte is moved once at most.
    fn release(&mut self, upto: u64) {
        let old = (upto - self.bytes_begin) as usize;
        if old == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(BYTES_KEPT);
        } else if old > self.bytes.len() / 2 {
            self.bytes.drain(..old);
        } else {
            return;
        }
        self.bytes_begin = upto;
    }

    /// Whether this copy has to have every record of a group. When it has those that were pushed before it had to, too,
    /// [`Sender::has_joined`].
    pub fn wait_for(&mut self, group: Group, waits: bool) {
        let changed = if waits { self.waits.insert(group) } else { self.waits.remove(group) };
        if !changed {
            return;
        }
        match waits {
            true => self.joins.insert(group, self.pushed()),
            false => self.joins.remove(&group),
        };
        (self.unapplied, self.undurable) = (self.hold_behind(self.applied), self.hold_behind(self.durable));
    }

    fn hold_behind(&self, reached: u64) -> Held {
        let behind = (self.durable + 1..).zip(&self.items).filter(|(number, _)| *number > reached);
        let held = behind.filter_map(|(number, item)| match item.what {
            What::Record(count) if self.waits.contains(item.group) => {
                Some(HeldRecord { number, count, group: item.group })
            }
            _ => None,
        });
        Held(held.collect())
    }

    /// The owner knows that it has lost a group: nobody waits any more for what it has sent of it.
    pub fn forgive(&mut self, group: Group) {
        self.fenced.retain(|fenced| fenced.group != group);
        self.last_pieces.remove(&group);
        for item in self.items.iter_mut().filter(|item| item.group == group) {
            item.what = What::Forgiven;
        }
        for held in [&mut self.unapplied, &mut self.undurable] {
            held.0.retain(|held| held.group != group);
        }
    }

    /// All records of the own worker up to this count, of groups of which the copy has to have every one, are applied
    /// there (`u64::MAX`: all that were pushed).
    #[must_use]
    pub fn applied_count(&self) -> u64 {
        self.count_before(&self.unapplied, |fenced| !fenced.applied)
    }

    /// Likewise on its disk.
    #[must_use]
    pub fn durable_count(&self) -> u64 {
        self.count_before(&self.undurable, |_| true)
    }

    /// Likewise as safe as `sync` says.
    #[must_use]
    pub fn count(&self, sync: Sync) -> u64 {
        match sync {
            Sync::Memory => self.applied_count(),
            Sync::Disk => self.durable_count(),
        }
    }

    fn count_before(&self, held: &Held, counts: impl Fn(&Fenced) -> bool) -> u64 {
        let fenced = self.fenced.iter().filter_map(|fenced| match fenced.what {
            What::Record(count) if self.waits.contains(fenced.group) && counts(fenced) => Some(count),
            _ => None,
        });
        let missing = held.0.front().map(|held| held.count).into_iter().chain(fenced).min();
        missing.map_or(u64::MAX, |count| count.saturating_sub(1))
    }

    fn reached(&self, sync: Sync) -> u64 {
        match sync {
            Sync::Memory => self.applied,
            Sync::Disk => self.durable,
        }
    }

    fn has(&self, group: Group, number: u64, sync: Sync) -> bool {
        number <= self.reached(sync) && self.fenced.iter().all(|fenced| fenced.group != group)
    }

    /// Whether all pieces of state of a group that were pushed are there, as safe as `sync` says, and nothing of the group
    /// was fenced.
    #[must_use]
    pub fn has_pieces(&self, group: Group, sync: Sync) -> bool {
        self.has(group, self.last_pieces.get(&group).copied().unwrap_or(0), sync)
    }

    /// Whether the copy has to have every record of a group, and has everything that was pushed before it had to, as safe
    /// as `sync` says: only then all that was ever seen of the group is there.
    #[must_use]
    pub fn has_joined(&self, group: Group, sync: Sync) -> bool {
        self.joins.get(&group).is_some_and(|number| self.has(group, *number, sync))
    }

    /// Items that the copy has not applied, as far as is known.
    #[must_use]
    pub fn items_under_way(&self) -> u64 {
        self.pushed() - self.applied
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes_under_way(&self) -> u64 {
        self.bytes_begin + self.bytes.len() as u64 - self.end_of(self.applied)
    }

    /// For how long the first item has waited that the copy has not as safe as `sync` says; in the unit of `now`.
    #[must_use]
    pub fn age(&self, sync: Sync, now: u64) -> Option<u64> {
        self.items
            .get((self.reached(sync) - self.durable) as usize)
            .map(|item| now.saturating_sub(item.pushed_at))
    }
}

#[cfg(test)]
mod tests;
