//! Every key is linearizable: there is one order of its requests, in which each happens between being asked and being
//! answered and those of one client as it asked them, and which explains all answers.
//!
//! The search is the one of Wing and Gong (1993) with the memory of Lowe (2017): try what may come first, go on, and never
//! try a set of requests twice that leaves the same value.

use std::collections::{BTreeMap, HashSet};

use crate::history::{History, Request};
use crate::node::Operation;

/// Sets of requests that are remembered for one key at most; beyond that the search goes on without memory.
const REMEMBERED: usize = 1 << 20;

pub(crate) fn check(history: &History) -> Result<(), String> {
    for (key, requests) in history.by_key() {
        let mut search = Search::of(&requests);
        if !search.run(0, None) {
            let stuck: Vec<String> = search.stuck.iter().map(|at| requests[*at].to_string()).collect();
            return Err(format!("`{key}` is not linearizable, here none can be next: {}", stuck.join("; ")));
        }
    }
    Ok(())
}

/// A request, as the search needs it.
struct Step<'h> {
    request: &'h Request,
    /// When it was answered; never: the end of time.
    until: u64,
    /// The client's last request of the same key before it that must not be done later.
    before: Option<usize>,
}

struct Search<'h> {
    steps: Vec<Step<'h>>,
    done: Vec<bool>,
    /// The answered ones that are not done.
    missing: usize,
    tried: HashSet<(usize, u128, Option<i64>)>,
    /// How far the search has come, and what could have been next there.
    furthest: usize,
    stuck: Vec<usize>,
}

