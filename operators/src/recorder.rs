//! Records of what the requests of a turn did, for whoever keeps them (a journal, other nodes).
//!
//! A record is what one request did in one partition: a request of many partitions has a record for each, because each
//! partition goes its own way when it moves to another node.

use std::collections::HashMap;

use anabranch_model::message::{Once, Refusal, RowsAnswer};
use anabranch_model::partition::{MAX_PARTITIONS, PartitionId};
use anabranch_model::plan::OutputId;
use anabranch_model::record::{Identity, RecordError, RecordWriter, parse_answer};
use anabranch_model::zone::{Group, Parts, Term};
use foldhash::fast::RandomState;

use crate::ownership::Ownership;
use crate::remembered::{Remembered, Seen};
use crate::restore::RestoreError;

/// Bytes that are kept for the next answer where there are no records.
const ANSWER_BYTES_KEPT: usize = 64 << 10;

/// A partition of a flow: partition `number` of those tables that have `of` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowPartition {
    /// How many partitions there are.
    pub of: u32,
    /// Which of them.
    pub number: u32,
}

impl FlowPartition {
    /// It, if there can be such a one.
    pub(crate) fn checked(self) -> Option<Self> {
        (self.number < self.of && self.of <= MAX_PARTITIONS).then_some(self)
    }
}

/// What a record tells of its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// What a request did (`anabranch_model::record`), here or at its owner.
    Step,
    /// A piece of its state, of which this is a copy (`anabranch_model::snapshot`): with where it stands it begins anew.
    State,
}

/// A record that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Where.
    pub part: FlowPartition,
    /// What it tells.
    pub what: What,
    /// Whether it was made at the owner, of whose partition this node has a copy; else copies have to have it.
    pub copied: bool,
    /// The term of the partition's group. It never falls, but where the partition begins anew.
    pub term: Term,
    /// Its number in the partition; grows by one, from 1. Of state: up to which record it has the effects at least.
    pub seq: u64,
    /// Where its body ends in [`Records::bytes`]; it begins where the one before ends.
    pub end: usize,
}

/// Records in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Each with its place.
    pub made: Vec<Made>,
    /// Their bodies.
    pub bytes: Vec<u8>,
}

impl Records {
    /// Each record with its body.
    pub fn iter(&self) -> impl Iterator<Item = (&Made, &[u8])> {
        let mut begin = 0;
        self.made.iter().map(move |made| {
            let body = &self.bytes[begin..made.end];
            begin = made.end;
            (made, body)
        })
    }
}

/// What was recorded of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Records that it made.
    pub(crate) made: u64,
    /// The last of the worker's records that its answer rests on.
    pub(crate) rests_on: u64,
    /// The partitions of the zone that it has reached; none where there is no zone.
    pub(crate) touched: Parts,
}

/// The last record of a partition.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: Position,
    /// Its number among the worker's records since the node started; 0 where it was made before.
    count: u64,
    /// The last record of it that was read from a journal; that before the first where none was.
    read: Position,
}

impl Last {
    /// What a record is to it.
    fn follows(&self, at: Position) -> Follows {
        match at {
            _ if at <= self.at => Follows::Had,
            _ if at.follows(self.at) => Follows::Next,
            _ => Follows::Not,
        }
    }
}

impl Default for Last {
    fn default() -> Self {
        Last { at: Position::BEGIN, count: 0, read: Position::BEGIN }
    }
}

/// A place in the history of a partition. What has a greater term has gone another way since the greater term began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) term: Term,
    pub(crate) seq: u64,
}

impl Position {
    /// Before the first record.
    pub(crate) const BEGIN: Position = Position { term: Term(0), seq: 0 };

    /// Whether this record is the next behind one.
    fn follows(self, before: Position) -> bool {
        self.seq.checked_sub(1) == Some(before.seq) && self.term >= before.term
    }
}

/// What to do with a record that comes from a journal or from its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// It is the next: do it again.
    Next,
    /// The rows have its effects, or those of what has taken its place: a snapshot had them.
    Had,
    /// It does not follow the one before it.
    Not,
}

