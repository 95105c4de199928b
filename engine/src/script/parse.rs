//! From the text of a script to its header and commands. Names and values are looked at later, when the flows are
//! known.

use std::ops::Range;
use std::time::Duration;

use anabranch_model::expr::Place;
use anabranch_model::time::parse_duration;

use super::problem::{Problem, cut};
use super::words::{Item, Word, words};

/// A script as it is written.
#[derive(Debug)]
pub(super) struct Script<'t> {
    /// Without line breaks.
    pub(super) lines: Vec<&'t str>,
    /// Flow files, relative to the script.
    pub(super) flows: Vec<Word>,
    pub(super) node: String,
    pub(super) seed: u64,
    pub(super) commands: Vec<Command>,
}

/// A command and where its output stands.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) place: Place,
    pub(super) verb: Verb,
    /// The lines of its output, from 0.
    pub(super) output: Range<usize>,
}

/// What a command does.
#[derive(Debug)]
pub(super) enum Verb {
    Send { input: Word, rows: Vec<RowWords> },
    Ask { input: Word, rows: Vec<RowWords> },
    Play { input: Word, file: Word },
    Table { table: Word, key: Vec<Word> },
    Watch { output: Word },
    Advance { by: Duration },
    Status,
}

/// The columns of a row, as they are written.
#[derive(Debug)]
pub(super) struct RowWords {
    pub(super) place: Place,
    pub(super) columns: Vec<(Word, Word)>,
}

/// The words that a header line begins with.
const HEADERS: [&str; 3] = ["flow", "node", "seed"];

/// The words that a command begins with.
const VERBS: [&str; 7] = ["send", "ask", "play", "table", "watch", "advance", "status"];

/// Reads a script. Everything that is wrong with it is told at once.
pub(super) fn parse(text: &str) -> Result<Script<'_>, Vec<Problem>> {
    let lines: Vec<&str> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let mut parser = Parser {
        script: Script { lines, flows: Vec::new(), node: "A".to_owned(), seed: 1, commands: Vec::new() },
        open: Open::Header,
        problems: Vec::new(),
    };
    for at in 0..parser.script.lines.len() {
        if let Err(problem) = parser.line(at) {
            parser.problems.push(problem);
        }
    }
    if parser.script.flows.is_empty() && parser.problems.is_empty() {
        let (start, help) = (Place { line: 1, column: 1 }, "write `flow FILE` above the first command");
        parser.problems.push(Problem::new(start, "the script names no flow", help));
    }
    if parser.problems.is_empty() { Ok(parser.script) } else { Err(parser.problems) }
}

/// What the next line may go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// No command yet.
    Header,
    /// Further rows, or output.
    Rows,
    /// Output.
    Output,
    /// A comment or a blank line came: only a command.
    Nothing,
    /// The output of a command that is wrong: it has been told.
    Ignored,
}

struct Parser<'t> {
    script: Script<'t>,
    open: Open,
    problems: Vec<Problem>,
}

impl Parser<'_> {
    fn line(&mut self, at: usize) -> Result<(), Problem> {
        let whole = self.script.lines[at];
        let line = whole.trim_start();
        let indent = whole[..whole.len() - line.len()].chars().count() as u32;
        let place = Place { line: u32::try_from(at + 1).unwrap_or(u32::MAX), column: indent + 1 };
        if line.is_empty() || line.starts_with("--") {
            if self.open != Open::Header {
                self.open = Open::Nothing;
            }
            return Ok(());
        }
        if let Some(command) = line.strip_prefix('>') {
            return self.command(at, place, command);
        }
        match self.open {
            Open::Header => self.header(line, place),
            Open::Rows if line.starts_with('+') => self.further_row(at, place, &line[1..]),
            Open::Rows | Open::Output => {
                self.open = Open::Output;
                if let Some(command) = self.script.commands.last_mut() {
                    command.output.end = at + 1;
                }
                Ok(())
            }
            Open::Ignored => Ok(()),
            Open::Nothing => {
                let message = "this line belongs to no command";
                let help =
                    "begin a command with `>` and a comment with `--`; output follows its command directly";
                self.open = Open::Ignored;
                Err(Problem::new(place, message, help))
            }
        }
    }

    fn header(&mut self, line: &str, place: Place) -> Result<(), Problem> {
        let items = words(line, place)?;
        let Some((Item::Alone(head), rest)) = items.split_first() else {
            return Err(Problem::new(
                place,
                "this is no header line",
                "write `flow FILE`, `node NAME` or `seed NUMBER`",
            ));
        };
        if VERBS.contains(&head.text.as_str()) {
            let help = format!("begin a command with `>`: `> {}`", head.text);
            return Err(Problem::new(place, format!("`{}` is a command", head.text), help));
        }
        let given = alone(rest)?;
        match (head.text.as_str(), given.as_slice()) {
            ("flow", []) => Err(Problem::new(place, "the flow file is missing", "write `flow FILE`")),
            ("flow", files) => {
                self.script.flows.extend_from_slice(files);
                Ok(())
            }
            ("node", [name]) if !name.text.is_empty() && !name.text.contains(',') => {
                self.script.node = name.text.clone();
                Ok(())
            }
            ("node", _) => {
                let help = "write `node NAME`; scripts with several nodes come with the network between them";
                Err(Problem::new(place, "a script runs on one node", help))
            }
            ("seed", [seed]) => {
                let help = "write a whole number from 0 on";
                let wrong = |_| Problem::new(seed.place, format!("`{}` is no seed", cut(&seed.text)), help);
                self.script.seed = seed.text.parse().map_err(wrong)?;
                Ok(())
            }
            ("seed", _) => Err(Problem::new(place, "a script has one seed", "write `seed NUMBER`")),
            (other, _) => Err(Problem::unknown(place, "header line", other, HEADERS)),
        }
    }

    fn command(&mut self, at: usize, place: Place, text: &str) -> Result<(), Problem> {
        self.open = Open::Ignored;
        let items = words(text, Place { column: place.column + 1, ..place })?;
        let Some((first, rest)) = items.split_first() else {
            return Err(Problem::new(
                place,
                "the command is missing",
                format!("write one of: {}", VERBS.join(", ")),
            ));
        };
        let verb = verb(first, rest)?;
        self.open = match verb {
            Verb::Send { .. } | Verb::Ask { .. } => Open::Rows,
            _ => Open::Output,
        };
        self.script.commands.push(Command { place: first.place(), verb, output: at + 1..at + 1 });
        Ok(())
    }

    fn further_row(&mut self, at: usize, place: Place, text: &str) -> Result<(), Problem> {
        let row = row(&words(text, Place { column: place.column + 1, ..place })?, place)?;
        if let Some(Command { verb: Verb::Send { rows, .. } | Verb::Ask { rows, .. }, output, .. }) =
            self.script.commands.last_mut()
        {
            rows.push(row);
            *output = at + 1..at + 1;
        }
        Ok(())
    }
}

