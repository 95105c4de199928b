//! Kills a node under load, again and again, and counts what it comes back with: see `--help`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells its figures")]
#![allow(clippy::disallowed_methods, reason = "it makes a directory for the node")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anabranch_benches::kill::{Failure, Kill, Summary, ZoneKill, ZoneSummary};

const HELP: &str = "\
Starts `anabranch run --data`, loads it over the network, kills it (SIGKILL) at random moments, starts it again, and
counts outside of it: what was acknowledged is there, nothing twice, and of what was not a whole partition or nothing.

  cargo build --release -p anabranch-cli -p anabranch-benches && target/release/kill --kills 200

  target/release/kill --zone --kills 200      two nodes and a witness; clients go to both nodes, and to the other

  --zone           kills any of two nodes and a witness, or lets one stand still (SIGSTOP), instead of one node
  --memory         nodes of the zone keep nothing on disk, so one is killed at a time, when the other has every row
  --kills N        how often (200)
  --seconds S      how long at most (no end)
  --seed N         where chance begins (another one each time)
  --life MS        how long a node is under load at most, in milliseconds (1000)
  --clients N      clients (4)
  --in-flight N    requests of a client without an answer (16)
  --program PATH   the program (the `anabranch` beside this one)
  --dir PATH       a directory for the node, which is left there (one of its own, which goes if all is well)
  --snapshot-after BYTES   of journal, for the node (8MiB)
  --without-keys   repeats without the keys of the first tries: counts must come out wrong
  --json           the summary as one line of JSON

Progress goes to standard error, the summary to standard output. Exit codes: 0 all is well, 1 the node is wrong, 2 it
could not be tried.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("kill: {why}");
            ExitCode::from(if matches!(why, Failure::Violation(_)) { 1 } else { 2 })
        }
    }
}

struct Arguments {
    kill: Kill,
    /// Whether there is a zone, and whether its nodes have disks.
    zone: Option<bool>,
    /// Whether the directory goes when all is well.
    own_directory: bool,
    json: bool,
}

fn run() -> Result<(), Failure> {
    let Some(Arguments { kill, zone, own_directory, json }) = arguments().map_err(Failure::World)? else {
        println!("{HELP}");
        return Ok(());
    };
    eprintln!("kill: seed {}, in {}", kill.seed, kill.directory.display());
    let told = match zone {
        None => told(json, &run_node(&kill)?, show)?,
        Some(data) => told(json, &run_zone(&kill, data)?, show_zone)?,
    };
    println!("{told}");
    if own_directory {
        std::fs::remove_dir_all(&kill.directory).map_err(|error| Failure::World(error.to_string()))?;
    }
    Ok(())
}

fn run_node(kill: &Kill) -> Result<Summary, Failure> {
    let summary = kill.run(|summary| progress(summary.kills, summary.acknowledged, summary.seconds));
    eprintln!();
    summary
}

fn run_zone(kill: &Kill, data: bool) -> Result<ZoneSummary, Failure> {
    let Kill { program, directory, seed, kills, within, life, clients, in_flight, keys, .. } = kill.clone();
    let synced = data;
    let zone =
        ZoneKill { program, directory, seed, kills, within, life, clients, in_flight, keys, data, synced };
    let summary = zone.run(|summary| progress(summary.kills, summary.acknowledged, summary.seconds));
    eprintln!();
    summary
}

fn progress(kills: u64, acknowledged: u64, seconds: f64) {
    eprint!("\rkill: {kills} kills, {acknowledged} requests acknowledged, {seconds:.0} s ");
}

fn told<S: serde::Serialize>(json: bool, summary: &S, text: fn(&S) -> String) -> Result<String, Failure> {
    match json {
        true => serde_json::to_string(summary).map_err(|error| Failure::World(error.to_string())),
        false => Ok(text(summary)),
    }
}