/// Records what the steps of a flow do on one worker, and what its partitions remember of requests.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Whether records are wanted; else only repeats are recognised.
    keeps: bool,
    /// By partition number.
    writers: Vec<RecordWriter>,
    /// By what a repeat of the present request is recognised.
    once: Option<Once>,
    /// How many partitions there are where it is done.
    of: u32,
    /// How many nodes hold their rows.
    copies: u16,
    /// The version of the owners by which it was divided.
    divided: u64,
    /// Whether there is nothing to do before its steps.
    plain: bool,
    ownership: Ownership,
    /// Whether its step may change a table.
    writes: bool,
    /// The partitions that it has reached.
    touched: Vec<(PartitionId, Turn)>,
    /// By partition number: where in `touched` it stands, plus one; 0 where the request has not reached it.
    places: Vec<u32>,
    /// The partition of the present step, and where its changes began.
    step: Option<(PartitionId, usize)>,
    /// The last record of each partition.
    last: HashMap<FlowPartition, Last, RandomState>,
    /// Among the worker's records the last one of any of so many partitions.
    newest: HashMap<u32, u64, RandomState>,
    remembered: HashMap<FlowPartition, Remembered, RandomState>,
    /// When rows last found other partitions than before, in microseconds since 1970 UTC: a request of before that may be
    /// a repeat may have been done in another one.
    rerouted: u64,
    records: Records,
}

/// What is to be done with the rows of a request in a partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    /// Their steps.
    Run,
    /// Nothing: it was done before, with this answer.
    Repeat(Vec<u8>),
    /// Nothing: it may have been done before.
    Forgotten,
    /// Nothing: the partition is not served here.
    Elsewhere,
}

/// Of what kind a request is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// By what a repeat is recognised, where it will be repeated and its step may leave traces.
    pub(crate) once: Option<Once>,
    /// How many partitions its step has; none where it has no tables.
    pub(crate) of: Option<u32>,
    /// How many nodes hold their rows.
    pub(crate) copies: u16,
    /// Whether its step may change a table.
    pub(crate) writes: bool,
    /// The version of the owners by which it was divided.
    pub(crate) divided: u64,
}

impl Recorder {
    /// From now on there are records.
    pub(crate) fn keep(&mut self) {
        self.keeps = true;
    }

    /// Who serves what.
    pub(crate) fn ownership(&mut self) -> &mut Ownership {
        &mut self.ownership
    }

    /// Whether this node serves a group, and has since a request was divided.
    pub(crate) fn serves(&self, group: Group, divided: u64) -> bool {
        self.ownership.serves(group, divided).is_some()
    }

    /// A request of this kind begins.
    #[inline]
    pub(crate) fn request(&mut self, kind: Kind) {
        let Kind { once, of, copies, writes, divided } = kind;
        (self.once, self.of, self.writes) = (once, of.unwrap_or_default(), writes);
        (self.copies, self.divided) = (copies, divided);
        self.plain = !self.keeps && once.is_none() && self.ownership.is_alone();
    }

    /// The step of a row comes to a partition: what is to be done there.
    #[inline]
    pub(crate) fn begin(&mut self, partition: PartitionId) -> &Turn {
        if self.plain {
            return &Turn::Run;
        }
        let at = partition.0 as usize;
        if self.places.get(at).is_none_or(|place| *place == 0) {
            self.reach(partition);
        }
        let turn = &self.touched[self.places[at] as usize - 1].1;
        if *turn == Turn::Run {
            self.step = Some((partition, self.writers[at].mark()));
        }
        turn
    }

    /// The present request reaches a partition.
    fn reach(&mut self, partition: PartitionId) {
        let at = partition.0 as usize;
        if self.writers.len() <= at {
            let writer = if self.keeps { RecordWriter::default } else { RecordWriter::of_answers };
            self.writers.resize_with(at + 1, writer);
            self.places.resize(at + 1, 0);
        }
        let part = FlowPartition { of: self.of, number: partition.0 };
        let turn = if self.is_served(part) { self.turn(part) } else { Turn::Elsewhere };
        self.touched.push((partition, turn));
        self.places[at] = self.touched.len() as u32;
    }

    /// Whether a partition is served here, and has been since the present request was divided.
    ///
    /// INVARIANT: the terms of a partition's records do not fall: who knows an older term than the last record has is no
    /// owner any more.
    fn is_served(&self, part: FlowPartition) -> bool {
        if self.ownership.is_alone() {
            return true;
        }
        let term = self.ownership.serves(self.group(part), self.divided);
        let last = self.last.get(&part).map_or(Position::BEGIN, |last| last.at);
        term.is_some_and(|term| term >= last.term)
    }

    /// The group of a partition of the present request.
    fn group(&self, part: FlowPartition) -> Group {
        Group::of(self.copies.into(), part.number, part.of)
    }

