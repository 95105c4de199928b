use anabranch_benches::*;
use anabranch_operators::{Worker, WorkerConfig, spawn};
use std::time::Instant;
fn main() {
    let keys = 1_000_000; let n: u64 = 10_000_000; let batch = 256;
    let plan = reference_plan();
    let shape = plan.inputs[0].shape.clone();
    for _ in 0..2 {
    let mut floor = Floor::default();
    for k in 0..keys { floor.upsert(name(k), [0; 24]); }
    let mut w = Workload::new(keys, 1);
    let t = Instant::now();
    for _ in 0..n { let (a,b) = w.row(); floor.upsert(a,b); }
    println!("floor {:.2} M/s {}", n as f64 / t.elapsed().as_secs_f64()/1e6, floor.len());
    }
    let mut w = Workload::new(keys, 1);
    let t = Instant::now();
    let mut s = 0;
    for _ in 0..n/batch { s += w.batch(&shape, batch as usize).len(); }
    println!("generate {:.2} M/s {s}", n as f64 / t.elapsed().as_secs_f64()/1e6);

    let mut worker = Worker::alone(&WorkerConfig{ node: "A".into(), seed: 1});
    worker.install(FLOW, &plan);
    let mut w = Workload::new(keys, 2);
    for round in 0..3 {
    let t = Instant::now();
    let mut acc = 0;
    for i in 0..n/batch { submit(&mut worker, i, w.batch(&shape, batch as usize)); worker.turn(i as i64); acc += accepted(&mut worker); }
    println!("worker {round} {:.2} M/s {acc} {:?}", acc as f64 / t.elapsed().as_secs_f64()/1e6, worker.status(FLOW).unwrap().tables);
    }
    let plan2 = plan.clone();
    if std::env::args().count() > 1 { return; }
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(2));
    let threads = spawn(WorkerConfig{node:"A".into(), seed:1}, 2, move |mut worker| {
        let plan = plan2.clone();
        worker.install(FLOW, &plan);
        let shape = plan.inputs[0].shape.clone();
        let mut w = Workload::new(keys, 2 + worker.id().0 as u64);
        let half = n / 2 / batch * batch;
        for round in 0..3 {
            barrier.wait();
            let t = Instant::now();
            let mut acc = 0; let mut sent = 0; let mut i = 0;
            while acc < half {
                if sent < half && sent - acc < 64 * batch { submit(&mut worker, i, w.batch(&shape, batch as usize)); sent += batch; i += 1; }
                worker.turn(i as i64); acc += accepted(&mut worker);
            }
            while barrier_done(&worker) {}
            let el = t.elapsed().as_secs_f64();
            // keep serving until the other is done
            let end = Instant::now();
            while end.elapsed().as_millis() < 300 { worker.turn(i as i64); }
            println!("2 workers {round} {:.2} M/s each", acc as f64 / el /1e6);
        }
    }).unwrap();
    threads.join().unwrap();
}
fn barrier_done(_: &anabranch_operators::Worker) -> bool { false }