fn show(summary: &Summary) -> String {
    let Summary { seed, kills, early_kills, stayed_kills, deploys, acknowledged, rows_compared, .. } =
        summary;
    let Summary { under_way, under_way_done, under_way_in_part, .. } = summary;
    [
        format!(
            "seed {seed}: {kills} kills in {:.0} s, {early_kills} before anything was asked, {stayed_kills} that clients \
             stayed over; {deploys} newer revisions",
            summary.seconds
        ),
        format!("{acknowledged} requests acknowledged, {rows_compared} rows compared: nothing lost, nothing doubled"),
        format!(
            "{under_way} requests under way when their clients died, too: {under_way_done} were done, {under_way_in_part} of \
             them in some partitions only"
        ),
        format!("ready after p50 {:.0} ms, at most {:.0} ms", summary.ready_ms_p50, summary.ready_ms_max),
        format!("{:.0} MB of data", summary.data_bytes as f64 / 1e6),
    ]
    .join("\n")
}

fn show_zone(summary: &ZoneSummary) -> String {
    let ZoneSummary { seed, kills, witness_kills, both_kills, pauses, stayed_kills, acknowledged, .. } =
        summary;
    let ZoneSummary { under_way, under_way_done, rows_compared, compared_at_survivor, .. } = summary;
    let disks = if summary.data { "with disks" } else { "in memory" };
    [
        format!(
            "seed {seed}: {kills} kills of members {disks} in {:.0} s, {witness_kills} of the witness, {both_kills} times both \
             nodes at once, {stayed_kills} that clients stayed over; {pauses} times one stood still",
            summary.seconds
        ),
        format!(
            "{acknowledged} requests acknowledged, {rows_compared} rows compared, {compared_at_survivor} times at the node \
             that was left: nothing lost, nothing doubled"
        ),
        format!("{under_way} requests under way when their clients ended: {under_way_done} were done"),
        format!(
            "in sync again p50 {:.0} ms after the restart, at most {:.0} ms",
            summary.whole_ms_p50, summary.whole_ms_max
        ),
    ]
    .join("\n")
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut kill = Kill {
        program: PathBuf::new(),
        directory: PathBuf::new(),
        seed: std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_micros() as u64),
        kills: 200,
        within: Duration::MAX,
        life: Duration::from_millis(1000),
        clients: 4,
        in_flight: 16,
        keys: true,
        snapshot_after: "8MiB".to_owned(),
    };
    let (mut json, mut program, mut directory) = (false, None, None);
    let (mut zone, mut data) = (false, true);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} takes a value; see --help"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--json" => json = true,
            "--zone" => zone = true,
            "--memory" => data = false,
            "--without-keys" => kill.keys = false,
            "--kills" => kill.kills = number(&word, &value()?)?,
            "--seconds" => kill.within = Duration::from_secs(number(&word, &value()?)?),
            "--seed" => kill.seed = number(&word, &value()?)?,
            "--life" => kill.life = Duration::from_millis(number(&word, &value()?)?),
            "--clients" => kill.clients = number(&word, &value()?)?,
            "--in-flight" => kill.in_flight = number(&word, &value()?)?,
            "--program" => {
                let path = std::path::absolute(value()?).map_err(|error| error.to_string())?;
                program = Some(path);
            }
            "--snapshot-after" => kill.snapshot_after = value()?,
            "--dir" => directory = Some(PathBuf::from(value()?)),
            _ => return Err(format!("`{word}` is no option; see --help")),
        }
    }
    if kill.clients == 0 || !(1..=128).contains(&kill.in_flight) {
        return Err("--clients is at least 1, --in-flight 1 to 128; see --help".to_owned());
    }
    if !zone && !data {
        return Err(
            "--memory goes with --zone: a node alone would come back with nothing; see --help".to_owned()
        );
    }
    let own_directory = directory.is_none();
    kill.directory =
        directory.unwrap_or_else(|| std::env::temp_dir().join(format!("anabranch-kill-{}", kill.seed)));
    kill.program = match program {
        Some(program) => program,
        None => beside()?,
    };
    Ok(Some(Arguments { kill, zone: zone.then_some(data), own_directory, json }))
}

/// The program beside this one.
fn beside() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = own.with_file_name("anabranch");
    match program.exists() {
        true => Ok(program),
        false => Err(format!("there is no `{}`: build it, or say --program PATH", program.display())),
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{option} takes a number, which `{text}` is not"))
}
