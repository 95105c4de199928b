//! What it costs that a worker measures itself: without a clock, with one, and with a profile of its operators.
//!
//! Upserts of the reference flow in requests of a single row, where measuring weighs most: 64 in a turn of the worker, as
//! pipelined clients make them, and one in a turn. All three take turns, and the medians of the ratios are told.

#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::{Duration, Instant};

use anabranch_benches::{median, workload};
use anabranch_model::Batch;
use anabranch_model::message::{Body, FlowId, Origin, Request};
use anabranch_model::plan::InputId;
use anabranch_operators::{Clock, Worker, WorkerConfig};

const ROUNDS: usize = 15;

/// How long each runs in a round.
const LONG: Duration = Duration::from_millis(500);

/// How a worker measures itself.
#[derive(Clone, Copy)]
enum Measured {
    Not,
    Clock,
    Profile,
}

/// A worker of its own, with requests of one row each.
struct Subject {
    worker: Worker,
    requests: Vec<Batch>,
    sent: usize,
}

impl Subject {
    fn new(measured: Measured) -> Self {
        let plan = workload::plan();
        let clock = matches!(measured, Measured::Clock | Measured::Profile).then(|| Clock::new(Instant::now));
        let profile = matches!(measured, Measured::Profile);
        let mut worker =
            Worker::alone(&WorkerConfig { node: "A".into(), seed: 1, clock, profile, records: false });
        worker.install(FlowId(0), &plan);
        let batches = workload::batches(workload::random(16_384, 3), &plan.inputs[0].shape);
        let single = |batch: &Batch, row: &[u8]| {
            let mut single = Batch::new(batch.schema());
            single.push(row);
            single
        };
        let singles =
            |batch: Batch| batch.rows().map(|row| single(&batch, row)).collect::<Vec<_>>().into_iter();
        Subject { worker, requests: batches.flat_map(singles).collect(), sent: 0 }
    }

    /// Requests a second, with so many in each turn.
    fn rate(&mut self, per_turn: usize) -> f64 {
        let (began, mut answered) = (Instant::now(), 0);
        while began.elapsed() < LONG {
            for _ in 0..100 {
                (0..per_turn).for_each(|_| self.submit());
                self.worker.turn(0);
                answered += self.worker.deliveries().len();
            }
        }
        answered as f64 / began.elapsed().as_secs_f64()
    }

    fn submit(&mut self) {
        self.sent += 1;
        let origin = Origin {
            worker: self.worker.id(),
            client: 1,
            request: self.sent as u64,
            revision: 1,
            once: None,
        };
        let batch = self.requests[self.sent % self.requests.len()].clone();
        self.worker.submit(
            FlowId(0),
            Request { origin, body: Body::Rows { input: InputId(0), batch }, partial: None },
        );
    }
}

fn main() {
    let mut subjects = [Measured::Not, Measured::Clock, Measured::Profile].map(Subject::new);
    println!("requests of one row, medians of {ROUNDS} rounds\n");
    println!("{:<28} {:>12} {:>12}", "", "64 in a turn", "1 in a turn");
    let columns = [64, 1].map(|per_turn| {
        let round = |round: usize| {
            let mut rates = [0.0; 3];
            // Whoever comes first finds other caches than the others.
            for at in (0..3).map(|at| (at + round) % 3) {
                rates[at] = subjects[at].rate(per_turn);
            }
            rates
        };
        (0..ROUNDS).map(round).collect::<Vec<_>>()
    });
    let line = |what: &str, figure: &dyn Fn(&[f64; 3]) -> f64| {
        let [many, one] = columns.each_ref().map(|rounds| median(rounds.iter().map(figure).collect()));
        println!("{what:<28} {many:>12.3} {one:>12.3}");
    };
    line("not measured, M requests/s", &|round| round[0] / 1e6);
    line("with a clock / not", &|round| round[1] / round[0]);
    line("with a profile / not", &|round| round[2] / round[0]);
}
