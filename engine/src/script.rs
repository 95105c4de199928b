//! Golden scripts: a flow's test as a text file beside it, written and read by people.
//!
//! A script names a flow and then says commands; below each command stands what it gives.
//!
//! ```text
//! -- What the reference flow does with one name.
//! flow names.flow
//! node A
//!
//! > send UpdateStream name=a value='first value'
//! accepted
//!
//! > ask ReadStream name=a
//! OutputStream sourcenode=A name=a value='first value' found=true
//!
//! > table QueryTable
//! name  value          createdon
//! a     'first value'  A
//! ```
//!
//! Running it compares what every command gives with what the script says, and shows the difference. A new script is
//! written by typing the commands and letting `--update` fill in the output, which the author then reads.
//!
//! # The file
//!
//! A script is UTF-8 text of at most 4 MiB. Lines that begin with `--` are comments. The header comes first:
//!
//! | line | meaning |
//! |---|---|
//! | `flow FILE ...` | the flow files to run, relative to the script; at least one |
//! | `node NAME` | the node's name; `A` where nothing is said |
//! | `seed NUMBER` | where `uuid()` takes its chance from; 1 where nothing is said |
//!
//! Then come commands, each on a line that begins with `>`. The lines below it are its output, up to a blank line, a
//! comment or the next command.
//!
//! | command | what it does and shows |
//! |---|---|
//! | `> send INPUT column=value ...` | sends a row; shows `accepted`, or `refused CODE: text (file:line:column)` |
//! | `> ask INPUT column=value ...` | sends a row; shows its replies, or `no reply`, or why it was refused |
//! | `+ column=value ...` | below `send` or `ask`: a further row of the same request |
//! | `> play INPUT FILE` | sends the rows of a CSV file with a header, or of NDJSON; shows counts, and the rows that were refused or are none |
//! | `> table TABLE` | shows all rows in key order |
//! | `> table TABLE KEY ...` | shows the row of a key, or `no row` |
//! | `> watch OUTPUT` | shows what the output stream published since the last look, or `nothing`; `errors` shows the refused rows |
//! | `> advance DURATION` | lets time pass on the node's clock, which stands still otherwise and begins at 2000-01-01T00:00:00Z |
//! | `> status` | shows rows in, refused and out, and the sizes of the tables |
//!
//! Where the script runs several flows and a name is in more than one, it is written with its flow:
//! `names.UpdateStream`.
//!
//! # Values
//!
//! A value is a word: bare (`a`, `-1.50`, `2010-12-01T08:26:00Z`, `5s`, `true`), or in quotes where it is empty, has
//! spaces or begins with a quote: `'it''s'`. Characters that do not fit a line are written as JSON does: `"two\nlines"`.
//! A word is read by the type of its column, as a cell of a CSV file is. The bare word `null` is null, `'null'` is the
//! text. Columns that are left out take their default, else null.
//!
//! # Determinism
//!
//! A script runs on a [`TestNode`]: one thread, a seed, a clock that only `advance` moves. The same script gives the
//! same output, byte for byte.

mod parse;
mod perform;
mod play;
mod problem;
mod resolve;
mod show;
#[cfg(test)]
mod tests;
mod words;

use std::io;
use std::path::Path;

use anabranch_model::expr::Place;

pub use problem::{Problem, ScriptError};

use crate::error::Error;
use crate::flow::Flow;
use crate::os;
use crate::testing::TestNode;

use parse::{Script, parse};
use perform::Stage;
use resolve::Resolver;

/// Bytes of a script, at most: a hundred times what a person reads.
pub const SCRIPT_BYTES_MAX: usize = 4 << 20;

/// Gives the text of a file that a script names: of a flow, or of rows to play.
pub type Load<'l> = &'l dyn Fn(&str) -> io::Result<String>;

/// What a script says and what its flow did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The script's name as it was given.
    pub file: String,
    /// The script with the output that its commands gave.
    pub actual: String,
    /// The script as it is; in its output spaces at the end of a line do not count.
    pub expected: String,
    /// How many commands it has.
    pub commands: usize,
}

impl Outcome {
    /// Whether the flow did what the script says.
    pub fn passed(&self) -> bool {
        self.actual == self.expected
    }

    /// What differs, as a unified diff: `-` is what the script says, `+` what the flow did. Empty when it passed.
    pub fn diff(&self) -> String {
        let diff = similar::TextDiff::from_lines(&self.expected, &self.actual);
        diff.unified_diff().context_radius(3).header(&self.file, "what the flow did").to_string()
    }
}

/// Runs the script in a file. Files that it names are found from its directory.
///
/// # Errors
/// The script, or a file that it names, cannot be read or is wrong. No command ran.
pub fn run(path: impl AsRef<Path>) -> Result<Outcome, ScriptError> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let text = os::read_text(path).map_err(|error| ScriptError::File { path: name.clone(), error })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    run_text(&name, &text, &|file| os::read_text(&directory.join(file)))
}

