//! Requests over the network beside their floors: a bare tonic stream that echoes, a bare axum handler.
//!
//! Every round measures the floor and the engine one after the other, and medians of the ratios are told: absolute times
//! drift with the machine. Words after `--` choose parts: `single`, `rates`, `asks`, `lines`. `WRK=wrk` has
//! asks also measured by that program.

#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock and opens sockets"
)]

#[path = "network/bare.rs"]
mod bare;
#[path = "network/http.rs"]
mod http;

use std::time::{Duration, Instant};

use anabranch::{Client, Flow, Listen, Node, Server};
use anabranch_benches::load::Load;
use anabranch_benches::{median, workload};
use serde::Serialize;

/// Rounds of every comparison.
const ROUNDS: usize = 7;

/// How long a part of a round takes.
const PART: Duration = Duration::from_millis(700);

#[derive(Serialize)]
struct NameValue<'a> {
    name: &'a str,
    value: &'a str,
}

/// A part of the benchmark, by its name.
type Part = (&'static str, fn(&Server));

fn main() {
    let flow = Flow::parse("names.flow", include_str!("../../flows/names.flow")).expect("it compiles");
    let node = Node::builder("A").flow(flow).start().expect("it starts");
    let any = ([127, 0, 0, 1], 0).into();
    let server =
        node.serve(&Listen { grpc: Some(any), http: Some(any), ..Listen::default() }).expect("it listens");
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let parts: [Part; 4] =
        [("single", single), ("rates", rates), ("asks", http::asks), ("lines", http::lines)];
    for (name, measure) in parts {
        if chosen.is_empty() || chosen.iter().any(|word| word == name) {
            measure(&server);
        }
    }
}

/// One request in flight.
fn single(server: &Server) {
    let mut echo = bare::Echo::start();
    let mut client = connect(server);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let floor = percentiles(|| echo.round_trip());
        let ours = percentiles(|| {
            let (name, value) = workload::pair(7, 7);
            let row = NameValue { name: text(&name), value: text(&value) };
            client.ask("UpdateStream", &row).expect("asked");
        });
        rounds.push((floor.0, ours.0, ours.0 / floor.0));
    }
    let of = |figure: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(figure).collect());
    println!(
        "one in flight, p50: bare tonic {:.1} us, ask {:.1} us, ratio {:.2}",
        of(|r| r.0),
        of(|r| r.1),
        of(|r| r.2)
    );
}

/// Rows a second at some depths.
fn rates(server: &Server) {
    let address = server.grpc().expect("it speaks gRPC").to_string();
    println!("{:<44} {:>12} {:>10} {:>10}", "", "rows/s", "p50 us", "p99 us");
    for (mix, batch, connections, in_flight) in [
        (100, 1, 1, 1),
        (100, 1, 1, 16),
        (100, 16, 1, 1),
        (100, 16, 8, 1),
        (100, 256, 1, 1),
        (100, 256, 4, 4),
        (50, 256, 4, 4),
    ] {
        let load = Load {
            mix,
            batch,
            connections,
            threads: connections.min(2),
            in_flight,
            rate: None,
            keys: 1_000_000,
            seconds: 2.0,
        };
        let outcome = load.run(|| Client::connect(&address)).expect("it runs");
        let what = format!("{mix} % updates, {batch} rows x {in_flight} in flight x {connections}");
        println!("{what:<44} {:>12.0} {:>10.1} {:>10.1}", outcome.ops_per_s, outcome.p50_us, outcome.p99_us);
    }
}

fn connect(server: &Server) -> Client {
    Client::connect(&server.grpc().expect("it speaks gRPC").to_string()).expect("it connects")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("names and values are ASCII")
}

/// The median and the 99th percentile of a call, in microseconds.
fn percentiles(mut call: impl FnMut()) -> (f64, f64) {
    let (mut times, begin) = (Vec::new(), Instant::now());
    while begin.elapsed() < PART {
        let start = Instant::now();
        call();
        times.push(start.elapsed().as_nanos() as f64 / 1000.0);
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}
