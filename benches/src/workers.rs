//! The engine's workers, each fed with batches on its own thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anabranch_model::batch::Batch;
use anabranch_model::message::{Answer, Body, Delivery, FlowId, Origin, Request};
use anabranch_model::plan::InputId;
use anabranch_operators::{Worker, WorkerConfig, spawn};

use crate::workload::{self, BATCH_ROWS, Made};

/// Rows of a worker without an answer, at most.
const WINDOW_ROWS: u64 = 16 * BATCH_ROWS as u64;

const FLOW: FlowId = FlowId(0);

/// Starts `count` workers with the reference flow, loads all names, lets each apply `rows` rows of its own `passes`
/// times, and says how long the slowest took from its first row to its last answer.
pub fn apply(count: u32, made: Made, rows: usize, passes: u64) -> Duration {
    let (took, times) = channel();
    let arrived = Arc::new(AtomicU32::new(0));
    let drive = move |worker: Worker| {
        let mut feed = Feed { worker, request: 0, sent: 0, answered: 0, arrived: &arrived, count };
        let _ = took.send(feed.run(made, rows, passes));
    };
    let threads = spawn(
        WorkerConfig { node: "A".into(), seed: 1, clock: None, profile: false, records: false },
        count,
        drive,
    )
    .expect("threads start");
    threads.join().expect("no worker panics");
    times.try_iter().max().expect("every worker says how long it took")
}

/// A worker with its requests.
struct Feed<'a> {
    worker: Worker,
    request: u64,
    /// Rows.
    sent: u64,
    /// Rows.
    answered: u64,
    /// How often workers have met.
    arrived: &'a AtomicU32,
    count: u32,
}

impl Feed<'_> {
    fn run(&mut self, made: Made, rows: usize, passes: u64) -> Duration {
        let plan = workload::plan();
        self.worker.install(FLOW, &plan);
        let (id, shape) = (self.worker.id().0, plan.inputs[0].shape.clone());
        let share = workload::all_keys().skip(id as usize).step_by(self.count as usize);
        self.apply(workload::batches(share, &shape));
        let random = || workload::batches(workload::random(rows, u64::from(id) + 7), &shape);
        let before: Vec<Batch> = if made == Made::Before { random().collect() } else { Vec::new() };
        self.meet(1);
        let start = Instant::now();
        for _ in 0..passes {
            match made {
                Made::Before => self.apply(before.iter().cloned()),
                Made::Inside => self.apply(random()),
            }
        }
        let took = start.elapsed();
        self.meet(2);
        took
    }

    /// Sends batches and waits for all of their answers.
    fn apply(&mut self, batches: impl Iterator<Item = Batch>) {
        for batch in batches {
            self.request += 1;
            self.sent += batch.len() as u64;
            let origin = Origin {
                worker: self.worker.id(),
                client: 1,
                request: self.request,
                revision: 1,
                once: None,
            };
            let body = Body::Rows { input: InputId(0), batch };
            self.worker.submit(FLOW, Request { origin, body, partial: None });
            self.turn();
            while self.sent > self.answered + WINDOW_ROWS {
                self.turn();
            }
        }
        while self.answered < self.sent {
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.worker.turn(0);
        for delivery in self.worker.deliveries() {
            let Delivery::Part { part, .. } = delivery else { continue };
            let Answer::Rows(answer) = part.answer else { continue };
            assert!(answer.refusals.is_empty(), "the workload is never refused");
            self.answered += u64::from(answer.accepted);
        }
    }

    /// Goes on turning, for the rows of others, until all workers have come here.
    fn meet(&mut self, times: u32) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        while self.arrived.load(Ordering::SeqCst) < times * self.count {
            self.turn();
        }
    }
}
