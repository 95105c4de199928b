//! All lanes of one worker, and which of its records are on every copy that has to have them.

use std::fmt;

use anabranch_model::plan::Sync;
use anabranch_model::zone::{Group, MemberId, ZONE_PARTITIONS};

use crate::ack::Ack;
use crate::sender::{Frame, Lost, Sender};

/// What one worker of an owner sends to copies.
///
/// A group has members that it *waits for*: nothing that rests on a record of it is seen before they all have the record.
/// And it may have some that only *follow*: they get every record, too, because they are being filled.
///
/// INVARIANT: `reached` is the least of what the lanes say. So [`Copies::covers`] never says yes before each member that
/// the group waits for has said so, and what it has said it takes back only when a member is added to wait for.
#[derive(Debug)]
pub struct Copies {
    peers: Vec<Peer>,
    /// By number of copies, then by partition of the zone.
    classes: Vec<(u16, Vec<Members>)>,
    /// As [`Sender::count`] of each [`Sync`]: memory, disk.
    reached: [u64; 2],
    /// The bytes of a record that goes to several.
    written: Vec<u8>,
}

#[derive(Debug)]
struct Peer {
    member: MemberId,
    /// One for each of its workers.
    lanes: Vec<Sender>,
}

/// Who gets the records of a group.
#[derive(Clone, Debug, Default)]
struct Members {
    all: Vec<MemberId>,
    waits_for: Vec<MemberId>,
}

/// There are no lanes to this member: it has to be added first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown(pub MemberId);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} is to have copies and there are no lanes to it: add it first", self.0)
    }
}

impl std::error::Error for Unknown {}

impl Default for Copies {
    fn default() -> Self {
        Copies::new()
    }
}

impl Copies {
    /// Without copies: everything is covered.
    #[must_use]
    pub fn new() -> Self {
        Copies { peers: Vec::new(), classes: Vec::new(), reached: [u64::MAX; 2], written: Vec::new() }
    }

    /// Makes lanes to a member with so many workers, of this epoch (larger than that of earlier lanes to it). A member that
    /// has lanes keeps them; `false` then.
    pub fn add(&mut self, member: MemberId, workers: u32, epoch: u64) -> bool {
        let new = self.peer(member).is_none();
        if new {
            let lanes = (0..workers.max(1)).map(|_| Sender::new(epoch)).collect();
            self.peers.push(Peer { member, lanes });
        }
        new
    }

    /// Ends the lanes to a member that has left the zone, or has to be filled anew. It follows nothing any more; a member
    /// that some group waits for stays (`false`): only a new configuration may say that it is not waited for.
    pub fn remove(&mut self, member: MemberId) -> bool {
        let all = || self.classes.iter().flat_map(|(_, groups)| groups);
        if all().any(|members| members.waits_for.contains(&member)) {
            return false;
        }
        for members in self.classes.iter_mut().flat_map(|(_, groups)| groups) {
            members.all.retain(|other| *other != member);
        }
        self.peers.retain(|peer| peer.member != member);
        self.look_again();
        true
    }

    /// Says who gets the records of a group from now on: those that it waits for, and those that only follow. What was
    /// sent before to one that begins to follow does not count: it is to be filled from its beginning.
    ///
    /// # Errors
    /// A member has no lanes; nothing is changed.
    pub fn set(&mut self, group: Group, waits_for: &[MemberId], follow: &[MemberId]) -> Result<(), Unknown> {
        let mut all: Vec<MemberId> = waits_for.iter().chain(follow).copied().collect();
        all.sort_unstable();
        all.dedup();
        if let Some(unknown) = all.iter().find(|member| self.peer(**member).is_none()) {
            return Err(Unknown(*unknown));
        }
        self.assign(group, Members { all, waits_for: waits_for.to_vec() });
        Ok(())
    }

    /// This node has lost a group: its records go nowhere any more, and nothing waits for those that went. Whatever rests
    /// on them must not be seen (it is asked for again at the new owner), so this comes in one step with that.
    pub fn lose(&mut self, group: Group) {
        self.assign(group, Members::default());
    }

    fn assign(&mut self, group: Group, new: Members) {
        let old = std::mem::replace(self.members_mut(group), new.clone());
        for peer in &mut self.peers {
            let begins = new.all.contains(&peer.member) && !old.all.contains(&peer.member);
            let waits = new.waits_for.contains(&peer.member);
            for lane in &mut peer.lanes {
                if begins {
                    lane.forgive(group);
                }
                lane.wait_for(group, waits);
            }
        }
        self.look_again();
    }

    /// Sends the worker's record of this count (they grow, from 1) of a partition of this number to all that get it.
    /// `write` appends its bytes as they go out. To be called before anybody asks whether the record is covered.
    pub fn push(
        &mut self,
        group: Group,
        partition: u32,
        count: u64,
        now: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Copies { peers, classes, reached, written } = self;
        let Some(members) = members(classes, group).filter(|members| !members.all.is_empty()) else { return };
        written.clear();
        write(written);
        for peer in peers.iter_mut().filter(|peer| members.all.contains(&peer.member)) {
            let lane = partition as usize % peer.lanes.len();
            peer.lanes[lane].push(group, count, now, |bytes| bytes.extend_from_slice(written));
        }
        if !members.waits_for.is_empty() {
            *reached = reached.map(|reached| reached.min(count.saturating_sub(1)));
        }
    }