fn verb(first: &Item, rest: &[Item]) -> Result<Verb, Problem> {
    let place = first.place();
    let Item::Alone(word) = first else {
        return Err(Problem::new(
            place,
            "a command begins with its name",
            format!("one of: {}", VERBS.join(", ")),
        ));
    };
    let usage = |usage: &str| {
        Problem::new(place, format!("`{}` wants other words", word.text), format!("write `> {usage}`"))
    };
    match word.text.as_str() {
        "send" => request(rest, || usage("send INPUT column=value ..."))
            .map(|(input, rows)| Verb::Send { input, rows }),
        "ask" => request(rest, || usage("ask INPUT column=value ..."))
            .map(|(input, rows)| Verb::Ask { input, rows }),
        "play" => match alone(rest)?.as_slice() {
            [input, file] => Ok(Verb::Play { input: input.clone(), file: file.clone() }),
            _ => Err(usage("play INPUT FILE")),
        },
        "table" => match alone(rest)?.split_first() {
            Some((table, key)) => Ok(Verb::Table { table: table.clone(), key: key.to_vec() }),
            None => Err(usage("table TABLE` or `> table TABLE KEY")),
        },
        "watch" => match alone(rest)?.as_slice() {
            [output] => Ok(Verb::Watch { output: output.clone() }),
            _ => Err(usage("watch OUTPUT` or `> watch errors")),
        },
        "advance" => match alone(rest)?.as_slice() {
            [by] => Ok(Verb::Advance { by: duration(by)? }),
            _ => Err(usage("advance 5s")),
        },
        "status" if rest.is_empty() => Ok(Verb::Status),
        "status" => Err(usage("status")),
        "at" => {
            let help = "leave it out; scripts with several nodes come with the network between them";
            Err(Problem::new(place, "a script runs on one node, so `at` has nothing to name", help))
        }
        other => Err(Problem::unknown(place, "command", other, VERBS)),
    }
}

/// An input and the columns of one row.
fn request(items: &[Item], usage: impl Fn() -> Problem) -> Result<(Word, Vec<RowWords>), Problem> {
    let Some((Item::Alone(input), columns)) = items.split_first() else { return Err(usage()) };
    Ok((input.clone(), vec![row(columns, input.place)?]))
}

fn row(items: &[Item], place: Place) -> Result<RowWords, Problem> {
    let column = |item: &Item| match item {
        Item::Pair(name, value) => Ok((name.clone(), value.clone())),
        Item::Alone(word) => {
            let help = "write `column=value`; a value with spaces stands in quotes: `name='two words'`";
            Err(Problem::new(word.place, format!("`{}` is no column with a value", cut(&word.text)), help))
        }
    };
    Ok(RowWords { place, columns: items.iter().map(column).collect::<Result<_, _>>()? })
}

/// Words without a name before them.
fn alone(items: &[Item]) -> Result<Vec<Word>, Problem> {
    let word = |item: &Item| match item {
        Item::Alone(word) => Ok(word.clone()),
        Item::Pair(name, _) => {
            let help = "give the value alone; a value with `=` in it stands in quotes";
            Err(Problem::new(name.place, format!("`{}=` stands where no column does", cut(&name.text)), help))
        }
    };
    items.iter().map(word).collect()
}

fn duration(word: &Word) -> Result<Duration, Problem> {
    let micros = parse_duration(&word.text).and_then(|micros| u64::try_from(micros).ok());
    micros.map(Duration::from_micros).ok_or_else(|| {
        let help = "write a duration such as 250ms, 5s, 5m, 3h or 7d; time does not go back";
        Problem::new(word.place, format!("`{}` is no time to pass", cut(&word.text)), help)
    })
}
