//! What has left a worker's dataflow and may not be seen yet, because the records that it rests on are not safe.

use std::collections::VecDeque;

use anabranch_model::message::{Asked, Delivery, FlowId, Part, Recorded};
use anabranch_model::plan::Sync;
use anabranch_model::zone::Touched;

use crate::safe::{Condition, Safe};

/// Deliveries that wait, each for records of one worker.
#[derive(Debug)]
pub(crate) struct Held {
    safe: Safe,
    /// Until when anything may be let out, in microseconds of the node's clock that only goes forward. It comes to each worker
    /// behind the view by which it was given, so that none lets out what a newer owner has changed.
    lease: u64,
    waiting: Vec<Queues>,
}

/// What rests on the records of one worker, in order: what is emitted does not go before what was emitted earlier.
#[derive(Debug, Default)]
struct Queues {
    /// What waits for the disk.
    synced: VecDeque<(Recorded, Delivery)>,
    /// What waits to be written.
    written: VecDeque<(Recorded, Delivery)>,
}

/// What happens to a delivery.
#[derive(Debug)]
pub(crate) enum Release {
    /// It may be seen.
    Out(Delivery),
    /// What it rests on will not be safe, for this reason.
    Lost(Delivery, String),
}

impl Held {
    pub(crate) fn new(safe: Safe) -> Self {
        let waiting = (0..safe.workers()).map(|_| Queues::default()).collect();
        Held { safe, lease: u64::MAX, waiting }
    }

    /// Anything may be let out until this time.
    pub(crate) fn lease_until(&mut self, until: u64) {
        self.lease = until;
    }

    /// Whether records become safe.
    pub(crate) fn safe(&self) -> &Safe {
        &self.safe
    }

    /// Takes a delivery of a worker that had made these records, at time `now`, in microseconds of the node's clock that only
    /// goes forward; gives it back where it may be seen now.
    #[inline]
    pub(crate) fn take(&mut self, recorded: Recorded, delivery: Delivery, now: u64) -> Option<Delivery> {
        let (rests_on, sync) = match &delivery {
            Delivery::Part { part, .. } => (part.rests_on, part.sync),
            Delivery::Emitted(.., sync, _) | Delivery::Refused(.., sync, _) => (recorded, *sync),
            Delivery::Forward(_) | Delivery::Owners(_) => return Some(delivery),
        };
        let queues = &mut self.waiting[rests_on.by.0 as usize];
        let waiting = match sync {
            Sync::Disk => &mut queues.synced,
            Sync::Memory => &mut queues.written,
        };
        // An answer whose records are safe does not stand behind others: a reader must not wait for a writer.
        let first = waiting.is_empty() || matches!(delivery, Delivery::Part { .. });
        let safe = first && self.safe.covers(rests_on, sync) && (now < self.lease);
        if safe || self.safe.planted().lets_out(&delivery) {
            return Some(delivery);
        }
        waiting.push_back((rests_on, delivery));
        if sync == Sync::Memory {
            self.safe.want_written();
        }
        None
    }

    /// The next that need not wait any longer at time `now`.
    pub(crate) fn next(&mut self, now: u64) -> Option<Release> {
        let safe = &self.safe;
        if now >= self.lease {
            return None;
        }
        self.waiting.iter_mut().find_map(|queues| {
            next_of(&mut queues.synced, Sync::Disk, safe)
                .or_else(|| next_of(&mut queues.written, Sync::Memory, safe))
        })
    }

    /// Takes what rests on what is lost; of what was emitted nothing is to be seen.
    pub(crate) fn take_lost(&mut self, lost: impl Fn(Touched) -> bool) -> Vec<Delivery> {
        let is_lost = |delivery: &Delivery| match delivery {
            Delivery::Part { part, .. } => lost(part.touched),
            Delivery::Emitted(.., touched) | Delivery::Refused(.., touched) => lost(*touched),
            Delivery::Forward(_) | Delivery::Owners(_) => false,
        };
        let mut taken = Vec::new();
        for queues in &mut self.waiting {
            for waiting in [&mut queues.synced, &mut queues.written] {
                let (away, stays) =
                    std::mem::take(waiting).into_iter().partition(|(_, delivery)| is_lost(delivery));
                *waiting = stays;
                let away: VecDeque<(Recorded, Delivery)> = away;
                taken.extend(away.into_iter().map(|(_, delivery)| delivery));
            }
        }
        taken.retain(|delivery| matches!(delivery, Delivery::Part { .. }));
        taken
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.iter().all(|queues| queues.synced.is_empty() && queues.written.is_empty())
    }

