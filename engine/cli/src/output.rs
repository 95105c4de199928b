//! Standard output for data, standard error for messages. A reader that has gone away is no panic.

use std::env;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};

use crate::failure::Failure;

/// Bytes that are gathered before they are written, when many rows come at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Writes text to standard output at once.
///
/// # Errors
/// Nobody reads any more, or the disk behind it is full.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = Output::new();
    out.text(text)?;
    out.flush()
}

/// Standard output, buffered. What is in the buffer is written by [`Output::flush`].
#[derive(Debug)]
pub(crate) struct Output(BufWriter<Stdout>);

impl Output {
    pub(crate) fn new() -> Self {
        Output(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()))
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.0.write_all(text.as_bytes()).map_err(|error| failed(&error))
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.text(line)?;
        self.text("\n")
    }

    /// Lets out what is in the buffer.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| failed(&error))
    }
}

fn failed(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::world(format!("cannot write to standard output: {error}")),
    }
}

/// Writes a line to standard error. When that is gone there is nobody to tell.
pub(crate) fn message(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes an error to standard error.
pub(crate) fn error(text: &str, help: Option<&str>) {
    let (error, help_word) = match colour() {
        true => ("\x1b[1;31merror\x1b[0m", "\x1b[1;36mhelp\x1b[0m"),
        false => ("error", "help"),
    };
    message(&format!("{error}: {text}"));
    if let Some(help) = help {
        message(&format!("{help_word}: {help}"));
    }
}

/// Whether messages may have colours: on a terminal that knows them, unless `NO_COLOR` is set.
pub(crate) fn colour() -> bool {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let unable = env::var_os("TERM").is_some_and(|value| value == "dumb");
    io::stderr().is_terminal() && !unwanted && !unable
}