impl<'h> Search<'h> {
    fn of(requests: &[&'h Request]) -> Self {
        let mut last: BTreeMap<u64, usize> = BTreeMap::new();
        let steps = requests.iter().enumerate().map(|(at, request)| {
            let until = request.answered.map_or(u64::MAX, |(at, _)| at);
            let before = last.get(&request.client).copied();
            if !request.floats() {
                last.insert(request.client, at);
            }
            Step { request, until, before }
        });
        Search {
            steps: steps.collect(),
            done: vec![false; requests.len()],
            missing: requests.iter().filter(|request| request.answered.is_some()).count(),
            tried: HashSet::new(),
            furthest: 0,
            stuck: Vec::new(),
        }
    }

    /// Whether there is an order for what is not done, where all before `from` is.
    fn run(&mut self, from: usize, value: Option<i64>) -> bool {
        if self.missing == 0 {
            return true;
        }
        let from = (from..self.done.len()).find(|at| !self.done[*at]).unwrap_or(self.done.len());
        let next = self.candidates(from);
        let finished = self.done.len() - self.missing;
        if finished >= self.furthest {
            self.furthest = finished;
            self.stuck.clone_from(&next);
        }
        next.into_iter().any(|at| {
            let Some(after) = self.after(at, value) else { return false };
            self.set(at, true);
            let found = self.is_new(from, after) && self.run(from, after);
            self.set(at, false);
            found
        })
    }

    /// What may be next: nothing else was answered before it was asked, and its client's one before is done.
    fn candidates(&self, from: usize) -> Vec<usize> {
        let mut horizon = u64::MAX;
        let mut candidates = Vec::new();
        for (at, step) in self.steps.iter().enumerate().skip(from).filter(|(at, _)| !self.done[*at]) {
            // They are sorted by when they were asked.
            if step.request.asked_at > horizon {
                break;
            }
            horizon = horizon.min(step.until);
            if step.before.is_none_or(|before| self.done[before]) {
                candidates.push(at);
            }
        }
        candidates
    }

    fn set(&mut self, at: usize, done: bool) {
        self.done[at] = done;
        if self.steps[at].request.answered.is_some() {
            self.missing = if done { self.missing - 1 } else { self.missing + 1 };
        }
    }

    /// The value behind a request, where its answer is right. `Some(None)`: there is none.
    #[expect(clippy::option_option, reason = "whether it can be, and what there is then")]
    fn after(&self, at: usize, value: Option<i64>) -> Option<Option<i64>> {
        let request = self.steps[at].request;
        let told = request.answered.map(|(_, told)| told);
        let right = |value: Option<i64>| told.is_none_or(|told| told == value);
        match request.what {
            Operation::Put(_, new) => Some(Some(new)),
            Operation::Delete(_) => Some(None),
            Operation::Get(_) => right(value).then_some(value),
            Operation::Count(_) => {
                told.is_none_or(|told| told.unwrap_or(0) == value.unwrap_or(0)).then_some(value)
            }
            Operation::Add(_, by) => {
                let sum = Some(value.unwrap_or(0) + by);
                right(sum).then_some(sum)
            }
        }
    }

    /// Whether this set of requests was not tried yet with this value.
    fn is_new(&mut self, from: usize, value: Option<i64>) -> bool {
        let begin = (from..self.done.len()).find(|at| !self.done[*at]).unwrap_or(self.done.len());
        let window = &self.done[begin..];
        let length = window.iter().rposition(|done| *done).map_or(0, |last| last + 1);
        if length > 128 || self.tried.len() >= REMEMBERED {
            return true;
        }
        let bits = window[..length].iter().rev().fold(0u128, |bits, done| bits << 1 | u128::from(*done));
        self.tried.insert((begin, bits, value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::acknowledged::tests::{get, history, put};
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn overlapping_requests_may_have_happened_in_any_order() {
        let both = |first, second| {
            check(&history(&[
                (put(1), 0, Some((50, None))),
                (put(2), 10, Some((60, None))),
                (get(), 70, Some((80, Some(first)))),
                (get(), 90, Some((95, Some(second)))),
            ]))
        };
        assert_eq!((both(1, 1), both(2, 2)), (Ok(()), Ok(())));
        assert!(both(1, 2).is_err() && both(2, 1).is_err());
    }

    #[test]
    fn what_was_never_answered_may_have_happened_late_or_never() {
        let read = |value| check(&history(&[(put(1), 0, None), (get(), 500, Some((510, value)))]));
        assert_eq!((read(None), read(Some(1))), (Ok(()), Ok(())));
        assert!(read(Some(2)).is_err());
    }

    #[test]
    fn requests_of_one_client_keep_their_order() {
        let mut history = history(&[
            (put(1), 0, Some((50, None))),
            (put(2), 10, Some((60, None))),
            (get(), 70, Some((80, Some(1)))),
        ]);
        assert_eq!(check(&history), Ok(()));
        history.requests[1].client = history.requests[0].client;
        assert!(check(&history).is_err());
    }

    #[test]
    fn an_addition_that_is_done_twice_is_found() {
        let add = |by| Operation::Add("c".to_owned(), by);
        let twice = [(add(1), 0, Some((10, Some(1)))), (add(1), 20, Some((30, Some(3))))];
        assert!(check(&history(&twice)).is_err_and(|wrong| wrong.contains("`c`")));
    }

    /// Histories that were made by a register in one place, with answers that are late.
    #[test]
    fn what_happened_in_some_order_is_found_to_have() {
        for seed in 0..200 {
            let mut chance = Chance::new(seed);
            let (mut value, mut requests) = (None, Vec::new());
            for number in 0..60 {
                let happens = number * 10;
                let (asked, answered) = (happens - chance.below(60).min(happens), happens + chance.below(60));
                let what = match chance.below(3) {
                    0 => put(number as i64),
                    1 => Operation::Delete("k".to_owned()),
                    _ => get(),
                };
                match what {
                    Operation::Put(_, new) => value = Some(new),
                    Operation::Delete(_) => value = None,
                    _ => {}
                }
                let told = if what.only_reads() { value } else { None };
                requests.push((what, asked, Some((answered, told)).filter(|_| chance.below(9) > 0)));
            }
            requests.sort_by_key(|(_, asked, _)| *asked);
            assert_eq!(check(&history(&requests)), Ok(()), "seed {seed}");
        }
    }
}
