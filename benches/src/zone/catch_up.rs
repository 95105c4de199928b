//! How an empty node fills itself while the other goes on to serve.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::members::{Members, READY_WITHIN, wait};
use crate::process::Failure;
use crate::zone::{Figure, Kept, Part, Tell, Trial, WHOLE_WITHIN, bare, failed};

/// Requests of a row that the client has under way meanwhile.
const UNDER_WAY: usize = 64;

/// What a takeover costs is another figure: it is over after so long.
const SETTLED: Duration = Duration::from_secs(2);

pub(super) fn measure(trial: &Trial, tell: Tell<'_>) -> Result<(), Failure> {
    let mut members = trial.zone("catch-up", 2, Kept::Memory)?;
    let load = Load {
        mix: 100,
        batch: 1,
        connections: 1,
        threads: 1,
        in_flight: UNDER_WAY,
        rate: None,
        keys: trial.rows,
        seconds: trial.seconds,
    };
    load.fill(&mut members.client(0, READY_WITHIN).map_err(failed)?).map_err(failed)?;
    let bytes = table_bytes(&members)?;
    members.kill(1)?;
    wait(SETTLED);
    let repetition = || {
        wait(Duration::from_secs_f64(trial.seconds));
        Ok(())
    };
    let alone = rate_while(&members, trial.rows, repetition)?;
    members.start(1)?;
    members.ready(1)?;
    let began = Instant::now();
    let filling = rate_while(&members, trial.rows, || members.whole(WHOLE_WITHIN))?;
    let took = began.elapsed().as_secs_f64();
    let both = rate_while(&members, trial.rows, repetition)?;
    let transport = bare::transport_mb_s()?;
    let megabytes = bytes / 1e6;
    let name = format!("an empty node gets {} rows ({megabytes:.0} MB)", trial.rows);
    tell(Figure::new(Part::CatchUp, format!("{name}: in sync after"), took, "s"));
    let figure = Figure::new(Part::CatchUp, format!("{name}: bandwidth"), megabytes / took, "MB/s");
    tell(figure.beside("bare transport", transport).ratio(Some(0.33), None));
    let figure = Figure::new(Part::CatchUp, "service meanwhile", filling, "rows/s");
    tell(figure.beside("without a copy", alone).ratio(Some(0.7), None));
    let figure = Figure::new(Part::CatchUp, "service with the copy in sync", both, "rows/s");
    tell(figure.beside("without a copy", alone));
    Ok(())
}

/// Bytes of the rows of all tables.
fn table_bytes(members: &Members) -> Result<f64, Failure> {
    let mut bytes = 0.0;
    // Each node tells of what it has; those of a pair have the same.
    let status = members.client(0, READY_WITHIN).and_then(|mut client| client.status()).map_err(failed)?;
    for table in status.flows.iter().flat_map(|flow| &flow.tables) {
        bytes += table.row_bytes as f64;
    }
    Ok(bytes)
}

/// Rows a second that a client gets done while something happens.
fn rate_while(
    members: &Members,
    rows: u64,
    happens: impl FnOnce() -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let mut client = members.client(0, READY_WITHIN).map_err(failed)?;
    let (stop, done) = (&AtomicBool::new(false), &AtomicU64::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let mut batch = client.batch("UpdateStream")?;
                number += 7919;
                let name = format!("key{:09}", number % rows);
                batch.push(&serde_json::json!({ "name": name, "value": "value-yyyyyyyyyyyyyyyyyy" }))?;
                client.submit(batch)?;
                while client.in_flight() >= UNDER_WAY && client.next()?.is_some() {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        });
        let happened = happens();
        let (rows, took) = (done.load(Ordering::Relaxed), began.elapsed());
        stop.store(true, Ordering::Relaxed);
        writing.join().expect("a writer does not panic").map_err(failed)?;
        happened.map(|()| rows as f64 / took.as_secs_f64())
    })
}
