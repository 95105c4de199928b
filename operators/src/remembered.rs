//! What a partition remembers of the requests that it has done: their answers, so that a repeat gives the first answer
//! and has no second effect.
//!
//! The numbers of a client's requests grow, and they come in their order, so the number of the last that was done tells
//! new requests from old ones for as long as the client is known, even where an old one's answer is forgotten. A client
//! says with every request up to which it has all answers; those are forgotten first. A key of a request is a client of
//! its own. When there is too much, a client with more than its share loses its oldest answer, or the client whose last
//! request is the oldest goes whole: then the *horizon*, the greatest such number, tells for requests of clients that are not known
//! whether they are new. For that, numbers are about the time at which a request was first made.
//!
//! INVARIANT: what is remembered is a function of the partition's records in their order, so that every copy of it, and
//! the partition after a recovery, answers a repeat in the same way.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};

use anabranch_model::message::{Once, RowsAnswer};
use anabranch_model::plan::OutputId;
use anabranch_model::record::{RecordError, RecordWriter, parse_answer};
use anabranch_model::rest::Rest;
use foldhash::fast::RandomState;

/// Answers that a partition remembers, at most.
pub const ANSWERS_REMEMBERED_MAX: usize = 16_384;

/// Bytes of those that have more to tell than how many rows were accepted, at most.
pub const ANSWERS_REMEMBERED_BYTES_MAX: usize = 1 << 20;

/// Answers that a client keeps at least when there are too many, where it has so many.
const ANSWERS_KEPT: usize = 64;

/// The format that is written.
const FORMAT: u8 = 1;

/// What stands in the place of the length of an answer that was lost.
const LOST: u32 = u32::MAX;

/// Requests that a partition has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    clients: HashMap<u64, Client, RandomState>,
    /// Clients that are not known may have had requests up to this number.
    horizon: u64,
    answers: usize,
    /// Bytes of the long answers.
    bytes: usize,
    /// The long answers, by the number of the request and the client.
    long: BTreeSet<(u64, u64)>,
    /// Every client once, with the number of its last request, or an older one.
    oldest: BinaryHeap<Reverse<(u64, u64)>>,
}

/// Requests of one client.
#[derive(Clone, Debug, Default, PartialEq)]
struct Client {
    /// Its requests up to this number are forgotten: it has the answers, or there were too many.
    forgotten: u64,
    /// The others that were done, by their numbers, growing; there is always one.
    done: VecDeque<(u64, Answered)>,
}

/// What a request was answered.
#[derive(Clone, Debug, PartialEq)]
enum Answered {
    /// So many rows were accepted, and nothing else is to be said: most are like this.
    Accepted(u32),
    /// The end of its record.
    Long(Box<[u8]>),
    /// It was done, but its answer cannot be told: there were too many long ones, or the flow has changed.
    Lost,
}

/// Whether a request was done before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// It was not.
    New,
    /// It was, with this answer ([`parse_answer`]).
    Done(Vec<u8>),
    /// It was, or may have been; the answer is forgotten.
    Forgotten,
}

impl Answered {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0] => Answered::Accepted(u32::from_le_bytes([*a, *b, *c, *d])),
            _ => Answered::Long(bytes.into()),
        }
    }

    /// Appends what [`answered`] reads: the length, and the answer.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Answered::Accepted(rows) => {
                out.extend_from_slice(&12_u32.to_le_bytes());
                out.extend_from_slice(&rows.to_le_bytes());
                out.extend_from_slice(&[0; 8]);
            }
            Answered::Long(bytes) => {
                out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Answered::Lost => out.extend_from_slice(&LOST.to_le_bytes()),
        }
    }

    fn seen(&self) -> Seen {
        match self {
            Answered::Accepted(rows) => {
                let mut bytes = vec![0; 12];
                bytes[..4].copy_from_slice(&rows.to_le_bytes());
                Seen::Done(bytes)
            }
            Answered::Long(bytes) => Seen::Done(bytes.to_vec()),
            Answered::Lost => Seen::Forgotten,
        }
    }
}

