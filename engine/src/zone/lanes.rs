//! The lanes of one worker: what it sends to copies of what it owns, and what it takes as a copy.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use anabranch_model::message::{FlowId, WorkerId};
use anabranch_model::plan::Sync;
use anabranch_model::record::Record;
use anabranch_model::rest::Rest;
use anabranch_model::snapshot::Piece;
use anabranch_model::zone::{Group, Holder, MemberId, Owners, Term};
use anabranch_operators::{FlowPartition, GroupPlace, Records, RestoreError, What, Worker};
use anabranch_replica::{Ack, Copies, Item as Taken, Lost, Receiver, TakeError, Tenure};
use anabranch_wire::peer::PeerError;
use anabranch_wire::peer::lane::{self, Item, Lane, LaneId, LaneWriter, TablePart};

/// Bytes of items that wait at a copy for news of their terms, at most: as much as clients may have under way.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// Bytes of a piece of the state of a group.
const PIECE_BYTES: usize = 128 << 10;

/// Bytes of items that go out in one frame, at most, and one item.
const FRAME_BYTES: usize = 256 << 10;

/// A member that is being filled with the state of a group.
#[derive(Debug)]
struct Filling {
    group: Group,
    member: MemberId,
    place: GroupPlace,
    /// Whether what is acknowledged waits for it already.
    joins: bool,
    /// The number of what it was told to do.
    number: u64,
    /// The term in which it was told that the member has all: from then on it may be in sync at any time, so it is waited
    /// for until a view says otherwise.
    told: Option<Term>,
    /// Whether it is given up.
    void: bool,
}

/// Why a frame of a lane was not taken.
#[derive(Debug)]
pub(crate) enum Untaken {
    /// It is none.
    Unread(PeerError),
    /// It cannot be applied.
    Take(TakeError<RestoreError>),
}

impl fmt::Display for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Untaken::Unread(error) => error.fmt(f),
            Untaken::Take(error) => error.fmt(f),
        }
    }
}

/// All lanes of a worker.
#[derive(Debug)]
pub(crate) struct Lanes {
    me: WorkerId,
    copies: Copies,
    /// The epochs of the lanes to each member.
    epochs: BTreeMap<MemberId, u64>,
    filling: Vec<Filling>,
    receivers: BTreeMap<(MemberId, u32), Receiver>,
}

impl Lanes {
    pub(crate) fn new(me: WorkerId) -> Self {
        Lanes {
            me,
            copies: Copies::new(),
            epochs: BTreeMap::new(),
            filling: Vec::new(),
            receivers: BTreeMap::new(),
        }
    }

    /// How many of the worker's records are on all copies that they wait for: in memory, and as safe as they are kept.
    pub(crate) fn reached(&self) -> (u64, u64) {
        (self.copies.reached(Sync::Memory), self.copies.reached(Sync::Disk))
    }

    /// A member has so many workers: there are lanes to each of them, and from each.
    pub(crate) fn add(&mut self, member: MemberId, workers: u32) {
        let epoch = self.epochs.entry(member).or_insert(1);
        self.copies.add(member, workers, *epoch);
        for from in 0..workers {
            self.receivers.entry((member, from)).or_insert_with(|| Receiver::new(member, WAITING_BYTES_MAX));
        }
    }

    /// A member does not come back in this life. What some group waits for stays until a configuration says otherwise.
    pub(crate) fn remove(&mut self, member: MemberId, in_sync: impl Fn(Group) -> Vec<MemberId>) {
        self.unfill(|of| of.member == member, in_sync);
        if self.copies.remove(member) {
            *self.epochs.entry(member).or_insert(1) += 1;
            self.receivers.retain(|(from, _), _| *from != member);
        }
    }

    /// A member is filled with nothing any more. What it was said to have all of may be decided at any time: there it is
    /// waited for, until a view of a newer term has come ([`Lanes::give_up_void`]).
    pub(crate) fn stop_filling(&mut self, member: MemberId, in_sync: impl Fn(Group) -> Vec<MemberId>) {
        self.filling.iter_mut().filter(|of| of.member == member).for_each(|of| of.void = true);
        self.unfill(|of| of.member == member && of.told.is_none(), in_sync);
    }

