//! What a partition remembers of the requests that it has done: their answers, so that a repeat gives the first answer
//! and has no second effect.
//!
//! A client says with every request up to which of its requests it has all answers; those are forgotten first. What is
//! left of clients that are gone, and of requests that are made once and by a key, goes when there is too much: the
//! requests with the lowest numbers, whoever made them. Numbers are about the time at which a request was first made, so
//! one number, the *horizon*, tells for every request that is not remembered whether it is new or was forgotten.
//!
//! INVARIANT: what is remembered is a function of the partition's records in their order, so that every copy of it, and
//! the partition after a recovery, answers a repeat in the same way.

use std::collections::{HashMap, VecDeque};

use anabranch_model::message::Once;
use anabranch_model::plan::OutputId;
use anabranch_model::record::{RecordError, RecordWriter, parse_answer};
use anabranch_model::rest::Rest;

/// Answers that a partition remembers, at most; more than a client may have under way (the window of a session).
pub const ANSWERS_REMEMBERED_MAX: usize = 16_384;

/// Bytes of them, at most; one longer answer alone stays.
pub const ANSWERS_REMEMBERED_BYTES_MAX: usize = 4 << 20;

/// What an answer takes beside its bytes.
const ANSWER_BYTES: usize = 40;

/// The format that is written.
const FORMAT: u8 = 1;

/// What stands in the place of the length of an answer that was lost.
const LOST: u32 = u32::MAX;

/// Requests that a partition has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Remembered {
    clients: HashMap<u64, Client>,
    /// Requests up to this number, by whomever, may have been forgotten.
    horizon: u64,
    answers: usize,
    bytes: usize,
}

/// Requests of one client.
#[derive(Clone, Debug, Default, PartialEq)]
struct Client {
    /// Its requests up to this number are forgotten: it has the answers.
    answered: u64,
    /// The others, by their numbers, growing. There is always one.
    done: VecDeque<(u64, Answered)>,
}

/// What a request was answered.
#[derive(Clone, Debug, PartialEq)]
enum Answered {
    /// So many rows were accepted, and nothing else is to be said: most are like this.
    Accepted(u32),
    /// The end of its record.
    Bytes(Box<[u8]>),
    /// It was done, but its answer could not be told any more after a change of the flow.
    Lost,
}

/// Whether a request was done before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// It was not.
    New,
    /// It was, with this answer ([`parse_answer`]).
    Done(Vec<u8>),
    /// It may have been; the answer is forgotten.
    Forgotten,
}

impl Answered {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0] => Answered::Accepted(u32::from_le_bytes([*a, *b, *c, *d])),
            _ => Answered::Bytes(bytes.into()),
        }
    }

    fn held_bytes(&self) -> usize {
        ANSWER_BYTES + if let Answered::Bytes(bytes) = self { bytes.len() } else { 0 }
    }

    fn seen(&self) -> Seen {
        match self {
            Answered::Accepted(rows) => {
                let mut bytes = vec![0; 12];
                bytes[..4].copy_from_slice(&rows.to_le_bytes());
                Seen::Done(bytes)
            }
            Answered::Bytes(bytes) => Seen::Done(bytes.to_vec()),
            Answered::Lost => Seen::Forgotten,
        }
    }
}

impl Remembered {
    /// Whether a request was done before.
    #[inline]
    pub(crate) fn seen(&self, once: &Once) -> Seen {
        if let Some(client) = self.clients.get(&once.client) {
            if once.number <= client.answered {
                return Seen::Forgotten;
            }
            // Nearly every request is newer than all before it.
            if client.done.back().is_some_and(|(last, _)| once.number <= *last)
                && let Ok(at) = client.done.binary_search_by_key(&once.number, |(number, _)| *number)
            {
                return client.done[at].1.seen();
            }
        }
        if once.number <= self.horizon { Seen::Forgotten } else { Seen::New }
    }

    /// A request was done, with this answer ([`parse_answer`]).
    #[inline]
    pub(crate) fn remember(&mut self, once: &Once, answer: &[u8]) {
        let answered = Answered::of(answer);
        self.answers += 1;
        self.bytes += answered.held_bytes();
        let client = self.clients.entry(once.client).or_default();
        client.answered = client.answered.max(once.answered);
        while let Some((_, gone)) = client.done.pop_front_if(|(number, _)| *number <= client.answered) {
            self.answers -= 1;
            self.bytes -= gone.held_bytes();
        }
        match client.done.back() {
            Some((last, _)) if once.number < *last => {
                let at = client.done.partition_point(|(number, _)| *number < once.number);
                client.done.insert(at, (once.number, answered));
            }
            _ => client.done.push_back((once.number, answered)),
        }
        if self.answers > ANSWERS_REMEMBERED_MAX || self.bytes > ANSWERS_REMEMBERED_BYTES_MAX {
            self.forget();
        }
    }

    /// Forgets the requests with the lowest numbers: a quarter of what there may be, so that it is seldom done.
    #[cold]
    fn forget(&mut self) {
        let all = self.clients.values().flat_map(|client| client.done.iter());
        let mut all: Vec<(u64, usize)> =
            all.map(|(number, answered)| (*number, answered.held_bytes())).collect();
        all.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        let (mut answers, mut bytes) = (0, 0);
        let kept = all.iter().position(|(_, held)| {
            (answers, bytes) = (answers + 1, bytes + held);
            // The newest stays, however long it is.
            answers > 1
                && (answers > ANSWERS_REMEMBERED_MAX / 4 * 3 || bytes > ANSWERS_REMEMBERED_BYTES_MAX / 4 * 3)
        });
        let Some(first_gone) = kept else { return };
        self.horizon = self.horizon.max(all[first_gone].0);
        let horizon = self.horizon;
        (self.answers, self.bytes) = (0, 0);
        self.clients.retain(|_, client| {
            client.done.retain(|(number, _)| *number > horizon);
            self.answers += client.done.len();
            self.bytes += client.done.iter().map(|(_, answered)| answered.held_bytes()).sum::<usize>();
            !client.done.is_empty()
        });
    }

