//! What has left a worker's dataflow and may not be seen yet, because the records that it rests on are not safe.

use std::collections::VecDeque;

use anabranch_model::message::{Delivery, FlowId, Recorded};
use anabranch_model::plan::Sync;

use crate::safe::{Condition, Safe};

/// Deliveries that wait, each for records of one worker.
#[derive(Debug)]
pub(crate) struct Held {
    safe: Safe,
    /// By the worker on whose records they rest, in order: what waits behind something does not go before it.
    waiting: Vec<VecDeque<(Recorded, Delivery)>>,
}

/// What happens to a delivery.
#[derive(Debug)]
pub(crate) enum Release {
    /// It may be seen.
    Out(Delivery),
    /// What it rests on will never be safe, for this reason.
    Lost(Delivery, String),
}

impl Held {
    pub(crate) fn new(safe: Safe) -> Self {
        let waiting = (0..safe.workers()).map(|_| VecDeque::new()).collect();
        Held { safe, waiting }
    }

    /// Takes a delivery; gives it back where it may be seen now.
    #[inline]
    pub(crate) fn take(&mut self, rests_on: Recorded, delivery: Delivery) -> Option<Delivery> {
        let waiting = &mut self.waiting[rests_on.by.0 as usize];
        let safe = waiting.is_empty() && self.safe.covers(rests_on, Sync::Disk);
        if safe || self.safe.planted().lets_out(&delivery) {
            return Some(delivery);
        }
        waiting.push_back((rests_on, delivery));
        None
    }

    /// The next that need not wait any longer.
    pub(crate) fn next(&mut self) -> Option<Release> {
        let safe = &self.safe;
        self.waiting.iter_mut().find_map(|waiting| {
            let covered = safe.covers(waiting.front()?.0, Sync::Disk);
            if covered {
                return waiting.pop_front().map(|(_, delivery)| Release::Out(delivery));
            }
            match &**safe.condition() {
                Condition::Broken(trouble) => {
                    waiting.pop_front().map(|(_, delivery)| Release::Lost(delivery, trouble.why.clone()))
                }
                Condition::Sound | Condition::Halted(_) => None,
            }
        })
    }

    /// Whether something of a flow waits.
    pub(crate) fn holds(&self, flow: FlowId) -> bool {
        let of = |delivery: &Delivery| match delivery {
            Delivery::Part { flow, .. } | Delivery::Emitted(flow, ..) | Delivery::Refused(flow, _) => *flow,
        };
        self.waiting.iter().flatten().any(|(_, delivery)| of(delivery) == flow)
    }
}

#[cfg(test)]
mod tests {
    use anabranch_model::batch::{Batch, SchemaId};
    use anabranch_model::message::WorkerId;
    use anabranch_model::plan::OutputId;

    use super::*;
    use crate::safe::Trouble;

    const FLOW: FlowId = FlowId(1);

    fn of(by: u32, count: u64) -> Recorded {
        Recorded { by: WorkerId(by), count }
    }

    fn delivery(number: u16) -> Delivery {
        Delivery::Emitted(FLOW, OutputId(number), Batch::new(SchemaId(0)))
    }

    fn number(release: Option<Release>) -> Option<(u16, bool)> {
        match release? {
            Release::Out(Delivery::Emitted(_, output, _)) => Some((output.0, true)),
            Release::Lost(Delivery::Emitted(_, output, _), why) => {
                assert_eq!(why, "it broke");
                Some((output.0, false))
            }
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn what_rests_on_records_waits_for_them_and_for_what_came_before() {
        let safe = Safe::none(2);
        let mut held = Held::new(safe.clone());
        assert!(held.take(of(0, 0), delivery(1)).is_some(), "it rests on nothing");
        assert!(held.take(of(0, 5), delivery(2)).is_none());
        assert!(held.take(of(0, 0), delivery(3)).is_none(), "it stays behind the one before");
        assert!(held.take(of(1, 0), delivery(4)).is_some(), "of another worker");
        assert!(held.holds(FLOW) && !held.holds(FlowId(2)));
        assert_eq!(number(held.next()), None);
        safe.synced(of(0, 5));
        assert_eq!([number(held.next()), number(held.next())], [Some((2, true)), Some((3, true))]);
        assert!(held.next().is_none() && !held.holds(FLOW));
    }

    #[test]
    fn what_will_never_be_safe_is_lost_and_what_is_safe_goes_on() {
        let safe = Safe::none(1);
        let mut held = Held::new(safe.clone());
        for count in 1..=3 {
            assert!(held.take(of(0, count), delivery(count as u16)).is_none());
        }
        safe.synced(of(0, 1));
        safe.broken(Trouble { since: 0, why: "it broke".to_owned() });
        let all = [number(held.next()), number(held.next()), number(held.next()), number(held.next())];
        assert_eq!(all, [Some((1, true)), Some((2, false)), Some((3, false)), None]);
        assert!(held.take(of(0, 1), delivery(1)).is_some(), "what was safe is still seen");
    }
}
