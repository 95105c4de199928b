//! Runs the commands of a script and writes down what they give.

use std::collections::BTreeMap;

use crate::answer::Answer;
use crate::client::Client;
use crate::error::Error;
use crate::input_batch::InputBatch;
use crate::link::Here;
use crate::subscription::Subscription;
use crate::testing::TestNode;

use super::play::PlayChunk;
use super::resolve::Order;
use super::show;
use super::words::write_word;

/// Refused or unreadable rows of a file that are shown; the rest is counted.
const PLAY_SHOWN: usize = 20;

/// The node of a script, with everything that its commands use.
pub(super) struct Stage {
    pub(super) node: TestNode,
    pub(super) client: Client<Here>,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
}

impl Stage {
    /// Carries out a command; gives the lines of its output.
    ///
    /// # Errors
    /// The request is larger than a request may be.
    pub(super) fn perform(&mut self, order: Order) -> Result<Vec<String>, Error> {
        match order {
            Order::Rows { batch, replies } => {
                let rows = batch.len();
                let answer = self.answer(batch)?;
                Ok(if replies { asked(rows, &answer) } else { sent(rows, &answer) })
            }
            Order::Play { file, chunks } => self.play(&file, chunks),
            Order::Table { table } => {
                let rows: Result<Vec<_>, Error> = self.client.scan(&table)?.collect();
                Ok(show::table(&rows?))
            }
            Order::Get { table, key } => match self.client.get(&table, key)? {
                Some(row) => Ok(show::table(&[row])),
                None => Ok(vec!["no row".to_owned()]),
            },
            Order::Watch { output } => Ok(self.watch(&output)),
            Order::Advance { by } => {
                self.node.advance(by);
                Ok(Vec::new())
            }
            Order::Status => Ok(show::status(&self.node.status())),
        }
    }

    fn answer(&mut self, batch: InputBatch) -> Result<Answer, Error> {
        let ticket = self.client.submit(batch)?;
        self.client.wait(ticket)
    }

    fn play(&mut self, file: &str, chunks: Vec<PlayChunk>) -> Result<Vec<String>, Error> {
        let (mut accepted, mut refused, mut unread) = (0, 0, 0);
        let mut name = String::new();
        write_word(file, &mut name);
        let mut notes = Vec::new();
        for chunk in chunks {
            let answer = self.answer(chunk.batch)?;
            accepted += answer.accepted;
            refused += answer.refused.len();
            unread += chunk.problems.len();
            let mut found = chunk.problems;
            found.extend(answer.refused.iter().map(|row| (chunk.lines[row.request_row], show::refused(row))));
            found.sort();
            let room = PLAY_SHOWN.saturating_sub(notes.len());
            notes.extend(
                found
                    .into_iter()
                    .take(room)
                    .map(|(line, what)| format!("{name}:{line}: {}", show::one_line(&what))),
            );
        }
        let mut summary = counts(accepted, refused);
        if unread > 0 {
            summary.push_str(&format!(", skipped {unread}"));
        }
        let more = refused + unread - notes.len();
        notes.insert(0, summary);
        if more > 0 {
            notes.push(format!("and {more} more"));
        }
        Ok(notes)
    }

    fn watch(&mut self, output: &str) -> Vec<String> {
        let Some(subscription) = self.subscriptions.get_mut(output) else { return Vec::new() };
        let events = std::iter::from_fn(|| subscription.try_next());
        let lines: Vec<String> = events.map(|event| show::event(output, &event)).collect();
        if lines.is_empty() { vec!["nothing".to_owned()] } else { lines }
    }
}

/// What `send` shows: how many rows took effect, and why others did not.
fn sent(rows: usize, answer: &Answer) -> Vec<String> {
    match answer.refused.as_slice() {
        [] if rows == 1 => vec!["accepted".to_owned()],
        [only] if rows == 1 => vec![show::refused(only)],
        refused => {
            let refusals =
                refused.iter().map(|row| format!("row {}: {}", row.request_row + 1, show::refused(row)));
            [counts(answer.accepted, refused.len())].into_iter().chain(refusals).collect()
        }
    }
}

/// What `ask` shows: for every row its replies, or that there is none, or why it was refused.
fn asked(rows: usize, answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut replies, mut refused) = (answer.replies.iter().peekable(), answer.refused.iter().peekable());
    for row in 0..rows {
        let before = lines.len();
        while let Some(reply) = replies.next_if(|reply| reply.request_row == row) {
            lines.push(show::row(&reply.stream, &reply.row));
        }
        if let Some(refused) = refused.next_if(|refused| refused.request_row == row) {
            lines.push(show::refused(refused));
        }
        if lines.len() == before {
            lines.push("no reply".to_owned());
        }
    }
    lines
}

fn counts(accepted: usize, refused: usize) -> String {
    match refused {
        0 => format!("accepted {accepted}"),
        _ => format!("accepted {accepted}, refused {refused}"),
    }
}