    /// Sends a piece of state of a group to one worker of a member that follows; `false` where it does not take one now.
    pub fn push_piece(
        &mut self,
        group: Group,
        member: MemberId,
        worker: u32,
        now: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let follows = members(&self.classes, group).is_some_and(|members| members.all.contains(&member));
        let lane = self.lane_mut(member, worker).filter(|lane| follows && lane.takes_piece());
        lane.map(|lane| lane.push_piece(group, now, write)).is_some()
    }

    /// Whether all records of this worker up to `count` are, as safe as `sync` says, on each copy that they wait for.
    #[inline]
    #[must_use]
    pub fn covers(&self, count: u64, sync: Sync) -> bool {
        self.reached[place(sync)] >= count
    }

    /// Up to which of this worker's records [`Copies::covers`] says yes; `u64::MAX` where it waits for nobody.
    #[must_use]
    pub fn reached(&self, sync: Sync) -> u64 {
        self.reached[place(sync)]
    }

    /// Whether a member has all pieces of state of a group that were sent to it ([`Sender::has_pieces`]).
    #[must_use]
    pub fn has_pieces(&self, group: Group, member: MemberId, sync: Sync) -> bool {
        self.peer(member).is_some_and(|peer| peer.lanes.iter().all(|lane| lane.has_pieces(group, sync)))
    }

    /// Whether a group waits for a member, and the member has all that was seen before it did ([`Sender::has_joined`]): it
    /// may become a copy that can own the group.
    #[must_use]
    pub fn has_joined(&self, group: Group, member: MemberId, sync: Sync) -> bool {
        self.peer(member).is_some_and(|peer| peer.lanes.iter().all(|lane| lane.has_joined(group, sync)))
    }

    /// There is a link to a member, and this is its first word on the lane to one of its workers.
    ///
    /// # Errors
    /// The lane cannot go on from there: the member has to be dropped from all groups, removed, and filled anew.
    pub fn reconnected(&mut self, member: MemberId, worker: u32, stand: &Ack) -> Result<(), Lost> {
        self.change(member, worker, |lane| lane.reconnected(stand))
    }

    /// A member says where one of its workers stands.
    ///
    /// # Errors
    /// As for [`Copies::reconnected`].
    pub fn acked(&mut self, member: MemberId, worker: u32, ack: &Ack) -> Result<(), Lost> {
        self.change(member, worker, |lane| lane.acked(ack))
    }

    fn change(
        &mut self,
        member: MemberId,
        worker: u32,
        what: impl FnOnce(&mut Sender) -> Result<(), Lost>,
    ) -> Result<(), Lost> {
        let Some(lane) = self.lane_mut(member, worker) else { return Ok(()) };
        what(lane)?;
        self.look_again();
        Ok(())
    }

    /// There is no link to a member any more.
    pub fn disconnected(&mut self, member: MemberId) {
        for peer in self.peers.iter_mut().filter(|peer| peer.member == member) {
            peer.lanes.iter_mut().for_each(Sender::disconnected);
        }
    }

    /// What is to go out on a lane now ([`Sender::next`]).
    pub fn next(&mut self, member: MemberId, worker: u32, bytes_most: usize) -> Option<Frame<'_>> {
        self.lane_mut(member, worker)?.next(bytes_most)
    }

    /// All lanes, each with its member and the worker there.
    pub fn lanes(&self) -> impl Iterator<Item = (MemberId, u32, &Sender)> {
        self.peers
            .iter()
            .flat_map(|peer| (0..).zip(&peer.lanes).map(|(worker, lane)| (peer.member, worker, lane)))
    }

    fn peer(&self, member: MemberId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.member == member)
    }

    fn lane_mut(&mut self, member: MemberId, worker: u32) -> Option<&mut Sender> {
        let peer = self.peers.iter_mut().find(|peer| peer.member == member)?;
        peer.lanes.get_mut(worker as usize)
    }

    fn members_mut(&mut self, group: Group) -> &mut Members {
        let place = match self.classes.iter().position(|(copies, _)| *copies == group.copies) {
            Some(place) => place,
            None => {
                self.classes.push((group.copies, vec![Members::default(); ZONE_PARTITIONS as usize]));
                self.classes.len() - 1
            }
        };
        &mut self.classes[place].1[usize::from(group.number) % ZONE_PARTITIONS as usize]
    }

    fn look_again(&mut self) {
        let lanes = || self.peers.iter().flat_map(|peer| &peer.lanes);
        self.reached = [Sync::Memory, Sync::Disk]
            .map(|sync| lanes().map(|lane| lane.count(sync)).min().unwrap_or(u64::MAX));
    }
}

fn members(classes: &[(u16, Vec<Members>)], group: Group) -> Option<&Members> {
    let (_, groups) = classes.iter().find(|(copies, _)| *copies == group.copies)?;
    groups.get(usize::from(group.number))
}

fn place(sync: Sync) -> usize {
    match sync {
        Sync::Memory => 0,
        Sync::Disk => 1,
    }
}

#[cfg(test)]
mod tests;