    /// The flow has a newer revision: its outputs have other numbers, or rows (`None`) in which old replies cannot be
    /// told.
    pub(crate) fn revise(&mut self, output: &impl Fn(OutputId) -> Option<OutputId>) {
        let done = self.clients.values_mut().flat_map(|client| client.done.iter_mut());
        for (_, answered) in done {
            let Answered::Bytes(bytes) = answered else { continue };
            let before = ANSWER_BYTES + bytes.len();
            *answered = revised(bytes, output).map_or(Answered::Lost, |bytes| Answered::of(&bytes));
            self.bytes = self.bytes - before + answered.held_bytes();
        }
    }

    /// Appends all of it to `out`: what [`Remembered::read`] reads.
    ///
    /// Little endian: 1 format; 8 horizon; 4 clients, each: 8 number, 8 answered, 4 requests, each: 8 number, 4 length of
    /// the answer (all ones: it is lost), the answer.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(&self.horizon.to_le_bytes());
        out.extend_from_slice(&(self.clients.len() as u32).to_le_bytes());
        let mut clients: Vec<_> = self.clients.iter().collect();
        clients.sort_unstable_by_key(|(number, _)| **number);
        for (number, client) in clients {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&client.answered.to_le_bytes());
            out.extend_from_slice(&(client.done.len() as u32).to_le_bytes());
            for (number, answered) in &client.done {
                out.extend_from_slice(&number.to_le_bytes());
                match answered.seen() {
                    Seen::Done(bytes) => {
                        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                        out.extend_from_slice(&bytes);
                    }
                    Seen::New | Seen::Forgotten => out.extend_from_slice(&LOST.to_le_bytes()),
                }
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
            let mut client = Client { answered: rest.u64()?, done: VecDeque::new() };
            for _ in 0..rest.u32()? {
                let (number, answered) = (rest.u64()?, answered(&mut rest)?);
                if client.done.back().is_some_and(|(last, _)| number <= *last) {
                    return Err(RecordError::Meaning("an order of requests"));
                }
                read.answers += 1;
                read.bytes += answered.held_bytes();
                client.done.push_back((number, answered));
            }
            if number == 0 || client.done.is_empty() || read.clients.insert(number, client).is_some() {
                return Err(RecordError::Meaning("a client"));
            }
        }
        if rest.0.is_empty() { Ok(read) } else { Err(RecordError::Meaning("bytes behind its end")) }
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
        Once { client, number, answered }
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
        assert_eq!(remembered.seen(&once(1, 11, 0)), Seen::New, "another client has this number");
        assert_eq!(remembered.seen(&once(3, 1, 0)), Seen::New, "nothing was forgotten yet");
        // The client has the answers up to 10.
        remembered.remember(&once(1, 13, 10), &answer(1, None));
        assert_eq!(remembered.seen(&once(1, 10, 10)), Seen::Forgotten);
        assert_eq!(remembered.seen(&once(1, 12, 10)), Seen::Done(answer(4, Some(0))));
        assert_eq!(remembered.answers, 3);
    }

    #[test]
    fn the_oldest_requests_of_all_clients_go_first_and_are_known_to_be_forgotten() {
        let mut remembered = Remembered::default();
        for number in 1..=ANSWERS_REMEMBERED_MAX as u64 + 1 {
            remembered.remember(&once(1 + number % 7, number, 0), &answer(1, None));
        }
        assert_eq!(remembered.answers, ANSWERS_REMEMBERED_MAX / 4 * 3);
        let horizon = remembered.horizon;
        assert_eq!(remembered.seen(&once(1 + horizon % 7, horizon, 0)), Seen::Forgotten);
        assert_eq!(remembered.seen(&once(99, horizon, 0)), Seen::Forgotten, "nobody can know");
        assert_eq!(remembered.seen(&once(99, horizon + 1, 0)), Seen::New);
        let next = horizon + 1;
        assert_eq!(remembered.seen(&once(1 + next % 7, next, 0)), Seen::Done(answer(1, None)));
    }

    #[test]
    fn long_answers_count_by_their_bytes_and_the_newest_stays() {
        let mut remembered = Remembered::default();
        let long = vec![1; ANSWERS_REMEMBERED_BYTES_MAX + 1];
        remembered.remember(&once(1, 1, 0), &long);
        assert_eq!(remembered.seen(&once(1, 1, 0)), Seen::Done(long.clone()));
        remembered.remember(&once(2, 2, 0), &long);
        assert_eq!(remembered.seen(&once(1, 1, 0)), Seen::Forgotten);
        assert_eq!(remembered.seen(&once(2, 2, 0)), Seen::Done(long));
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
        fn what_is_written_is_read_again(
            requests in prop::collection::vec((1_u64..5, 1_u64..50, 0_u64..20, prop::option::of(0_u16..3)), 0..60)
        ) {
            let mut remembered = Remembered::default();
            for (client, number, answered, reply) in requests {
                let once = once(client, number, answered.min(number - 1));
                if remembered.seen(&once) == Seen::New {
                    remembered.remember(&once, &answer(1, reply));
                }
            }
            prop_assert_eq!(written_and_read(&remembered), remembered);
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
