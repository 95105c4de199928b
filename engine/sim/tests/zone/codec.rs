//! What model nodes say to each other and keep, as bytes.

use anabranch_model::zone::Term;
use anabranch_replica::Ack;
use anabranch_sim::{Ask, Operation};

#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn of(kind: u8) -> Self {
        Writer(vec![kind])
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn maybe(self, value: Option<i64>) -> Self {
        self.number(u64::from(value.is_some())).number(value.unwrap_or(0) as u64)
    }

    pub(crate) fn ask(self, ask: &Ask) -> Self {
        let (kind, value) = match ask.what {
            Operation::Put(_, value) => (0, value),
            Operation::Delete(_) => (1, 0),
            Operation::Get(_) => (2, 0),
            Operation::Add(_, by) => (3, by),
            Operation::Count(_) => (4, 0),
        };
        let ids = self.number(ask.client).number(ask.number).number(ask.answered);
        ids.number(kind).number(value as u64).bytes(ask.what.key().as_bytes())
    }

    pub(crate) fn ack(self, ack: &Ack, first: bool) -> Self {
        let head = self.number(ack.epoch).number(ack.applied).number(ack.durable);
        let head =
            head.number(u64::from(first)).number(u64::from(ack.broken)).number(ack.fenced.len() as u64);
        ack.fenced.iter().fold(head, |head, number| head.number(*number))
    }
}

pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn kind(&mut self) -> u8 {
        let (kind, rest) = self.0.split_first().expect("a kind");
        self.0 = rest;
        *kind
    }

    pub(crate) fn number(&mut self) -> u64 {
        let (number, rest) = self.0.split_first_chunk().expect("a number");
        self.0 = rest;
        u64::from_le_bytes(*number)
    }

    pub(crate) fn bytes(&mut self) -> &'b [u8] {
        let length = self.number() as usize;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    pub(crate) fn text(&mut self) -> String {
        String::from_utf8(self.bytes().to_vec()).expect("a text")
    }

    pub(crate) fn maybe(&mut self) -> Option<i64> {
        let (there, value) = (self.number(), self.number() as i64);
        (there == 1).then_some(value)
    }

    pub(crate) fn ask(&mut self) -> Ask {
        let (client, number, answered) = (self.number(), self.number(), self.number());
        let (kind, value, key) = (self.number(), self.number() as i64, self.text());
        let what = match kind {
            0 => Operation::Put(key, value),
            1 => Operation::Delete(key),
            2 => Operation::Get(key),
            3 => Operation::Add(key, value),
            _ => Operation::Count(key),
        };
        Ask { client, number, answered, repeated: true, what }
    }

    pub(crate) fn ack(&mut self) -> (Ack, bool) {
        let (epoch, applied, durable) = (self.number(), self.number(), self.number());
        let (first, broken) = (self.number() == 1, self.number() == 1);
        let fenced = (0..self.number()).map(|_| self.number()).collect();
        (Ack { epoch, applied, durable, fenced, broken }, first)
    }

    pub(crate) fn term(&mut self) -> Term {
        Term(self.number())
    }
}