    /// What is to be done in a partition that is served here.
    fn turn(&self, part: FlowPartition) -> Turn {
        let seen = match (&self.once, self.remembered.get(&part)) {
            (Some(once), Some(remembered)) => remembered.seen(once),
            _ => Seen::New,
        };
        let elsewhere = |once: &Once| once.repeated && once.number <= self.rerouted;
        let seen = match seen {
            Seen::New if self.once.as_ref().is_some_and(elsewhere) => Seen::Forgotten,
            seen => seen,
        };
        match seen {
            Seen::New => Turn::Run,
            Seen::Done(answer) => Turn::Repeat(answer),
            Seen::Forgotten => Turn::Forgotten,
        }
    }

    /// What the present step writes to.
    #[inline]
    pub(crate) fn writer(&mut self) -> Option<&mut RecordWriter> {
        let (partition, _) = self.step?;
        self.writers.get_mut(partition.0 as usize)
    }

    /// The present step has ended: with these replies to its row, or refused.
    #[inline]
    pub(crate) fn end<'r>(
        &mut self,
        refusal: Option<&Refusal>,
        replies: impl Iterator<Item = (u32, OutputId, &'r [u8])>,
    ) {
        let Some((partition, mark)) = self.step.take() else { return };
        let writer = &mut self.writers[partition.0 as usize];
        match refusal {
            None => {
                writer.accept();
                replies.for_each(|(row, output, bytes)| writer.reply(row, output, bytes));
            }
            Some(refusal) => {
                writer.truncate(mark);
                writer.refuse(refusal);
            }
        }
    }

    /// The request has ended, in a flow of this revision; the worker had made `count` records before it. What was done
    /// before is told to `repeat`.
    pub(crate) fn finish(&mut self, revision: i64, count: u64, mut repeat: impl FnMut(RowsAnswer)) -> Kept {
        let identity = Identity { once: self.once, revision };
        let mut kept = Kept::default();
        let mut touched = std::mem::take(&mut self.touched);
        for (partition, turn) in touched.drain(..) {
            self.places[partition.0 as usize] = 0;
            let part = FlowPartition { of: self.of, number: partition.0 };
            let mut term = Term::FIRST;
            if !self.ownership.is_alone() && turn != Turn::Elsewhere {
                let group = self.group(part);
                kept.touched.insert(group.number);
                term = self.ownership.owners().standing(group).term;
            }
            let last = self.last.entry(part).or_default();
            let writer = &mut self.writers[partition.0 as usize];
            if let Turn::Repeat(answer) = &turn {
                repeat(parse_answer(answer).unwrap_or_else(|error| unreachable!("{error}: {answer:?}")));
            }
            // What will be repeated is remembered even where it has changed nothing: later it might.
            // What only reads is not kept, not even that it was refused.
            let idle = writer.is_idle() || !self.writes;
            if turn != Turn::Run || idle && self.once.is_none() {
                writer.clear();
            } else {
                let bytes = &mut self.records.bytes;
                let begin = bytes.len();
                let answer = if self.keeps {
                    kept.made += 1;
                    let at = Position { term: term.max(last.at.term), seq: last.at.seq + 1 };
                    *last = Last { at, count: count + kept.made, ..*last };
                    self.newest.insert(self.of, last.count);
                    writer.finish(identity, bytes)
                } else {
                    writer.finish_answer(bytes);
                    begin
                };
                if let Some(once) = &self.once {
                    self.remembered.entry(part).or_default().remember(once, &bytes[answer..]);
                }
                match self.keeps {
                    true => {
                        let Position { term, seq } = last.at;
                        let end = bytes.len();
                        let made = Made { part, what: What::Step, copied: false, term, seq, end };
                        self.records.made.push(made);
                    }
                    false => {
                        bytes.clear();
                        bytes.shrink_to(ANSWER_BYTES_KEPT);
                    }
                }
            }
            if turn != Turn::Elsewhere {
                kept.rests_on = kept.rests_on.max(last.count);
            }
        }
        self.touched = touched;
        self.once = None;
        kept
    }

    /// Records what was done in a copy: `body` tells `what`, and the partition stands there now. The worker had made `count`
    /// records before.
    pub(crate) fn copied(
        &mut self,
        part: FlowPartition,
        what: What,
        at: Position,
        body: &[u8],
        count: u64,
    ) -> Kept {
        let last = self.last.entry(part).or_default();
        last.at = at;
        if !self.keeps {
            return Kept::default();
        }
        last.count = count + 1;
        self.newest.insert(part.of, last.count);
        self.records.bytes.extend_from_slice(body);
        let (Position { term, seq }, end) = (at, self.records.bytes.len());
        self.records.made.push(Made { part, what, copied: true, term, seq, end });
        Kept { made: 1, rests_on: last.count, touched: Parts::NONE }
    }

