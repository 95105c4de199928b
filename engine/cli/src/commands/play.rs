//! `anabranch play`: the rows of a file to an input stream of a node that runs somewhere.

use clap::{Args, ValueEnum};

use crate::client::at::At;
use crate::failure::Failure;
use crate::output::Output;
use crate::run::feed::Feed;
use crate::run::options::{Format, LineOptions, PlayOption};
use crate::run::pace::Rate;
use crate::run::play::{self, BATCH_ROWS};
use crate::run::prints::Prints;
use crate::run::session::{Session, Until};
use crate::run::summary::Summary;

/// Send the rows of a file to a running node
#[derive(Args, Debug)]
#[command(after_help = "\
Rows are sent in batches, many under way at once. Refused rows are told with their line, ten one by one, and counted.
Ctrl-C waits for the answers to what was sent and says how far the file was sent.

Examples:
  anabranch play names.csv --into UpdateStream
  anabranch play names.csv --into names.UpdateStream --rate 1000 --repeat 10
  tail -f rows.ndjson | anabranch play - --into UpdateStream
  zcat rows.csv.gz | anabranch play - --format csv --into UpdateStream --json

With --json the summary is an object: {\"summary\":{\"plays\":[..],\"rows\":..,\"seconds\":..,\"rows_per_second\":..}}.

Exit codes: 0 the file is through (rows that the flow refused are counted, and are no failure), 1 a bad line stopped it,
2 there is no such stream, 3 the file cannot be read, or the node cannot
be reached, does not allow it or was lost.")]
pub(crate) struct Play {
    /// .csv with a header line; .ndjson, .jsonl, .json with an object a line;
    /// `-` is standard input, an object a line
    #[arg(verbatim_doc_comment)]
    file: String,
    /// The input stream, with its flow where several flows have one
    #[arg(long, value_name = "INPUT")]
    into: String,
    /// How the file is read, whatever its name is
    #[arg(long, value_enum, value_name = "csv|ndjson", hide_possible_values = true)]
    format: Option<FileFormat>,
    /// Rows a second, or `max`: as fast as the node takes them
    #[arg(long, value_name = "N", default_value = "max", allow_hyphen_values = true)]
    rate: Rate,
    /// Play the file so many times, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    #[command(flatten)]
    lines: LineOptions,
    #[command(flatten)]
    at: At,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    Csv,
    #[value(alias = "json", alias = "jsonl")]
    Ndjson,
}

impl Play {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let option = self.option()?;
        let mut client = self.at.connect()?;
        let play = play::Play::open(&option, &mut client.batch(&self.into)?, self.lines.extra_columns())?;
        let plays = vec![play.times(self.repeat).in_batches_of(self.rate.batch_rows(BATCH_ROWS))];
        let session = Session::new(client, &plays, Prints::none(), self.lines.on_bad_line);
        let mut session = session.paced(self.rate.pace()).all_refused("`anabranch watch errors` shows all");
        let feed = Feed::start(plays)?;
        let ended = session.run(&feed, Until::AllRead);
        let (_, files, played, _) = session.into_parts();
        let mut out = Output::new();
        Summary::new(None, files, played).print(&mut out, self.json)?;
        out.flush()?;
        ended
    }

    /// What to play, as `run --play` has it.
    fn option(&self) -> Result<PlayOption, Failure> {
        let format = match self.format {
            Some(FileFormat::Csv) => Format::Csv,
            Some(FileFormat::Ndjson) => Format::JsonLines,
            None => Format::of(&self.file)
                .map_err(|why| Failure::usage(why).help("or say it: `--format csv` or `--format ndjson`"))?,
        };
        if self.file == "-" && self.repeat > 1 {
            let failure = Failure::usage("standard input can be played once");
            return Err(failure.help("leave `--repeat` out, or name a file"));
        }
        Ok(PlayOption { input: self.into.clone(), file: self.file.clone(), format })
    }
}
