//! The run itself: rows from files into the node, answers and published rows out, until the end or Ctrl-C.

use std::collections::BTreeMap;
use std::time::Duration;

use anabranch::rows::Chunk;
use anabranch::{Answer, Batch, Client, Error, Ticket};
use serde::Serialize;

use super::feed::{Feed, News};
use super::options::OnBadLine;
use super::pace::Pace;
use super::play::Play;
use super::prints::Prints;
use super::progress::Progress;
use crate::failure::Failure;
use crate::os;
use crate::text_table::rows;

/// Batches without an answer, at most.
const BATCHES_UNDER_WAY: usize = 64;

/// The same when rows are printed: few enough that even 16 published rows for every row sent fit into the queue of a
/// subscription, which is emptied before every batch. So a slow terminal slows the files and no row is missed.
const BATCHES_UNDER_WAY_PRINTING: usize = 16;

/// How long published rows wait for being printed while no rows come in.
const PRINT_EVERY: Duration = Duration::from_millis(20);

/// Refused rows that are told one by one.
const REFUSED_TOLD: u64 = 10;

/// When the run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// When all files are through.
    AllRead,
    /// At Ctrl-C or SIGTERM.
    Asked,
}

/// What became of a file.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlayFile {
    pub(crate) input: String,
    pub(crate) file: String,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) bad_lines: u64,
    #[serde(skip)]
    bytes: Option<u64>,
    #[serde(skip)]
    bytes_read: u64,
    /// The line of the last row that was sent.
    #[serde(skip)]
    sent_to_line: u64,
    /// Whether it was read to its end.
    #[serde(skip)]
    ended: bool,
}

/// A batch without an answer.
struct Sent {
    play: usize,
    /// The line of every row.
    lines: Vec<u64>,
}

/// A run under way.
pub(crate) struct Session {
    client: Client,
    files: Vec<PlayFile>,
    prints: Prints,
    under_way: BTreeMap<Ticket, Sent>,
    on_bad_line: OnBadLine,
    progress: Progress,
    /// How long the files took, once they are through.
    played: Option<Duration>,
    refused_told: u64,
    /// Rows that the node did not take.
    not_taken: u64,
    /// How fast rows are sent, where it is said.
    pace: Option<Pace>,
    /// Where refused rows are found that are not told one by one.
    all_refused: &'static str,
}

impl PlayFile {
    fn of(play: &Play) -> Self {
        let (input, file) = (play.input.clone(), play.name.clone());
        PlayFile {
            input,
            file,
            accepted: 0,
            refused: 0,
            bad_lines: 0,
            bytes: play.bytes,
            bytes_read: 0,
            sent_to_line: 0,
            ended: false,
        }
    }

    /// Rows that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.accepted + self.refused
    }
}

impl Session {
    /// A session that will hear of these plays.
    pub(crate) fn new(client: Client, plays: &[Play], prints: Prints, on_bad_line: OnBadLine) -> Self {
        let files: Vec<PlayFile> = plays.iter().map(PlayFile::of).collect();
        let bytes = files.iter().map(|file| file.bytes).sum();
        let progress = Progress::new(bytes, !prints.is_empty());
        Session {
            client,
            files,
            prints,
            under_way: BTreeMap::new(),
            on_bad_line,
            progress,
            played: None,
            refused_told: 0,
            not_taken: 0,
            pace: None,
            all_refused: "`--print errors` shows all",
        }
    }

    /// Sends rows no faster than this.
    pub(crate) fn paced(mut self, pace: Option<Pace>) -> Self {
        self.pace = pace;
        self
    }

    /// Says where refused rows are found that are not told one by one.
    pub(crate) fn all_refused(mut self, told: &'static str) -> Self {
        self.all_refused = told;
        self
    }