    /// Whether something of a flow waits.
    pub(crate) fn holds(&self, flow: FlowId) -> bool {
        let of = |delivery: &Delivery| match delivery {
            Delivery::Part { flow, .. } | Delivery::Emitted(flow, ..) | Delivery::Refused(flow, ..) => {
                Some(*flow)
            }
            Delivery::Forward(forward) => Some(forward.flow),
            Delivery::Owners(_) => None,
        };
        let all = self.waiting.iter().flat_map(|queues| queues.synced.iter().chain(&queues.written));
        all.into_iter().any(|(_, delivery)| of(delivery) == Some(flow))
    }
}

fn next_of(waiting: &mut VecDeque<(Recorded, Delivery)>, sync: Sync, safe: &Safe) -> Option<Release> {
    let first = waiting.front()?.0;
    if safe.covers(first, sync) {
        return waiting.pop_front().map(|(_, delivery)| Release::Out(delivery));
    }
    match &**safe.condition() {
        Condition::Sound => None,
        Condition::Broken(trouble) => {
            waiting.pop_front().map(|(_, delivery)| Release::Lost(delivery, trouble.why.clone()))
        }
        // What was written waits for space; who only reads can ask again.
        Condition::Halted(trouble) => {
            let at = waiting.iter().position(|(_, delivery)| is_read(delivery))?;
            let (rests_on, delivery) = waiting.remove(at)?;
            Some(match safe.covers(rests_on, sync) {
                true => Release::Out(delivery),
                false => Release::Lost(delivery, trouble.why.clone()),
            })
        }
    }
}

/// Whether it is the answer to a read of a table.
fn is_read(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Part { part: Part { asked: Some(Asked::Get(_) | Asked::Page(_)), .. }, .. })
}

#[cfg(test)]
mod tests {
    use anabranch_model::batch::{Batch, SchemaId};
    use anabranch_model::message::{Answer, Origin, WorkerId};
    use anabranch_model::plan::{InputId, OutputId, TableId};

    use super::*;
    use crate::safe::Trouble;

    const FLOW: FlowId = FlowId(1);

    fn of(by: u32, count: u64) -> Recorded {
        Recorded { by: WorkerId(by), count }
    }

    fn delivery(number: u16) -> Delivery {
        emitted(number, Sync::Disk)
    }

    fn emitted(number: u16, sync: Sync) -> Delivery {
        Delivery::Emitted(FLOW, OutputId(number), Batch::new(SchemaId(0)), sync, Touched::default())
    }

    /// An answer to what was asked.
    fn part(request: u64, rests_on: Recorded, asked: Asked) -> Delivery {
        let origin = Origin { worker: WorkerId(0), client: 1, request, revision: 1, once: None };
        let (answer, asked) = (Answer::Row(None), Some(asked));
        let touched = Touched::default();
        let part = Part { origin, parts: 1, asked, entered: 0, rests_on, sync: Sync::Disk, touched, answer };
        Delivery::Part { flow: FLOW, part, revised: None, given: None }
    }

    fn number(release: Option<Release>) -> Option<(u64, bool)> {
        let (delivery, out) = match release? {
            Release::Out(delivery) => (delivery, true),
            Release::Lost(delivery, why) => {
                assert_eq!(why, "it broke");
                (delivery, false)
            }
        };
        match delivery {
            Delivery::Emitted(_, output, ..) => Some((output.0.into(), out)),
            Delivery::Part { part, .. } => Some((part.origin.request, out)),
            _ => None,
        }
    }

    fn trouble() -> Trouble {
        Trouble { since: 0, why: "it broke".to_owned() }
    }

    #[test]
    fn what_is_emitted_waits_for_its_records_and_for_what_came_before() {
        let safe = Safe::none(2);
        let mut held = Held::new(safe.clone());
        assert!(held.take(of(0, 0), delivery(1), 0).is_some(), "it rests on nothing");
        assert!(held.take(of(0, 5), delivery(2), 0).is_none());
        assert!(held.take(of(0, 0), delivery(3), 0).is_none(), "it stays behind the one before");
        assert!(held.take(of(1, 0), delivery(4), 0).is_some(), "of another worker");
        assert!(held.holds(FLOW) && !held.holds(FlowId(2)));
        assert_eq!(number(held.next(0)), None);
        safe.synced(of(0, 5));
        assert_eq!([number(held.next(0)), number(held.next(0))], [Some((2, true)), Some((3, true))]);
        assert!(held.next(0).is_none() && !held.holds(FLOW));
    }

