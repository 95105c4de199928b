//! Measures a zone of nodes as processes: see `--help`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program tells its figures")]
#![allow(clippy::disallowed_methods, reason = "it makes a directory for the nodes")]

use std::path::PathBuf;
use std::process::ExitCode;

use anabranch_benches::process::Failure;
use anabranch_benches::zone::{Figure, Part, Trial};

const HELP: &str = "\
Starts zones of nodes as processes on this machine and measures them beside Redis with one replica and beside bare hops and
syncs, in one run.

  cargo build --release -p anabranch-cli -p anabranch-benches && target/release/zone
  zone takeover --kills 20

  PART...                 rates, single, takeover, move, catch-up, processor (all of them)
  --redis-server PATH     Redis 7; without it nothing stands beside the rates
  --redis-load PATH       its load generator: redis --addr A --conns N --depth N --mix 100:0:0 --wait 1 --ms N, a line of JSON
  --seconds S             length of a timed repetition (3)
  --rounds N              repetitions; the median is told (3)
  --kills N               kills, for each kind of client (20)
  --rows N                rows that an empty node gets (1000000)
  --program PATH          the program (the `anabranch` beside this one)
  --dir PATH              a directory for the nodes (one of its own, which goes if all is well)
  --json                  each figure as a line of JSON

Exit codes: 0 measured, whether or not what is asked is met; 1 the zone is wrong; 2 it could not be measured.
";

struct Arguments {
    trial: Trial,
    own_directory: bool,
    json: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("zone: {why}");
            ExitCode::from(if matches!(why, Failure::Violation(_)) { 1 } else { 2 })
        }
    }
}

fn run() -> Result<(), Failure> {
    let Some(Arguments { trial, own_directory, json }) = arguments().map_err(Failure::World)? else {
        println!("{HELP}");
        return Ok(());
    };
    eprintln!("zone: in {}", trial.directory.display());
    trial.run(&mut |figure| match json {
        true => println!("{}", serde_json::to_string(&figure).expect("a figure is JSON")),
        false => println!("{}", line(&figure)),
    })?;
    if own_directory {
        std::fs::remove_dir_all(&trial.directory).map_err(|error| Failure::World(error.to_string()))?;
    }
    Ok(())
}

fn line(figure: &Figure) -> String {
    let mut line = format!("{:<78} {:>12} {}", figure.name, rounded(figure.value), figure.unit);
    if let (Some((name, value)), Some(ratio)) = (&figure.beside, figure.ratio_of()) {
        line += &format!("; {name} {}: {ratio:.2} times", rounded(*value));
    }
    if let Some((asked, met)) = &figure.asked {
        line += &format!(" (asked: {asked}: {})", if *met { "met" } else { "NOT MET" });
    }
    line
}

fn rounded(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut trial = Trial {
        program: PathBuf::new(),
        directory: PathBuf::new(),
        redis: None,
        seconds: 3.0,
        rounds: 3,
        kills: 20,
        rows: 1_000_000,
        parts: Vec::new(),
    };
    let (mut json, mut program, mut directory, mut server, mut generator) = (false, None, None, None, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} takes a value; see --help"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--json" => json = true,
            "--seconds" => trial.seconds = number(&word, &value()?)?,
            "--rounds" => trial.rounds = number(&word, &value()?)?,
            "--kills" => trial.kills = number(&word, &value()?)?,
            "--rows" => trial.rows = number(&word, &value()?)?,
            "--redis-server" => server = Some(path(&value()?)?),
            "--redis-load" => generator = Some(path(&value()?)?),
            "--program" => program = Some(path(&value()?)?),
            "--dir" => directory = Some(path(&value()?)?),
            part => match Part::ALL.iter().find(|(name, _)| *name == part) {
                Some((_, part)) => trial.parts.push(*part),
                None => return Err(format!("`{part}` is no part and no option; see --help")),
            },
        }
    }
    if trial.parts.is_empty() {
        trial.parts = Part::ALL.iter().map(|(_, part)| *part).collect();
    }
    if trial.rounds == 0 || trial.kills == 0 || trial.rows == 0 || trial.rows > 1_000_000 {
        return Err("--rounds and --kills are at least 1, --rows 1 to 1000000; see --help".to_owned());
    }
    trial.redis = match (server, generator) {
        (Some(server), Some(generator)) => Some((server, generator)),
        (None, None) => None,
        _ => return Err("--redis-server and --redis-load go together; see --help".to_owned()),
    };
    let own_directory = directory.is_none();
    let own = || std::env::temp_dir().join(format!("anabranch-zone-{}", std::process::id()));
    trial.directory = directory.unwrap_or_else(own);
    trial.program = match program {
        Some(program) => program,
        None => beside()?,
    };
    Ok(Some(Arguments { trial, own_directory, json }))
}

fn path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
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