impl Client {
    /// The number of its last request.
    fn last(&self) -> u64 {
        self.done.back().map_or(self.forgotten, |(number, _)| *number)
    }

    fn at(&self, number: u64) -> Option<usize> {
        self.done.binary_search_by_key(&number, |(number, _)| *number).ok()
    }
}

impl Remembered {
    /// Whether a request was done before.
    #[inline]
    pub(crate) fn seen(&self, once: &Once) -> Seen {
        match self.clients.get(&once.client) {
            // Nearly every request is newer than all before it.
            Some(client) if once.number > client.last() => Seen::New,
            Some(client) => client.at(once.number).map_or(Seen::Forgotten, |at| client.done[at].1.seen()),
            None if once.number <= self.horizon => Seen::Forgotten,
            None => Seen::New,
        }
    }

    /// A request was done, with this answer ([`parse_answer`]). Whether it is newer than all of its client; else nothing
    /// is remembered of it, as it is none of those that [`Remembered::seen`] calls new.
    #[inline]
    pub(crate) fn remember(&mut self, once: &Once, answer: &[u8]) -> bool {
        let share = (ANSWERS_REMEMBERED_MAX / (self.clients.len() + 1)).max(ANSWERS_KEPT);
        let client = self.clients.entry(once.client).or_insert_with(|| {
            self.oldest.push(Reverse((once.number, once.client)));
            Client::default()
        });
        if client.done.back().is_some_and(|(last, _)| once.number <= *last) {
            return false;
        }
        let answered = Answered::of(answer);
        if let Answered::Long(bytes) = &answered {
            self.bytes += bytes.len();
            self.long.insert((once.number, once.client));
        }
        self.answers += 1;
        client.done.push_back((once.number, answered));
        client.forgotten = client.forgotten.max(once.answered);
        let has_answers = client.done.iter().take_while(|(number, _)| *number <= once.answered).count();
        let too_many =
            client.done.len() - has_answers > share && self.answers - has_answers > ANSWERS_REMEMBERED_MAX;
        let gone = (has_answers + usize::from(too_many)).min(client.done.len() - 1);
        for (number, answered) in client.done.drain(..gone) {
            client.forgotten = client.forgotten.max(number);
            self.answers -= 1;
            if let Answered::Long(bytes) = answered {
                self.bytes -= bytes.len();
                self.long.remove(&(number, once.client));
            }
        }
        while self.answers > ANSWERS_REMEMBERED_MAX {
            self.forget_client();
        }
        while self.bytes > ANSWERS_REMEMBERED_BYTES_MAX {
            self.lose_answer();
        }
        true
    }

    /// Forgets the client whose last request is the oldest.
    #[cold]
    fn forget_client(&mut self) {
        while let Some(Reverse((number, client))) = self.oldest.pop() {
            let last = self.clients.get(&client).map_or(number, Client::last);
            if last > number {
                self.oldest.push(Reverse((last, client)));
                continue;
            }
            let Some(gone) = self.clients.remove(&client) else { continue };
            self.horizon = self.horizon.max(last);
            self.answers -= gone.done.len();
            for (number, answered) in gone.done {
                if let Answered::Long(bytes) = answered {
                    self.bytes -= bytes.len();
                    self.long.remove(&(number, client));
                }
            }
            return;
        }
    }

    /// Loses the oldest long answer; that its request was done stays known.
    #[cold]
    fn lose_answer(&mut self) {
        let Some((number, client)) = self.long.pop_first() else { return };
        let Some(client) = self.clients.get_mut(&client) else { return };
        if let Some(at) = client.at(number)
            && let Answered::Long(bytes) = std::mem::replace(&mut client.done[at].1, Answered::Lost)
        {
            self.bytes -= bytes.len();
        }
    }