    /// What was given up, and what a newer view has decided on without it, is waited for no longer.
    pub(crate) fn give_up_void(&mut self, owners: &Owners, in_sync: impl Fn(Group) -> Vec<MemberId>) {
        let newer = |of: &Filling| of.told.is_none_or(|told| owners.standing(of.group).term > told);
        self.unfill(|of| of.void && newer(of), in_sync);
    }

    fn unfill(&mut self, ends: impl Fn(&Filling) -> bool, in_sync: impl Fn(Group) -> Vec<MemberId>) {
        let ended: Vec<Group> = self.filling.extract_if(.., |of| ends(of)).map(|of| of.group).collect();
        ended.into_iter().for_each(|group| self.assign(group, &in_sync(group)));
    }

    /// Whether something waits for a member that is filled.
    pub(crate) fn joins(&self, member: MemberId) -> bool {
        self.filling.iter().any(|of| of.member == member && of.joins)
    }

    /// A member, for whom nothing waits, gets new lanes; whether there is a link to it.
    pub(crate) fn renew(&mut self, member: MemberId, workers: u32, linked: bool) {
        if !self.copies.remove(member) {
            return;
        }
        *self.epochs.entry(member).or_insert(1) += 1;
        self.add(member, workers);
        for worker in (0..workers).filter(|_| linked) {
            // It stands nowhere in what it has never heard of.
            if self.copies.reconnected(member, worker, &Ack::default()).is_err() {
                unreachable!("a new lane may begin")
            }
        }
    }

    /// The first words on a new link to a member: where this copy stands.
    pub(crate) fn stand(&mut self, member: MemberId) -> Vec<lane::Ack> {
        let me = self.me;
        let of_it = self.receivers.iter_mut().filter(|((from, _), _)| *from == member);
        of_it.map(|((_, from), receiver)| ack(receiver.stand(), WorkerId(*from), me, true)).collect()
    }

    /// There is no link to a member.
    pub(crate) fn unlinked(&mut self, member: MemberId) {
        self.copies.disconnected(member);
    }

    /// A group is owned here, and these must have what is acknowledged.
    pub(crate) fn own(&mut self, group: Group, in_sync: &[MemberId]) {
        self.filling.retain(|filling| filling.group != group || !in_sync.contains(&filling.member));
        self.assign(group, in_sync);
    }

    fn assign(&mut self, group: Group, in_sync: &[MemberId]) {
        let of_it = || self.filling.iter().filter(|filling| filling.group == group);
        let joining = of_it().filter(|filling| filling.joins).map(|filling| filling.member);
        let waits: Vec<MemberId> = in_sync.iter().copied().chain(joining).collect();
        let follow: Vec<MemberId> =
            of_it().filter(|filling| !filling.joins).map(|filling| filling.member).collect();
        if let Err(unknown) = self.copies.set(group, &waits, &follow) {
            unreachable!("lanes to {unknown:?} are made when it joins")
        }
    }

    /// A group is not owned here any more, or never was.
    pub(crate) fn lose(&mut self, group: Group) {
        self.filling.retain(|filling| filling.group != group);
        self.copies.lose(group);
    }

    /// A member is to get all of a group that is owned here.
    pub(crate) fn fill(
        &mut self,
        group: Group,
        member: MemberId,
        number: u64,
        in_sync: &[MemberId],
        worker: &Worker,
    ) {
        self.filling.retain(|filling| (filling.group, filling.member) != (group, member));
        // What it got before does not count.
        self.assign(group, in_sync);
        let place = worker.group_state(group);
        self.filling.push(Filling { group, member, place, joins: false, number, told: None, void: false });
        self.assign(group, in_sync);
    }

    /// Sends what the worker recorded: `count` is how many records it had made before.
    pub(crate) fn push(
        &mut self,
        records: &[(FlowId, Records)],
        owners: &Owners,
        worker: &Worker,
        count: u64,
        now: u64,
    ) {
        for (flow, records) in records {
            for (made, body) in records.iter().filter(|(made, _)| made.what == What::Step && !made.copied) {
                let Some(group) = worker.group(*flow, made.part) else { continue };
                let here = owners.standing(group).holder == Holder::Here;
                if !here {
                    continue;
                }
                let FlowPartition { of, number } = made.part;
                let part = TablePart { flow: *flow, number, of, copies: group.copies };
                let item = Item::Record { part, term: made.term, seq: made.seq, body };
                self.copies.push(group, number, count + 1, now, |out| item.write(out));
            }
        }
    }