    /// Where a partition stands.
    pub(crate) fn position(&self, part: FlowPartition) -> Position {
        self.last.get(&part).map_or(Position::BEGIN, |last| last.at)
    }

    /// What a reader of a partition rests on.
    pub(crate) fn read(&self, part: FlowPartition) -> Kept {
        Kept { rests_on: self.last.get(&part).map_or(0, |last| last.count), ..Kept::default() }
    }

    /// What a reader of all partitions rests on, where there are so many.
    pub(crate) fn read_all(&self, of: u32) -> Kept {
        Kept { rests_on: self.newest.get(&of).copied().unwrap_or_default(), ..Kept::default() }
    }

    /// What was recorded since the last time.
    pub(crate) fn take(&mut self) -> Records {
        std::mem::take(&mut self.records)
    }

    /// A record of a partition was read from a journal. The first may be any that the partition has, as it stands, or
    /// the next; each further one follows the one before it.
    pub(crate) fn restore(&mut self, part: FlowPartition, at: Position) -> Follows {
        let last = self.last.entry(part).or_default();
        if at.seq == 0 || last.read != Position::BEGIN && !at.follows(last.read) {
            return Follows::Not;
        }
        let follows = last.follows(at);
        if follows != Follows::Not {
            last.read = at;
        }
        if follows == Follows::Next {
            last.at = at;
        }
        follows
    }

    /// What a record of a partition is to it.
    pub(crate) fn follows(&self, part: FlowPartition, at: Position) -> Follows {
        self.last.get(&part).copied().unwrap_or_default().follows(at)
    }

    /// A record that was read from a journal tells that a request was done, with this answer. Whether it can have been:
    /// not where the client had done it, or a newer one, before.
    pub(crate) fn remember(&mut self, part: FlowPartition, once: &Once, answer: &[u8]) -> bool {
        self.remembered.entry(part).or_default().remember(once, answer)
    }

    /// The partitions that have records, in no order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = FlowPartition> {
        self.last.keys().copied()
    }

    /// Where a partition stands: its last record, and what it remembers (bytes for [`Recorder::restore_head`]).
    pub(crate) fn head(&self, part: FlowPartition) -> (Position, Vec<u8>) {
        let mut bytes = Vec::new();
        if let Some(remembered) = self.remembered.get(&part) {
            remembered.write(&mut bytes);
        }
        (self.position(part), bytes)
    }

    /// A partition begins anew where [`Recorder::head`] said; `check` looks at the answers that have more than a count.
    ///
    /// # Errors
    /// The bytes are not what it gave; what `check` finds wrong. Nothing has changed.
    pub(crate) fn restore_head(
        &mut self,
        part: FlowPartition,
        at: Position,
        remembered: &[u8],
        check: impl Fn(&RowsAnswer) -> Result<(), RestoreError>,
    ) -> Result<(), RestoreError> {
        // Half of the numbers are enough for ever, and nothing overflows.
        if at.seq > u64::MAX / 2 || at.term.0 > u64::MAX / 2 {
            return Err(RecordError::Meaning("a number of a record").into());
        }
        let remembered = match remembered {
            [] => None,
            bytes => {
                let remembered = Remembered::read(bytes)?;
                remembered.long_answers().try_for_each(|answer| check(&answer?))?;
                Some(remembered)
            }
        };
        let last = self.last.entry(part).or_default();
        *last = Last { at, read: Position::BEGIN, ..*last };
        match remembered {
            Some(remembered) => drop(self.remembered.insert(part, remembered)),
            None => drop(self.remembered.remove(&part)),
        }
        Ok(())
    }

    /// Rows may find other partitions than before this time.
    pub(crate) fn reroute(&mut self, at: u64) {
        self.rerouted = self.rerouted.max(at);
    }

    /// When rows last found other partitions.
    pub(crate) fn rerouted(&self) -> u64 {
        self.rerouted
    }

    /// The flow has a newer revision, with other numbers of its outputs ([`Remembered::revise`]).
    pub(crate) fn revise(&mut self, output: &impl Fn(OutputId) -> Option<OutputId>) {
        self.remembered.values_mut().for_each(|remembered| remembered.revise(output));
    }
}
