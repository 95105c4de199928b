//! Makes load on a node and prints one JSON line: see `--help`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells its figures")]
#![allow(clippy::disallowed_methods, reason = "it reads what the system says of a process")]

use std::process::ExitCode;

use anabranch::{ConnectOptions, Flow, Node};
use anabranch_benches::load::Load;

const HELP: &str = "\
Load on a node with the reference flow (flows/names.flow): one JSON line with rows a second and latencies.

  load --in-process [--workers N]       a node in this process
  load --at ADDR                        a node at this gRPC address, with `anabranch run flows/names.flow --listen ADDR`

  --token-file FILE    the token to show (with --at)
  --ca FILE            speak TLS, and trust the authorities in this file (with --at)
  --data DIR           where the node keeps what it does (with --in-process); it is in memory without
  --mix 100|50|0       updates among a hundred requests, the rest reads (100)
  --batch 1|16|256     rows of a request (1)
  --connections N      clients, each with a connection (1)
  --threads N          threads, each with its share of the clients (as many as connections)
  --in-flight N        requests of a connection without an answer (1)
  --rate N|max         requests a second, with latencies from when each was due (max)
  --keys N             names to choose from, written before the clock starts (1000000)
  --no-fill            they are there already
  --pid N              the node's process, for its memory
  --seconds S          how long (10)

  load --in-process --mix 50 --batch 16 --connections 2 --in-flight 4 --seconds 5
  load --at 127.0.0.1:7171 --mix 100 --in-flight 16 --rate 20000
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    load: Load,
    at: Option<ConnectOptions>,
    workers: u32,
    data: Option<String>,
    fill: bool,
    pid: Option<u32>,
}

fn run() -> Result<(), String> {
    let Some(arguments) = arguments()? else {
        println!("{HELP}");
        return Ok(());
    };
    let said = |error: anabranch::Error| error.to_string();
    let node = match &arguments.at {
        Some(_) => None,
        None => {
            let flow = Flow::parse("names.flow", include_str!("../../../flows/names.flow")).map_err(said)?;
            let mut node = Node::builder("A").workers(arguments.workers).flow(flow);
            if let Some(directory) = &arguments.data {
                node = node.data(directory);
            }
            Some(node.start().map_err(said)?)
        }
    };
    let connect = || match (&node, &arguments.at) {
        (_, Some(at)) => at.connect(),
        (Some(node), None) => Ok(node.client()),
        (None, None) => unreachable!("a node runs here where no other is named"),
    };
    if arguments.fill {
        arguments.load.fill(&mut connect().map_err(said)?).map_err(said)?;
    }
    let mut outcome = arguments.load.run(connect).map_err(said)?;
    outcome.rss_mb = resident_mb(arguments.pid);
    println!("{}", serde_json::to_string(&outcome).map_err(|error| error.to_string())?);
    Ok(())
}

/// Resident memory of a process, or of this one.
fn resident_mb(pid: Option<u32>) -> f64 {
    let of = pid.map_or("self".to_owned(), |pid| pid.to_string());
    let status = std::fs::read_to_string(format!("/proc/{of}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn arguments() -> Result<Option<Arguments>, String> {
    let load = Load {
        mix: 100,
        batch: 1,
        connections: 1,
        threads: 0,
        in_flight: 1,
        rate: None,
        keys: 1_000_000,
        seconds: 10.0,
    };
    let mut parsed = Arguments { load, at: None, workers: 1, data: None, fill: true, pid: None };
    let mut words = std::env::args().skip(1);
    let (mut in_process, mut address, mut token, mut authorities) = (false, None, None, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} takes a value; see --help"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--in-process" => in_process = true,
            "--no-fill" => parsed.fill = false,
            "--at" => address = Some(value()?),
            "--data" => parsed.data = Some(value()?),
            "--token-file" => token = Some(value()?),
            "--ca" => authorities = Some(value()?),
            "--workers" => parsed.workers = number(&word, &value()?)?,
            "--mix" => parsed.load.mix = number(&word, &value()?)?,
            "--batch" => parsed.load.batch = number(&word, &value()?)?,
            "--connections" => parsed.load.connections = number(&word, &value()?)?,
            "--threads" => parsed.load.threads = number(&word, &value()?)?,
            "--in-flight" => parsed.load.in_flight = number(&word, &value()?)?,
            "--keys" => parsed.load.keys = number(&word, &value()?)?,
            "--pid" => parsed.pid = Some(number(&word, &value()?)?),
            "--seconds" => parsed.load.seconds = number(&word, &value()?)?,
            "--rate" => {
                let rate = value()?;
                parsed.load.rate = if rate == "max" { None } else { Some(number(&word, &rate)?) };
            }
            _ => return Err(format!("`{word}` is no option; see --help")),
        }
    }
    let load = &mut parsed.load;
    load.threads = if load.threads == 0 { load.connections } else { load.threads.min(load.connections) };
    parsed.at = match (in_process, address) {
        (true, None) => None,
        (false, Some(address)) => Some(options(&address, token.as_deref(), authorities.as_deref())?),
        _ => return Err("say where: --at ADDR or --in-process; see --help".into()),
    };
    let load = &parsed.load;
    if load.mix > 100 || load.batch == 0 || load.connections == 0 || load.in_flight == 0 || load.keys == 0 {
        return Err("--mix is 0 to 100, the others at least 1; see --help".into());
    }
    Ok(Some(parsed))
}

fn options(address: &str, token: Option<&str>, authorities: Option<&str>) -> Result<ConnectOptions, String> {
    let mut options = ConnectOptions::new(address);
    if let Some(file) = token {
        options = options.token_file(file).map_err(|error| error.to_string())?;
    }
    Ok(match authorities {
        Some(file) => options.ca_file(file),
        None => options,
    })
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{option} takes a number, which `{text}` is not"))
}
