//! What a worker's egress measures of the requests that entered there: how long they took, which were slow, which rows
//! subscribers missed.
//!
//! A worker keeps its own and shares nothing; they are put together when somebody asks.

use std::collections::{BTreeMap, HashMap};

use anabranch_model::message::{Answer, Asked, FlowId};
use crossbeam_channel::Sender;
use hdrhistogram::Histogram;

use crate::trace::Trace;

/// Times up to an hour are told apart, in microseconds; longer ones count as an hour.
const HOUR_MICROS: u64 = 3_600_000_000;

/// Digits that are told apart: a time is right to a hundredth. A histogram takes 25 KiB.
const DIGITS: u8 = 2;

/// Measured times.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    micros: Histogram<u64>,
    /// Microseconds, exactly.
    sum: u64,
}

impl Default for Times {
    fn default() -> Self {
        let micros = Histogram::new_with_bounds(1, HOUR_MICROS, DIGITS);
        Times { micros: micros.expect("these bounds are some"), sum: 0 }
    }
}

impl Times {
    pub(crate) fn record(&mut self, micros: u64) {
        self.micros.saturating_record(micros);
        self.sum = self.sum.saturating_add(micros);
    }

    /// Adds those of another worker.
    pub(crate) fn add(&mut self, other: &Times) {
        self.micros.add(&other.micros).expect("all have the same bounds");
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.micros.len()
    }

    /// Their sum, in microseconds.
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// The time, in microseconds, that this share of them did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        self.micros.value_at_quantile(share)
    }

    /// The longest, in microseconds.
    pub(crate) fn most(&self) -> u64 {
        self.micros.max()
    }

    /// How many were at most so many microseconds long, for growing bounds.
    pub(crate) fn at_most(&self, bounds: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; bounds.len()];
        for step in self.micros.iter_recorded() {
            let from = bounds
                .partition_point(|bound| *bound < self.micros.lowest_equivalent(step.value_iterated_to()));
            counts[from..].iter_mut().for_each(|count| *count += step.count_since_last_iteration());
        }
        counts
    }
}

/// A request that took long.
#[derive(Clone, Debug)]
pub(crate) struct SlowRequest {
    pub(crate) flow: FlowId,
    pub(crate) asked: Asked,
    /// Rows sent, or found.
    pub(crate) rows: usize,
    pub(crate) refused: usize,
    pub(crate) micros: u64,
    pub(crate) trace: Option<Trace>,
}

/// From when on a request is slow, and who is told; who cannot take more is not waited for.
#[derive(Clone, Debug)]
pub(crate) struct TellSlow {
    pub(crate) micros: u64,
    pub(crate) to: Sender<SlowRequest>,
}

/// The measures of one worker.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    took: BTreeMap<(FlowId, Asked), Times>,
    /// Rows that subscribers missed, by flow and stream.
    missed: BTreeMap<(FlowId, String), u64>,
    slow: Option<TellSlow>,
    /// The traces of requests that came with one, by client and request.
    traces: HashMap<(u64, u64), Trace>,
}

impl Measures {
    pub(crate) fn new(slow: Option<TellSlow>) -> Self {
        Measures { slow, ..Measures::default() }
    }

    /// The request that comes belongs to a trace.
    pub(crate) fn traced(&mut self, client: u64, request: u64, trace: Trace) {
        // Nobody else asks for it.
        if self.slow.is_some() {
            self.traces.insert((client, request), trace);
        }
    }

    /// A request was answered.
    pub(crate) fn answered(
        &mut self,
        flow: FlowId,
        asked: Asked,
        whose: (u64, u64),
        micros: u64,
        answer: &Answer,
    ) {
        self.took.entry((flow, asked)).or_default().record(micros);
        let trace = self.trace_of(whose);
        let Some(slow) = self.slow.as_ref().filter(|slow| micros >= slow.micros) else { return };
        let (rows, refused) = match answer {
            Answer::Rows(rows) => (rows.accepted as usize + rows.refusals.len(), rows.refusals.len()),
            Answer::Row(row) => (usize::from(row.is_some()), 0),
            Answer::Page(page) => (page.rows.len(), 0),
            Answer::Problem(_) | Answer::Elsewhere => (0, 0),
        };
        // A log that does not keep up loses lines, and holds nobody up.
        let _ = slow.to.try_send(SlowRequest { flow, asked, rows, refused, micros, trace });
    }

