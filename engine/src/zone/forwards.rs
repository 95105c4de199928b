//! Parts of requests that other nodes do, and those that wait until somebody may do them.
//!
//! INVARIANT: rows of one client for one partition reach whoever owns it in the order of the client's requests. Who has
//! turned away rows in its tenure takes none in it, and rows go to a newer owner only when all that were sent to an older
//! one, which lives, are answered ([`Forwards::closed`]). What waits goes on in the order of the requests, before
//! anything newer: the worker says from where on it divides requests by newer owners.

use std::collections::BTreeMap;

use anabranch_model::message::{Body, Forward};
use anabranch_model::zone::{Group, Holder, MemberId, Owners, Parts};

/// Of whom a part is, which gives the order among parts: a client, and the number of its request.
pub(crate) type Whose = (u64, u64);

/// A part that another node does.
#[derive(Debug)]
struct Sent {
    to: MemberId,
    whose: Whose,
    forward: Forward,
}

/// A part that nobody does at present.
#[derive(Debug)]
struct Waiting {
    /// The view that is newer than this one may let it go.
    behind: u64,
    /// Not before this time, in microseconds of the worker's clock.
    not_before: u64,
    forward: Forward,
}

/// Parts of requests that entered at one worker and are not done here.
#[derive(Debug, Default)]
pub(crate) struct Forwards {
    /// By number, in the order in which they were sent.
    sent: BTreeMap<u64, Sent>,
    last: u64,
    waiting: BTreeMap<Whose, Vec<Waiting>>,
}

impl Forwards {
    /// A part is sent to another node; its number.
    pub(crate) fn send(&mut self, to: MemberId, whose: Whose, forward: Forward) -> u64 {
        self.last += 1;
        self.sent.insert(self.last, Sent { to, whose, forward });
        self.last
    }

    /// The part of this number, if it was sent and is not answered.
    pub(crate) fn sent(&self, number: u64) -> Option<&Forward> {
        self.sent.get(&number).map(|sent| &sent.forward)
    }

    /// A part waits for a view behind this one.
    pub(crate) fn wait(&mut self, whose: Whose, forward: Forward, behind: u64) {
        self.waiting.entry(whose).or_default().push(Waiting { behind, not_before: 0, forward });
    }

    /// A part waits until this time.
    pub(crate) fn wait_until(&mut self, whose: Whose, forward: Forward, not_before: u64) {
        self.waiting.entry(whose).or_default().push(Waiting { behind: 0, not_before, forward });
    }

    /// A node has answered the part of this number: whose it is, and the part. Nothing where it was answered before, or
    /// taken back.
    pub(crate) fn answered(&mut self, by: MemberId, number: u64) -> Option<(Whose, Forward)> {
        self.sent.get(&number).filter(|sent| sent.to == by)?;
        self.sent.remove(&number).map(|sent| (sent.whose, sent.forward))
    }

    /// The numbers of what a node was sent and has not answered, in the order in which it was.
    pub(crate) fn unanswered(&self, by: MemberId) -> Vec<u64> {
        self.sent.iter().filter(|(_, sent)| sent.to == by).map(|(number, _)| *number).collect()
    }

    /// Takes back what was sent to nodes that do not live: it waits. Gives those parts that are not done by others: pages,
    /// of which the whole is asked for again.
    pub(crate) fn take_back(&mut self, lives: impl Fn(MemberId) -> bool) -> Vec<Forward> {
        let lost: Vec<Sent> =
            self.sent.extract_if(.., |_, sent| !lives(sent.to)).map(|(_, sent)| sent).collect();
        let mut pages = Vec::new();
        for Sent { whose, forward, .. } in lost {
            match forward.body {
                Body::Page { .. } => pages.push(forward),
                _ => self.wait(whose, forward, 0),
            }
        }
        pages
    }

    /// The groups whose rows have to wait, whoever owns them: some were sent to an owner before and are not answered.
    pub(crate) fn closed(&self, owners: &Owners) -> Vec<Group> {
        let sent = self.sent.values().flat_map(|sent| sent.forward.terms.iter());
        let older = sent.filter(|(group, tenure)| owners.standing(*group).tenure > *tenure);
        let mut closed: Vec<Group> = older.map(|(group, _)| group).collect();
        closed.sort_unstable();
        closed.dedup();
        closed
    }

    /// Whether something could go now that these owners are routed by, in a view of this version.
    pub(crate) fn is_ready(&self, owners: &Owners, version: u64, now: u64) -> bool {
        self.waiting.values().flatten().any(|waiting| waiting.goes(owners, version, now))
    }

    /// Takes what need not wait any longer where these owners are routed by, in the order of the requests.
    pub(crate) fn ready(&mut self, owners: &Owners, version: u64, now: u64) -> Vec<(Whose, Forward)> {
        let mut ready = Vec::new();
        for (whose, all) in &mut self.waiting {
            let goes = all.extract_if(.., |waiting| waiting.goes(owners, version, now));
            ready.extend(goes.map(|waiting| (*whose, waiting.forward)));
        }
        self.waiting.retain(|_, all| !all.is_empty());
        ready
    }
}

impl Waiting {
    fn goes(&self, owners: &Owners, version: u64, now: u64) -> bool {
        let touched = self.forward.terms.touched;
        let served = |group: Group| owners.standing(group).holder != Holder::Nobody;
        version > self.behind
            && now >= self.not_before
            && (touched.parts == Parts::NONE || touched.groups().any(served))
    }
}