    /// Goes on filling; the groups that members have whole by now.
    pub(crate) fn go_on(
        &mut self,
        worker: &Worker,
        owners: &Owners,
        in_sync: impl Fn(Group) -> Vec<MemberId>,
        now: u64,
    ) -> Vec<(Group, MemberId, u64)> {
        let (mut whole, mut joined) = (Vec::new(), Vec::new());
        for at in 0..self.filling.len() {
            let Lanes { copies, filling, .. } = self;
            let Filling { group, member, place, joins, number, told, void } = &mut filling[at];
            if *void {
                continue;
            }
            let term = owners.standing(*group).term;
            if *joins {
                if told.is_none() && copies.has_joined(*group, *member, Sync::Disk) {
                    *told = Some(term);
                    whole.push((*group, *member, *number));
                }
                continue;
            }
            while !place.is_done() {
                let takes =
                    copies.lanes().filter(|(to, ..)| to == member).all(|(.., lane)| lane.takes_piece());
                let Some(piece) = takes.then(|| worker.group_piece(place, PIECE_BYTES)).flatten() else {
                    break;
                };
                let item = Item::State { group: *group, term, piece: &piece.body };
                let lanes = copies.lanes().filter(|(to, ..)| to == member).count().max(1) as u32;
                copies.push_piece(*group, *member, piece.part.number % lanes, now, |out| item.write(out));
            }
            if place.is_done() && copies.has_pieces(*group, *member, Sync::Disk) {
                *joins = true;
                joined.push(*group);
            }
        }
        joined.into_iter().for_each(|group| self.assign(group, &in_sync(group)));
        whole
    }

    /// Frames that are to go out.
    pub(crate) fn frames(&mut self, mut send: impl FnMut(MemberId, Vec<u8>)) {
        let lanes: Vec<(MemberId, u32)> = self
            .copies
            .lanes()
            .filter(|(.., lane)| lane.has_next())
            .map(|(member, worker, _)| (member, worker))
            .collect();
        for (member, to) in lanes {
            let mut out = Vec::new();
            while let Some(frame) = self.copies.next(member, to, FRAME_BYTES) {
                let lane = LaneId { from: self.me, to: WorkerId(to), epoch: frame.epoch };
                let mut writer = LaneWriter::begin(&mut out, lane, frame.first);
                if writer.push_written(frame.bytes).is_err() {
                    unreachable!("an item fits into a frame of its own");
                }
                writer.finish();
            }
            send(member, out);
        }
    }