    /// Runs until the end. Everything that was sent is answered then.
    ///
    /// # Errors
    /// A bad line that stops, or the world; what was sent is answered all the same.
    pub(crate) fn run(&mut self, feed: &Feed, until: Until) -> Result<(), Failure> {
        let ended = self.listen(feed, until);
        if matches!(ended, Err(Failure::NobodyReads)) {
            return ended;
        }
        let settled = self.settle_all();
        self.played.get_or_insert(self.progress.elapsed());
        self.progress.clear();
        if ended.is_ok() || !self.under_way.is_empty() || self.not_taken > 0 {
            self.tell_unfinished();
        }
        match (ended, settled) {
            // A bad line and a node that is gone or takes nothing have nothing to do with each other.
            (Err(first), Err(second)) => {
                if first.says() != second.says() {
                    second.tell();
                }
                Err(first)
            }
            (ended, settled) => ended.and(settled),
        }
    }

    /// A file that the end of the run has cut off says how far it came.
    fn tell_unfinished(&mut self) {
        for file in self.files.iter().filter(|file| !file.ended) {
            let told = match file.sent_to_line {
                0 => format!("stopped before {} was begun", file.file),
                line => format!("stopped: {} was sent up to line {line}", file.file),
            };
            self.progress.tell(&told);
        }
        if self.not_taken > 0 {
            let told = format!("{} not taken: nothing of them took effect", rows(self.not_taken));
            self.progress.tell(&told);
        }
        let unknown: u64 = self.under_way.values().map(|sent| sent.lines.len() as u64).sum();
        if unknown > 0 {
            let told = format!("no answer came to {}, which may or may not have taken effect", rows(unknown));
            self.progress.tell(&told);
        }
    }

    /// What is left: the client, what became of the files and how long they took, and the prints.
    pub(crate) fn into_parts(self) -> (Client, Vec<PlayFile>, Duration, Prints) {
        (self.client, self.files, self.played.unwrap_or_default(), self.prints)
    }

    fn listen(&mut self, feed: &Feed, until: Until) -> Result<(), Failure> {
        loop {
            match self.hear(feed)? {
                News::Rows { play, chunk, bytes_read } => {
                    self.files[play].bytes_read = bytes_read;
                    if !self.wait_for_turn(feed, chunk.lines.len())? {
                        return Ok(());
                    }
                    self.rows(play, chunk)?;
                }
                News::End { play } => {
                    self.files[play].bytes_read = self.files[play].bytes.unwrap_or_default();
                    self.files[play].ended = true;
                }
                News::Unreadable { play, error } => {
                    return Err(Failure::file("read", &self.files[play].file, &error));
                }
                News::AllRead => {
                    self.settle()?;
                    self.played = Some(self.progress.elapsed());
                    self.progress.clear();
                    if until == Until::AllRead {
                        return Ok(());
                    }
                }
                News::Stop => return Ok(()),
            }
        }
    }

    /// Waits for news, and meanwhile for answers and rows to print.
    fn hear(&mut self, feed: &Feed) -> Result<News, Failure> {
        while !self.under_way.is_empty() || !self.prints.is_empty() {
            match feed.next_within(PRINT_EVERY) {
                Some(news) => return Ok(news),
                None => self.settle()?,
            }
        }
        Ok(feed.next())
    }

    /// Waits until so many rows may be sent; false when the run is to stop.
    fn wait_for_turn(&mut self, feed: &Feed, rows: usize) -> Result<bool, Failure> {
        let Some(pace) = &mut self.pace else { return Ok(true) };
        let due = pace.next(os::now(), rows as u64);
        if due.saturating_duration_since(os::now()) > PRINT_EVERY {
            self.settle()?;
        }
        let left = due.saturating_duration_since(os::now());
        Ok(left.is_zero() || !feed.stopped_within(left))
    }

    /// Sends the rows of a chunk, up to a bad line that stops.
    fn rows(&mut self, play: usize, chunk: Chunk) -> Result<(), Failure> {
        let stop_at = match self.on_bad_line {
            OnBadLine::Stop => chunk.problems.first().map(|problem| problem.line),
            OnBadLine::Skip => None,
        };
        let (batch, lines) = match stop_at {
            None => (chunk.batch, chunk.lines),
            Some(stop_at) => before(stop_at, &chunk),
        };
        let told = if stop_at.is_some() { 1 } else { chunk.problems.len() };
        for problem in &chunk.problems[..told] {
            self.files[play].bad_lines += 1;
            self.progress.tell(&format!("{}:{problem}", self.files[play].file));
        }
        self.send(play, batch, lines)?;
        match stop_at {
            None => Ok(()),
            Some(line) => {
                let file = &self.files[play].file;
                let failure = Failure::wrong(format!("stopped at the bad line {file}:{line}"));
                Err(failure.help("correct it, or leave bad lines out with `--on-bad-line skip`"))
            }
        }
    }