    /// A request was answered with nothing done.
    pub(crate) fn turned_down(&mut self, whose: (u64, u64)) {
        self.trace_of(whose);
    }

    fn trace_of(&mut self, whose: (u64, u64)) -> Option<Trace> {
        // Most requests have none.
        if self.traces.is_empty() { None } else { self.traces.remove(&whose) }
    }

    /// A subscriber of a stream missed rows.
    pub(crate) fn missed(&mut self, flow: FlowId, stream: &str, rows: u64) {
        *self.missed.entry((flow, stream.to_owned())).or_default() += rows;
    }

    /// A newer revision takes the place of a flow, with other numbers: its times begin anew.
    pub(crate) fn revised(&mut self, flow: FlowId) {
        self.took.retain(|(of, _), _| *of != flow);
    }

    /// A flow is dropped.
    pub(crate) fn dropped(&mut self, flow: FlowId) {
        self.revised(flow);
        self.missed.retain(|(of, _), _| *of != flow);
    }

    /// How long the requests to a flow took.
    pub(crate) fn took(&self, flow: FlowId) -> Vec<(Asked, Times)> {
        let of_it = self.took.iter().filter(|((of, _), _)| *of == flow);
        of_it.map(|((_, asked), times)| (*asked, times.clone())).collect()
    }

    /// The rows that subscribers of the streams of a flow missed.
    pub(crate) fn missed_of(&self, flow: FlowId) -> Vec<(String, u64)> {
        let of_it = self.missed.iter().filter(|((of, _), _)| *of == flow);
        of_it.map(|((_, stream), rows)| (stream.clone(), *rows)).collect()
    }
}

#[cfg(test)]
mod tests {
    use anabranch_model::message::RowsAnswer;
    use anabranch_model::plan::InputId;
    use crossbeam_channel::bounded;

    use super::*;

    const FLOW: FlowId = FlowId(3);
    const ASKED: Asked = Asked::Rows(InputId(1));

    fn answer(rows: u32) -> Answer {
        Answer::Rows(RowsAnswer { accepted: rows, ..RowsAnswer::default() })
    }

    #[test]
    fn times_are_kept_to_a_hundredth() {
        let mut measures = Measures::default();
        for micros in [0, 7, 1000, 1_000_000, u64::MAX] {
            measures.answered(FLOW, ASKED, (1, 1), micros, &answer(1));
        }
        let [(asked, took)] = &measures.took(FLOW)[..] else { panic!("one kind of request") };
        assert_eq!((*asked, took.count()), (ASKED, 5));
        assert!((990..=1010).contains(&took.quantile(0.6)));
        assert!(took.most() >= HOUR_MICROS);
        assert_eq!(took.at_most(&[6, 7, 999_000, 2_000_000]), [1, 2, 3, 4]);
        assert!(measures.took(FlowId(4)).is_empty());
        measures.revised(FLOW);
        assert!(measures.took(FLOW).is_empty());
    }

    #[test]
    fn slow_requests_are_told_with_their_trace_and_nobody_waits() {
        let (to, told) = bounded(1);
        let mut measures = Measures::new(Some(TellSlow { micros: 50, to }));
        let trace =
            Trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").expect("it is one");
        measures.traced(1, 7, trace);
        measures.traced(1, 8, trace);
        measures.answered(FLOW, ASKED, (1, 6), 49, &answer(1));
        measures.answered(FLOW, ASKED, (1, 7), 50, &answer(2));
        measures.answered(FLOW, ASKED, (1, 8), 51, &answer(3));
        let slow = told.try_recv().expect("one was slow");
        assert_eq!((slow.rows, slow.micros, slow.trace), (2, 50, Some(trace)));
        assert!(told.try_recv().is_err(), "there was room for one");
        assert!(measures.traces.is_empty());
    }
}
