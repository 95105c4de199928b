//! What a node says of itself while it runs: to standard error, as lines of text or of JSON.

use std::io;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The options of a node's log.
#[derive(Args, Debug)]
pub(crate) struct LogOptions {
    /// How the node's log is written to standard error
    #[arg(long, value_enum, default_value = "text", value_name = "text|json", hide_possible_values = true)]
    log: Form,
    /// What is logged: off, error, warn, info, debug
    #[arg(
        long,
        value_enum,
        default_value = "warn",
        env = "ANABRANCH_LOG",
        hide_env_values = true,
        value_name = "LEVEL",
        hide_possible_values = true
    )]
    log_level: Level,
    /// Log requests that take at least so long inside the node: 500us, 50ms, 1s
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) slow_request: Option<Duration>,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

impl LogOptions {
    /// Begins to log.
    pub(crate) fn begin(&self) {
        let level = match self.log_level {
            Level::Off => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        };
        // What the libraries below say is of no use to whoever runs a node.
        // Who changes flows is told unless nothing is.
        let audit = if self.log_level == Level::Off { LevelFilter::OFF } else { LevelFilter::INFO };
        let ours = Targets::new().with_target("anabranch", level).with_target("audit", audit);
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let lines = match self.log {
            Form::Text => lines.boxed(),
            Form::Json => lines.json().flatten_event(true).boxed(),
        };
        // A process has one log; whoever began it before keeps it.
        let _ = tracing_subscriber::registry().with(lines.with_filter(ours)).try_init();
    }
}

/// A time: a whole number with its unit.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || "write a whole number with its unit: 500us, 50ms, 1s".to_owned();
    let digits = text.len() - text.trim_start_matches(|sign: char| sign.is_ascii_digit()).len();
    let number = text[..digits].parse().map_err(|_| wrong())?;
    match &text[digits..] {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(time("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(time("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(time("1s"), Ok(Duration::from_secs(1)));
        for wrong in ["", "50", "ms", "1.5s", "-1s", "1 s", "1h", "99999999999999999999s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