    #[test]
    fn an_answer_whose_records_are_safe_does_not_stand_behind_others() {
        let mut held = Held::new(Safe::none(1));
        let rows = Asked::Rows(InputId(0));
        assert!(held.take(of(0, 9), part(1, of(0, 5), rows), 0).is_none());
        assert!(held.take(of(0, 9), part(2, of(0, 0), Asked::Get(TableId(0))), 0).is_some());
        assert!(held.take(of(0, 9), part(3, of(0, 1), Asked::Get(TableId(0))), 0).is_none());
    }

    #[test]
    fn what_rests_on_written_records_does_not_wait_for_the_disk() {
        let safe = Safe::none(1);
        let mut held = Held::new(safe.clone());
        assert!(held.take(of(0, 1), delivery(1), 0).is_none() && !safe.take_wants_written());
        assert!(held.take(of(0, 1), emitted(2, Sync::Memory), 0).is_none() && safe.take_wants_written());
        assert_eq!(number(held.next(0)), None);
        safe.written(of(0, 1));
        assert_eq!([number(held.next(0)), number(held.next(0))], [Some((2, true)), None]);
        assert!(held.take(of(0, 1), emitted(3, Sync::Memory), 0).is_some());
        safe.synced(of(0, 1));
        assert_eq!(number(held.next(0)), Some((1, true)));
    }

    #[test]
    fn what_will_never_be_safe_is_lost_and_what_is_safe_goes_on() {
        let safe = Safe::none(1);
        let mut held = Held::new(safe.clone());
        for count in 1..=3 {
            assert!(held.take(of(0, count), delivery(count as u16), 0).is_none());
        }
        safe.synced(of(0, 1));
        safe.broken(trouble());
        let all = [number(held.next(0)), number(held.next(0)), number(held.next(0)), number(held.next(0))];
        assert_eq!(all, [Some((1, true)), Some((2, false)), Some((3, false)), None]);
        assert!(held.take(of(0, 1), delivery(1), 0).is_some(), "what was safe is still seen");
    }

    #[test]
    fn while_the_disk_is_full_writers_wait_and_readers_are_told() {
        let safe = Safe::none(1);
        let mut held = Held::new(safe.clone());
        let get = Asked::Get(TableId(0));
        assert!(held.take(of(0, 9), part(1, of(0, 5), Asked::Rows(InputId(0))), 0).is_none());
        assert!(held.take(of(0, 9), part(2, of(0, 5), get), 0).is_none());
        assert!(held.take(of(0, 9), part(3, of(0, 4), get), 0).is_none());
        safe.synced(of(0, 4));
        safe.halted(trouble());
        let all = [number(held.next(0)), number(held.next(0)), number(held.next(0))];
        assert_eq!(all, [Some((2, false)), Some((3, true)), None]);
        safe.goes_on();
        safe.synced(of(0, 5));
        assert_eq!(number(held.next(0)), Some((1, true)));
    }

    #[test]
    fn what_copies_lack_waits_for_them_as_it_waits_for_the_disk() {
        let safe = Safe::none(1);
        let mut held = Held::new(safe.clone());
        safe.written(of(0, 9));
        safe.synced(of(0, 9));
        safe.copied(WorkerId(0), 4, 3);
        assert!(held.take(of(0, 9), part(1, of(0, 3), Asked::Get(TableId(0))), 0).is_some());
        assert!(held.take(of(0, 4), delivery(4), 0).is_none(), "no copy has it on disk");
        assert!(held.take(of(0, 4), emitted(5, Sync::Memory), 0).is_some(), "copies have it in memory");
        safe.copied(WorkerId(0), u64::MAX, u64::MAX);
        assert_eq!(number(held.next(0)), Some((4, true)), "nobody is waited for any more");
    }

    #[test]
    fn nothing_leaves_behind_the_end_of_the_lease() {
        let safe = Safe::none(1);
        let mut held = Held::new(safe.clone());
        held.lease_until(10);
        assert!(held.take(of(0, 0), delivery(1), 9).is_some());
        assert!(held.take(of(0, 0), delivery(2), 10).is_none() && held.next(11).is_none());
        held.lease_until(20);
        assert_eq!(number(held.next(11)), Some((2, true)));
    }
}