/// Runs the text of a script, called `name` in messages; `load` gives the files that it names.
///
/// ```
/// let flow = "
///     flow greet revision 1
///     input  Hello: { name: text }
///     output Greeting: { text: text }
///     on Hello as h { reply Greeting { text: 'hello ' || h.name } }
/// ";
/// let script = "flow greet.flow\n\n> ask Hello name=Ada\nGreeting text='hello Ada'\n";
/// let outcome = anabranch::script::run_text("greet.script", script, &|_| Ok(flow.to_owned()))?;
/// assert!(outcome.passed(), "{}", outcome.diff());
/// # Ok::<(), anabranch::script::ScriptError>(())
/// ```
///
/// # Errors
/// The script, or a file that it names, cannot be read or is wrong. No command ran.
pub fn run_text(name: &str, text: &str, load: Load<'_>) -> Result<Outcome, ScriptError> {
    let found = |problems| ScriptError::Problems { file: name.to_owned(), problems };
    if text.len() > SCRIPT_BYTES_MAX {
        let message = format!("the script has {} bytes, the limit is {SCRIPT_BYTES_MAX}", text.len());
        let start = Place { line: 1, column: 1 };
        return Err(found(vec![Problem::new(start, message, "put rows into files and `play` them")]));
    }
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let script = parse(body).map_err(found)?;
    let flows = flows(&script, load).map_err(found)?;
    let outputs = outputs(&script, flows, load).map_err(found)?;
    let line_end = if body.contains("\r\n") { "\r\n" } else { "\n" };
    let write = |outputs: &[Vec<String>]| {
        let mark = if body.len() < text.len() { "\u{feff}" } else { "" };
        format!("{mark}{}", written(&script, outputs).join(line_end))
    };
    let said: Vec<Vec<String>> = script.commands.iter().map(|command| said(&script, command)).collect();
    Ok(Outcome {
        file: name.to_owned(),
        actual: write(&outputs),
        expected: write(&said),
        commands: script.commands.len(),
    })
}

/// The flows that a script names.
fn flows(script: &Script<'_>, load: Load<'_>) -> Result<Vec<Flow>, Vec<Problem>> {
    let (mut flows, mut problems) = (Vec::new(), Vec::new());
    for file in &script.flows {
        let problem = |message: String, help: &str| Problem::new(file.place, message, help);
        match load(&file.text).map(|text| Flow::parse(&file.text, &text)) {
            Ok(Ok(flow)) => flows.push(flow),
            Ok(Err(error)) => {
                let message = format!("the flow file does not compile\n{}", error.to_string().trim_end());
                problems.push(problem(message, "correct the flow file"));
            }
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", problem::cut(&file.text));
                problems.push(problem(message, "the path is relative to the script"));
            }
        }
    }
    if problems.is_empty() { Ok(flows) } else { Err(problems) }
}

/// What the commands of a script give.
fn outputs(script: &Script<'_>, flows: Vec<Flow>, load: Load<'_>) -> Result<Vec<Vec<String>>, Vec<Problem>> {
    let top = script.flows.first().map_or(Place { line: 1, column: 1 }, |file| file.place);
    let wrong = |error: Error| vec![Problem::new(top, error.to_string(), "correct the header")];
    let node = TestNode::start(&script.node, script.seed, flows).map_err(wrong)?;
    let client = node.client();
    let catalog = node.catalog().load_full();
    let mut resolver = Resolver::new(&node, &client, &catalog, load);
    let orders = resolver.orders(script)?;
    let subscriptions = resolver.subscriptions;
    let mut stage = Stage { node, client, subscriptions };
    let perform = |(order, command): (_, &parse::Command)| {
        let failed = |error: Error| {
            vec![Problem::new(
                command.place,
                error.to_string(),
                "the commands above ran, those below did not",
            )]
        };
        stage.perform(order).map_err(failed)
    };
    orders.into_iter().zip(&script.commands).map(perform).collect()
}

/// The output that the script says a command gives.
fn said(script: &Script<'_>, command: &parse::Command) -> Vec<String> {
    script.lines[command.output.clone()].iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The lines of a script with these outputs in place of its own.
fn written(script: &Script<'_>, outputs: &[Vec<String>]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut next = 0;
    for (command, output) in script.commands.iter().zip(outputs) {
        lines.extend(script.lines[next..command.output.start].iter().map(|&line| line.to_owned()));
        lines.extend_from_slice(output);
        next = command.output.end;
    }
    lines.extend(script.lines[next..].iter().map(|&line| line.to_owned()));
    lines
}