    /// The answers that have more than a count of accepted rows.
    pub(crate) fn long_answers(&self) -> impl Iterator<Item = Result<RowsAnswer, RecordError>> {
        let answer = |(number, client): &(u64, u64)| {
            let client = self.clients.get(client)?;
            let (_, Answered::Long(bytes)) = &client.done[client.at(*number)?] else { return None };
            Some(parse_answer(bytes))
        };
        self.long.iter().filter_map(answer)
    }

    /// The flow has a newer revision: its outputs have other numbers, or rows (`None`) in which old replies cannot be
    /// told.
    pub(crate) fn revise(&mut self, output: &impl Fn(OutputId) -> Option<OutputId>) {
        let Remembered { clients, long, bytes: all, .. } = self;
        long.retain(|(number, client)| {
            let Some(client) = clients.get_mut(client) else { return false };
            let Some(at) = client.at(*number) else { return false };
            let answered = &mut client.done[at].1;
            if let Answered::Long(bytes) = answered {
                *all -= bytes.len();
                *answered = revised(bytes, output).map_or(Answered::Lost, |bytes| Answered::of(&bytes));
            }
            match answered {
                Answered::Long(bytes) => {
                    *all += bytes.len();
                    true
                }
                Answered::Accepted(_) | Answered::Lost => false,
            }
        });
    }

    /// Appends all of it to `out`: what [`Remembered::read`] reads.
    ///
    /// Little endian: 1 format; 8 horizon; 4 clients, each: 8 number, 8 up to where its requests are forgotten, 4 requests,
    /// each: 8 number, 4 length of the answer (all ones: it is lost), the answer.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(&self.horizon.to_le_bytes());
        out.extend_from_slice(&(self.clients.len() as u32).to_le_bytes());
        let mut clients: Vec<_> = self.clients.iter().collect();
        clients.sort_unstable_by_key(|(number, _)| **number);
        for (number, client) in clients {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&client.forgotten.to_le_bytes());
            out.extend_from_slice(&(client.done.len() as u32).to_le_bytes());
            for (number, answered) in &client.done {
                out.extend_from_slice(&number.to_le_bytes());
                answered.write(out);
            }
        }
    }

    /// What [`Remembered::write`] wrote.
    ///
    /// # Errors
    /// The bytes are not that.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut rest = Rest(bytes);
        match rest.byte()? {
            FORMAT => {}
            other => return Err(RecordError::Format(other)),
        }
        let mut read = Remembered { horizon: rest.u64()?, ..Remembered::default() };
        for _ in 0..rest.u32()? {
            let number = rest.u64()?;
            let mut client = Client { forgotten: rest.u64()?, done: VecDeque::new() };
            for _ in 0..rest.u32()? {
                let (request, answered) = (rest.u64()?, answered(&mut rest)?);
                if client.done.back().is_some_and(|(last, _)| request <= *last) {
                    return Err(RecordError::Meaning("an order of requests"));
                }
                if let Answered::Long(bytes) = &answered {
                    read.bytes += bytes.len();
                    read.long.insert((request, number));
                }
                read.answers += 1;
                client.done.push_back((request, answered));
            }
            read.oldest.push(Reverse((client.last(), number)));
            if number == 0 || client.done.is_empty() || read.clients.insert(number, client).is_some() {
                return Err(RecordError::Meaning("a client"));
            }
        }
        if rest.0.is_empty() { Ok(read) } else { Err(RecordError::Meaning("bytes behind its end")) }
    }
}

/// How clients are ordered to find the oldest does not count: that is made again.
impl PartialEq for Remembered {
    fn eq(&self, other: &Self) -> bool {
        let of = |all: &Remembered| (all.horizon, all.answers, all.bytes);
        of(self) == of(other) && self.clients == other.clients && self.long == other.long
    }
}

/// An answer with other numbers of outputs.
fn revised(bytes: &[u8], output: &impl Fn(OutputId) -> Option<OutputId>) -> Option<Vec<u8>> {
    let answer = parse_answer(bytes).ok()?;
    let mut writer = RecordWriter::default();
    (0..answer.accepted).for_each(|_| writer.accept());
    answer.refusals.iter().for_each(|refusal| writer.refuse(refusal));
    for (row, of, bytes) in answer.replies.iter() {
        writer.reply(row, output(of)?, bytes);
    }
    let mut out = Vec::new();
    writer.finish_answer(&mut out);
    Some(out)
}

