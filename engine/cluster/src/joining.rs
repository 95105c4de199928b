//! A node that asks to be taken in: at one address after the other, or where it was told that the leader is.

use crate::cluster::{Contact, Output};
use crate::frame::{Body, Frame};
use crate::member::Me;
use crate::outbox::Outbox;

/// Microseconds between two attempts to join.
const AGAIN: u64 = 250_000;

/// A node that asks.
#[derive(Debug)]
pub(crate) struct Joining {
    seeds: Vec<String>,
    next: usize,
    /// Where the leader is said to be; asked once.
    told: Option<String>,
    asked_at: Option<u64>,
}

impl Joining {
    pub(crate) fn new(seeds: Vec<String>) -> Joining {
        Joining { seeds, next: 0, told: None, asked_at: None }
    }

    pub(crate) fn tick(&mut self, me: &Me, out: &mut Outbox, now: u64) {
        if self.asked_at.is_some_and(|at| now < at + AGAIN) {
            return;
        }
        let told = self.told.take();
        let seed = || self.seeds.get(self.next % self.seeds.len().max(1)).cloned();
        let Some(address) = told.or_else(seed) else { return };
        self.next = self.next.wrapping_add(1);
        self.ask(address, me, out, now);
    }

    fn ask(&mut self, address: String, me: &Me, out: &mut Outbox, now: u64) {
        self.asked_at = Some(now);
        let body = Body::Ask { node: me.clone(), was: None };
        let frame = Frame { zone: 0, forced: 0, from: None, incarnation: me.incarnation, body };
        out.push(Output::Send { to: Contact { address, member: None }, bytes: frame.encode() });
    }

    /// The leader is elsewhere: asked at once, but not more often than otherwise when that goes in circles.
    pub(crate) fn redirect(&mut self, address: String, me: &Me, out: &mut Outbox, now: u64) {
        if self.told.is_none() {
            self.told = Some(address.clone());
            self.ask(address, me, out, now);
        }
    }
}