    fn send(&mut self, play: usize, rows: Batch, lines: Vec<u64>) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut batch = self.client.batch(&self.files[play].input)?;
        *batch.packed() = rows;
        // A lost connection is seen here, before the client opens another one.
        loop {
            let next = self.client.try_next();
            if !self.taken(next)? {
                break;
            }
        }
        let ticket = self.client.submit(batch)?;
        self.files[play].sent_to_line = lines.last().copied().unwrap_or_default();
        self.under_way.insert(ticket, Sent { play, lines });
        let limit = if self.prints.is_empty() { BATCHES_UNDER_WAY } else { BATCHES_UNDER_WAY_PRINTING };
        while self.under_way.len() >= limit && self.answer()? {}
        self.prints.pump()?;
        let rows = self.files.iter().map(PlayFile::answered).sum();
        let bytes_read = self.files.iter().map(|file| file.bytes_read).sum();
        self.progress.update(rows, bytes_read);
        Ok(())
    }

    /// Waits for everything that is under way, and prints what it published.
    fn settle(&mut self) -> Result<(), Failure> {
        while !self.under_way.is_empty() && self.answer()? {}
        self.prints.pump()?;
        self.prints.flush()
    }

    /// The same at the end: what the node did not take is no reason not to wait for the rest.
    fn settle_all(&mut self) -> Result<(), Failure> {
        let mut settled = Ok(());
        while !self.under_way.is_empty() {
            let before = self.under_way.len();
            match self.answer() {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) => settled = settled.and(Err(failure)),
            }
            if self.under_way.len() == before {
                break;
            }
        }
        settled.and(self.settle())
    }

    /// Takes one answer; waits for it. False when none is to come.
    fn answer(&mut self) -> Result<bool, Failure> {
        let next = self.client.next();
        self.taken(next)
    }

    /// Takes what came; false when nothing did.
    fn taken(&mut self, next: Result<Option<(Ticket, Answer)>, Error>) -> Result<bool, Failure> {
        match next {
            Ok(Some((ticket, answer))) => self.take(ticket, &answer),
            Ok(None) => return Ok(false),
            Err(error) => {
                if is_answer(&error) {
                    // Which it was is not said; what is denied is denied to all.
                    let refused = self.under_way.pop_first();
                    self.not_taken += refused.map_or(0, |(_, sent)| sent.lines.len() as u64);
                }
                return Err(error.into());
            }
        }
        Ok(true)
    }

    fn take(&mut self, ticket: Ticket, answer: &Answer) {
        if let Some(sent) = self.under_way.remove(&ticket) {
            self.count(&sent, answer);
        }
    }

    fn count(&mut self, sent: &Sent, answer: &Answer) {
        let file = &mut self.files[sent.play];
        file.accepted += answer.accepted as u64;
        file.refused += answer.refused.len() as u64;
        for refused in &answer.refused {
            self.refused_told += 1;
            match self.refused_told {
                1..=REFUSED_TOLD => {
                    let line = sent.lines.get(refused.request_row).copied().unwrap_or_default();
                    self.progress.tell(&format!("{}:{line}: refused: {refused}", file.file));
                }
                told if told == REFUSED_TOLD + 1 => {
                    self.progress.tell(&format!("more refused rows are only counted; {}", self.all_refused));
                }
                _ => return,
            }
        }
    }
}

/// Whether a request was answered so, and not left without an answer.
fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Problem { .. } | Error::Denied(_) | Error::Gone { .. } | Error::Changed { .. })
}

/// The rows of a chunk before a line.
fn before(line: u64, chunk: &Chunk) -> (Batch, Vec<u64>) {
    let lines: Vec<u64> = chunk.lines.iter().copied().take_while(|at| *at < line).collect();
    let mut batch = Batch::new(chunk.batch.schema());
    chunk.batch.rows().take(lines.len()).for_each(|row| batch.push(row));
    (batch, lines)
}