fn answered(rest: &mut Rest<'_>) -> Result<Answered, RecordError> {
    let length = rest.u32()?;
    if length == LOST {
        return Ok(Answered::Lost);
    }
    let bytes = rest.take(length as usize)?;
    parse_answer(bytes)?;
    Ok(Answered::of(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn once(client: u64, number: u64, answered: u64) -> Once {
        Once { client, number, answered, repeated: false }
    }

    /// An answer of so many accepted rows, with a reply or without.
    fn answer(accepted: u32, reply: Option<u16>) -> Vec<u8> {
        let mut writer = RecordWriter::default();
        (0..accepted).for_each(|_| writer.accept());
        if let Some(output) = reply {
            let mut row = vec![0; anabranch_model::row::ROW_HEADER_BYTES];
            row[0] = row.len() as u8;
            writer.reply(0, OutputId(output), &row);
        }
        let mut bytes = Vec::new();
        writer.finish_answer(&mut bytes);
        bytes
    }

    #[test]
    fn a_repeat_is_told_from_a_new_request_and_from_one_that_is_forgotten() {
        let mut remembered = Remembered::default();
        remembered.remember(&once(1, 10, 0), &answer(3, None));
        remembered.remember(&once(1, 12, 0), &answer(4, Some(0)));
        remembered.remember(&once(2, 11, 0), &answer(5, None));
        assert_eq!(remembered.seen(&once(1, 10, 0)), Seen::Done(answer(3, None)));
        assert_eq!(remembered.seen(&once(1, 12, 0)), Seen::Done(answer(4, Some(0))));
        assert_eq!(remembered.seen(&once(1, 11, 0)), Seen::Forgotten, "a client's requests come in order");
        assert_eq!(remembered.seen(&once(1, 13, 0)), Seen::New);
        assert_eq!(remembered.seen(&once(3, 1, 0)), Seen::New, "nobody was forgotten yet");
        // The client has the answers up to 10.
        remembered.remember(&once(1, 13, 10), &answer(1, None));
        assert_eq!(remembered.seen(&once(1, 10, 10)), Seen::Forgotten);
        assert_eq!(remembered.seen(&once(1, 12, 10)), Seen::Done(answer(4, Some(0))));
        assert_eq!(remembered.answers, 3);
    }

    /// However many requests others have, and however late a request comes: it is new where its client is known.
    #[test]
    fn clients_with_much_under_way_lose_their_own_oldest_answers_and_no_new_request_is_taken_for_old() {
        let (mut remembered, clients) = (Remembered::default(), 100);
        for round in 1..=400 {
            for client in 1..=clients {
                // The numbers of some clients are behind by a second.
                let once = once(client, round * 1000 - client % 7 * 150, 0);
                assert_eq!(remembered.seen(&once), Seen::New, "client {client} in round {round}");
                remembered.remember(&once, &answer(1, None));
            }
        }
        assert!(remembered.answers <= ANSWERS_REMEMBERED_MAX);
        assert_eq!((remembered.horizon, remembered.clients.len()), (0, 100), "nobody was forgotten");
        assert_eq!(remembered.seen(&once(7, 400_000, 0)), Seen::Done(answer(1, None)));
        assert_eq!(remembered.seen(&once(7, 1000, 0)), Seen::Forgotten);
    }

    #[test]
    fn keys_are_forgotten_in_the_order_of_their_numbers_and_are_known_to_be() {
        let mut remembered = Remembered::default();
        let keys = ANSWERS_REMEMBERED_MAX as u64 + 100;
        for key in 1..=keys {
            remembered.remember(&once(key * 3, 1000 + key, 0), &answer(1, None));
        }
        assert_eq!((remembered.answers, remembered.horizon), (ANSWERS_REMEMBERED_MAX, 1100));
        assert_eq!(remembered.seen(&once(300, 1100, 0)), Seen::Forgotten);
        assert_eq!(remembered.seen(&once(1, 1100, 0)), Seen::Forgotten, "nobody can know");
        assert_eq!(remembered.seen(&once(1, 1101, 0)), Seen::New);
        assert_eq!(remembered.seen(&once(303, 1101, 0)), Seen::Done(answer(1, None)));
    }

    /// A long body of rows under one key is one client with growing numbers: none of its batches is taken for old.
    #[test]
    fn a_client_alone_may_have_any_number_of_requests() {
        let mut remembered = Remembered::default();
        for number in 1..=3 * ANSWERS_REMEMBERED_MAX as u64 {
            assert_eq!(remembered.seen(&once(5, number, 0)), Seen::New);
            remembered.remember(&once(5, number, 0), &answer(1, None));
        }
        assert_eq!((remembered.answers, remembered.horizon), (ANSWERS_REMEMBERED_MAX, 0));
    }

    #[test]
    fn too_many_long_answers_lose_what_they_tell_but_not_that_they_were_given() {
        let mut remembered = Remembered::default();
        let long = vec![1; ANSWERS_REMEMBERED_BYTES_MAX / 2];
        for number in 1..=3 {
            remembered.remember(&once(number, number, 0), &long);
        }
        assert_eq!(remembered.seen(&once(1, 1, 0)), Seen::Forgotten);
        assert_eq!(remembered.seen(&once(2, 2, 0)), Seen::Done(long.clone()));
        assert_eq!(remembered.seen(&once(9, 1, 0)), Seen::New, "the horizon has not moved");
        remembered.remember(&once(4, 4, 0), &[1; ANSWERS_REMEMBERED_BYTES_MAX + 1]);
        assert_eq!(remembered.seen(&once(4, 4, 0)), Seen::Forgotten, "longer than all may be");
        assert_eq!(remembered.bytes, 0);
    }

    #[test]
    fn replies_follow_their_output_to_a_newer_revision_or_are_lost() {
        let mut remembered = Remembered::default();
        for (number, reply) in [(1, None), (2, Some(0)), (3, Some(1))] {
            remembered.remember(&once(1, number, 0), &answer(1, reply));
        }
        remembered.revise(&|output| (output.0 == 0).then_some(OutputId(4)));
        assert_eq!(remembered.seen(&once(1, 1, 0)), Seen::Done(answer(1, None)));
        assert_eq!(remembered.seen(&once(1, 2, 0)), Seen::Done(answer(1, Some(4))));
        assert_eq!(remembered.seen(&once(1, 3, 0)), Seen::Forgotten);
        assert_eq!(written_and_read(&remembered), remembered);
    }

    fn written_and_read(remembered: &Remembered) -> Remembered {
        let mut bytes = Vec::new();
        remembered.write(&mut bytes);
        Remembered::read(&bytes).expect("it was written so")
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_goes_on_alike(
            requests in prop::collection::vec((1_u64..5, 1_u64..50, 0_u64..20, prop::option::of(0_u16..3)), 0..60),
            read_at in 0_usize..60,
        ) {
            let (mut remembered, mut copy) = (Remembered::default(), None);
            for (at, (client, number, answered, reply)) in requests.into_iter().enumerate() {
                if at == read_at {
                    copy = Some(written_and_read(&remembered));
                    prop_assert_eq!(copy.as_ref(), Some(&remembered));
                }
                let once = once(client, number, answered.min(number - 1));
                if remembered.seen(&once) == Seen::New {
                    for remembered in [Some(&mut remembered), copy.as_mut()].into_iter().flatten() {
                        remembered.remember(&once, &answer(1, reply));
                    }
                }
            }
            prop_assert!(copy.is_none_or(|copy| copy == remembered));
        }

        #[test]
        fn bytes_from_outside_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = bytes.first_mut() {
                *first = FORMAT;
            }
            let _ = Remembered::read(&bytes);
        }
    }
}