    /// Takes a frame of a member's lane.
    pub(crate) fn take(
        &mut self,
        from: MemberId,
        body: &[u8],
        owners: &Owners,
        worker: &mut Worker,
    ) -> Result<(), Untaken> {
        let lane = Lane::read(body).map_err(Untaken::Unread)?;
        let items: Vec<(Item<'_>, &[u8])> =
            lane.written().collect::<Result<_, _>>().map_err(Untaken::Unread)?;
        let Some(receiver) = self.receivers.get_mut(&(from, lane.id.from.0)) else { return Ok(()) };
        let taken = items.iter().map(|(item, bytes)| Taken { group: item.group(), term: item.term(), bytes });
        let worker = RefCell::new(worker);
        let known = |item: Taken<'_>| known(owners, &worker.borrow(), item);
        let apply = |item: Taken<'_>| apply(&mut worker.borrow_mut(), item, owners);
        receiver.take(lane.id.epoch, lane.first, taken, known, apply).map_err(Untaken::Take)
    }

    /// Whether something came that cannot be taken yet.
    pub(crate) fn waits(&self) -> bool {
        self.receivers.values().any(Receiver::waits)
    }

    /// More is known of who owns what, or a flow runs.
    pub(crate) fn resume(&mut self, owners: &Owners, worker: &mut Worker) -> Vec<(MemberId, Untaken)> {
        let mut failed = Vec::new();
        let worker = RefCell::new(worker);
        for ((from, _), receiver) in self.receivers.iter_mut().filter(|(_, receiver)| receiver.waits()) {
            let known = |item: Taken<'_>| known(owners, &worker.borrow(), item);
            let apply = |item: Taken<'_>| apply(&mut worker.borrow_mut(), item, owners);
            if let Err(error) = receiver.resume(known, apply) {
                failed.push((*from, Untaken::Take(error)));
            }
        }
        failed
    }

    /// What there is to acknowledge, where the worker's records up to `kept` are safe here.
    pub(crate) fn acks(&mut self, kept: u64, mut send: impl FnMut(MemberId, lane::Ack)) {
        let me = self.me;
        for ((member, from), receiver) in &mut self.receivers {
            if let Some(said) = receiver.ack(kept) {
                send(*member, ack(said, WorkerId(*from), me, false));
            }
        }
    }

    /// A member says what it has.
    pub(crate) fn acked(&mut self, member: MemberId, said: &lane::Ack) -> Result<(), Lost> {
        let ack = Ack {
            epoch: said.lane.epoch,
            applied: said.applied,
            durable: said.durable,
            fenced: said.fenced.clone(),
            broken: said.broken,
        };
        match said.first {
            true => self.copies.reconnected(member, said.lane.to.0, &ack),
            false => self.copies.acked(member, said.lane.to.0, &ack),
        }
    }

    /// Items under way to a member, and how old the oldest is.
    pub(crate) fn lag(&self, member: MemberId, now: u64) -> (u64, u64) {
        let lanes = self.copies.lanes().filter(|(to, ..)| *to == member);
        lanes.fold((0, 0), |(items, age), (.., lane)| {
            (items + lane.items_under_way(), age.max(lane.age(Sync::Disk, now).unwrap_or_default()))
        })
    }
}

fn ack(said: Ack, from: WorkerId, to: WorkerId, first: bool) -> lane::Ack {
    let Ack { epoch, applied, durable, fenced, broken } = said;
    lane::Ack { lane: LaneId { from, to, epoch }, applied, durable, fenced, first, broken }
}

/// What a copy knows of who owns an item's group; nothing yet where it does not run the item's flow, or an older revision.
fn known(owners: &Owners, worker: &Worker, item: Taken<'_>) -> Option<Tenure> {
    let group = item.group;
    let standing = owners.standing(group);
    let known = owners.class(group.copies).len() > usize::from(group.number) && runs(worker, item.bytes);
    known.then_some(Tenure { since: standing.tenure, term: standing.term, holder: standing.holder })
}

/// Whether the flow of an item runs, at its revision or a newer one. What cannot be read is told where it is applied.
fn runs(worker: &Worker, bytes: &[u8]) -> bool {
    let (flow, revision) = match Item::read(&mut Rest(bytes)) {
        Ok(Item::Record { part, body, .. }) => {
            (part.flow, Record::parse(body).ok().map(|record| record.of.revision))
        }
        Ok(Item::Reset { part, .. }) => (part.flow, None),
        Ok(Item::State { piece, .. }) => match Piece::parse(piece) {
            Ok(Piece::State(state)) => (state.flow, Some(state.revision)),
            _ => return true,
        },
        Err(_) => return true,
    };
    worker.runs(flow).is_some_and(|here| revision.is_none_or(|revision| revision <= here))
}

/// Applies an item; the count of the own records that keep it.
///
/// A copy that is being filled gets records of partitions before the first piece of them, which has their effects: they do
/// not follow anything there, and are passed over.
fn apply(worker: &mut Worker, taken: Taken<'_>, owners: &Owners) -> Result<u64, RestoreError> {
    let Ok(item) = Item::read(&mut Rest(taken.bytes)) else { unreachable!("it was read before") };
    let recorded = match item {
        Item::Record { part: TablePart { flow, number, of, .. }, term, seq, body } => {
            match worker.copy(flow, FlowPartition { of, number }, term, seq, body) {
                Err(RestoreError::Order { .. }) if !owners.has_copy(taken.group) => return Ok(0),
                copied => copied?,
            }
        }
        Item::Reset { part: TablePart { flow, number, of, .. }, .. } => {
            worker.reset(flow, FlowPartition { of, number })?
        }
        Item::State { piece, .. } => worker.copy_state(piece)?,
    };
    Ok(recorded.count)
}
